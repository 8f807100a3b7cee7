//! Network namespaces that a test makes: they live as long as a process that waits in them, and nothing is mounted.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;

use super::wait_for;

/// A namespace with its loopback up.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// Makes one.
    pub fn new() -> Namespace {
        let holder = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let namespace = Namespace { holder: holder.unwrap() };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        wait_for("a network namespace", || std::fs::read_link(namespace.path()).ok().filter(|theirs| *theirs != own));
        namespace.run("ip link set lo up");
        namespace
    }

    /// What names it to others.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// A process in it.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A program that runs in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program).env_remove("LD_LIBRARY_PATH");
        command
    }

    /// Runs a program and its arguments, split at spaces, and gives what it says.
    pub fn run(&self, words: &str) -> String {
        let mut words = words.split(' ');
        let output = self.command(words.next().unwrap()).args(words).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Does something in it, on a thread of its own.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(self.path()).unwrap();
        std::thread::scope(|threads| {
            let thread = threads.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// Lets any CPU work on the packets of its loopback, in an interrupt that another CPU asks for.
    pub fn steer_packets(&self) {
        // sysfs shows the devices of the namespace that mounts it.
        const STEER: &str = "mount -t sysfs sysfs /sys && echo $0 > /sys/class/net/lo/queues/rx-0/rps_cpus";
        let cpus = std::thread::available_parallelism().unwrap().get().min(32);
        let mask = format!("{:x}", u32::MAX >> (32 - cpus));
        let status = self.command("unshare").args(["--mount", "sh", "-c", STEER, &mask]).status().unwrap();
        assert!(status.success(), "this kernel steers no packets");
    }

    /// A counter of the kernel's, as nstat(8) shows it: `Tcp` and `RetransSegs`.
    pub fn counter(&self, protocol: &str, name: &str) -> i64 {
        let text = self.within(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
        let mut lines = text.lines().filter(|line| line.starts_with(&format!("{protocol}:")));
        let names: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let values: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let at = names.iter().position(|own| *own == name).unwrap();
        values[at].parse().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
