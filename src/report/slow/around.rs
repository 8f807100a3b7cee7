//! What else happened while an event was slow: other slow events that overlap it, who had the CPUs, how full its device was.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::btree_map::Entry;

use anyhow::Result;

use crate::report::limit::Limit;
use crate::report::metrics;
use crate::report::people::People;
use crate::report::slow::event::Event;
use crate::report::slow::event::Kind;
use crate::report::source::Row;
use crate::report::source::Source;
use crate::units;

/// Events for which the others are looked through; of the rest, which only --top shows, the lines end earlier.
const LOOKED_AT: usize = 100;
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
pub(super) fn of(source: &Source, people: &People, kinds: &[Kind], events: &[Event]) -> Result<Vec<Around>> {
    let mut around: Vec<Around> =
        events.iter().map(|event| Around { dev: event.dev.clone(), cpu: event.cpu, ..Around::default() }).collect();
    for (place, kind) in kinds.iter().enumerate() {
        kind.each(source, false, |row| {
            if kind.is_by_design(row) {
                return;
            }
            for (event, around) in events.iter().zip(&mut around).take(LOOKED_AT) {
                if let Some(relation) = relation(event, place, row) {
                    let comm = row.pid().and_then(|pid| people.comm(pid)).or_else(|| row.comm()).unwrap_or("?");
                    let by = around.others.entry(relation).or_default();
                    match by.get_mut(comm) {
                        Some(count) => *count += 1,
                        None => drop(by.insert(comm.to_owned(), 1)),
                    }
                }
            }
        })?;
    }
    let loads = Loads::of(source, people)?;
    for (event, around) in events.iter().zip(&mut around) {
        around.busy = loads.busiest(event);
        around.depth = event.dev.as_deref().and_then(|dev| loads.depth(event, dev));
    }
    Ok(around)
}

/// How a row is related to an event that it overlaps.
fn relation(event: &Event, place: usize, row: &Row<'_>) -> Option<Relation> {
    let (end, dur) = (row.at()?, row.dur()?);
    let apart = end <= event.begin() || end.saturating_sub(dur) >= event.at;
    let itself = place == event.place && end == event.at && dur == event.dur_ns && row.int(1) == event.tid;
    if apart || itself {
        return None;
    }
    let same = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
    match () {
        () if event.dev.is_some() && row.text(0) == event.dev.as_deref() => Some(Relation::Device),
        () if same(row.int(1), event.tid) => Some(Relation::Thread),
        () if event.dev.is_none() && same(row.int(0), event.cpu) => Some(Relation::Cpu),
        () if same(row.pid(), event.pid) => Some(Relation::Process),
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

    /// Other slow events of its device, thread, CPU or process.
    pub(super) fn overlapping(&self) -> u64 {
        self.others.values().flat_map(BTreeMap::values).sum()
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

/// By name, then by an interval's end: its begin, and the counts and sums in it.
type Sums<K> = HashMap<K, BTreeMap<i64, (i64, u64, u64)>>;

/// CPU time by command, and queue depth by device, over time.
struct Loads {
    cpu: Sums<String>,
    depth: Sums<String>,
}

impl Loads {
    fn of(source: &Source, people: &People) -> Result<Loads> {
        let mut loads = Loads { cpu: HashMap::new(), depth: HashMap::new() };
        let mut limit = Limit::new();
        source.rows_of_all_processes("metric", &["count", "sum"], &["metric", "dev"], |row| {
            let (Some(end), Some(dur)) = (row.at(), row.dur()) else { return };
            let (sums, name) = match row.text(0) {
                Some(metrics::ON_CPU) => {
                    let name = row.pid().and_then(|pid| people.comm(pid)).or_else(|| row.comm());
                    (&mut loads.cpu, name)
                }
                Some(metrics::BLOCK_DEPTH) => (&mut loads.depth, row.text(1)),
                _ => return,
            };
            let begin = end.saturating_sub(dur);
            let sum = match sums.entry(name.unwrap_or("?").to_owned()).or_default().entry(end) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) if limit.take(128) => new.insert((begin, 0, 0)),
                Entry::Vacant(_) => return,
            };
            *sum = (sum.0.min(begin), sum.1.saturating_add(row.natural(0)), sum.2.saturating_add(row.natural(1)));
        })?;
        limit.check(source, "intervals")?;
        Ok(loads)
    }

    /// The commands that had most CPU time in the intervals that an event touches.
    fn busiest(&self, event: &Event) -> Vec<(String, f64)> {
        let share = |intervals: &BTreeMap<i64, (i64, u64, u64)>| {
            let (mut ns, mut dur) = (0u64, 0i64);
            for (end, (begin, _, sum)) in touched(intervals, event) {
                ns = ns.saturating_add(*sum);
                dur = dur.saturating_add(end - begin);
            }
            (dur > 0).then(|| 100.0 * ns as f64 / dur as f64)
        };
        let shares = self.cpu.iter().filter_map(|(name, intervals)| Some((name.clone(), share(intervals)?)));
        let mut shares: Vec<(String, f64)> = shares.filter(|(_, percent)| *percent > 0.0).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        shares.truncate(NAMED);
        shares
    }

    /// The mean queue depth in the intervals that an event touches.
    fn depth(&self, event: &Event, dev: &str) -> Option<f64> {
        let sums = touched(self.depth.get(dev)?, event).map(|(_, (_, count, sum))| (*count, *sum));
        let (count, sum) = sums.fold((0u64, 0u64), |a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
        (count > 0).then(|| sum as f64 / count as f64)
    }
}

/// The intervals that an event touches.
fn touched<'i>(
    intervals: &'i BTreeMap<i64, (i64, u64, u64)>,
    event: &Event,
) -> impl Iterator<Item = (&'i i64, &'i (i64, u64, u64))> {
    let end = event.at;
    intervals.range(event.begin().saturating_add(1)..).take_while(move |(_, (begin, ..))| *begin < end)
}
