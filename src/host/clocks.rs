//! The machine's clocks, and how they relate.

use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::host::root::Root;

/// How often the clocks are read to catch a moment in which nothing came between.
const TRIES: usize = 32;

/// One moment, by three clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC`: since the boot, without sleep; what programs in the kernel stamp events with.
    pub mono_ns: u64,
    /// `CLOCK_BOOTTIME`: since the boot, with sleep.
    pub boot_ns: u64,
    /// `CLOCK_REALTIME`: since 1970, UTC.
    pub real_ns: i64,
    /// How far the readings may be apart at most.
    pub uncertainty_ns: u64,
}

impl ClockReading {
    /// Returns what to add to a monotonic time to get the UTC time.
    pub fn offset_ns(&self) -> i64 {
        self.real_ns.saturating_sub(signed(self.mono_ns))
    }

    /// Returns what to add to a boot time to get the monotonic time: minus the time the machine has slept.
    pub fn boot_to_mono_ns(&self) -> i64 {
        signed(self.mono_ns).saturating_sub(signed(self.boot_ns))
    }
}

/// Reads the three clocks as nearly at once as can be: the tightest of some tries.
pub fn read() -> ClockReading {
    tightest(|| (now(ClockId::Monotonic), now(ClockId::Boottime), now(ClockId::Realtime), now(ClockId::Monotonic)))
}

/// Returns CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic_ns() -> u64 {
    unsigned(now(ClockId::Monotonic))
}

fn tightest(mut read: impl FnMut() -> (i64, i64, i64, i64)) -> ClockReading {
    let mut best: Option<ClockReading> = None;
    for _ in 0..TRIES {
        let (before, boot, real, after) = read();
        let width = unsigned(after.saturating_sub(before));
        if best.is_none_or(|best| width < best.uncertainty_ns) {
            best = Some(ClockReading {
                // The other two were read between: its middle is nearest to both.
                mono_ns: unsigned(before).saturating_add(width / 2),
                boot_ns: unsigned(boot),
                real_ns: real,
                uncertainty_ns: width,
            });
        }
    }
    best.unwrap_or_default()
}

fn now(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn unsigned(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

/// The hardware that the kernel's clocks are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockSource {
    /// The one in use, such as `tsc`; empty when unknown.
    pub current: String,
    /// All that the machine offers.
    pub available: Vec<String>,
}

impl ClockSource {
    /// Reads it from sysfs.
    pub fn read(root: &Root) -> ClockSource {
        let directory = "/sys/devices/system/clocksource/clocksource0";
        let text = |name| root.text(format!("{directory}/{name}")).unwrap_or_default();
        ClockSource {
            current: text("current_clocksource"),
            available: text("available_clocksource").split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Tells whether reading the clock means asking a chip outside the CPU: a microsecond each, for every event.
    pub fn is_slow(&self) -> bool {
        ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"].contains(&self.current.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ClockReading;
    use super::ClockSource;
    use super::TRIES;
    use super::read;
    use super::tightest;
    use crate::host::fixture::Machine;

    #[test]
    fn the_try_that_nothing_interrupted_is_taken() {
        let mut tries = 0;
        let reading = tightest(|| {
            tries += 1;
            let width = if tries == 7 { 40 } else { 5_000 };
            let before = tries * 1_000_000;
            (before, before + 500_000, 1_700_000_000_000_000_000 + before, before + width)
        });
        assert_eq!(tries, TRIES as i64);
        assert_eq!(reading.uncertainty_ns, 40);
        assert_eq!(reading.mono_ns, 7_000_020);
        assert_eq!(reading.offset_ns(), 1_700_000_000_000_000_000 - 20);
        assert_eq!(reading.boot_to_mono_ns(), 20 - 500_000);
    }

    #[test]
    fn a_clock_set_to_before_1970_does_not_break_the_offset() {
        let reading = ClockReading { mono_ns: 10, boot_ns: 10, real_ns: -5, uncertainty_ns: 0 };
        assert_eq!(reading.offset_ns(), -15);
    }

    #[test]
    fn this_machines_clocks_are_read_within_a_microsecond_and_agree_with_themselves() {
        let (first, second) = (read(), read());
        assert!(first.uncertainty_ns < 100_000, "{first:?}");
        assert!(second.mono_ns >= first.mono_ns);
        assert!(first.boot_ns >= first.mono_ns - first.uncertainty_ns);
        assert!(first.offset_ns().abs_diff(second.offset_ns()) < 1_000_000, "{first:?} {second:?}");
    }

    #[test]
    fn only_clocks_outside_the_cpu_are_slow() {
        let directory = "/sys/devices/system/clocksource/clocksource0";
        for (current, slow) in
            [("tsc", false), ("kvm-clock", false), ("arch_sys_counter", false), ("hpet", true), ("acpi_pm", true)]
        {
            let machine = Machine::new();
            machine.file(&format!("{directory}/current_clocksource"), format!("{current}\n"));
            machine.file(&format!("{directory}/available_clocksource"), "tsc hpet acpi_pm \n");
            let source = ClockSource::read(&machine.root());
            assert_eq!(source.is_slow(), slow, "{current}");
            assert_eq!(source.available, ["tsc", "hpet", "acpi_pm"]);
        }
        assert!(!ClockSource::default().is_slow());
    }
}
