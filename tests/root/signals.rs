//! The probe `signals` against a program that knows which it sent, to whom, and how its children ended.

use std::collections::BTreeMap;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;

/// The sender of `signals.c`, as the kernel calls it.
const COMM: &str = "ebrec-signals";

/// Runs `signals.c` in a recording; gives its children by name, each with its process id and number.
fn recorded(options: &str) -> (Taken, BTreeMap<String, (i64, i64)>) {
    let workload = Workload::compile("signals/signals.c", COMM, tempfile::tempdir().unwrap());
    let running = Recorder::new(options).start();
    let output = workload.command("").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let taken = running.finish();
    let text = String::from_utf8(output.stdout).unwrap();
    let child = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), (words[1].parse().unwrap(), words[2].parse().unwrap()))
    };
    assert_eq!(taken.lost(), BTreeMap::new());
    (taken, text.lines().map(child).collect())
}

/// How many signals of a name the process was sent, by what became of them.
fn sent(taken: &Taken, pid: i64, name: &str) -> BTreeMap<String, i64> {
    let columns = ["pid", "name", "signals_sender_pid", "signals_outcome"];
    let mut sent = BTreeMap::new();
    for row in taken.metric("signals.sent", &columns).with("pid", pid).named("name", name).iter() {
        *sent.entry(row.text("signals_outcome").unwrap().to_owned()).or_default() += row.int("count");
    }
    sent
}

fn delivered(taken: &Taken, pid: i64, name: &str) -> i64 {
    taken.metric("signals.delivered", &["pid", "name"]).with("pid", pid).named("name", name).sum("count")
}

fn counts(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
#[ignore = "root: attaches probes"]
fn signals_are_as_many_as_were_sent_and_taken() {
    let (taken, children) = recorded("-p signals");
    let of = |name: &str| children[name];
    let (itself, (handled, number)) = (of("itself").0, of("handled"));
    assert_eq!(sent(&taken, handled, "SIGUSR1"), counts(&[("queued", number)]));
    assert_eq!(delivered(&taken, handled, "SIGUSR1"), number);
    let mine =
        |row: &crate::common::rows::Row| row.maybe("pid") == Some(handled) && row.text("name") == Some("SIGUSR1");
    assert_eq!(taken.histogram("signals.delay", &["pid", "name"], mine).count(), number.cast_unsigned());
    let by_sender = taken.metric("signals.sent", &["pid", "name", "signals_sender", "signals_sender_pid"]);
    let by_sender = by_sender.with("pid", handled).with("signals_sender_pid", itself);
    assert_eq!(by_sender.sum("count"), number + 1, "and the SIGKILL");
    assert!(by_sender.iter().all(|row| row.text("signals_sender") == Some(COMM)));
    // The first of them is pending; whether others come before it is unblocked, 30 ms later, is up to the scheduler.
    let (blocked, number) = of("blocked");
    let became = sent(&taken, blocked, "SIGUSR2");
    assert_eq!(became.values().sum::<i64>(), number);
    assert_eq!(became["queued"], delivered(&taken, blocked, "SIGUSR2"));
    let longest = taken.rows("signal_taken", &["pid", "dur_ns", "name", "signals_sender_pid"]).with("pid", blocked);
    let longest = longest.named("name", "SIGUSR2");
    assert!(longest.iter().any(|row| row.int("dur_ns") >= 30_000_000), "{longest:?}");
    assert!(longest.iter().all(|row| row.int("signals_sender_pid") == itself));
    let (deaf, number) = of("deaf");
    assert_eq!(sent(&taken, deaf, "SIGHUP"), counts(&[("ignored", number)]));
    assert_eq!(delivered(&taken, deaf, "SIGHUP"), 0);
    // Every child's end is told to the parent, which ignores it.
    let told = sent(&taken, itself, "SIGCHLD");
    assert_eq!(told, counts(&[("ignored", i64::try_from(children.len()).unwrap() - 1)]));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_a_signal_ends_is_a_row_with_who_sent_it() {
    let (taken, children) = recorded("-p signals");
    let rows = taken.rows("signal_death", &["pid", "name", "comm", "signals_sender", "signals_sender_pid"]);
    let itself = children["itself"].0;
    for (name, signal, sender) in [
        ("handled", "SIGKILL", COMM),
        ("blocked", "SIGKILL", COMM),
        ("deaf", "SIGKILL", COMM),
        ("killed", "SIGKILL", COMM),
        ("ended", "SIGTERM", COMM),
        ("threads", "SIGTERM", COMM),
        ("crashed", "SIGSEGV", "kernel"),
        ("alarmed", "SIGALRM", "kernel"),
    ] {
        let pid = children[name].0;
        let of_it = rows.with("pid", pid);
        let row = of_it.one();
        let said = (row.text("name"), row.text("comm"), row.text("signals_sender"));
        assert_eq!(said, (Some(signal), Some(COMM), Some(sender)), "{name}");
        assert_eq!(row.maybe("signals_sender_pid"), (sender == COMM).then_some(itself), "{name}");
        // Four threads of one process take it once.
        assert_eq!(delivered(&taken, pid, signal), 1, "{name}");
        let deaths = taken.metric("signals.deaths", &["pid", "name"]).with("pid", pid);
        assert_eq!((deaths.sum("count"), deaths.named("name", signal).sum("count")), (1, 1), "{name}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn in_raw_mode_each_signal_is_a_row() {
    let (taken, children) = recorded("-p signals:raw");
    let (handled, number) = children["handled"];
    let rows = taken.rows("signal", &["pid", "name"]).with("pid", handled);
    assert_eq!(rows.named("name", "SIGUSR1").count(), usize::try_from(number).unwrap());
    let rows = taken.rows("signal_taken", &["pid", "name"]).with("pid", handled);
    assert_eq!(rows.named("name", "SIGUSR1").count(), usize::try_from(number).unwrap());
    let deaths = i64::try_from(taken.rows("signal_death", &[]).count()).unwrap();
    assert_eq!(taken.metric("signals.deaths", &[]).sum("count"), deaths);
}

/// Records `orphan.c`, which is started by these words.
fn orphan(before: &[&str]) -> Taken {
    let workload = Workload::compile("signals/orphan.c", "orphan", tempfile::tempdir().unwrap());
    let program = workload.path().display().to_string();
    let mut words = before.to_vec();
    words.push(&program);
    let (output, dir) = Recorder::new("-p signals:raw,process").run(&words);
    let text = String::from_utf8(output.stdout).unwrap();
    let ids: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(ids[0], ids[1], "siginfo names the dead child");
    Taken::open(&dir.path().join("run.parquet"), dir)
}

fn assert_told_of_the_dead_child(taken: &Taken) {
    let exits = taken.rows("exit", &["pid", "ppid", "exit_code"]);
    let dead = exits.with("exit_code", 3).one().int("pid");
    let late = exits.with("exit_code", 4);
    let late = late.one();
    let told = taken.rows("signal", &["pid", "name", "signals_sender", "signals_sender_pid"]).named("name", "SIGCHLD");
    // The late parent's own parent gets its child.
    let first = told.with("pid", late.int("ppid"));
    let senders: Vec<_> =
        first.iter().map(|row| (row.maybe("signals_sender_pid"), row.text("signals_sender"))).collect();
    assert_eq!(senders, [(Some(dead), Some("dead-child")), (Some(late.int("pid")), Some("late-parent"))]);
}

#[test]
#[ignore = "root: attaches probes"]
fn an_orphans_sigchld_is_its_own_and_not_its_late_parents() {
    assert_told_of_the_dead_child(&orphan(&[]));
}

#[test]
#[ignore = "root: attaches probes"]
fn an_orphans_sigchld_is_its_own_in_a_pid_namespace_too() {
    assert_told_of_the_dead_child(&orphan(&["unshare", "--pid", "--fork"]));
}
