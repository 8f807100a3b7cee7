//! View `hist`: the distribution of a metric, whole or split by any of its columns; without a metric, all of them side by side.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::distributions;
use crate::report::paper::Ranking;
use crate::report::paper::note_absent_probe;
use crate::report::paper::percentile;
use crate::report::paper::share;
use crate::report::paper::unit;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::report::tally::Dim;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::is_histogram;
use crate::report::tally::sum;
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

/// One distribution, of one recording and one set of dimensions.
struct Group<'a> {
    source: &'a Source,
    dims: Vec<Dim>,
    histogram: Histogram,
    /// Count of all groups of the recording.
    all: u64,
}

fn one(sources: &[Source], plan: &ReportPlan, name: &str) -> Result<Document> {
    let metric = sources.iter().find_map(|source| source.meta().metrics.iter().find(|metric| metric.name == name));
    let Some(metric) = metric else {
        return absent(sources, name);
    };
    let by = dimensions(metric, &plan.by)?;
    let mut found = Vec::new();
    for source in sources {
        let groups = groups(source, name, &by)?;
        let all = groups.values().map(count).fold(0u64, u64::saturating_add);
        found.extend(groups.into_iter().map(|(dims, histogram)| Group { source, dims, histogram, all }));
    }
    found.sort_by_key(|group| Reverse((count(&group.histogram), sum(&group.histogram))));
    let mut document = Document::new("hist", name);
    if !metric.help.is_empty() {
        document.note(metric.help.as_str());
    }
    if plan.filter.by_process() && !metric.by.iter().any(|column| column == "pid" || column == "comm") {
        document.warning(format!("'{name}' does not tell processes apart, so the filter leaves nothing of it"));
    }
    if found.is_empty() {
        note_absent_probe(&mut document, sources, &metric.probe);
    }
    let apart = found.len() <= APART;
    if is_histogram(metric) && !found.is_empty() {
        document.push(plot(metric, sources, plan, &found));
    }
    // The text of a plot ends with the same numbers.
    if plan.format != Format::Text || !apart || !is_histogram(metric) || found.is_empty() {
        let mut table = Ranking::new(sources, "groups", "", fields(is_histogram(metric), &by));
        for group in &found {
            table.row(group.source, cells(metric, group));
        }
        document.push(table.top(plan.rows_shown(20)));
    }
    Ok(document)
}

/// The groups that can be told apart; in text, many of them are drawn as one.
fn plot(metric: &MetricMeta, sources: &[Source], plan: &ReportPlan, found: &[Group<'_>]) -> HistogramPlot {
    let mut series: Vec<(String, Histogram)> = Vec::new();
    if plan.format == Format::Text && found.len() > APART {
        let mut all = Histogram::new();
        found.iter().for_each(|group| all.merge(&group.histogram));
        series.push((String::new(), all));
    } else {
        let shown = if plan.format == Format::Json { usize::MAX } else { APART };
        for group in found.iter().take(plan.rows_shown(shown)) {
            let host = (sources.len() > 1).then(|| group.source.label().to_owned());
            let words: Vec<String> = host.into_iter().chain(group.dims.iter().map(Dim::word)).collect();
            series.push((words.join(" "), group.histogram.clone()));
        }
    }
    HistogramPlot { name: metric.name.clone(), title: metric.name.clone(), unit: unit(&metric.unit), series }
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

/// The metric by the dimensions; a process gets the command that it bears, whatever its threads are called.
fn groups(source: &Source, metric: &str, by: &[String]) -> Result<BTreeMap<Vec<Dim>, Histogram>> {
    let columns: Vec<&str> = by.iter().map(|name| if name == PROCESS { "pid" } else { name.as_str() }).collect();
    let tally = Tally::of(source, &columns, |name| name == metric)?;
    let people = if by.iter().any(|name| name == PROCESS) { People::of(source)? } else { People::default() };
    let mut groups: BTreeMap<Vec<Dim>, Histogram> = BTreeMap::new();
    for (dims, histogram) in tally.groups(metric) {
        let named = by.iter().zip(dims).map(|(name, dim)| match dim.int() {
            Some(pid) if name == PROCESS => Dim::Text(people.call(pid, None).into()),
            _ => dim.clone(),
        });
        groups.entry(named.collect()).or_default().merge(histogram);
    }
    Ok(groups)
}

fn fields(is_histogram: bool, by: &[String]) -> Vec<Field> {
    let mut fields: Vec<Field> = by.iter().map(|name| Field::new(name.clone(), name.clone())).collect();
    fields.push(Field::new("count", "count"));
    fields.push(Field::new("share", "share").help("Part of the count of all groups."));
    fields.push(Field::new("sum", "sum").help("Exact sum of the values."));
    if is_histogram {
        fields.extend(distributions::PERCENTILES.iter().map(|(_, name)| Field::new(*name, *name)));
        fields.push(Field::new("max", "max"));
    }
    fields
}

fn cells(metric: &MetricMeta, Group { dims, histogram, all, .. }: &Group<'_>) -> Vec<Value> {
    let unit = unit(&metric.unit);
    let mut cells: Vec<Value> = dims.iter().map(Dim::value).collect();
    cells.push(Value::Int(whole(count(histogram))));
    cells.push(share(count(histogram) as f64, *all as f64));
    cells.push(Value::of(unit, histogram.totals().map(|totals| totals.sum as f64)));
    if is_histogram(metric) {
        cells.extend(distributions::PERCENTILES.iter().map(|(q, _)| percentile(histogram, unit, *q)));
        cells.push(Value::of(unit, histogram.max().map(|max| max as f64)));
    }
    cells
}

/// An unknown metric is a mistake, unless it belongs to a probe that the recording knows to have not run.
fn absent(sources: &[Source], name: &str) -> Result<Document> {
    let probe = name.split('.').next().unwrap_or(name);
    let measured = |source: &Source| source.meta().metrics.iter().any(|metric| metric.probe == probe);
    let asked = |source: &Source| source.meta().probes.iter().any(|state| state.name == probe);
    if sources.iter().all(|source| asked(source) && !measured(source)) {
        let mut document = Document::new("hist", name);
        note_absent_probe(&mut document, sources, probe);
        document.push(Ranking::new(sources, "groups", "", vec![Field::new("count", "count")]).all());
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
