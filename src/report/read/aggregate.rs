//! What the aggregate rows add up to, for any metric by any of its columns.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::hist::Histogram;
use crate::recording::CORE;
use crate::recording::ColumnType;
use crate::recording::MetricMeta;
use crate::render::Value;
use crate::report::read::folding::Folding;
use crate::report::read::input::Source;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::rows::Which;
use crate::spill::Runs;

/// The value of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Dim {
    /// The rows do not say.
    #[default]
    None,
    /// A number that names something.
    Int(i64),
    /// A name.
    Text(Rc<str>),
    /// A process, told from others that had its id.
    Process(Which),
}

impl Dim {
    /// The value as a cell.
    pub(crate) fn value(&self) -> Value {
        match self {
            Dim::None => Value::Null,
            Dim::Int(id) | Dim::Process(Which { pid: id, .. }) => Value::Id(*id),
            Dim::Text(text) => Value::Text(text.to_string()),
        }
    }

    /// The value as a word in a name.
    pub(crate) fn word(&self) -> String {
        match self {
            Dim::None => "?".to_owned(),
            Dim::Int(id) | Dim::Process(Which { pid: id, .. }) => id.to_string(),
            Dim::Text(text) => text.to_string(),
        }
    }

    /// The number, where it is one.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Dim::Int(id) | Dim::Process(Which { pid: id, .. }) => Some(*id),
            _ => None,
        }
    }

    /// The process, where it is one.
    pub(crate) fn process(&self) -> Option<Which> {
        match self {
            Dim::Process(which) => Some(*which),
            _ => None,
        }
    }

    /// The name, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Dim::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A kind of rows that metrics are in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AggregateKind {
    /// One bucket of a histogram.
    Buckets,
    /// Count, sum, minimum and maximum.
    Totals,
}

/// The columns of numbers of such a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers {
    /// The least value of the bucket, the first beyond it, and how many there are.
    Bucket { lo: IntColumn, hi: IntColumn, count: IntColumn },
    /// What all values come to.
    Totals { count: IntColumn, sum: IntColumn, min: IntColumn, max: IntColumn },
}

impl AggregateKind {
    /// The value of the column `kind`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            AggregateKind::Buckets => "hist",
            AggregateKind::Totals => "metric",
        }
    }

    /// Reads its columns of numbers.
    pub(crate) fn numbers(self, rows: &mut Rows<'_>) -> Numbers {
        match self {
            AggregateKind::Buckets => {
                Numbers::Bucket { lo: rows.int("bucket_lo"), hi: rows.int("bucket_hi"), count: rows.int("count") }
            }
            AggregateKind::Totals => Numbers::Totals {
                count: rows.int("count"),
                sum: rows.int("sum"),
                min: rows.int("min"),
                max: rows.int("max"),
            },
        }
    }
}

impl Numbers {
    /// Adds what a row says to a histogram.
    pub(crate) fn add(self, row: &Row<'_>, to: &mut Histogram) {
        match self {
            Numbers::Bucket { lo, hi, count } => to.add_bucket(row.natural(lo), row.natural(hi), row.natural(count)),
            Numbers::Totals { count, sum, min, max } => {
                to.add_totals(row.natural(count), row.natural(sum), row.natural(min), row.natural(max));
            }
        }
    }
}

/// Both kinds.
const EVERY_KIND: [AggregateKind; 2] = [AggregateKind::Buckets, AggregateKind::Totals];

/// Which processes count, and which of them as one.
#[derive(Clone, Copy)]
struct Scope {
    /// Only those that the filters let through.
    filtered: bool,
    /// Those that share a row of tables are one.
    folded: bool,
}

/// All metrics of a recording, each by the same dimensions.
///
/// What does not fit into memory is in temporary files, in the order of the dimensions, so that the groups are visited
/// in that order and never looked up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    groups: Vec<Group>,
    runs: Runs<Group>,
    metrics: BTreeSet<Rc<str>>,
}

/// What one metric is for one value of each dimension.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    dims: Vec<Dim>,
    metric: Rc<str>,
    histogram: Histogram,
}

impl Group {
    fn key(&self) -> (&[Dim], &str) {
        (&self.dims, &self.metric)
    }
}

impl Ord for Group {
    fn cmp(&self, other: &Group) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Group {
    fn partial_cmp(&self, other: &Group) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Group) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Group {}

/// The metrics that have one value of each dimension.
pub(crate) struct ByMetric<'a>(&'a [Group]);

impl ByMetric<'_> {
    /// What one of them is.
    pub(crate) fn get(&self, metric: &str) -> Option<&Histogram> {
        self.0.iter().find(|group| *group.metric == *metric).map(|group| &group.histogram)
    }

    /// The same, empty where there is none.
    pub(crate) fn of(&self, metric: &str) -> Histogram {
        self.get(metric).cloned().unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Histogram)> {
        self.0.iter().map(|group| (&*group.metric, &group.histogram))
    }
}

impl Tally {
    /// Adds up the `hist` and `metric` rows of a recording that pass its filters, for the metrics that `wanted` names.
    ///
    /// A dimension that a metric does not have is [`Dim::None`] in its groups. The dimension `pid` is the process: two that had
    /// one id after each other are two groups. Where processes share rows ([`Source::fold`]), it is the command's name.
    pub(crate) fn of(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool + Sync) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &EVERY_KIND, Scope { filtered: true, folded: true })
    }

    /// The same with each process apart, also where processes share rows: for tables that count processes.
    pub(crate) fn of_each_process(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool + Sync) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &EVERY_KIND, Scope { filtered: true, folded: false })
    }

    /// The same whatever the filters by process: who was in the way need not be who is looked at.
    pub(crate) fn of_all_processes(
        source: &Source,
        by: &[&str],
        wanted: impl Fn(&str) -> bool + Sync,
    ) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &EVERY_KIND, Scope { filtered: false, folded: true })
    }

    /// The same without buckets: counts and sums, no percentiles, for much fewer rows.
    pub(crate) fn totals_of(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool + Sync) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &[AggregateKind::Totals], Scope { filtered: true, folded: true })
    }

    fn of_kinds(
        source: &Source,
        by: &[&str],
        wanted: impl Fn(&str) -> bool + Sync,
        kinds: &[AggregateKind],
        scope: Scope,
    ) -> Result<Tally> {
        let mut adder = Adder::default();
        let folded = scope.folded.then(|| Folded::of(source, by)).flatten();
        for kind in kinds {
            let rows =
                if scope.filtered { source.rows(kind.name()) } else { source.rows_of_all_processes(kind.name()) };
            let mut rows = rows.left_out("metric", |metric| !wanted(metric));
            let metric = rows.text("metric");
            let numbers = kind.numbers(&mut rows);
            let places: Vec<Place> = by.iter().map(|column| Place::of(column, &mut rows)).collect();
            rows.each(|row| {
                let Some(metric) = row.text(metric) else { return };
                let histogram = adder.group(metric, &places, row, &folded);
                let before = histogram.filled();
                numbers.add(row, histogram);
                let more = histogram.filled() - before;
                adder.take(more * BUCKET_BYTES);
            })?;
        }
        adder.finish()
    }

    /// Visits the groups in the order of their dimensions.
    ///
    /// # Errors
    /// A temporary file can't be read.
    pub(crate) fn each(&self, mut visit: impl FnMut(&[Dim], &ByMetric<'_>)) -> Result<()> {
        let mut visit = |groups: &[Group]| {
            if let Some(first) = groups.first() {
                visit(&first.dims, &ByMetric(groups));
            }
        };
        self.groups.chunk_by(|a, b| a.dims == b.dims).for_each(&mut visit);
        if self.runs.is_empty() {
            return Ok(());
        }
        let mut same: Vec<Group> = Vec::new();
        for group in self.runs.merged(Vec::new()).context(UNREADABLE)? {
            let group = group.context(UNREADABLE)?;
            match same.last_mut() {
                Some(last) if *last == group => last.histogram.merge(&group.histogram),
                Some(last) if last.dims == group.dims => same.push(group),
                _ => {
                    visit(&same);
                    same.clear();
                    same.push(group);
                }
            }
        }
        visit(&same);
        Ok(())
    }

    /// Visits the groups of one metric; none when no row has it.
    pub(crate) fn groups(&self, metric: &str, mut visit: impl FnMut(&[Dim], &Histogram)) -> Result<()> {
        self.each(|dims, by| {
            if let Some(histogram) = by.get(metric) {
                visit(dims, histogram);
            }
        })
    }

    /// Adds up the groups that agree in their first dimensions, as many as `prefix` says, and hands over each sum.
    pub(crate) fn sums<T: Default>(
        &self,
        prefix: usize,
        mut add: impl FnMut(&mut T, &[Dim], &ByMetric<'_>),
        mut done: impl FnMut(&[Dim], T),
    ) -> Result<()> {
        let mut current: Option<(Vec<Dim>, T)> = None;
        self.each(|dims, by| {
            let (own, rest) = dims.split_at_checked(prefix).unwrap_or((dims, &[]));
            match &mut current {
                Some((key, sum)) if key == own => add(sum, rest, by),
                _ => {
                    if let Some((key, sum)) = current.take() {
                        done(&key, sum);
                    }
                    let mut sum = T::default();
                    add(&mut sum, rest, by);
                    current = Some((own.to_vec(), sum));
                }
            }
        })?;
        if let Some((key, sum)) = current {
            done(&key, sum);
        }
        Ok(())
    }

    /// One metric with all its groups together.
    pub(crate) fn total(&self, metric: &str) -> Result<Histogram> {
        let mut total = Histogram::new();
        self.groups(metric, |_, histogram| total.merge(histogram))?;
        Ok(total)
    }

    /// Whether any row has the metric.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.metrics.contains(metric)
    }
}

const UNREADABLE: &str = "can't read groups of metrics back from a temporary file";

/// The number of occurrences, whether the metric is a counter or a histogram.
pub(crate) fn count(histogram: &Histogram) -> u64 {
    histogram.totals().map_or_else(|| histogram.count(), |totals| totals.count)
}

/// The exact sum, zero when the rows do not say.
pub(crate) fn sum(histogram: &Histogram) -> u64 {
    histogram.totals().map_or(0, |totals| totals.sum)
}

/// Whether a metric has buckets.
pub(crate) fn is_histogram(metric: &MetricMeta) -> bool {
    metric.kind == "histogram"
}

/// Whether a column that metrics are split by holds numbers; `None` for one that is not of the core.
fn is_number(column: &str) -> Option<bool> {
    let core = CORE.iter().find(|core| core.name == column)?;
    Some(matches!(core.ty, ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64))
}

/// The dimensions of single rows, as those of groups are.
pub(crate) struct Dims(Vec<Place>);

impl Dims {
    /// Reads the columns.
    pub(crate) fn of<'a>(columns: &'a [impl AsRef<str>], rows: &mut Rows<'a>) -> Dims {
        Dims(columns.iter().map(|column| Place::of(column.as_ref(), rows)).collect())
    }

    /// What a row says.
    pub(crate) fn read(&self, row: &Row<'_>) -> Vec<Dim> {
        self.0.iter().map(|place| place.read(row, &mut |text| text.into())).collect()
    }
}

/// Where a dimension stands in a row.
#[derive(Clone, Copy)]
enum Place {
    Int(IntColumn),
    Text(TextColumn),
    Either(IntColumn, TextColumn),
    /// At hand in every row.
    Process,
}

impl Place {
    fn of<'a>(column: &'a str, rows: &mut Rows<'a>) -> Place {
        match is_number(column) {
            _ if column == "pid" => Place::Process,
            Some(true) => Place::Int(rows.int(column)),
            Some(false) => Place::Text(rows.text(column)),
            // What a probe's own column holds, only the file knows.
            None => Place::Either(rows.int(column), rows.text(column)),
        }
    }

    /// The dimension of a row; `keep` keeps its text.
    fn read(self, row: &Row<'_>, keep: &mut impl FnMut(&str) -> Rc<str>) -> Dim {
        let mut text = |at| row.text(at).map_or(Dim::None, |text| Dim::Text(keep(text)));
        match self {
            Place::Process => row.which().map_or(Dim::None, Dim::Process),
            Place::Int(at) => row.int(at).map_or(Dim::None, Dim::Int),
            Place::Text(at) => text(at),
            Place::Either(int, at) => row.int(int).map_or_else(|| text(at), Dim::Int),
        }
    }
}

/// The dimensions that say which process, where processes share rows of tables.
struct Folded<'a> {
    folding: &'a Folding,
    pid: usize,
    comm: Option<usize>,
}

impl<'a> Folded<'a> {
    fn of(source: &'a Source, by: &[&str]) -> Option<Folded<'a>> {
        let place = |name: &str| by.iter().position(|column| *column == name);
        let folding = Some(source.folding()).filter(|folding| !folding.is_none())?;
        Some(Folded { folding, pid: place("pid")?, comm: place("comm") })
    }

    /// A process without a row of its own is its command, in both dimensions: it has no number.
    fn apply(&self, row: &Row<'_>, key: &mut [Dim]) {
        let Some(command) = row.which().and_then(|which| self.folding.command(which, row.comm())) else { return };
        for at in self.comm.into_iter().chain([self.pid]) {
            if let Some(dim) = key.get_mut(at) {
                *dim = Dim::Text(Rc::clone(&command));
            }
        }
    }
}

/// Groups while rows are added to them.
#[derive(Default)]
struct Adder {
    held: HashMap<Rc<str>, HashMap<Vec<Dim>, Histogram>>,
    held_bytes: usize,
    names: HashSet<Rc<str>>,
    tally: Tally,
    failed: Option<io::Error>,
}

impl Adder {
    /// The group of a row.
    fn group(&mut self, metric: &str, places: &[Place], row: &Row<'_>, folded: &Option<Folded<'_>>) -> &mut Histogram {
        if self.held_bytes > MOST_BYTES {
            self.spill();
        }
        let Adder { held, held_bytes, names, .. } = self;
        let mut keep = |text: &str| name(names, held_bytes, text);
        let mut key: Vec<Dim> = places.iter().map(|place| place.read(row, &mut keep)).collect();
        if let Some(folded) = folded {
            folded.apply(row, &mut key);
        }
        if !held.contains_key(metric) {
            held.insert(name(names, held_bytes, metric), HashMap::new());
        }
        let groups = held.entry(name(names, held_bytes, metric)).or_default();
        let size = GROUP_BYTES + key.len() * size_of::<Dim>();
        groups.entry(key).or_insert_with(|| {
            *held_bytes += size;
            Histogram::new()
        })
    }

    fn take(&mut self, bytes: usize) {
        self.held_bytes += bytes;
    }

    /// The groups so far, in order.
    fn sorted(&mut self) -> Vec<Group> {
        let mut sorted = Vec::new();
        for (metric, groups) in self.held.drain() {
            self.tally.metrics.insert(Rc::clone(&metric));
            let group = |(dims, histogram)| Group { dims, metric: Rc::clone(&metric), histogram };
            sorted.extend(groups.into_iter().map(group));
        }
        sorted.sort_unstable();
        self.names.clear();
        self.held_bytes = 0;
        sorted
    }

    fn spill(&mut self) {
        let sorted = self.sorted();
        if self.failed.is_none()
            && let Err(error) = self.tally.runs.add(sorted.into_iter())
        {
            self.failed = Some(error);
        }
    }

    fn finish(mut self) -> Result<Tally> {
        if self.tally.runs.is_empty() && self.failed.is_none() {
            self.tally.groups = self.sorted();
        } else {
            self.spill();
        }
        match self.failed {
            Some(error) => Err(error).context("can't put groups of metrics into a temporary file"),
            None => Ok(self.tally),
        }
    }
}

/// A name that is kept once.
fn name(names: &mut HashSet<Rc<str>>, bytes: &mut usize, text: &str) -> Rc<str> {
    if let Some(known) = names.get(text) {
        return Rc::clone(known);
    }
    let kept: Rc<str> = Rc::from(text);
    // The text, its two counters, and its place in the set.
    *bytes += text.len() + 48;
    names.insert(Rc::clone(&kept));
    kept
}

/// About what the groups may take in memory before they go to a temporary file.
const MOST_BYTES: usize = 24 << 20;
/// About what a group of a metric takes in memory without its buckets.
const GROUP_BYTES: usize = 160;
/// About what a bucket takes.
const BUCKET_BYTES: usize = 56;
