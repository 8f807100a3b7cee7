//! The kernel's counters of trouble: what each grew by, and what figures were, by cgroup or network namespace.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Which;

/// About what a counter takes in memory.
const COUNTER_BYTES: usize = 128;

/// Rows of one kind: `machine_stat`, `cgroup_stat`, `net_stat` or `process_stat`. Filters by process do not matter: a rule that accuses a
/// process looks it up among those that the filters let through.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// By place and counter.
    sums: BTreeMap<(Rc<str>, Rc<str>), Sums>,
    /// What is said of single processes.
    of_processes: Vec<OfProcess>,
}

/// What a counter added up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// By how much it grew.
    pub(crate) grew: u64,
    /// The intervals in which it grew, in nanoseconds.
    pub(crate) in_ns: u64,
    /// The largest value of a figure.
    pub(crate) most: u64,
}

/// What is said of a process: a member of a cgroup, the owner of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfProcess {
    /// The cgroup or network namespace.
    pub(crate) place: Rc<str>,
    /// The figure.
    pub(crate) metric: Rc<str>,
    /// The process, where it is known.
    pub(crate) which: Option<Which>,
    /// The port.
    pub(crate) port: Option<i64>,
    /// The figure's value.
    pub(crate) value: u64,
    /// By how much a counter of the process grew.
    pub(crate) grew: u64,
    /// How long that took, or how long the figure had a value, in nanoseconds.
    pub(crate) in_ns: u64,
}

impl Counters {
    /// Reads the rows of a kind; empty where the recording has none.
    pub(crate) fn of(source: &Source, kind: &str) -> Result<Counters> {
        let mut counters = Counters::default();
        let mut limit = Limit::new();
        let mut rows = source.rows_of_all_processes(kind);
        let (name, metric, port) = (rows.text("name"), rows.text("metric"), rows.int("sport"));
        let (sum, max) = (rows.int("sum"), rows.int("max"));
        rows.each(|row| {
            let Some(metric) = row.text(metric) else { return };
            let (place, metric) = (limit.name(row.text(name).unwrap_or_default()), limit.name(metric));
            if !limit.take(COUNTER_BYTES) {
                return;
            }
            let (grew, value) = (row.natural(sum), row.natural(max));
            let in_ns = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
            let (which, port) = (row.which(), row.int(port));
            if which.is_some() || port.is_some() {
                counters.of_processes.push(OfProcess { place, metric, which, port, value, grew, in_ns });
                return;
            }
            let own = counters.sums.entry((place, metric)).or_default();
            own.grew = own.grew.saturating_add(grew);
            if grew > 0 {
                own.in_ns = own.in_ns.saturating_add(in_ns);
            }
            own.most = own.most.max(value);
        })?;
        limit.check(source, "counters")?;
        Ok(counters)
    }

    /// One counter in one place; the machine's place is empty.
    pub(crate) fn get(&self, place: &str, metric: &str) -> Sums {
        self.sums.get(&(place.into(), metric.into())).copied().unwrap_or_default()
    }

    /// The places where a counter grew.
    pub(crate) fn places<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, Sums)> {
        let own = self.sums.iter().filter(move |((_, own), sums)| &**own == metric && sums.grew > 0);
        own.map(|((place, _), sums)| (&**place, *sums))
    }

    /// What a counter or figure says of single processes, wherever they are.
    pub(crate) fn of_processes<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a OfProcess> {
        self.of_processes.iter().filter(move |own| &*own.metric == metric)
    }

    /// What is said of the processes of a place.
    pub(crate) fn processes<'a>(&'a self, place: &'a str, metric: &'a str) -> impl Iterator<Item = &'a OfProcess> {
        self.of_processes.iter().filter(move |own| &*own.place == place && &*own.metric == metric)
    }
}
