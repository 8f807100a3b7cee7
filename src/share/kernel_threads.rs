//! Names of the kernel's own threads: a name from a closed list, and behind it what the kernel puts there.
//!
//! Programs name their threads in the same way, with a customer or a tenant behind the slash, so a known name in front says nothing of what follows.

/// Bytes of a name that the kernel keeps of a thread.
const COMM_BYTES: usize = 15;
/// Threads that exist once per CPU: `ksoftirqd/0`. From `kernel/smpboot.c` and its users, `kernel/rcu/` and `kernel/sched/`.
const PER_CPU: [&str; 23] = [
    "backlog_napi",
    "cpuhp",
    "hardirqs",
    "idle_inject",
    "irq_work",
    "kcompactd",
    "kintegrityd",
    "kondemand",
    "kpsmoused",
    "ksoftirqd",
    "ktimers",
    "ktimersoftd",
    "migration",
    "posixcputmr",
    "rcub",
    "rcuc",
    "rcuog",
    "rcuop",
    "rcuos",
    "softirqs",
    "stopper",
    "swapper",
    "watchdog",
];
/// Threads that exist once per block device: `jbd2/vda1-8`, `xfsaild/dm-0`, `kdmflush/253:0`.
const PER_DEVICE: [&str; 17] = [
    "dmcrypt_write",
    "ext4-rsv-conver",
    "jbd2",
    "kcryptd",
    "kcryptd_io",
    "kdmflush",
    "xfs-blockgc",
    "xfs-buf",
    "xfs-cil",
    "xfs-conv",
    "xfs-data",
    "xfs-gc",
    "xfs-inodegc",
    "xfs-log",
    "xfs-reclaim",
    "xfs-sync",
    "xfsaild",
];
/// Work queues, which `/proc/PID/comm` shows behind the name of a worker, and the kernel behind that of a rescuer.
const QUEUES: [&str; 59] = [
    "acpi_thermal_pm",
    "ata_sff",
    "blkcg_punt_bio",
    "cgroup_destroy",
    "cgwb_release",
    "cryptd",
    "devfreq_wq",
    "edac-poller",
    "events",
    "events_bh",
    "events_freezable",
    "events_freezable_power_efficient",
    "events_freezable_pwr_efficient",
    "events_highpri",
    "events_long",
    "events_power_efficient",
    "events_unbound",
    "ext4-rsv-conversion",
    "ib-comp-wq",
    "inet_frag_wq",
    "iou_exit",
    "ipv6_addrconf",
    "kacpi_hotplug",
    "kacpi_notify",
    "kacpid",
    "kblockd",
    "kec_query",
    "kintegrityd",
    "ksmbd-io",
    "kstrp",
    "kthrotld",
    "kverityd",
    "kvfree_rcu_reclaim",
    "md",
    "md_bitmap",
    "md_misc",
    "memcg",
    "mld",
    "mm_percpu_wq",
    "netns",
    "nfsiod",
    "nvme-auth-wq",
    "nvme-delete-wq",
    "nvme-reset-wq",
    "nvme-wq",
    "pm",
    "raid5wq",
    "rcu_gp",
    "rcu_par_gp",
    "rpciod",
    "slub_flushwq",
    "sync_wq",
    "tls-strp",
    "tpm_dev_wq",
    "ttm",
    "writeback",
    "xfs_mru_cache",
    "xfsalloc",
    "xprtiod",
];
/// Who may stand behind `irq/NUMBER-`.
const HANDLERS: [&str; 16] = [
    "acpi", "aerdrv", "ahci", "bwnotif", "edac", "i8042", "i801_smb", "iwlwifi", "mei_me", "pcie-dpc", "pciehp",
    "rtc0", "s-aerdrv", "snd_hda", "virtio", "xhci_hcd",
];

/// Whether a thread of this name can only be the kernel's. `is_device` says which names the kernel gives to block devices.
pub(super) fn is_kernels(name: &str, is_device: impl Fn(&str) -> bool) -> bool {
    let Some((sort, rest)) = name.split_once('/') else { return false };
    match sort {
        "kworker" => is_worker(rest, name.len() == COMM_BYTES),
        "irq" => rest.split_once('-').map_or(is_number(rest), |(number, handler)| {
            is_number(number) && HANDLERS.contains(&handler.trim_end_matches(|c: char| c.is_ascii_digit()))
                || is_number(number) && HANDLERS.contains(&handler)
        }),
        sort if PER_CPU.contains(&sort) => is_number(rest),
        sort if PER_DEVICE.contains(&sort) => {
            // jbd2 has the inode of its journal behind the device.
            let device = rest.rsplit_once('-').filter(|(_, inode)| is_number(inode)).map_or(rest, |(device, _)| device);
            is_number(rest) || is_pair(rest) || is_device(rest) || is_device(device)
        }
        _ => false,
    }
}

/// `0:1H`, `u8:2-events_unbound`, `R-rcu_gp`; a name that fills its room may be cut within that of the queue.
fn is_worker(rest: &str, may_be_cut: bool) -> bool {
    let is_queue = |queue: &str| {
        let flushed = queue.strip_prefix("flush-").is_some_and(is_pair);
        // Four letters are few enough to be somebody's, more are a queue's.
        let cut = may_be_cut && queue.len() > 4 && QUEUES.iter().any(|known| known.starts_with(queue));
        flushed || cut || QUEUES.contains(&queue)
    };
    if let Some(queue) = rest.strip_prefix("R-") {
        return is_queue(queue);
    }
    let (worker, queue) = rest.find(['-', '+']).map_or((rest, None), |at| {
        let (worker, queue) = rest.split_at(at);
        (worker, queue.get(1..))
    });
    let worker = worker.strip_suffix('H').or(worker.strip_suffix('I')).unwrap_or(worker);
    is_pair(worker.strip_prefix('u').unwrap_or(worker)) && queue.is_none_or(is_queue)
}

/// Two short numbers, such as `253:0`.
fn is_pair(text: &str) -> bool {
    text.split_once(':').is_some_and(|(one, other)| is_number(one) && is_number(other))
}

/// A number of CPUs, workers or interrupts.
fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::QUEUES;
    use super::is_kernels;

    fn is_device(name: &str) -> bool {
        ["vda1", "dm-0", "sda"].contains(&name)
    }

    #[test]
    fn the_kernels_threads_have_names_of_a_closed_list_with_numbers_queues_and_devices() {
        for name in [
            "kworker/0:1H",
            "kworker/0:1H-kblockd",
            "kworker/u8:2",
            "kworker/u8:2-events_unbound",
            "kworker/3:0+mm_percpu_wq",
            "kworker/u4:1-flush-253:0",
            "kworker/R-rcu_gp",
            "kworker/R-rcu_p",
            "ksoftirqd/0",
            "migration/127",
            "cpuhp/1",
            "rcuop/3",
            "jbd2/vda1-8",
            "jbd2/dm-0-8",
            "xfsaild/dm-0",
            "kdmflush/253:0",
            "irq/24-pciehp",
            "irq/9-acpi",
        ] {
            assert!(is_kernels(name, is_device), "{name}");
        }
    }

    #[test]
    fn a_name_that_a_program_chose_is_none_of_the_kernels_whatever_stands_before_its_slash() {
        for name in [
            "worker/ACMECORP",
            "sh/HUNTER2",
            "R/secretR",
            "client/customer",
            "kworker/KW3",
            "kworker/R-acme",
            "kworker/R-acmec",
            "kworker/0:1-acmecorp",
            "kworker/0:4155550166",
            "kworker/acme:1",
            "ksoftirqd/acme",
            "ksoftirqd/4155550166",
            "jbd2/acme-8",
            "irq/24-acme",
            "migration/0/acme",
            "kworker",
            "",
        ] {
            assert!(!is_kernels(name, is_device), "{name}");
        }
    }

    #[test]
    fn queues_are_in_order() {
        assert!(QUEUES.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
