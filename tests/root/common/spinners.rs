//! Programs that keep the CPUs busy.

use std::process::Child;
use std::process::Command;

/// Programs that spin until the test is over.
pub struct Spinners(Vec<Child>);

impl Spinners {
    /// So many for each CPU.
    pub fn start(for_each_cpu: usize) -> Spinners {
        let cpus = std::thread::available_parallelism().unwrap().get();
        let spinner = |_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Spinners((0..for_each_cpu * cpus).map(spinner).collect())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}
