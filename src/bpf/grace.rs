//! Waiting until the programs that are under way have ended.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use rustix::thread::CpuSet;
use rustix::thread::sched_setaffinity;

use super::create::create_map;
use super::create::options;
use crate::host::priority;

/// How long the kernel's own wait may take before every CPU is visited instead.
const PATIENCE_NS: u64 = 100_000_000;

/// Hooks that run their programs with preemption off, and the first kernel that may do so with preemption on.
const NOT_PREEMPTIBLE: [&str; 3] = ["tp_btf/", "iter/", "perf_event/"];
const PREEMPTIBLE_SINCE: (u32, u32) = (7, 0);

/// The CPUs that can be visited to wait for all programs: none, if some program may be preempted.
pub fn visited<'a>(online: &[u32], kernel: (u32, u32), mut hooks: impl Iterator<Item = &'a str>) -> Option<Vec<u32>> {
    let is_safe = |hook: &str| NOT_PREEMPTIBLE.iter().any(|sort| hook.starts_with(sort));
    (kernel < PREEMPTIBLE_SINCE && hooks.all(is_safe)).then(|| online.to_vec())
}

/// Waits, in threads of its own, for every program that was running when it was asked to.
///
/// The kernel offers that wait to whoever changes an array of maps: the call returns when all programs that may have
/// seen the old map have ended (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c, since 4.20), after 10 to 30 ms on most machines.
/// Where more is to be done than the CPUs can, it takes seconds. Then, if no program can be preempted, every CPU is visited: where
/// this thread runs, no program is under way.
#[derive(Debug)]
pub struct Grace {
    kernel: Helper,
    visit: Option<Helper>,
    /// What was begun last, if it is not over.
    begun_ns: Option<u64>,
    /// The kernel's wait that is under way began before that.
    is_stale: bool,
}

/// The maps that the kernel is made to wait by.
#[derive(Debug)]
pub struct Maps {
    outer: MapHandle,
    inner: MapHandle,
}

impl Maps {
    /// Makes them, which takes a privilege that a recording gives up before it starts threads.
    ///
    /// # Errors
    /// When the kernel refuses the maps.
    pub fn create() -> Result<Maps> {
        let inner = create_map(MapType::Array, "ebrec_grace_in", 4, 4, 1, &options())?;
        let mut with_inner = options();
        with_inner.inner_map_fd = u32::try_from(inner.as_fd().as_raw_fd())?;
        let outer = create_map(MapType::ArrayOfMaps, "ebrec_grace", 4, 4, 1, &with_inner)?;
        Ok(Maps { outer, inner })
    }
}

impl Grace {
    /// Starts the threads, which end with this. `cpus`: those that are online, if no program can be preempted.
    ///
    /// # Errors
    /// When the kernel refuses the threads.
    pub fn start(maps: Maps, cpus: Option<Vec<u32>>) -> Result<Grace> {
        let Maps { outer, inner } = maps;
        let kernel = Helper::start("ebrec-grace", move || wait(&outer, &inner))?;
        let visit = cpus.map(|cpus| Helper::start("ebrec-visit", move || visit(&cpus))).transpose()?;
        Ok(Grace { kernel, visit, begun_ns: None, is_stale: false })
    }

    /// Begins to wait for the programs that are running now.
    pub fn begin(&mut self, now_ns: u64) {
        self.begun_ns = Some(now_ns);
        self.is_stale = self.kernel.under_way;
        if !self.is_stale {
            self.kernel.ask();
        }
    }

    /// Whether all that were running at the last [`Grace::begin`] have ended.
    ///
    /// # Errors
    /// When the kernel refused to wait.
    pub fn is_over(&mut self, now_ns: u64) -> Result<bool> {
        let Some(begun_ns) = self.begun_ns else { return Ok(true) };
        let waited = self.kernel.answer()?;
        if waited && std::mem::take(&mut self.is_stale) {
            self.kernel.ask();
        } else if waited {
            self.begun_ns = None;
            return Ok(true);
        }
        let Some(visit) = &mut self.visit else { return Ok(false) };
        if visit.under_way {
            match visit.answer() {
                Ok(true) => self.begun_ns = None,
                Ok(false) => {}
                // A CPU that this process may not use: only the kernel can tell.
                Err(_) => self.visit = None,
            }
        } else if self.is_stale || now_ns.saturating_sub(begun_ns) > PATIENCE_NS {
            visit.ask();
        }
        Ok(self.begun_ns.is_none())
    }
}

/// A thread that does one thing each time that it is asked to.
#[derive(Debug)]
struct Helper {
    ask: Sender<()>,
    done: Receiver<Result<()>>,
    under_way: bool,
}

impl Helper {
    fn start(name: &str, work: impl Fn() -> Result<()> + Send + 'static) -> Result<Helper> {
        let (ask, asked) = channel();
        let (answer, done) = channel();
        let works = move || {
            priority::first();
            for () in asked {
                if answer.send(work()).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(works).context("can't start a thread")?;
        Ok(Helper { ask, done, under_way: false })
    }

    fn ask(&mut self) {
        self.under_way = self.ask.send(()).is_ok();
    }

    /// Whether it has just ended what it was asked for.
    fn answer(&mut self) -> Result<bool> {
        if !self.under_way {
            return Ok(false);
        }
        match self.done.try_recv() {
            Ok(done) => {
                self.under_way = false;
                done.map(|()| true)
            }
            Err(TryRecvError::Empty) => Ok(false),
            Err(TryRecvError::Disconnected) => bail!("a thread that waits for programs has stopped"),
        }
    }
}

fn wait(outer: &MapHandle, inner: &MapHandle) -> Result<()> {
    let inner = inner.as_fd().as_raw_fd().to_ne_bytes();
    outer.update(&0u32.to_ne_bytes(), &inner, MapFlags::ANY).context("can't wait for the programs that are running")
}

/// Runs on each CPU once. The call returns on the CPU that it asks for.
fn visit(cpus: &[u32]) -> Result<()> {
    for cpu in cpus {
        let mut one = CpuSet::new();
        one.set(*cpu as usize);
        sched_setaffinity(None, &one).context("can't run on a CPU")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::visited;

    #[test]
    fn cpus_are_visited_only_where_no_program_can_be_preempted() {
        let hooks = ["tp_btf/sched_switch", "iter/task", "perf_event/cpu-clock at 99 Hz"];
        assert_eq!(visited(&[0, 2], (6, 18), hooks.into_iter()), Some(vec![0, 2]));
        assert_eq!(visited(&[0, 2], (7, 3), hooks.into_iter()), None);
        assert_eq!(visited(&[0, 2], (6, 18), ["tp_btf/sys_enter", "uprobe/SSL_read"].into_iter()), None);
    }
}
