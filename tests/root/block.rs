//! The probe `block` against fio's own count and latencies, and /proc/diskstats.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::Recorder;
use crate::common::Rows;
use crate::common::Taken;
use crate::common::find;
use crate::common::rows::Row;
use crate::common::skip;

/// I/Os of fio, and their size.
const IOS: i64 = 400;
const SIZE: i64 = 4096;
/// How often a job is recorded before requests that are missing are a failure.
const TRIES: usize = 6;

const IO: [&str; 9] = ["dur_ns", "block_queue_ns", "pid", "comm", "dev", "op", "bytes", "block_flags", "ret"];

/// A file for fio on a disk.
struct Disk {
    fio: std::path::PathBuf,
    dir: TempDir,
    /// The disk's name, as in /proc/diskstats.
    name: String,
}

impl Disk {
    /// What the test needs, or nothing when it was skipped.
    fn find(test: &str) -> Option<Disk> {
        let Some(fio) = find("fio") else {
            skip(test, "fio is not installed");
            return None;
        };
        // Not the directory of temporary files, which may be in memory.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = TempDir::new_in(target).unwrap();
        let Some(name) = disk_of(dir.path()) else {
            skip(test, &format!("'{}' is not on a disk", target.display()));
            return None;
        };
        let disk = Disk { fio, dir, name };
        if !disk.fio("--rw=write --bs=1m --end_fsync=1").status().unwrap().success() {
            skip(test, "fio can't do direct I/O here");
            return None;
        }
        Some(disk)
    }

    /// One job on the file.
    fn words(&self, job: &str) -> Vec<String> {
        let dir = self.dir.path().display();
        let mut words = vec![self.fio.display().to_string()];
        words.extend([format!("--filename={dir}/data"), format!("--output={dir}/result.json")]);
        words.extend([format!("--write_lat_log={dir}/log"), "--log_avg_msec=0".to_owned()]);
        let fixed = "--name=job --size=16m --direct=1 --ioengine=psync --output-format=json";
        words.extend(fixed.split(' ').chain(job.split(' ')).map(str::to_owned));
        words
    }

    fn fio(&self, job: &str) -> Command {
        let words = self.words(job);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Records a job alone, with what it says of itself, until the kernel has shown every request.
    ///
    /// A kernel that keeps some process from being traced keeps the interrupts from it that come while the process
    /// runs: those completions are lost, and counted when the request's address is used again.
    fn record(&self, probes: &str, op: &str, job: &str) -> (Value, Taken) {
        for _ in 0..TRIES {
            let recorder = Recorder::new(&format!("-p {probes}"));
            let taken = recorder.start_command(&self.words(job), Stdio::null(), Stdio::null()).finished(0);
            let recorded = requests(&taken, self, op).count() as i64;
            if recorded == IOS {
                let result = std::fs::read_to_string(self.dir.path().join("result.json")).unwrap();
                // Warnings come before the object.
                let result: Value = serde_json::from_str(&result[result.find('{').unwrap()..]).unwrap();
                return (result["jobs"][0].clone(), taken);
            }
            println!("{recorded} of {IOS} requests recorded, lost {:?}", taken.lost());
            assert!(recorded < IOS, "more than fio has made");
        }
        panic!("requests were missing {TRIES} times");
    }

    /// The latencies that fio logged, in its order and in nanoseconds.
    fn log(&self) -> Vec<i64> {
        let text = std::fs::read_to_string(self.dir.path().join("log_clat.1.log")).unwrap();
        text.lines().map(|line| line.split(',').nth(1).unwrap().trim().parse().unwrap()).collect()
    }
}

/// The whole disk under a directory, if there is one.
fn disk_of(dir: &Path) -> Option<String> {
    let dev = std::fs::metadata(dir).unwrap().dev();
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let device = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let disk = if device.join("partition").exists() { device.parent()?.to_owned() } else { device };
    // Stacked devices hand requests on: theirs are counted where they arrive.
    let stacked = std::fs::read_dir(disk.join("slaves")).is_ok_and(|mut slaves| slaves.next().is_some());
    (!stacked).then(|| disk.file_name().unwrap().to_string_lossy().into_owned())
}

/// The requests of fio's I/Os: without those of the file system's metadata, and of programs that are read into memory.
fn requests(taken: &Taken, disk: &Disk, op: &str) -> Rows {
    let rows = taken.rows("block_io", &IO).named("dev", &disk.name).named("op", op).with("bytes", SIZE);
    // Old kernels say so of direct writes only.
    let flagged = rows.named("block_flags", "sync");
    if flagged.count() > 0 { flagged } else { rows.keep(|row| row.text("block_flags").is_none()) }
}

fn percentile(sorted: &[i64], q: f64) -> i64 {
    sorted[((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1]
}

#[test]
#[ignore = "root: attaches probes"]
fn random_reads_are_counted_as_fio_counts_them() {
    let Some(disk) = Disk::find("random_reads_are_counted_as_fio_counts_them") else { return };
    let (fio, taken) = disk.record("block:raw", "read", &format!("--rw=randread --bs={SIZE} --number_ios={IOS}"));
    let reads = requests(&taken, &disk, "read");
    assert_eq!(fio["read"]["total_ios"], IOS);
    assert_eq!(reads.count() as i64, IOS, "lost {:?}", taken.lost());
    assert_eq!(Some(reads.sum("bytes")), fio["read"]["io_bytes"].as_i64());
    assert!(reads.iter().all(|row| row.maybe("ret") == Some(0)));
}

#[test]
#[ignore = "root: attaches probes"]
fn sequential_writes_are_counted_as_fio_counts_them() {
    let Some(disk) = Disk::find("sequential_writes_are_counted_as_fio_counts_them") else { return };
    let (fio, taken) =
        disk.record("block:raw", "write", &format!("--rw=write --bs={SIZE} --number_ios={IOS} --fsync=50"));
    assert_eq!(fio["write"]["total_ios"], IOS);
    let writes = requests(&taken, &disk, "write");
    assert_eq!((writes.count() as i64, writes.sum("bytes")), (IOS, IOS * SIZE), "lost {:?}", taken.lost());
    let sequential =
        taken.metric("block.access", &["dev", "op", "state"]).named("dev", &disk.name).named("op", "write");
    assert!(sequential.named("state", "sequential").sum("count") >= IOS / 2, "{sequential:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn each_read_takes_what_fio_measured_less_its_own_work_and_its_wait_for_a_cpu() {
    let Some(disk) = Disk::find("each_read_takes_what_fio_measured_less_its_own_work_and_its_wait_for_a_cpu") else {
        return;
    };
    let (_, taken) =
        disk.record("block:raw,sched:raw", "read", &format!("--rw=randread --bs={SIZE} --number_ios={IOS}"));
    let reads = requests(&taken, &disk, "read");
    let told = disk.log();
    assert_eq!((reads.count(), told.len()), (IOS as usize, IOS as usize));
    let waits = taken.rows("wakeup", &["pid", "dur_ns"]);
    let mut reads: Vec<&Row> = reads.iter().collect();
    reads.sort_by_key(|row| row.int("ts"));
    let mut rest = Vec::new();
    for (at, (read, told)) in reads.iter().zip(&told).enumerate() {
        let (began, pid) = (read.int("ts") - read.int("dur_ns"), read.int("pid"));
        let next = reads.get(at + 1).map_or(i64::MAX, |next| next.int("ts") - next.int("dur_ns"));
        let waited =
            waits.keep(|row| row.maybe("pid") == Some(pid) && (began..next).contains(&row.int("ts"))).sum("dur_ns");
        assert!(read.int("dur_ns") <= *told, "read {at} took {} ns, fio says {told}", read.int("dur_ns"));
        rest.push(told - read.int("dur_ns") - waited);
    }
    rest.sort_unstable();
    println!("fio's own work: median {} ns, p90 {} ns", percentile(&rest, 0.5), percentile(&rest, 0.9));
    assert!(percentile(&rest, 0.5) < OWN_WORK_NS, "{} ns are not explained", percentile(&rest, 0.5));
}

/// A system call, a bio, an interrupt and a switch: tens of microseconds on a slow machine.
const OWN_WORK_NS: i64 = 100_000;

#[test]
#[ignore = "root: attaches probes"]
fn percentiles_of_the_histogram_are_those_of_the_rows_and_at_most_fio_s() {
    let Some(disk) = Disk::find("percentiles_of_the_histogram_are_those_of_the_rows_and_at_most_fio_s") else { return };
    let (fio, taken) = disk.record("block:raw", "read", &format!("--rw=randread --bs={SIZE} --number_ios={IOS}"));
    let read = |row: &Row| row.text("op") == Some("read");
    let histogram = taken.histogram("block.device_time", &["op"], read);
    let rows = taken.rows("block_io", &IO).keep(read);
    let mut device: Vec<i64> =
        rows.iter().map(|row| row.int("dur_ns") - row.maybe("block_queue_ns").unwrap_or(0)).collect();
    let mut whole: Vec<i64> = requests(&taken, &disk, "read").iter().map(|row| row.int("dur_ns")).collect();
    device.sort_unstable();
    whole.sort_unstable();
    for (q, name) in [(0.5, "50.000000"), (0.99, "99.000000")] {
        let (exact, estimate) = (percentile(&device, q) as f64, histogram.percentile(q).unwrap());
        let told = fio["read"]["clat_ns"]["percentile"][name].as_f64().unwrap();
        println!(
            "p{}: {exact} ns by rows, {estimate:.0} by the histogram; {} with the queue, {told} told by fio",
            q * 100.0,
            percentile(&whole, q)
        );
        assert!((estimate - exact).abs() <= exact * WIDTH, "p{}: {estimate} is not {exact}", q * 100.0);
        // fio's own histogram has steps of 1/64.
        assert!(percentile(&whole, q) as f64 <= told * (1.0 + 1.0 / 64.0), "p{}: fio says {told}", q * 100.0);
    }
}

/// An estimate and the exact value are in one bucket, which is as wide as this part of them.
const WIDTH: f64 = 2.0 * ebrec::hist::ERROR;

/// Reads and writes that a disk has completed, and their sectors; flushes; when that was asked: (before, after).
struct Diskstats {
    asked: (i64, i64),
    reads: [i64; 2],
    writes: [i64; 2],
    flushes: i64,
}

impl Diskstats {
    fn of(disk: &str) -> Diskstats {
        let now =
            || i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let before = now();
        let text = std::fs::read_to_string("/proc/diskstats").unwrap();
        let asked = (before, now());
        let line = text.lines().find(|line| line.split_whitespace().nth(2) == Some(disk)).unwrap();
        let number = |at: usize| line.split_whitespace().nth(at).unwrap().parse().unwrap();
        Diskstats { asked, reads: [number(3), number(5)], writes: [number(7), number(9)], flushes: number(18) }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_disk_s_requests_and_sectors_are_those_of_proc_diskstats() {
    let Some(disk) = Disk::find("a_disk_s_requests_and_sectors_are_those_of_proc_diskstats") else { return };
    assert!((0..TRIES).any(|_| as_diskstats_says(&disk)), "requests were missing {TRIES} times");
}

/// Compares a job's time with what /proc/diskstats says of the disk; nothing may be more there than was completed.
fn as_diskstats_says(disk: &Disk) -> bool {
    let running = Recorder::in_memory("-p block:raw").start();
    let begin = Diskstats::of(&disk.name);
    assert!(disk.fio(&format!("--rw=randrw --bs={SIZE} --number_ios={IOS} --fsync=50")).status().unwrap().success());
    let end = Diskstats::of(&disk.name);
    let taken = running.finish();
    let rows = taken.rows("block_io", &IO).named("dev", &disk.name);
    // A request's address is used again: none may inherit the start of one that was there before.
    let start = taken.recording.meta().window.start_real_ns;
    assert!(rows.iter().all(|row| row.int("ts") - row.int("dur_ns") >= start));
    // What was completed while /proc was read may be in its figures or not.
    let between = |op: &str, column: &str| {
        let within = |from, to| rows.named("op", op).keep(|row| (from..=to).contains(&row.int("ts")));
        let sum = |rows: Rows| if column.is_empty() { rows.count() as i64 } else { rows.sum(column) / 512 };
        sum(within(begin.asked.1, end.asked.0))..=sum(within(begin.asked.0, end.asked.1))
    };
    let told = |from: [i64; 2], to: [i64; 2]| [to[0] - from[0], to[1] - from[1]];
    let ([reads, read_sectors], [writes, write_sectors]) =
        (told(begin.reads, end.reads), told(begin.writes, end.writes));
    let flushes = end.flushes - begin.flushes;
    println!("reads {reads}, {:?} recorded; writes {writes}, {:?} recorded", between("read", ""), between("write", ""));
    println!("flushes {flushes}, {:?} recorded", between("flush", ""));
    assert!(*between("read", "").start() <= reads && *between("write", "").start() <= writes);
    // To the kernel a write that only asks for a flush is a write too; no disk ever sees it, but only the flush.
    let flush_only = writes - between("write", "").start();
    (flush_only == 0 || flushes > 0)
        && between("read", "").contains(&reads)
        && between("read", "bytes").contains(&read_sectors)
        && between("write", "bytes").contains(&write_sectors)
        && between("flush", "").contains(&flushes)
}

/// A disk in compressed memory, which takes bios as they come: it has no queue of requests.
struct Zram {
    number: String,
    node: std::path::PathBuf,
    _dir: TempDir,
}

impl Zram {
    /// `None` where the kernel has no such disks.
    fn new() -> Option<Zram> {
        let number = std::fs::read_to_string("/sys/class/zram-control/hot_add").ok()?.trim().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let node = dir.path().join("zram");
        let zram = Zram { number, node, _dir: dir };
        std::fs::write(zram.sysfs("disksize"), "16M").unwrap();
        let dev = std::fs::read_to_string(zram.sysfs("dev")).unwrap();
        let (major, minor) = dev.trim().split_once(':').unwrap();
        let made = Command::new("mknod").arg(&zram.node).args(["b", major, minor]).status().unwrap();
        assert!(made.success());
        Some(zram)
    }

    fn sysfs(&self, file: &str) -> String {
        format!("/sys/block/zram{}/{file}", self.number)
    }

    /// Reads and writes that it has completed, and their sectors.
    fn stat(&self) -> [i64; 4] {
        let text = std::fs::read_to_string(self.sysfs("stat")).unwrap();
        let numbers: Vec<i64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        [numbers[0], numbers[2], numbers[4], numbers[6]]
    }

    fn dd(&self, words: &[&str]) {
        let status = Command::new("dd").args(words).args(["bs=16k", "status=none"]).status().unwrap();
        assert!(status.success(), "dd {words:?}");
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = std::fs::write(self.sysfs("reset"), "1");
        let _ = std::fs::write("/sys/class/zram-control/hot_remove", &self.number);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_disk_without_a_queue_of_requests_has_its_bios_recorded() {
    let test = "a_disk_without_a_queue_of_requests_has_its_bios_recorded";
    let Some(zram) = Zram::new() else { return skip(test, "this kernel has no zram") };
    let node = zram.node.display().to_string();
    let running = Recorder::in_memory("-p block:raw").start();
    let before = zram.stat();
    zram.dd(&["if=/dev/urandom", &format!("of={node}"), "count=200", "oflag=direct"]);
    zram.dd(&[&format!("if={node}"), "of=/dev/null", "count=120", "iflag=direct"]);
    let after = zram.stat();
    let taken = running.finish();
    let told: Vec<i64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    let name = format!("zram{}", zram.number);
    let rows = taken.rows("block_io", &IO).named("dev", &name);
    let (reads, writes) = (rows.named("op", "read"), rows.named("op", "write"));
    let seen = [reads.count() as i64, reads.sum("bytes") / 512, writes.count() as i64, writes.sum("bytes") / 512];
    assert_eq!(seen.to_vec(), told, "{rows:?}");
    assert!(told[2] >= 200 && told[0] >= 120, "{told:?}");
    let of_dd = rows.keep(|row| row.text("comm") == Some("dd") && row.int("ret") == 0 && row.int("dur_ns") > 0);
    assert!(of_dd.count() >= 320, "{rows:?}");
    let sizes = taken.metric("block.size", &["dev", "op"]).named("dev", &name);
    assert_eq!(sizes.sum("sum"), (told[1] + told[3]) * 512);
    assert_eq!(taken.lost_by("block"), 0);
}

/// Some hardened kernels hide tasks from tracing, and with them the completions that come in their time: about one in ten thousand
/// here. The disk's own counters have those.
#[test]
#[ignore = "root: attaches probes"]
fn hidden_ends_of_requests_are_had_from_the_disk_s_counters() {
    let Some(disk) = Disk::find("hidden_ends_of_requests_are_had_from_the_disk_s_counters") else {
        return;
    };
    let running = Recorder::in_memory("-p block:raw").start();
    assert!(disk.fio(&format!("--rw=randread --bs={SIZE} --time_based --runtime=8")).status().unwrap().success());
    let told = disk.log();
    // A hidden end is known when the request's memory is used again: by these, of the last ones.
    assert!(disk.fio(&format!("--rw=randread --bs={SIZE} --number_ios=4000")).status().unwrap().success());
    let taken = running.finish();
    let all = requests(&taken, &disk, "read").named("comm", "fio");
    let first = all.iter().min_by_key(|row| row.int("ts")).unwrap().int("pid");
    let reads = all.with("pid", first);
    let unshown = taken.metric("block.unshown", &["dev", "op"]).named("dev", &disk.name).sum("count");
    println!("{} of {} reads, {unshown} by the disk's counters", reads.count(), told.len());
    // Several hidden tasks in a row can leave an end that lies in no gap of the counters, which is counted as lost; and one whose
    // memory no later request gets is not noticed. Both are few among those that are hidden.
    let (missing, lost) = (told.len() as i64 - reads.count() as i64, taken.lost_by("block"));
    assert!(missing >= lost && missing * 10 <= unshown + 10, "{missing} missing, {lost} lost, {unshown} found");
    let total: i64 = reads.sum("dur_ns");
    let longest = |values: &mut dyn Iterator<Item = i64>| values.max().unwrap();
    assert!(total <= told.iter().sum(), "{total} ns");
    assert!(longest(&mut reads.iter().map(|row| row.int("dur_ns"))) <= longest(&mut told.iter().copied()));
}
