//! Findings from the kernel's counters: what each rule needs before it accuses, and whom it names.

use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

const NOTHING: [Vec<Value>; 0] = [];

/// A process: its id, its name, and states with their causes and milliseconds.
type Process<'a> = (i64, &'a str, &'a [(&'a str, &'a str, i64)]);

/// A machine with two CPUs, on which each of these processes had a thread that spent so many milliseconds in each state.
fn machine(processes: &[Process<'_>]) -> Synthetic {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("tcp", "raw", 9);
    for (pid, comm, states) in processes {
        let who = [("pid", (*pid).into()), ("comm", (*comm).into())];
        made.row("process", 0, &[&who[..], &[("ppid", 1.into())]].concat());
        for (state, cause, ms) in *states {
            let spent = [("tid", (*pid).into()), ("dur_ns", (4 * SECOND).into()), ("state", (*state).into())];
            let spent = [&who[..], &spent, &[("sum", (ms * MS).into()), ("count", 10.into())]].concat();
            let because = [("cause", (*cause).into())];
            let because = if cause.is_empty() { &[][..] } else { &because };
            made.row("ledger", 4 * SECOND, &[&spent[..], because].concat());
        }
    }
    made
}

/// A counter that grew in the whole window.
fn grew(made: &mut Synthetic, kind: &'static str, name: &str, metric: &str, by: i64) {
    let cells = [("metric", metric.into()), ("sum", by.into()), ("dur_ns", (4 * SECOND).into())];
    row(made, kind, name, &cells);
}

/// A figure, of a process.
fn is(
    made: &mut Synthetic,
    kind: &'static str,
    name: &str,
    metric: &str,
    value: i64,
    of: &[(&'static str, Cell<'static>)],
) {
    row(made, kind, name, &[&[("metric", metric.into()), ("max", value.into())], of].concat());
}

fn row(made: &mut Synthetic, kind: &'static str, name: &str, cells: &[(&'static str, Cell<'_>)]) {
    let named = [("name", name.into())];
    let all = if name.is_empty() { cells.to_vec() } else { [&named[..], cells].concat() };
    made.row(kind, 4 * SECOND, &all);
}

/// The findings of a recording: rule, who suffered, how often; and what is said.
fn findings(made: Synthetic) -> (Vec<Vec<Value>>, String) {
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    let said = cells(&document, "findings", &["text"]);
    let said = said.iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    // That a process uses a CPU is true of some of these, and no counter's.
    let counted = |finding: &Vec<Value>| finding[0] != "cpu-use";
    (cells(&document, "findings", &["rule", "comm", "count"]).into_iter().filter(counted).collect(), said)
}

const THROTTLED: Process<'static> =
    (7, "worker", &[("on_cpu", "", 800), ("throttled", "", 3000), ("runnable", "", 200)]);

#[test]
fn a_process_over_its_quota_is_no_victim_of_those_that_have_the_cpus() {
    let mut made = machine(&[THROTTLED, (8, "rustc", &[("on_cpu", "", 4000)])]);
    for cgroup in ["/batch", "/batch/worker.service"] {
        grew(&mut made, "cgroup_stat", cgroup, "cpu.nr_throttled", 38);
        grew(&mut made, "cgroup_stat", cgroup, "cpu.nr_periods", 40);
        is(&mut made, "cgroup_stat", cgroup, "cgroup.process", 1, &[("pid", 7.into())]);
    }
    is(&mut made, "cgroup_stat", "/batch/worker.service", "cpu.quota", 20 * MS, &[]);
    is(&mut made, "cgroup_stat", "/batch/worker.service", "cpu.period", 100 * MS, &[]);
    let (found, said) = findings(made);
    assert_eq!(found, [[json!("cpu-quota"), json!("worker"), json!(10)]]);
    // The limit nearest to the process is named, and how it is set.
    let quota =
        "Its cgroup /batch/worker.service may use 20.0 ms of each 100 ms, and was throttled in 38 of 40 periods";
    assert!(said.contains(quota), "{said}");
}

#[test]
fn a_quota_that_another_process_used_up_is_no_finding() {
    let mut made = machine(&[(7, "worker", &[("on_cpu", "", 3900), ("throttled", "", 100)])]);
    grew(&mut made, "cgroup_stat", "/batch", "cpu.nr_throttled", 3);
    assert_eq!(findings(made).0, NOTHING);
}

#[test]
fn the_server_whose_accept_queue_was_full_is_named_and_losses_are_not_the_network_s() {
    let mut made = machine(&[(7, "server", &[("interruptible", "sleep", 4000)])]);
    for (metric, by) in [
        ("TcpExt.ListenOverflows", 250),
        ("TcpExt.ListenDrops", 250),
        ("Tcp.RetransSegs", 240),
        ("Tcp.OutSegs", 900),
        ("TcpExt.TCPTimeouts", 200),
    ] {
        grew(&mut made, "net_stat", "own", metric, by);
    }
    is(&mut made, "net_stat", "own", "Tcp.accept_queue", 3, &[("pid", 7.into()), ("sport", 8080.into())]);
    let (found, said) = findings(made);
    assert_eq!(found, [[json!("accept-queue"), json!("server"), json!(250)]]);
    assert!(said.contains("server (7)") && said.contains("on port 8080 (3 waiting)"), "{said}");
}

#[test]
fn segments_that_a_long_way_loses_are_no_finding_and_many_that_stop_connections_are() {
    let lossy = |resent, timeouts| {
        let mut made = machine(&[(7, "client", &[("interruptible", "socket", 4000)])]);
        grew(&mut made, "net_stat", "own", "Tcp.RetransSegs", resent);
        grew(&mut made, "net_stat", "own", "Tcp.OutSegs", 10_000);
        grew(&mut made, "net_stat", "own", "TcpExt.TCPTimeouts", timeouts);
        findings(made).0
    };
    assert_eq!(lossy(60, 50), NOTHING);
    assert_eq!(lossy(600, 0), NOTHING);
    assert_eq!(lossy(600, 50), [[json!("packet-loss"), Value::Null, json!(600)]]);
}

#[test]
fn the_receiver_whose_socket_dropped_datagrams_is_named() {
    let mut made = machine(&[(7, "receiver", &[("interruptible", "sleep", 4000)]), (8, "other", &[])]);
    grew(&mut made, "net_stat", "net:[4026532]", "Udp.RcvbufErrors", 900);
    for (pid, drops) in [(8, 12), (7, 905)] {
        is(&mut made, "net_stat", "net:[4026532]", "Udp.drops", drops, &[("pid", pid.into()), ("sport", 9000.into())]);
    }
    assert_eq!(findings(made).0, [[json!("socket-buffers"), json!("receiver"), json!(900)]]);
}

#[test]
fn connects_without_a_port_are_told_from_those_that_their_process_gave_up() {
    let connects = |port: Option<i64>| {
        let mut made = machine(&[(7, "caller", &[("on_cpu", "", 4000)])]);
        for _ in 0..20 {
            let who = [("pid", 7.into()), ("comm", "caller".into()), ("op", "given up".into())];
            let port: Vec<_> = port.into_iter().map(|port| ("sport", port.into())).collect();
            made.row("tcp", SECOND, &[&who[..], &port].concat());
        }
        findings(made).0
    };
    assert_eq!(connects(Some(0)), [[json!("port-exhaustion"), json!("caller"), json!(20)]]);
    assert_eq!(connects(Some(40_001)), NOTHING);
}

#[test]
fn the_innermost_cgroup_at_its_limit_of_processes_is_named() {
    let mut made = machine(&[(7, "spawner", &[("interruptible", "sleep", 4000)])]);
    for cgroup in ["/a", "/a/b"] {
        grew(&mut made, "cgroup_stat", cgroup, "pids.events.max", 200);
        is(&mut made, "cgroup_stat", cgroup, "cgroup.process", 1, &[("pid", 7.into())]);
    }
    is(&mut made, "cgroup_stat", "/a/b", "pids.limit", 8, &[]);
    let (found, said) = findings(made);
    assert_eq!(found, [[json!("pids-limit"), json!("spawner"), json!(200)]]);
    assert!(said.contains("/a/b is at its limit of 8"), "{said}");
}

#[test]
fn page_faults_are_swap_only_where_the_machine_swaps() {
    let faulting = |pages| {
        let mut made = machine(&[(7, "hoarder", &[("on_cpu", "", 1000), ("uninterruptible", "page fault", 3000)])]);
        grew(&mut made, "machine_stat", "", "vmstat.pswpin", pages);
        findings(made).0.into_iter().filter(|finding| finding[0] == "swap").collect::<Vec<_>>()
    };
    assert_eq!(faulting(20_000), [[json!("swap"), json!("hoarder"), json!(10)]]);
    assert_eq!(faulting(30), NOTHING);
}

#[test]
fn stolen_time_matters_when_it_is_a_part_of_what_the_machine_wanted() {
    let stolen = |ms: i64| {
        let mut made = machine(&[(7, "worker", &[("on_cpu", "", 4000)])]);
        for (cpu, busy) in [(0, 4000), (1, 0)] {
            for (state, ms) in [("busy", busy), ("idle", 4000 - busy)] {
                let cells = [("cpu", cpu.into()), ("dur_ns", (4 * SECOND).into()), ("state", state.into())];
                made.row("cpu_ledger", 4 * SECOND, &[&cells[..], &[("sum", (ms * MS).into())]].concat());
            }
        }
        grew(&mut made, "machine_stat", "", "cpu.steal", ms * MS);
        findings(made).0.into_iter().map(|finding| finding[0].clone()).collect::<Vec<_>>()
    };
    assert!(stolen(1600).contains(&json!("steal")), "{:?}", stolen(1600));
    assert!(!stolen(100).contains(&json!("steal")));
}

#[test]
fn a_process_is_told_with_its_unit_or_its_container() {
    let called = |place: &[(&'static str, Cell<'static>)]| {
        let mut made = machine(&[THROTTLED]);
        let who = [("pid", 7.into()), ("comm", "worker".into())];
        made.row("process", 0, &[&who[..], place].concat());
        grew(&mut made, "cgroup_stat", "/batch", "cpu.nr_throttled", 38);
        findings(made).1
    };
    assert!(called(&[("unit_name", "web.service".into())]).starts_with("worker (7) in web.service was"));
    let container = [("container", "0123456789ab".into()), ("pod", "2b5c7e9a-6a0f-4a39-9a3e-6d6a2b7c8d9e".into())];
    assert!(called(&container).starts_with("worker (7) in container 0123456789ab of pod 2b5c7e9a was"));
    assert!(called(&[("unit_name", "session-3.scope".into())]).starts_with("worker (7) was"));
}
