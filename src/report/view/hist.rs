//! View `hist`: the distribution of a metric, whole or split by any of its columns; without a metric, all of them side by side.

use std::cmp::Reverse;

use anyhow::Result;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::unit;
use crate::report::table::columns::Columns;
use crate::report::table::heaviest::Heaviest;
use crate::report::table::heaviest::SERIES;
use crate::report::table::ranking::Ranking;
use crate::report::view::distributions;
use crate::text::nearest;

/// The dimension that stands for a process with its command.
const PROCESS: &str = "process";
/// Distributions that one picture can hold apart.
const APART: usize = 6;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    match plan.metrics.first() {
        Some(name) => one(sources, plan, name),
        None => all(sources, plan),
    }
}

fn all(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("hist", "Distributions");
    document.push(distributions::table(sources, "metrics", plan)?);
    match plan.format {
        Format::Text => document.note("'ebrec report hist METRIC FILE' draws one of them"),
        _ => distributions::plots(&mut document, sources)?,
    }
    Ok(document)
}

fn one(sources: &[Source], plan: &ReportPlan, name: &str) -> Result<Document> {
    let metric = sources.iter().find_map(|source| source.meta().metrics.iter().find(|metric| metric.name == name));
    let Some(metric) = metric else {
        return absent(sources, name);
    };
    let by = dimensions(metric, &plan.by)?;
    let is_histogram = is_histogram(metric);
    let columns = columns(metric, &by);
    let mut table = Ranking::new(sources, "groups", "", columns).largest_first("count").top(plan.rows_shown(20));
    let many = if plan.format == Format::Json { SERIES } else { APART };
    let mut series = Heaviest::new(many.min(plan.rows_shown(many)));
    let (mut found, mut whole) = (0u64, Histogram::new());
    for source in sources {
        let host = (sources.len() > 1).then(|| source.label().to_owned());
        let groups = Groups::of(source, name, &by)?;
        let all = groups.tally.total(name)?;
        groups.each(name, &by, |dims, histogram| {
            found += 1;
            let words: Vec<String> = host.iter().cloned().chain(dims.iter().map(Dim::word)).collect();
            series.add(words.join(" "), histogram);
            table.row(source, &Group { dims: dims.to_vec(), values: histogram.clone(), of_all: count(&all) });
        })?;
        whole.merge(&all);
    }
    let mut document = Document::new("hist", name);
    if !metric.help.is_empty() {
        document.note(metric.help.as_str());
    }
    if plan.filter.by_process() && !metric.by.iter().any(|column| column == "pid" || column == "comm") {
        document.warning(format!("'{name}' is not counted by process, so the filter leaves it out"));
    }
    if found == 0 {
        note_absent_probe(&mut document, sources, &metric.probe);
    }
    let apart = found <= APART as u64;
    if is_histogram && found > 0 {
        // In text, groups that are too many to be told apart are drawn as one.
        let one = plan.format == Format::Text && !apart;
        let mut series = if one { vec![(String::new(), whole)] } else { series.series() };
        series.sort_by_key(|(_, own)| Reverse((count(own), sum(own))));
        let unit = unit(&metric.unit);
        document.push(HistogramPlot { name: metric.name.clone(), title: metric.name.clone(), unit, series });
    }
    // The text of a plot ends with the same numbers.
    if plan.format != Format::Text || !apart || !is_histogram || found == 0 {
        document.push(table.table()?);
    }
    Ok(document)
}

/// A metric by the dimensions that were asked for.
struct Groups {
    tally: Tally,
    processes: ProcessTable,
}

impl Groups {
    fn of(source: &Source, metric: &str, by: &[String]) -> Result<Groups> {
        let columns: Vec<&str> = by.iter().map(|name| if name == PROCESS { "pid" } else { name.as_str() }).collect();
        let processes =
            if by.iter().any(|name| name == PROCESS) { ProcessTable::of(source)? } else { ProcessTable::default() };
        Ok(Groups { tally: Tally::of(source, &columns, |name| name == metric)?, processes })
    }

    /// Visits them; a process gets the command that it bears, whatever its threads are called.
    fn each(&self, metric: &str, by: &[String], mut visit: impl FnMut(&[Dim], &Histogram)) -> Result<()> {
        self.tally.groups(metric, |dims, histogram| {
            let named = by.iter().zip(dims).map(|(name, dim)| match dim.process() {
                Some(which) if name == PROCESS => {
                    Dim::Text(self.processes.call(which.pid, self.processes.name(Some(which))).into())
                }
                _ => dim.clone(),
            });
            visit(&named.collect::<Vec<Dim>>(), histogram);
        })
    }
}

/// The columns to split by, checked against those that the metric has.
fn dimensions(metric: &MetricMeta, asked: &[String]) -> Result<Vec<String>, Failure> {
    let by_process = metric.by.iter().any(|column| column == "pid");
    let mut names: Vec<&str> = metric.by.iter().map(String::as_str).collect();
    if by_process {
        names.insert(0, PROCESS);
    }
    for column in asked {
        if !names.contains(&column.as_str()) {
            let near = nearest(column, names.iter().copied());
            let unknown = Failure::usage(format!("'{}' can't be split by '{column}'", metric.name));
            return Err(unknown.hint(did_you_mean(&near, &names)));
        }
    }
    Ok(asked.to_vec())
}

/// What a metric is for one value of each dimension.
struct Group {
    dims: Vec<Dim>,
    values: Histogram,
    /// Values of all groups.
    of_all: u64,
}

fn columns(metric: &MetricMeta, by: &[String]) -> Columns<Group> {
    let unit = unit(&metric.unit);
    let ending = unit.ending();
    let mut columns = Columns::<Group>::new();
    for (at, name) in by.iter().enumerate() {
        columns = columns.column(name.clone(), name.clone(), move |group| group.dims.get(at).map(Dim::value));
    }
    columns = columns
        .column("count", "count", |group| count(&group.values))
        .column("share_pct", "of all values", |group| share(count(&group.values) as f64, group.of_all as f64))
        .help("Part of the count of all groups.")
        .column(format!("sum{ending}"), "sum", move |group| {
            Value::of(unit, group.values.totals().map(|totals| totals.sum as f64))
        })
        .help("Exact sum of the values.");
    if is_histogram(metric) {
        for (q, name) in distributions::PERCENTILES {
            columns = columns.column(format!("{name}{ending}"), name, move |group| percentile(&group.values, unit, q));
        }
        columns = columns.column(format!("max{ending}"), "max", move |group| {
            Value::of(unit, group.values.max().map(|max| max as f64))
        });
    }
    columns
}

/// An unknown metric is a mistake, unless it belongs to a probe that the recording knows to have not run.
fn absent(sources: &[Source], name: &str) -> Result<Document> {
    let probe = name.split('.').next().unwrap_or(name);
    let measured = |source: &Source| source.meta().metrics.iter().any(|metric| metric.probe == probe);
    let asked = |source: &Source| source.meta().probes.iter().any(|state| state.name == probe);
    if sources.iter().all(|source| asked(source) && !measured(source)) {
        let mut document = Document::new("hist", name);
        note_absent_probe(&mut document, sources, probe);
        let columns = Columns::<Group>::new().column("count", "count", |group| count(&group.values));
        document.push(Ranking::new(sources, "groups", "", columns).table()?);
        return Ok(document);
    }
    let mut names: Vec<&str> =
        sources.iter().flat_map(|source| source.meta().metrics.iter().map(|metric| metric.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let near = nearest(name, names.iter().copied());
    let hint = match near.is_empty() && names.is_empty() {
        true => format!("the recording holds no metrics; 'ebrec record -p {probe}' might record it"),
        false => did_you_mean(&near, &names),
    };
    Err(Failure::usage(format!("no metric '{name}' in the recording")).hint(hint).into())
}
