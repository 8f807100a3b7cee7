//! The tables of the views of one probe each, by value: numbers that can be added up by hand.

use std::collections::BTreeMap;

use ebrec::report::plan::Format;
use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

const US: u64 = 1_000;

/// A recording of one probe.
fn of_probe(name: &str) -> Synthetic {
    let mut made = Synthetic::new("builder");
    made.probe(name, "slow", 100);
    made
}

fn view(name: &str, made: Synthetic) -> Value {
    Case::new(name, vec![("run.parquet", made)]).json()
}

fn who(pid: i64, comm: &str) -> [(&'static str, Cell<'_>); 2] {
    [("pid", pid.into()), ("comm", comm.into())]
}

fn holds(document: &Value, table: &str, fields: &[&str], rows: &[Value]) {
    let wanted: Vec<Vec<Value>> = rows.iter().map(|row| row.as_array().unwrap().clone()).collect();
    assert_eq!(cells(document, table, fields), wanted, "{table}");
}

#[test]
fn tcp_adds_up_peers_failures_connects_and_what_is_open() {
    let mut made = of_probe("tcp");
    for (metric, kind, unit) in [
        ("tcp.connect_latency", "histogram", "ns"),
        ("tcp.rtt", "histogram", "ns"),
        ("tcp.sent", "counter", "bytes"),
        ("tcp.received", "counter", "bytes"),
        ("tcp.retransmits", "counter", "count"),
        ("tcp.resets_received", "counter", "count"),
    ] {
        made.metric(metric, kind, unit, &["pid", "comm", "tcp_side", "daddr", "dport"]);
    }
    made.metric("tcp.failures", "counter", "count", &["pid", "comm", "daddr", "dport", "cause"]);
    let own = who(10, "curl");
    let peer = [("daddr", "10.0.0.1".into()), ("dport", 80.into())];
    let flow = [&own[..], &peer, &[("tcp_side", "connect".into())]].concat();
    made.values("tcp.connect_latency", SECOND, &flow, &[500 * US, 500 * US, 2000 * US]);
    made.values("tcp.rtt", SECOND, &flow, &[400 * US]);
    // Two intervals of one connection.
    made.counter("tcp.sent", SECOND, &flow, 3, 1000).counter("tcp.sent", 2 * SECOND, &flow, 1, 500);
    made.counter("tcp.received", SECOND, &flow, 3, 90_000);
    made.counter("tcp.retransmits", SECOND, &flow, 4, 7).counter("tcp.resets_received", SECOND, &flow, 1, 1);
    let refused = [&own[..], &peer, &[("cause", "refused".into())]].concat();
    made.counter("tcp.failures", SECOND, &refused, 5, 5);
    for (op, at, dur, ret) in [("open", 300, 2, 0), ("refused", 400, 1, -111), ("close", 450, 40, 0)] {
        let mut row =
            [&flow[..], &[("op", op.into()), ("dur_ns", (dur * MS).into()), ("sport", 40000.into())]].concat();
        row.extend((ret != 0).then_some(("ret", Cell::Int(ret))));
        made.row("tcp", at * MS, &row);
    }
    let moved = [("tcp_sent_bytes", 700.into()), ("tcp_received_bytes", 300.into()), ("tcp_segments", 2.into())];
    let open = [("op", "still open".into()), ("state", "established".into()), ("dur_ns", (3 * SECOND).into())];
    made.row("tcp", 4 * SECOND, &[&flow[..], &moved, &open].concat());
    let document = view("tcp", made);
    let fields =
        ["comm", "pid", "side", "peer", "port", "connections", "failed", "sent_bytes", "received_bytes", "bytes"];
    holds(
        &document,
        "peers",
        &fields,
        &[
            json!(["curl", 10, "connect", "10.0.0.1", 80, 3, 0, 1500, 90_000, 91_500]),
            json!(["curl", 10, null, "10.0.0.1", 80, 0, 5, 0, 0, 0]),
        ],
    );
    let fields = ["retransmits", "resets", "resets_received", "rtt_p50_ns", "connect_max_ns"];
    assert_eq!(cells(&document, "peers", &fields)[0], [json!(7), json!(1), json!(1), json!(400_000), json!(2_000_000)]);
    holds(
        &document,
        "failures",
        &["comm", "pid", "peer", "port", "cause", "count"],
        &[json!(["curl", 10, "10.0.0.1", 80, "refused", 5])],
    );
    holds(
        &document,
        "connects",
        &["time_ns", "dur_ns", "outcome", "error", "own_port"],
        &[json!([300 * MS, 2 * MS, "open", null, 40000]), json!([400 * MS, MS, "refused", "ECONNREFUSED", 40000])],
    );
    holds(
        &document,
        "open",
        &["peer", "state", "dur_ns", "bytes", "sent_bytes", "received_bytes", "resent"],
        &[json!(["10.0.0.1", "established", 3 * SECOND, 1000, 700, 300, 2])],
    );
}

#[test]
fn dns_counts_answers_failures_and_silence_by_name() {
    let mut made = of_probe("dns");
    made.metric("dns.latency", "histogram", "ns", &["pid", "comm", "name"]);
    for metric in ["dns.failures", "dns.unanswered", "dns.by_tcp", "dns.unread"] {
        made.metric(metric, "counter", "count", &["pid", "comm", "name", "dns_rcode"]);
    }
    let own = who(10, "curl");
    let asked = |name: &'static str| [&own[..], &[("name", name.into())]].concat();
    made.values("dns.latency", SECOND, &asked("a.example"), &[1000 * US, 3000 * US]);
    made.values("dns.latency", SECOND, &asked("gone.example"), &[2000 * US; 3]);
    let missing = [&asked("gone.example")[..], &[("dns_rcode", "NXDOMAIN".into())]].concat();
    made.counter("dns.failures", SECOND, &missing, 3, 3);
    made.counter("dns.unanswered", 2 * SECOND, &asked("silent.example"), 2, 2);
    made.counter("dns.by_tcp", SECOND, &own, 4, 4);
    made.counter("dns.unread", SECOND, &own, 1, 1);
    for (op, name, code, dur) in [("answer", "a.example", "NOERROR", 3), ("unanswered", "silent.example", "", 900)] {
        let mut row = asked(name);
        row.extend([("op", op.into()), ("dur_ns", (dur * MS).into()), ("daddr", "10.0.0.53".into())]);
        row.extend([("sport", 5000.into()), ("dns_type", "AAAA".into())]);
        row.extend((!code.is_empty()).then_some(("dns_rcode", Cell::Text(code))));
        made.row("dns", SECOND, &row);
    }
    made.row("dns", SECOND, &[("op", "tcp".into()), ("pid", 10.into())]);
    let document = view("dns", made);
    holds(
        &document,
        "names",
        &["comm", "pid", "name", "count", "sum_ns", "max_ns", "failed", "unanswered"],
        &[
            json!(["curl", 10, "gone.example", 3, 6_000_000, 2_000_000, 3, 0]),
            json!(["curl", 10, "a.example", 2, 4_000_000, 3_000_000, 0, 0]),
            json!(["curl", 10, "silent.example", 0, 0, null, 0, 2]),
        ],
    );
    holds(
        &document,
        "failures",
        &["name", "outcome", "count", "comm", "pid"],
        &[json!(["gone.example", "NXDOMAIN", 3, "curl", 10]), json!(["silent.example", "no answer", 2, "curl", 10])],
    );
    holds(
        &document,
        "slowest",
        &["dur_ns", "name", "type", "outcome", "server", "own_port"],
        &[
            json!([900 * MS, "silent.example", "AAAA", "unanswered", "10.0.0.53", 5000]),
            json!([3 * MS, "a.example", "AAAA", "NOERROR", "10.0.0.53", 5000]),
        ],
    );
    holds(&document, "tcp", &["comm", "pid", "connects", "unread"], &[json!(["curl", 10, 4, 1])]);
}

#[test]
fn files_adds_up_calls_by_mount_and_process_and_failed_opens_by_path() {
    let mut made = of_probe("files");
    let by = ["pid", "comm", "op", "files_mount"];
    made.metric("files.latency", "histogram", "ns", &by).metric("files.size", "histogram", "bytes", &by);
    made.metric("files.failed_opens", "counter", "count", &["pid", "comm", "filename", "files_error"]);
    made.metric("files.short_lived", "histogram", "ns", &["pid", "comm", "files_mount"]);
    for (pid, comm, times, sizes) in
        [(10, "cat", vec![100 * US; 4], vec![4096; 4]), (20, "cp", vec![900 * US], vec![100])]
    {
        let call = [&who(pid, comm)[..], &[("op", "read".into()), ("files_mount", "/".into())]].concat();
        made.values("files.latency", SECOND, &call, &times).values("files.size", SECOND, &call, &sizes);
        let failed = [&who(pid, comm)[..], &[("filename", "/nope".into()), ("files_error", "ENOENT".into())]].concat();
        made.counter("files.failed_opens", SECOND, &failed, 2, 2);
    }
    let made_by_cp = [&who(20, "cp")[..], &[("files_mount", "/tmp".into())]].concat();
    made.values("files.short_lived", SECOND, &made_by_cp, &[5_000 * US, 6_000 * US]);
    for (dur, ret, error) in [(30, 4096, ""), (50, -28, "ENOSPC")] {
        let mut row = [&who(20, "cp")[..], &[("op", "write".into()), ("filename", "x".into())]].concat();
        row.extend([("dur_ns", (dur * MS).into()), ("files_mount", "/tmp".into())]);
        row.extend(if error.is_empty() { [("bytes", ret.into())] } else { [("files_error", Cell::Text(error))] });
        made.row("file", SECOND, &row);
    }
    let document = view("files", made);
    holds(
        &document,
        "mounts",
        &["op", "mount", "count", "sum_ns", "max_ns", "moved_bytes"],
        &[json!(["read", "/", 5, 1_300_000, 900_000, 16_484])],
    );
    holds(
        &document,
        "processes",
        &["comm", "pid", "op", "mount", "count", "sum_ns", "p50_ns", "moved_bytes"],
        &[
            json!(["cp", 20, "read", "/", 1, 900_000, 900_000, 100]),
            json!(["cat", 10, "read", "/", 4, 400_000, 100_000, 16_384]),
        ],
    );
    holds(
        &document,
        "failed",
        &["count", "error", "comm", "processes", "path"],
        &[json!([2, "ENOENT", "cat", 1, "/nope"]), json!([2, "ENOENT", "cp", 1, "/nope"])],
    );
    holds(
        &document,
        "short_lived",
        &["comm", "pid", "mount", "count", "sum_ns", "max_ns"],
        &[json!(["cp", 20, "/tmp", 2, 11_000_000, 6_000_000])],
    );
    holds(
        &document,
        "slowest",
        &["dur_ns", "op", "comm", "bytes", "error", "mount", "file"],
        &[
            json!([50 * MS, "write", "cp", null, "ENOSPC", "/tmp", "x"]),
            json!([30 * MS, "write", "cp", 4096, null, "/tmp", "x"]),
        ],
    );
}

#[test]
fn signals_tells_what_became_of_them_who_sent_them_and_who_died() {
    let mut made = of_probe("signals");
    let by = ["pid", "comm", "name", "signals_sender", "signals_sender_pid", "signals_outcome"];
    made.metric("signals.sent", "counter", "count", &by);
    made.metric("signals.delivered", "counter", "count", &["pid", "name"]);
    made.metric("signals.delay", "histogram", "ns", &["pid", "name"]);
    let from = [("signals_sender", "timer".into()), ("signals_sender_pid", 5.into())];
    let sent = |name: &'static str| [&who(10, "worker")[..], &from, &[("name", name.into())]].concat();
    for (name, outcome, count) in
        [("SIGUSR1", "delivered", 6), ("SIGUSR1", "pending", 3), ("SIGUSR1", "ignored", 1), ("SIGTERM", "overflow", 2)]
    {
        let all = [&sent(name)[..], &[("signals_outcome", outcome.into())]].concat();
        made.counter("signals.sent", SECOND, &all, count, count);
    }
    let taken = [("pid", 10.into()), ("name", "SIGUSR1".into())];
    made.counter("signals.delivered", SECOND, &taken, 6, 6).values("signals.delay", SECOND, &taken, &[10 * US; 6]);
    let death = [&sent("SIGKILL")[..], &[("signals_outcome", "ended".into())]].concat();
    made.row("signal_death", 2 * SECOND, &death);
    for (at, delay) in [(1, 4), (2, 9)] {
        let row = [&sent("SIGUSR1")[..], &[("tid", 11.into()), ("dur_ns", (delay * MS).into())]].concat();
        made.row("signal_taken", at * SECOND, &row);
    }
    let document = view("signals", made);
    let fields = ["name", "sent", "ignored", "merged", "lost", "delivered", "delay_p50_ns", "delay_max_ns"];
    holds(
        &document,
        "signals",
        &fields,
        &[json!(["SIGUSR1", 10, 1, 3, 0, 6, 10_000, 10_000]), json!(["SIGTERM", 2, 0, 0, 2, 0, null, null])],
    );
    holds(
        &document,
        "pairs",
        &["sender", "sender_pid", "name", "comm", "pid", "sent", "ignored", "merged"],
        &[
            json!(["timer", 5, "SIGUSR1", "worker", 10, 10, 1, 3]),
            json!(["timer", 5, "SIGTERM", "worker", 10, 2, 0, 0]),
        ],
    );
    holds(
        &document,
        "deaths",
        &["time_ns", "name", "comm", "pid", "sender", "sender_pid", "outcome"],
        &[json!([2 * SECOND, "SIGKILL", "worker", 10, "timer", 5, "ended"])],
    );
    holds(
        &document,
        "slowest",
        &["time_ns", "delay_ns", "name", "tid", "sender", "sender_pid"],
        &[json!([2 * SECOND, 9 * MS, "SIGUSR1", 11, "timer", 5]), json!([SECOND, 4 * MS, "SIGUSR1", 11, "timer", 5])],
    );
}

#[test]
fn events_shows_counts_latencies_values_and_hits_under_their_names() {
    let mut made = of_probe("events");
    let by = ["pid", "comm", "name", "events_function", "events_by"];
    for (metric, kind, unit) in [
        ("events.count", "counter", "count"),
        ("events.latency", "histogram", "ns"),
        ("events.value", "histogram", "count"),
        ("events.negative", "counter", "count"),
    ] {
        made.metric(metric, kind, unit, &by);
    }
    made.meta.events = vec![
        ebrec::recording::EventMeta {
            name: "reads".into(),
            captures: vec![
                ebrec::recording::CaptureMeta { column: "arg_0".into(), name: "fd".into() },
                ebrec::recording::CaptureMeta { column: "str_0".into(), name: "path".into() },
            ],
            hist: Some("size".into()),
            ..Default::default()
        },
        ebrec::recording::EventMeta { name: "never".into(), ..Default::default() },
    ];
    let hit = [&who(10, "cat")[..], &[("name", "reads".into()), ("events_function", "vfs_read".into())]].concat();
    made.counter("events.count", SECOND, &hit, 8, 8).values("events.latency", SECOND, &hit, &[20 * US; 8]);
    made.values("events.value", SECOND, &hit, &[1, 2, 30]).counter("events.negative", SECOND, &hit, 5, 5);
    let row = [("tid", 11.into()), ("dur_ns", MS.into()), ("arg_0", (-3).into()), ("str_0", "a b".into())];
    made.row("event", SECOND, &[&hit[..], &row].concat());
    let document = view("events", made);
    holds(
        &document,
        "events",
        &["name", "function", "comm", "pid", "count", "rate_hz"],
        &[json!(["reads", "vfs_read", "cat", 10, 8, 2.0]), json!(["never", null, null, null, 0, 0.0])],
    );
    holds(
        &document,
        "latency",
        &["name", "count", "sum_ns", "p50_ns", "max_ns"],
        &[json!(["reads", 8, 160_000, 20_000, 20_000])],
    );
    holds(
        &document,
        "values",
        &["name", "value", "count", "min", "p50", "max", "negative"],
        &[json!(["reads", "size", 3, 1, 2, 30, 5])],
    );
    holds(
        &document,
        "hits",
        &["time_ns", "name", "function", "dur_ns", "values", "comm", "pid", "tid"],
        &[json!([SECOND, "reads", "vfs_read", MS, "fd=-3 path=a b", "cat", 10, 11])],
    );
}

#[test]
fn memory_tells_stalls_faults_and_victims_apart() {
    let mut made = of_probe("memory");
    made.metric("memory.faults", "counter", "count", &["pid", "comm", "state"]);
    for (metric, kind, unit) in [
        ("memory.reclaim_stall", "histogram", "ns"),
        ("memory.reclaimed", "counter", "bytes"),
        ("memory.compaction_stall", "histogram", "ns"),
    ] {
        made.metric(metric, kind, unit, &["pid", "comm", "cause"]);
    }
    let own = who(10, "java");
    for (state, count) in [("minor", 900), ("major", 7)] {
        made.counter("memory.faults", SECOND, &[&own[..], &[("state", state.into())]].concat(), count, count);
    }
    let by_limit = [&own[..], &[("cause", "limit".into())]].concat();
    made.values("memory.reclaim_stall", SECOND, &by_limit, &[3000 * US, 5000 * US]);
    made.counter("memory.reclaimed", SECOND, &by_limit, 2, 1 << 20);
    made.values("memory.compaction_stall", SECOND, &own, &[1000 * US]);
    let stall = [("tid", 11.into()), ("dur_ns", (5 * MS).into()), ("bytes", 4096.into()), ("cause", "limit".into())];
    made.row("reclaim", SECOND, &[&own[..], &stall].concat());
    let sizes = [
        ("memory_total_vm_bytes", 900.into()),
        ("memory_anon_rss_bytes", 500.into()),
        ("memory_file_rss_bytes", 40.into()),
        ("memory_shmem_rss_bytes", 30.into()),
        ("memory_swap_bytes", 20.into()),
        ("memory_pgtables_bytes", 10.into()),
        ("memory_oom_score_adj", (-500).into()),
        ("memory_asker_pid", 77.into()),
        ("memory_asker_comm", "asker".into()),
        ("uid", 1000.into()),
    ];
    made.row("oom", 3 * SECOND, &[&own[..], &sizes].concat());
    let document = view("memory", made);
    holds(&document, "faults", &["comm", "pid", "faults", "minor", "major"], &[json!(["java", 10, 907, 900, 7])]);
    holds(
        &document,
        "stalls",
        &["comm", "pid", "what", "count", "sum_ns", "max_ns", "freed_bytes"],
        &[
            json!(["java", 10, "reclaim, limit", 2, 8_000_000, 5_000_000, 1 << 20]),
            json!(["java", 10, "compaction", 1, 1_000_000, 1_000_000, null]),
        ],
    );
    holds(
        &document,
        "slowest",
        &["time_ns", "dur_ns", "what", "comm", "pid", "tid", "freed_bytes"],
        &[json!([SECOND, 5 * MS, "reclaim, limit", "java", 10, 11, 4096])],
    );
    let fields = [
        "comm",
        "uid",
        "total_vm_bytes",
        "anon_rss_bytes",
        "file_rss_bytes",
        "shmem_rss_bytes",
        "swap_bytes",
        "page_tables_bytes",
    ];
    holds(&document, "oom", &fields, &[json!(["java", 1000, 900, 500, 40, 30, 20, 10])]);
    holds(
        &document,
        "oom",
        &["time_ns", "oom_score_adj", "asker", "asker_pid"],
        &[json!([3 * SECOND, -500, "asker", 77])],
    );
}

#[test]
fn irq_adds_up_handlers_vectors_and_delays() {
    let mut made = of_probe("irq");
    made.metric("irq.hard_time", "histogram", "ns", &["name"]).metric("irq.soft_time", "histogram", "ns", &["name"]);
    made.metric("irq.soft_delay", "histogram", "ns", &["name"]);
    made.values("irq.hard_time", SECOND, &[("name", "virtio0".into())], &[40_000 * US]);
    made.values("irq.soft_time", SECOND, &[("name", "net_rx".into())], &[10 * US; 4]);
    made.values("irq.soft_delay", SECOND, &[("name", "net_rx".into())], &[3 * US; 4]);
    let own = who(10, "cat");
    for (kind, name, dur, delay) in [("irq", "virtio0", 40, 0), ("softirq", "net_rx", 1, 60)] {
        let mut row = [&own[..], &[("name", name.into()), ("cpu", 1.into()), ("dur_ns", (dur * MS).into())]].concat();
        row.extend((delay > 0).then_some(("irq_delay_ns", Cell::Int(delay * MS))));
        made.row(kind, SECOND, &row);
    }
    let document = view("irq", made);
    // 40 ms of the window's 4 s are a hundredth of a CPU.
    holds(
        &document,
        "hard",
        &["name", "count", "sum_ns", "max_ns", "cpu_pct"],
        &[json!(["virtio0", 1, 40_000_000, 40_000_000, 1.0])],
    );
    holds(
        &document,
        "soft",
        &["name", "count", "sum_ns", "p50_ns", "delay_p50_ns", "delay_max_ns"],
        &[json!(["net_rx", 4, 40_000, 10_000, 3_000, 3_000])],
    );
    holds(
        &document,
        "slowest",
        &["name", "dur_ns", "delay_ns", "cpu", "comm", "pid", "worst_ns"],
        &[
            json!(["net_rx", MS, 60 * MS, 1, "cat", 10, 60 * MS]),
            json!(["virtio0", 40 * MS, null, 1, "cat", 10, 40 * MS]),
        ],
    );
}

#[test]
fn a_process_has_one_name_in_all_tables_of_a_view_whatever_its_threads_are_called() {
    let mut made = of_probe("locks");
    made.row("process", 0, &who(10, "mysqld"));
    made.metric("locks.futex_wait", "histogram", "ns", &["pid", "comm"]);
    made.values("locks.futex_wait", SECOND, &who(10, "ib_io_wr-1"), &[2000 * US]);
    let futex = [("name", "futex".into()), ("tid", 11.into()), ("dur_ns", (30 * MS).into())];
    made.row("lock", SECOND, &[&who(10, "ib_io_wr-1")[..], &futex].concat());
    let document = view("locks", made);
    holds(&document, "futexes", &["comm", "pid"], &[json!(["mysqld", 10])]);
    holds(&document, "slowest", &["comm", "pid", "tid"], &[json!(["mysqld", 10, 11])]);
}

#[test]
fn locks_tells_the_kernels_from_futexes_and_futexes_by_address() {
    let mut made = of_probe("locks");
    made.metric("locks.contention", "histogram", "ns", &["pid", "comm", "name"]);
    made.metric("locks.futex_wait", "histogram", "ns", &["pid", "comm"]);
    made.metric("locks.futex_address", "counter", "ns", &["pid", "comm", "locks_address"]);
    let own = who(10, "mysqld");
    let address = [("locks_address", "0x7f00".into())];
    made.values("locks.contention", SECOND, &[&own[..], &[("name", "mutex".into())]].concat(), &[70 * US, 30 * US]);
    made.values("locks.futex_wait", SECOND, &own, &[2000 * US; 5]);
    made.counter("locks.futex_address", SECOND, &[&own[..], &address].concat(), 4, 8_000_000);
    let futex = [("name", "futex".into()), ("op", "wait".into()), ("ret", (-110).into()), ("dur_ns", (30 * MS).into())];
    made.row("lock", SECOND, &[&own[..], &address, &futex, &[("tid", 11.into())]].concat());
    let document = view("locks", made);
    holds(
        &document,
        "kernel",
        &["name", "comm", "pid", "count", "sum_ns", "max_ns"],
        &[json!(["mutex", "mysqld", 10, 2, 100_000, 70_000])],
    );
    holds(
        &document,
        "futexes",
        &["comm", "pid", "count", "sum_ns", "p50_ns", "max_ns"],
        &[json!(["mysqld", 10, 5, 10_000_000, 2_000_000, 2_000_000])],
    );
    holds(
        &document,
        "addresses",
        &["comm", "pid", "address", "count", "sum_ns"],
        &[json!(["mysqld", 10, "0x7f00", 4, 8_000_000])],
    );
    holds(
        &document,
        "slowest",
        &["time_ns", "dur_ns", "name", "comm", "pid", "tid", "op", "address", "error"],
        &[json!([SECOND, 30 * MS, "futex", "mysqld", 10, 11, "wait", "0x7f00", "ETIMEDOUT"])],
    );
}

/// A build's hundred compilers would fill the screen; `--by pid` shows them, and programs get each.
#[test]
fn many_short_lived_processes_of_a_command_share_a_row() {
    let mut made = build("builder");
    for pid in 500..505 {
        let who = [("pid", Cell::Int(pid)), ("comm", Cell::Text("as"))];
        made.row("fork", MS, &who);
        made.row("exit", 20 * MS, &[&who[..], &[("dur_ns", Cell::Int(19 * MS)), ("exit_code", Cell::Int(0))]].concat());
        made.counter("sched.on_cpu", SECOND, &who, 1, 10_000_000);
    }
    let case = Case::new("processes", vec![("run.parquet", made)]);
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("as ")).map(str::to_owned).collect::<Vec<_>>();
    let text = case.text();
    let lines = rows(&text);
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0].split_whitespace().take(3).collect::<Vec<_>>(), ["as", "-", "5"]);
    assert!(lines[0].contains(" 50"), "{text}");
    assert!(text.contains("--by pid shows each"), "{text}");
    assert_eq!(rows(&case.with(|plan| plan.by = vec!["pid".to_owned()]).text()).len(), 5);
}

#[test]
fn a_row_per_command_adds_up_all_its_processes() {
    let case = of_build("block").with(|plan| plan.by = vec!["comm".to_owned()]);
    let by_pid = cells(&of_build("block").json(), "processes", &["comm", "pid", "count"]);
    let by_comm = cells(&case.json(), "processes", &["comm", "pid", "count"]);
    let sum = |rows: &[Vec<Value>], comm: &str| {
        rows.iter().filter(|row| row[0] == comm).map(|row| row[2].as_u64().unwrap()).sum::<u64>()
    };
    for comm in ["cc1", "postgres"] {
        assert_eq!(sum(&by_comm, comm), sum(&by_pid, comm), "{comm}");
    }
    assert!(by_comm.iter().all(|row| row[1].is_null()), "{by_comm:?}");
}

/// Whatever shares a row, the figures of a table come to the same: none of a process is left out, and none counts twice.
#[test]
fn tables_by_process_add_up_to_the_same_however_processes_share_rows() {
    for view in ebrec::report::VIEWS.iter().filter(|view| view.by_process) {
        let sums = |per: Option<&str>, format: Format| {
            let case = Case::new(view.name, vec![("run.parquet", jobs())]).with(|plan| {
                plan.by = per.map(str::to_owned).into_iter().collect();
                (plan.top, plan.format) = (Some(0), format);
            });
            added_up(&case.json())
        };
        let each = sums(None, Format::Json);
        assert!(each.values().any(|sum| *sum > 0), "{} has nothing of these processes", view.name);
        for (per, format) in [(Some("pid"), Format::Json), (Some("comm"), Format::Json), (None, Format::Markdown)] {
            let shared = sums(per, format);
            for (field, sum) in &shared {
                // A table for people has fewer columns.
                let expected = each.get(field).unwrap_or_else(|| panic!("{field} of {}", view.name));
                assert_eq!(sum, expected, "{field} of {} by {per:?}", view.name);
            }
            assert!(shared.values().any(|sum| *sum > 0), "{} by {per:?}", view.name);
        }
    }
}

/// What the amounts in each column of each table come to; events that are listed one by one have none.
fn added_up(document: &Value) -> BTreeMap<String, i64> {
    let amounts = [
        "count",
        "processes",
        "connections",
        "failed",
        "unanswered",
        "sent",
        "sent_bytes",
        "moved_bytes",
        "freed_bytes",
        "work_ns",
        "wait_ns",
        "on_cpu_ns",
        "errors",
        "faults",
        "negative",
    ];
    let is_amount = |field: &str| amounts.contains(&field) || field.ends_with(".count") || field.ends_with("sum_ns");
    let mut sums = BTreeMap::new();
    for (table, rows) in document["tables"].as_object().unwrap() {
        for (field, value) in rows.as_array().unwrap().iter().flat_map(|row| row.as_object().unwrap()) {
            if is_amount(field) {
                *sums.entry(format!("{table}.{field}")).or_insert(0) += value.as_i64().unwrap_or(0);
            }
        }
    }
    sums
}

/// Five short-lived processes of a command and one that lasts, with values of every metric that is kept by process.
fn jobs() -> Synthetic {
    let mut made = Synthetic::new("builder");
    for probe in ["process", "sched", "block", "syscall", "http", "memory", "locks", "tcp", "dns", "files", "signals"] {
        made.probe(probe, "slow", 100);
    }
    let call: &[&str] = &["name", "syscall_class", "syscall_errno"];
    let http: &[&str] = &["op", "http_status", "http_side", "http_tls"];
    let peer: &[&str] = &["tcp_side", "daddr", "dport"];
    let event: &[&str] = &["name", "events_function", "events_by"];
    let metrics: Vec<(&str, &str, &str, &[&str])> = vec![
        ("sched.on_cpu", "counter", "ns", &[]),
        ("block.device_time", "histogram", "ns", &["dev", "op"]),
        ("block.queue_time", "histogram", "ns", &["dev", "op"]),
        ("block.size", "histogram", "bytes", &["dev", "op"]),
        ("syscall.latency", "histogram", "ns", call),
        ("syscall.errors", "counter", "count", call),
        ("http.latency", "histogram", "ns", http),
        ("http.unanswered", "counter", "count", http),
        ("http.unparsed", "counter", "count", &["cause"]),
        ("memory.faults", "counter", "count", &["state"]),
        ("memory.reclaim_stall", "histogram", "ns", &["cause"]),
        ("memory.reclaimed", "counter", "bytes", &["cause"]),
        ("locks.contention", "histogram", "ns", &["name"]),
        ("locks.futex_wait", "histogram", "ns", &[]),
        ("locks.futex_address", "counter", "ns", &["locks_address"]),
        ("tcp.connect_latency", "histogram", "ns", peer),
        ("tcp.sent", "counter", "bytes", peer),
        ("tcp.failures", "counter", "count", &["daddr", "dport", "cause"]),
        ("dns.latency", "histogram", "ns", &["name"]),
        ("dns.failures", "counter", "count", &["name", "dns_rcode"]),
        ("dns.unanswered", "counter", "count", &["name"]),
        ("files.latency", "histogram", "ns", &["op", "files_mount"]),
        ("files.size", "histogram", "bytes", &["op", "files_mount"]),
        ("files.failed_opens", "counter", "count", &["filename", "files_error"]),
        ("files.short_lived", "histogram", "ns", &["files_mount"]),
        ("signals.sent", "counter", "count", &["name", "signals_outcome", "signals_sender"]),
        ("signals.delivered", "counter", "count", &["name"]),
        ("events.count", "counter", "count", event),
        ("events.latency", "histogram", "ns", event),
        ("events.value", "histogram", "count", event),
    ];
    for (metric, kind, unit, by) in &metrics {
        made.metric(metric, kind, unit, &[&["pid", "comm"], *by].concat());
    }
    for pid in 500..506 {
        let who = who(pid, "job");
        made.row("fork", MS, &who);
        if pid < 505 {
            made.row("exit", 20 * MS, &[&who[..], &[("dur_ns", Cell::Int(19 * MS))]].concat());
        }
        for (metric, kind, _, by) in &metrics {
            let value = |column: &'static str| match column {
                "http_status" => ("http_status", Cell::Int(500)),
                "dport" => ("dport", Cell::Int(80)),
                column => (column, Cell::Text("some")),
            };
            let by = [&who[..], &by.iter().map(|column| value(column)).collect::<Vec<_>>()].concat();
            match *kind {
                "counter" => made.counter(metric, SECOND, &by, 2, 3 * MS.cast_unsigned()),
                _ => made.values(metric, SECOND, &by, &[1000, 5000, 70_000]),
            };
        }
        let state = [("tid", Cell::Int(pid)), ("state", "runnable".into()), ("dur_ns", Cell::Int(SECOND))];
        let spent = [("sum", Cell::Int(10 * MS)), ("count", Cell::Int(4))];
        made.row("ledger", SECOND, &[&who[..], &state, &spent].concat());
    }
    made
}
