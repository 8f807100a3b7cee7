//! What a row costs, from the column builders to the file and back: CPU time of the thread, bytes, memory.
//!
//! `cargo bench --bench recording`, or with `-- hour` for an hour of a quiet machine, which takes a minute.
#![allow(clippy::unwrap_used, reason = "a measurement may stop at what it did not expect")]

use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;

const COMMS: [&[u8]; 8] = [
    b"cc1\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"bash\0\0\0\0\0\0\0\0\0\0\0\0",
    b"kworker/0:1H\0\0\0\0",
    b"postgres\0\0\0\0\0\0\0\0",
    b"fio\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"swapper/1\0\0\0\0\0\0\0",
    b"rcu_preempt\0\0\0\0\0",
    b"make\0\0\0\0\0\0\0\0\0\0\0\0",
];

/// Numbers without a pattern, the same in every run.
struct Dice {
    state: u64,
    rolls: u64,
}

impl Dice {
    fn new() -> Dice {
        Dice { state: 88_172_645_463_325_252, rolls: 0 }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.rolls += 1;
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }
}

fn main() {
    // cargo's own argument for benchmarks comes too.
    if std::env::args().any(|word| word == "hour") {
        an_hour();
        return;
    }
    run("wakeup", 2 << 20, 2 << 20, wakeup);
    run("each 64k", 2 << 20, 64 << 10, wakeup);
    run("block_io", 1 << 20, 1 << 20, block_io);
    run("exec", 1 << 18, 1 << 18, exec);
    run("hist", 1 << 20, 4 << 10, hist);
    open();
    println!("{} MiB of memory at most", peak_memory());
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A scheduler's event: twelve columns set, two of them by the time.
fn wakeup(rows: &mut Rows, dice: &mut Dice, now: u64) {
    let who = dice.roll(8) as usize;
    let other = dice.roll(8) as usize;
    rows.row("wakeup")
        .at(now)
        .int(column::CPU, (now / 3000 % 2) as i64)
        .int(column::PID, 1000 + who as i64)
        .int(column::TID, 1000 + who as i64)
        .bytes(column::COMM, COMMS[who])
        .int(column::DUR_NS, 1000 + dice.roll(50_000) as i64)
        .int(column::PRIO, 120)
        .int(column::WAKER_PID, 1000 + other as i64)
        .int(column::WAKER_TID, 1000 + other as i64)
        .text(column::STATE, "runnable")
        .int(column::CGROUP_ID, 77);
}

/// An I/O of a block device.
fn block_io(rows: &mut Rows, dice: &mut Dice, now: u64) {
    let who = dice.roll(8) as usize;
    rows.row("block_io")
        .at(now)
        .int(column::DUR_NS, 20_000 + dice.roll(400_000) as i64)
        .int(column::PID, 1000 + who as i64)
        .int(column::TID, 1000 + who as i64)
        .bytes(column::COMM, COMMS[who])
        .text(column::DEV, "nvme0n1")
        .text(column::OP, if dice.roll(3) == 0 { "write" } else { "read" })
        .int(column::SECTOR, dice.roll(1 << 30) as i64 * 8)
        .int(column::BYTES, 4096 << dice.roll(5))
        .int(column::RET, 0);
}

/// The start of a program, with arguments that differ.
fn exec(rows: &mut Rows, dice: &mut Dice, now: u64) {
    let pid = 1000 + now as i64 / 3000 % 30_000;
    let argv = format!("cc1 -quiet -I include -o /tmp/cc{:06x}.s src/file-{}.c", dice.roll(1 << 24), dice.roll(3000));
    rows.row("exec")
        .at(now)
        .int(column::PID, pid)
        .int(column::PPID, pid - 1)
        .int(column::UID, 1000)
        .bytes(column::COMM, b"cc1\0")
        .int(column::CGROUP_ID, 77)
        .text(column::FILENAME, "/usr/lib/gcc/x86_64-linux-gnu/12/cc1")
        .text(column::ARGV, &argv);
}

/// A bucket of a histogram.
fn hist(rows: &mut Rows, dice: &mut Dice, now: u64) {
    let who = dice.roll(8) as usize;
    let lo = 1 << (8 + dice.roll(16));
    rows.row("hist")
        .at(now - now % 1_000_000_000)
        .int(column::DUR_NS, 1_000_000_000)
        .text(column::METRIC, "sched.runqueue_latency")
        .text(column::UNIT, "ns")
        .int(column::PID, 1000 + who as i64)
        .bytes(column::COMM, COMMS[who])
        .int(column::BUCKET_LO, lo)
        .int(column::BUCKET_HI, lo + lo / 16)
        .int(column::COUNT, 1 + dice.roll(40) as i64);
}

/// Opening a small recording and reading one of its kinds.
fn open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 0);
    let mut dice = Dice::new();
    for n in 0..20_000 {
        wakeup(&mut rows, &mut dice, n << 20);
        block_io(&mut rows, &mut dice, n << 20);
        hist(&mut rows, &mut dice, n << 20);
    }
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    let bytes = writer.finish(Duration::from_secs(1)).unwrap().bytes;
    let start = cpu_time();
    let recording = Recording::open(&path).unwrap();
    let opened = cpu_time() - start;
    let rows: usize =
        recording.scan("hist", &["pid", "bucket_lo", "count"]).unwrap().map(|chunk| chunk.unwrap().len()).sum();
    let read = cpu_time() - start - opened;
    println!(
        "open       a recording of {} KB: {opened:.1?}, then {rows} rows of three columns: {read:.1?}",
        bytes >> 10
    );
}

/// The most memory that this process ever had, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn run(name: &str, total: u64, per_checkpoint: u64, fill: impl Fn(&mut Rows, &mut Dice, u64)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 1_700_000_000_000_000_123);
    let mut dice = Dice::new();
    let (mut gather, mut write, mut check) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut now = 1 << 40;
    let mut n = 0;
    while n < total {
        let start = cpu_time();
        for _ in 0..4096 {
            now += 200 + dice.roll(2000);
            fill(&mut rows, &mut dice, now);
            n += 1;
        }
        let batches = rows.take(16 << 10, false);
        let taken = cpu_time();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        let written = cpu_time();
        if n % per_checkpoint < 4096 {
            for batch in rows.take(1, true) {
                writer.write(batch).unwrap();
            }
            writer.checkpoint().unwrap();
        }
        gather += taken - start;
        write += written - taken;
        check += cpu_time() - written;
    }
    for batch in rows.take(1, true) {
        writer.write(batch).unwrap();
    }
    let start = cpu_time();
    let finished = writer.finish(Duration::from_secs(60)).unwrap();
    let finish = cpu_time() - start;
    let each = |time: Duration| time.as_nanos() as f64 / n as f64;
    let recording = Recording::open(&path).unwrap();
    let start = cpu_time();
    let mut sum = 0;
    for (kind, _) in recording.kinds() {
        for chunk in recording.scan(&kind, &["ts", "pid", "comm", "dur_ns"]).unwrap() {
            let chunk = chunk.unwrap();
            let ints = chunk.int(3);
            sum += (0..chunk.len()).filter_map(|row| ints.get(row)).sum::<i64>();
        }
    }
    let read = cpu_time() - start;
    // The rows' numbers cost something too; they are no part of what is measured.
    let mut again = Dice::new();
    let start = cpu_time();
    for roll in 0..dice.rolls {
        sum ^= again.roll(2000 + roll % 8) as i64;
    }
    gather = gather.saturating_sub(cpu_time() - start);
    println!(
        "{name:10} {n} rows: gather {:.1} ns, write {:.1} ns, checkpoints {:.1} ns, finish {:.1} ns, read four columns {:.1} ns a row; {:.2} bytes a row ({sum})",
        each(gather),
        each(write),
        each(check),
        each(finish),
        each(read),
        finished.bytes as f64 / n as f64
    );
}

/// An hour of twelve quiet kinds: what each second costs when next to nothing happens, and how large the file gets.
fn an_hour() {
    const KINDS: [&str; 12] =
        ["hist", "metric", "cost", "lost", "clock", "exec", "fork", "exit", "wakeup", "block_io", "process", "cgroup"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 1_700_000_000_000_000_123);
    let mut dice = Dice::new();
    let (mut slowest, mut largest, mut total, mut gathered) = (Duration::ZERO, 0, Duration::ZERO, 0_u64);
    for second in 0..3600_u64 {
        for kind in KINDS {
            for n in 0..if kind == "hist" { 300 } else { 20 } {
                gathered += 1;
                let who = dice.roll(8) as usize;
                rows.row(kind)
                    .at(second * 1_000_000_000 + n)
                    .int(column::PID, who as i64)
                    .bytes(column::COMM, COMMS[who])
                    .int(column::COUNT, dice.roll(1000) as i64)
                    .int(column::BUCKET_LO, dice.roll(100_000) as i64)
                    .int(column::DUR_NS, 1_000_000_000);
            }
        }
        let start = cpu_time();
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
        writer.checkpoint().unwrap();
        slowest = slowest.max(cpu_time() - start);
        total += cpu_time() - start;
        let footer = std::fs::metadata(ebrec::recording::footer_path(writer.partial_path())).unwrap().len();
        largest = largest.max(footer);
    }
    let partial = writer.bytes_written();
    let start = cpu_time();
    let finished = writer.finish(Duration::from_secs(60)).unwrap();
    println!(
        "an hour    {gathered} rows: {:.2} ms a second, {:.1} ms at most, {:.0} ms at the end; footer {} KB at most, file {} KB while recording and {} KB at the end, merged: {}; rows {:?}",
        total.as_secs_f64() / 3.6,
        slowest.as_secs_f64() * 1e3,
        (cpu_time() - start).as_secs_f64() * 1e3,
        largest >> 10,
        partial >> 10,
        finished.bytes >> 10,
        finished.merged,
        Recording::open(&path).unwrap().kinds().iter().map(|kind| kind.1).sum::<u64>(),
    );
}
