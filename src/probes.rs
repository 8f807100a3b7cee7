//! The built-in probes: the registry, and what they have in common once attached.

mod block;
mod cpu;
mod dns;
mod events;
mod files;
mod http;
mod irq;
mod locks;
mod memory;
mod offcpu;
mod peers;
mod process;
mod sched;
mod signals;
mod syscall;
mod tcp;

use std::collections::HashMap;
use std::marker::PhantomData;

use anyhow::Result;

use crate::bpf::Plain;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::live::ScopeSettings;
use crate::bpf::live::Settings as LiveSettings;
use crate::bpf::live::Stream;
use crate::bpf::scope;
use crate::bpf::source::Source;
use crate::hist;
use crate::probe::MetricKind;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::Scope;
use crate::probe::attached::Attached;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Loss;
use crate::probe::attached::Probe;
use crate::probe::attached::ProgramCost;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::Names;
use crate::recording::ColumnId;
use crate::recording::Row;
use crate::recording::column;

/// Every probe, in the order in which they are attached.
pub static REGISTRY: [&dyn Probe; 15] = [
    entry::<process::Process>(),
    entry::<cpu::Cpu>(),
    entry::<sched::Sched>(),
    entry::<offcpu::OffCpu>(),
    entry::<block::Block>(),
    entry::<memory::Memory>(),
    entry::<syscall::Syscall>(),
    entry::<irq::Irq>(),
    entry::<locks::Locks>(),
    entry::<tcp::Tcp>(),
    entry::<dns::Dns>(),
    entry::<http::Http>(),
    entry::<files::Files>(),
    entry::<signals::Signals>(),
    &events::Events,
];

/// A probe that comes with the program: what it says of itself, its object, and how its decoder begins.
trait BuiltIn: Decoder + Sized + 'static {
    const INFO: &'static ProbeInfo;
    const SOURCE: Source;

    /// The decoder of a recording that is about to begin.
    fn new(setup: &Setup<'_>) -> Self;

    /// The bytes of the constants that only this object has.
    fn knobs(_setup: &Setup<'_>) -> Option<Vec<u8>> {
        None
    }
}

/// A line of the registry: a probe that is not attached yet.
struct Entry<P>(PhantomData<fn() -> P>);

const fn entry<P: BuiltIn>() -> &'static dyn Probe {
    &Entry::<P>(PhantomData)
}

impl<P: BuiltIn> Probe for Entry<P> {
    fn info(&self) -> &'static ProbeInfo {
        P::INFO
    }

    fn attach(&self, setup: &Setup<'_>) -> Result<Box<dyn Attached>> {
        let cgroups = cgroup_numbers(setup.scope);
        let knobs = P::knobs(setup);
        let settings = LiveSettings { knobs: knobs.as_deref(), ..live_settings(setup, &cgroups) };
        let mut live = Live::attach(P::SOURCE, &settings)?;
        let mut decoder = P::new(setup);
        decoder.attached(&mut live)?;
        Ok(Box::new(Running { info: P::INFO, live, decoder, aggregated: HashMap::new() }))
    }
}

/// What differs between probes once they are attached: their records, and what their metrics are kept by.
trait Decoder: Send {
    /// Turns one record into rows.
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable>;

    /// The columns that a key of a metric fills.
    fn key(&mut self, metric: &str, gathered: &Gathered, names: &Names) -> Vec<KeyPart>;

    /// The window has just begun in the kernel.
    fn begin(&mut self, _live: &Live) -> Result<()> {
        Ok(())
    }

    /// The interval is about to end in the kernel: what is counted now still belongs to it.
    fn ending_interval(&mut self, _live: &Live) -> Result<()> {
        Ok(())
    }

    /// An interval has just ended in the kernel.
    fn end_interval(&mut self, _live: &Live, _end_ns: u64) -> Result<()> {
        Ok(())
    }

    /// The last interval has ended; the programs are attached still.
    fn ending(&mut self, _live: &mut Live) -> Result<()> {
        Ok(())
    }

    /// Writes what the probe keeps by interval beside its metrics.
    fn write(&mut self, _interval: Interval, _context: &mut Context<'_>) {}

    /// The object is loaded and its own hooks are attached: attaches those that need more than a name.
    fn attached(&mut self, _live: &mut Live) -> Result<()> {
        Ok(())
    }

    /// Drains the maps that only this probe has, of the interval that ended last.
    fn snapshot(&mut self, _live: &Live, _interval: Interval, _context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Derives metrics from those that the kernel gathered.
    fn derive(&mut self, gathered: Vec<Gathered>) -> Vec<Gathered> {
        gathered
    }
}

/// One column of a metric's key.
enum KeyPart {
    Int(ColumnId, i64),
    Text(ColumnId, String),
}

impl KeyPart {
    /// The two columns of a metric that is kept by process.
    fn process(pid: u32, names: &Names) -> [KeyPart; 2] {
        let comm = names.get(pid).unwrap_or_default();
        [KeyPart::Int(column::PID, pid.into()), KeyPart::Text(column::COMM, comm.to_owned())]
    }

    fn put(&self, row: &mut Row<'_>) {
        match self {
            KeyPart::Int(column, value) => row.int(*column, *value),
            KeyPart::Text(_, value) if value.is_empty() => row,
            KeyPart::Text(column, value) => row.text(*column, value),
        };
    }
}

/// The `key` column: the parts' values, joined by a space.
fn key_text(parts: &[KeyPart]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            KeyPart::Int(_, value) => value.to_string(),
            KeyPart::Text(_, value) => value.clone(),
        })
        .filter(|text| !text.is_empty())
        .collect();
    texts.join(" ")
}

/// An attached probe: its object in the kernel and its decoder.
struct Running<D> {
    info: &'static ProbeInfo,
    live: Live,
    decoder: D,
    aggregated: HashMap<&'static str, u64>,
}

/// Attaches the object that keeps the scope and the names of processes.
///
/// # Errors
/// When the kernel refuses it: then nothing can be recorded.
pub fn attach_scope(setup: &Setup<'_>) -> Result<Live> {
    let cgroups = cgroup_numbers(setup.scope);
    scope::attach(&setup.scope.comms, &live_settings(setup, &cgroups))
}

fn cgroup_numbers(scope: &Scope) -> Vec<(u64, u32)> {
    scope.cgroups.iter().map(|cgroup| (cgroup.id, cgroup.level)).collect()
}

/// The filters that a process has to have matched, or descend from one that did.
pub fn task_filters(scope: &Scope) -> u8 {
    let pid = if scope.pids.is_empty() { 0 } else { scope::MATCHED_PID };
    let comm = if scope.comms.is_empty() { 0 } else { scope::MATCHED_COMM };
    pid | comm
}

fn live_settings<'a>(setup: &Setup<'a>, cgroups: &'a [(u64, u32)]) -> LiveSettings<'a> {
    let version = setup.host.kernel.version;
    LiveSettings {
        scope: ScopeSettings {
            own_pid: std::process::id(),
            task_filters: task_filters(setup.scope),
            follow: setup.scope.follow,
            comms: setup.scope.comms.len() as u8,
            uids: &setup.scope.uids,
            cgroups,
        },
        index: setup.index,
        stream: match setup.settings.mode {
            Mode::Hist => Stream::None,
            Mode::Slow => Stream::Slow,
            Mode::Raw => Stream::All,
        },
        slow_ns: setup.settings.slow_ns,
        kernel: (version.major, version.minor),
        possible_cpus: setup.host.cpus.slots() as u32,
        rings: setup.rings,
        ring_bytes: setup.ring_bytes,
        scope_tasks: setup.scope_tasks,
        user_stacks: setup.user_stacks,
        kernel_stacks: setup.kernel_stacks,
        knobs: None,
    }
}

impl<D: Decoder> Attached for Running<D> {
    fn begin(&mut self, start_ns: u64) -> Result<()> {
        self.live.begin(start_ns)?;
        self.decoder.begin(&self.live)
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        self.decoder.decode(record, context)
    }

    fn end_interval(&mut self, end_ns: u64) -> Result<()> {
        self.decoder.ending_interval(&self.live)?;
        self.live.swap()?;
        self.decoder.end_interval(&self.live, end_ns)
    }

    fn snapshot(&mut self, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        self.decoder.write(interval, context);
        let gathered = self.live.gathered()?;
        for one in self.decoder.derive(gathered) {
            if let Some(kind) = stands_for(self.info, one.metric) {
                *self.aggregated.entry(kind).or_default() += one.count;
            }
            write_metric(self.info, &mut self.decoder, &one, interval, context);
        }
        self.decoder.snapshot(&self.live, interval, context)
    }

    fn end(&mut self, end_ns: u64) -> Result<()> {
        self.end_interval(end_ns)?;
        self.decoder.ending(&mut self.live)?;
        // Both sets of cells can be taken now, one after the other.
        self.live.stop()
    }

    fn detach(&mut self) {
        self.live.detach();
    }

    fn losses(&mut self) -> Result<Vec<Loss>> {
        let losses = self.live.losses()?;
        Ok(losses.into_iter().map(|(cause, cpu, count)| Loss { cause, cpu, count }).collect())
    }

    fn costs(&self) -> Result<Vec<ProgramCost>> {
        let costs = self.live.costs()?;
        Ok(costs.into_iter().map(|(name, runs)| ProgramCost { name, runs: runs.count, ns: runs.ns }).collect())
    }

    fn hooks(&self) -> Vec<String> {
        self.live.hooks()
    }

    fn lacking(&self) -> Vec<String> {
        self.live.lacking().to_vec()
    }

    fn map_bytes(&self) -> u64 {
        self.live.map_bytes()
    }

    fn aggregated(&self) -> &HashMap<&'static str, u64> {
        &self.aggregated
    }
}

/// The kind of row that a metric counts, if it is the first metric that counts it.
fn stands_for(info: &ProbeInfo, metric: u16) -> Option<&'static str> {
    let kind = info.metrics.get(usize::from(metric))?.events?;
    let first = info.metrics.iter().position(|other| other.events == Some(kind))?;
    (first == usize::from(metric)).then_some(kind)
}

/// One key of one metric in one interval: a `metric` row, and for a histogram a `hist` row for each bucket.
fn write_metric<D: Decoder>(
    info: &ProbeInfo,
    decoder: &mut D,
    one: &Gathered,
    interval: Interval,
    context: &mut Context<'_>,
) {
    let Some(metric) = info.metrics.get(usize::from(one.metric)) else { return };
    if one.count == 0 && one.sum == 0 {
        return;
    }
    let parts = decoder.key(metric.name, one, context.names);
    let key = key_text(&parts);
    let mut row = context.rows.row("metric");
    put_dimensions(&mut row, interval, metric.name, metric.unit.name(), &key, &parts);
    row.int(column::COUNT, signed(one.count)).int(column::SUM, signed(one.sum));
    if metric.kind == MetricKind::Histogram {
        row.int(column::MIN, signed(one.min)).int(column::MAX, signed(one.max));
    }
    for bucket in &one.buckets {
        let (low, high) = hist::bounds(bucket.index);
        let mut row = context.rows.row("hist");
        put_dimensions(&mut row, interval, metric.name, metric.unit.name(), &key, &parts);
        row.int(column::BUCKET_LO, signed(low)).int(column::BUCKET_HI, signed(high));
        row.int(column::COUNT, signed(bucket.count));
    }
}

fn put_dimensions(row: &mut Row<'_>, interval: Interval, metric: &str, unit: &str, key: &str, parts: &[KeyPart]) {
    row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
    row.text(column::METRIC, metric).text(column::UNIT, unit);
    if !key.is_empty() {
        row.text(column::KEY, key);
    }
    for part in parts {
        part.put(row);
    }
}

/// A recording has signed numbers only; what does not fit is as large as they get.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a record of a known layout.
fn read<T: Plain>(record: &[u8]) -> Result<T, Undecodable> {
    crate::bpf::read(record).ok_or(Undecodable { length: record.len() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::KeyPart;
    use super::REGISTRY;
    use super::column;
    use super::key_text;

    #[test]
    fn names_of_probes_metrics_kinds_and_columns_are_unique_and_prefixed() {
        let mut names = HashSet::new();
        for probe in REGISTRY {
            let info = probe.info();
            assert!(names.insert(info.name), "two probes are called '{}'", info.name);
            for metric in info.metrics {
                assert!(
                    metric.name.starts_with(&format!("{}.", info.name)),
                    "'{}' lacks its probe's prefix",
                    metric.name
                );
                assert!(names.insert(metric.name), "two metrics are called '{}'", metric.name);
                let known = |kind: &str| info.kinds.iter().any(|one| one.name == kind);
                assert!(metric.events.is_none_or(known), "'{}' names a kind that its probe has not", metric.name);
            }
            for column in info.columns {
                assert!(
                    column.name.starts_with(&format!("{}_", info.name)),
                    "'{}' lacks its probe's prefix",
                    column.name
                );
            }
        }
    }

    #[test]
    fn a_key_is_its_parts_joined_and_leaves_out_what_is_not_known() {
        let parts = [KeyPart::Int(column::PID, 7), KeyPart::Text(column::COMM, String::new())];
        assert_eq!(key_text(&parts), "7");
        let parts = [KeyPart::Text(column::DEV, "vda".into()), KeyPart::Text(column::OP, "read".into())];
        assert_eq!(key_text(&parts), "vda read");
    }
}
