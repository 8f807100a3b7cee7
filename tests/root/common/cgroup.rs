//! A cgroup with a CPU quota, of either version, for as long as a test needs it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::wait_for;

/// A cgroup that the CPU controller limits; it is removed when it is dropped and its processes have ended.
pub struct Quota {
    directory: PathBuf,
    is_v2: bool,
}

/// What the kernel has counted of a cgroup.
#[derive(Debug, Clone, Copy)]
pub struct Throttled {
    /// Periods in which it ran out of quota.
    pub periods: i64,
    /// How long it was throttled.
    pub ns: i64,
}

impl Quota {
    /// A new cgroup with this much of each 100 ms; `None` where no hierarchy has the controller.
    pub fn of(name: &str, quota_us: u32) -> Option<Quota> {
        let (parent, is_v2) = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
            .iter()
            .map(Path::new)
            .find(|path| path.join("cpu.cfs_period_us").exists() || path.join("cpu.shares").exists())
            .map(|path| (path, false))
            .or_else(|| {
                let root = Path::new("/sys/fs/cgroup");
                fs::write(root.join("cgroup.subtree_control"), "+cpu").ok().map(|()| (root, true))
            })?;
        let directory = parent.join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let quota = Quota { directory, is_v2 };
        match is_v2 {
            true => fs::write(quota.directory.join("cpu.max"), format!("{quota_us} 100000")),
            false => fs::write(quota.directory.join("cpu.cfs_quota_us"), quota_us.to_string()),
        }
        .unwrap();
        Some(quota)
    }

    /// Its path from the root of the hierarchy.
    pub fn path(&self) -> String {
        format!("/{}", self.directory.file_name().unwrap().to_str().unwrap())
    }

    /// Makes a command run in it from its first instruction on.
    pub fn runs<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let place = self.directory.join("cgroup.procs");
        let program = command.get_program().to_owned();
        let arguments: Vec<OsString> = command.get_args().map(Into::into).collect();
        let script = format!("echo $$ > '{}'; exec \"$0\" \"$@\"", place.display());
        *command = Command::new("sh");
        command.arg("-c").arg(script).arg(program).args(arguments)
    }

    /// The kernel's counters.
    pub fn throttled(&self) -> Throttled {
        let text = fs::read_to_string(self.directory.join("cpu.stat")).unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<i64>().ok())
        };
        let ns = if self.is_v2 { value("throttled_usec").map(|us| us * 1000) } else { value("throttled_time") };
        Throttled { periods: value("nr_throttled").unwrap(), ns: ns.unwrap() }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The kernel takes a moment to let go of processes that have ended.
        if !std::thread::panicking() {
            wait_for("the cgroup to be empty", || fs::remove_dir(&self.directory).ok());
        }
    }
}
