//! What `ebrec diff` is asked for.

use crate::cli::args::Diff;
use crate::cli::format_of;
use crate::cli::terminal::Terminal;
use crate::diff::DiffPlan;
use crate::failure::Failure;
use crate::report::plan::Destination;
use crate::report::plan::Format;
use crate::report::plan::RowFilter;

/// What is asked for, as plain data.
pub(super) fn plan(diff: Diff, terminal: &Terminal) -> Result<(DiffPlan, Destination), Failure> {
    let format = match (diff.format, diff.output.as_deref()) {
        (Some(format), _) => format.into(),
        (None, Some(path)) => format_of(path)?,
        (None, None) => Format::default(),
    };
    if format == Format::Svg && terminal.stdout && diff.output.is_none() {
        let hint = "ebrec diff -o diff.svg BEFORE AFTER";
        return Err(Failure::usage("a picture can't be written to a terminal").hint(hint));
    }
    let plan = DiffPlan {
        before: diff.before,
        after: diff.after,
        filter: RowFilter { pids: Vec::new(), comms: diff.comm, from: diff.from, to: diff.to },
        fail_if: diff.fail_if,
        strict: diff.strict,
        top: diff.top,
        debug_dirs: diff.debug_dir,
        format,
    };
    Ok((plan, Destination { file: diff.output, svg_dir: None, table: diff.table }))
}
