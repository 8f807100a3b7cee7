//! Limits that a recording states, and what happens at them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use crate::common::recorder::EBREC;
use crate::common::skip;
use crate::common::wait_for;

/// A control group of version 1 or 2 with a limit on memory.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Group> {
        let name = format!("ebrec-memory-{}", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let parent = match version_1.join("memory.limit_in_bytes").exists() {
            true => version_1,
            false => Path::new("/sys/fs/cgroup"),
        };
        let group = Group(parent.join(name));
        fs::create_dir(&group.0).ok()?;
        (group.file("memory.max").or_else(|| group.file("memory.limit_in_bytes"))).is_some().then_some(group)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.join(name)).filter(|file| file.exists())
    }

    /// A short recording of the default probes under a limit in bytes.
    fn record(&self, limit: u64) -> Output {
        let file = self.file("memory.max").or_else(|| self.file("memory.limit_in_bytes")).unwrap();
        fs::write(file, limit.to_string()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let script = "echo $$ > \"$0/cgroup.procs\"; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&self.0).args([EBREC, "record", "-q", "-d", "2s", "-o"]);
        command.arg(directory.path().join("run.parquet")).output().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        wait_for("the control group to be empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn the_memory_that_a_recording_says_it_needs_is_enough() {
    let Some(group) = Group::new() else {
        return skip("the_memory_that_a_recording_says_it_needs_is_enough", "no control groups that limit memory");
    };
    let refused = group.record(40 << 20);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let needed = said.split("takes about ").nth(1).and_then(|rest| rest.split(" MiB").next()).unwrap();
    let needed = needed.parse::<f64>().unwrap().ceil() as u64;
    println!("{said}");
    let enough = group.record((needed + 1) << 20);
    assert!(enough.status.success(), "{}: {}", enough.status, String::from_utf8_lossy(&enough.stderr));
    let too_little = group.record((needed - 2) << 20);
    assert_eq!(too_little.status.code(), Some(1), "{}", String::from_utf8_lossy(&too_little.stderr));
}
