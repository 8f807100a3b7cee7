//! The probe `dns` against a server of the test's own that answers, late, with errors, or never, and a client that knows
//! what it asked and how long it took.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
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

/// Makes the answer of a query: its code is by the first letters of the name. `None`: there is none.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name = query[13..].to_ascii_lowercase();
    if name.starts_with(b"late") {
        std::thread::sleep(LATE);
    } else if name.starts_with(b"never") {
        return None;
    }
    let mut answer = query.to_vec();
    (answer[2], answer[3]) = (0x81, 0x80 | code_of(&name));
    Some(answer)
}

fn code_of(name: &[u8]) -> u8 {
    match name {
        name if name.starts_with(b"missing") => 3,
        name if name.starts_with(b"broken") => 2,
        _ => 0,
    }
}

/// Answers until it is told to stop.
fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut bytes = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
        if let Some(answer) = answer(&bytes[..length]) {
            socket.send_to(&answer, from).unwrap();
        }
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

/// A message behind its length, as RFC 1035, 4.2.2 has it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// Reads one message, its length first.
fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Answers on one connection after the other, each until its client closes it. A name that begins with `long` has an answer
/// of 40,000 bytes.
fn serve_streams(listener: &TcpListener, connections: usize) {
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().unwrap();
        while let Some(query) = receive(&mut stream) {
            let Some(mut answer) = answer(&query) else { continue };
            if query[13..].starts_with(b"long") {
                answer.resize(40_000, 7);
            }
            stream.write_all(&framed(&answer)).unwrap();
        }
    }
}

/// How a client writes a query, and reads its answer.
#[derive(Clone, Copy)]
enum Habit {
    /// Both in one call each.
    Whole,
    /// The length, then the message.
    LengthFirst,
    /// The length and the message as two vectors, as the C library does.
    Vectors,
    /// One byte in each call.
    Bytes,
}

fn ask_by_stream(stream: &mut TcpStream, habit: Habit, message: &[u8]) {
    let (length, whole) = (u16::try_from(message.len()).unwrap().to_be_bytes(), framed(message));
    match habit {
        Habit::Whole => stream.write_all(&whole).unwrap(),
        Habit::LengthFirst => {
            stream.write_all(&length).unwrap();
            stream.write_all(message).unwrap();
        }
        Habit::Vectors => {
            let written = stream.write_vectored(&[IoSlice::new(&length), IoSlice::new(message)]).unwrap();
            assert_eq!(written, whole.len());
        }
        Habit::Bytes => whole.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap()),
    }
    match habit {
        Habit::Whole | Habit::Vectors => {
            let (mut bytes, mut have) = (vec![0; 65_537], 0);
            while have < 2 || have < 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) {
                have += stream.read(&mut bytes[have..]).unwrap();
            }
        }
        Habit::LengthFirst => _ = receive(stream).unwrap(),
        Habit::Bytes => {
            let mut one = |_| {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                byte[0]
            };
            let length = [0, 1].map(&mut one);
            (0..u16::from_be_bytes(length)).for_each(|_| _ = one(0));
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn queries_by_tcp_are_what_the_client_asked_however_it_writes_and_reads() {
    const ROUNDS: usize = 5;
    let namespace = Namespace::new();
    let running = Recorder::new("-p dns:raw").start();
    let waited = namespace.within(|| {
        let listener = TcpListener::bind(("127.0.0.53", PORT)).unwrap();
        let server = listener.local_addr().unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| serve_streams(&listener, 6));
            let mut waited = BTreeMap::<String, i64>::new();
            for (at, habit) in [Habit::Whole, Habit::LengthFirst, Habit::Vectors, Habit::Bytes].into_iter().enumerate()
            {
                let mut stream = TcpStream::connect(server).unwrap();
                stream.set_nodelay(true).unwrap();
                for (turn, name) in ["www", "missing", "long", "late"].iter().cycle().take(4 * ROUNDS).enumerate() {
                    let name = format!("{name}.w{at}.example.org");
                    let begun = Instant::now();
                    ask_by_stream(&mut stream, habit, &query(turn as u16, &name, 28));
                    *waited.entry(name).or_default() += i64::try_from(begun.elapsed().as_nanos()).unwrap();
                }
            }
            // Three in one call, answered one after the other.
            let mut stream = TcpStream::connect(server).unwrap();
            let three: Vec<u8> = (0..3).flat_map(|id| framed(&query(id, "three.example.org", 1))).collect();
            stream.write_all(&three).unwrap();
            (0..3).for_each(|_| _ = receive(&mut stream).unwrap());
            drop(stream);
            // What is not DNS is not made out to be.
            let mut stream = TcpStream::connect(server).unwrap();
            stream.write_all(&framed(&[0xff; 40])).unwrap();
            assert!(receive(&mut stream).is_some());
            waited
        })
    });
    let taken = running.finish();
    let pid = i64::from(std::process::id());
    let rows = taken.rows("dns", &[&DNS[..], &["dns_transport"]].concat()).with("pid", pid);
    let answers = rows.named("op", "answer").named("dns_transport", "tcp").named("daddr", "127.0.0.53");
    assert_eq!(waited.len(), 16);
    for (name, waited) in &waited {
        let own = answers.named("name", name);
        let code = if name.starts_with("missing") { "NXDOMAIN" } else { "NOERROR" };
        assert_eq!(
            (own.count(), own.named("dns_rcode", code).named("dns_type", "AAAA").count()),
            (ROUNDS, ROUNDS),
            "{name}"
        );
        assert!(own.sum("dur_ns") <= *waited, "{name}: {} of {waited}", own.sum("dur_ns"));
        if name.starts_with("late") {
            assert!(own.iter().all(|row| row.int("dur_ns") >= LATE.as_nanos() as i64 * 9 / 10), "{own:?}");
        }
    }
    assert_eq!(answers.named("name", "three.example.org").named("dns_type", "A").count(), 3);
    assert_eq!(answers.count(), 16 * ROUNDS + 3);
    let metric = |metric: &str| taken.metric(metric, &["pid"]).with("pid", pid).sum("count");
    assert_eq!(metric("dns.latency"), 16 * ROUNDS as i64 + 3);
    assert_eq!(metric("dns.failures"), 4 * ROUNDS as i64);
    // What was asked on the last connection is not a query.
    assert_eq!((metric("dns.by_tcp"), metric("dns.unread"), metric("dns.unanswered")), (6, 1, 0));
    assert_eq!(taken.lost_by("dns"), 0, "{:?}", taken.lost());
}
