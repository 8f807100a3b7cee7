//! What else happened while an event was slow: other slow events that overlap it, who had the CPUs, how full its device was.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::Extent;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::slow::Kind;
use crate::report::read::slow::KindRow;
use crate::report::read::slow::SlowEvent;
use crate::units;

/// Events for which the others are looked through; of the rest, which only --top shows, the lines end earlier.
const LOOKED_AT: usize = 100;
/// Commands that are counted apart for each relation; two are named.
const COMMANDS: usize = 1000;
/// Processes that are named for each relation, and as busiest.
const NAMED: usize = 2;

/// How another event is related to the one that is told, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Device,
    Thread,
    Cpu,
    Process,
}

/// What happened around one event.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// Whether others were looked for.
    looked_at: bool,
    /// Other slow events, by relation and command.
    others: BTreeMap<Relation, BTreeMap<String, u64>>,
    /// The event's own device and CPU, for the words.
    dev: Option<String>,
    cpu: Option<i64>,
    /// Commands by their share of one CPU, the busiest first.
    busy: Vec<(String, f64)>,
    /// Requests that were in flight at the device on average.
    depth: Option<f64>,
}

/// Looks at what happened around each of the events.
pub(super) fn of(
    source: &Source,
    processes: &ProcessTable,
    kinds: &[Kind],
    events: &[SlowEvent],
) -> Result<Vec<Around>> {
    let around_of = |(at, event): (usize, &SlowEvent)| Around {
        looked_at: at < LOOKED_AT,
        dev: event.dev.clone(),
        cpu: event.cpu,
        ..Around::default()
    };
    let mut around: Vec<Around> = events.iter().enumerate().map(around_of).collect();
    let start_ns = source.meta().window.start_real_ns;
    let looked_at = events.get(..LOOKED_AT).unwrap_or(events);
    for (place, kind) in kinds.iter().enumerate() {
        let rows = kind.rows_of_all_processes(source);
        let rows = rows.may_hold(|extent| looked_at.iter().any(|event| may_overlap(event, extent, start_ns)));
        kind.each(rows, None, |row| {
            for (event, around) in looked_at.iter().zip(&mut around) {
                if let Some(relation) = relation(event, place, row) {
                    let comm = processes.of_row(row.row).unwrap_or("?");
                    let by = around.others.entry(relation).or_default();
                    let comm = if by.len() < COMMANDS || by.contains_key(comm) { comm } else { "others" };
                    match by.get_mut(comm) {
                        Some(count) => *count += 1,
                        None => drop(by.insert(comm.to_owned(), 1)),
                    }
                }
            }
        })?;
    }
    let loads = Loads::of(source, processes)?;
    for (event, around) in events.iter().zip(&mut around) {
        around.busy = loads.busiest(event);
        around.depth = event.dev.as_deref().and_then(|dev| loads.depth(event, dev));
    }
    Ok(around)
}

/// Whether any row of a row group may overlap an event.
fn may_overlap(event: &SlowEvent, extent: &Extent, start_ns: i64) -> bool {
    let Some((first, last)) = extent.ends else { return true };
    let begins = extent.longest.map(|longest| first.saturating_sub(start_ns).saturating_sub(longest));
    last.saturating_sub(start_ns) > event.begin() && begins.is_none_or(|begins| begins < event.at)
}

/// How a row is related to an event that it overlaps.
fn relation(event: &SlowEvent, place: usize, row: &KindRow<'_>) -> Option<Relation> {
    let (end, dur) = (row.row.at()?, row.row.dur()?);
    let apart = end <= event.begin() || end.saturating_sub(dur) >= event.at;
    let itself = place == event.place && end == event.at && dur == event.dur_ns && row.tid() == event.tid;
    if apart || itself {
        return None;
    }
    let same = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
    match () {
        () if event.dev.is_some() && row.dev() == event.dev.as_deref() => Some(Relation::Device),
        () if same(row.tid(), event.tid) => Some(Relation::Thread),
        () if event.dev.is_none() && same(row.cpu(), event.cpu) => Some(Relation::Cpu),
        () if event.which.is_some() && row.row.which() == event.which => Some(Relation::Process),
        () => None,
    }
}

impl Around {
    /// `14 more on vda (fio 12, journald 2); in flight there 12.1; busiest rustc with 91% of a CPU`.
    pub(super) fn words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (relation, by) in &self.others {
            let place = match relation {
                Relation::Device => format!("on {}", self.dev.as_deref().unwrap_or("its device")),
                Relation::Thread => "in its thread".to_owned(),
                Relation::Cpu => format!("on CPU {}", self.cpu.unwrap_or(0)),
                Relation::Process => "in its process".to_owned(),
            };
            let mut names: Vec<(&str, u64)> = by.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            names.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
            let named = names.iter().take(NAMED).map(|(name, count)| format!("{name} {}", units::count(*count)));
            let of = if *relation == Relation::Thread {
                String::new()
            } else {
                format!(" ({})", named.collect::<Vec<_>>().join(", "))
            };
            words.push(format!("{} more slow {place}{of}", units::count(by.values().sum())));
        }
        if let Some(depth) = self.depth {
            words.push(format!("{depth:.1} requests in flight there"));
        }
        let busy = self.busy.iter().map(|(name, percent)| format!("{name} {} of a CPU", units::percent(*percent)));
        let busy: Vec<String> = busy.collect();
        if !busy.is_empty() {
            words.push(format!("busiest {}", busy.join(", ")));
        }
        words.join("; ")
    }

    /// Other slow events of its device, thread, CPU or process; nothing where none were looked for.
    pub(super) fn overlapping(&self) -> Option<u64> {
        self.looked_at.then(|| self.others.values().flat_map(BTreeMap::values).sum())
    }

    /// The command that had most CPU time.
    pub(super) fn busiest(&self) -> Option<&str> {
        self.busy.first().map(|(name, _)| name.as_str())
    }

    /// How much of one CPU it had, in hundredths.
    pub(super) fn busiest_percent(&self) -> Option<f64> {
        self.busy.first().map(|(_, percent)| *percent)
    }
}

/// An interval by its end: its begin, and something in it.
type Intervals<T> = BTreeMap<i64, (i64, T)>;

/// CPU time by command, and queue depth by device, over time.
struct Loads {
    cpu: Intervals<HashMap<Rc<str>, u64>>,
    /// Counts and sums.
    depth: HashMap<Rc<str>, Intervals<(u64, u64)>>,
}

/// Commands of an interval that are kept once it is over: two are named.
const BUSY: usize = 64;

impl Loads {
    fn of(source: &Source, processes: &ProcessTable) -> Result<Loads> {
        let mut loads = Loads { cpu: BTreeMap::new(), depth: HashMap::new() };
        let mut limit = Limit::new();
        let mut last = None;
        let rows = source.rows_of_all_processes("metric");
        let mut rows = rows.having("metric", &[metrics::ON_CPU, metrics::BLOCK_DEPTH]);
        let (metric, dev) = (rows.text("metric"), rows.text("dev"));
        let (count, sum) = (rows.int("count"), rows.int("sum"));
        rows.each(|row| {
            let (Some(end), Some(dur)) = (row.at(), row.dur()) else { return };
            let begin = end.saturating_sub(dur);
            match row.text(metric) {
                Some(metrics::ON_CPU) => {
                    // The rows of an interval follow each other.
                    if let Some(before) = last.replace(end).filter(|before| *before != end) {
                        loads.keep_busiest(before);
                    }
                    if !loads.cpu.contains_key(&end) && !limit.take(BUSY * 64) {
                        return;
                    }
                    let name = processes.of_row(row).unwrap_or("?");
                    let interval = loads.cpu.entry(end).or_insert_with(|| (begin, HashMap::new()));
                    interval.0 = interval.0.min(begin);
                    let own = interval.1.entry(limit.name(name)).or_default();
                    *own = own.saturating_add(row.natural(sum));
                }
                Some(metrics::BLOCK_DEPTH) => {
                    let intervals = loads.depth.entry(limit.name(row.text(dev).unwrap_or("?"))).or_default();
                    if !intervals.contains_key(&end) && !limit.take(64) {
                        return;
                    }
                    let interval = intervals.entry(end).or_insert((begin, (0, 0)));
                    interval.0 = interval.0.min(begin);
                    let (requests, depths) = &mut interval.1;
                    *requests = requests.saturating_add(row.natural(count));
                    *depths = depths.saturating_add(row.natural(sum));
                }
                _ => {}
            }
        })?;
        limit.check(source, "intervals")?;
        Ok(loads)
    }

    fn keep_busiest(&mut self, end: i64) {
        let Some((_, by)) = self.cpu.get_mut(&end).filter(|(_, by)| by.len() > BUSY) else { return };
        let mut sums: Vec<u64> = by.values().copied().collect();
        sums.sort_unstable_by_key(|sum| std::cmp::Reverse(*sum));
        let least = sums.get(BUSY).copied().unwrap_or(0);
        by.retain(|_, sum| *sum > least);
        by.shrink_to_fit();
    }

    /// The commands that had most CPU time in the intervals that an event touches.
    fn busiest(&self, event: &SlowEvent) -> Vec<(String, f64)> {
        let (mut by, mut dur): (HashMap<&str, u64>, i64) = (HashMap::new(), 0);
        for (end, (begin, sums)) in touched(&self.cpu, event) {
            dur = dur.saturating_add(end.saturating_sub(*begin));
            for (name, sum) in sums {
                let own = by.entry(name).or_default();
                *own = own.saturating_add(*sum);
            }
        }
        let share = |ns: u64| 100.0 * ns as f64 / dur as f64;
        let shares = by.into_iter().filter(|(_, ns)| *ns > 0 && dur > 0);
        let mut shares: Vec<(String, f64)> = shares.map(|(name, ns)| (name.to_owned(), share(ns))).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        shares.truncate(NAMED);
        shares
    }

    /// The mean queue depth in the intervals that an event touches.
    fn depth(&self, event: &SlowEvent, dev: &str) -> Option<f64> {
        let sums = touched(self.depth.get(dev)?, event).map(|(_, (_, sums))| *sums);
        let (count, sum) = sums.fold((0u64, 0u64), |a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
        (count > 0).then(|| sum as f64 / count as f64)
    }
}

/// The intervals that an event touches.
fn touched<'i, T>(
    intervals: &'i Intervals<T>,
    event: &SlowEvent,
) -> impl Iterator<Item = (&'i i64, &'i (i64, T))> + use<'i, T> {
    let end = event.at;
    intervals.range(event.begin().saturating_add(1)..).take_while(move |(_, (begin, _))| *begin < end)
}
