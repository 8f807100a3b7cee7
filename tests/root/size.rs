//! A file that may not be larger than so many bytes, in a storm that would fill it many times over.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::recorder::EBREC;

/// A process that makes system calls as fast as it can.
struct Storm(Child);

impl Storm {
    fn start() -> Storm {
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "of=/dev/null", "bs=1"]).stderr(Stdio::null());
        Storm(dd.spawn().unwrap())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_file_in_a_storm_is_never_larger_than_it_may_be() {
    for kib in [400, 900] {
        let storm = Storm::start();
        let options = format!("-p process,syscall:raw -d 60s --pid {} --max-size {kib}KiB", storm.0.id());
        // On a disk that stalls, rows would be lost for that.
        let taken = Recorder::in_memory(&options).start().finished(0);
        let bytes = taken.recording.path().metadata().unwrap().len();
        println!("{kib} KiB: {bytes} bytes after {} ms", taken.recording.meta().window.actual_ns / 1_000_000);
        println!("{}", taken.stderr);
        assert!(bytes <= kib << 10, "{bytes} bytes of at most {kib} KiB");
        assert!(bytes > kib << 8, "{bytes} bytes of {kib} KiB: the window ended too early");
        assert_eq!(taken.recording.meta().window.ended, "size limit");
        assert!(taken.stderr.contains("ended by size limit"), "{}", taken.stderr);
        assert!(taken.stderr.contains("disk: at most"), "{}", taken.stderr);
        // A call is a row, or one of those that were lost, and in the histogram either way.
        let rows = i64::try_from(taken.recording.rows("syscall")).unwrap();
        let counted = taken.metric("syscall.latency", &[]).sum("count");
        let lost = taken.lost();
        assert_eq!(rows + taken.lost_by("syscall"), counted, "{lost:?}");
        assert!(rows > 0 && lost.keys().all(|what| !what.starts_with("ebrec:")), "{lost:?}");
        let losses = taken.report("summary")["warnings"].to_string();
        assert!(losses.contains("size limit") || taken.lost_by("syscall") == 0, "{losses}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_thinned_file_in_a_storm_has_the_whole_window_and_is_never_larger_than_it_may_be() {
    for kib in [500, 2000] {
        let storm = Storm::start();
        let options = format!("-p process,syscall:raw -d 4s --pid {} --max-size {kib}KiB,thin", storm.0.id());
        let taken = Recorder::new(&options).start().finished(0);
        let bytes = taken.recording.path().metadata().unwrap().len();
        let window = taken.recording.meta().window.clone();
        println!("{}", taken.stderr);
        assert!(bytes <= kib << 10, "{bytes} bytes of at most {kib} KiB");
        assert_eq!(window.ended, "duration");
        assert!(window.actual_ns >= 4_000_000_000, "{window:?}");
        let one_in = i64::try_from(taken.recording.meta().rows_one_in["syscall"]).unwrap();
        let rows = i64::try_from(taken.recording.rows("syscall")).unwrap();
        let (counted, lost) = (taken.metric("syscall.latency", &[]).sum("count"), taken.lost_by("syscall"));
        println!("{bytes} bytes, {rows} rows of {counted} calls, 1 in {one_in}, {lost} lost");
        // Five standard deviations of a binomial distribution.
        let expected = (counted - lost) as f64 / one_in as f64;
        assert!((rows as f64 - expected).abs() <= 5.0 * expected.sqrt() + 1.0, "{rows} rows, {expected} expected");
        assert!(one_in > 1 && rows > 500, "{rows} rows, 1 in {one_in}");
        let warnings = taken.report("summary")["warnings"].to_string();
        assert!(warnings.contains("to hold the size limit, the file has 1 in"), "{warnings}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_limit_below_what_an_empty_recording_takes_is_refused_with_the_least_that_works() {
    let (refused, _) = Recorder::new("-d 100ms --max-size 10KiB").run::<&str>(&[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--max-size '10.0 KiB' is less than an empty recording takes"), "{said}");
    let least = said.split("the least that works here: --max-size ").nth(1).unwrap().trim().to_owned();
    let (output, dir) = Recorder::new(&format!("-d 2s --max-size {least}")).run::<&str>(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = dir.path().join("run.parquet");
    let most: u64 = least.trim_end_matches("KiB").parse().unwrap();
    let bytes = file.metadata().unwrap().len();
    println!("{bytes} bytes of at most {least}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(bytes <= most << 10, "{bytes} bytes of at most {least}");
    let info = Command::new(EBREC).arg("info").arg(&file).output().unwrap();
    assert!(info.status.success(), "{}", String::from_utf8_lossy(&info.stderr));
}
