//! Times: nginx's own, those of clients with a stopwatch, and those of a server that sleeps as long as it is told.

use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use super::client::Client;
use super::counted;
use super::own_pid;
use super::servers::Nginx;
use super::servers::PYTHON;
use super::servers::Script;
use crate::common::Recorder;
use crate::common::find;
use crate::common::skip;

#[test]
#[ignore = "root: attaches probes"]
fn times_agree_with_the_request_time_of_nginx() {
    let test = "times_agree_with_the_request_time_of_nginx";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let running = Recorder::new("-p http").start();
    let mut client = Client::connect(nginx.port);
    for number in 0..40 {
        // Every tenth takes half a second.
        client.ask("GET", if number % 10 == 0 { "/limited" } else { "/small" }, "");
    }
    nginx.logged(40);
    let taken = running.finish();
    let mut theirs = nginx.times();
    theirs.sort_by(f64::total_cmp);
    let ours = |pid: i64| taken.histogram("http.latency", &["pid"], move |row| row.int("pid") == pid);
    for (whose, ours) in [("server", ours(nginx.worker())), ("client", ours(own_pid()))] {
        assert_eq!(ours.count(), 40, "{whose}");
        for q in [0.5, 0.99] {
            let theirs = theirs[((40.0 * q) as usize).min(39)];
            let ours = ours.percentile(q).unwrap() / 1e6;
            // The log has milliseconds, of a clock that nginx reads once for each round of its loop.
            assert!((ours - theirs).abs() <= 25.0 + theirs * 0.1, "{whose} p{q}: {ours} ms, the log has {theirs}");
        }
    }
    assert!(theirs[39] > 100.0, "nginx did not slow down: {theirs:?}");
}

/// A bucket's middle is as near as this to all that is in it.
const BUCKET: f64 = 0.032;

#[test]
#[ignore = "root: attaches probes"]
fn times_lie_between_what_the_server_slept_and_what_the_client_waited() {
    let test = "times_lie_between_what_the_server_slept_and_what_the_client_waited";
    let Some(python) = find("python3") else { return skip(test, "python3 is not installed") };
    let server = Script::start(python, PYTHON);
    let running = Recorder::new("-p http").start();
    // One in twenty takes 60 ms, so the 99th of a hundred is in their middle. A sleep is never shorter than it was to be, and
    // the stopwatch runs from before the call that asks to after the one that has the answer: the truth is in between.
    let waited = |number: u32| {
        let mut client = Client::connect(server.port);
        let asked = Instant::now();
        assert_eq!(client.ask("GET", if number % 20 == 7 { "/sleeps/60" } else { "/sleeps/5" }, ""), 200);
        asked.elapsed()
    };
    let mut waited: Vec<Duration> = (0..200).map(waited).collect();
    let taken = running.finish();
    waited.sort();
    for (pid, side) in [(server.pid(), "server"), (own_pid(), "client")] {
        let ours = taken.histogram("http.latency", &["pid"], move |row| row.int("pid") == pid);
        assert_eq!(ours.count(), 200, "{side}");
        for (q, slept) in [(0.5, 5.0), (0.99, 60.0)] {
            let ours = ours.percentile(q).unwrap() / 1e6;
            let waited = waited[(200.0 * q) as usize].as_secs_f64() * 1e3;
            let range = slept * (1.0 - BUCKET)..=waited * (1.0 + BUCKET);
            assert!(range.contains(&ours), "{side} p{q}: {ours} ms, which is not in {range:?}");
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn under_wrk_every_request_of_the_access_log_is_in_the_recording() {
    let test = "under_wrk_every_request_of_the_access_log_is_in_the_recording";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let Some(wrk) = find("wrk") else { return skip(test, "wrk is not installed") };
    let running = Recorder::new("-p http").start();
    let url = format!("http://127.0.0.1:{}/small", nginx.port);
    let output = Command::new(wrk)
        .args(["-t1", "-c8", "-d2s", "--latency", &url])
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.contains(" requests in ")).unwrap();
    let asked: i64 = line.trim().split(' ').next().unwrap().parse().unwrap();
    // Those under way when wrk stops are nginx's, not its own.
    let logged = nginx.logged(usize::try_from(asked).unwrap());
    let taken = running.finish();
    let served = counted(&taken, Some(nginx.worker()), "server", "no");
    assert!(asked > 100 && (asked..=asked + 8).contains(&served[&200]), "{served:?} {said}");
    assert_eq!(served[&200], logged[&200]);
    assert_eq!(taken.lost_by("http"), 0);
    // wrk's clock runs from before the call that writes until after the one that reads, in a loop with seven others.
    let asked = taken.histogram("http.latency", &["comm", "http_side"], |row| {
        row.text("comm") == Some("wrk") && row.text("http_side") == Some("client")
    });
    for (q, words) in [(0.5, "50%"), (0.99, "99%")] {
        let theirs =
            said.lines().find_map(|line| line.trim().strip_prefix(words)).map(|time| milliseconds(time.trim()));
        let (theirs, ours) = (theirs.unwrap(), asked.percentile(q).unwrap() / 1e6);
        assert!(ours <= theirs * 1.25 + 0.2, "{words}: {ours} ms, {said}");
        // Beyond the median wrk adds what requests would have taken that it did not make while it waited.
        assert!(q > 0.5 || ours >= theirs * 0.4 - 0.2, "{words}: {ours} ms, {said}");
    }
}

/// `97.00us`, `1.20ms`.
fn milliseconds(time: &str) -> f64 {
    let digits = time.trim_end_matches(char::is_alphabetic);
    let factor = match &time[digits.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        unit => panic!("wrk has a unit '{unit}'"),
    };
    digits.parse::<f64>().unwrap() * factor
}
