//! What programs cost: the kernel's own run-time statistics, switched on for a part of the time.

use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use anyhow::Result;
use anyhow::bail;

/// Run-time statistics of all programs, on while this lives. They cost two clock reads per run, so they are on for a
/// sample of the window only. Needs CAP_SYS_ADMIN and Linux 5.8.
#[derive(Debug)]
pub struct Statistics {
    _on: OwnedFd,
}

impl Statistics {
    /// Switches the statistics on.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN.
    pub fn switch_on() -> Result<Statistics> {
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        if fd < 0 {
            bail!("the kernel refused BPF run-time statistics: they need CAP_SYS_ADMIN");
        }
        // SAFETY: the kernel just returned this descriptor, and nothing else owns it.
        Ok(Statistics { _on: unsafe { OwnedFd::from_raw_fd(fd) } })
    }
}

/// What the kernel knows of a loaded program's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// The kernel's id of the program.
    pub id: u32,
    /// Runs while statistics were on.
    pub count: u64,
    /// Nanoseconds spent in those.
    pub ns: u64,
    /// Runs that did not happen because the program interrupted itself on the same CPU (Linux 5.12).
    pub missed: u64,
    /// Instructions that the verifier looked at (Linux 5.16).
    pub verified_instructions: u32,
}

/// Asks for the runs of a program.
///
/// # Errors
/// When the kernel refuses.
pub fn runs(program: BorrowedFd<'_>) -> Result<Runs> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut length = size_of::<libbpf_sys::bpf_prog_info>() as u32;
    // SAFETY: the buffer is as long as `length` says, and zeroes ask for no variable part.
    let code = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length) };
    if code != 0 {
        bail!("asking for a program's run time failed with error {}", -code);
    }
    Ok(Runs {
        id: info.id,
        count: info.run_cnt,
        ns: info.run_time_ns,
        missed: info.recursion_misses,
        verified_instructions: info.verified_insns,
    })
}
