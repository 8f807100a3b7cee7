//! The probe `dns` against a server of the test's own that answers, late, with errors, or never, and a client that knows
//! what it asked and how long it took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::common::Namespace;
use crate::common::Recorder;

const PORT: u16 = 53;
/// What the server takes for a name that begins with `late`.
const LATE: Duration = Duration::from_millis(150);
/// Longer than the probe waits for an answer, and an interval.
const PATIENCE: Duration = Duration::from_millis(7500);

/// A query as RFC 1035 has it, with an option of EDNS behind the question.
fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.split('.') {
        message.push(label.len().try_into().unwrap());
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
    message
}

/// Answers until it is told to stop: by the first letters of the name.
fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut bytes = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
        let name = bytes[13..length].to_ascii_lowercase();
        if name.starts_with(b"late") {
            std::thread::sleep(LATE);
        } else if name.starts_with(b"never") {
            continue;
        }
        let code = if name.starts_with(b"missing") {
            3
        } else if name.starts_with(b"broken") {
            2
        } else {
            0
        };
        (bytes[2], bytes[3]) = (0x81, 0x80 | code);
        socket.send_to(&bytes[..length], from).unwrap();
    }
}

/// A client, and what it saw: by name, how often it got an answer and how long it waited for those.
struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    asked: u16,
    answers: BTreeMap<String, (i64, i64)>,
}

impl Client {
    fn of(server: SocketAddr) -> Client {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        Client { socket: UdpSocket::bind(any).unwrap(), server, asked: 0, answers: BTreeMap::new() }
    }

    /// Asks as often, for an address of IPv6, and waits for each answer.
    fn ask(&mut self, name: &str, times: u16) {
        self.socket.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        for _ in 0..times {
            self.asked += 1;
            let begun = Instant::now();
            self.socket.send_to(&query(self.asked, name, 28), self.server).unwrap();
            let (length, _) = self.socket.recv_from(&mut [0; 512]).unwrap();
            assert!(length > 12);
            let waited = i64::try_from(begun.elapsed().as_nanos()).unwrap();
            let seen = self.answers.entry(name.to_lowercase()).or_default();
            *seen = (seen.0 + 1, seen.1 + waited);
        }
    }

    /// Asks the same so many times and gets no answer, at last waiting so long.
    fn ask_in_vain(&self, id: u16, name: &str, times: u16, last: Duration) {
        for at in 1..=times {
            self.socket.send_to(&query(id, name, 1), self.server).unwrap();
            let wait = if at == times { last } else { Duration::from_millis(50) };
            self.socket.set_read_timeout(Some(wait)).unwrap();
            assert!(self.socket.recv_from(&mut [0; 512]).is_err(), "an answer");
        }
    }
}

const DNS: [&str; 11] =
    ["pid", "op", "name", "dns_type", "dns_rcode", "dur_ns", "family", "saddr", "sport", "daddr", "comm"];

#[test]
#[ignore = "root: attaches probes"]
fn answers_failures_and_silence_are_what_the_client_saw_over_ipv4_and_ipv6() {
    let namespace = Namespace::new();
    let running = Recorder::new("-p dns:raw").start();
    let stop = AtomicBool::new(false);
    let clients = namespace.within(|| {
        std::thread::scope(|threads| {
            let clients = ["127.0.0.53", "::1"].map(|address| {
                let server = SocketAddr::new(address.parse().unwrap(), PORT);
                let socket = UdpSocket::bind(server).unwrap();
                threads.spawn(|| serve(&{ socket }, &stop));
                Client::of(server)
            });
            let asking = clients.map(|mut client| {
                threads.spawn(move || {
                    client.ask("www.Example.org", 20);
                    client.ask("missing.example.org", 4);
                    client.ask("broken.example.org", 3);
                    client.ask("late.example.org", 2);
                    client.ask_in_vain(900, "never.example.org", 3, Duration::from_millis(50));
                    client.ask_in_vain(901, "never.again.example.org", 1, PATIENCE);
                    client
                })
            });
            let clients = asking.map(|client| client.join().unwrap());
            let listener = TcpListener::bind(("127.0.0.53", PORT)).unwrap();
            drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            stop.store(true, Ordering::Relaxed);
            clients
        })
    });
    let taken = running.finish();
    let pid = i64::from(std::process::id());
    let rows = taken.rows("dns", &DNS).with("pid", pid);
    for client in &clients {
        let address = client.server.ip();
        let own = rows.named("daddr", &address.to_string());
        let own = own.named("family", if address.is_ipv4() { "ipv4" } else { "ipv6" });
        let port = client.socket.local_addr().unwrap().port();
        for (name, (count, waited)) in &client.answers {
            let answers = own.named("op", "answer").named("name", name).with("sport", port.into());
            assert_eq!((answers.count() as i64, answers.named("dns_type", "AAAA").count() as i64), (*count, *count));
            // The client's clock is read outside of both calls.
            assert!(answers.sum("dur_ns") <= *waited, "{name}: {} of {waited}", answers.sum("dur_ns"));
            let code = match name.split('.').next().unwrap() {
                "missing" => "NXDOMAIN",
                "broken" => "SERVFAIL",
                _ => "NOERROR",
            };
            assert_eq!(answers.named("dns_rcode", code).count() as i64, *count, "{name} {code}");
        }
        let late = own.named("op", "answer").named("name", "late.example.org");
        assert!(late.iter().all(|row| row.int("dur_ns") >= LATE.as_nanos() as i64), "{late:?}");
        // Of three times the same, two are known to have no answer when it is asked again; the last after five seconds.
        assert_eq!(own.named("op", "unanswered").named("name", "never.example.org").count(), 3);
        assert_eq!(own.named("op", "unanswered").named("name", "never.again.example.org").count(), 1);
    }
    let metric = |metric: &str, name: &str| {
        taken.metric(metric, &["pid", "name", "dns_rcode"]).with("pid", pid).named("name", name)
    };
    assert_eq!(metric("dns.latency", "www.example.org").sum("count"), 40);
    assert_eq!(metric("dns.failures", "missing.example.org").named("dns_rcode", "NXDOMAIN").sum("count"), 8);
    assert_eq!(metric("dns.failures", "broken.example.org").named("dns_rcode", "SERVFAIL").sum("count"), 6);
    assert_eq!(metric("dns.unanswered", "never.example.org").sum("count"), 6);
    assert_eq!(metric("dns.unanswered", "never.again.example.org").sum("count"), 2);
    assert_eq!(taken.metric("dns.by_tcp", &["pid"]).with("pid", pid).sum("count"), 1);
    let buckets = taken.histogram("dns.latency", &["pid"], |row| row.maybe("pid") == Some(pid));
    assert_eq!(buckets.count(), 2 * (20 + 4 + 3 + 2));
    assert_eq!(taken.lost_by("dns"), 0, "{:?}", taken.lost());
}

#[test]
#[ignore = "root: attaches probes"]
fn by_default_only_slow_and_failed_queries_are_told_one_by_one() {
    let namespace = Namespace::new();
    let running = Recorder::new("-p dns").start();
    let stop = AtomicBool::new(false);
    namespace.within(|| {
        std::thread::scope(|threads| {
            let socket = UdpSocket::bind(("127.0.0.53", PORT)).unwrap();
            let mut client = Client::of(socket.local_addr().unwrap());
            threads.spawn(|| serve(&{ socket }, &stop));
            client.ask("missing.example.org", 2);
            client.ask("late.example.org", 1);
            stop.store(true, Ordering::Relaxed);
        });
    });
    let taken = running.finish();
    let rows = taken.rows("dns", &DNS).with("pid", std::process::id().into());
    assert_eq!(rows.named("dns_rcode", "NXDOMAIN").count(), 2);
    assert_eq!(rows.named("name", "late.example.org").one().text("dns_rcode"), Some("NOERROR"));
    assert_eq!(rows.count(), 3);
}
