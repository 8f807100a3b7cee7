//! Perf events that sample CPUs at a fixed rate: the hook of programs that look at what a CPU does just then.

use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use anyhow::Result;
use anyhow::anyhow;
use libbpf_sys::perf_event_attr;

/// What makes a sample due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Cycles of the CPU's own counter: idle and halted time has none.
    Cycles,
    /// The kernel's timer, where there is no counter.
    Timer,
}

impl Clock {
    /// The event's name, as perf has it.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Cycles => "cycles",
            Clock::Timer => "cpu-clock",
        }
    }

    /// PERF_TYPE_* and PERF_COUNT_* of uapi/linux/perf_event.h.
    fn numbers(self) -> (u32, u64) {
        match self {
            Clock::Cycles => (0, 0),
            Clock::Timer => (1, 0),
        }
    }
}

/// PERF_TYPE_SOFTWARE and PERF_COUNT_SW_DUMMY of uapi/linux/perf_event.h.
const SOFTWARE: u32 = 1;
const DUMMY: u64 = 9;
/// PERF_FLAG_FD_CLOEXEC of uapi/linux/perf_event.h.
const FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// Opens an event on each of the CPUs, by the best clock that all of them have.
///
/// # Errors
/// When the kernel gives none: no privilege, no such CPU, or more samples than it allows.
pub fn open_on_each(cpus: &[u32], hertz: u32) -> Result<(Clock, Vec<OwnedFd>)> {
    let open_all = |clock| cpus.iter().map(|cpu| open(clock, *cpu, hertz)).collect::<Result<Vec<_>>>();
    match open_all(Clock::Cycles) {
        Ok(events) => Ok((Clock::Cycles, events)),
        Err(_) => Ok((Clock::Timer, open_all(Clock::Timer).map_err(|error| too_often(hertz).unwrap_or(error))?)),
    }
}

/// What to say where the kernel allows fewer samples a second.
fn too_often(hertz: u32) -> Option<anyhow::Error> {
    let most: u32 = std::fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate").ok()?.trim().parse().ok()?;
    let problem =
        || anyhow!("the kernel allows {most} samples a second (kernel.perf_event_max_sample_rate), not {hertz}");
    (hertz > most).then(problem)
}

/// Opens a timer on each of the CPUs, which fires once `after` nanoseconds have passed, in the kernel and on time, and as
/// often as they pass again.
///
/// # Errors
/// When the kernel gives none: no privilege, or no such CPU.
pub fn timers(cpus: &[u32], after: u64) -> Result<Vec<OwnedFd>> {
    let timer = |cpu: &u32| {
        let mut attributes = attributes(Clock::Timer);
        attributes.__bindgen_anon_1.sample_period = after;
        open_event(&attributes, Clock::Timer, *cpu)
    };
    cpus.iter().map(timer).collect()
}

/// Opens an event on each of the CPUs whose ring gets a record whenever a process there maps code.
///
/// # Errors
/// When the kernel gives none: no privilege, or no such CPU.
pub fn mapped_code(cpus: &[u32]) -> Result<Vec<OwnedFd>> {
    let open = |cpu: &u32| {
        let mut attributes = perf_event_attr {
            size: size_of::<perf_event_attr>() as u32,
            type_: SOFTWARE,
            config: DUMMY,
            ..Default::default()
        };
        attributes.set_mmap(1);
        attributes.set_mmap2(1);
        // Each record wakes the thread that polls it.
        attributes.set_watermark(1);
        attributes.__bindgen_anon_2.wakeup_watermark = 1;
        open_as(&attributes, "dummy", *cpu)
    };
    cpus.iter().map(open).collect()
}

fn open(clock: Clock, cpu: u32, hertz: u32) -> Result<OwnedFd> {
    let mut attributes = attributes(clock);
    attributes.__bindgen_anon_1.sample_freq = hertz.into();
    attributes.set_freq(1);
    open_event(&attributes, clock, cpu)
}

fn attributes(clock: Clock) -> perf_event_attr {
    let (kind, config) = clock.numbers();
    perf_event_attr { size: size_of::<perf_event_attr>() as u32, type_: kind, config, ..Default::default() }
}

fn open_event(attributes: &perf_event_attr, clock: Clock, cpu: u32) -> Result<OwnedFd> {
    open_as(attributes, clock.name(), cpu)
}

fn open_as(attributes: &perf_event_attr, name: &str, cpu: u32) -> Result<OwnedFd> {
    let cpu = i32::try_from(cpu)?;
    // SAFETY: the attributes are as long as they say and live through the call; the other arguments are numbers.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(attributes), -1, cpu, -1, FLAG_FD_CLOEXEC)
    };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        return Err(anyhow!("the kernel refused a '{name}' event on CPU {cpu}: {error}"));
    }
    // SAFETY: the kernel just returned this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}
