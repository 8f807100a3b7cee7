//! Limits of this process that a recording raises, and those that it can't live with.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::failure::Failure;
use crate::host::Host;
use crate::units;

/// Descriptors that a recording takes, and as many again for each CPU: rings, the programs that sample, mappings.
const FILES: u64 = 512;
const FILES_PER_CPU: u64 = 32;
/// The largest ring, by the maps' number of entries.
const LARGEST_RING: u64 = 2 << 30;
/// Memory besides the rings and unwind tables: of the process, of each probe's programs and maps, and of these per CPU. Measured by what
/// control groups counted: with two CPUs the default set takes 120 MiB with all, of which the kernel's part is 93.
const PROCESS_BYTES: u64 = 42 << 20;
const PROBE_BYTES: u64 = 27 << 18;
const PROBE_BYTES_PER_CPU: u64 = 200 << 10;

/// Address space besides the rings: 620 MiB at most with the default set, because the C library reserves 64 MiB for each thread that
/// allocates. With less, an allocation may fail in the middle of the work, which ends the process: it did with 300,000 KiB in all.
const ADDRESS_SPACE: u64 = 640 << 20;

/// Lets this process open as many files as a recording may need, at least as many as its hard limit allows.
///
/// The soft limit is 1,024 where nobody asks for more, for the sake of programs that use select(2). Each program, map and link takes
/// a descriptor, and many of them one per CPU. A limit that can't be raised shows when it is reached.
pub fn raise_open_files(cpus: u64) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = FILES.saturating_add(cpus.saturating_mul(FILES_PER_CPU));
    if limit.maximum.is_some_and(|most| most < wanted)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: Some(wanted) }).is_ok()
    {
        return;
    }
    // Every process may raise its soft limit to its hard one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What a recording asks for.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Bytes of all rings.
    pub buffer: u64,
    /// Bytes for unwind tables; 0 if none are kept.
    pub unwind: u64,
    /// How many probes.
    pub probes: u64,
}

/// Why that does not fit this machine or the control group of this process, whose limit of memory in bytes is `limit`; `None` when
/// it may.
///
/// The kernel would kill the recorder for it, without a word.
pub fn too_large(needs: Needs, host: &Host, limit: Option<u64>) -> Option<Failure> {
    let Needs { buffer, unwind, probes } = needs;
    let cpus = host.cpus.online.len().max(1) as u64;
    if buffer / cpus > LARGEST_RING || (host.memory_bytes > 0 && buffer > host.memory_bytes / 2) {
        let [asked, memory] = [buffer, host.memory_bytes].map(units::bytes);
        let problem =
            format!("a buffer of {asked} is too large for this machine: it has {memory} of memory and {cpus} CPUs");
        let most = units::bytes((LARGEST_RING.saturating_mul(cpus)).min(host.memory_bytes / 2));
        return Some(
            Failure::run(problem).hint(format!("--buffer takes up to {most} here; 16MiB or 32MiB is the default")),
        );
    }
    let limit = limit?;
    let per_probe = PROBE_BYTES.saturating_add(cpus.saturating_mul(PROBE_BYTES_PER_CPU));
    let parts = [buffer, unwind, PROCESS_BYTES, probes.saturating_mul(per_probe)];
    let needed = parts.into_iter().fold(0, u64::saturating_add);
    (needed > limit).then(|| {
        let [needed, limit] = [needed, limit].map(units::bytes);
        Failure::run(format!("this recording takes about {needed} of memory, and its control group may use {limit}"))
            .hint("a smaller --buffer or --unwind-memory, fewer probes (-p), or a higher limit for the group")
    })
}

/// Why rings of so many bytes don't fit an address space of `limit` bytes; `None` when they do.
pub fn too_little_address_space(buffer: u64, limit: Option<u64>) -> Option<Failure> {
    let (limit, needed) = (limit?, ADDRESS_SPACE.saturating_add(buffer));
    (needed > limit).then(|| {
        let [needed, limit] = [needed, limit].map(units::bytes);
        Failure::run(format!("a recording needs {needed} of address space, and this process may use {limit}"))
            .hint("ulimit -v unlimited")
    })
}

/// The limit of this process's address space in bytes; `None` when there is none.
pub fn address_space() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// What to do about a refusal of the kernel that is due to a limit, by the kernel's words or libbpf's codes in it.
pub fn advice(refusal: &str, host: &Host) -> Option<&'static str> {
    let refusal = refusal.to_lowercase();
    let says = |words: [&str; 2]| words.iter().any(|words| refusal.contains(words));
    if says(["too many open files", "-emfile"]) {
        return Some("let it open more files: ulimit -n 4096, as root; or record fewer probes and events");
    }
    if says(["cannot allocate memory", "-enomem"]) || says(["resource temporarily unavailable", "-eagain"]) {
        return Some(
            "a smaller --buffer, fewer probes (-p), or higher limits: ulimit -v and -u unlimited, the memory of the control group",
        );
    }
    if says(["operation not permitted", "-eperm"]) && host.kernel.counts_bpf_as_locked_memory() {
        return Some("this kernel counts maps as locked memory: ulimit -l unlimited");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Needs;
    use super::advice;
    use super::too_large;
    use super::too_little_address_space;
    use crate::host::Host;
    use crate::host::fixture::Machine;

    fn host(release: &str) -> Host {
        let machine = Machine::with(&[
            ("/proc/sys/kernel/osrelease", release),
            ("/proc/meminfo", "MemTotal: 25165824 kB\n"),
            ("/sys/devices/system/cpu/online", "0-1\n"),
        ]);
        Host::read(&machine.root(), |_| None)
    }

    #[test]
    fn an_absurd_buffer_is_refused_in_one_line() {
        let host = host("6.12.0");
        let needs = |buffer| Needs { buffer, unwind: 16 << 20, probes: 7 };
        assert_eq!(too_large(needs(32 << 20), &host, None), None);
        for absurd in [5 << 30, 1 << 40, u64::MAX] {
            let refused = too_large(needs(absurd), &host, None).unwrap();
            assert!(refused.message.contains("too large for this machine"), "{refused:?}");
            assert_eq!(
                refused.hint.as_deref(),
                Some("--buffer takes up to 4.00 GiB here; 16MiB or 32MiB is the default")
            );
        }
        assert_eq!(too_large(needs(4 << 30), &host, None), None);
    }

    #[test]
    fn a_small_address_space_is_refused_before_an_allocation_fails() {
        assert_eq!(too_little_address_space(32 << 20, None), None);
        assert_eq!(too_little_address_space(32 << 20, Some(1 << 30)), None);
        let refused = too_little_address_space(32 << 20, Some(100 << 20)).unwrap();
        assert!(refused.message.contains("needs 672 MiB of address space"), "{refused:?}");
    }

    #[test]
    fn a_control_group_that_is_too_small_is_named_before_it_kills() {
        let host = host("6.12.0");
        let needs = Needs { buffer: 16 << 20, unwind: 16 << 20, probes: 7 };
        let refused = |needs, mib: u64| too_large(needs, &host, Some(mib << 20));
        // The kernel killed it at 70, 80 and 100 MiB.
        for mib in [70, 80, 100, 120] {
            let said = refused(needs, mib).unwrap().message;
            assert!(said.contains(&format!("its control group may use {mib}")), "{said}");
        }
        assert_eq!(refused(needs, 125), None);
        // What is not wanted is not counted.
        assert_eq!(refused(Needs { unwind: 0, ..needs }, 109), None);
        assert_eq!(refused(Needs { buffer: 4 << 20, unwind: 0, probes: 1 }, 54), None);
    }

    #[test]
    fn a_refusal_for_want_of_a_limit_comes_with_the_limit_to_raise() {
        let (new, old) = (host("6.12.0"), host("5.10.0"));
        assert!(advice("can't make a map: Too many open files (os error 24)", &new).unwrap().contains("ulimit -n"));
        assert!(advice("map 'x': Cannot allocate memory (os error 12)", &new).unwrap().contains("--buffer"));
        assert!(advice("Operation not permitted (os error 1)", &old).unwrap().contains("ulimit -l"));
        assert_eq!(advice("Operation not permitted (os error 1)", &new), None);
    }
}
