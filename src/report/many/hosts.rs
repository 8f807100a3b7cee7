//! Recordings by host: a row per host, percentiles over all hosts, and the hosts that differ.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::report::many::outliers;
use crate::report::table::ranking::Pile;
use crate::report::table::ranking::magnitude;
use crate::units::Unit;

/// The percentiles of tables, with their names.
const PERCENTILES: [(f64, &str); 5] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];
/// How many of them people see.
const SHOWN: usize = 4;
/// The percentile by which hosts are compared, and the values of a host below which it has none: it would be its largest value.
const COMPARED: f64 = 0.99;
const LEAST_VALUES: u64 = 100;
/// The figures of hosts that are compared, besides percentiles: name, heading, unit, help.
const FIGURES: [(&str, Unit); 6] = [
    ("cpu", Unit::Percent),
    ("runqueue", Unit::Percent),
    ("lost", Unit::Percent),
    ("starts", Unit::PerSecond),
    ("io", Unit::PerSecond),
    ("io_bytes", Unit::Bytes),
];

/// All hosts, one after the other.
pub(super) struct Hosts {
    for_programs: bool,
    /// Rows of hosts and outliers that people see.
    shown: usize,
    current: Option<Host>,
    names: Vec<String>,
    /// The figures of hosts by name and unit.
    figures: BTreeMap<String, (Unit, Vec<(u32, f64)>)>,
    /// The metrics in the order in which recordings name them.
    metrics: Vec<Metric>,
    hosts: Pile,
    distributions: Pile,
    events: u64,
    lost: u64,
}

/// The recordings of one host.
struct Host {
    name: String,
    recordings: u64,
    cpus: i64,
    window_ns: i64,
    capacity_ns: f64,
    sums: BTreeMap<&'static str, i64>,
    metrics: Vec<(String, Unit, Histogram)>,
}

/// A metric over all hosts.
struct Metric {
    name: String,
    unit: Unit,
    hosts: u64,
    all: Histogram,
    /// The host with the highest percentile of those with enough values, and that percentile.
    highest: Option<(f64, u32)>,
}

/// What is added up of a host's recordings: column, heading, help.
const SUMS: [(&str, &str, &str); 8] = [
    ("cpu_ns", "CPU time", ""),
    ("runqueue_ns", "waited", "Time that threads waited for a CPU, added up."),
    ("lost", "lost", "Events lost."),
    ("events", "events", "Events seen."),
    ("starts", "starts", "Processes started."),
    ("exits", "exits", "Processes ended."),
    ("io", "I/O", "Disk requests."),
    ("io_bytes", "I/O size", ""),
];

impl Hosts {
    /// Starts without any.
    ///
    /// Programs get a row for each host, in the order of the recordings; people get `shown`, those first whose CPUs were busiest.
    pub(super) fn new(for_programs: bool, shown: usize) -> Hosts {
        let hosts =
            Pile::new(Table::new("hosts", "Hosts", host_fields())).top(if for_programs { usize::MAX } else { shown });
        let distributions = Pile::new(Table::new("distributions", "", distribution_fields(for_programs)));
        let (names, metrics, figures) = (Vec::new(), Vec::new(), BTreeMap::new());
        Hosts { for_programs, shown, current: None, names, figures, metrics, hosts, distributions, events: 0, lost: 0 }
    }

    /// Adds a recording by what its document has: a row of the table `hosts`, and distributions. Those of one host come one after the other.
    pub(super) fn add(&mut self, host: &str, document: &Document) {
        if self.current.as_ref().is_none_or(|current| current.name != host) {
            self.finish();
        }
        let current = self.current.get_or_insert_with(|| Host::new(host));
        current.recordings += 1;
        for block in &document.blocks {
            match block {
                Block::Table(table) if table.name == "hosts" => {
                    table.rows.iter().for_each(|row| current.add(table, row))
                }
                // One without a name is of all values: others are parts of it.
                Block::Histogram(plot) if matches!(plot.series.as_slice(), [(name, _)] if name.is_empty()) => {
                    plot.series
                        .iter()
                        .for_each(|(_, histogram)| current.distribution(&plot.name, plot.unit, histogram));
                }
                _ => {}
            }
        }
    }

    /// The current host is complete.
    fn finish(&mut self) {
        let Some(host) = self.current.take() else { return };
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(host.name.clone());
        for (name, unit) in FIGURES {
            if let Some(value) = host.figure(name) {
                self.figure(name.to_owned(), unit, number, value);
            }
        }
        for (name, unit, histogram) in &host.metrics {
            let compared = histogram.percentile(COMPARED).filter(|_| histogram.count() >= LEAST_VALUES);
            if let Some(value) = compared.filter(|_| *unit == Unit::Nanoseconds) {
                self.figure(format!("{name}.p99"), *unit, number, value);
            }
            let known = self.metrics.iter().position(|metric| metric.name == *name);
            let at = known.unwrap_or_else(|| {
                let all = Histogram::new();
                self.metrics.push(Metric { name: name.clone(), unit: *unit, hosts: 0, all, highest: None });
                self.metrics.len() - 1
            });
            let Some(metric) = self.metrics.get_mut(at) else { continue };
            metric.hosts += 1;
            metric.all.merge(histogram);
            let highest = compared.map(|value| (value, number));
            if metric.highest.is_none_or(|(most, _)| highest.is_some_and(|(value, _)| value > most)) {
                metric.highest = highest.or(metric.highest);
            }
            if self.for_programs && self.distributions.takes(0) {
                let first = [Value::from(host.name.as_str()), Value::from(name.as_str())];
                let cells = first.into_iter().chain(distribution(histogram, *unit, true)).collect();
                self.distributions.add(0, cells);
            }
        }
        for (sum, name) in [(&mut self.events, "events"), (&mut self.lost, "lost")] {
            *sum = sum.saturating_add(host.sums.get(name).and_then(|own| u64::try_from(*own).ok()).unwrap_or(0));
        }
        let cells = host.cells();
        let weight = if self.for_programs { 0 } else { cells.get(CPU_PCT).map_or(0, magnitude) };
        if self.hosts.takes(weight) {
            self.hosts.add(weight, cells);
        }
    }

    fn figure(&mut self, name: String, unit: Unit, host: u32, value: f64) {
        self.figures.entry(name).or_insert_with(|| (unit, Vec::new())).1.push((host, value));
    }

    /// The tables: a row per host, the distributions of each, those of all hosts together, and the outliers.
    ///
    /// # Errors
    /// Rows had to go to a temporary file, and it can't be written.
    pub(super) fn tables(mut self) -> Result<Tables> {
        self.finish();
        let outliers = self.outliers().table()?;
        let mut fleet = Pile::new(Table::new("fleet", "All hosts together", fleet_fields(self.for_programs)));
        for metric in &self.metrics {
            fleet.takes(0);
            fleet.add(0, metric.cells(&self.names, self.for_programs));
        }
        Ok(Tables {
            hosts: self.hosts.table()?,
            distributions: self.distributions.table()?,
            fleet: fleet.table()?,
            outliers,
            number: self.names.len(),
            events: self.events,
            lost: self.lost,
        })
    }

    fn outliers(&self) -> Pile {
        let most = if self.for_programs { usize::MAX } else { self.shown };
        let mut pile =
            Pile::new(Table::new("outliers", "Hosts that differ", outlier_fields(self.for_programs))).top(most);
        for (name, (unit, figures)) in &self.figures {
            for outlier in outliers::outliers(figures) {
                let host = usize::try_from(outlier.host).ok().and_then(|host| self.names.get(host));
                let weight = (outlier.score.abs() * 1000.0) as i64;
                if !pile.takes(weight) {
                    continue;
                }
                let ratio = (outlier.median > 0.0).then(|| outlier.value / outlier.median);
                let mut cells = vec![
                    Value::from(host.cloned()),
                    Value::from(name.as_str()),
                    Value::of(*unit, Some(outlier.value)),
                    Value::of(*unit, Some(outlier.median)),
                    Value::from(ratio),
                    Value::Float(outlier.score),
                    Value::Int(outlier.hosts as i64),
                ];
                if self.for_programs {
                    cells.push(Value::from(unit.name()));
                }
                pile.add(weight, cells);
            }
        }
        pile
    }
}

/// What hosts come to.
pub(super) struct Tables {
    pub(super) hosts: Table,
    pub(super) distributions: Table,
    pub(super) fleet: Table,
    pub(super) outliers: Table,
    /// How many hosts there are.
    pub(super) number: usize,
    /// Events that were seen on all of them, and that were lost.
    pub(super) events: u64,
    pub(super) lost: u64,
}

impl Host {
    fn new(name: &str) -> Host {
        let (sums, metrics) = (BTreeMap::new(), Vec::new());
        Host { name: name.to_owned(), recordings: 0, cpus: 0, window_ns: 0, capacity_ns: 0.0, sums, metrics }
    }

    /// Adds a row of the table `hosts`.
    fn add(&mut self, table: &Table, row: &[Value]) {
        let number = |name: &str| {
            let place = table.fields.iter().position(|field| field.name == name)?;
            match row.get(place)? {
                Value::Int(n) | Value::Nanos(n) | Value::Bytes(n) => Some(*n),
                _ => None,
            }
        };
        let (cpus, window_ns) = (number("cpus").unwrap_or(0), number("window_ns").unwrap_or(0));
        self.cpus = self.cpus.max(cpus);
        self.window_ns = self.window_ns.saturating_add(window_ns);
        self.capacity_ns += window_ns as f64 * cpus as f64;
        for (name, ..) in SUMS {
            if let Some(value) = number(name) {
                let sum = self.sums.entry(name).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }

    fn distribution(&mut self, name: &str, unit: Unit, histogram: &Histogram) {
        match self.metrics.iter_mut().find(|(own, ..)| own == name) {
            Some((_, _, all)) => all.merge(histogram),
            None => self.metrics.push((name.to_owned(), unit, histogram.clone())),
        }
    }

    fn sum(&self, name: &str) -> Option<f64> {
        self.sums.get(name).map(|sum| *sum as f64)
    }

    /// A figure that does not grow with the length of the window.
    fn figure(&self, name: &str) -> Option<f64> {
        let of = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let per_second = |name: &str| of(self.sum(name)?, self.window_ns as f64 / 1e9);
        match name {
            "cpu" => of(100.0 * self.sum("cpu_ns")?, self.capacity_ns),
            "runqueue" => of(100.0 * self.sum("runqueue_ns")?, self.window_ns as f64),
            "lost" => of(100.0 * self.sum("lost")?, self.sum("lost")? + self.sum("events")?),
            other => per_second(other),
        }
    }

    /// Its row, in the order of [`host_fields`].
    fn cells(&self) -> Vec<Value> {
        let sum = |name: &str| self.sums.get(name).copied();
        let share = |name: &str| self.figure(name).map_or(Value::Null, Value::Percent);
        let mut cells = vec![
            Value::from(self.name.as_str()),
            Value::Int(i64::try_from(self.recordings).unwrap_or(i64::MAX)),
            Value::Int(self.cpus),
            Value::Nanos(self.window_ns),
            share("cpu"),
            share("runqueue"),
        ];
        for (name, ..) in SUMS {
            cells.push(match name {
                "cpu_ns" | "runqueue_ns" => Value::nanos(sum(name)),
                "io_bytes" => sum(name).map_or(Value::Null, Value::Bytes),
                _ => Value::from(sum(name)),
            });
        }
        cells
    }
}

/// The place of the share of CPUs in a row of [`host_fields`].
const CPU_PCT: usize = 4;

fn host_fields() -> Vec<Field> {
    let first = [
        Field::new("host", "host").help("The host."),
        Field::new("recordings", "recordings").help("Recordings of the host."),
        Field::new("cpus", "CPUs"),
        Field::new("window_ns", "window").help("Total length of its windows, or of the parts that --from and --to select."),
        Field::new("cpu_pct", "CPU").help("CPU time in use as a share of all CPUs."),
        Field::new("runqueue_pct", "waiting").help(
            "Time that threads waited for a CPU as a share of the window; above 100, more than one thread waited on average.",
        ),
    ];
    first.into_iter().chain(SUMS.iter().map(|(name, title, help)| Field::new(*name, *title).help(*help))).collect()
}

/// The columns of [`distribution`].
fn figures_of_distribution(for_programs: bool) -> Vec<Field> {
    let shown = PERCENTILES.iter().take(if for_programs { PERCENTILES.len() } else { SHOWN });
    let percentiles = shown.map(|(_, name)| Field::new(*name, *name).each_its_unit());
    let first = [Field::new("count", "count").help("Values.")];
    first
        .into_iter()
        .chain(percentiles)
        .chain([Field::new("max", "max").each_its_unit()])
        .chain(unit_field(for_programs))
        .collect()
}

fn unit_field(for_programs: bool) -> Option<Field> {
    for_programs.then(|| Field::new("unit", "unit").help("Unit of the raw numbers."))
}

fn distribution_fields(for_programs: bool) -> Vec<Field> {
    let first = [Field::new("host", "host").help("The host."), Field::new("metric", "metric")];
    first.into_iter().chain(figures_of_distribution(for_programs)).collect()
}

fn distribution(histogram: &Histogram, unit: Unit, for_programs: bool) -> Vec<Value> {
    let shown = PERCENTILES.iter().take(if for_programs { PERCENTILES.len() } else { SHOWN });
    let mut cells = vec![Value::from(histogram.count())];
    cells.extend(shown.map(|(q, _)| Value::of(unit, histogram.percentile(*q))));
    cells.push(Value::of(unit, histogram.max().map(|max| max as f64)));
    if for_programs {
        cells.push(Value::from(unit.name()));
    }
    cells
}

fn fleet_fields(for_programs: bool) -> Vec<Field> {
    let first = [Field::new("metric", "metric"), Field::new("hosts", "hosts").help("Hosts that have values.")];
    let last = [
        Field::new("highest_p99", "highest p99")
            .each_its_unit()
            .help("The highest p99 of a host with 100 values or more."),
        Field::new("highest_host", "of host").help("The host that has it."),
    ];
    first.into_iter().chain(figures_of_distribution(for_programs)).chain(last).collect()
}

impl Metric {
    fn cells(&self, names: &[String], for_programs: bool) -> Vec<Value> {
        let host = |number: u32| usize::try_from(number).ok().and_then(|number| names.get(number)).cloned();
        let mut cells = vec![Value::from(self.name.as_str()), Value::from(self.hosts)];
        cells.extend(distribution(&self.all, self.unit, for_programs));
        cells.push(Value::of(self.unit, self.highest.map(|(value, _)| value)));
        cells.push(Value::from(self.highest.and_then(|(_, number)| host(number))));
        cells
    }
}

fn outlier_fields(for_programs: bool) -> Vec<Field> {
    let fields = [
        Field::new("host", "host").help("The host that differs."),
        Field::new("figure", "figure").help(
            "The figure that differs: cpu (share of all CPUs in use), runqueue (time waited for a CPU as a share of the window), lost (share \
             of events lost), starts, io and io_bytes (per second), or the p99 of a metric of times with 100 values or more.",
        ),
        Field::new("value", "value").each_its_unit().help("The host's figure."),
        Field::new("median", "median").each_its_unit().help("The median of all hosts that have the figure."),
        Field::new("ratio", "times the median"),
        Field::new("score", "score").help(
            "Modified z-score (Iglewicz and Hoaglin): 0.6745 times the distance from the median, divided by the median absolute deviation. \
             Among 8 hosts or more, a host is an outlier if this is at least 3.5 and the figure is at least 1.5 times the median, or the \
             median 1.5 times the figure.",
        ),
        Field::new("hosts", "of hosts").help("Hosts that have the figure."),
    ];
    fields.into_iter().chain(unit_field(for_programs)).collect()
}
