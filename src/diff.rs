//! Compares recordings: what changed between two of them or two sets, by how much, and how sure that is.
//!
//! Each recording becomes quantities under names that survive a restart (`observe`); each quantity is tested (`compare`, `statistics`); what is
//! significant and large enough to matter is ranked by its effect on time and put into sentences (`story`).

use std::path::PathBuf;

use anyhow::Result;

use crate::diff::expression::Expression;
use crate::diff::expression::Selection;
use crate::diff::sides::Side;
use crate::render::Document;
use crate::render::Table;
use crate::report::plan::Format;
use crate::report::plan::RowFilter;

mod checks;
mod common;
mod compare;
mod conditions;
mod document;
mod expression;
mod flame;
mod item;
mod ledger;
mod observe;
mod quantity;
mod sides;
mod statistics;
mod story;
mod stretches;

/// What is to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffPlan {
    /// The recordings before: a file, a directory, or a pattern of files.
    pub before: PathBuf,
    /// The recordings after.
    pub after: PathBuf,
    /// Which rows count.
    pub filter: RowFilter,
    /// Expressions, each of which fails the run where it holds.
    pub fail_if: Vec<String>,
    /// Whether an expression fails the run whatever chance has to do with it.
    pub strict: bool,
    /// How many changes are shown, 0 for all; `None` leaves it to the format.
    pub top: Option<usize>,
    /// Directories with symbols for frames that have no name in the recordings.
    pub debug_dirs: Vec<PathBuf>,
    /// How the comparison is written.
    pub format: Format,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The comparison for people and programs.
    pub document: Document,
    /// Whether one of the expressions fails the run.
    pub failed: bool,
}

/// Compares recordings.
///
/// # Errors
/// An expression is wrong or names what neither side has, a recording does not open, or they hold more names than fit into memory.
pub fn diff(plan: &DiffPlan) -> Result<Compared> {
    let expressions =
        plan.fail_if.iter().map(|text| Expression::parse(text)).collect::<Result<Vec<Expression>, _>>()?;
    checks::fit(&expressions, &plan.filter)?;
    let selections: Vec<Selection> = expressions.iter().map(|expression| expression.selection.clone()).collect();
    let sides = [Side::of(&plan.before)?, Side::of(&plan.after)?];
    let comparison = compare::compare(plan, &sides, &selections)?;
    let checks = checks::checks(&expressions, &comparison, plan.strict)?;
    let failed = checks.iter().any(checks::Check::fails);
    let mut document = document::document(plan, &comparison, &checks);
    // Nobody else draws it.
    if plan.format == Format::Svg
        && let Some(plot) = flame::plot(plan, &sides)?
    {
        document.push(plot);
    }
    Ok(Compared { document, failed })
}

/// The tables of a comparison, without rows: what programs may read.
pub fn tables() -> Vec<Table> {
    document::tables()
}
