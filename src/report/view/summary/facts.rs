//! What one recording comes to in a few figures.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::cost::Cost;
use crate::report::read::health::Losses;
use crate::report::read::input::Source;
use crate::report::read::ledger::Ledger;
use crate::report::read::metrics;
use crate::report::read::window;
use crate::report::table::cells::bytes;
use crate::report::table::cells::nanos;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
use crate::units;

const METRICS: [&str; 7] = [
    metrics::ON_CPU,
    metrics::RUN_QUEUE,
    metrics::SWITCHES,
    metrics::MIGRATIONS,
    metrics::STARTS,
    metrics::EXITS,
    metrics::BLOCK_SIZE,
];

/// Kinds of disk operations that are named; there are a handful.
const OPERATIONS: usize = 32;

/// The figures.
pub(super) struct Facts {
    on_cpu_ns: Option<u64>,
    capacity_ns: f64,
    run_queue: Option<Histogram>,
    switches: Option<[u64; 2]>,
    migrations: Option<u64>,
    starts: Option<u64>,
    exits: Option<u64>,
    io: Vec<(String, u64, u64)>,
    events: u64,
    lost: u64,
    cost: Cost,
}

impl Facts {
    /// Adds up one recording.
    pub(super) fn of(source: &Source) -> Result<Facts> {
        let tally = Tally::of(source, &["op", "state"], |name| METRICS.contains(&name))?;
        let total = |metric: &str| tally.has(metric).then(|| tally.total(metric)).transpose();
        let counted = |metric: &str| anyhow::Ok(total(metric)?.map(|histogram| count(&histogram)));
        let mut switches = [0u64; 2];
        tally.groups(metrics::SWITCHES, |dims, histogram| {
            let forced = dims.get(1).and_then(Dim::text) == Some("involuntary");
            // Two places for the two values of a truth value.
            let sum = &mut switches[usize::from(forced)];
            *sum = sum.saturating_add(count(histogram));
        })?;
        let mut io: Vec<(String, u64, u64)> = Vec::new();
        tally.groups(metrics::BLOCK_SIZE, |dims, histogram| {
            let op = dims.first().map_or_else(String::new, Dim::word);
            if io.len() < OPERATIONS {
                io.push((op, count(histogram), sum(histogram)));
            }
        })?;
        Ok(Facts {
            on_cpu_ns: busy(source)?.or(total(metrics::ON_CPU)?.map(|histogram| sum(&histogram))),
            capacity_ns: source.span_ns() as f64 * f64::from(source.meta().host.cpus),
            run_queue: total(metrics::RUN_QUEUE)?,
            switches: tally.has(metrics::SWITCHES).then_some(switches),
            migrations: counted(metrics::MIGRATIONS)?,
            starts: counted(metrics::STARTS)?,
            exits: counted(metrics::EXITS)?,
            io,
            events: source.meta().probes.iter().fold(0, |sum, probe| sum.saturating_add(probe.events)),
            lost: Losses::of(source)?.total(),
            cost: Cost::of(source)?,
        })
    }

    /// What the machine did, in words.
    pub(super) fn machine(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        if let Some(ns) = self.on_cpu_ns {
            let part = if self.capacity_ns > 0.0 { 100.0 * ns as f64 / self.capacity_ns } else { 0.0 };
            let (used, all) = (units::duration(whole(ns)), units::duration(self.capacity_ns as i64));
            pairs.push(("CPU".to_owned(), format!("{} in use: {used} of {all}", units::percent(part))));
        }
        if let Some(waits) = &self.run_queue {
            let at = |q: f64| units::duration(waits.percentile(q).map_or(0, |ns| ns.round() as i64));
            let (waited, p50, p99) = (units::duration(whole(sum(waits))), at(0.5), at(0.99));
            let waits = units::count(count(waits));
            let text = format!("{waited} waited for a CPU, in {waits} waits; p50 {p50}, p99 {p99}");
            pairs.push(("run queue".to_owned(), text));
        }
        if let Some([voluntary, forced]) = self.switches {
            let moved = self
                .migrations
                .map(|moves| format!("; {} moves between CPUs", units::count(moves)))
                .unwrap_or_default();
            let text = format!("{} voluntary, {} forced{moved}", units::count(voluntary), units::count(forced));
            pairs.push(("switches".to_owned(), text));
        }
        if let Some(starts) = self.starts {
            let text = format!("{} started, {} ended", units::count(starts), units::count(self.exits.unwrap_or(0)));
            pairs.push(("processes".to_owned(), text));
        }
        if !self.io.is_empty() {
            let ops = self.io.iter().map(|(op, count, bytes)| match bytes {
                0 => format!("{} {op}", units::count(*count)),
                bytes => format!("{} {op}, {}", units::count(*count), units::bytes(*bytes)),
            });
            pairs.push(("disk".to_owned(), ops.collect::<Vec<_>>().join("; ")));
        }
        pairs
    }

    /// What the recording holds and cost, in words.
    pub(super) fn recording(&self, source: &Source) -> Vec<(String, String)> {
        let rows = source.recording().kinds().iter().map(|(_, rows)| *rows).sum::<u64>();
        let (events, lost) = (units::count(self.events), units::count(self.lost));
        let mut pairs = vec![("events".to_owned(), format!("{events} seen, {lost} lost"))];
        let size = units::bytes(source.recording().file_bytes());
        pairs.push(("file".to_owned(), format!("{size}, {} rows", units::count(rows))));
        let cpu = |share: f64| units::percent(100.0 * share);
        let mut cost = Vec::new();
        if let Some(share) = self.cost.programs_share() {
            let part = self.cost.measured_part(source.span_ns()).filter(|part| *part < 0.95);
            let from = part.map(|part| format!(", estimated from {} of the window", cpu(part))).unwrap_or_default();
            cost.push(format!("{} of a CPU in BPF programs{from}", cpu(share)));
        }
        if let Some(share) = self.cost.own_cpu.and_then(|own| own.share()) {
            let outside = [(self.cost.start_cpu_ns, "to start"), (self.cost.finish_cpu_ns, "to finish")];
            let outside =
                outside.iter().filter_map(|(ns, what)| Some(format!(", {} {what}", units::duration(whole((*ns)?)))));
            cost.push(format!("{} of a CPU in ebrec{}", cpu(share), outside.collect::<String>()));
        }
        cost.extend(self.cost.rss_bytes.map(|bytes| format!("{} of memory", units::bytes(bytes))));
        cost.extend(self.cost.map_bytes.map(|bytes| format!("{} of kernel memory", units::bytes(bytes))));
        if !cost.is_empty() {
            pairs.push(("cost".to_owned(), cost.join("; ")));
        }
        pairs
    }

    /// The same as a row.
    pub(super) fn host(&self, source: &Source) -> HostRow {
        let meta = source.meta();
        HostRow {
            cpus: meta.host.cpus,
            window_ns: source.span_ns(),
            ended: meta.window.ended.clone(),
            lost: self.lost,
            events: self.events,
            partial: source.recording().is_partial(),
            cpu_ns: self.on_cpu_ns,
            capacity_ns: self.capacity_ns,
            runqueue_ns: self.run_queue.as_ref().map(sum),
            starts: self.starts,
            exits: self.exits,
            io: self.io.iter().map(|(_, count, _)| *count).reduce(u64::saturating_add),
            io_bytes: self.io.iter().map(|(_, _, bytes)| *bytes).reduce(u64::saturating_add),
            start: window::moment(meta.window.start_real_ns),
            kernel: meta.host.kernel.clone(),
            bpf_share: self.cost.programs_share(),
            own_share: self.cost.own_cpu.and_then(|own| own.share()),
            hostname: meta.host.hostname.clone(),
        }
    }
}

/// One recording among several.
pub(super) struct HostRow {
    cpus: u32,
    window_ns: i64,
    ended: String,
    lost: u64,
    events: u64,
    partial: bool,
    cpu_ns: Option<u64>,
    capacity_ns: f64,
    runqueue_ns: Option<u64>,
    starts: Option<u64>,
    exits: Option<u64>,
    io: Option<u64>,
    io_bytes: Option<u64>,
    start: String,
    kernel: String,
    bpf_share: Option<f64>,
    own_share: Option<f64>,
    hostname: String,
}

pub(super) fn columns() -> Columns<HostRow> {
    let percent = |share: f64| Value::Percent(100.0 * share);
    Columns::<HostRow>::new()
        .column("cpus", "CPUs", |host| i64::from(host.cpus))
        .column("window_ns", "window", |host| Value::Nanos(host.window_ns))
        .help("Length of the window, or of the part that is looked at.")
        .column("ended", "ended by", |host| host.ended.clone())
        .help("Why the window ended.")
        .column("lost", "lost", |host| host.lost)
        .help("Events lost.")
        .column("events", "events", |host| host.events)
        .help("Events seen.")
        .column("partial", "unfinished", |host| host.partial)
        .help("Whether the recording is unfinished.")
        .column("cpu_pct", "CPU", |host| host.cpu_ns.map(|ns| share(ns as f64, host.capacity_ns)))
        .help("CPU time in use as a share of all CPUs.")
        .column("cpu_ns", "CPU time", |host| host.cpu_ns.map(nanos))
        .column("runqueue_ns", "waited", |host| host.runqueue_ns.map(nanos))
        .help("Time that threads waited for a CPU, added up.")
        .column("starts", "starts", |host| host.starts)
        .help("Processes started.")
        .column("exits", "exits", |host| host.exits)
        .help("Processes ended.")
        .column("io", "I/O", |host| host.io)
        .help("Disk requests.")
        .column("io_bytes", "I/O size", |host| host.io_bytes.map(bytes))
        .column("start", "start", |host| host.start.clone())
        .help("Start of the window.")
        .column("kernel", "kernel", |host| host.kernel.clone())
        .column("bpf_cpu_pct", "BPF CPU", move |host| host.bpf_share.map(percent))
        .help("Time in BPF programs as a share of one CPU.")
        .column("own_cpu_pct", "own CPU", move |host| host.own_share.map(percent))
        .help("CPU time of the recorder as a share of one CPU.")
        .column("hostname", "name", |host| host.hostname.clone())
        .help("Host name that the machine reported.")
}

/// Time in which CPUs were busy, where the recording is of all that they did: they know it better than their threads, of
/// which one may have left unseen. Nothing where only some processes are looked at.
fn busy(source: &Source) -> Result<Option<u64>> {
    if window::scope(source).is_some() {
        return Ok(None);
    }
    let cpus = Ledger::cpus_of(source)?;
    Ok((!cpus.is_empty()).then(|| cpus.values().map(|cpu| cpu.in_state("busy")).sum()))
}
