//! Counters of the whole machine: stolen time, swapping, pressure, packets that the CPUs dropped.

use crate::host::auxv::Auxv;
use crate::host::counters;
use crate::host::counters::Counter;
use crate::host::counters::Name;
use crate::host::counters::Unit;
use crate::host::counters::VMSTAT;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;
use crate::record::counters::growth::Growth;

/// The kind of its rows.
const KIND: &str = "machine_stat";
/// Time too short for a row: 10 ms are a hundredth of an interval. Idle machines have some pressure, and are stolen some ticks.
pub(super) const LEAST_NS: u64 = 10_000_000;
/// Pages read from disks, too few for a row: a program that starts for the first time reads some.
const LEAST_PAGES: u64 = 16;

/// The machine's counters as they were written last.
pub(super) struct Machine {
    auxv: Auxv,
    growth: Growth,
    slowest_khz: Option<u64>,
}

impl Machine {
    /// Reads what they are.
    pub(super) fn begin(root: &Root, auxv: Auxv, now_ns: u64) -> Machine {
        Machine { auxv, growth: Growth::since(now_ns, &counters(root, auxv)), slowest_khz: None }
    }

    /// What grew since.
    pub(super) fn read(&mut self, root: &Root, now_ns: u64) -> Vec<Fact> {
        let grown = |counter: Counter| {
            let least = match counter.unit {
                Unit::Bytes | Unit::Count => LEAST_PAGES,
                Unit::Nanoseconds | Unit::Microseconds => LEAST_NS,
            };
            let rare = [Name::new("vmstat", "oom_kill"), Name::new("softnet", "dropped")].contains(&counter.name);
            let value = self.growth.of(&counter, now_ns, if rare { 1 } else { least })?;
            Some(Fact::new(KIND, counter.name, counter.unit, value))
        };
        let mut facts: Vec<Fact> = counters(root, self.auxv).into_iter().filter_map(grown).collect();
        facts.extend(self.frequency(root));
        facts
    }

    /// The slowest CPU's limit, where the firmware or a governor holds it below what it can: heat, power or a policy. In kHz.
    ///
    /// Source: `Documentation/admin-guide/pm/cpufreq.rst`; it is written when it changes.
    fn frequency(&mut self, root: &Root) -> Option<Fact> {
        let policies = root.names("/sys/devices/system/cpu/cpufreq");
        let limited = policies.iter().take(MOST_POLICIES).filter_map(|policy| {
            let number = |file: &str| root.number(format!("/sys/devices/system/cpu/cpufreq/{policy}/{file}"));
            let (limit, most) = (number("scaling_max_freq")?, number("cpuinfo_max_freq")?);
            u64::try_from(limit).ok().filter(|_| limit < most)
        });
        let slowest = limited.min();
        if slowest == self.slowest_khz {
            return None;
        }
        self.slowest_khz = slowest;
        Some(Fact::new(KIND, Name::new("cpufreq", "limit_khz"), Unit::Count, Value::Is(slowest?)))
    }
}

/// Frequency policies that are looked at: a server's CPUs have the same.
const MOST_POLICIES: usize = 16;

fn counters(root: &Root, auxv: Auxv) -> Vec<Counter> {
    let text = |path: &str| root.text(path).unwrap_or_default();
    let mut all = counters::keyed("vmstat", &text("/proc/vmstat"), &VMSTAT);
    all.extend(counters::steal(&text("/proc/stat"), auxv.ticks_per_second));
    all.extend(counters::softnet(&text("/proc/net/softnet_stat")));
    for (table, path) in [
        ("cpu.pressure", "/proc/pressure/cpu"),
        ("memory.pressure", "/proc/pressure/memory"),
        ("io.pressure", "/proc/pressure/io"),
        ("irq.pressure", "/proc/pressure/irq"),
    ] {
        all.extend(counters::pressure(table, &text(path)));
    }
    all
}
