//! What the first screen says was slow, and who is named as having caused it.

use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

/// A thread's time in one state, in the one interval of the recording.
fn spent(made: &mut Synthetic, (pid, tid): (i64, i64), comm: &str, (state, cause): (&str, &str), ms: i64, count: i64) {
    let cells = [
        ("pid", pid.into()),
        ("tid", tid.into()),
        ("comm", comm.into()),
        ("dur_ns", (4 * SECOND).into()),
        ("state", state.into()),
        ("cause", cause.into()),
        ("sum", (ms * MS).into()),
        ("count", count.into()),
    ];
    made.row("ledger", 4 * SECOND, &cells);
}

/// The findings of a recording: rule, who suffered, and who is behind it.
fn findings(made: Synthetic) -> Vec<Vec<Value>> {
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    cells(&document, "findings", &["rule", "comm", "by_comm"])
}

#[test]
fn the_one_that_fills_the_disk_is_named_and_the_one_that_waits_for_it() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("block", "slow", 9);
    made.metric("block.device_time", "histogram", "ns", &["dev", "pid", "comm"]);
    made.metric("block.size", "histogram", "bytes", &["dev", "pid", "comm"]);
    for (pid, comm, count, ns, bytes) in [(7, "victim", 400, 2_000_000, 4096), (8, "noisy", 9000, 2_000_000, 1 << 20)] {
        let by = [("dev", "vda".into()), ("pid", pid.into()), ("comm", comm.into())];
        made.values("block.device_time", 4 * SECOND, &by, &vec![ns; count]);
        made.values("block.size", 4 * SECOND, &by, &vec![bytes; count]);
        spent(&mut made, (pid, pid), comm, ("uninterruptible", "fsync"), 3000, 400);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), 1000, 400);
    }
    assert_eq!(findings(made), [[json!("disk"), json!("victim"), json!("noisy")]]);
}

/// Workers that a timer wakes every 50 ms, and threads that hold a lock in turn: their sleeps look alike but for their stacks.
#[test]
fn only_threads_that_wait_in_a_function_of_locks_wait_for_a_lock() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("offcpu", "slow", 9);
    made.symbol(1, "pthread_cond_timedwait", "/lib/libc.so.6").symbol(2, "work", "/srv/timer");
    made.symbol(3, "__lll_lock_wait", "/lib/libc.so.6").symbol(4, "update", "/srv/convoy");
    made.stack(1, &[1, 2]).stack(2, &[3, 4]);
    for (pid, comm, stack, count) in [(7, "timer", 1, 320), (20, "convoy", 2, 4000)] {
        for tid in pid..pid + 4 {
            spent(&mut made, (pid, tid), comm, ("interruptible", "futex"), 3000, count / 4);
            spent(&mut made, (pid, tid), comm, ("on_cpu", ""), 200, count / 4);
        }
        let own = [("pid", pid.into()), ("comm", comm.into()), ("metric", "offcpu.time".into())];
        let sum = [("ustack_id", stack.into()), ("sum", (12 * SECOND).into()), ("count", count.into())];
        made.row("stack_total", 4 * SECOND, &[&own[..], &sum].concat());
    }
    assert_eq!(findings(made), [[json!("lock"), json!("convoy"), Value::Null]]);
}

#[test]
fn who_has_the_cpus_is_named_and_who_starves() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    for (pid, comm, on_cpu) in [(7, "service", 400u64), (8, "hog", 3600), (9, "hog", 3600)] {
        let by = [("pid", pid.into()), ("comm", comm.into())];
        made.counter("sched.on_cpu", 4 * SECOND, &by, 1, on_cpu * 1_000_000);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), on_cpu.cast_signed(), 100);
        spent(&mut made, (pid, pid), comm, ("runnable", ""), 4000 - on_cpu.cast_signed(), 100);
    }
    assert_eq!(findings(made), [[json!("cpu-queue"), json!("service"), json!("hog")]]);
}

#[test]
fn a_quiet_machine_is_told_that_it_is() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    spent(&mut made, (7, 7), "server", ("interruptible", "poll"), 3990, 4);
    spent(&mut made, (7, 7), "server", ("on_cpu", ""), 10, 4);
    let text = Case::new("summary", vec![("run.parquet", made)]).text();
    assert!(text.contains("quiet"), "{text}");
}

/// Milliseconds of four seconds by state and cause.
type Spent<'a> = &'a [(&'static str, &'static str, i64)];

/// A machine of processes with one thread each, which spent its time as told.
fn machine(spent_by: &[(i64, &'static str, Spent<'_>)]) -> Synthetic {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("offcpu", "slow", 9).probe("block", "slow", 9);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    let mut busy = 0;
    for (pid, comm, states) in spent_by {
        made.row("process", 0, &[("pid", (*pid).into()), ("comm", (*comm).into())]);
        for (state, cause, ms) in *states {
            spent(&mut made, (*pid, *pid), comm, (state, cause), *ms, 100);
            if *state == "on_cpu" {
                let by = [("pid", (*pid).into()), ("comm", (*comm).into())];
                made.counter("sched.on_cpu", 4 * SECOND, &by, 1, (ms * MS).cast_unsigned());
                busy += ms;
            }
        }
    }
    for cpu in 0..2 {
        for (state, ms) in [("busy", busy / 2), ("idle", 4000 - busy / 2)] {
            let own = [("cpu", cpu.into()), ("dur_ns", (4 * SECOND).into()), ("state", state.into())];
            made.row("cpu_ledger", 4 * SECOND, &[&own[..], &[("sum", (ms * MS).into())]].concat());
        }
    }
    made
}

/// The sleeps of a process with a stack of these functions, the innermost first, each with its module.
fn slept(made: &mut Synthetic, (pid, comm): (i64, &'static str), ms: i64, functions: &[(&str, &str)]) {
    let mut ids = Vec::new();
    for (at, (name, module)) in (0..).zip(functions) {
        let id = pid * 100 + at;
        made.symbol(id, name, module);
        ids.push(i32::try_from(id).unwrap());
    }
    made.stack(pid, &ids);
    let own = [("pid", pid.into()), ("comm", comm.into()), ("metric", "offcpu.time".into())];
    let sum = [("kstack_id", pid.into()), ("sum", (ms * MS).into()), ("count", 100.into())];
    made.row("stack_total", 4 * SECOND, &[&own[..], &sum].concat());
}

/// Samples of a process in functions of its program, the innermost first.
fn sampled(made: &mut Synthetic, (pid, comm): (i64, &'static str), ms: i64, functions: &[&str]) {
    let mut ids = Vec::new();
    for (at, name) in (50..).zip(functions) {
        let id = pid * 100 + at;
        made.symbol(id, name, "/srv/app");
        ids.push(i32::try_from(id).unwrap());
    }
    made.stack(1000 + pid, &ids);
    let own = [("pid", pid.into()), ("comm", comm.into()), ("ustack_id", (1000 + pid).into())];
    made.row("cpu_sample", 4 * SECOND, &[&own[..], &[("sum", (ms * MS).into()), ("count", 100.into())]].concat());
}

fn first_screen(made: Synthetic) -> String {
    let text = Case::new("summary", vec![("run.parquet", made)]).text();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_web_server_that_hardly_runs_is_not_said_to_wait_for_a_cpu() {
    let web = [("on_cpu", "", 440), ("runnable", "", 160), ("interruptible", "poll", 3400)];
    assert_eq!(findings(machine(&[(7, "nginx", &web)])), Vec::<Vec<Value>>::new());
}

#[test]
fn whoever_fills_a_cpu_is_named_with_the_function_in_which_it_runs() {
    let mut made = machine(&[(7, "cruncher", &[("on_cpu", "", 3900), ("runnable", "", 100)])]);
    sampled(&mut made, (7, "cruncher"), 3600, &["multiply", "step", "main"]);
    sampled(&mut made, (7, "cruncher"), 300, &["load", "main"]);
    let said = first_screen(made);
    assert!(said.contains("cruncher (7) used 48.8% of the 2 CPUs: 3.90 s of CPU time"), "{said}");
    let multiply = machine(&[(7, "cruncher", &[("on_cpu", "", 3900), ("runnable", "", 100)])]);
    assert_eq!(findings(multiply), [[json!("cpu-use"), json!("cruncher"), json!("cruncher")]]);
}

#[test]
fn threads_that_spin_are_named_with_the_lock_s_function() {
    let mut made = machine(&[(7, "spinnerd", &[("on_cpu", "", 3900), ("runnable", "", 100)])]);
    sampled(&mut made, (7, "spinnerd"), 3900, &["spin_acquire", "worker"]);
    let said = first_screen(made);
    assert!(said.contains("spinnerd (7) spun for a lock 100.0% of its CPU time"), "{said}");
    assert!(said.contains("in spin_acquire (app)"), "{said}");
}

#[test]
fn who_forks_is_named_with_what_its_children_cost() {
    let mut made = machine(&[(7, "stormd", &[("on_cpu", "", 300), ("interruptible", "child", 3700)])]);
    made.probe("process", "raw", 9);
    for at in 0..400 {
        let who = [("pid", (1000 + at).into()), ("ppid", 7.into()), ("comm", "true".into())];
        made.row("fork", at * 10 * MS, &who);
        let used = [("dur_ns", (8 * MS).into()), ("process_cpu_ns", (5 * MS).into())];
        made.row("exit", (at * 10 + 8) * MS, &[&who[..], &used].concat());
    }
    let said = first_screen(made);
    let sentence =
        "stormd (7) started 400 short-lived processes, 100 a second: true (400). They took 2.00 s of CPU time";
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn locks_on_files_and_in_the_kernel_are_told_from_others() {
    let made = machine(&[(7, "updater", &[("on_cpu", "", 1000), ("interruptible", "file lock", 3000)])]);
    assert_eq!(findings(made), [[json!("file-lock"), json!("updater"), Value::Null]]);
    let mut made = machine(&[(7, "appendd", &[("on_cpu", "", 1000), ("uninterruptible", "kernel lock", 3000)])]);
    let kernel = |name| (name, "[kernel]");
    slept(
        &mut made,
        (7, "appendd"),
        3000,
        &["__schedule", "schedule", "rwsem_down_write_slowpath", "down_write", "ext4_file_write_iter"].map(kernel),
    );
    let said = first_screen(made);
    assert!(said.contains("a lock of the kernel 75.0%") && said.contains("most in ext4_file_write_iter"), "{said}");
}

#[test]
fn a_file_system_that_others_serve_is_no_slow_disk_and_a_page_fault_neither() {
    let mut made = machine(&[(7, "reader", &[("on_cpu", "", 100), ("uninterruptible", "file read", 3900)])]);
    slept(&mut made, (7, "reader"), 3900, &[("request_wait_answer", "[kernel]"), ("fuse_read_folio", "[kernel]")]);
    assert_eq!(findings(made), [[json!("slow-filesystem"), json!("reader"), Value::Null]]);
    let made = machine(&[(7, "mapperd", &[("on_cpu", "", 1000), ("uninterruptible", "page fault", 3000)])]);
    assert_eq!(findings(made), [[json!("paging"), json!("mapperd"), Value::Null]]);
}

/// A pipe or socket that is full: what wakes the writer is the other end.
#[test]
fn a_process_that_writes_faster_than_the_other_end_reads_is_blocked_by_that() {
    for (on, cause, function) in [("tcp", "socket", "sk_stream_wait_memory"), ("pipe", "pipe", "anon_pipe_write")] {
        let sender: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", cause, 3900)];
        let mut made = machine(&[
            (7, "exporter", sender),
            (8, "reader", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)]),
        ]);
        slept(&mut made, (7, "exporter"), 3900, &[("schedule", "[kernel]"), (function, "[kernel]")]);
        let by = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(8)), ("waker_tid", Cell::Int(8))];
        // The reader worked between its reads, which makes it no writer.
        waited(
            &mut made,
            (7, 7, "exporter"),
            on,
            1,
            3900,
            &[&by[..], &[("wait_active_ns", (3900 * MS).into())]].concat(),
        );
        assert_eq!(findings(made), [[json!("slow-reader"), json!("exporter"), json!("reader")]], "{on}");
    }
}

/// A pager that shows its first page reads no more.
#[test]
fn a_writer_whose_reader_made_room_once_is_no_finding() {
    let mut made = machine(&[(7, "find", &[("on_cpu", "", 100), ("interruptible", "pipe", 3900)])]);
    made.symbol(700, "anon_pipe_write", "[kernel]").stack(7, &[700]);
    let own = [("pid", 7.into()), ("comm", "find".into()), ("metric", "offcpu.time".into())];
    let once = [("kstack_id", 7.into()), ("sum", (3900 * MS).into()), ("count", 1.into())];
    made.row("stack_total", 4 * SECOND, &[&own[..], &once].concat());
    assert_eq!(findings(made), Vec::<Vec<Value>>::new());
}

/// None of 24 uses a tenth of a CPU.
#[test]
fn workers_of_one_command_that_together_have_the_cpus_are_named_together() {
    let own: Spent<'_> = &[("on_cpu", "", 310), ("runnable", "", 150), ("interruptible", "poll", 3540)];
    let herd: Vec<(i64, &'static str, Spent<'_>)> = (7..31).map(|pid| (pid, "herdd", own)).collect();
    let said = first_screen(machine(&herd));
    assert!(said.contains("herdd (24 processes) used 93.0% of the 2 CPUs: 7.44 s of CPU time"), "{said}");
    // With time to spare on the CPUs, a pool of workers is not a finding.
    let own: Spent<'_> = &[("on_cpu", "", 180), ("runnable", "", 150), ("interruptible", "poll", 3670)];
    let pool: Vec<(i64, &'static str, Spent<'_>)> = (7..31).map(|pid| (pid, "pool", own)).collect();
    assert_eq!(findings(machine(&pool)), Vec::<Vec<Value>>::new());
}

#[test]
fn a_job_that_is_stopped_throughout_is_no_finding_and_one_that_stops_and_goes_on_is() {
    let made = machine(&[(7, "vim", &[("stopped", "", 4000)])]);
    assert_eq!(findings(made), Vec::<Vec<Value>>::new());
    let made =
        machine(&[(7, "server", &[("stopped", "", 2000), ("on_cpu", "", 100), ("interruptible", "poll", 1900)])]);
    assert_eq!(findings(made), [[json!("stopped"), json!("server"), Value::Null]]);
}

#[test]
fn refused_connects_and_slow_names_are_found() {
    let mut made = machine(&[(7, "client", &[("on_cpu", "", 50), ("interruptible", "sleep", 3950)])]);
    made.probe("tcp", "raw", 9).probe("dns", "slow", 9);
    made.metric("tcp.failures", "counter", "count", &["pid", "comm", "daddr", "dport", "cause"]);
    let by = [
        ("pid", 7.into()),
        ("comm", "client".into()),
        ("daddr", "127.0.0.1".into()),
        ("dport", 9.into()),
        ("cause", "refused".into()),
    ];
    made.counter("tcp.failures", 4 * SECOND, &by, 40, 40);
    for at in 1..3 {
        let who = [("pid", 7.into()), ("comm", "client".into()), ("op", "answer".into()), ("name", "shop.test".into())];
        let took = [("dur_ns", (1500 * MS).into()), ("daddr", "127.0.0.53".into())];
        made.row("dns", at * 2 * SECOND, &[&who[..], &took].concat());
    }
    let said = first_screen(made);
    assert!(said.contains("40 of 40 connects of client (7) to 127.0.0.1:9 failed: refused (40)."), "{said}");
    assert!(
        said.contains("2 DNS queries took 1.50 s each, 1.50 s the slowest (shop.test, asked of 127.0.0.53)"),
        "{said}"
    );
}

#[test]
fn a_process_that_keeps_to_one_cpu_is_told_so() {
    let mut made = machine(&[]);
    for tid in 7..11 {
        spent(&mut made, (7, tid), "pinnedd", ("on_cpu", ""), 1000, 100);
        spent(&mut made, (7, tid), "pinnedd", ("runnable", ""), 3000, 100);
    }
    made.row("process", 0, &[("pid", 7.into()), ("comm", "pinnedd".into())]);
    made.counter("sched.on_cpu", 4 * SECOND, &[("pid", 7.into()), ("comm", "pinnedd".into())], 1, 4_000_000_000);
    for at in 0..300 {
        let own = [("pid", 7.into()), ("comm", "pinnedd".into()), ("cpu", 1.into()), ("dur_ns", (30 * MS).into())];
        made.row("wakeup", at * 10 * MS, &[&own[..], &[("sched_prev_pid", 7.into())]].concat());
    }
    let said = first_screen(made);
    assert!(said.contains("4 threads of pinnedd (7) waited for a CPU 75.0%"), "{said}");
    assert!(
        said.contains("It queued nowhere else.") && said.contains("'taskset -pc PID' shows its affinity"),
        "{said}"
    );
}

#[test]
fn waits_that_nothing_explains_make_no_quiet_machine() {
    let made = machine(&[(7, "worker", &[("on_cpu", "", 1000), ("interruptible", "pipe", 3000)])]);
    // 100 sleeps of 30 ms in a pipe may be a slow producer.
    let said = first_screen(made);
    assert!(said.contains("unclear nothing stands out, but 75.0% of the time of active threads"), "{said}");
}

#[test]
fn under_a_filter_the_summary_says_how_much_happened_outside() {
    let made = machine(&[
        (7, "small", &[("on_cpu", "", 400), ("interruptible", "poll", 3600)]),
        (8, "large", &[("on_cpu", "", 3600), ("interruptible", "poll", 400)]),
    ]);
    let case = Case::new("summary", vec![("run.parquet", made)]).with(|plan| plan.filter.pids = vec![7]);
    let said = case.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("outside other processes had 90.0% of the CPU time in use"), "{said}");
}

/// A wait of one thread for a target, with what the evidence says of it.
fn waited(made: &mut Synthetic, who: (i64, i64, &str), on: &str, target: i64, ms: i64, more: &[(&str, Cell<'_>)]) {
    let own = [
        ("pid", Cell::Int(who.0)),
        ("tid", Cell::Int(who.1)),
        ("comm", Cell::Text(who.2)),
        ("process", Cell::Text(who.2)),
        ("wait_on", Cell::Text(on)),
        ("wait_target", Cell::Int(target)),
        ("sum", Cell::Int(ms * MS)),
        ("count", Cell::Int(20)),
    ];
    made.row("wait", 4 * SECOND, &[&own[..], more].concat());
}

#[test]
fn a_contended_futex_is_a_lock_and_an_idle_pool_is_none() {
    let pool = [("on_cpu", "", 40), ("interruptible", "futex", 3960)];
    let mut made = machine(&[(7, "convoyd", &pool), (20, "pool", &pool)]);
    let woken = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(20)), ("waker_tid", Cell::Int(21))];
    for tid in 0..4 {
        let contended = [("wait_by", Cell::Text("thread")), ("wait_contended_ns", Cell::Int(3000 * MS))];
        waited(&mut made, (7, 7 + tid, "convoyd"), "futex", 4096, 3000, &contended);
        waited(&mut made, (20, 20 + tid, "pool"), "futex", 8192, 3900, &woken);
    }
    let said = first_screen(made);
    assert!(said.contains("lock 4 threads of convoyd (7) waited for a lock (futex)"), "{said}");
    assert!(!said.contains("of pool (20) waited"), "{said}");
}

#[test]
fn two_locks_of_one_process_are_two_findings() {
    let mut made = machine(&[(7, "convoyd", &[("on_cpu", "", 40), ("interruptible", "futex", 3960)])]);
    for (tid, target) in [(7, 4096), (8, 4096), (9, 8192), (10, 8192)] {
        let contended = [("wait_by", Cell::Text("thread")), ("wait_contended_ns", Cell::Int(3000 * MS))];
        waited(&mut made, (7, tid, "convoyd"), "futex", target, 3000, &contended);
    }
    assert_eq!(
        findings(made),
        [[json!("lock"), json!("convoyd"), Value::Null], [json!("lock"), json!("convoyd"), Value::Null]]
    );
}

/// A web service that serves requests and asks a backend, which sleeps before it answers; the load generator only asks.
#[test]
fn a_service_that_waits_for_a_sleeping_backend_is_the_victim_and_its_client_is_not() {
    let idle = [("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let mut made = machine(&[(7, "web", &idle), (8, "backend", &idle), (9, "load", &idle)]);
    let asked = |by: i64, pid: i64| {
        [
            ("wait_by", Cell::Text("thread")),
            ("waker_pid", Cell::Int(pid)),
            ("waker_tid", Cell::Int(pid)),
            ("wait_request_ns", Cell::Int(if by == 9 { 0 } else { 3500 * MS })),
            ("wait_question_ns", Cell::Int(3600 * MS)),
        ]
    };
    waited(&mut made, (7, 7, "web"), "tcp", 1, 3700, &asked(7, 8));
    waited(&mut made, (9, 9, "load"), "tcp", 2, 3800, &asked(9, 7));
    let slept = [("wait_by", Cell::Text("timer")), ("wait_request_ns", Cell::Int(3400 * MS))];
    waited(&mut made, (8, 8, "backend"), "timer", 0, 3500, &slept);
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    let found = cells(&document, "findings", &["rule", "comm", "text"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][..2], [json!("timer"), json!("backend")]);
    let text = found[0][2].as_str().unwrap();
    assert!(
        text.contains("backend (8) slept on timers within requests") && text.contains("So web (7) waited"),
        "{text}"
    );
}

/// A proxy's event loop is woken by its clients and by the service that it asks; only the latter serves requests.
#[test]
fn an_event_loop_that_clients_wake_too_waits_for_the_service_that_it_asks() {
    let idle = [("on_cpu", "", 100), ("interruptible", "poll", 3900)];
    for (serves, whom) in [(true, "backend (8)"), (false, "another process")] {
        let mut made = machine(&[(7, "nginx", &idle), (8, "backend", &idle), (9, "load", &idle)]);
        for pid in [8, 9] {
            let woken = [("wait_by", Cell::Text("thread")), ("waker_pid", pid.into()), ("waker_tid", pid.into())];
            let open = [("wait_request_ns", Cell::Int(1900 * MS)), ("wait_question_ns", Cell::Int(1900 * MS))];
            waited(&mut made, (7, 7, "nginx"), "epoll", 3, 1900, &[&woken[..], &open].concat());
        }
        let request = if serves { 3400 * MS } else { 0 };
        let own = [("wait_by", Cell::Text("interrupt")), ("wait_request_ns", request.into())];
        waited(&mut made, (8, 8, "backend"), "tcp", 4, 3500, &own);
        let said = first_screen(made);
        assert!(said.contains(&format!("nginx (7) waited for the answer of {whom} ")), "{said}");
    }
}

/// Four threads that wait for the main thread of their process, which works; each of them ran for some milliseconds itself.
fn behind_one_that_works(ran_ms: i64) -> Synthetic {
    let mut made = machine(&[(7, "gcd", &[("on_cpu", "", 2000), ("interruptible", "futex", 2000)])]);
    for tid in 8..12 {
        spent(&mut made, (7, tid), "gcd", ("on_cpu", ""), ran_ms, 20);
        spent(&mut made, (7, tid), "gcd", ("runnable", ""), 300, 20);
        spent(&mut made, (7, tid), "gcd", ("interruptible", "futex"), 2000, 20);
        let woken = [
            ("wait_by", Cell::Text("thread")),
            ("waker_pid", Cell::Int(7)),
            ("waker_tid", Cell::Int(7)),
            ("wait_active_ns", Cell::Int(1900 * MS)),
        ];
        waited(&mut made, (7, tid, "gcd"), "futex", 4096, 2000, &woken);
    }
    made
}

#[test]
fn threads_at_a_barrier_wait_for_the_one_that_works() {
    let said = first_screen(behind_one_that_works(1700));
    assert!(said.contains("4 threads of gcd (7) waited for another thread, which worked meanwhile"), "{said}");
    assert!(said.contains("Thread 7 ended 100.0% of that"), "{said}");
}

/// It is queueing for a CPU that takes their time, not work.
#[test]
fn an_idle_pool_waits_for_jobs_however_busy_its_submitter_is() {
    assert_eq!(findings(behind_one_that_works(20)), Vec::<Vec<Value>>::new());
    // Handed on by those that wait there, and thus like a lock, it is no more one.
    let handed = |ran_ms: i64| {
        let mut made = machine(&[(7, "tally", &[("on_cpu", "", 2000), ("interruptible", "sleep", 2000)])]);
        for tid in 8..12 {
            spent(&mut made, (7, tid), "tally", ("on_cpu", ""), ran_ms, 20);
            let by = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(7)), ("waker_tid", Cell::Int(tid))];
            let active = [("wait_active_ns", Cell::Int(1900 * MS)), ("wait_handed_ns", Cell::Int(1900 * MS))];
            waited(&mut made, (7, tid, "tally"), "futex", 4096, 2000, &[&by[..], &active].concat());
        }
        findings(made)
    };
    assert_eq!(handed(2), Vec::<Vec<Value>>::new());
    assert_eq!(handed(400), [[json!("lock"), json!("tally"), Value::Null]]);
}

/// A lock that is handed on in waits of 3 ms, beside another, of which a function on the stacks says what it is.
#[test]
fn a_function_of_locks_names_the_address_for_which_as_much_was_waited() {
    let said = |named_ms: i64| {
        let mut made = machine(&[]);
        made.row("process", 0, &[("pid", 7.into()), ("comm", "python3".into())]);
        for tid in 8..12 {
            spent(&mut made, (7, tid), "python3", ("on_cpu", ""), 600, 20);
            spent(&mut made, (7, tid), "python3", ("interruptible", "futex"), 3000, 20);
            for (target, ms) in [(4096, 2900), (8192, 20)] {
                let by =
                    [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(7)), ("waker_tid", Cell::Int(tid))];
                let active = [("wait_active_ns", Cell::Int(ms * MS)), ("wait_handed_ns", Cell::Int(ms * MS))];
                waited(&mut made, (7, tid, "python3"), "futex", target, ms, &[&by[..], &active].concat());
            }
        }
        slept(&mut made, (7, "python3"), named_ms, &[("take_gil", "/usr/bin/python3.11"), ("run", "/srv/app.py")]);
        first_screen(made)
    };
    assert!(said(11_000).contains("4 threads of python3 (7) waited for the GIL"), "{}", said(11_000));
    let other = said(80);
    assert!(other.contains("4 threads of python3 (7) waited for what works like a lock (futex)"), "{other}");
    assert!(!other.contains("GIL"), "{other}");
}

/// Connections of a web service to a backend that listens on port 9000, and of a client to the service's port 8000.
fn behind_ports(backend: Spent<'_>, asked: i64) -> Vec<Vec<Value>> {
    let idle = [("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let mut made = machine(&[(7, "web", &idle), (8, "backend", backend)]);
    for (pid, target, sport, dport) in [(7, 1, 40_000, 9000), (7, 2, 8000, 40_001), (8, 3, 9000, 40_000)] {
        let own = [("pid", pid.into()), ("wait_on", "tcp".into()), ("wait_target", target.into())];
        made.row("wait_target", 0, &[&own[..], &[("sport", sport.into()), ("dport", dport.into())]].concat());
    }
    for (pid, target, sport) in [(7, 4, 8000), (8, 5, 9000)] {
        let own = [("pid", pid.into()), ("wait_on", "tcp".into()), ("wait_target", target.into())];
        made.row("wait_target", 0, &[&own[..], &[("sport", sport.into()), ("state", "listen".into())]].concat());
    }
    let by =
        |pid: i64| [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(pid)), ("waker_tid", Cell::Int(pid))];
    for _ in 0..asked {
        waited(&mut made, (7, 7, "web"), "tcp", 1, 3000 / asked, &by(8));
    }
    waited(&mut made, (7, 7, "web"), "tcp", 2, 900, &by(9));
    findings(made)
}

#[test]
fn without_directions_ports_say_who_asks_in_order_to_answer() {
    let idle = [("on_cpu", "", 100), ("interruptible", "sleep", 3900)];
    assert_eq!(behind_ports(&idle, 1), [[json!("downstream"), json!("web"), json!("backend")]]);
    // Twenty messages for each request are not answers, they are pushed.
    assert_eq!(behind_ports(&idle, 20), Vec::<Vec<Value>>::new());
    // Who is stopped answers nothing, however often it is asked.
    assert_eq!(behind_ports(&[("stopped", "", 4000)], 20), [[json!("downstream"), json!("web"), json!("backend")]]);
}

/// A port that a server listens on, or a connection, as what a process waits for.
fn connected(made: &mut Synthetic, pid: i64, target: i64, (sport, dport): (i64, i64)) {
    let own = [("pid", pid.into()), ("wait_on", "tcp".into()), ("wait_target", target.into())];
    let ends = [
        ("saddr", "127.0.0.1".into()),
        ("sport", sport.into()),
        ("daddr", "127.0.0.1".into()),
        ("dport", dport.into()),
    ];
    made.row("wait_target", 0, &[&own[..], &ends].concat());
}

/// A link that a shaper slows down: the writer waits for room, and the reader for data.
#[test]
fn a_reader_that_waits_for_data_of_the_very_connection_is_not_slow_but_the_network() {
    for (ms, found) in [
        (3900, [json!("slow-network"), json!("source"), Value::Null]),
        (1000, [json!("slow-reader"), json!("source"), json!("sink")]),
    ] {
        let sender: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "socket", 3900)];
        let receiver: Spent<'_> = &[("on_cpu", "", 100), ("runnable", "", 300), ("interruptible", "socket", 3600)];
        let mut made = machine(&[(7, "source", sender), (8, "sink", receiver)]);
        made.probe("tcp", "raw", 9);
        slept(&mut made, (7, "source"), 3900, &[("sk_stream_wait_memory", "[kernel]")]);
        connected(&mut made, 7, 1, (40_000, 7531));
        connected(&mut made, 8, 2, (7531, 40_000));
        waited(&mut made, (7, 7, "source"), "tcp", 1, 3900, &[("wait_by", "interrupt".into())]);
        waited(&mut made, (8, 8, "sink"), "tcp", 2, ms, &[("wait_by", "interrupt".into())]);
        made.metric("tcp.received", "counter", "bytes", &["pid", "comm", "daddr", "sport"]);
        let by = [("pid", 8.into()), ("comm", "sink".into()), ("daddr", "127.0.0.1".into()), ("sport", 7531.into())];
        made.counter("tcp.received", 4 * SECOND, &by, 1, 1 << 20);
        assert_eq!(findings(made)[0], found, "{ms}");
    }
}

/// Neither needs a device: the end of watches on files, which waits for work of the kernel, beside a process that fills the disk.
#[test]
fn who_waits_in_close_for_the_kernel_is_no_victim_of_a_full_disk() {
    let closing = |functions: &[&'static str]| {
        let states: Spent<'_> = &[("on_cpu", "", 50), ("uninterruptible", "file system", 3950)];
        let mut made = machine(&[(7, "watchd", states), (8, "dd", &[("on_cpu", "", 100)])]);
        made.metric("block.device_time", "histogram", "ns", &["dev", "pid", "comm"]);
        made.metric("block.size", "histogram", "bytes", &["dev", "pid", "comm"]);
        let by = [("dev", "vda".into()), ("pid", 8.into()), ("comm", "dd".into())];
        made.values("block.device_time", 4 * SECOND, &by, &vec![2_000_000; 9000]);
        made.values("block.size", 4 * SECOND, &by, &vec![1 << 20; 9000]);
        if !functions.is_empty() {
            let frames: Vec<(&str, &str)> = functions.iter().map(|name| (*name, "[kernel]")).collect();
            slept(&mut made, (7, "watchd"), 3950, &frames);
        }
        made
    };
    let inside =
        ["wait_for_completion", "__flush_work", "fsnotify_destroy_group", "inotify_release", "__x64_sys_close"];
    assert_eq!(findings(closing(&inside)), [[json!("kernel-wait"), json!("watchd"), Value::Null]]);
    let said = first_screen(closing(&inside));
    let expected =
        "watchd (7) waited for the kernel in close (the end of watches on files: fsnotify_destroy_group) 98.8%";
    assert!(said.contains(expected), "{said}");
    // Nothing says what for; and what the kernel writes is written to the disk.
    assert_eq!(findings(closing(&[])), [[json!("disk"), json!("watchd"), Value::Null]]);
    let journal = ["io_schedule", "jbd2_log_wait_commit", "ext4_release_file", "__x64_sys_close"];
    assert_eq!(findings(closing(&journal)), [[json!("disk"), json!("watchd"), json!("dd")]]);
}

#[test]
fn pages_that_another_program_supplies_are_lost_time_and_are_not_read_from_a_disk() {
    let mut made = machine(&[(7, "vmd", &[("on_cpu", "", 50), ("interruptible", "page fault", 3950)])]);
    slept(&mut made, (7, "vmd"), 3950, &[("handle_userfault", "[kernel]"), ("handle_mm_fault", "[kernel]")]);
    assert_eq!(findings(made), [[json!("page-server"), json!("vmd"), Value::Null]]);
    let mut made = machine(&[(7, "vmd", &[("on_cpu", "", 50), ("interruptible", "page fault", 3950)])]);
    slept(&mut made, (7, "vmd"), 3950, &[("handle_userfault", "[kernel]"), ("handle_mm_fault", "[kernel]")]);
    let said = first_screen(made);
    assert!(said.contains("vmd (7) waited for a program that serves its page faults (userfaultfd) 98.8%"), "{said}");
}

/// An interrupt may carry the acknowledgement that makes room: then the ports say who reads.
#[test]
fn a_reader_whom_no_wake_up_shows_is_known_by_its_port() {
    let sender: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let asleep: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)];
    let mut made = machine(&[(7, "exporter", sender), (8, "reader", asleep), (9, "other", asleep)]);
    made.probe("tcp", "raw", 9);
    slept(&mut made, (7, "exporter"), 3900, &[("sk_stream_wait_memory", "[kernel]")]);
    connected(&mut made, 7, 1, (9000, 40_000));
    waited(&mut made, (7, 7, "exporter"), "tcp", 1, 3900, &[("wait_by", Cell::Text("interrupt"))]);
    made.metric("tcp.received", "counter", "bytes", &["pid", "comm", "daddr", "dport"]);
    for (pid, comm, address) in [(8, "reader", "127.0.0.1"), (9, "other", "192.0.2.1")] {
        let by = [("pid", pid.into()), ("comm", comm.into()), ("daddr", address.into()), ("dport", 9000.into())];
        made.counter("tcp.received", 4 * SECOND, &by, 1, 1 << 20);
    }
    assert_eq!(findings(made), [[json!("slow-reader"), json!("exporter"), json!("reader")]]);
}

/// The network's work is done in whatever process it interrupts, such as the recorder, which then seems to have ended a wait.
#[test]
fn who_ended_few_of_the_waits_that_interrupts_ended_is_no_reader() {
    let sender: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let asleep: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)];
    for (port, reader) in [(9000, json!("reader")), (9001, Value::Null)] {
        let mut made = machine(&[(7, "exporter", sender), (8, "reader", asleep), (9, "ebrec", asleep)]);
        made.probe("tcp", "raw", 9);
        slept(&mut made, (7, "exporter"), 3900, &[("sk_stream_wait_memory", "[kernel]")]);
        connected(&mut made, 7, 1, (port, 40_000));
        waited(&mut made, (7, 7, "exporter"), "tcp", 1, 3700, &[("wait_by", "interrupt".into())]);
        let by = [("wait_by", "thread".into()), ("waker_pid", 9.into()), ("waker_tid", 9.into())];
        waited(&mut made, (7, 7, "exporter"), "tcp", 1, 200, &by);
        made.metric("tcp.received", "counter", "bytes", &["pid", "comm", "daddr", "dport"]);
        let by = [("pid", 8.into()), ("comm", "reader".into()), ("daddr", "127.0.0.1".into()), ("dport", 9000.into())];
        made.counter("tcp.received", 4 * SECOND, &by, 1, 1 << 20);
        assert_eq!(findings(made), [[json!("slow-reader"), json!("exporter"), reader]], "{port}");
    }
}

/// The service that is asked is known by the connection's data, although the recorder's thread was the only one that ended a wait.
#[test]
fn a_service_is_not_said_to_wait_for_whom_the_network_interrupted() {
    let idle: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let mut made = machine(&[(7, "web", idle), (8, "backend", idle), (9, "ebrec", idle)]);
    let open = [("wait_request_ns", Cell::Int(3600 * MS)), ("wait_question_ns", Cell::Int(3600 * MS))];
    waited(&mut made, (7, 7, "web"), "tcp", 1, 3500, &[&[("wait_by", "interrupt".into())][..], &open].concat());
    let by = [("wait_by", Cell::Text("thread")), ("waker_pid", 9.into()), ("waker_tid", 9.into())];
    waited(&mut made, (7, 7, "web"), "tcp", 1, 200, &[&by[..], &open].concat());
    connected(&mut made, 7, 1, (40_000, 9000));
    made.metric("tcp.received", "counter", "bytes", &["pid", "comm", "daddr", "sport"]);
    let by = [("pid", 8.into()), ("comm", "backend".into()), ("daddr", "127.0.0.1".into()), ("sport", 9000.into())];
    made.counter("tcp.received", 4 * SECOND, &by, 1, 1 << 20);
    assert_eq!(findings(made), [[json!("downstream"), json!("web"), json!("backend")]]);
}

/// Five sessions of a database that wait for locks, each in a process of its own.
#[test]
fn processes_of_one_command_that_wait_for_the_same_are_one_finding() {
    let states: Spent<'_> = &[("on_cpu", "", 400), ("interruptible", "poll", 3600)];
    let sessions: Vec<(i64, &'static str, Spent<'_>)> = (7..12).map(|pid| (pid, "postgres", states)).collect();
    let mut made = machine(&sessions);
    for (pid, ms) in (7..12).zip([2000, 3600, 3200, 3000, 2800]) {
        let (libc, server) = ("/lib/libc.so.6", "/usr/lib/postgresql/15/bin/postgres");
        let functions =
            [("epoll_wait", libc), ("ProcSleep", server), ("main", server), ("__libc_start_call_main", libc)];
        slept(&mut made, (pid, "postgres"), ms, &functions);
    }
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    let found = cells(&document, "findings", &["rule", "pid", "text"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][..2], [json!("lock"), json!(8)]);
    let text = found[0][2].as_str().unwrap();
    assert!(text.starts_with("postgres (8) waited for a table or row lock 90.0%"), "{text}");
    assert!(text.contains("in ProcSleep (postgres). Also"), "what starts every program called it: {text}");
    assert!(text.ends_with(" Also postgres (9) 88.9%, postgres (10) 88.2% and 2 more."), "{text}");
}

/// A session that ran in the window had its lock meanwhile, whatever its title says at the end.
#[test]
fn a_session_that_ran_did_not_wait_for_a_lock_throughout() {
    for (ran_ms, expected) in [(0, 1), (2, 0)] {
        let slept: Spent<'_> = &[("interruptible", "poll", 4000)];
        let mut made = machine(&[(6, "bash", slept)]);
        let title = "'postgres: app shop 127.0.0.1(4711) UPDATE waiting' '' ''";
        made.row("process", 0, &[("pid", 7.into()), ("comm", "postgres".into()), ("argv", title.into())]);
        spent(&mut made, (7, 7), "postgres", ("interruptible", "poll"), 4000 - ran_ms, 187);
        if ran_ms > 0 {
            spent(&mut made, (7, 7), "postgres", ("on_cpu", ""), ran_ms, 187);
        }
        assert_eq!(findings(made).len(), expected, "{ran_ms}");
    }
}

/// A session looks for a deadlock once, after a second; the lock is granted by another session.
#[test]
fn a_session_that_only_its_timer_woke_waited_for_a_lock_throughout() {
    for (by, expected) in [("interrupt", 1), ("thread", 0)] {
        let mut made = machine(&[(8, "postgres", &[("on_cpu", "", 100), ("interruptible", "poll", 3900)])]);
        let title = "'postgres: app shop 127.0.0.1(4711) UPDATE waiting' '' ''";
        made.row("process", 0, &[("pid", 7.into()), ("comm", "postgres".into()), ("argv", title.into())]);
        spent(&mut made, (7, 7), "postgres", ("interruptible", "poll"), 3999, 2);
        spent(&mut made, (7, 7), "postgres", ("on_cpu", ""), 1, 1);
        for (by, ms) in [(by, 600), ("nobody", 3399)] {
            let who = [("pid", 7.into()), ("tid", 7.into()), ("process", "postgres".into()), ("wait_by", by.into())];
            let waited = [("wait_on", "epoll".into()), ("wait_target", 4.into()), ("count", 1.into())];
            let waker = [("waker_pid", 8.into()), ("waker_tid", 8.into())];
            let waker = if by == "thread" { &waker[..] } else { &[] };
            made.row("wait", 4 * SECOND, &[&who[..], &waited, &[("sum", (ms * MS).into())], waker].concat());
        }
        let found = findings(made).into_iter().filter(|finding| finding[0] == json!("lock")).count();
        assert_eq!(found, expected, "{by}");
    }
}

/// Clients that are woken at once wait for one another for a moment, on CPUs that idle most of the time.
#[test]
fn clients_that_a_burst_wakes_do_not_lack_a_cpu() {
    for (holder_ms, expected) in [(60, 0), (2400, 1)] {
        let client: Spent<'_> = &[("on_cpu", "", 60), ("runnable", "", 400), ("interruptible", "socket", 3540)];
        let holder: Spent<'_> = &[("on_cpu", "", holder_ms), ("interruptible", "sleep", 4000 - holder_ms)];
        let mut made = machine(&[(7, "client", client), (8, "holder", holder)]);
        for at in 0..20 {
            let own = [("pid", 7.into()), ("comm", "client".into()), ("cpu", (at % 2).into())];
            let waited = [("dur_ns", (15 * MS).into()), ("sched_prev_pid", 8.into())];
            made.row("wakeup", at * 200 * MS, &[&own[..], &waited].concat());
        }
        let queued = findings(made).into_iter().filter(|finding| finding[0] == json!("cpu-queue")).count();
        assert_eq!(queued, expected, "{holder_ms}");
    }
}

/// Threads that share one CPU take turns of a few milliseconds, each too short to be recorded by itself.
#[test]
fn a_process_that_waits_for_a_full_cpu_and_is_never_moved_to_an_idle_one_is_kept_there() {
    for (moved, expected) in [(0, true), (400, false)] {
        let mut made = Synthetic::new("builder");
        made.probe("sched", "slow", 9);
        made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
        made.metric("sched.migrations", "counter", "count", &["pid", "comm"]);
        made.row("process", 0, &[("pid", 7.into()), ("comm", "pinnedd".into())]);
        let by = [("pid", 7.into()), ("comm", "pinnedd".into())];
        made.counter("sched.on_cpu", 4 * SECOND, &by, 1, 4_000_000_000);
        let others = [("pid", 8.into()), ("comm", "bash".into())];
        made.counter("sched.migrations", 4 * SECOND, &others, 3, 3);
        if moved > 0 {
            made.counter("sched.migrations", 4 * SECOND, &by, moved, moved);
        }
        for tid in 7..11 {
            spent(&mut made, (7, tid), "pinnedd", ("on_cpu", ""), 990, 800);
            spent(&mut made, (7, tid), "pinnedd", ("runnable", ""), 2900, 800);
        }
        for (cpu, busy_ms) in [(0, 3960), (1, 800)] {
            for (state, ms) in [("busy", busy_ms), ("idle", 4000 - busy_ms)] {
                let own = [("cpu", cpu.into()), ("dur_ns", (4 * SECOND).into()), ("state", state.into())];
                made.row("cpu_ledger", 4 * SECOND, &[&own[..], &[("sum", (ms * MS).into())]].concat());
            }
        }
        let said = first_screen(made);
        let pinned = said.contains("CPU 0 was 99.0% busy: pinnedd (7) had 50.0%")
            && said.contains("'taskset -pc PID' shows its affinity");
        assert_eq!(pinned, expected, "{said}");
    }
}

/// Processes that poll one socket, recorded without their system calls.
#[test]
fn a_herd_shows_without_system_calls_by_who_is_woken_for_all_connections() {
    let cases = [(4000, 0, 9, true), (4000, 4000 * 400, 9, false), (4000, 0, 10, false), (1, 0, 9, false)];
    for (taken, bytes, woken_by, expected) in cases {
        let worker: Spent<'_> = &[("on_cpu", "", 60), ("runnable", "", 700), ("interruptible", "poll", 3240)];
        let mut spent_by: Vec<(i64, &'static str, Spent<'_>)> = (12..18).map(|pid| (pid, "herdd", worker)).collect();
        spent_by.push((9, "client", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)]));
        let mut made = machine(&spent_by);
        made.probe("tcp", "raw", 9);
        made.metric("tcp.accepted", "counter", "count", &["pid", "comm", "sport"]);
        made.metric("tcp.received", "counter", "bytes", &["pid", "comm", "sport"]);
        made.metric("tcp.connect_latency", "histogram", "ns", &["pid", "comm", "dport"]);
        let server = [("pid", 12.into()), ("comm", "herdd".into()), ("sport", 8080.into())];
        made.counter("tcp.accepted", 4 * SECOND, &server, taken, taken);
        made.counter("tcp.received", 4 * SECOND, &server, 1, bytes);
        let client = [("pid", 9.into()), ("comm", "client".into()), ("dport", 8080.into())];
        made.values("tcp.connect_latency", 4 * SECOND, &client, &[9000; 100]);
        for pid in 12..18 {
            let who = [("pid", Cell::Int(pid)), ("tid", pid.into()), ("process", "herdd".into())];
            let what = [("wait_on", "epoll".into()), ("wait_target", 4.into()), ("cause", "poll".into())];
            let by = [("wait_by", "thread".into()), ("waker_pid", woken_by.into()), ("waker_tid", woken_by.into())];
            let sums = [("sum", (3200 * MS).into()), ("count", 3900.into())];
            made.row("wait", 4 * SECOND, &[&who[..], &what, &by, &sums].concat());
        }
        let said = first_screen(made);
        let found = said.contains("6 processes of herdd are woken for the same connections");
        assert_eq!(found, expected, "{taken} {bytes} {woken_by}: {said}");
        assert!(found || !said.contains("quiet"), "{said}");
    }
}

/// A memory cgroup that is too small for what its process reads again and again.
#[test]
fn who_reads_again_what_its_cgroup_could_not_keep_lacks_memory() {
    for (refaults, expected) in [(400_000, "memory-reclaim"), (900, "cpu-use")] {
        let mut made = machine(&[(7, "indexer", &[("on_cpu", "", 3900), ("runnable", "", 100)])]);
        made.probe("memory", "slow", 9).probe("cpu", "hist", 9);
        made.metric("memory.reclaim_stall", "histogram", "ns", &["pid", "comm", "cause"]);
        made.metric("memory.reclaimed", "counter", "bytes", &["pid", "comm", "cause"]);
        let by = [("pid", 7.into()), ("comm", "indexer".into()), ("cause", "cgroup limit".into())];
        made.values("memory.reclaim_stall", 4 * SECOND, &by, &vec![10_000; 5000]);
        made.counter("memory.reclaimed", 4 * SECOND, &by, 5000, 500_000 * 4096);
        let grew = [("metric", "vmstat.workingset_refault_file".into()), ("sum", refaults.into())];
        made.row("machine_stat", 4 * SECOND, &[&grew[..], &[("dur_ns", (4 * SECOND).into())]].concat());
        for (metric, cells) in [("memory.failcnt", ("sum", 5000.into())), ("memory.limit", ("max", (32 << 20).into()))]
        {
            let own = [("name", "/batch".into()), ("metric", metric.into()), ("dur_ns", (4 * SECOND).into())];
            made.row("cgroup_stat", 4 * SECOND, &[&own[..], &[cells]].concat());
        }
        let member = [("name", "/batch".into()), ("metric", "cgroup.process".into()), ("pid", 7.into())];
        made.row("cgroup_stat", 4 * SECOND, &[&member[..], &[("max", 1.into())]].concat());
        made.symbol(701, "filemap_add_folio", "[kernel]").symbol(702, "filemap_get_pages", "[kernel]");
        made.stack(701, &[701, 702]).stack(702, &[702]);
        for (stack, ms) in [(701, 2900), (702, 1000)] {
            let own = [("pid", 7.into()), ("comm", "indexer".into()), ("kstack_id", stack.into())];
            let sums = [("sum", (ms * MS).into()), ("count", 100.into())];
            made.row("cpu_sample", 4 * SECOND, &[&own[..], &sums].concat());
        }
        let document = Case::new("summary", vec![("run.parquet", made)]).json();
        let found = cells(&document, "findings", &["rule", "text"]);
        assert_eq!(found[0][0], json!(expected), "{found:?}");
        let text = found[0][1].as_str().unwrap();
        let limit = "5,000 times at the limit of its cgroup /batch, 32.0 MiB";
        assert_eq!(text.contains(limit), expected == "memory-reclaim", "{text}");
    }
}

/// Both ends of a connection wait there `times`, each time for so many milliseconds, while the kernel delays acknowledgements so often.
fn held_back(delayed: i64, (times, ms): (i64, i64)) -> Vec<Vec<Value>> {
    let idle: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "socket", 3900)];
    let mut made = machine(&[(7, "server", idle), (8, "client", idle)]);
    for (pid, comm, ends) in [(7, "server", (9000, 40_000)), (8, "client", (40_000, 9000))] {
        connected(&mut made, pid, pid, ends);
        let own = [("pid", pid.into()), ("tid", pid.into()), ("comm", comm.into()), ("process", comm.into())];
        let waits = [("wait_on", "tcp".into()), ("wait_target", pid.into()), ("wait_by", "interrupt".into())];
        let sums = [("sum", (ms * times * MS).into()), ("count", times.into()), ("max", ((ms + 4) * MS).into())];
        let open = [("wait_question_ns", 0.into()), ("wait_request_ns", 0.into())];
        made.row("wait", 4 * SECOND, &[&own[..], &waits, &sums, &open].concat());
    }
    let counter = [("name", "4026531840".into()), ("metric", "TcpExt.DelayedACKs".into())];
    let grew = [("sum", delayed.into()), ("dur_ns", (4 * SECOND).into())];
    made.row("net_stat", 4 * SECOND, &[&counter[..], &grew].concat());
    findings(made)
}

#[test]
fn small_segments_that_wait_for_delayed_acknowledgements_are_found_at_both_ends() {
    assert_eq!(held_back(90, (90, 42)), [[json!("delayed-ack"), json!("client"), json!("server")]]);
    assert_eq!(held_back(9, (90, 42)), Vec::<Vec<Value>>::new(), "the network takes as long");
    assert_eq!(held_back(90, (26, 150)), Vec::<Vec<Value>>::new(), "both have nothing to do");
    assert_eq!(held_back(90, (45, 42)), Vec::<Vec<Value>>::new(), "each thinks for as long, in turn");
}

#[test]
fn a_service_that_starts_programs_for_its_requests_is_said_to_wait_for_them() {
    let web: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "pipe", 3900)];
    for within_ms in [3800, 0] {
        let mut made = machine(&[(7, "web", web), (5, "init", &[("interruptible", "child", 4000)])]);
        made.probe("process", "raw", 9);
        for at in 0..20 {
            let pid = 1000 + at;
            let who = [("pid", pid.into()), ("ppid", 7.into()), ("comm", "convert".into())];
            made.row("fork", at * 200 * MS, &who);
            made.row("exit", (at * 200 + 190) * MS, &[&who[..], &[("dur_ns", (190 * MS).into())]].concat());
            spent(&mut made, (pid, pid), "convert", ("on_cpu", ""), 10, 1);
            spent(&mut made, (pid, pid), "convert", ("interruptible", "sleep"), 180, 1);
            let woken = [("wait_by", Cell::Text("thread")), ("waker_pid", pid.into()), ("waker_tid", pid.into())];
            let within = [("wait_request_ns", (within_ms / 20 * MS).into()), ("wait_question_ns", 0.into())];
            waited(&mut made, (7, 7, "web"), "pipe", pid, 190, &[&woken[..], &within].concat());
        }
        let expected = [[json!("child-wait"), json!("web"), json!("convert")]];
        let found = findings(made);
        assert_eq!(found, if within_ms > 0 { &expected[..] } else { &[] }, "a shell script waits for its commands");
    }
}

#[test]
fn a_name_that_is_looked_up_in_search_domains_is_found_and_one_that_nobody_has_is_not() {
    for (known, expected) in [("db.internal", "dns-search"), ("other.internal", "")] {
        let mut made = machine(&[(7, "client", &[("on_cpu", "", 50), ("interruptible", "socket", 3950)])]);
        made.probe("dns", "slow", 9);
        made.metric("dns.latency", "histogram", "ns", &["pid", "comm", "name"]);
        made.metric("dns.failures", "counter", "count", &["pid", "comm", "name"]);
        for (name, failed) in [(known, false), ("db.internal.a.test", true), ("db.internal.b.test", true)] {
            let by = [("pid", 7.into()), ("comm", "client".into()), ("name", name.into())];
            made.values("dns.latency", 4 * SECOND, &by, &[40_000_000; 20]);
            if failed {
                made.counter("dns.failures", 4 * SECOND, &by, 20, 20);
            }
        }
        let found: Vec<Value> = findings(made).into_iter().map(|finding| finding[0].clone()).collect();
        assert_eq!(found, if expected.is_empty() { vec![] } else { vec![json!(expected)] });
    }
}

/// `strace` waits for each stop; a shell hears of few.
#[test]
fn who_traces_a_process_is_named_and_who_only_hears_of_its_stops_is_not() {
    for (stops, tracer) in [(2000, json!("strace")), (2, Value::Null)] {
        let tracing: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "child", 3900)];
        let mut made = machine(&[(7, "server", &[("on_cpu", "", 2000)]), (8, "strace", tracing)]);
        spent(&mut made, (7, 7), "server", ("stopped", ""), 2000, stops);
        let own = [
            ("pid", Cell::Int(8)),
            ("tid", Cell::Int(8)),
            ("process", Cell::Text("strace")),
            ("wait_on", Cell::Text("child")),
        ];
        let woken = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(7)), ("waker_tid", Cell::Int(7))];
        let sum = [("sum", Cell::Int(3900 * MS)), ("count", Cell::Int(stops))];
        made.row("wait", 4 * SECOND, &[&own[..], &woken, &sum].concat());
        assert_eq!(findings(made), [[json!("stopped"), json!("server"), tracer]]);
    }
}

/// A thread that the scheduler leaves on one CPU while all are busy is not pinned.
#[test]
fn nothing_is_said_of_affinity_where_the_other_cpus_are_busy_too() {
    let mut made = machine(&[
        (7, "builder", &[("on_cpu", "", 1000), ("runnable", "", 3000)]),
        (8, "hog", &[("on_cpu", "", 3500), ("runnable", "", 500)]),
        (9, "hog", &[("on_cpu", "", 3500), ("runnable", "", 500)]),
    ]);
    for at in 0..90 {
        let own = [("pid", 7.into()), ("comm", "builder".into()), ("cpu", 1.into()), ("dur_ns", (30 * MS).into())];
        made.row("wakeup", at * 40 * MS, &[&own[..], &[("sched_prev_pid", 8.into())]].concat());
    }
    let said = first_screen(made);
    assert!(said.contains("builder (7) waited for a CPU 75.0%"), "{said}");
    assert!(!said.contains("It queued nowhere else."), "{said}");
}

/// On a busy machine the holder of a lock may get no CPU for a while; a lock that is never released has few waits as well.
#[test]
fn a_lock_with_few_waits_is_a_finding_only_if_they_are_most_of_the_window() {
    for (ms, expected) in [(300, 0), (3800, 1)] {
        let mut made = machine(&[(7, "rustc", &[("on_cpu", "", 40), ("interruptible", "futex", 3960)])]);
        for tid in [7, 8] {
            let own = [
                ("pid", Cell::Int(7)),
                ("tid", Cell::Int(tid)),
                ("wait_on", "futex".into()),
                ("wait_target", 4096.into()),
            ];
            let sums = [("sum", (ms * MS).into()), ("count", 1.into()), ("wait_contended_ns", (ms * MS).into())];
            made.row("wait", 4 * SECOND, &[&own[..], &sums].concat());
        }
        assert_eq!(findings(made).len(), expected, "{ms}");
    }
}

/// Workers that wake one another: on a busy machine each is runnable for long, and counts as active, before it wakes the next.
#[test]
fn a_pool_whose_workers_hand_jobs_on_is_no_lock_because_cpus_are_short() {
    for (ran_ms, expected) in [(40, 0), (2000, 1)] {
        let states = [("on_cpu", "", ran_ms), ("runnable", "", 1000), ("interruptible", "futex", 3000 - ran_ms)];
        let mut made = machine(&[(7, "java", &states)]);
        for tid in 7..11 {
            let woken = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(7)), ("waker_tid", Cell::Int(11))];
            let shares = [("wait_active_ns", Cell::Int(1800 * MS)), ("wait_handed_ns", Cell::Int(1800 * MS))];
            waited(&mut made, (7, tid, "java"), "futex", 4096, 2000, &[&woken[..], &shares].concat());
        }
        let locks = findings(made).into_iter().filter(|finding| finding[0] == json!("lock")).count();
        assert_eq!(locks, expected, "{ran_ms}");
    }
}

/// What the view `threads` says of sorts of states: thread, cause, sort and milliseconds.
fn sorts(made: Synthetic) -> Vec<Vec<Value>> {
    let document = Case::new("threads", vec![("run.parquet", made)]).json();
    let mut rows = cells(&document, "states", &["comm", "cause", "sort", "sum_ns"]);
    rows.retain(|row| row[1] != Value::Null);
    rows.sort_by_key(|row| row.iter().map(Value::to_string).collect::<Vec<_>>());
    rows
}

/// Workers whose waits on a condition variable end after 50 ms, as the interpreter of a shell's job or a pool of a runtime has them.
#[test]
fn workers_that_wait_with_a_short_timeout_are_idle_and_no_lock() {
    let states: Spent<'_> = &[("on_cpu", "", 10), ("interruptible", "futex", 3900)];
    let mut made = machine(&[(7, "pool", states)]);
    waited(&mut made, (7, 7, "pool"), "futex", 4096, 3900, &[("wait_by", "timer".into()), ("cause", "futex".into())]);
    let text = Case::new("summary", vec![("run.parquet", made)]).text();
    assert!(text.contains("idle by design: pool (futex, 3.90 s)") && !text.contains("asleep in futex"), "{text}");
}

#[test]
fn a_futex_without_evidence_is_called_what_it_is() {
    let made = machine(&[(7, "worker", &[("on_cpu", "", 10), ("interruptible", "futex", 3900)])]);
    let expected = [[json!("worker"), json!("futex"), json!("futexes"), json!(3_900 * MS)]];
    assert_eq!(sorts(made), expected);
}

#[test]
fn the_time_of_a_thread_is_divided_between_a_lock_and_idling_by_evidence() {
    let states: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "futex", 3900)];
    let mut made = machine(&[(7, "app", states)]);
    let cause = ("cause", Cell::Text("futex"));
    let contended = [("wait_by", Cell::Text("thread")), ("wait_contended_ns", Cell::Int(1300 * MS)), cause];
    for tid in [7, 8] {
        waited(&mut made, (7, tid, "app"), "futex", 4096, 1300, &contended);
    }
    waited(&mut made, (7, 7, "app"), "futex", 8192, 2600, &[("wait_by", "timer".into()), cause]);
    let expected = [
        [json!("app"), json!("futex"), json!("idle by design"), json!(2_600 * MS)],
        [json!("app"), json!("futex"), json!("locks"), json!(1_300 * MS)],
    ];
    assert_eq!(sorts(made), expected);
}

/// Goroutines that wait for a sync.Mutex leave no thread that waits for it.
#[test]
fn a_program_that_schedules_its_own_tasks_is_not_called_quiet() {
    let states: Spent<'_> = &[("on_cpu", "", 10), ("interruptible", "futex", 3900)];
    let mut made = machine(&[(7, "convoy", states)]);
    waited(&mut made, (7, 7, "convoy"), "futex", 4096, 3900, &[("wait_by", "timer".into()), ("cause", "futex".into())]);
    slept(
        &mut made,
        (7, "convoy"),
        3900,
        &[("runtime.futex", "/srv/convoy"), ("runtime.stopm", "/srv/convoy"), ("runtime.findrunnable", "/srv/convoy")],
    );
    let said = first_screen(made);
    let expected = "unclear nothing stands out, but what goroutines of convoy (7) waited for from one another";
    assert!(said.contains(expected) && !said.contains("quiet"), "{said}");
}

/// Adds system calls of a process: a name, how many, milliseconds in all, and how many of them failed with an error.
fn called(made: &mut Synthetic, (pid, comm): (i64, &str), name: &str, (count, ms): (u64, u64), failed: (&str, u64)) {
    let own = [("pid", Cell::Int(pid)), ("comm", Cell::Text(comm)), ("name", Cell::Text(name))];
    let class = [("syscall_class", Cell::Text("work"))];
    made.counter("syscall.latency", 4 * SECOND, &[&own[..], &class].concat(), count, ms * 1_000_000);
    let errno = [("syscall_errno", Cell::Text(failed.0))];
    made.counter("syscall.errors", 4 * SECOND, &[&own[..], &errno].concat(), failed.1, failed.1);
}

/// A machine whose system calls are recorded.
fn calling(spent_by: &[(i64, &'static str, Spent<'_>)]) -> Synthetic {
    let mut made = machine(spent_by);
    made.probe("syscall", "slow", 9);
    made.metric("syscall.latency", "counter", "ns", &["pid", "comm", "name", "syscall_class"]);
    made.metric("syscall.errors", "counter", "count", &["pid", "comm", "name", "syscall_errno"]);
    made
}

#[test]
fn a_server_without_a_free_descriptor_is_named_with_the_call_and_the_error() {
    let mut made = calling(&[(7, "fullfdd", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)])]);
    called(&mut made, (7, "fullfdd"), "accept4", (800, 2), ("EMFILE", 800));
    let said = first_screen(made);
    let expected = "fullfdd (7) ran out of descriptors: it has as many open files as it may have (RLIMIT_NOFILE). \
                    accept4 failed 800 times with EMFILE. Connections that it can't accept wait.";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_full_file_system_is_named_by_what_could_not_be_written() {
    let mut made = calling(&[(7, "spoold", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)])]);
    called(&mut made, (7, "spoold"), "write", (800, 20), ("ENOSPC", 800));
    called(&mut made, (7, "spoold"), "inotify_add_watch", (9, 1), ("ENOSPC", 9));
    let said = first_screen(made);
    assert!(
        said.contains("spoold (7) can't write: a file system is full")
            && said.contains("write failed 800 times with ENOSPC."),
        "{said}"
    );
    let mut watches = calling(&[(7, "watcher", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)])]);
    called(&mut watches, (7, "watcher"), "inotify_add_watch", (900, 1), ("ENOSPC", 900));
    assert!(!first_screen(watches).contains("file system is full"), "the limit of watches is no file system");
}

#[test]
fn a_call_that_fails_again_and_again_is_the_cause_of_the_cpu_time() {
    let busy: Spent<'_> = &[("on_cpu", "", 3900), ("interruptible", "sleep", 100)];
    let mut made = calling(&[(7, "retryd", busy)]);
    called(&mut made, (7, "retryd"), "openat", (2_000_000, 2400), ("ENOENT", 2_000_000));
    let rules: Vec<Value> = findings(made).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(rules, [json!("retry-loop")]);
    // A compiler looks for headers in many directories, and compiles.
    let mut compiler = calling(&[(7, "cc1", busy)]);
    called(&mut compiler, (7, "cc1"), "openat", (20_000, 60), ("ENOENT", 18_500));
    let rules: Vec<Value> = findings(compiler).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(rules, [json!("cpu-use")]);
}

#[test]
fn processes_that_are_woken_for_the_connection_of_another_are_a_herd() {
    let busy: Spent<'_> = &[("on_cpu", "", 700), ("interruptible", "poll", 3300)];
    let workers = |names: &[(i64, &'static str)], in_vain: u64| {
        let spent: Vec<_> = names.iter().map(|(pid, name)| (*pid, *name, busy)).collect();
        let mut made = calling(&spent);
        for (pid, name) in names {
            called(&mut made, (*pid, name), "accept4", (in_vain + 1000, 30), ("EAGAIN", in_vain));
        }
        findings(made).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    let herd = [(7, "herdd"), (8, "herdd"), (9, "herdd"), (10, "herdd")];
    assert_eq!(workers(&herd, 5000), [json!("herd")]);
    assert!(workers(&herd, 1000).is_empty(), "event loops that accept until there is nothing left");
    assert!(workers(&herd[..1], 5000).is_empty(), "a server by itself");
}

/// On epoll, the kernel itself sees that another one was faster, so the call goes on to sleep.
#[test]
fn threads_that_epoll_wakes_and_sends_back_to_sleep_are_a_herd() {
    let with_sleeps = |count: i64| {
        let mut made = calling(&[(7, "swarmd", &[("on_cpu", "", 700), ("interruptible", "poll", 3300)])]);
        called(&mut made, (7, "swarmd"), "accept4", (1000, 30), ("EAGAIN", 10));
        called(&mut made, (7, "swarmd"), "epoll_wait", (1010, 30), ("EINTR", 1));
        for tid in 7..11 {
            let who = [("pid", Cell::Int(7)), ("tid", Cell::Int(tid)), ("comm", "swarmd".into())];
            let waited = [("wait_on", "epoll".into()), ("wait_target", Cell::Int(tid)), ("cause", "poll".into())];
            let long = [("sum", Cell::Int(3300 * MS)), ("count", Cell::Int(count)), ("wait_by", "thread".into())];
            made.row("wait", 4 * SECOND, &[&who[..], &waited, &long].concat());
        }
        first_screen(made)
    };
    let said = with_sleeps(2000);
    assert!(said.contains("4 threads of swarmd (7) are woken for the same connections"), "{said}");
    assert!(!with_sleeps(250).contains("are woken for the same connections"), "each call sleeps once");
}

#[test]
fn two_waits_for_a_holder_that_got_no_cpu_are_no_contended_lock_of_the_kernel() {
    let mut made = machine(&[(7, "cc", &[("on_cpu", "", 300)])]);
    spent(&mut made, (7, 7), "cc", ("uninterruptible", "kernel lock"), 950, 2);
    assert!(findings(made).is_empty());
}

/// What a process has used up, at two readings a second apart.
fn used_up(made: &mut Synthetic, metric: &str, cells: &[(&str, Cell<'_>)]) {
    for second in [1, 2] {
        let own = [("pid", Cell::Int(7)), ("metric", Cell::Text(metric)), ("dur_ns", Cell::Int(SECOND))];
        made.row("process_stat", second * SECOND, &[&own[..], cells].concat());
    }
}

#[test]
fn a_server_for_which_connections_wait_at_its_limit_is_named_without_its_system_calls() {
    let states: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)];
    let mut made = machine(&[(7, "fullfdd", states)]);
    used_up(&mut made, "files.limit", &[("max", Cell::Int(64))]);
    used_up(&mut made, "files.connections_waiting", &[("sport", Cell::Int(8080)), ("max", Cell::Int(37))]);
    let said = first_screen(made);
    let expected = "fullfdd (7) ran out of descriptors: it has as many open files as it may have, 64 (RLIMIT_NOFILE), so accept \
                    fails with EMFILE. 37 connections on port 8080 wait for it.";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("ebrec report threads"), "no call is in the view of calls: {said}");
    // Its calls say more, and are not said twice.
    let mut calls = calling(&[(7, "fullfdd", states)]);
    called(&mut calls, (7, "fullfdd"), "accept4", (800, 2), ("EMFILE", 800));
    used_up(&mut calls, "files.connections_waiting", &[("sport", Cell::Int(8080)), ("max", Cell::Int(37))]);
    assert_eq!(findings(calls).iter().filter(|finding| finding[0] == json!("descriptor-limit")).count(), 1);
}

#[test]
fn calls_that_write_nothing_to_a_full_file_system_are_found_without_system_calls() {
    let mut made = machine(&[(7, "spoold", &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)])]);
    used_up(&mut made, "writes.failed", &[("name", Cell::Text("/var/spool")), ("sum", Cell::Int(190))]);
    let said = first_screen(made);
    let expected = "spoold (7) can't write: 380 calls wrote nothing, and the file system at /var/spool, where it has a file open for \
                    writing, has no room (ENOSPC).";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("ebrec report threads"), "no call is in the view of calls: {said}");
}

/// Processes at a semaphore, each of which the others wake: those that have it work, or the one that gives does not wait itself.
#[test]
fn a_semaphore_that_is_handed_on_by_those_who_work_is_a_lock_and_one_that_hands_out_jobs_is_none() {
    let handed = |active_ms: i64, givers: bool| {
        let states: Spent<'_> = &[("on_cpu", "", 1000), ("interruptible", "ipc", 3000)];
        let mut made = machine(&[(7, "semd", states), (8, "semd", states), (9, "giver", states)]);
        for (pid, waker) in [(7, 8), (8, 7)] {
            let by = if givers { 9 } else { waker };
            let woken = [("wait_by", "thread".into()), ("waker_pid", Cell::Int(by)), ("waker_tid", Cell::Int(by))];
            let active = [("wait_active_ns", Cell::Int(active_ms * MS))];
            waited(&mut made, (pid, pid, "semd"), "semaphore", 0, 3000, &[&woken[..], &active].concat());
        }
        findings(made).into_iter().filter(|finding| finding[0] == json!("lock")).count()
    };
    assert_eq!(handed(2700, false), 1, "both in one");
    assert_eq!(handed(0, false), 0, "a pool whose workers wake workers");
    assert_eq!(handed(2700, true), 0, "jobs, given by one that works between them");
}

#[test]
fn a_connection_of_sqlite_that_tries_again_later_waits_for_a_lock() {
    let mut made = machine(&[(7, "writer", &[("on_cpu", "", 200), ("interruptible", "sleep", 3800)])]);
    slept(
        &mut made,
        (7, "writer"),
        3600,
        &[("clock_nanosleep", "/lib/libc.so.6"), ("sqlite3InvokeBusyHandler", "/lib/libsqlite3.so.0.8.6")],
    );
    let said = first_screen(made);
    assert!(said.contains("writer (7) waited for a lock of the database"), "{said}");
}

/// Where the kernel's functions say what is full: a message queue, or the queue of connections of a Unix socket.
#[test]
fn full_queues_of_messages_and_connections_are_told_from_full_sockets() {
    let asleep: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", "sleep", 3900)];
    let cases = [
        ("semaphore", "ipc", ["wq_sleep", "__x64_sys_mq_timedsend"], "slow-reader"),
        ("unix", "socket", ["unix_wait_for_peer", "unix_stream_connect"], "accept-queue"),
        ("unix", "socket", ["unix_wait_for_peer", "unix_dgram_sendmsg"], "slow-reader"),
    ];
    for (on, cause, functions, rule) in cases {
        let states: Spent<'_> = &[("on_cpu", "", 100), ("interruptible", cause, 3900)];
        let mut made = machine(&[(7, "caller", states), (8, "server", asleep)]);
        slept(&mut made, (7, "caller"), 3900, &functions.map(|name| (name, "[kernel]")));
        let by = [("wait_by", Cell::Text("thread")), ("waker_pid", Cell::Int(8)), ("waker_tid", Cell::Int(8))];
        waited(&mut made, (7, 7, "caller"), on, 1, 3900, &by);
        assert_eq!(findings(made), [[json!(rule), json!("caller"), json!("server")]], "{functions:?}");
    }
}

#[test]
fn who_waits_for_memory_that_nobody_may_free_by_a_kill_reads_no_pages() {
    let mut made = machine(&[(7, "hoardd", &[("uninterruptible", "page fault", 4000)])]);
    let inside = [("wait_by", "nobody".into()), ("name", "mem_cgroup_oom_synchronize;pagefault_out_of_memory".into())];
    waited(&mut made, (7, 7, "hoardd"), "page", 0, 4000, &inside);
    assert_eq!(findings(made), [[json!("memory-reclaim"), json!("hoardd"), Value::Null]]);
}

#[test]
fn a_writer_whose_terminal_is_full_is_blocked_by_the_one_that_reads_it() {
    let states: Spent<'_> = &[("on_cpu", "", 200), ("interruptible", "device", 3800)];
    let mut made = machine(&[(7, "talkd", states), (8, "screend", &[("interruptible", "sleep", 3900)])]);
    slept(&mut made, (7, "talkd"), 3800, &[("wait_woken", "[kernel]"), ("n_tty_write", "[kernel]")]);
    let woken = [("wait_by", "thread".into()), ("waker_pid", Cell::Int(8)), ("waker_tid", Cell::Int(8))];
    waited(&mut made, (7, 7, "talkd"), "device", 3, 3800, &woken);
    let said = first_screen(made);
    let expected = "talkd (7) was blocked writing to a full terminal";
    assert!(said.contains(expected) && said.contains("screend (8) reads the other end more slowly"), "{said}");
}

#[test]
fn forks_of_a_large_process_are_named_by_what_the_kernel_copies() {
    let copying = |part: i64| {
        let mut made = machine(&[(7, "snapd", &[("on_cpu", "", 1500), ("interruptible", "sleep", 2500)])]);
        made.probe("cpu", "hist", 9);
        made.symbol(1, "copy_page_range", "[kernel]").symbol(2, "do_fork", "[kernel]").symbol(3, "work", "/srv/snapd");
        made.stack(1, &[1, 2]).stack(2, &[3]);
        for (stack, column, ms) in [(1, "kstack_id", 15 * part), (2, "ustack_id", 15 * (100 - part))] {
            let own = [("pid", Cell::Int(7)), ("comm", Cell::Text("snapd")), (column, Cell::Int(stack))];
            made.row(
                "cpu_sample",
                4 * SECOND,
                &[&own[..], &[("sum", Cell::Int(ms * MS)), ("count", Cell::Int(10))]].concat(),
            );
        }
        first_screen(made)
    };
    let said = copying(90);
    let expected = "snapd (7) spent 90.0% of its CPU time on copying page tables for fork in the kernel: 1.35 s, 33.8% of the window.";
    assert!(said.contains(expected), "{said}");
    assert!(!copying(20).contains("page tables"), "as much as any shell that forks");
}

/// Three workers wait for a fourth, which somebody stopped while it held their lock.
#[test]
fn the_holder_of_a_lock_on_a_file_is_named_with_what_it_does() {
    let waits: Spent<'_> = &[("on_cpu", "", 10), ("interruptible", "file lock", 3990)];
    let held = |by: &[i64]| {
        let mut made = machine(&[(7, "worker", waits), (8, "worker", waits), (9, "worker", &[("stopped", "", 4000)])]);
        for (second, pid) in (1..).zip(by) {
            let own = [("pid", Cell::Int(*pid)), ("metric", Cell::Text("file_lock.waiting")), ("max", Cell::Int(2))];
            made.row("process_stat", second * SECOND, &own);
        }
        first_screen(made)
    };
    let said = held(&[9, 9, 9]);
    assert!(said.contains(". worker (9) held it, and was stopped 100.0% of its time"), "{said}");
    assert!(!held(&[7, 8, 9]).contains("held it"), "they take turns");
}

/// A thread that has been blocked since before the window left no stack, but the kernel says where it is.
#[test]
fn who_is_blocked_by_a_frozen_file_system_or_a_silent_server_is_no_victim_of_a_disk() {
    let blocked = |inside: &str| {
        let mut made = machine(&[(7, "writer", &[("uninterruptible", "file write", 4000)])]);
        let own = [("wait_by", "nobody".into()), ("cause", "file write".into()), ("name", Cell::Text(inside))];
        waited(&mut made, (7, 7, "writer"), "file", 12, 4000, &own);
        findings(made)[0][0].clone()
    };
    assert_eq!(blocked("percpu_rwsem_wait;ext4_file_write_iter;vfs_write"), json!("blocked-file"));
    assert_eq!(blocked("request_wait_answer;fuse_perform_write;vfs_write"), json!("blocked-file"));
    assert_eq!(blocked("io_schedule;folio_wait_bit;vfs_write"), json!("disk"));
}

#[test]
fn connects_that_nobody_answers_are_told_from_those_that_are_refused_or_given_up_for_another_address() {
    let connects = |ms: i64, more: &[(&str, &str)]| {
        let mut made = machine(&[(7, "caller", &[("on_cpu", "", 20), ("interruptible", "poll", 3980)])]);
        made.probe("tcp", "raw", 9);
        let attempts = [("given up", "connect"); 3].into_iter().chain(more.iter().copied());
        for (second, (op, side)) in (1..).zip(attempts) {
            let who = [("pid", Cell::Int(7)), ("comm", Cell::Text("caller")), ("op", Cell::Text(op))];
            let peer = [("daddr", Cell::Text("10.0.0.9")), ("dport", Cell::Int(5432)), ("sport", Cell::Int(40_000))];
            let long = [("tcp_side", Cell::Text(side)), ("dur_ns", Cell::Int(ms * MS))];
            made.row("tcp", second * SECOND / 2, &[&who[..], &peer, &long].concat());
        }
        first_screen(made)
    };
    let said = connects(1000, &[]);
    let expected =
        "nobody answered 3 connects of caller (7) to 10.0.0.9:5432: it waited 1.00 s for each, 3.00 s in all.";
    assert!(said.contains(expected), "{said}");
    assert!(!connects(250, &[]).contains("nobody answered"), "another address was faster");
    assert!(!connects(1000, &[("open", "connect")]).contains("nobody answered"), "the host is there");
}
