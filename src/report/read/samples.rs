//! Rows that are about a pair of stacks: samples of the CPUs, and sums of sleeps.

use std::borrow::Cow;

use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Sample;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;

/// The columns of a sample: its stacks, and what it weighs.
pub(crate) struct SampleColumns {
    kernel: IntColumn,
    user: IntColumn,
    ns: IntColumn,
    count: IntColumn,
}

impl SampleColumns {
    /// Reads them.
    pub(crate) fn of(rows: &mut Rows<'_>) -> SampleColumns {
        let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
        SampleColumns { kernel, user, ns: rows.int("sum"), count: rows.int("count") }
    }

    /// What a row says.
    pub(crate) fn sample(&self, processes: &ProcessTable, row: &Row<'_>) -> Sample<'static> {
        Sample {
            process: Cow::Owned(process(processes, row)),
            kernel: row.int(self.kernel),
            user: row.int(self.user),
            ns: row.natural(self.ns),
            count: row.natural(self.count),
        }
    }
}

/// The name of the process of a row, or its id.
pub(crate) fn process(processes: &ProcessTable, row: &Row<'_>) -> String {
    match (processes.of_row(row), row.pid()) {
        (Some(comm), _) => comm.to_owned(),
        (None, Some(pid)) => format!("process {pid}"),
        (None, None) => "?".to_owned(),
    }
}

/// The columns that say of what kind a sleep was.
pub(crate) struct SleepColumns {
    metric: TextColumn,
    state: TextColumn,
}

impl SleepColumns {
    /// Reads them.
    pub(crate) fn of(rows: &mut Rows<'_>) -> SleepColumns {
        SleepColumns { metric: rows.text("metric"), state: rows.text("state") }
    }

    /// The state of the thread, where the row is a sleep. A kernel thread without work waits for nothing.
    pub(crate) fn state<'a>(&self, row: &Row<'a>) -> Option<&'a str> {
        let state = row.text(self.state).unwrap_or_default();
        (row.text(self.metric) == Some("offcpu.time") && state != "idle").then_some(state)
    }
}
