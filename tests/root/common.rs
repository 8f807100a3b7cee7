//! What the root tests share: recordings under way, their rows, workloads whose behaviour is known, the kernel's view.
//!
//! A test says what it wants recorded, runs a workload that knows what it did, and compares. Each test program takes
//! what it needs of these files.

pub mod cgroup;
pub mod disk;
pub mod kernel;
pub mod namespace;
pub mod recorder;
pub mod rows;
pub mod spinners;
pub mod workload;

pub use self::cgroup::Quota;
pub use self::namespace::Namespace;
pub use self::recorder::Recorder;
pub use self::recorder::Running;
pub use self::recorder::Taken;
pub use self::rows::Rows;
pub use self::spinners::Spinners;
pub use self::workload::Workload;
pub use crate::skip::skip;

use std::time::Duration;
use std::time::Instant;

/// The longest that a test waits for a fact on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `fact` gives something, looking every few milliseconds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is installed, administrators' places included.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/local/sbin";
    path.split(':').map(|dir| std::path::Path::new(dir).join(program)).find(|file| file.is_file())
}
