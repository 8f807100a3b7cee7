//! The probe `http` against nginx's access log, Python's and node's servers, curl, and clients that count.

mod client;
mod moved;
mod servers;
mod times;
mod tls;
mod transports;

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::common::Recorder;
use crate::common::Rows;
use crate::common::Taken;
use crate::common::find;
use crate::common::skip;
use client::Client;
use servers::NODE;
use servers::Nginx;
use servers::PYTHON;
use servers::Script;

const KEY: [&str; 6] = ["pid", "op", "http_status", "http_side", "http_tls", "count"];

/// Requests in the histograms, by status: of one process, side, and with TLS or without.
fn counted(taken: &Taken, pid: Option<i64>, side: &str, tls: &str) -> BTreeMap<i64, i64> {
    let mut counts = BTreeMap::new();
    for row in taken.metric("http.latency", &KEY).named("http_side", side).named("http_tls", tls).iter() {
        if pid.is_none_or(|pid| row.int("pid") == pid) {
            *counts.entry(row.int("http_status")).or_default() += row.int("count");
        }
    }
    counts
}

fn unparsed(taken: &Taken, pid: i64) -> BTreeMap<String, i64> {
    let rows = taken.metric("http.unparsed", &["pid", "cause"]).with("pid", pid);
    rows.iter().map(|row| (row.text("cause").unwrap().to_owned(), row.int("count"))).collect()
}

fn own_pid() -> i64 {
    std::process::id().into()
}

/// Runs a program that has to succeed, without the loader's paths of the test.
fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(find(program).unwrap());
    let status = command.args(arguments).env_remove("LD_LIBRARY_PATH").stdout(Stdio::null()).status();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn nginx_and_its_clients_have_as_many_requests_of_each_status_as_its_access_log() {
    let test = "nginx_and_its_clients_have_as_many_requests_of_each_status_as_its_access_log";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let running = Recorder::new("-p http:raw").start();
    let port = nginx.port;
    let asking: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(port);
                for number in 0..500 {
                    let (path, expected) = match number % 50 {
                        7 => ("/nowhere", 404),
                        23 => ("/fail", 503),
                        _ => ("/small", 200),
                    };
                    assert_eq!(client.ask("GET", path, ""), expected);
                }
            })
        })
        .collect();
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    let logged = nginx.logged(1000);
    let taken = running.finish();
    assert_eq!(logged, BTreeMap::from([(200, 960), (404, 20), (503, 20)]));
    let left_out = taken.left_out("http");
    if left_out > 0 {
        // Then each is in the histograms, or lost, or could not be told for what was lost.
        for (pid, side) in [(nginx.worker(), "server"), (own_pid(), "client")] {
            let seen: i64 = counted(&taken, Some(pid), side, "no").values().sum();
            let untold: i64 = unparsed(&taken, pid).values().sum();
            println!("{side}: {seen} seen, {untold} untold, {left_out} lost");
            assert!(seen <= 1000 && seen + untold + left_out >= 1000, "{side}: {seen}, {untold}, {left_out}");
            assert!(seen > 900, "{side}: {seen} of 1,000 seen, {left_out} lost");
        }
        return;
    }
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "no"), logged);
    assert_eq!(counted(&taken, Some(own_pid()), "client", "no"), logged);
    let streamed = taken.rows("http", &["pid", "http_side", "http_path", "http_status", "dport", "sport"]);
    let served = streamed.with("pid", nginx.worker());
    assert_eq!(served.count(), 1000);
    assert_eq!(served.named("http_path", "/nowhere").with("http_status", 404).count(), 20);
    assert_eq!(served.with("sport", port.into()).count(), 1000);
    assert_eq!(streamed.with("pid", own_pid()).with("dport", port.into()).count(), 1000);
    assert_eq!(unparsed(&taken, nginx.worker()), BTreeMap::new());
    assert_eq!(taken.lost_by("http"), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn messages_are_told_apart_however_they_are_framed_and_cut() {
    let test = "messages_are_told_apart_however_they_are_framed_and_cut";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let running = Recorder::new("-p http").start();
    let mut client = Client::connect(nginx.port);
    let mut asked = 0;
    // Pipelined: twelve in one call, and more bytes than nginx reads at a time.
    for _ in 0..5 {
        let one = "GET /text.txt HTTP/1.1\r\nHost: test\r\nUser-Agent: a-client-with-a-name-of-some-length\r\n\r\n";
        client.send(one.repeat(12).as_bytes());
        (0..12).for_each(|_| assert_eq!(client.answer(false), 200));
        asked += 12;
    }
    // A request in calls of one byte each.
    for byte in b"GET /fail HTTP/1.1\r\nHost: test\r\n\r\n" {
        client.send(&[*byte]);
    }
    assert_eq!(client.answer(false), 503);
    // Large, chunked and without a body; bodies that look like requests.
    assert_eq!(client.ask("GET", "/big", ""), 200);
    assert_eq!(client.ask("GET", "/text.txt", "Accept-Encoding: gzip\r\n"), 200);
    assert_eq!(client.ask("HEAD", "/big", ""), 200);
    assert_eq!(client.ask("GET", "/big", "If-None-Match: *\r\n"), 304);
    let lure = "GET /small HTTP/1.1\r\nHost: test\r\n\r\n".repeat(200);
    let long = format!("POST /small HTTP/1.1\r\nHost: test\r\nX-Long: {}\r\n", "x".repeat(700));
    client.send(format!("{long}content-LENGTH:  {}\r\n\r\n{lure}", lure.len()).as_bytes());
    assert_eq!(client.answer(false), 200);
    client.send(format!("{long}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{lure}\r\n", lure.len()).as_bytes());
    client.send(format!("{:X};part=2\r\n{lure}\r\n0\r\n\r\n", lure.len()).as_bytes());
    assert_eq!(client.answer(false), 200);
    assert_eq!(client.ask("GET", "/small", ""), 200);
    asked += 8;
    let logged = nginx.logged(asked);
    let taken = running.finish();
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "no"), logged);
    assert_eq!(counted(&taken, Some(own_pid()), "client", "no"), logged);
    let posts = taken.metric("http.latency", &KEY).with("pid", nginx.worker()).named("op", "POST");
    assert_eq!(posts.sum("count"), 2);
    assert_eq!((unparsed(&taken, nginx.worker()), unparsed(&taken, own_pid())), Default::default());
    assert_eq!(taken.lost_by("http"), 0);
}

/// nginx logs every method; the metric has the names from the kernel's map, the rows have them behind their paths.
#[test]
#[ignore = "root: attaches probes"]
fn methods_of_any_name_have_it_in_metrics_and_rows() {
    let test = "methods_of_any_name_have_it_in_metrics_and_rows";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let methods = ["GET", "PROPFIND", "PURGE", "GET", "VERSION-CONTROL", "M-SEARCH", "GET"];
    let running = Recorder::new("-p http:raw").start();
    let mut client = Client::connect(nginx.port);
    for method in methods {
        assert_eq!(client.ask(method, "/small", ""), 200, "{method}");
    }
    let logged = nginx.logged(methods.len());
    let taken = running.finish();
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "no"), logged);
    assert_eq!(unparsed(&taken, nginx.worker()), BTreeMap::new());
    for method in methods {
        let asked = methods.iter().filter(|one| **one == method).count();
        let of = |rows: Rows| rows.with("pid", nginx.worker()).named("op", method);
        assert_eq!(of(taken.metric("http.latency", &KEY)).sum("count"), asked as i64, "{method}");
        let rows = of(taken.rows("http", &["pid", "op", "http_path"]));
        assert_eq!(rows.named("http_path", "/small").count(), asked, "{method}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn the_route_that_sleeps_is_the_first_that_the_report_names() {
    let test = "the_route_that_sleeps_is_the_first_that_the_report_names";
    let (Some(python), Some(_)) = (find("python3"), find("curl")) else {
        return skip(test, "python3 or curl is not installed");
    };
    let server = Script::start(python, PYTHON);
    let running = Recorder::new("-p http").start();
    let base = format!("http://127.0.0.1:{}", server.port);
    for _ in 0..3 {
        run("curl", &["-s", &format!("{base}/served.txt"), &format!("{base}/nothing")]);
        run("curl", &["-s", &format!("{base}/slow/report?card=never-kept")]);
    }
    let taken = running.finish();
    assert_eq!(counted(&taken, Some(server.pid()), "server", "no"), BTreeMap::from([(200, 6), (404, 3)]));
    assert_eq!(counted(&taken, None, "client", "no"), BTreeMap::from([(200, 6), (404, 3)]));
    let file = taken.recording.path();
    let report =
        Command::new(crate::common::recorder::EBREC).args(["report", "http", "--format", "json"]).arg(file).output();
    let report = String::from_utf8(report.unwrap().stdout).unwrap();
    let kept = std::fs::read(file).unwrap().windows(10).any(|bytes| bytes == b"never-kept");
    assert!(!report.contains("never-kept") && !kept);
    let slow = taken.rows("http", &["dur_ns", "http_path", "http_side"]);
    assert_eq!(slow.named("http_path", "/slow/report").keep(|row| row.int("dur_ns") >= 200_000_000).count(), 6);
    let first = report.find("\"path\": \"").map(|at| &report[at + 9..at + 21]);
    assert_eq!(first, Some("/slow/report"), "{report}");
    // The summary, with nothing asked for, begins with it, and with the server, not the client that waited.
    let summary =
        Command::new(crate::common::recorder::EBREC).arg("report").arg(file).env("COLUMNS", "200").output().unwrap();
    let summary = String::from_utf8(summary.stdout).unwrap();
    let named = summary.lines().find(|line| line.contains("GET /")).unwrap();
    assert!(named.contains(&format!("slow request  GET /slow/report of python3 ({})", server.pid())), "{summary}");
    assert!(named.contains("3 requests of status 200 took 2"), "{summary}");
}

/// The server is left out, so that the findings name its clients: each request is another process.
#[test]
#[ignore = "root: attaches probes"]
fn a_loop_of_short_lived_clients_is_one_line_of_the_summary() {
    let test = "a_loop_of_short_lived_clients_is_one_line_of_the_summary";
    let (Some(python), Some(_)) = (find("python3"), find("curl")) else {
        return skip(test, "python3 or curl is not installed");
    };
    let server = Script::start(python, PYTHON);
    let running = Recorder::new("-p http --comm curl").start();
    let url = format!("http://127.0.0.1:{}/slow/report", server.port);
    (0..20).for_each(|_| run("curl", &["-s", &url]));
    let taken = running.finish();
    assert_eq!(counted(&taken, None, "client", "no"), BTreeMap::from([(200, 20)]));
    let mut report = Command::new(crate::common::recorder::EBREC);
    report.arg("report").arg(taken.recording.path());
    let summary = String::from_utf8(report.output().unwrap().stdout).unwrap();
    let words = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "slow request GET /slow/report asked by curl (20 processes): 20 requests of status 200 took 2";
    assert!(
        words.contains(line) && words.contains("the slowest; 100.0% of the time of their 20 requests."),
        "{summary}"
    );
    assert_eq!(words.matches("slow request").count(), 1, "{summary}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_connection_that_ends_without_an_answer_is_a_failure_of_both_sides() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = Recorder::new("-p http").start();
    let serving = std::thread::spawn(move || {
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = [0; 1000];
            assert!(stream.read(&mut text).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET /gone HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    serving.join().unwrap();
    let taken = running.finish();
    let failed = taken.rows("http_unanswered", &["pid", "http_side", "http_path", "http_status"]);
    let failed = failed.with("pid", own_pid()).named("http_path", "/gone");
    for side in ["server", "client"] {
        let own = failed.named("http_side", side);
        assert_eq!((own.count(), own.with("http_status", 200).count()), (2, 1), "{side}: {own:?}");
    }
    let counted = taken.metric("http.unanswered", &["pid"]).with("pid", own_pid());
    assert_eq!(counted.sum("count"), 4);
}

#[test]
#[ignore = "root: attaches probes"]
fn what_is_no_http_1_is_counted_by_cause_and_not_guessed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = Recorder::new("-p http:raw").start();
    let serving = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = [0; 1000];
            while stream.read(&mut text).unwrap() > 0 {
                stream.write_all(b"binary\0answer, of some protocol\n").unwrap();
            }
        }
    });
    let says = |words: &[&[u8]]| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for word in words {
            stream.write_all(word).unwrap();
            assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
        }
    };
    says(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /in-a-frame HTTP/1.1\r\n\r\n"]);
    says(&[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello of this test's own"]);
    says(&[b"OPTIONS rtsp://host RTSP/1.0\r\n\r\n", b"GET a key\r\n"]);
    serving.join().unwrap();
    let taken = running.finish();
    // Both ends are this process.
    let expected = [("HTTP/2", 2), ("TLS not by a known libssl", 2)].map(|(cause, count)| (cause.to_owned(), count));
    assert_eq!(unparsed(&taken, own_pid()), BTreeMap::from(expected));
    assert_eq!(taken.metric("http.latency", &["pid"]).with("pid", own_pid()).count(), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_node_server_is_seen_as_its_client_sees_it() {
    let test = "a_node_server_is_seen_as_its_client_sees_it";
    let Some(node) = find("node") else { return skip(test, "node is not installed") };
    let server = Script::start(node, NODE);
    let running = Recorder::new("-p http").start();
    let mut client = Client::connect(server.port);
    for _ in 0..100 {
        assert_eq!(client.ask("GET", "/hello", ""), 200);
        assert_eq!(client.ask("GET", "/chunks", ""), 200);
    }
    assert_eq!(client.ask("DELETE", "/teapot", ""), 418);
    let taken = running.finish();
    let asked = BTreeMap::from([(200, 200), (418, 1)]);
    assert_eq!(counted(&taken, Some(server.pid()), "server", "no"), asked);
    assert_eq!(counted(&taken, Some(own_pid()), "client", "no"), asked);
    assert_eq!(unparsed(&taken, server.pid()), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn requests_are_kept_by_route_when_that_is_asked_for() {
    let test = "requests_are_kept_by_route_when_that_is_asked_for";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let running = Recorder::new("-p http:hist:route=on").start();
    let mut client = Client::connect(nginx.port);
    for number in 0..30 {
        assert_eq!(client.ask("GET", &format!("/users/{number}/orders?page={number}"), ""), 404);
        assert_eq!(client.ask("GET", &format!("/o/550e8400-e29b-41d4-a716-4466554400{number:02}"), ""), 404);
    }
    (0..7).for_each(|_| assert_eq!(client.ask("GET", "/small", ""), 200));
    (0..5).for_each(|_| assert_eq!(client.ask("DELETE", "/users/new", ""), 405));
    assert_eq!(client.ask("GET", &format!("/long/{}", "x".repeat(200)), ""), 404);
    nginx.logged(73);
    let taken = running.finish();
    let by = taken.metric("http.latency", &["pid", "http_side", "http_route", "http_status", "count"]);
    for (pid, side) in [(nginx.worker(), "server"), (own_pid(), "client")] {
        let own = by.with("pid", pid).named("http_side", side);
        let count = |route: &str| own.named("http_route", route).sum("count");
        let counts = ["/users/{id}/orders", "/o/{id}", "/small", "/users/new", "/long/…"].map(count);
        assert_eq!(counts, [30, 30, 7, 5, 1], "{side}: {own:?}");
        assert_eq!(own.sum("count"), 73);
    }
    assert_eq!(taken.lost_by("http"), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn connections_of_quic_are_counted_at_both_ends() {
    let test = "connections_of_quic_are_counted_at_both_ends";
    let Ok(server) = UdpSocket::bind("127.0.0.1:443") else { return skip(test, "UDP port 443 is in use") };
    for probe in moved::BOTH {
        let running = Recorder::new(&format!("-p {probe}")).start();
        // RFC 9000, 17.2.2: an Initial packet, of version 1, with an empty connection id of its source.
        let initial = [0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x40, 0x20];
        let [sends, connects, speaks_otherwise] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        connects.connect("127.0.0.1:443").unwrap();
        for _ in 0..3 {
            sends.send_to(&initial, "127.0.0.1:443").unwrap();
            connects.send(&initial).unwrap();
            speaks_otherwise.send_to(b"\xc3 words that are no QUIC", "127.0.0.1:443").unwrap();
        }
        for _ in 0..9 {
            let mut packet = [0; 100];
            let (bytes, from) = server.recv_from(&mut packet).unwrap();
            server.send_to(&packet[..bytes], from).unwrap();
        }
        let taken = running.finish();
        // Two connections, each at both ends.
        assert_eq!(unparsed(&taken, own_pid()), BTreeMap::from([("QUIC".to_owned(), 4)]), "{probe}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_status_that_only_raw_mode_streams_ends_the_window() {
    let test = "a_status_that_only_raw_mode_streams_ends_the_window";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let running = Recorder::new("-p http").word("--until").word("http.status >= 404").start();
    let mut client = Client::connect(nginx.port);
    for _ in 0..20 {
        assert_eq!(client.ask("GET", "/small", ""), 200);
    }
    assert_eq!(client.ask("GET", "/nowhere", ""), 404);
    let fired = crate::trigger::fired(&running.finished(0));
    assert_eq!(fired.value, Some(404));
}
