//! What the evidence says that the sleeps of each thread were, by the ledger's cause: the bridge from `wait` rows to the ledger.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Which;
use crate::report::read::waits::Waits;
use crate::report::read::waits::verdict::Verdict;

/// About what the waits of a thread with one cause take in memory.
const PART_BYTES: usize = 128;

/// Nanoseconds of waits by verdict, by cause.
type ByCause = Vec<(Rc<str>, Vec<(Verdict, u64)>)>;

/// Nanoseconds of waits by verdict, for each thread and cause that have evidence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    by: HashMap<(Which, i64), ByCause>,
}

impl Judged {
    /// Reads the evidence. Of a recording with more of it than fits into memory none is used, since a part of a target's waits may say
    /// something else than all of them.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn of(source: &Source) -> Result<Judged> {
        let mut limit = Limit::new();
        let waits = Waits::within(source, &mut limit)?;
        Ok(if limit.take(0) { Judged::by(&waits) } else { Judged::default() })
    }

    /// The same of waits that have been read.
    pub(crate) fn by(waits: &Waits) -> Judged {
        let mut limit = Limit::new();
        let mut judged = Judged::default();
        for (key, target) in &waits.targets {
            let verdict = target.verdict(&key.on);
            for (tid, party) in &target.threads {
                for (cause, of_cause) in &target.causes {
                    // A target nearly always has one cause.
                    let ns = u128::from(party.ns) * u128::from(*of_cause) / u128::from(target.ns.max(1));
                    let ns = u64::try_from(ns).unwrap_or(u64::MAX);
                    if ns > 0 && !judged.add((key.which, *tid), cause, (verdict, ns), &mut limit) {
                        return Judged::default();
                    }
                }
            }
        }
        judged
    }

    fn add(&mut self, thread: (Which, i64), cause: &Rc<str>, (verdict, ns): (Verdict, u64), limit: &mut Limit) -> bool {
        let causes = self.by.entry(thread).or_default();
        let at = causes.iter().position(|(own, _)| own == cause).unwrap_or(causes.len());
        if at == causes.len() {
            causes.push((Rc::clone(cause), Vec::new()));
        }
        // It was just found or added.
        let (_, parts) = &mut causes[at];
        match parts.iter_mut().find(|(own, _)| *own == verdict) {
            Some((_, sum)) => *sum = sum.saturating_add(ns),
            None if limit.take(PART_BYTES) => parts.push((verdict, ns)),
            None => return false,
        }
        true
    }

    /// What the waits of a thread with a cause were, with their nanoseconds; empty without evidence.
    pub(crate) fn parts(&self, which: Which, tid: i64, cause: &str) -> &[(Verdict, u64)] {
        let causes = self.by.get(&(which, tid)).map(Vec::as_slice).unwrap_or_default();
        causes.iter().find(|(own, _)| **own == *cause).map(|(_, parts)| parts.as_slice()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Judged;
    use crate::report::read::rows::Which;
    use crate::report::read::waits::Key;
    use crate::report::read::waits::Party;
    use crate::report::read::waits::Target;
    use crate::report::read::waits::Waits;
    use crate::report::read::waits::verdict::Verdict;

    #[test]
    fn a_thread_of_a_pool_can_wait_for_a_lock_and_idle_too() {
        let which = Which { pid: 7, start_ns: None };
        let key = |target| Key { which, on: "futex".into(), target: Some(target) };
        let party = |ns| Party { ns, count: 1, ..Party::default() };
        let lock = Target {
            ns: 30,
            contended_ns: 30,
            causes: [("futex".into(), 30)].into(),
            threads: [(7, party(10)), (8, party(20))].into(),
            ..Target::default()
        };
        let pool = Target {
            ns: 100,
            by_timer_ns: 100,
            causes: [("futex".into(), 100)].into(),
            threads: [(8, party(100))].into(),
            ..Target::default()
        };
        let judged = Judged::by(&Waits { targets: [(key(1), lock), (key(2), pool)].into() });
        assert_eq!(judged.parts(which, 7, "futex"), [(Verdict::Lock, 10)]);
        assert_eq!(judged.parts(which, 8, "futex"), [(Verdict::Lock, 20), (Verdict::Idle, 100)]);
        assert!(judged.parts(which, 8, "pipe").is_empty() && judged.parts(which, 9, "futex").is_empty());
    }
}
