//! The names of numbers say their unit, and programs get every row, in every view.

use ebrec::render;
use ebrec::render::Block;
use ebrec::render::Document;
use ebrec::render::Value;
use ebrec::report::VIEWS;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::report;
use ebrec::units::Unit;

use super::Case;
use crate::synthetic::large;
use crate::synthetic::large::Size;

/// Fails where a number's unit does not show in its field's name. Columns of different things have the unit in a column beside them.
pub(super) fn assert_named(document: &Document) {
    for block in &document.blocks {
        let Block::Table(table) = block else { continue };
        let has_unit = table.fields.iter().any(|field| field.name == "unit");
        let check = |_: usize, cells: &[Value]| {
            for (field, cell) in table.fields.iter().zip(cells) {
                let unit = match cell {
                    Value::Nanos(_) | Value::Time(_) => Unit::Nanoseconds,
                    Value::Bytes(_) => Unit::Bytes,
                    Value::Percent(_) => Unit::Percent,
                    Value::Rate(_) => Unit::PerSecond,
                    Value::Int(_) | Value::Id(_) | Value::Float(_) => Unit::Count,
                    Value::Null | Value::Text(_) | Value::Bool(_) => continue,
                };
                let name = format!("_{}", field.name);
                let said = Unit::ALL.into_iter().find(|unit| *unit != Unit::Count && name.ends_with(unit.ending()));
                let named = said.unwrap_or(Unit::Count) == unit || (field.mixed && has_unit);
                assert!(named, "'{}' of '{}' is {cell:?}", field.name, table.name);
            }
            Ok(())
        };
        table.each(check).unwrap();
    }
}

/// Of everything a little, and more than any table shows to people.
const SOME: Size = Size {
    syscalls: 2000,
    events: 150,
    processes: 60,
    argv: 40,
    files: 60,
    stacks: 60,
    symbols: 50,
    threads: 60,
    groups: 60,
};

/// What the manual promises of JSON and CSV: all rows, except in rankings of the slowest events.
#[test]
fn programs_get_all_rows_with_units_in_their_names_except_in_rankings_of_events() {
    const RANKINGS: [&str; 5] = ["slowest", "requests", "connects", "open", "blocks"];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    large::write(&file, SOME);
    let mut cut = Vec::new();
    for view in VIEWS {
        let case = Case::new(view.name, Vec::new()).with(|plan| plan.files = vec![file.clone()]);
        let made = |change: ReportPlan| report(&change).unwrap();
        let document = made(case.plan.clone());
        let whole = made(ReportPlan { top: Some(0), ..case.plan.clone() });
        let as_csv = made(ReportPlan { format: Format::Csv, ..case.plan.clone() });
        assert_named(&document);
        for block in &document.blocks {
            let Block::Table(table) = block else { continue };
            let all = whole.table(Some(&table.name)).map_or(0, |table| table.len());
            // `slow` is such a ranking, and so is what the summary has of commands.
            let ranking = RANKINGS.contains(&table.name.as_str()) || view.name == "slow" || view.name == "summary";
            if !ranking && (table.omitted > 0 || table.len() != all) {
                cut.push(format!("{} {}: {} of {all} rows", view.name, table.name, table.len()));
            }
            let csv = render::csv(&as_csv, Some(&table.name)).unwrap();
            let lines = csv.lines().count() as u64;
            assert_eq!(lines, 1 + table.len(), "{} {} as CSV", view.name, table.name);
        }
    }
    assert_eq!(cut, Vec::<String>::new(), "tables without all of their rows");
}

#[test]
fn a_metric_of_each_unit_has_it_in_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    large::write(&file, SOME);
    for (metric, sum) in [("block.size", "sum_bytes"), ("block.queue_time", "sum_ns"), ("memory.faults", "sum")] {
        let case = Case::new("hist", Vec::new()).with(|plan| {
            plan.files = vec![file.clone()];
            plan.metrics = vec![metric.into()];
        });
        let document = report(&case.plan).unwrap();
        assert_named(&document);
        let table = document.table(Some("groups")).unwrap();
        assert!(table.fields.iter().any(|field| field.name == sum), "{metric}: {:?}", table.fields);
    }
}
