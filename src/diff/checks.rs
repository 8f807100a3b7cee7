//! What became of the expressions of `--fail-if`.

use crate::diff::compare::Change;
use crate::diff::compare::Comparison;
use crate::diff::expression::Expression;
use crate::diff::expression::unknown;
use crate::diff::observe::COMMAND;
use crate::diff::sides::Which;
use crate::failure::Failure;
use crate::report::plan::RowFilter;

/// One expression and what it was about.
pub(super) struct Check<'c> {
    pub(super) expression: &'c Expression,
    pub(super) change: &'c Change,
    /// Whether the bound is exceeded.
    pub(super) holds: bool,
    /// Whether it counts although chance may explain it.
    is_strict: bool,
}

impl Check<'_> {
    /// Whether the run fails for it.
    pub(super) fn fails(&self) -> bool {
        self.holds && (self.is_strict || self.change.is_significant_alone())
    }

    /// In a word or two.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.holds, self.fails()) {
            (_, true) => "failed",
            (true, false) => "passed: exceeded, but not significant",
            (false, _) => "passed",
        }
    }
}

/// Holds each expression against what was found.
///
/// # Errors
/// Neither side has what an expression is about, one did not measure it, or its bound has another unit.
pub(super) fn checks<'c>(
    expressions: &'c [Expression],
    comparison: &'c Comparison,
    is_strict: bool,
) -> Result<Vec<Check<'c>>, Failure> {
    let check = |((expression, change), lacking): ((&'c Expression, &'c Option<Change>), &Option<Which>)| {
        if let Some(side) = lacking {
            return Err(not_measured(expression, *side));
        }
        let Some(change) = change else { return Err(unknown(expression, &comparison.names)) };
        expression.check_unit(change.unit)?;
        let holds = expression.holds(change.before, change.after);
        Ok(Check { expression, change, holds, is_strict })
    };
    expressions.iter().zip(&comparison.selected).zip(&comparison.lacking).map(check).collect()
}

/// Checks that the filters leave what the expressions are about.
///
/// # Errors
/// One is about the length of the recorded command, and only a part of the window counts.
pub(super) fn fit(expressions: &[Expression], filter: &RowFilter) -> Result<(), Failure> {
    let of_command = |expression: &&Expression| *expression.selection.name.metric == *COMMAND;
    match expressions.iter().find(of_command) {
        Some(expression) if filter.by_time() => {
            let message = format!("'{}' can't be checked in a part of the window", expression.text);
            Err(Failure::usage(message).hint("the length of a command is that of its whole run; drop --from and --to"))
        }
        _ => Ok(()),
    }
}

fn not_measured(expression: &Expression, side: Which) -> Failure {
    let side = if side == Which::Before { "before" } else { "after" };
    let metric = &expression.selection.name.metric;
    Failure::run(format!("'{}' can't be checked: not every recording {side} measured '{metric}'", expression.text))
        .hint("record both sides with the same probes; 'ebrec info FILE' lists those that ran")
}
