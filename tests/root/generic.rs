//! What holds for every probe of the registry: it attaches alone in each mode, its histograms count what its rows count.

use std::collections::BTreeSet;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use ebrec::probe::Metric;
use ebrec::probe::MetricKind;
use ebrec::probe::Mode;
use ebrec::probe::ProbeInfo;
use ebrec::probes::REGISTRY;
use ebrec::recording::CORE_KINDS;
use ebrec::recording::ProbeOutcome;
use parquet::file::reader::FileReader;
use parquet::file::reader::SerializedFileReader;
use rustix::process::Signal;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::rows::Row;
use crate::common::skip;

/// The probes that this machine can run, by what `ebrec probes` says; the others are skipped aloud.
fn probes_here(test: &str) -> Vec<&'static ProbeInfo> {
    let output = Command::new(crate::common::recorder::EBREC).args(["probes", "--format", "csv"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut here = Vec::new();
    for info in REGISTRY.iter().map(|probe| probe.info()) {
        let line = listed.lines().find(|line| line.starts_with(&format!("{},", info.name))).unwrap();
        if line.contains(",yes,") {
            here.push(info);
        } else {
            skip(&format!("{test} ({})", info.name), line);
        }
    }
    here
}

/// `PROBE:MODE` as the command line has it; a probe without a threshold of its own is given one, that of the user's own events an event.
fn request(info: &ProbeInfo, mode: Mode) -> String {
    let event = if info.name == "events" { " -e rawtp:sched_process_fork" } else { "" };
    match mode {
        Mode::Slow if info.slow.is_none() => format!("{}:slow=1ms{event}", info.name),
        mode => format!("{}:{}{event}", info.name, mode.name()),
    }
}

/// What the verifier walks through is time before the window begins, and the kernel refuses more than a million.
#[test]
#[ignore = "root: attaches probes"]
fn no_default_program_keeps_the_verifier_long() {
    const MOST: u64 = 20_000;
    let running = Recorder::new("").start();
    let directory = format!("/proc/{}/fdinfo", running.pid());
    let facts =
        std::fs::read_dir(directory).unwrap().filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let verified =
        |facts: String| facts.lines().find_map(|line| line.strip_prefix("verified_insns:")?.trim().parse().ok());
    let verified: Vec<u64> = facts.filter_map(verified).collect();
    running.finish();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let version: Vec<u32> = release.split(['.', '-']).take(2).map(|number| number.parse().unwrap()).collect();
    if version < vec![5, 16] {
        return skip("no_default_program_keeps_the_verifier_long", "kernels before 5.16 don't tell");
    }
    assert!(verified.len() > 20, "{verified:?}");
    assert!(verified.iter().all(|instructions| *instructions < MOST), "{verified:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn every_probe_attaches_alone_in_each_of_its_modes() {
    for info in probes_here("every_probe_attaches_alone_in_each_of_its_modes") {
        for mode in Mode::ALL {
            let taken = Recorder::new(&format!("-p {}", request(info, mode))).start().finish();
            let [probe] =
                &taken.recording.meta().probes.iter().filter(|one| !one.hooks.is_empty()).collect::<Vec<_>>()[..]
            else {
                panic!("{:?}", taken.recording.meta().probes)
            };
            assert_eq!((&*probe.name, &*probe.mode, probe.state), (info.name, mode.name(), ProbeOutcome::Ran));
        }
    }
}

/// Something of everything that a machine does: processes, switches, files, I/O that reaches the disk, sockets.
fn bit_of_everything(workload: &Workload) {
    workload.run("storm 100");
    workload.run("pingpong 500");
    workload.run("touch 16");
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let file = std::fs::File::create(dir.path().join(number.to_string())).unwrap();
        std::io::Write::write_all(&mut &file, &[7; 8192]).unwrap();
        file.sync_all().unwrap();
        std::fs::remove_file(dir.path().join(number.to_string())).unwrap();
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..10 {
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for (text, asks) in [("GET / HTTP/1.1\r\n\r\n", true), ("HTTP/1.1 204 No Content\r\n\r\n", false)] {
            let (from, to) = if asks { (&mut client, &mut server) } else { (&mut server, &mut client) };
            std::io::Write::write_all(from, text.as_bytes()).unwrap();
            std::io::Read::read_exact(to, &mut vec![0; text.len()]).unwrap();
        }
        drop((client, server));
    }
    let server = std::net::UdpSocket::bind("127.77.0.53:53").unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..3 {
        // One question: type A of class IN for "a".
        let mut query = [0, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
        client.send_to(&query, "127.77.0.53:53").unwrap();
        let (length, from) = server.recv_from(&mut query).unwrap();
        query[2] |= 0x80;
        server.send_to(&query[..length], from).unwrap();
        client.recv_from(&mut query).unwrap();
    }
    // util-linux. The shell is moved to the first CPU and to the second one when it wakes up.
    let moved = "taskset -pc 0 $$ && taskset -pc 1 $$ && taskset -pc 0 $$ && exec true";
    assert!(Command::new("sh").args(["-c", moved]).stdout(Stdio::null()).status().unwrap().success());
}

/// Probes of what an everyday load need not do: stalls, contention, deaths by signals. `root_pressure` and
/// `root_signals` provoke theirs.
const RARE: [&str; 4] = ["memory", "irq", "locks", "signals"];

/// Histograms of what no row is about: the depth of a queue, round trips, kswapd, the values of the user's own events (tests of their own).
const WITHOUT_ROWS: [&str; 5] = ["block.queue_depth", "tcp.rtt", "memory.kswapd", "events.latency", "events.value"];

/// How many rows of raw mode have a value of the metric, and the sum of those; nothing for counters, and for what no row is about.
fn values(taken: &Taken, metric: &Metric) -> Option<(i64, i64)> {
    let only = |kind: &str, column: &str, wanted: &dyn Fn(&Row) -> bool| {
        let rows = taken.rows(kind, &["op", "name", column]);
        let rows = rows.keep(|row| row.maybe(column).is_some() && wanted(row));
        Some((rows.count() as i64, rows.sum(column)))
    };
    let rows = |kind: &str, column: &str| only(kind, column, &|_| true);
    let did = |op: &'static str| move |row: &Row| row.text("op") == Some(op);
    match metric.name {
        "block.queue_time" => rows("block_io", "block_queue_ns"),
        // The row has both times together.
        "block.device_time" => {
            let (count, both) = rows("block_io", "dur_ns")?;
            Some((count, both - rows("block_io", "block_queue_ns")?.1))
        }
        "block.size" => rows("block_io", "bytes"),
        "files.size" => only("file", "bytes", &|row| row.int("bytes") > 0),
        "irq.soft_delay" => rows("softirq", "irq_delay_ns"),
        "tcp.connect_latency" => only("tcp", "dur_ns", &did("open")),
        "tcp.lifetime" => only("tcp", "dur_ns", &did("close")),
        "dns.latency" => only("dns", "dur_ns", &did("answer")),
        "locks.futex_wait" => only("lock", "dur_ns", &|row| row.text("name") == Some("futex")),
        "locks.contention" => only("lock", "dur_ns", &|row| row.text("name") != Some("futex")),
        name if WITHOUT_ROWS.contains(&name) || metric.kind != MetricKind::Histogram => None,
        name => rows(metric.events.unwrap_or_else(|| panic!("{name}: which rows have its values?")), "dur_ns"),
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn in_raw_mode_histograms_and_counters_count_what_there_are_rows_of() {
    let workload = Workload::build();
    for info in probes_here("in_raw_mode_histograms_and_counters_count_what_there_are_rows_of") {
        let running = Recorder::new(&format!("-p {} --interval 200ms", request(info, Mode::Raw))).start();
        bit_of_everything(&workload);
        let taken = running.finish();
        hold_declared_columns(info, &taken);
        for metric in info.metrics {
            let count = taken.metric(metric.name, &[]).sum("count");
            if let Some(kind) = metric.events {
                println!("{}: {count}, rows of '{kind}': {}", metric.name, taken.recording.rows(kind));
                assert_eq!(count, taken.recording.rows(kind).cast_signed(), "{}, lost {:?}", metric.name, taken.lost());
                assert!(count > 0 || RARE.contains(&info.name), "nothing was counted by {}", metric.name);
            }
            if metric.kind == MetricKind::Histogram {
                let buckets = taken.histogram(metric.name, &[], |_| true).count();
                assert_eq!(buckets.cast_signed(), count, "the buckets of {}", metric.name);
            }
            if let Some(in_rows) = values(&taken, metric) {
                let total = taken.metric(metric.name, &[]).sum("sum");
                println!("{}: {count} with a sum of {total}, in rows {in_rows:?}", metric.name);
                assert_eq!((count, total), in_rows, "{}, lost {:?}", metric.name, taken.lost());
            }
        }
    }
}

/// Each kind fills columns only that it says it fills, as the manual has them from it.
fn hold_declared_columns(info: &ProbeInfo, taken: &Taken) {
    let everywhere = ["kind", "host", "run_id", "ts", "ts_sub_ns", "pid_start_ns"];
    let dimensions = info.metrics.iter().flat_map(|metric| metric.by).chain(&["process"]);
    let of_metrics: BTreeSet<&str> = dimensions.copied().collect();
    let file = std::fs::File::open(taken.recording.path()).unwrap();
    for group in SerializedFileReader::new(file).unwrap().metadata().row_groups() {
        let kind = group.column(0).statistics().and_then(|of| of.min_bytes_opt()).unwrap();
        let kind = std::str::from_utf8(kind).unwrap();
        let core = CORE_KINDS.iter().find(|core| core.name == kind).map(|core| core.columns);
        let own = info.kinds.iter().find(|own| own.name == kind).map(|own| own.columns);
        let declared = core.or(own).unwrap_or_else(|| panic!("nothing declares '{kind}'"));
        for column in group.columns() {
            let name = column.column_path().parts().first().unwrap().as_str();
            let empty =
                column.statistics().and_then(|of| of.null_count_opt()) == Some(group.num_rows().cast_unsigned());
            let may = everywhere.contains(&name)
                || declared.contains(&name)
                || ["hist", "metric"].contains(&kind) && of_metrics.contains(name);
            assert!(empty || may, "'{kind}' does not say that it fills '{name}'");
        }
    }
}

/// A shell that is named to the recorder and then becomes a workload: everything that the workload does is recorded.
struct Held {
    shell: Child,
}

impl Held {
    fn shell(program: &std::path::Path, arguments: &str) -> Held {
        let script = format!("read go; exec '{}' {arguments}", program.display());
        let shell =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Held { shell }
    }

    fn pid(&self) -> i64 {
        self.shell.id().into()
    }

    /// Lets it go on, to its end.
    fn run(&mut self) {
        std::io::Write::write_all(&mut self.shell.stdin.take().unwrap(), b"go\n").unwrap();
        assert!(self.shell.wait().unwrap().success());
    }
}

/// Rows that the probe `process` streamed: forks, execs, exits.
fn processes(taken: &Taken) -> [i64; 3] {
    ["fork", "exec", "exit"].map(|kind| taken.recording.rows(kind).cast_signed())
}

#[test]
#[ignore = "root: attaches probes"]
fn with_a_tiny_buffer_losses_are_counted_and_with_the_events_are_what_happened() {
    let workload = Workload::build();
    let mut storm = Held::shell(&workload.path(), "storm 2000");
    let running = Recorder::new(&format!("-p process --buffer 8KiB --pid {}", storm.pid())).start();
    // Nobody empties the rings meanwhile.
    running.signal(Signal::STOP);
    storm.run();
    running.signal(Signal::CONT);
    let taken = running.finish();
    let (events, lost): (i64, i64) = (processes(&taken).iter().sum(), taken.lost_by("process"));
    println!("events {events}, lost {lost}: {:?}", taken.lost());
    assert!(lost > 0 && events > 0, "events {events}, lost {lost}");
    assert_eq!(events + lost, 2000 + 1 + 2001);
    assert_eq!(taken.metric("process.starts", &[]).sum("count"), 2000);
    assert_eq!(taken.metric("process.exits", &[]).sum("count"), 2001);
    assert_eq!(taken.histogram("process.lifetime", &[], |_| true).count(), 2001);
}

/// A process, its child and the child's child, thirty times over.
const FAMILY: &str = "family 30";

#[test]
#[ignore = "root: attaches probes"]
fn a_process_is_recorded_with_its_descendants_and_nobody_else() {
    let workload = Workload::build();
    let mut family = Held::shell(&workload.path(), FAMILY);
    let running = Recorder::new(&format!("-p process --pid {}", family.pid())).start();
    workload.run("storm 20");
    family.run();
    assert_eq!(processes(&running.finish()), [60, 1, 61]);
}

#[test]
#[ignore = "root: attaches probes"]
fn without_following_a_process_is_recorded_alone() {
    let workload = Workload::build();
    let mut family = Held::shell(&workload.path(), FAMILY);
    let running = Recorder::new(&format!("-p process --no-follow --pid {}", family.pid())).start();
    family.run();
    assert_eq!(processes(&running.finish()), [0, 1, 1]);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_name_means_processes_that_get_it_and_their_descendants() {
    let workload = Workload::build();
    let running = Recorder::new("-p process --comm ebrec-test-a").start();
    workload.run("storm 20");
    let mut family = Held::shell(&workload.named("ebrec-test-a"), FAMILY);
    family.run();
    // It gets its name by the exec, which is in scope already.
    assert_eq!(processes(&running.finish()), [60, 1, 61]);
}

#[test]
#[ignore = "root: attaches probes"]
fn without_following_a_command_name_still_means_every_process_that_has_it() {
    let workload = Workload::build();
    let running = Recorder::new("-p process --no-follow --comm ebrec-test-b").start();
    let mut family = Held::shell(&workload.named("ebrec-test-b"), FAMILY);
    family.run();
    assert_eq!(processes(&running.finish()), [60, 1, 61]);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_user_s_processes_are_recorded_and_nobody_else_s() {
    use std::os::unix::process::CommandExt;
    let workload = Workload::build();
    let running = Recorder::new("-p process --uid 65533").start();
    workload.run("storm 20");
    let status = workload.command(FAMILY).uid(65533).gid(65533).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let taken = running.finish();
    // It was forked by root and became the user's before its exec.
    assert_eq!(processes(&taken), [60, 1, 61]);
}

/// A control group that goes when the test ends.
struct Group(std::path::PathBuf);

impl Group {
    fn create() -> Option<Group> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let point = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
        let group = std::path::Path::new(point).join(format!("ebrec-test-{}", std::process::id()));
        std::fs::create_dir(&group).ok()?;
        Some(Group(group))
    }

    /// Puts a process in it.
    fn add(&self, pid: i64) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_control_group_s_processes_are_recorded_and_nobody_else_s() {
    let Some(group) = Group::create() else {
        return skip("a_control_group_s_processes_are_recorded_and_nobody_else_s", "no control group can be made here");
    };
    let workload = Workload::build();
    let mut family = Held::shell(&workload.path(), FAMILY);
    group.add(family.pid());
    let running = Recorder::new(&format!("-p process --cgroup {}", group.0.display())).start();
    workload.run("storm 20");
    family.run();
    let taken = running.finish();
    assert_eq!(processes(&taken), [60, 1, 61]);
    let number = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&group.0).unwrap()).cast_signed();
    assert_eq!(taken.rows("exit", &["cgroup_id"]).with("cgroup_id", number).count(), 61);
}

#[test]
#[ignore = "root: attaches probes"]
fn the_recorder_leaves_itself_out() {
    let workload = Workload::build();
    let running = Recorder::new("-p sched:raw").start();
    let pid = running.pid().into();
    workload.run("pingpong 200");
    let taken = running.finish();
    assert!(taken.rows("slice", &["pid"]).count() > 200);
    for kind in ["slice", "wakeup", "migration"] {
        assert_eq!(taken.rows(kind, &["pid"]).with("pid", pid).count(), 0, "{kind}");
    }
    assert_eq!(taken.metric("sched.on_cpu", &["pid"]).with("pid", pid).count(), 0);
}
