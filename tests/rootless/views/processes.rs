//! Processes and runs of programs, and what filters leave of them.

use ebrec::report::plan::ReportPlan;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::build::syscalls;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

#[test]
fn processes_have_every_metric_that_tells_them_apart() {
    let document = of_build("processes").json();
    let fields =
        ["pid", "ppid", "comm", "status", "lifetime_ns", "sched.on_cpu.sum_ns", "sched.runqueue_latency.count"];
    assert_eq!(
        cells(&document, "processes", &fields),
        [
            json!([200, 1, "postgres", null, null, 400_000_000, 2]),
            json!([302, 100, "cc1", "SIGKILL", 700_000_000, 350_000_000, 1]),
            json!([301, 100, "cc1", "0", 500_000_000, 250_000_000, 3]),
            json!([1, 0, "systemd", null, null, null, null]),
            json!([100, 1, "make", null, null, null, null]),
            json!([303, 100, "cc1", null, null, null, null]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields =
        ["sched.switches.count", "block.size.sum_bytes", "block.device_time.max_ns", "block.device_time.count"];
    let expected = [json!(13), json!(819_200), json!(20_000_000), json!(100)];
    assert_eq!(cells(&document, "processes", &fields)[0], expected);
}

#[test]
fn processes_stand_under_their_parents() {
    let document = of_build("processes").with(|plan| plan.tree = true).json();
    assert_eq!(
        cells(&document, "processes", &["pid", "depth"]),
        [[1, 0], [100, 1], [301, 2], [302, 2], [303, 2], [200, 1]].map(|row| row.map(Value::from))
    );
}

/// On a terminal of 120 cells the list of processes showed what started them and twelve metrics, but not what they were.
#[test]
fn people_see_arguments_before_the_last_metric_and_no_empty_column() {
    let text = of_build("processes").with(|plan| plan.width = 120).text();
    let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word} in\n{text}"));
    assert!(place("arguments") < place("switches"), "{text}");
    let document = of_build("processes").with(|plan| plan.filter.comms = vec!["cc1".to_owned()]).text();
    assert!(!document.contains("device time"), "no request was of cc1\n{document}");
}

#[test]
fn a_process_that_is_not_there_is_said_to_be_missing() {
    let nobody = |plan: &mut ReportPlan| plan.filter.pids = vec![4711];
    let warning = "the filter matches no process of this recording";
    for view in ["summary", "processes", "block"] {
        let text = of_build(view).with(nobody).text();
        assert!(text.contains(&format!("warning: {warning}")), "{text}");
    }
    assert_eq!(of_build("block").with(nobody).json()["warnings"], json!([warning]));
    let idle = of_build("block").with(|plan| plan.filter.pids = vec![100]).json();
    assert_eq!(idle["warnings"], json!([]), "make is there, it only read nothing");
}

#[test]
fn top_cuts_the_ranking_and_says_how_much_it_cut() {
    let document = of_build("processes").with(|plan| plan.top = Some(2)).json();
    assert_eq!(cells(&document, "processes", &["pid"]), [[json!(200)], [json!(302)]]);
    assert_eq!(document["omitted"], json!({ "processes": 4 }));
    let all = of_build("processes").with(|plan| plan.top = Some(0)).json();
    assert_eq!(all["tables"]["processes"].as_array().unwrap().len(), 6);
}

#[test]
fn a_filter_by_process_leaves_that_process() {
    let only = |plan: &mut ReportPlan| plan.filter.pids = vec![301];
    let document = of_build("processes").with(only).json();
    assert_eq!(cells(&document, "processes", &["pid", "sched.on_cpu.sum_ns"]), [[json!(301), json!(250_000_000)]]);
    let document = of_build("block").with(only).json();
    assert_eq!(cells(&document, "devices", &["op", "count"]), [[json!("read"), json!(10)]]);
    let document = of_build("exec").with(|plan| plan.filter.comms = vec!["cc1".into()]).json();
    assert_eq!(cells(&document, "commands", &["program", "starts"]), [[json!("/usr/lib/cc1"), json!(3)]]);
}

#[test]
fn a_filter_by_time_counts_each_interval_once_wherever_it_is_cut() {
    let part = |from: u64, to: u64| {
        let document = of_build("processes").with(|plan| {
            plan.filter.from = Some(Duration::from_millis(from));
            plan.filter.to = Some(Duration::from_millis(to));
        });
        cells(&document.json(), "processes", &["pid", "sched.on_cpu.sum_ns"])
    };
    let on_cpu = |rows: Vec<Vec<Value>>| rows.iter().filter_map(|row| row[1].as_i64()).sum::<i64>();
    // Half of the CPU time is in the first second, half in the third.
    assert_eq!(on_cpu(part(0, 1000)), 500_000_000);
    assert_eq!(on_cpu(part(0, 2200)), 500_000_000);
    assert_eq!(on_cpu(part(2200, 4000)), 500_000_000);
    assert_eq!(on_cpu(part(3000, 4000)), 0);
}

#[test]
fn exec_joins_starts_and_exits() {
    let document = of_build("exec").json();
    let fields = ["time_ns", "pid", "ppid", "status", "dur_ns", "cpu_ns", "argv", "filename", "executed"];
    assert_eq!(
        cells(&document, "runs", &fields),
        [
            json!([100_000_000, 301, 100, "0", 500_000_000, 250_000_000, "cc1 -O2 a.c", "/usr/lib/cc1", true]),
            json!([200_000_000, 302, 100, "SIGKILL", 700_000_000, 350_000_000, "cc1 -O2 b.c", "/usr/lib/cc1", true]),
            json!([300_000_000, 303, 100, "running", null, null, "cc1 -O2 c.c", "/usr/lib/cc1", true]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields = ["program", "starts", "exits", "failed", "killed", "dur_p50_ns", "dur_max_ns", "dur_sum_ns"];
    assert_eq!(
        cells(&document, "commands", &fields),
        [json!(["/usr/lib/cc1", 3, 2, 0, 1, 500_000_000, 700_000_000, 1_200_000_000]).as_array().unwrap().clone()]
    );
}

/// Each of a run's rows has the name that the process had at that moment: the fork its parent's, the exit its last.
#[test]
fn a_filter_by_command_leaves_whole_runs_with_the_numbers_that_they_have_without_it() {
    let made = || {
        let mut made = build("builder");
        let of = |pid: i64, comm: &'static str| [("pid", pid.into()), ("comm", comm.into())];
        for (pid, last) in [(10, Some("server")), (11, None)] {
            made.row("fork", 10 * MS, &of(pid, "make"));
            made.row("exec", 20 * MS, &[&of(pid, "setup")[..], &[("argv", "setup --now".into())]].concat());
            made.row("process", 30 * MS, &of(pid, "server"));
            if let Some(last) = last {
                let end = [("exit_code", 5.into()), ("dur_ns", (90 * MS).into())];
                made.row("exit", 100 * MS, &[&of(pid, last)[..], &end].concat());
            }
        }
        // A copy of its parent, which runs no program of its own.
        made.row("fork", 10 * MS, &of(12, "make"));
        made.row("exit", 40 * MS, &[&of(12, "make")[..], &[("exit_code", 0.into())]].concat());
        made
    };
    let runs = |change: &dyn Fn(&mut ReportPlan)| {
        let document = Case::new("exec", vec![("run.parquet", made())]).with(change).json();
        document["tables"]["runs"].as_array().unwrap().clone()
    };
    let all = runs(&|_| {});
    for (comm, pids) in [
        ("cc1", vec![301, 302, 303]),
        ("make", vec![12]),
        ("setup", vec![10, 11]),
        ("server", vec![10, 11]),
        ("nobody", vec![]),
    ] {
        let of_pids: Vec<Value> = all.iter().filter(|run| pids.iter().any(|pid| run["pid"] == *pid)).cloned().collect();
        assert_eq!(of_pids.len(), pids.len(), "{all:?}");
        assert_eq!(runs(&|plan| plan.filter.comms = vec![comm.to_owned()]), of_pids, "of {comm}");
    }
    let of_one: Vec<Value> = all.iter().filter(|run| run["pid"] == 10).cloned().collect();
    assert_eq!(runs(&|plan| plan.filter.pids = vec![10]), of_one);
}

#[test]
fn a_process_that_runs_a_second_program_is_two_runs() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 4);
    let who = [("pid", 10.into()), ("ppid", 1.into())];
    let named = |file: &'static str| [&who[..], &[("comm", file.into()), ("filename", file.into())]].concat();
    made.row("fork", 0, &who);
    made.row("exec", SECOND, &named("env"));
    made.row("exec", 2 * SECOND, &named("cat"));
    made.row("exit", 3 * SECOND, &[&named("cat")[..], &[("exit_code", 1.into())]].concat());
    let document = Case::new("exec", vec![("run.parquet", made)]).json();
    assert_eq!(
        cells(&document, "runs", &["filename", "status", "dur_ns"]),
        [[json!("env"), json!("replaced"), json!(2_000_000_000i64)], [json!("cat"), json!("1"), json!(1_000_000_000)]]
    );
    assert_eq!(
        cells(&document, "commands", &["program", "starts", "exits", "failed"]),
        [json!(["cat", 1, 1, 1]), json!(["env", 1, 0, 0])].map(|row| row.as_array().unwrap().clone())
    );
}

#[test]
fn an_exit_without_its_start_is_dated_by_its_lifetime() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 2);
    for (pid, lived) in [(10, SECOND), (11, 100 * SECOND)] {
        let cells = [("pid", pid.into()), ("comm", "sh".into()), ("dur_ns", lived.into()), ("exit_code", 0.into())];
        made.row("exit", 3 * SECOND, &cells);
    }
    let document = Case::new("exec", vec![("run.parquet", made)]).json();
    assert_eq!(
        cells(&document, "runs", &["pid", "time_ns", "dur_ns", "executed"]),
        [
            [json!(11), Value::Null, Value::Null, json!(false)],
            [json!(10), json!(2_000_000_000i64), json!(1_000_000_000), json!(false)]
        ]
    );
}

#[test]
fn processes_have_system_calls_where_they_were_recorded() {
    let document = Case::new("processes", vec![("run.parquet", syscalls("builder"))]).json();
    let fields = ["comm", "syscall.latency.sum_ns", "syscall.latency.count", "syscall.errors.count"];
    assert_eq!(
        cells(&document, "processes", &fields),
        [[json!("cat"), json!(830_003_500), json!(5), json!(1)], [json!("find"), json!(91_000), json!(10), json!(6)],]
    );
}
