//! What a thread is looking at, so that others can see what it is stuck in.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::thread::Pid;
use rustix::thread::gettid;

use crate::host::foreign;
use crate::host::foreign::Identity;
use crate::host::priority;
use crate::host::process_stat::ProcessStat;

/// A thread that works, or would if it had a CPU, is not stuck until so many times the patience have passed.
const MORE_PATIENCE: u32 = 4;

/// Bytes of the file that says what a thread does.
const MAX_STAT: usize = 4096;

/// Something that may never answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Suspect {
    /// What a process says of itself, and the files that it has mapped.
    Process(u32),
    /// What is in a file.
    File(Identity),
    /// What a path leads to.
    Path(PathBuf),
}

/// The watch over one thread.
#[derive(Debug, Default)]
pub struct Watch {
    avoided: HashSet<Suspect>,
    is_over: AtomicBool,
    thread: OnceLock<Pid>,
    now: Mutex<Option<(Suspect, Instant)>>,
}

impl Watch {
    /// A watch over a thread that does not look at these.
    pub fn avoiding(avoided: HashSet<Suspect>) -> Watch {
        Watch { avoided, ..Watch::default() }
    }

    /// The calling thread is the one that is watched.
    pub fn begin(&self) {
        self.thread.get_or_init(gettid);
    }

    /// Nobody needs what the thread finds any more: it looks at nothing else, and what it is looking at may take as long as it
    /// likes.
    pub fn leave(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.get().copied().into_iter().for_each(priority::last);
    }

    /// Looks at something; `None` where that is to be avoided, or nobody needs it.
    pub fn look<T>(&self, at: Suspect, look: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.avoided.contains(&at) || self.is_over.load(Ordering::Relaxed) {
            return None;
        }
        let before = self.now().replace((at, Instant::now()));
        let seen = look();
        *self.now() = before;
        seen
    }

    /// What the thread has been looking at for longer than this, unless it works.
    pub fn stuck_in(&self, patience: Duration) -> Option<Suspect> {
        let (suspect, since) = self.now().clone()?;
        let took = since.elapsed();
        (took > patience && (!self.works() || took > MORE_PATIENCE * patience)).then_some(suspect)
    }

    /// Whether the thread has a CPU or waits for one.
    fn works(&self) -> bool {
        let Some(thread) = self.thread.get() else { return false };
        let stat = foreign::read(Path::new(&format!("/proc/self/task/{thread}/stat")), MAX_STAT).ok();
        stat.and_then(|stat| ProcessStat::parse(&stat)).is_some_and(|stat| stat.state == 'R')
    }

    fn now(&self) -> MutexGuard<'_, Option<(Suspect, Instant)>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::getpriority_process;

    use super::Suspect;
    use super::Watch;

    #[test]
    fn what_is_looked_at_is_seen_from_outside_and_what_is_avoided_is_not_looked_at() {
        let watch = Watch::default();
        let seen =
            watch.look(Suspect::Process(7), || watch.look(Suspect::Process(8), || watch.stuck_in(Duration::ZERO)));
        assert_eq!(seen, Some(Suspect::Process(8)));
        assert_eq!(watch.stuck_in(Duration::ZERO), None);
        let watch = Watch::avoiding([Suspect::Process(7)].into());
        assert_eq!(watch.look(Suspect::Process(7), || Some(1)), None);
    }

    #[test]
    fn a_thread_that_is_left_looks_at_nothing_else_and_gives_its_cpu_to_others() {
        let watch = Watch::default();
        std::thread::scope(|scope| {
            let left = scope.spawn(|| {
                watch.begin();
                watch.leave();
                (watch.look(Suspect::Process(7), || Some(1)), getpriority_process(None).unwrap())
            });
            assert_eq!(left.join().unwrap(), (None, 19));
        });
    }
}
