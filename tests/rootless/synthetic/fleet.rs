//! Hosts of a fleet, each recorded for a second: alike, but for what is planted.

use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;
use crate::synthetic::service::Random;

/// Processes of a host.
const PROCESSES: i64 = 20;

/// A host by its number; `slow_disk` is one whose disk takes twenty times as long.
pub(crate) fn host(number: u64, slow_disk: bool) -> Synthetic {
    let mut random = Random::new(number);
    let mut made = Synthetic::new(&format!("host-{number:04}"));
    made.meta.window.actual_ns = SECOND;
    made.meta.window.asked_ns = Some(SECOND);
    made.probe("process", "raw", 40)
        .probe("sched", "slow", 5000)
        .probe("block", "slow", 400)
        .probe("syscall", "slow", 9000);
    made.slow("sched", "wakeup", 10 * MS).slow("block", "block_io", 10 * MS);
    made.metric("sched.runqueue_latency", "histogram", "ns", &["pid", "comm"]);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    made.metric("block.device_time", "histogram", "ns", &["dev", "op", "pid", "comm"]);
    made.metric("block.size", "histogram", "bytes", &["dev", "op", "pid", "comm"]);
    made.metric("syscall.latency", "histogram", "ns", &["pid", "comm", "name", "syscall_class"]);
    let slower = if slow_disk { 20 } else { 1 };
    let values = |random: &mut Random, number: usize, level: u64| -> Vec<u64> {
        (0..number).map(|_| level + random.below(level)).collect()
    };
    for process in 0..PROCESSES {
        let (pid, comm) = (1000 + process, format!("worker-{process}"));
        let who = [("pid", Cell::Int(pid)), ("comm", Cell::Text(&comm))];
        made.row("process", 0, &[&who[..], &[("ppid", Cell::Int(1))]].concat());
        let waits = values(&mut random, 20, 50_000);
        made.values("sched.runqueue_latency", SECOND, &who, &waits);
        made.counter("sched.on_cpu", SECOND, &who, 20, 20_000_000 + random.below(2_000_000));
        for name in ["read", "write", "futex", "epoll_wait"] {
            let call = [&who[..], &[("name", Cell::Text(name))]].concat();
            let took = values(&mut random, 30, 4_000);
            made.values("syscall.latency", SECOND, &call, &took);
        }
        let disk = [&who[..], &[("dev", "vda".into()), ("op", "write".into())]].concat();
        let took = values(&mut random, 20, 500_000 * slower);
        made.values("block.device_time", SECOND, &disk, &took);
        made.values("block.size", SECOND, &disk, &[8192; 20]);
        let slowest = i64::try_from(*took.iter().max().unwrap()).unwrap();
        made.row("block_io", SECOND / 2, &[&disk[..], &[("dur_ns", Cell::Int(slowest))]].concat());
    }
    made
}
