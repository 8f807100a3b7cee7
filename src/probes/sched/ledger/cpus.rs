//! How each CPU spent each interval: busy, idle, or not known.

use super::pay;
use super::types;

/// What was written for each CPU.
#[derive(Debug, Default)]
pub(in super::super) struct Cpus {
    start_ns: u64,
    written: Vec<[u64; 3]>,
    until_ns: u64,
    pending: Vec<CpuPart>,
}

/// A CPU's share of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct CpuPart {
    /// Its number.
    pub(in super::super) cpu: u32,
    /// Where the interval ends.
    pub(in super::super) until_ns: u64,
    /// The interval's length.
    pub(in super::super) length_ns: u64,
    /// Time by state.
    pub(in super::super) states: Vec<(&'static str, u64)>,
}

const STATES: [&str; 3] = ["busy", "idle", "unknown"];

impl Cpus {
    /// The window begins.
    pub(in super::super) fn begin(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
        self.until_ns = start_ns;
    }

    /// An interval ended at `end_ns`; `running` is what the kernel has added up for each possible CPU.
    pub(in super::super) fn end_interval(&mut self, running: &[types::running], online: &[u32], end_ns: u64) {
        if end_ns <= self.until_ns {
            return;
        }
        let length_ns = end_ns - self.until_ns;
        self.until_ns = end_ns;
        self.written.resize(self.written.len().max(running.len()), [0; 3]);
        for ((cpu, told), written) in (0_u32..).zip(running).zip(&mut self.written) {
            if told.since == 0 && !online.contains(&cpu) {
                continue;
            }
            let (open, since) = match (told.since, told.tid) {
                // It did not switch yet, so that what it runs was never heard.
                (0, _) => (2, self.start_ns),
                (since, 0) => (1, since),
                (since, _) => (0, since),
            };
            let mut added = [told.busy_ns, told.idle_ns, told.unseen_ns].map(|ns| ns as i64);
            if let Some(added) = added.get_mut(open) {
                // Negative where the switch came just after the interval's end.
                *added += end_ns as i64 - since as i64;
            }
            for (added, written) in added.iter_mut().zip(&*written) {
                *added -= *written as i64;
            }
            pay(&mut added);
            let mut states = Vec::new();
            for ((state, added), written) in STATES.iter().zip(added).zip(written) {
                let ns = u64::try_from(added).unwrap_or(0);
                *written += ns;
                if ns > 0 {
                    states.push((*state, ns));
                }
            }
            self.pending.push(CpuPart { cpu, until_ns: end_ns, length_ns, states });
        }
    }

    /// Takes what is not written yet.
    pub(in super::super) fn take(&mut self) -> Vec<CpuPart> {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::Cpus;
    use super::types;

    fn running(since: u64, tid: u32, busy_ns: u64, idle_ns: u64) -> types::running {
        types::running { since, tid, busy_ns, idle_ns, ..Default::default() }
    }

    #[test]
    fn busy_and_idle_add_up_to_each_interval_whatever_still_runs() {
        let mut cpus = Cpus::default();
        cpus.begin(1000);
        // CPU 0 runs since 1700 what it got after 600 idle and 100 busy; CPU 1 was idle all along since 1001.
        cpus.end_interval(&[running(1700, 7, 100, 600), running(1001, 0, 1, 0)], &[0, 1], 2000);
        let parts = cpus.take();
        assert_eq!(parts[0].states, [("busy", 400), ("idle", 600)]);
        assert_eq!(parts[1].states, [("busy", 1), ("idle", 999)]);
        cpus.end_interval(&[running(1700, 7, 100, 600), running(1001, 0, 1, 0)], &[0, 1], 3000);
        assert_eq!(cpus.take()[0].states, [("busy", 1000)]);
    }

    #[test]
    fn a_switch_just_after_the_interval_belongs_to_the_next_one() {
        let mut cpus = Cpus::default();
        cpus.begin(1000);
        // It left at 2050, and the interval ended at 2000.
        cpus.end_interval(&[running(2050, 0, 1050, 0)], &[0], 2000);
        assert_eq!(cpus.take()[0].states, [("busy", 1000)]);
        cpus.end_interval(&[running(2050, 0, 1050, 0)], &[0], 3000);
        assert_eq!(cpus.take()[0].states, [("busy", 50), ("idle", 950)]);
    }

    #[test]
    fn what_turns_out_not_to_have_been_shown_is_not_counted_twice() {
        let mut cpus = Cpus::default();
        cpus.begin(1000);
        cpus.end_interval(&[running(1000, 7, 0, 0)], &[0], 2000);
        assert_eq!(cpus.take()[0].states, [("busy", 1000)]);
        // 7 had left at 1900, and the next thread, that came at 2200, was the first to be seen leaving.
        let told = types::running { unseen_ns: 300, ..running(2600, 0, 1300, 0) };
        cpus.end_interval(&[told], &[0], 3000);
        let sum: u64 = cpus.take()[0].states.iter().map(|(_, ns)| ns).sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn a_cpu_that_never_switched_is_not_called_idle() {
        let mut cpus = Cpus::default();
        cpus.begin(1000);
        cpus.end_interval(&[running(0, 0, 0, 0), running(0, 0, 0, 0)], &[0], 2000);
        let parts = cpus.take();
        assert_eq!(parts.len(), 1, "CPU 1 is not online");
        assert_eq!(parts[0].states, [("unknown", 1000)]);
    }
}
