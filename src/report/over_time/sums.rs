//! Sums of metrics over time: by command, by process, and by their other dimensions.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::MetricMeta;
use crate::render::Divisor;
use crate::render::Figure;
use crate::render::Key;
use crate::render::SpanRow;
use crate::render::SpanTable;
use crate::render::Sparse;
use crate::report::over_time::intervals::Intervals;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Dims;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Which;
use crate::report::table::cells::unit;
use crate::units::Unit;

/// Rows of each table.
const COMMANDS: usize = 100;
const PROCESSES: usize = 150;
const GROUPS: usize = 250;

/// Columns that say whose a value is, which the tables of commands and processes show.
const OWNERS: [&str; 4] = ["pid", "ppid", "tid", "comm"];

/// About what a row takes in memory while the rows are ranked.
const ROW_BYTES: usize = 160;

/// Commands, processes and groups.
pub(super) fn tables(source: &Source, processes: &ProcessTable, intervals: &Intervals) -> Result<Vec<SpanTable>> {
    let by_process = metrics_by_process(source);
    let tally = Tally::totals_of(source, &["pid", "comm"], |name| by_process.iter().any(|own| own.name == name))?;
    let command = |dims: &[Dim]| Some(Rc::from(command(processes, dims)));
    let process = |dims: &[Dim]| dims.first().and_then(Dim::process);
    let (commands, more_commands) = ranked(source, &tally, &by_process, COMMANDS, command)?;
    let (ranked_processes, more_processes) = ranked(source, &tally, &by_process, PROCESSES, process)?;
    let by_group: Vec<&MetricMeta> = source.meta().metrics.iter().collect();
    let columns = columns(&by_group);
    let by: Vec<&str> = columns.iter().map(String::as_str).collect();
    let tally = Tally::totals_of(source, &by, |_| true)?;
    let (groups, more_groups) = heaviest_groups(source, &tally, &by_group)?;

    let mut of_commands = Sums::new(&commands, by_process.len());
    let mut of_processes = Sums::new(&ranked_processes, by_process.len());
    let mut of_groups = Sums::new(&groups, 2);
    let places: HashMap<&str, usize> = by_process.iter().enumerate().map(|(at, own)| (own.name.as_str(), at)).collect();
    let mut rows = source.rows("metric");
    let (metric, counts, sums) = (rows.text("metric"), rows.int("count"), rows.int("sum"));
    let owner = Dims::of(&["pid", "comm"], &mut rows);
    let group = Dims::of(&columns, &mut rows);
    rows.each(|row| {
        let (Some(name), Some(interval)) = (row.text(metric), intervals.at(row)) else { return };
        let (count, sum) = (row.natural(counts), row.natural(sums));
        if let Some((place, meta)) = places.get(name).and_then(|at| Some((*at, by_process.get(*at)?))) {
            let value = if unit(&meta.unit) == Unit::Count { count } else { sum };
            let dims = owner.read(row);
            of_commands.add(command(&dims).as_ref(), place, interval, value);
            of_processes.add(process(&dims).as_ref(), place, interval, value);
        }
        let key: Group = (Rc::from(name), group.read(row));
        of_groups.add(Some(&key), 0, interval, count);
        of_groups.add(Some(&key), 1, interval, sum);
    })?;

    let name = |which: &Which| processes.name(Some(*which)).unwrap_or("?").to_owned();
    let commands = of_commands.table(more_commands, |command: &Rc<str>| (vec![command.to_string()], None));
    let of_processes = of_processes.table(more_processes, |which| (vec![name(which), which.pid.to_string()], None));
    let units: HashMap<&str, Unit> = by_group.iter().map(|own| (own.name.as_str(), unit(&own.unit))).collect();
    let groups = of_groups.table(more_groups, |(metric, dims): &Group| {
        let words: Vec<String> = dims.iter().filter(|dim| **dim != Dim::None).map(Dim::word).collect();
        (vec![metric.to_string(), words.join(" ")], units.get(&**metric).copied())
    });
    let key = |title, numeric| Key { title, numeric };
    Ok(vec![
        SpanTable {
            name: "commands",
            title: "Commands",
            note: "All processes of the same name together.",
            keys: vec![key("command", false)],
            figures: figures(&by_process),
            ..commands
        },
        SpanTable {
            name: "processes",
            title: "Processes",
            note: "",
            keys: vec![key("command", false), key("pid", true)],
            figures: figures(&by_process),
            ..of_processes
        },
        SpanTable {
            name: "groups",
            title: "Metrics",
            note: "Every metric by its dimensions: device and operation, system call, peer, file.",
            keys: vec![key("metric", false), key("by", false)],
            figures: group_figures(),
            ..groups
        },
    ])
}

/// The name of the process that figures are broken down by, whatever its threads are called.
fn command<'a>(processes: &'a ProcessTable, dims: &'a [Dim]) -> &'a str {
    processes.name(dims.first().and_then(Dim::process)).or_else(|| dims.get(1).and_then(Dim::text)).unwrap_or("?")
}

/// Metrics that name a process; what a process did with the CPU comes first.
fn metrics_by_process(source: &Source) -> Vec<MetricMeta> {
    let by_process = |metric: &&MetricMeta| metric.by.iter().any(|column| column == "pid");
    let mut metrics: Vec<MetricMeta> = source.meta().metrics.iter().filter(by_process).cloned().collect();
    // The sort keeps the order of the rest.
    metrics.sort_by_key(|metric| (metric.name != metrics::ON_CPU, metric.name != metrics::RUN_QUEUE));
    metrics
}

/// The dimensions of metrics, without those that say whose a value is.
fn columns(metrics: &[&MetricMeta]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for column in metrics.iter().flat_map(|metric| &metric.by) {
        if !OWNERS.contains(&column.as_str()) && !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    columns
}

/// Keys by their largest share of any metric, the heaviest first, and how many were left out.
fn ranked<K: Ord + Clone>(
    source: &Source,
    tally: &Tally,
    metrics: &[MetricMeta],
    most: usize,
    key: impl Fn(&[Dim]) -> Option<K>,
) -> Result<(Vec<K>, u64)> {
    let mut rows: BTreeMap<K, Vec<u64>> = BTreeMap::new();
    let mut totals = vec![0u64; metrics.len()];
    let mut limit = Limit::new();
    tally.each(|dims, by| {
        let Some(key) = key(dims) else { return };
        if !rows.contains_key(&key) && !limit.take(ROW_BYTES + 8 * metrics.len()) {
            return;
        }
        let row = rows.entry(key).or_insert_with(|| vec![0; metrics.len()]);
        for ((metric, own), total) in metrics.iter().zip(row).zip(&mut totals) {
            let Some(histogram) = by.get(&metric.name) else { continue };
            let value = if unit(&metric.unit) == Unit::Count { count(histogram) } else { sum(histogram) };
            *own = own.saturating_add(value);
            *total = total.saturating_add(value);
        }
    })?;
    limit.check(source, "processes")?;
    let share = |row: &[u64]| {
        let shares = row.iter().zip(&totals).map(|(own, total)| *own as f64 / (*total).max(1) as f64);
        shares.fold(0.0, f64::max)
    };
    let weighed = rows.into_iter().map(|(key, row)| (share(&row), key)).filter(|(share, _)| *share > 0.0);
    Ok(heaviest(weighed.collect(), most))
}

/// The heaviest keys, and how many were left out.
fn heaviest<K>(mut weighed: Vec<(f64, K)>, most: usize) -> (Vec<K>, u64) {
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let omitted = weighed.len().saturating_sub(most) as u64;
    (weighed.into_iter().take(most).map(|(_, key)| key).collect(), omitted)
}

/// A metric with its dimensions.
type Group = (Rc<str>, Vec<Dim>);

/// The groups with the largest shares of their metrics, so that each metric has its first.
fn heaviest_groups(source: &Source, tally: &Tally, metrics: &[&MetricMeta]) -> Result<(Vec<Group>, u64)> {
    let mut groups: Vec<(u64, Group)> = Vec::new();
    let mut totals: HashMap<Rc<str>, u64> = HashMap::new();
    let mut limit = Limit::new();
    tally.each(|dims, by| {
        for (metric, histogram) in by.iter() {
            let Some(meta) = metrics.iter().find(|own| own.name == metric) else { continue };
            let weight = if unit(&meta.unit) == Unit::Count { count(histogram) } else { sum(histogram) };
            if limit.take(ROW_BYTES + size_of_val(dims)) {
                let metric = limit.name(metric);
                let total = totals.entry(Rc::clone(&metric)).or_default();
                *total = total.saturating_add(weight);
                groups.push((weight, (metric, dims.to_vec())));
            }
        }
    })?;
    limit.check(source, "groups of metrics")?;
    let share = |(weight, group): (u64, Group)| {
        let total = totals.get(&group.0).copied().unwrap_or(0);
        (weight as f64 / total.max(1) as f64, group)
    };
    Ok(heaviest(groups.into_iter().map(share).collect(), GROUPS))
}

/// Values of the rows of a table while they are added up.
struct Sums<K> {
    keys: Vec<K>,
    places: BTreeMap<K, usize>,
    /// One more than there are keys: all others.
    values: Vec<Vec<Sparse>>,
}

impl<K: Ord + Clone> Sums<K> {
    fn new(keys: &[K], values: usize) -> Sums<K> {
        Sums {
            keys: keys.to_vec(),
            places: keys.iter().cloned().enumerate().map(|(at, key)| (key, at)).collect(),
            values: vec![vec![Sparse::default(); values]; keys.len() + 1],
        }
    }

    fn add(&mut self, key: Option<&K>, value: usize, interval: usize, amount: u64) {
        let place = key.and_then(|key| self.places.get(key).copied()).unwrap_or(self.keys.len());
        if let Some(sum) = self.values.get_mut(place).and_then(|values| values.get_mut(value)) {
            sum.add(interval, amount);
        }
    }

    /// The rows; `tell` says what they are called, and what their figures measure.
    fn table(mut self, omitted: u64, tell: impl Fn(&K) -> (Vec<String>, Option<Unit>)) -> SpanTable {
        let rest = self.values.pop().unwrap_or_default();
        let row = |(key, values)| {
            let (keys, unit) = tell(key);
            SpanRow { keys, unit, values }
        };
        let rows = self.keys.iter().zip(self.values).map(row).collect();
        SpanTable { rows, rest, omitted, ..SpanTable::default() }
    }
}

/// One for each metric: its total, and for pure counts how often.
fn figures(metrics: &[MetricMeta]) -> Vec<Figure> {
    let figure = |(of, metric): (usize, &MetricMeta)| Figure {
        title: title(&metric.name),
        help: metric.help.clone(),
        unit: Some(unit(&metric.unit)),
        of,
        by: None,
    };
    let mut figures: Vec<Figure> = metrics.iter().enumerate().map(figure).collect();
    if metrics.first().is_some_and(|first| first.name == metrics::ON_CPU) {
        let help = "CPU time as a share of one CPU.".to_owned();
        figures.insert(
            1,
            Figure { title: "of a CPU".to_owned(), help, unit: Some(Unit::Percent), of: 0, by: Some(Divisor::Time) },
        );
    }
    figures
}

/// `sched on CPU`.
fn title(metric: &str) -> String {
    match metric {
        metrics::ON_CPU => "CPU time".to_owned(),
        metrics::RUN_QUEUE => "waited for a CPU".to_owned(),
        other => other.replace(['.', '_'], " "),
    }
}

fn group_figures() -> Vec<Figure> {
    let figure =
        |title: &str, help: &str, unit, of, by| Figure { title: title.to_owned(), help: help.to_owned(), unit, of, by };
    vec![
        figure("count", "How many values.", Some(Unit::Count), 0, None),
        figure("per second", "Values a second.", Some(Unit::PerSecond), 0, Some(Divisor::Time)),
        figure("sum", "Sum of the values, in the metric's unit.", None, 1, None),
        figure("mean", "Mean of the values, in the metric's unit.", None, 1, Some(Divisor::Value(0))),
    ]
}
