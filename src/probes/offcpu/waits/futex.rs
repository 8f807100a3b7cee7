//! What the word of a futex says when it is read from outside of its process.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::host::foreign;

/// The bit that a lock's word has when threads wait for it, and the bits of its owner (include/uapi/linux/futex.h).
const WAITERS: u32 = 0x8000_0000;
const OWNER: u32 = 0x3fff_ffff;
/// No thread has a larger id (include/linux/threads.h, `PID_MAX_LIMIT`).
const LARGEST_TID: u32 = 4 << 20;
/// The state of a lock for which threads wait, in glibc, Rust and most others (Drepper, "Futexes Are Tricky").
const CONTENDED: u32 = 2;

/// A lock that threads wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Its owner, as it says; 0: it does not.
    pub(super) owner: u32,
}

/// How long all looks into the memory of processes may take.
const DEADLINE: Duration = Duration::from_millis(200);

/// A futex that a thread waits on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    pub(super) pid: u32,
    pub(super) address: u64,
    /// What the thread expected it to hold.
    pub(super) value: u32,
}

/// Which of these are contended locks. Those of which that is not known in time are none.
///
/// A page can be one that its process, or a file system of a user's, never delivers: then reading it does not return. That happens in a
/// thread of its own, which nobody waits for.
pub(super) fn locks(waited: Vec<Waited>) -> Vec<Option<Lock>> {
    until(DEADLINE, waited, look)
}

fn until<T: Send + 'static>(deadline: Duration, all: Vec<T>, look: fn(&T) -> Option<Lock>) -> Vec<Option<Lock>> {
    let mut found = vec![None; all.len()];
    let (answer, answers) = channel();
    let looks = move || all.iter().map(look).enumerate().try_for_each(|lock| answer.send(lock));
    // The answer is of no use to anybody once the deadline has passed.
    if thread::Builder::new().name("ebrec-futexes".to_owned()).spawn(looks).is_err() {
        return found;
    }
    let end = Instant::now() + deadline;
    while let Ok((at, lock)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if let Some(place) = found.get_mut(at) {
            *place = lock;
        }
    }
    found
}

/// The same rule as in bpf/offcpu/targets.h.
fn look(&Waited { pid, address, value }: &Waited) -> Option<Lock> {
    let memory = foreign::open(Path::new(&format!("/proc/{pid}/mem"))).ok()?;
    let mut bytes = [0_u8; 12];
    memory.read_exact_at(&mut bytes, address).ok()?;
    let [word, _count, owner] = [0, 4, 8].map(|at| {
        let mut word = [0; 4];
        word.iter_mut().zip(bytes.iter().skip(at)).for_each(|(to, from)| *to = *from);
        u32::from_ne_bytes(word)
    });
    judge(word, value, owner)
}

fn judge(word: u32, value: u32, owner: u32) -> Option<Lock> {
    if word == CONTENDED && value == CONTENDED {
        return Some(Lock { owner });
    }
    let in_word = value & OWNER;
    (value & WAITERS != 0 && in_word != 0 && in_word <= LARGEST_TID).then_some(Lock { owner: in_word })
}

/// The owner of a lock, if it is what a lock can say: a thread of the process, unless the lock is the kernel's. Of a process that has
/// ended it is taken as it is.
pub(super) fn thread_of(pid: u32, owner: u32, is_kernels: bool) -> Option<u32> {
    let process = format!("/proc/{pid}/task");
    let process = Path::new(&process);
    let known = owner != 0 && (is_kernels || process.join(owner.to_string()).exists() || !process.exists());
    known.then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::Lock;
    use super::Waited;
    use super::judge;
    use super::locks;
    use super::thread_of;
    use super::until;
    use std::time::Duration;
    use std::time::Instant;

    #[test]
    fn a_lock_says_two_or_its_owner_with_a_bit_for_its_waiters() {
        assert_eq!(judge(2, 2, 4711), Some(Lock { owner: 4711 }));
        assert_eq!(judge(1, 2, 4711), None);
        assert_eq!(judge(0x8000_0000 | 4711, 0x8000_0000 | 4711, 0), Some(Lock { owner: 4711 }));
    }

    #[test]
    fn a_parked_thread_of_rusts_and_a_semaphore_of_musls_are_no_locks() {
        assert_eq!(judge(u32::MAX, u32::MAX, 0), None);
        assert_eq!(judge(0x8000_0000, 0x8000_0000, 0), None);
    }

    #[test]
    fn the_words_of_another_process_are_read_where_they_are() {
        let words: [u32; 3] = [2, 1, 99];
        let found = locks(vec![Waited { pid: std::process::id(), address: words.as_ptr() as u64, value: 2 }]);
        assert_eq!(found, [Some(Lock { owner: 99 })]);
    }

    #[test]
    fn memory_that_is_never_delivered_keeps_nobody_waiting() {
        fn look(at: &u32) -> Option<Lock> {
            if *at == 1 {
                std::thread::sleep(Duration::from_secs(3600));
            }
            Some(Lock { owner: *at })
        }
        let begin = Instant::now();
        let found = until(Duration::from_millis(50), vec![7, 1, 9], look);
        assert_eq!(found, [Some(Lock { owner: 7 }), None, None]);
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn an_owner_that_is_no_thread_of_the_process_is_none() {
        let own = std::process::id();
        assert_eq!(thread_of(own, own, false), Some(own));
        assert_eq!(thread_of(own, 1, false), None);
        assert_eq!(thread_of(own, 0, true), None);
    }
}
