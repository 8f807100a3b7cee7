//! Which process an id meant at a time, and what it was called.

use std::collections::HashMap;
use std::collections::HashSet;

/// Names of one id that are kept beside the last: more often than a thousand times an interval only a program changes its name
/// that is out for memory.
const MOST_EARLIER: usize = 1000;

/// The names of the processes in scope and since when each had them, for as long as rows of that time may come.
///
/// An id is used again, so a process is told by its id and its start.
/// A process that has ended keeps its name until its id is used again: aggregates that name it are drained later than it ends.
#[derive(Debug, Default)]
pub struct Names {
    by_pid: HashMap<u32, History>,
    /// Processes with more than one name in their history.
    renamed: HashSet<u32>,
}

#[derive(Debug)]
struct Name {
    since_ns: u64,
    comm: Box<str>,
    /// When the process was born that has it.
    start_ns: u64,
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

    /// The names at a moment.
    pub fn at(&self, ns: u64) -> NamesThen<'_> {
        NamesThen { names: self, ns }
    }

    /// Forgets names that were replaced before `ns`: no row of an earlier time comes any more.
    pub fn forget_before(&mut self, ns: u64) {
        let Names { by_pid, renamed } = self;
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

    fn name(&self, pid: u32) -> Option<&'a Name> {
        let History { last, earlier } = self.names.by_pid.get(&pid)?;
        let known = || earlier.iter().rev().find(|name| name.since_ns <= self.ns).or(earlier.first());
        Some(if last.since_ns <= self.ns { last } else { known().unwrap_or(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

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
