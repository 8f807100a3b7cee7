//! A comparison as a document.

use crate::diff::DiffPlan;
use crate::diff::checks::Check;
use crate::diff::compare::BETWEEN_RUNS;
use crate::diff::compare::BETWEEN_RUNS_CPU;
use crate::diff::compare::BETWEEN_RUNS_SMALL;
use crate::diff::compare::BETWEEN_RUNS_WAITS;
use crate::diff::compare::Change;
use crate::diff::compare::Comparison;
use crate::diff::compare::Design;
use crate::diff::compare::REPEATS;
use crate::diff::statistics::FALSE_DISCOVERY;
use crate::diff::story;
use crate::render::Document;
use crate::render::Table;
use crate::render::Value;
use crate::report::table::columns::Columns;
use crate::units;

/// Sentences, and rows of a table, that people are shown.
const SENTENCES: usize = 10;
const ROWS: usize = 20;

pub(super) fn document(plan: &DiffPlan, comparison: &Comparison, checks: &[Check<'_>]) -> Document {
    let mut document = Document::new("diff", "What changed");
    let [before, after] = comparison.recordings;
    let names = [&plan.before, &plan.after].map(|path| path.display().to_string());
    document.subtitle =
        format!("before: {} ({}); after: {} ({})", names[0], recordings(before), names[1], recordings(after));
    document.leave_out(comparison.left_out.clone());
    for difference in comparison.conditions.differences() {
        document.warning(format!("compare with care: {difference}"));
    }
    if let Some(commands) = comparison.conditions.commands() {
        document.note(commands);
    }
    document.note(method(comparison));
    if let Some(limits) = limits(&comparison.design) {
        document.note(limits);
    }
    changes(&mut document, plan, comparison);
    if !checks.is_empty() {
        document.push(table("checks", "Checks", &check_columns(), checks.iter(), usize::MAX));
    }
    document.push(table("recorder", "The recordings themselves", &own_columns(), comparison.own.iter(), usize::MAX));
    if plan.format.is_for_programs() {
        document.push(table("tested", "All tested quantities", &columns(), comparison.tested.iter(), usize::MAX));
    }
    document
}

fn recordings(number: usize) -> String {
    if number == 1 { "1 recording".to_owned() } else { format!("{number} recordings") }
}

/// How the differences were tested.
fn method(comparison: &Comparison) -> String {
    let [before, after] = comparison.recordings;
    let number = units::count(comparison.tested.len() as u64);
    let rate = format!("false discovery rate {:.0} % over {number} quantities", 100.0 * FALSE_DISCOVERY);
    match &comparison.design {
        Design::Exact(arrangements) => {
            let all = units::count(arrangements.len() as u64);
            format!(
                "{before} recordings before and {after} after, each one observation: exact permutation test over {all} arrangements, {rate}"
            )
        }
        Design::Welch => {
            format!(
                "{before} recordings before and {after} after, each one observation: Welch's t test of log ratios, {rate}"
            )
        }
        Design::WithinRuns { stretches: [before, after] } => {
            format!("block bootstrap over {before} and {after} intervals within the recordings, {rate}")
        }
    }
}

/// What a comparison can't show.
fn limits(design: &Design) -> Option<String> {
    let Design::WithinRuns { stretches } = design else { return None };
    if stretches.iter().any(|number| *number < 2) {
        let few = "a window of one interval can't be tested at all: record for longer, or with a shorter --interval";
        return Some(few.to_owned());
    }
    Some(format!(
        "fewer than {REPEATS} recordings a side can't distinguish a change from the differences between any two runs (memory layout, caches, \
         neighbours); this assumes that runs differ by {:.0} % or {}/s, in waits by {:.0} %, in waits for a CPU by {:.0} %, and reports what \
         differs much more: record {REPEATS} or more of each, in turn",
        100.0 * BETWEEN_RUNS,
        units::duration(BETWEEN_RUNS_SMALL as i64),
        100.0 * BETWEEN_RUNS_WAITS,
        100.0 * BETWEEN_RUNS_CPU
    ))
}

fn changes(document: &mut Document, plan: &DiffPlan, comparison: &Comparison) {
    let told = story::told(comparison);
    let listed: Vec<&Change> = comparison.listed().collect();
    let small = comparison.tested.iter().filter(|change| change.is_significant() && change.is_small()).count();
    let number = units::count(comparison.tested.len() as u64);
    if listed.is_empty() {
        document.note(format!("no significant change in {number} quantities"));
    }
    if small > 0 {
        let rule = "below 2 % or 1 ms/s of time, or 5 % of anything else";
        document.note(format!("{} significant but small changes are not listed ({rule})", units::count(small as u64)));
    }
    if listed.is_empty() && !plan.format.is_for_programs() {
        return;
    }
    let most = |usual| match plan.top {
        Some(0) => usize::MAX,
        Some(top) => top,
        None if plan.format.is_for_programs() => usize::MAX,
        None => usual,
    };
    if !told.is_empty() {
        document.heading("Changes, those of time first, by their effect");
    }
    for (at, sentence) in told.iter().take(most(SENTENCES)).enumerate() {
        document.note(format!("{}. {sentence}", at + 1));
    }
    if told.len() > most(SENTENCES) {
        document.note(format!("{} more; --top 0 shows all", told.len() - most(SENTENCES)));
    }
    document.push(table("changes", "Significant changes", &columns(), listed.into_iter(), most(ROWS)));
}

fn table<'r, R: 'r>(
    name: &str,
    title: &str,
    columns: &Columns<R>,
    rows: impl ExactSizeIterator<Item = &'r R>,
    most: usize,
) -> Table {
    let omitted = rows.len().saturating_sub(most) as u64;
    let rows = rows.take(most).map(|row| columns.cells(row).collect()).collect();
    Table { rows, omitted, ..Table::new(name, title, columns.fields().cloned().collect()) }
}

/// All tables, without rows.
pub(super) fn tables() -> Vec<Table> {
    let none = std::iter::empty::<&Change>;
    vec![
        table("changes", "Significant changes", &columns(), none(), 0),
        table("checks", "Checks", &check_columns(), std::iter::empty(), 0),
        table("recorder", "The recordings themselves", &own_columns(), none(), 0),
        table("tested", "All tested quantities", &columns(), none(), 0),
    ]
}

fn own_columns() -> Columns<Change> {
    Columns::<Change>::new()
        .column("quantity", "quantity", |change| change.quantity.to_string())
        .at_least(48)
        .help("Metric, labels and statistic, as --fail-if takes them.")
        .column("unit", "unit", unit)
        .help("Unit of the values, per second where it says so.")
        .column("before", "before", |change| Value::of(change.unit, Some(change.before)))
        .each_its_unit()
        .help("Geometric mean of the recordings before.")
        .column("after", "after", |change| Value::of(change.unit, Some(change.after)))
        .each_its_unit()
        .help("Geometric mean of the recordings after.")
}

fn columns() -> Columns<Change> {
    own_columns()
        .column("change_pct", "change", |change| change.percent().map(Value::Percent).unwrap_or_default())
        .help("Change in percent of the value before; null if that is zero.")
        .column("low_pct", "low", |change| change.interval().map(|(low, _)| Value::Percent(low)).unwrap_or_default())
        .help("Lower end of the 95 % confidence interval of the change, including the error of histograms.")
        .column("high_pct", "high", |change| {
            change.interval().map(|(_, high)| Value::Percent(high)).unwrap_or_default()
        })
        .help("Upper end of that interval.")
        .column("effect_ns", "effect", |change| match change.effect() {
            0.0 => Value::Null,
            effect => Value::Nanos(effect as i64),
        })
        .help("Change in nanoseconds per second of the window; null unless the quantity is a time.")
        .column("p", "p", |change| story::chance_value(change.difference.map(|difference| difference.p)))
        .help("Probability of a difference this large in this quantity alone, if nothing changed.")
        .column("q", "q", |change| story::chance_value(Some(change.adjusted)))
        .help("The same, adjusted for the number of quantities by Benjamini and Hochberg's procedure.")
}

fn unit(change: &Change) -> String {
    let second =
        if change.quantity.statistic.is_per_second() && change.unit != units::Unit::PerSecond { "/s" } else { "" };
    format!("{}{second}", change.unit.name())
}

fn check_columns<'c>() -> Columns<Check<'c>> {
    Columns::<Check<'c>>::new()
        .column("expression", "expression", |check| check.expression.text.as_str().to_owned())
        .help("The expression as it was given.")
        .column("unit", "unit", |check| unit(check.change))
        .help("Unit of the values.")
        .column("before", "before", |check| Value::of(check.change.unit, Some(check.change.before)))
        .each_its_unit()
        .help("Value before.")
        .column("after", "after", |check| Value::of(check.change.unit, Some(check.change.after)))
        .each_its_unit()
        .help("Value after.")
        .column("change_pct", "change", |check| check.change.percent().map(Value::Percent).unwrap_or_default())
        .help("Change in percent of the value before.")
        .column("q", "q", |check| story::chance_value(check.change.difference.map(|_| check.change.adjusted)))
        .help("Probability of a difference this large if nothing changed, adjusted for the number of expressions.")
        .column("fails", "fails", Check::fails)
        .help("Whether the expression makes the run fail.")
        .column("verdict", "verdict", |check| check.verdict())
        .help("The same in words.")
}
