//! Time on CPUs inside an interval, where slices reach over its ends.
//!
//! The kernel adds a slice when it ends. What is still running when an interval ends is added here, remembered, and
//! taken off again when the kernel adds the whole slice. So each interval has its own time, and the sum over a window
//! is exact: every slice is in it once.

use std::collections::HashMap;

/// What a CPU was running when an interval ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    /// Since when, in nanoseconds of CLOCK_MONOTONIC; 0: not known.
    pub(super) since: u64,
    /// The process; 0: idle, or not in scope.
    pub(super) pid: u32,
    /// The thread.
    pub(super) tid: u32,
}

/// The slices that reach over the end of the last interval, and what each interval still owes.
#[derive(Debug, Default)]
pub(super) struct OnCpu {
    open: HashMap<usize, Open>,
    corrections: HashMap<u32, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    slice: Running,
    counted: u64,
}

impl OnCpu {
    /// An interval ended at `end_ns`, when the CPUs ran `running`.
    pub(super) fn end_interval(&mut self, running: &[Running], end_ns: u64) {
        for (cpu, slice) in running.iter().enumerate() {
            let before = self.open.remove(&cpu);
            let counted = match before {
                Some(open) if open.slice == *slice => open.counted,
                Some(open) => {
                    self.correct(open.slice.pid, -(open.counted as i64));
                    0
                }
                None => 0,
            };
            if slice.pid != 0 && slice.since != 0 && slice.since < end_ns {
                let so_far = end_ns - slice.since;
                self.correct(slice.pid, so_far as i64 - counted as i64);
                self.open.insert(cpu, Open { slice: *slice, counted: so_far });
            }
        }
    }

    fn correct(&mut self, pid: u32, ns: i64) {
        *self.corrections.entry(pid).or_default() += ns;
    }

    /// Puts what the kernel added, (count, ns) by process, and the corrections together: (pid, count, ns).
    ///
    /// A slice that ended between the end of the interval and the look at the CPUs can make a process's time negative;
    /// the rest is then taken off the next interval.
    pub(super) fn settle(&mut self, mut times: HashMap<u32, (u64, u64)>) -> Vec<(u32, u64, u64)> {
        for (pid, correction) in std::mem::take(&mut self.corrections) {
            let time = times.entry(pid).or_default();
            let corrected = time.1 as i64 + correction;
            time.1 = corrected.max(0) as u64;
            if corrected < 0 {
                self.correct(pid, corrected);
            }
        }
        times.into_iter().map(|(pid, (count, ns))| (pid, count, ns)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::OnCpu;
    use super::Running;
    use std::collections::HashMap;

    const HOG: Running = Running { since: 100, pid: 7, tid: 7 };

    fn settled(on_cpu: &mut OnCpu, kernel: &[(u32, u64, u64)]) -> HashMap<u32, u64> {
        let times = kernel.iter().map(|(pid, count, ns)| (*pid, (*count, *ns))).collect();
        on_cpu.settle(times).into_iter().map(|(pid, _, ns)| (pid, ns)).collect()
    }

    #[test]
    fn a_hog_that_never_leaves_its_cpu_is_in_every_interval() {
        let mut on_cpu = OnCpu::default();
        on_cpu.end_interval(&[HOG], 1100);
        assert_eq!(settled(&mut on_cpu, &[])[&7], 1000);
        on_cpu.end_interval(&[HOG], 2100);
        assert_eq!(settled(&mut on_cpu, &[])[&7], 1000);
    }

    #[test]
    fn a_slice_that_ends_is_not_counted_twice() {
        let mut on_cpu = OnCpu::default();
        on_cpu.end_interval(&[HOG], 1100);
        assert_eq!(settled(&mut on_cpu, &[])[&7], 1000);
        // It left at 1500: the kernel adds its whole 1400.
        on_cpu.end_interval(&[Running { since: 1500, pid: 0, tid: 0 }], 2100);
        assert_eq!(settled(&mut on_cpu, &[(7, 1, 1400)])[&7], 400);
    }

    #[test]
    fn a_slice_that_ends_just_after_the_interval_is_made_up_for_in_the_next() {
        let mut on_cpu = OnCpu::default();
        on_cpu.end_interval(&[HOG], 1100);
        assert_eq!(settled(&mut on_cpu, &[])[&7], 1000);
        // Seen gone at the end of the second interval, but the kernel's sum comes with the third.
        on_cpu.end_interval(&[Running { since: 2101, pid: 0, tid: 0 }], 2100);
        assert_eq!(settled(&mut on_cpu, &[])[&7], 0);
        on_cpu.end_interval(&[Running { since: 2101, pid: 0, tid: 0 }], 3100);
        assert_eq!(settled(&mut on_cpu, &[(7, 1, 2001)])[&7], 1001);
    }
}
