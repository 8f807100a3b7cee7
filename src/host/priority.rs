//! How soon a thread gets a CPU where there are not enough of them.

use rustix::process::getpriority_process;
use rustix::process::setpriority_process;
use rustix::thread::Pid;

/// The highest among ordinary threads: for what has little to do, and loses what it comes too late for.
const FIRST: i32 = -20;
/// Nine times the share of an ordinary thread: for work that others wait for.
const SOONER: i32 = -10;
/// The lowest among ordinary threads: a hundredth of the share of one.
const LAST: i32 = 19;

/// Puts the calling thread before all other ordinary ones. It may be refused; then the thread waits as others do.
pub fn first() {
    let _ = setpriority_process(None, FIRST);
}

/// Does something before all other ordinary threads, on the calling one, and on those that it starts for it.
pub fn first_while<T>(work: impl FnOnce() -> T) -> T {
    let before = getpriority_process(None);
    first();
    let result = work();
    if let Ok(before) = before {
        let _ = setpriority_process(None, before);
    }
    result
}

/// Gives the calling thread an ordinary share, whatever the thread that started it has.
pub fn ordinary() {
    let _ = setpriority_process(None, 0);
}

/// Gives the calling thread more than an ordinary thread's share, whatever it had before. It may be refused.
pub fn sooner() {
    let _ = setpriority_process(None, SOONER);
}

/// Puts a thread of this process behind all other ordinary ones: nobody needs what it does any more, and it may not notice soon.
pub fn last(thread: Pid) {
    let _ = setpriority_process(Some(thread), LAST);
}
