//! The wall-clock ledger: what the kernel has added up since the window began becomes what each interval adds.

use std::collections::HashMap;

use super::types;

pub(super) mod cpus;
pub(super) mod names;

/// How many slots a thread's time is kept in.
const SLOTS: usize = types::ledger_slot::SLOTS.0 as usize;

/// The ledgers of all threads, as far as they were written.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    start_ns: u64,
    /// By id and time of birth: an id is used again, and what comes from several CPUs comes out of order.
    threads: HashMap<Key, Thread>,
    pending: Vec<Part>,
    round: u64,
}

/// A thread's id and time of birth when its first event was seen. In execve it takes over its leader's.
type Key = (u32, u64);

/// How much of a thread's ledger was written.
#[derive(Debug)]
struct Thread {
    until_ns: u64,
    written: Box<[Entry; SLOTS]>,
    /// The last pass that told of it.
    round: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    ns: u64,
    count: u32,
}

/// A thread's share of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its process.
    pub(super) pid: u32,
    /// The thread.
    pub(super) tid: u32,
    /// Its name, ended by a NUL.
    pub(super) comm: [u8; 16],
    /// Where the part ends: with the interval or the thread.
    pub(super) until_ns: u64,
    /// How much of the interval it lived.
    pub(super) lived_ns: u64,
    /// Slots with the time in them and how often it went into them.
    pub(super) slots: Vec<(u32, u64, u32)>,
}

impl Part {
    /// Time on a CPU.
    pub(super) fn on_cpu_ns(&self) -> u64 {
        let on_cpu = types::ledger_slot::SLOT_ON_CPU.0;
        self.slots.iter().find(|(slot, _, _)| *slot == on_cpu).map_or(0, |(_, ns, _)| *ns)
    }
}

impl Ledger {
    /// The window begins.
    pub(super) fn begin(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
    }

    /// An interval ended at `end_ns`: these are the threads that live, and all that the kernel has added up for each.
    pub(super) fn end_interval(
        &mut self,
        threads: impl Iterator<Item = (types::thread_line, types::ledger)>,
        end_ns: u64,
    ) {
        self.round += 1;
        for (line, ledger) in threads {
            let (slot, since) = open_slot(&line, &ledger);
            let since = if since == 0 { line.born.max(self.start_ns) } else { since };
            // A state that began after the interval's end is taken off: its time is in the state before it.
            let spent = |from: u64, to: u64| to as i64 - from as i64;
            if line.came > since {
                let on_cpu = (types::ledger_slot::SLOT_ON_CPU.0, spent(line.came, end_ns));
                self.close(&line, &ledger, &[(slot, spent(since, line.came)), on_cpu], end_ns);
            } else {
                self.close(&line, &ledger, &[(slot, spent(since, end_ns))], end_ns);
            }
        }
        // A thread that no pass reports any more is dead; its last record may be lost, or still on its way.
        let round = self.round;
        self.threads.retain(|_, thread| thread.round + 1 >= round);
    }

    /// A thread ended at `at_ns`.
    pub(super) fn died(&mut self, line: &types::thread_line, ledger: &types::ledger, at_ns: u64) {
        self.close(line, ledger, &[], at_ns);
        self.threads.remove(&key(line, ledger));
    }

    fn close(&mut self, line: &types::thread_line, ledger: &types::ledger, open: &[(u32, i64)], until_ns: u64) {
        let key = key(line, ledger);
        let fresh = || Thread {
            until_ns: key.1.max(self.start_ns),
            written: Box::new([Entry::default(); SLOTS]),
            round: self.round,
        };
        let thread = self.threads.entry(key).or_insert_with(fresh);
        thread.round = self.round;
        if until_ns <= thread.until_ns {
            return;
        }
        let mut added = [0_i64; SLOTS];
        for (slot, added) in added.iter_mut().enumerate() {
            let open: i64 = open.iter().filter(|(own, _)| *own as usize == slot).map(|(_, ns)| ns).sum();
            let is_gone = slot == types::ledger_slot::SLOT_GONE.0 as usize;
            if let (Some(ns), Some(written), false) = (ledger.ns.get(slot), thread.written.get(slot), is_gone) {
                *added = (*ns as i64).saturating_add(open).saturating_sub(written.ns as i64);
            }
        }
        pay(&mut added);
        let mut slots = Vec::new();
        let told = added.iter().zip(&ledger.count).zip(thread.written.iter_mut());
        for (slot, ((added, count), written)) in (0_u32..).zip(told) {
            let (ns, count) = (u64::try_from(*added).unwrap_or(0), count.wrapping_sub(written.count));
            if (ns == 0 && count == 0) || slot == types::ledger_slot::SLOT_GONE.0 {
                continue;
            }
            *written = Entry { ns: written.ns + ns, count: written.count.wrapping_add(count) };
            slots.push((slot, ns, count));
        }
        let lived_ns = until_ns - thread.until_ns;
        thread.until_ns = until_ns;
        // A leader whose id a thread has taken over ends under that thread's.
        let tid = if line.tid == line.pid { line.pid } else { key.0 };
        self.pending.push(Part { pid: line.pid, tid, comm: line.comm, until_ns, lived_ns, slots });
    }

    /// Takes the parts of the interval that ended at `end_ns`; threads that died since then belong to the next one.
    pub(super) fn take(&mut self, end_ns: u64) -> Vec<Part> {
        let (due, later) = std::mem::take(&mut self.pending).into_iter().partition(|part| part.until_ns <= end_ns);
        self.pending = later;
        due
    }
}

/// Where more was written before than there is now, the difference is taken off what other states get, so that they add
/// up: a switch came between the end of an interval and the look at the thread, or was not shown at all.
fn pay(added: &mut [i64]) {
    let mut debt: i64 = added.iter().filter(|ns| **ns < 0).map(|ns| -ns).sum();
    for ns in added.iter_mut().filter(|ns| **ns > 0) {
        let paid = debt.min(*ns);
        *ns -= paid;
        debt -= paid;
    }
}

fn key(line: &types::thread_line, ledger: &types::ledger) -> Key {
    if ledger.born == 0 { (line.tid, line.born) } else { (ledger.tid, ledger.born) }
}

/// The slot that a thread is in, and since when; 0: since it was born or the window began.
fn open_slot(line: &types::thread_line, ledger: &types::ledger) -> (u32, u64) {
    let told = line.slot != types::ledger_slot::SLOT_NONE.0;
    (if told { line.slot } else { ledger.slot }, ledger.since)
}

#[cfg(test)]
mod tests;
