//! Which process an id meant at a time, and what it was called.

use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

/// Names of one id that are kept beside the last: more often than a thousand times an interval only a program changes its name
/// that is out for memory.
const MOST_EARLIER: usize = 1000;

/// The names of the processes in scope and since when each had them, for as long as rows of that time may come.
///
/// An id is used again, so a process is told by its id and its start.
/// A process that has ended keeps its name until its id is used again: aggregates that name it are drained later than it ends.
#[derive(Debug, Default)]
pub struct Names {
    by_pid: HashMap<u32, History, BuildHasherDefault<PidHasher>>,
    /// Processes with more than one name in their history.
    renamed: HashSet<u32>,
    /// When each of the processes was born that got an id which another had before, and its number as a holder of the id; in
    /// any order.
    reused: HashMap<u32, Vec<Birth>>,
}

#[derive(Debug, Clone, Copy)]
struct Birth {
    at_ns: u64,
    holder: u16,
}

/// The kernel side counts the holders of an id in a byte, and from 1 on.
const HOLDERS: u16 = 256;
/// Births that are kept of one id: as often as that an id is given again in an interval only by a program that asks for it.
const MOST_BIRTHS: usize = 200;

#[derive(Debug)]
struct Name {
    since_ns: u64,
    comm: Box<str>,
    /// When the process was born that has it.
    start_ns: u64,
}

/// Spreads process ids. They are looked up for each event, and the kernel gives them out one after the other, so that nobody can choose many
/// that collide; the default hasher takes ten times as long.
#[derive(Debug, Default)]
struct PidHasher(u64);

impl Hasher for PidHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, pid: u32) {
        // 2^64 / the golden ratio; the map takes the lowest bits and the highest, and the fold brings those of the middle down.
        let spread = (self.0 ^ u64::from(pid)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ spread >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What one process id was called.
#[derive(Debug)]
struct History {
    last: Name,
    /// The names before the last, oldest first.
    earlier: Vec<Name>,
}

impl Names {
    /// Notes that the process `pid` which was born at `start_ns` of CLOCK_BOOTTIME was called `comm` from `since_ns` of
    /// CLOCK_MONOTONIC on; notes may come in any order.
    pub fn set(&mut self, pid: u32, start_ns: u64, since_ns: u64, comm: &str) {
        let name = Name { since_ns, comm: comm.into(), start_ns };
        let Some(history) = self.by_pid.get_mut(&pid) else {
            self.by_pid.insert(pid, History { last: name, earlier: Vec::new() });
            return;
        };
        if since_ns >= history.last.since_ns {
            history.earlier.push(std::mem::replace(&mut history.last, name));
        } else {
            let place = history.earlier.partition_point(|earlier| earlier.since_ns <= since_ns);
            history.earlier.insert(place, name);
        }
        if history.earlier.len() > MOST_EARLIER {
            history.earlier.remove(0);
        }
        self.renamed.insert(pid);
    }

    /// Notes that a process was born at `at_ns`, the `holder`th of its id; before its name is noted.
    pub fn born(&mut self, pid: u32, holder: u16, at_ns: u64) {
        if self.by_pid.contains_key(&pid) {
            let births = self.reused.entry(pid).or_default();
            if births.len() < MOST_BIRTHS {
                births.push(Birth { at_ns, holder });
            }
        }
    }

    /// Forgets the processes that `keep` does not want and that were named before `ns`.
    pub fn forget_unless(&mut self, ns: u64, keep: impl Fn(u32) -> bool) {
        self.by_pid.retain(|pid, history| history.last.since_ns >= ns || keep(*pid));
        self.reused.retain(|pid, _| self.by_pid.contains_key(pid));
    }

    /// The names at a moment.
    pub fn at(&self, ns: u64) -> NamesThen<'_> {
        NamesThen { names: self, ns }
    }

    /// Names for row after row: those come in runs of one process.
    pub fn by_row(&self) -> NamesByRow<'_> {
        NamesByRow { names: self, last: None }
    }

    /// Forgets names that were replaced before `ns`: no row of an earlier time comes any more.
    pub fn forget_before(&mut self, ns: u64) {
        let Names { by_pid, renamed, reused } = self;
        reused.retain(|_, births| {
            // The last one before has the id then.
            let last = births.iter().map(|birth| birth.at_ns).filter(|at_ns| *at_ns <= ns).max();
            births.retain(|birth| last.is_none_or(|last| birth.at_ns >= last));
            births.len() > 1 || last.is_none()
        });
        renamed.retain(|pid| {
            let Some(History { last, earlier }) = by_pid.get_mut(pid) else { return false };
            let ends = earlier.iter().skip(1).map(|next| next.since_ns).chain([last.since_ns]);
            let over = ends.take_while(|end| *end <= ns).count();
            earlier.drain(..over);
            !earlier.is_empty()
        });
    }
}

/// The names of processes at a moment.
#[derive(Debug, Clone, Copy)]
pub struct NamesThen<'a> {
    names: &'a Names,
    ns: u64,
}

impl<'a> NamesThen<'a> {
    /// The names at another moment.
    pub fn at(self, ns: u64) -> NamesThen<'a> {
        NamesThen { ns, ..self }
    }

    /// What the process `pid` was called then, if it was ever heard of; before it was first heard of, its first name.
    pub fn get(&self, pid: u32) -> Option<&'a str> {
        self.name(pid).map(|name| &*name.comm)
    }

    /// When the process was born that had the id `pid` then, in nanoseconds of CLOCK_BOOTTIME.
    pub fn start_ns(&self, pid: u32) -> Option<u64> {
        self.name(pid).map(|name| name.start_ns)
    }

    /// The names at the last moment before this one at which the id `pid` was that of its `holder`th process: where the id is
    /// another's by now, that is before the birth of the next one. 0: not known which.
    pub fn held(self, pid: u32, holder: u16) -> NamesThen<'a> {
        self.last_of(pid, holder).map_or(self, |ns| self.at(ns))
    }

    /// The time of the names that [`NamesThen::held`] gives, where they are others than these.
    pub fn last_of(&self, pid: u32, holder: u16) -> Option<u64> {
        let births = self.names.reused.get(&pid).filter(|_| holder != 0)?;
        // Other ids count with this one, so the number may be higher than it was at the birth.
        let since = |birth: &Birth| (holder + HOLDERS - birth.holder.min(HOLDERS)) % HOLDERS;
        let own = births.iter().filter(|birth| since(birth) < HOLDERS / 2);
        let own = own.min_by_key(|birth| (since(birth), std::cmp::Reverse(birth.at_ns)));
        let own_ns = own.map_or(0, |birth| birth.at_ns);
        let next = births.iter().map(|birth| birth.at_ns).filter(|at_ns| *at_ns > own_ns).min()?;
        (next <= self.ns).then_some(next - 1)
    }

    fn name(&self, pid: u32) -> Option<&'a Name> {
        Some(self.names.by_pid.get(&pid)?.at(self.ns))
    }
}

impl History {
    /// The name at a moment; the first before that.
    fn at(&self, ns: u64) -> &Name {
        let History { last, earlier } = self;
        let known = || earlier.iter().rev().find(|name| name.since_ns <= ns).or(earlier.first());
        if last.since_ns <= ns { last } else { known().unwrap_or(last) }
    }
}

/// The names of the processes of rows, each at its own moment.
#[derive(Debug)]
pub struct NamesByRow<'a> {
    names: &'a Names,
    /// The process of the row before.
    last: Option<(u32, Option<&'a History>)>,
}

impl<'a> NamesByRow<'a> {
    /// What [`NamesThen::get`] gives for the moment.
    pub fn get(&mut self, pid: u32, ns: u64) -> Option<&'a str> {
        self.history(pid).map(|history| &*history.at(ns).comm)
    }

    /// What [`NamesThen::start_ns`] gives for the moment.
    pub fn start_ns(&mut self, pid: u32, ns: u64) -> Option<u64> {
        self.history(pid).map(|history| history.at(ns).start_ns)
    }

    fn history(&mut self, pid: u32) -> Option<&'a History> {
        match self.last {
            Some((last, history)) if last == pid => history,
            _ => {
                let history = self.names.by_pid.get(&pid);
                self.last = Some((pid, history));
                history
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn what_counted_under_a_number_is_the_holder_s_of_the_id() {
        let mut names = Names::default();
        names.set(7, 1, 0, "first");
        // Another id counts with this one between the second and the third.
        for (holder, at_ns, comm) in [(4, 200, "third"), (2, 100, "second")] {
            names.born(7, holder, at_ns);
            names.set(7, at_ns, at_ns, comm);
        }
        let end = names.at(1000);
        let held = [1, 2, 3, 4, 5, 0].map(|holder| end.held(7, holder).get(7).unwrap());
        assert_eq!(held, ["first", "second", "second", "third", "third", "third"]);
        assert_eq!(names.at(150).held(7, 2).get(7), Some("second"));
        // The count starts over after a byte.
        names.born(7, 1, 300);
        names.set(7, 300, 300, "fourth");
        assert_eq!(names.at(1000).held(7, 1).get(7), Some("fourth"));
        assert_eq!(names.at(1000).held(7, 100).get(7), Some("third"));
        assert_eq!(names.at(1000).last_of(8, 1), None);
        names.forget_before(350);
        assert_eq!(names.at(1000).last_of(7, 4), None);
    }

    fn renamed() -> Names {
        let mut names = Names::default();
        names.set(7, 1, 10, "sh");
        names.set(7, 25, 30, "last");
        // Another CPU's note, read late.
        names.set(7, 1, 20, "env");
        names
    }

    #[test]
    fn a_row_has_the_name_of_its_moment() {
        let names = renamed();
        let called = |ns| names.at(ns).get(7);
        assert_eq!([9, 10, 19, 20, 29, 30, 99].map(called), ["sh", "sh", "sh", "env", "env", "last", "last"].map(Some));
        assert_eq!(names.at(50).get(8), None);
        assert_eq!([20, 30].map(|ns| names.at(ns).start_ns(7)), [Some(1), Some(25)]);
    }

    #[test]
    fn rows_of_several_processes_have_the_names_of_their_moments() {
        let mut names = renamed();
        names.set(8, 5, 0, "other");
        let mut by_row = names.by_row();
        let rows = [(7, 9), (7, 20), (8, 20), (9, 20), (7, 30), (9, 1)];
        let called = rows.map(|(pid, ns)| by_row.get(pid, ns));
        assert_eq!(called, [Some("sh"), Some("env"), Some("other"), None, Some("last"), None]);
        let starts = rows.map(|(pid, ns)| by_row.start_ns(pid, ns));
        assert_eq!(starts, rows.map(|(pid, ns)| names.at(ns).start_ns(pid)));
    }

    #[test]
    fn names_are_forgotten_once_no_row_can_have_them() {
        let mut names = renamed();
        names.forget_before(19);
        assert_eq!(names.at(19).get(7), Some("sh"));
        names.forget_before(25);
        assert_eq!((names.at(25).get(7), names.by_pid[&7].earlier.len()), (Some("env"), 1));
        names.forget_before(30);
        assert_eq!((names.at(30).get(7), names.renamed.len()), (Some("last"), 0));
    }
}
