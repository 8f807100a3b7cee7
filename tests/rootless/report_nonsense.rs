//! Recordings that are well formed and hold nonsense: every view shows them or refuses them in one line, soon, in bounded memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::KindMeta;
use ebrec::recording::Meta;
use ebrec::recording::MetricMeta;
use ebrec::recording::ProbeOutcome;
use ebrec::recording::ProbeState;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::report::VIEWS;
use ebrec::report::plan::Format;

use crate::measured;

/// Kinds that some view reads, and one that none does.
const KINDS: [&str; 34] = [
    "process",
    "fork",
    "exec",
    "exit",
    "hist",
    "metric",
    "ledger",
    "cpu_ledger",
    "stack",
    "symbol",
    "cpu_sample",
    "stack_total",
    "off_cpu",
    "lost",
    "cost",
    "syscall",
    "file",
    "lock",
    "signal_taken",
    "signal_death",
    "dns",
    "tcp",
    "http",
    "http_unanswered",
    "block_io",
    "irq",
    "softirq",
    "reclaim",
    "compaction",
    "oom",
    "event",
    "wakeup",
    "file_short_lived",
    "hibernation",
];

/// Every column of integers that rows may have; times have their own.
fn integers(schema: &Schema) -> Vec<ebrec::recording::ColumnId> {
    use ebrec::recording::ColumnType;
    let numbers = |ty| matches!(ty, ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64);
    let own = schema.columns().iter().filter(|column| numbers(column.ty) && column.name != "ts_sub_ns");
    own.filter_map(|column| schema.id(column.name)).collect()
}

fn texts(schema: &Schema) -> Vec<ebrec::recording::ColumnId> {
    let own = schema.columns().iter().filter(|column| matches!(column.ty, ebrec::recording::ColumnType::Text(_)));
    own.filter_map(|column| schema.id(column.name))
        .filter(|id| ![column::KIND, column::HOST, column::RUN_ID].contains(id))
        .collect()
}

fn meta() -> Meta {
    let kind = |name: &&str| KindMeta {
        name: (*name).to_owned(),
        probe: Some("p".to_owned()),
        help: String::new(),
        ..KindMeta::default()
    };
    let metric = |name: &&str| MetricMeta {
        name: (*name).to_owned(),
        probe: name.split('.').next().unwrap().to_owned(),
        kind: "histogram".to_owned(),
        unit: "ns".to_owned(),
        by: ["pid", "comm", "name", "op", "dev", "cause", "ppid"].map(str::to_owned).to_vec(),
        ..MetricMeta::default()
    };
    Meta {
        window: Window {
            start_real_ns: 1_700_000_000_000_000_000,
            actual_ns: 4_000_000_000,
            interval_ns: 1_000_000_000,
            ..Window::default()
        },
        kinds: KINDS.iter().map(kind).collect(),
        probes: vec![ProbeState {
            name: "p".to_owned(),
            state: ProbeOutcome::Ran,
            mode: "slow".to_owned(),
            hooks: vec!["h".to_owned()],
            settings: [("slow_ns".to_owned(), 0.into())].into_iter().collect(),
            events: u64::MAX,
            lost: u64::MAX,
            cost_ns: u64::MAX,
            ..ProbeState::default()
        }],
        metrics: METRICS.iter().map(metric).collect(),
        ..Meta::default()
    }
}

const METRICS: [&str; 17] = [
    "sched.on_cpu",
    "sched.runqueue_latency",
    "sched.switches",
    "block.device_time",
    "block.queue_time",
    "block.size",
    "block.queue_depth",
    "block.access",
    "memory.faults",
    "syscall.latency",
    "syscall.errors",
    "http.latency",
    "tcp.sent",
    "tcp.failures",
    "signals.sent",
    "dns.latency",
    "p.own",
];

/// Writes `count` rows of every kind; `fill` sets their columns.
fn write(path: &Path, meta: &Meta, count: u64, mut fill: impl FnMut(&Schema, &mut ebrec::recording::Row<'_>, u64)) {
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "h\u{1b}[31m\n".to_owned(), run_id: "0".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Replace).unwrap();
    writer.set_meta(meta);
    let mut rows = Rows::new(Arc::clone(&schema), 0);
    for kind in KINDS {
        for n in 0..count {
            fill(&schema, &mut rows.row(kind), n);
        }
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    }
    writer.finish(Duration::from_secs(60)).unwrap();
}

/// What a careful user gives to a view of a stranger's file.
const ADDRESS_SPACE_MIB: u64 = 512;

/// Runs every view in every format over a file.
fn hold(path: &Path, what: &str) {
    let mut wrong = Vec::new();
    let mut hold = |arguments: &[&str]| {
        let run = measured::run_within(ADDRESS_SPACE_MIB, arguments);
        let name = arguments[..arguments.len() - 1].join(" ");
        let told = run.errors.lines().filter(|line| !line.starts_with("hint: ")).count();
        if run.status > 1 || run.status == 1 && told != 1 || run.errors.contains("panicked") {
            wrong.push(format!("{name}: exit status {}: {}", run.status, run.errors));
        }
        if run.peak_mib > 256 || run.took > Duration::from_secs(60) {
            wrong.push(format!("{name}: {} MiB, {:?}", run.peak_mib, run.took));
        }
    };
    let path = path.to_str().unwrap();
    for view in VIEWS {
        for format in Format::ALL.into_iter().filter(|format| view.draws || *format != Format::Svg) {
            hold(&["report", view.name, "--top", "0", "--format", format.name(), path]);
        }
    }
    hold(&["report", "processes", "--tree", path]);
    hold(&["report", "hist", "sched.on_cpu", "--by", "process", path]);
    hold(&["info", path]);
    hold(&["export", "--to", "openmetrics", path]);
    hold(&["export", "--to", "prometheus", path]);
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

/// Numbers at the ends of what a column can hold, and around zero.
fn extreme(n: u64) -> i64 {
    let ends = [i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN), 32_767, -32_768, 0, -1, 1, i64::MAX - 1];
    ends[n as usize % ends.len()]
}

#[test]
fn extreme_numbers_in_every_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("extreme.parquet");
    write(&path, &meta(), 40, |schema, row, n| {
        row.at(extreme(n / 3).cast_unsigned());
        for (at, id) in integers(schema).into_iter().enumerate() {
            row.int(id, extreme(n + at as u64 % 7));
        }
        for (at, id) in texts(schema).into_iter().enumerate() {
            row.text(id, ["", "a", "idle", "offcpu.time", "sched.on_cpu", "block.size"][(n as usize + at) % 6]);
        }
        row.text(column::METRIC, METRICS[n as usize % METRICS.len()]);
        row.list(column::FRAMES, &[i32::MAX, i32::MIN, -1, 0, 1]);
    });
    hold(&path, "extreme numbers");
}

#[test]
fn windows_that_can_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("window.parquet");
    for (start, length, interval) in [
        (i64::MIN, i64::MAX, 1),
        (i64::MAX, i64::MIN, i64::MIN),
        (0, 1_000_000_000_000, 1),
        (1_700_000_000_000_000_000, 3_600_000_000_000, 1_000),
    ] {
        let window = Window {
            start_real_ns: start,
            actual_ns: length,
            interval_ns: interval,
            first_interval_ns: Some(interval),
            ..Window::default()
        };
        let meta = Meta { window, ..meta() };
        write(&path, &meta, 20, |_, row, n| {
            row.at(scatter(n)).int(column::PID, n as i64).int(column::COUNT, 1).int(column::SUM, 5);
            row.int(column::DUR_NS, 1_000_000_000).text(column::METRIC, METRICS[n as usize % METRICS.len()]);
            row.text(column::COMM, "a").text(column::NAME, "b").int(column::BUCKET_LO, 4).int(column::BUCKET_HI, 5);
        });
        hold(&path, &format!("a window of {length} ns from {start} in intervals of {interval}"));
    }
}

/// A recording with bytes of others in it, of its rows as of its footer.
#[test]
fn damaged_files_in_little_address_space() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.parquet");
    write(&path, &meta(), 200, |_, row, n| {
        row.at(1_700_000_000_000_000_000 + n).int(column::PID, n as i64 % 7).int(column::SUM, 5).int(column::COUNT, 1);
        row.int(column::DUR_NS, 1000).text(column::METRIC, METRICS[n as usize % METRICS.len()]).text(column::NAME, "b");
    });
    let whole = std::fs::read(&path).unwrap();
    let mut wrong = Vec::new();
    let (mut read, mut refused) = (0, 0);
    for n in 0..120_u64 {
        let mut bytes = whole.clone();
        // Half of them in the last fifth, where the footer is.
        let begin = if n % 2 == 0 { 0 } else { bytes.len() / 5 * 4 };
        let at = begin + scatter(n) as usize % (bytes.len() - begin - 8);
        bytes[at..at + 1 + n as usize % 8].fill([0xff, 0x80, 0x7f, 0][n as usize / 2 % 4]);
        std::fs::write(&path, &bytes).unwrap();
        let view = VIEWS[n as usize % VIEWS.len()].name;
        let run =
            measured::run_within(ADDRESS_SPACE_MIB, &["report", view, "--format", "json", path.to_str().unwrap()]);
        let told = run.errors.lines().filter(|line| !line.starts_with("hint: ")).count();
        if run.status > 1 || run.status == 1 && told != 1 || run.took > Duration::from_secs(20) {
            wrong.push(format!("{view}, byte {at}: exit status {} after {:?}: {}", run.status, run.took, run.errors));
        }
        *if run.status == 0 { &mut read } else { &mut refused } += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 60, "{read} were read, {refused} refused");
}

fn scatter(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
fn parents_in_circles_and_stacks_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("circles.parquet");
    let deep: Vec<i32> = (0..1_000_000).collect();
    write(&path, &meta(), 300, |_, row, n| {
        let pid = n as i64 % 100;
        row.at(1_700_000_000_000_000_000 + n).int(column::PID, pid).int(column::PPID, (pid + 1) % 100);
        row.int(column::ID, n as i64).int(column::KSTACK_ID, n as i64).int(column::USTACK_ID, -(n as i64));
        row.int(column::SUM, 1000).int(column::COUNT, 1).text(column::METRIC, "offcpu.time").int(column::DUR_NS, 5);
        row.text(column::STATE, "sleeping").text(column::NAME, ";;\n\u{202e}").int(column::TID, pid);
        row.list(column::FRAMES, if n < 3 { &deep } else { &deep[..n as usize] });
    });
    hold(&path, "circles and deep stacks");
}
