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
mod running;
mod sched;
pub mod settings;
mod signals;
mod syscall;
mod tcp;

use std::marker::PhantomData;

use anyhow::Result;
use libbpf_rs::OpenObject;

use self::running::Running;
use self::settings::cgroup_numbers;
use self::settings::object_settings;
use crate::bpf::Plain;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::optional;
use crate::bpf::settings::Settings;
use crate::probe::ProbeInfo;
use crate::probe::attached::Attached;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Probe;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
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
    const OBJECT: BpfObject;

    /// The decoder of a recording that is about to begin.
    fn new(setup: &Setup<'_>) -> Self;

    /// Cells of its aggregates, where the settings decide.
    fn cells(_setup: &Setup<'_>) -> u32 {
        Self::OBJECT.cells
    }

    /// The bytes of the constants that only this object has.
    fn knobs(_setup: &Setup<'_>) -> Option<Vec<u8>> {
        None
    }

    /// Takes in the programs that are needed, before they are loaded, and gives the hooks that this kernel lacks.
    fn choose(_setup: &Setup<'_>, open: &mut OpenObject) -> Vec<String> {
        optional::choose(open)
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
        let settings = Settings { knobs: knobs.as_deref(), ..object_settings(setup, &cgroups) };
        let source = BpfObject { cells: P::cells(setup), ..P::OBJECT };
        let live = Live::attach_chosen(source, &settings, |open| Ok(P::choose(setup, open)))?;
        Ok(Box::new(Running::new(P::INFO, live, P::new(setup))?))
    }
}

/// What differs between probes once they are attached: their records, and what their metrics are kept by.
trait Decoder: Send {
    /// Turns one record into rows.
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable>;

    /// The columns that a key of a metric fills.
    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart>;

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

    /// The last interval has ended, and all totals are read; the programs are attached still.
    fn ended(&mut self, _live: &mut Live) -> Result<()> {
        Ok(())
    }

    /// What began in the window and is still under way; `None` for a probe whose events are moments.
    fn under_way(&self, _live: &Live) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Takes what the probe itself keeps in the interval's maps, which no program writes any more.
    fn collect(&mut self, _live: &Live) -> Result<()> {
        Ok(())
    }

    /// Writes what the probe keeps by interval beside its metrics.
    fn write(&mut self, _interval: Interval, _context: &mut Context<'_>) {}

    /// The object is loaded and its own hooks are attached: attaches those that need more than a name.
    fn attached(&mut self, _live: &mut Live) -> Result<()> {
        Ok(())
    }

    /// Rows from here on refer to none before: what was written once is written again when it is needed.
    fn forget(&mut self) {}

    /// Whether it attaches to more while the window lasts.
    fn attaches_more(&self) -> bool {
        false
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
    fn process(pid: u32, names: NamesThen<'_>) -> [KeyPart; 2] {
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

    use super::REGISTRY;

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
                assert!(
                    info.metric(metric.number).is_some_and(|found| found.name == metric.name),
                    "'{}' has another metric's number",
                    metric.name
                );
                let known = |kind: &str| info.kinds.iter().any(|one| one.name == kind);
                assert!(metric.events.is_none_or(known), "'{}' names a kind that its probe has not", metric.name);
            }
            for column in info.columns {
                assert!(
                    column.name.starts_with(&format!("{}_", info.name)),
                    "'{}' lacks its probe's prefix",
                    column.name
                );
                let unit = column.unit.filter(|unit| *unit != "count");
                let ending = ["ns", "bytes"].into_iter().find(|unit| column.name.ends_with(&format!("_{unit}")));
                assert_eq!(unit, ending, "the name of '{}' does not end in its unit", column.name);
            }
        }
    }
}
