//! A machine that compiles three files beside a database, in numbers that can be added up by hand.

use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

/// `make` (100) starts three `cc1` (301 to 303): one ends well, one fails, one is killed. `postgres` (200) writes.
pub(crate) fn build(hostname: &str) -> Synthetic {
    let mut made = Synthetic::new(hostname);
    made.probe("process", "raw", 9).probe("sched", "slow", 5000).probe("block", "slow", 110);
    made.slow("sched", "wakeup", 10 * MS).slow("block", "block_io", 10 * MS);
    processes(&mut made);
    sched(&mut made);
    block(&mut made);
    cost(&mut made);
    made
}

/// The same machine with a wall-clock ledger.
#[allow(dead_code, reason = "each test binary uses what it needs of this file")]
pub(crate) fn waiting(hostname: &str) -> Synthetic {
    let mut made = build(hostname);
    ledger(&mut made);
    made
}

/// The same machine with a process, a thread and an event whose names anyone may have chosen, and arguments that are longer.
#[allow(dead_code, reason = "each test binary uses what it needs of this file")]
pub(crate) fn hostile(hostname: &str, comm: &str, text: &str) -> Synthetic {
    let mut made = waiting(hostname);
    let who = [("pid", Cell::Int(666)), ("tid", Cell::Int(666)), ("comm", Cell::Text(comm))];
    made.row("process", 0, &[&who[..], &[("argv", Cell::Text(text))]].concat());
    made.counter("sched.on_cpu", SECOND, &who, 5, 900_000_000);
    made.values("sched.runqueue_latency", SECOND, &who, &[5_000_000]);
    let block = [&who[..], &[("dev", Cell::Text(text)), ("op", Cell::Text(text))]].concat();
    made.values("block.device_time", SECOND, &block, &[7_000_000]);
    let state = [("state", Cell::Text("uninterruptible")), ("cause", Cell::Text(text))];
    let spent = [("dur_ns", Cell::Int(SECOND)), ("sum", Cell::Int(SECOND)), ("count", Cell::Int(1))];
    made.row("ledger", SECOND, &[&who[..], &state, &spent].concat());
    made.row("block_io", SECOND, &[&block[..], &[("dur_ns", Cell::Int(80 * MS))]].concat());
    made
}

/// `postgres` is blocked in fsync for half of its life and polls for most of the rest; CPU 0 is busy for a quarter.
#[allow(dead_code, reason = "each test binary uses what it needs of this file")]
fn ledger(made: &mut Synthetic) {
    for (state, cause, ns, count) in [
        ("on_cpu", "", 400 * MS, 20),
        ("runnable", "", 100 * MS, 20),
        ("uninterruptible", "fsync", 2000 * MS, 100),
        ("interruptible", "poll", 1500 * MS, 3),
    ] {
        let mut cells = vec![
            ("pid", Cell::Int(200)),
            ("tid", Cell::Int(200)),
            ("comm", "postgres".into()),
            ("dur_ns", Cell::Int(4 * SECOND)),
            ("state", Cell::Text(state)),
            ("sum", Cell::Int(ns)),
            ("count", Cell::Int(count)),
        ];
        if !cause.is_empty() {
            cells.push(("cause", Cell::Text(cause)));
        }
        made.row("ledger", 4 * SECOND, &cells);
    }
    for (state, ns) in [("busy", SECOND), ("idle", 3 * SECOND)] {
        let cells = [
            ("cpu", Cell::Int(0)),
            ("dur_ns", Cell::Int(4 * SECOND)),
            ("state", Cell::Text(state)),
            ("sum", Cell::Int(ns)),
        ];
        made.row("cpu_ledger", 4 * SECOND, &cells);
    }
}

fn processes(made: &mut Synthetic) {
    made.metric("process.starts", "counter", "count", &["ppid", "comm"]);
    made.metric("process.exits", "counter", "count", &["ppid", "comm"]);
    made.metric("process.lifetime", "histogram", "ns", &["ppid", "comm"]);
    for (pid, ppid, comm) in [(1, 0, "systemd"), (100, 1, "make"), (200, 1, "postgres")] {
        let cells =
            [("pid", Cell::Int(pid)), ("ppid", Cell::Int(ppid)), ("comm", Cell::Text(comm)), ("uid", Cell::Int(0))];
        made.row("process", 0, &cells);
    }
    let make = [("ppid", Cell::Int(100)), ("comm", Cell::Text("make"))];
    made.counter("process.starts", SECOND, &make, 3, 3);
    made.counter("process.exits", 2 * SECOND, &make, 2, 2);
    made.values("process.lifetime", 2 * SECOND, &make, &[500_000_000, 700_000_000]);
    for (pid, at, ran, file) in [(301, 100, 500, "a.c"), (302, 200, 700, "b.c"), (303, 300, 0, "c.c")] {
        let who = [("pid", Cell::Int(pid)), ("ppid", Cell::Int(100)), ("uid", Cell::Int(1000))];
        made.row("fork", at * MS, &[&who[..], &[("comm", "make".into())]].concat());
        let argv = format!("cc1 -O2 {file}");
        let program = [("comm", "cc1".into()), ("filename", "/usr/lib/cc1".into()), ("argv", Cell::Text(&argv))];
        made.row("exec", (at + 1) * MS, &[&who[..], &program].concat());
        if ran > 0 {
            let end = if pid == 301 { ("exit_code", Cell::Int(0)) } else { ("name", Cell::Text("SIGKILL")) };
            let used = [
                ("comm", "cc1".into()),
                ("dur_ns", Cell::Int(ran * MS)),
                ("process_cpu_ns", Cell::Int(ran * MS / 2)),
                ("process_max_rss_bytes", Cell::Int(64 << 20)),
            ];
            made.row("exit", (at + ran) * MS, &[&who[..], &used, &[end]].concat());
        }
    }
}

fn sched(made: &mut Synthetic) {
    made.metric("sched.runqueue_latency", "histogram", "ns", &["pid", "comm"]);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    made.metric("sched.switches", "counter", "count", &["pid", "comm", "state"]);
    for (pid, comm, on_cpu, waits) in [
        (301, "cc1", 250 * MS, vec![1_000, 2_000, 30_000_000]),
        (302, "cc1", 350 * MS, vec![4_000]),
        (200, "postgres", 400 * MS, vec![1_000, 1_000]),
    ] {
        let who = [("pid", Cell::Int(pid)), ("comm", Cell::Text(comm))];
        made.values("sched.runqueue_latency", SECOND, &who, &waits);
        made.counter("sched.on_cpu", SECOND, &who, waits.len() as u64, on_cpu.cast_unsigned() / 2);
        made.counter("sched.on_cpu", 3 * SECOND, &who, waits.len() as u64, on_cpu.cast_unsigned() / 2);
        let state = |state| [&who[..], &[("state", Cell::Text(state))]].concat();
        made.counter("sched.switches", SECOND, &state("voluntary"), 10, 10);
        made.counter("sched.switches", SECOND, &state("involuntary"), 3, 3);
    }
    made.row(
        "wakeup",
        500 * MS,
        &[
            ("pid", Cell::Int(301)),
            ("comm", "cc1".into()),
            ("cpu", Cell::Int(1)),
            ("dur_ns", Cell::Int(30 * MS)),
            ("waker_pid", Cell::Int(100)),
            ("sched_prev_pid", Cell::Int(200)),
            ("sched_prev_comm", "postgres".into()),
        ],
    );
}

fn block(made: &mut Synthetic) {
    made.metric("block.queue_time", "histogram", "ns", &["dev", "op", "pid", "comm"]);
    made.metric("block.device_time", "histogram", "ns", &["dev", "op", "pid", "comm"]);
    made.metric("block.size", "histogram", "bytes", &["dev", "op", "pid", "comm"]);
    made.metric("block.queue_depth", "histogram", "count", &["dev"]);
    made.metric("block.access", "counter", "bytes", &["dev", "op", "state"]);
    for (op, pid, comm, device, size) in [
        ("read", 301, "cc1", vec![100_000; 10], vec![4096; 10]),
        ("write", 200, "postgres", [vec![1_000_000; 99], vec![20_000_000]].concat(), vec![8192; 100]),
    ] {
        let by = [("dev", "vda".into()), ("op", Cell::Text(op)), ("pid", Cell::Int(pid)), ("comm", Cell::Text(comm))];
        made.values("block.device_time", 2 * SECOND, &by, &device);
        made.values("block.queue_time", 2 * SECOND, &by, &vec![50_000; device.len()]);
        made.values("block.size", 2 * SECOND, &by, &size);
    }
    let access = |op, state| [("dev", "vda".into()), ("op", Cell::Text(op)), ("state", Cell::Text(state))];
    made.counter("block.access", 2 * SECOND, &access("write", "sequential"), 75, 75 * 8192);
    made.counter("block.access", 2 * SECOND, &access("write", "random"), 25, 25 * 8192);
    made.counter("block.access", 2 * SECOND, &access("read", "random"), 10, 40960);
    made.values("block.queue_depth", 2 * SECOND, &[("dev", "vda".into())], &[1, 1, 1, 5]);
    for (at, op, took, ret) in [(1500, "write", 20, 0), (1600, "read", 2, -5)] {
        let cells = [
            ("dev", "vda".into()),
            ("op", Cell::Text(op)),
            ("pid", Cell::Int(200)),
            ("comm", "postgres".into()),
            ("dur_ns", Cell::Int(took * MS)),
            ("block_queue_ns", Cell::Int(MS)),
            ("bytes", Cell::Int(8192)),
            ("sector", Cell::Int(2048)),
            ("block_flags", "sync".into()),
            ("ret", Cell::Int(ret)),
        ];
        made.row("block_io", at * MS, &cells);
    }
}

/// Measured during one second of the four.
fn cost(made: &mut Synthetic) {
    for (program, runs, ns) in [("sched/sched_switch", 5000, 1_000_000), ("block/block_rq_issue", 100, 50_000)] {
        let cells = [
            ("name", Cell::Text(program)),
            ("dur_ns", Cell::Int(SECOND)),
            ("count", Cell::Int(runs)),
            ("sum", Cell::Int(ns)),
        ];
        made.row("cost", 4 * SECOND, &cells);
    }
    let own = |op, column, value| {
        [
            ("name", Cell::Text("ebrec")),
            ("op", Cell::Text(op)),
            ("dur_ns", Cell::Int(SECOND)),
            (column, Cell::Int(value)),
        ]
    };
    for interval in 1..=4 {
        made.row("cost", interval * SECOND, &own("cpu", "sum", 10 * MS));
        made.row("cost", interval * SECOND, &own("rss", "max", 48 << 20));
        made.row("cost", interval * SECOND, &own("maps", "max", 33 << 20));
    }
}

/// A machine of two programs that make system calls: `cat` (10) reads and waits, `find` (20) fails to open.
#[allow(dead_code, unreachable_pub, reason = "each test binary uses what it needs of this file")]
pub fn syscalls(hostname: &str) -> Synthetic {
    let mut made = Synthetic::new(hostname);
    made.probe("syscall", "slow", 15);
    made.metric("syscall.latency", "histogram", "ns", &["pid", "comm", "name", "syscall_class"]);
    made.metric("syscall.errors", "counter", "count", &["pid", "comm", "name", "syscall_errno"]);
    for (pid, comm, name, class, values) in [
        (10, "cat", "read", "work", vec![1_000, 2_000, 30_000_000]),
        (10, "cat", "futex", "work", vec![500]),
        (10, "cat", "futex", "wait", vec![800_000_000]),
        (20, "find", "read", "work", vec![1_000]),
        (20, "find", "openat", "work", vec![10_000; 9]),
    ] {
        let who = [("pid", Cell::Int(pid)), ("comm", Cell::Text(comm))];
        let call = [("name", Cell::Text(name)), ("syscall_class", Cell::Text(class))];
        made.values("syscall.latency", SECOND, &[&who[..], &call].concat(), &values);
    }
    for (pid, comm, name, errno, count) in
        [(10, "cat", "futex", "ETIMEDOUT", 1), (20, "find", "openat", "ENOENT", 4), (20, "find", "openat", "EACCES", 2)]
    {
        let who = [("pid", Cell::Int(pid)), ("comm", Cell::Text(comm))];
        let call = [("name", Cell::Text(name)), ("syscall_errno", Cell::Text(errno))];
        made.counter("syscall.errors", SECOND, &[&who[..], &call].concat(), count, count);
    }
    for (at, dur, name, class, ret) in [(500, 30, "read", "work", 4096), (900, 800, "futex", "wait", -110)] {
        let cells = [
            ("pid", Cell::Int(10)),
            ("tid", Cell::Int(11)),
            ("comm", "cat".into()),
            ("dur_ns", Cell::Int(dur * MS)),
            ("name", Cell::Text(name)),
            ("syscall_class", Cell::Text(class)),
            ("ret", Cell::Int(ret)),
        ];
        made.row("syscall", at * MS, &cells);
    }
    made
}

/// A server with a slow route and a failing one, and a client of something that is not parsed.
#[allow(dead_code, reason = "each test binary uses what it needs of this file")]
pub(crate) fn http(hostname: &str) -> Synthetic {
    let mut made = Synthetic::new(hostname);
    made.probe("http", "slow", 15);
    let by = ["pid", "comm", "op", "http_status", "http_side", "http_tls"];
    made.metric("http.latency", "histogram", "ns", &by);
    made.metric("http.unanswered", "counter", "count", &by);
    made.metric("http.unparsed", "counter", "count", &["pid", "comm", "cause"]);
    let who = [("pid", Cell::Int(10)), ("comm", Cell::Text("nginx")), ("op", Cell::Text("GET"))];
    let whence = [("http_side", Cell::Text("server")), ("http_tls", Cell::Text("no"))];
    let server = [&who[..], &whence].concat();
    let with = |status| [&server[..], &[("http_status", Cell::Int(status))]].concat();
    made.values("http.latency", SECOND, &with(200), &[1_000_000, 2_000_000, 250_000_000, 300_000_000]);
    made.values("http.latency", SECOND, &with(503), &[5_000_000]);
    made.counter("http.unanswered", SECOND, &with(200), 1, 1);
    let curl = [("pid", Cell::Int(20)), ("comm", Cell::Text("curl")), ("cause", Cell::Text("HTTP/2"))];
    made.counter("http.unparsed", SECOND, &curl, 3, 3);
    for (kind, at, dur, path, status) in [
        ("http", 300, 250, "/report", 200),
        ("http", 700, 300, "/report", 200),
        ("http", 800, 5, "/broken", 503),
        ("http_unanswered", 900, 40, "/cut", 200),
    ] {
        let own = [
            ("dur_ns", Cell::Int(dur * MS)),
            ("http_path", Cell::Text(path)),
            ("bytes", Cell::Int(1024)),
            ("dport", Cell::Int(40000)),
        ];
        made.row(kind, at * MS, &[&with(status)[..], &own].concat());
    }
    made
}

/// The same machine where the sched probe lost 25 events in the third second and the block probe could not run.
pub(crate) fn lossy(hostname: &str) -> Synthetic {
    let mut made = Synthetic::new(hostname);
    made.probe("process", "raw", 9).probe("sched", "slow", 975);
    processes(&mut made);
    sched(&mut made);
    made.meta.probes.push(ebrec::recording::ProbeState {
        name: "block".into(),
        state: ebrec::recording::ProbeOutcome::Skipped,
        reason: Some("the kernel has no tracepoint 'block_rq_issue'".into()),
        ..Default::default()
    });
    for (cpu, count) in [(0, 20), (1, 5)] {
        let cells = [
            ("name", Cell::Text("sched")),
            ("cause", "ring full".into()),
            ("cpu", Cell::Int(cpu)),
            ("count", Cell::Int(count)),
            ("dur_ns", Cell::Int(SECOND)),
        ];
        made.row("lost", 3 * SECOND, &cells);
    }
    made
}
