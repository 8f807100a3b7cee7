//! Work on each of many recordings, on all cores, with its results in order.

use std::collections::BTreeMap;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Result;

/// Recordings that are read at a time, whatever the number of cores: each takes some megabytes.
const MOST_WORKERS: usize = 8;
/// Bytes of recordings that are read at a time. A larger one is read alone, since a view of it may take all the memory that a report has.
const MOST_BYTES: u64 = 16 << 20;
/// Results by worker that wait for one before them.
const AHEAD: usize = 4;

/// Works on the things from 0 to `count`, of `bytes` each, and visits the results in that order.
///
/// Few results wait to be visited, so memory does not grow with the number of things.
///
/// # Errors
/// What `visit` returns; what is under way is ended then, and no more is begun.
pub(super) fn each<T: Send>(
    count: usize,
    bytes: impl Fn(usize) -> u64 + Sync,
    work: impl Fn(usize) -> T + Sync,
    mut visit: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(MOST_WORKERS).min(count);
    let turns = Turns { state: Mutex::new(State::default()), changed: Condvar::new(), count, ahead: workers * AHEAD };
    thread::scope(|scope| {
        let (done, results) = channel();
        for _ in 0..workers {
            let (done, turns, bytes, work) = (done.clone(), &turns, &bytes, &work);
            scope.spawn(move || {
                while let Some(turn) = turns.take(bytes) {
                    if done.send((turn.at, work(turn.at))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (at, result) in results {
            early.insert(at, result);
            while let Some(result) = early.remove(&next) {
                if let Err(error) = visit(next, result) {
                    turns.change(|state| state.is_over = true);
                    return Err(error);
                }
                next += 1;
                turns.change(|state| state.visited = next);
            }
        }
        Ok(())
    })
}

/// Whose turn it is.
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    count: usize,
    /// How far the work may be ahead of the visits.
    ahead: usize,
}

#[derive(Default)]
struct State {
    next: usize,
    visited: usize,
    bytes: u64,
    under_way: usize,
    is_over: bool,
}

/// One thing that is worked on until this is dropped.
struct Turn<'a> {
    turns: &'a Turns,
    at: usize,
    bytes: u64,
}

impl Turns {
    /// Waits for the next thing that there is room for; `None` when nothing is left.
    fn take(&self, bytes: &impl Fn(usize) -> u64) -> Option<Turn<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.is_over || state.next >= self.count {
                return None;
            }
            let (at, own) = (state.next, bytes(state.next));
            let fits = state.under_way == 0 || state.bytes.saturating_add(own) <= MOST_BYTES;
            if fits && at < state.visited + self.ahead {
                state.next += 1;
                state.under_way += 1;
                state.bytes = state.bytes.saturating_add(own);
                return Some(Turn { turns: self, at, bytes: own });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.change(|state| {
            state.under_way -= 1;
            state.bytes = state.bytes.saturating_sub(self.bytes);
            // A result that never comes would be waited for.
            state.is_over |= thread::panicking();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::AHEAD;
    use super::MOST_BYTES;
    use super::MOST_WORKERS;
    use super::each;

    #[test]
    fn results_come_in_order_and_few_wait() {
        let (begun, mut seen) = (AtomicUsize::new(0), Vec::new());
        let work = |at: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            // The first of each ten is the slowest.
            std::thread::sleep(Duration::from_micros(if at.is_multiple_of(10) { 2000 } else { 10 }));
            at * at
        };
        each(
            200,
            |_| 1,
            work,
            |at, square| {
                assert!(begun.load(Ordering::SeqCst) <= at + MOST_WORKERS * AHEAD);
                seen.push(square);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, (0..200).map(|at| at * at).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_large_is_worked_on_alone() {
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_| {
            most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            under_way.fetch_sub(1, Ordering::SeqCst);
        };
        each(10, |_| MOST_BYTES, work, |_, ()| Ok(())).unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_error_of_a_visit_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |at: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            at
        };
        let end = each(1000, |_| 1, work, |at, _| if at == 3 { anyhow::bail!("enough") } else { Ok(()) });
        assert_eq!(end.unwrap_err().to_string(), "enough");
        assert!(begun.load(Ordering::SeqCst) <= 4 + MOST_WORKERS * AHEAD);
        assert!(each(0, |_| 1, |_| (), |_, ()| Ok(())).is_ok());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_the_work_is_not_waited_for() {
        let _ = each(100, |_| 1, |at| assert_ne!(at, 5, "planted"), |_, ()| Ok(()));
    }
}
