//! Which processes share a row where tables list processes: a build's hundred compilers say more as one.

use std::collections::HashMap;
use std::rc::Rc;

use crate::report::read::rows::Which;

/// What has a row of its own in a table of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RowPer {
    /// Each process.
    #[default]
    Process,
    /// Each process, and each command for those of its processes that lived shortly, if there are several.
    LongProcess,
    /// Each command.
    Command,
}

/// A process that lived less than this, in nanoseconds, is known by its command: nobody could look at it by its id.
const SHORT_NS: i64 = 1_000_000_000;
/// As many short-lived processes of a command as fit a person's eye keep their own rows.
const FEW: usize = 3;

/// The command in whose row a process is, for those without a row of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folding {
    commands: HashMap<Which, Rc<str>>,
    /// Whether processes that nothing names are in their command's row too.
    all: bool,
}

impl Folding {
    /// Decides for processes, each with its command and how long it lived in all, in nanoseconds, if its end was seen.
    pub(crate) fn of(lives: impl Iterator<Item = (Which, Rc<str>, Option<i64>)>, per: RowPer) -> Folding {
        let mut commands: HashMap<Which, Rc<str>> = HashMap::new();
        let mut number: HashMap<Rc<str>, usize> = HashMap::new();
        for (which, comm, lifetime_ns) in lives {
            let shares = match per {
                RowPer::Process => false,
                RowPer::LongProcess => lifetime_ns.is_some_and(|ns| ns < SHORT_NS),
                RowPer::Command => true,
            };
            if shares {
                *number.entry(Rc::clone(&comm)).or_default() += 1;
                commands.insert(which, comm);
            }
        }
        if per == RowPer::LongProcess {
            commands.retain(|_, comm| number.get(comm).is_some_and(|number| *number > FEW));
        }
        Folding { commands, all: per == RowPer::Command }
    }

    /// Whether every process has a row of its own.
    pub(crate) fn is_none(&self) -> bool {
        self.commands.is_empty() && !self.all
    }

    /// The command in whose row a process is, by what its row calls it where nothing else names it.
    pub(crate) fn command(&self, which: Which, comm: Option<&str>) -> Option<Rc<str>> {
        let known = self.commands.get(&which).map(Rc::clone);
        known.or_else(|| comm.filter(|_| self.all).map(Rc::from))
    }
}

#[cfg(test)]
mod tests {
    use super::Folding;
    use super::RowPer;
    use crate::report::read::rows::Which;
    use std::rc::Rc;

    fn which(pid: i64) -> Which {
        Which { pid, start_ns: Some(pid) }
    }

    fn folded(of: &[(i64, &str, Option<i64>)], per: RowPer) -> Vec<i64> {
        let lives = of.iter().map(|(pid, comm, lifetime_ns)| (which(*pid), Rc::from(*comm), *lifetime_ns));
        let folding = Folding::of(lives, per);
        of.iter().map(|(pid, ..)| *pid).filter(|pid| folding.command(which(*pid), None).is_some()).collect()
    }

    #[test]
    fn many_short_lives_of_a_command_share_a_row_and_few_do_not() {
        let short = Some(5_000_000);
        let lives = [
            (1, "make", None),
            (2, "cc1", short),
            (3, "cc1", short),
            (4, "cc1", short),
            (5, "cc1", short),
            (6, "cc1", Some(3_000_000_000)),
            (7, "ld", short),
        ];
        assert_eq!(folded(&lives, RowPer::LongProcess), [2, 3, 4, 5]);
        assert_eq!(folded(&lives, RowPer::Process), [0i64; 0]);
        assert_eq!(folded(&lives, RowPer::Command), [1, 2, 3, 4, 5, 6, 7]);
    }
}
