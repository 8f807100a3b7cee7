//! View `tcp`: connections by process and peer, what failed, the slowest connects, retransmits over time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Timeline;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::bytes;
use crate::report::table::cells::errno;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::time;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
use crate::report::table::few::Few;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::units::Unit;

const METRICS: [&str; 10] = [
    metrics::TCP_CONNECT,
    metrics::TCP_ACCEPTED,
    metrics::TCP_LIFETIME,
    metrics::TCP_RTT,
    metrics::TCP_SENT,
    metrics::TCP_RECEIVED,
    metrics::TCP_RETRANSMITS,
    metrics::TCP_RESETS_SENT,
    metrics::TCP_RESETS_RECEIVED,
    metrics::TCP_FAILURES,
];

/// Lines of the picture of retransmits; the rest is one line.
const LINES: usize = 8;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("tcp", "TCP");
    note_absent_probe(&mut document, sources, "tcp");
    let shown = plan.rows_shown(20);
    let mut peers =
        Ranking::new(sources, "peers", "By process and peer", peer_columns()).largest_first("bytes").top(shown);
    let mut failures =
        Ranking::new(sources, "failures", "Connects that failed", failure_columns()).largest_first("count").top(shown);
    let mut connects = Ranking::new(sources, "connects", "Slowest connects", connect_columns())
        .largest_first("dur_ns")
        .top(plan.events_shown(10));
    let mut open = Ranking::new(sources, "open", "Still open at the end", open_columns())
        .largest_first("bytes")
        .top(plan.events_shown(10));
    let mut plot = Timeline {
        name: "retransmits".into(),
        title: "Resent segments, by peer".into(),
        unit: Unit::Count,
        series: Vec::new(),
    };
    for source in sources {
        let processes = ProcessTable::of(source)?;
        by_peer(source, &processes, &mut peers)?;
        by_failure(source, &processes, &mut failures)?;
        connections(source, &processes, &mut connects, &mut open)?;
        let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
        plot.series.extend(retransmits(source, &host)?);
    }
    document.push(peers.table()?);
    for table in [failures.table()?, connects.table()?, open.table()?] {
        if !table.is_empty() || plan.format.is_for_programs() {
            document.push(table);
        }
    }
    if !plot.series.is_empty() {
        document.push(plot);
    }
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::TCP_CONNECT, "Connecting", "comm")?,
            times::plot(sources, metrics::TCP_RTT, "Round-trip time", "comm")?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

/// What the summary says of a recording's network: peers to which most was sent again, and connects that failed.
pub(super) fn lines(source: &Source) -> Result<Vec<(String, String)>> {
    let tally = Tally::totals_of(source, &["daddr", "dport", "sport", "cause"], |name| {
        name == metrics::TCP_RETRANSMITS || name == metrics::TCP_FAILURES
    })?;
    let (mut worst, mut failed) = (Few::new(3), Few::new(3));
    tally.groups(metrics::TCP_RETRANSMITS, |dims, segments| {
        worst.add(sum(segments), || format!("{} segments to {}", sum(segments), peer(dims)));
    })?;
    tally.groups(metrics::TCP_FAILURES, |dims, failures| {
        let cause = dims.get(3).map_or_else(|| "failed".to_owned(), Dim::word);
        failed.add(count(failures), || format!("{} to {} {cause}", count(failures), peer(dims)));
    })?;
    let mut lines = Vec::new();
    for (title, found) in [("sent again", worst), ("failed connects", failed)] {
        let (words, more) = found.words();
        if !words.is_empty() {
            lines.push((title.to_owned(), format!("{}{more}", words.join(", "))));
        }
    }
    Ok(lines)
}

/// `10.0.0.1:80`, out of the dimensions address, remote port, own port.
fn peer(dims: &[Dim]) -> String {
    let [address, remote, own, ..] = dims else { return String::new() };
    let address = address.word();
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    match (remote, own) {
        (Dim::Int(port), _) => format!("{host}:{port}"),
        (_, Dim::Int(port)) => format!("{host} at local port {port}"),
        _ => host,
    }
}

/// What the connections between a process and a peer come to.
#[derive(Default)]
struct Peer {
    owner: Owner,
    side: Dim,
    address: Dim,
    remote_port: Dim,
    own_port: Dim,
    connects: Histogram,
    lifetimes: Histogram,
    round_trips: Histogram,
    accepted: u64,
    sent_bytes: u64,
    received_bytes: u64,
    retransmits: u64,
    resets_sent: u64,
    resets_received: u64,
    failed: u64,
}

impl Peer {
    fn add(&mut self, by: &ByMetric<'_>) {
        for (times, metric) in [
            (&mut self.connects, metrics::TCP_CONNECT),
            (&mut self.lifetimes, metrics::TCP_LIFETIME),
            (&mut self.round_trips, metrics::TCP_RTT),
        ] {
            by.get(metric).into_iter().for_each(|own| times.merge(own));
        }
        for (total, metric, of) in [
            (&mut self.accepted, metrics::TCP_ACCEPTED, count as fn(&Histogram) -> u64),
            (&mut self.sent_bytes, metrics::TCP_SENT, sum),
            (&mut self.received_bytes, metrics::TCP_RECEIVED, sum),
            (&mut self.retransmits, metrics::TCP_RETRANSMITS, sum),
            (&mut self.resets_sent, metrics::TCP_RESETS_SENT, count),
            (&mut self.resets_received, metrics::TCP_RESETS_RECEIVED, count),
            (&mut self.failed, metrics::TCP_FAILURES, count),
        ] {
            *total = total.saturating_add(by.get(metric).map_or(0, of));
        }
    }

    fn port(&self) -> Value {
        if self.remote_port == Dim::None { self.own_port.value() } else { self.remote_port.value() }
    }
}

fn peer_columns() -> Columns<Peer> {
    let median = |times: &Histogram| percentile(times, Unit::Nanoseconds, 0.5);
    Columns::<Peer>::new()
        .comm(|peer| &peer.owner)
        .pid(|peer| &peer.owner)
        .help("Who connected; or who closed the connection, had it open, or listens.")
        .column("side", "side", |peer| peer.side.value())
        .help("Which side connected: 'connect' is this process, 'accept' the peer.")
        .column("peer", "peer", |peer| peer.address.value())
        .help("The remote address.")
        .column("port", "port", Peer::port)
        .help("Port of the service: the peer's, or with 'accept' the local one.")
        .column("connections", "opened", |peer| count(&peer.connects).saturating_add(peer.accepted))
        .help("Connections that were established.")
        .column("failed", "failed", |peer| peer.failed)
        .help("Connects that failed.")
        .column("bytes", "moved", |peer| bytes(peer.sent_bytes.saturating_add(peer.received_bytes)))
        .help("Payload in both directions.")
        .column("retransmits", "resent", |peer| peer.retransmits)
        .help("Segments sent again.")
        .column("resets", "resets", |peer| peer.resets_sent.saturating_add(peer.resets_received))
        .help("Resets, sent and received.")
        .column("connect_p50_ns", "connect p50", move |peer| median(&peer.connects))
        .help("Median time until a connection was established.")
        .column("rtt_p50_ns", "RTT p50", move |peer| median(&peer.round_trips))
        .help("Median of the smoothed round-trip times.")
        .column("connect_max_ns", "connect max", |peer| peer.connects.max().map(nanos))
        .column("rtt_max_ns", "RTT max", |peer| peer.round_trips.max().map(nanos))
        .column("sent_bytes", "sent", |peer| bytes(peer.sent_bytes))
        .help("Payload that was sent and acknowledged.")
        .column("received_bytes", "received", |peer| bytes(peer.received_bytes))
        .help("Payload received.")
        .column("lifetime_p50_ns", "life p50", move |peer| median(&peer.lifetimes))
        .help("Median time from establishment to the end.")
        .column("resets_sent", "RST sent", |peer| peer.resets_sent)
        .column("resets_received", "RST received", |peer| peer.resets_received)
}

fn by_peer(source: &Source, processes: &ProcessTable, table: &mut Ranking<Peer>) -> Result<()> {
    let by = ["pid", "tcp_side", "daddr", "dport", "sport", "comm"];
    let tally = Tally::of(source, &by, |name| METRICS.contains(&name))?;
    let add = |peer: &mut Peer, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.first().and_then(Dim::text).map(str::to_owned);
        peer.owner.comm = peer.owner.comm.take().or_else(name);
        peer.add(by);
    };
    // Process, side, address, remote port, own port.
    tally.sums(5, add, |dims, mut peer| {
        let [pid, side, address, remote, own] = dims else { return };
        peer.owner = processes.or_owner(pid, peer.owner.comm);
        (peer.side, peer.address) = (side.clone(), address.clone());
        (peer.remote_port, peer.own_port) = (remote.clone(), own.clone());
        table.row(source, &peer);
    })
}

/// Connects of one process that failed for one cause.
struct Failures {
    owner: Owner,
    address: Dim,
    port: Dim,
    cause: Dim,
    count: u64,
}

fn failure_columns() -> Columns<Failures> {
    Columns::<Failures>::new()
        .comm(|failures| &failures.owner)
        .pid(|failures| &failures.owner)
        .column("peer", "peer", |failures| failures.address.value())
        .help("The address that it tried.")
        .column("port", "port", |failures| failures.port.value())
        .column("cause", "cause", |failures| failures.cause.value())
        .help("Why: refused (the peer answered with a reset), timed out (no answer), unreachable (reported by a router), given up (the process closed the socket first).")
        .column("count", "count", |failures| failures.count)
}

fn by_failure(source: &Source, processes: &ProcessTable, table: &mut Ranking<Failures>) -> Result<()> {
    let by = ["pid", "daddr", "dport", "cause", "comm"];
    let tally = Tally::totals_of(source, &by, |name| name == metrics::TCP_FAILURES)?;
    tally.groups(metrics::TCP_FAILURES, |dims, failures| {
        let [pid, address, port, cause, comm] = dims else { return };
        let [address, port, cause] = [address, port, cause].map(Dim::clone);
        let owner = processes.owner(pid, comm);
        table.row(source, &Failures { owner, address, port, cause, count: count(failures) });
    })
}

/// One connection.
struct Connection {
    at: Option<i64>,
    dur_ns: Option<i64>,
    owner: Owner,
    side: Option<String>,
    address: Option<String>,
    remote_port: Option<i64>,
    own_port: Option<i64>,
    outcome: Option<String>,
    state: Option<String>,
    ret: Option<i64>,
    resent: Option<i64>,
    sent_bytes: Option<i64>,
    received_bytes: Option<i64>,
    moved_bytes: u64,
    rtt_ns: Option<i64>,
}

fn connect_columns() -> Columns<Connection> {
    Columns::<Connection>::new()
        .column("time_ns", "end", |one| time(one.at))
        .help("When it was established, or failed.")
        .column("dur_ns", "took", |one| Value::nanos(one.dur_ns))
        .help("From the first SYN.")
        .comm(|one| &one.owner)
        .pid(|one| &one.owner)
        .column("peer", "peer", |one| one.address.clone())
        .column("port", "port", |one| Value::id(one.remote_port))
        .column("outcome", "outcome", |one| one.outcome.clone())
        .help("'open', or why it failed.")
        .column("error", "error", |one| one.ret.map(errno))
        .help("The error that the process got.")
        .column("resent", "resent", |one| one.resent)
        .help("SYNs that were resent before a connect failed.")
        .column("own_port", "local port", |one| Value::id(one.own_port))
}

fn open_columns() -> Columns<Connection> {
    Columns::<Connection>::new()
        .comm(|one| &one.owner)
        .pid(|one| &one.owner)
        .column("side", "side", |one| one.side.clone())
        .column("peer", "peer", |one| one.address.clone())
        .column("port", "port", |one| Value::id(one.remote_port))
        .help("The remote port.")
        .column("own_port", "local port", |one| Value::id(one.own_port))
        .column("state", "state", |one| one.state.clone())
        .column("dur_ns", "age", |one| Value::nanos(one.dur_ns))
        .help("Time since it was established; empty if that was before the recording.")
        .column("bytes", "moved", |one| bytes(one.moved_bytes))
        .help("Payload in both directions within the window.")
        .column("sent_bytes", "sent", |one| one.sent_bytes.map(Value::Bytes))
        .column("received_bytes", "received", |one| one.received_bytes.map(Value::Bytes))
        .column("rtt_ns", "RTT", |one| Value::nanos(one.rtt_ns))
        .help("The smoothed round-trip time at the end.")
        .column("resent", "resent", |one| one.resent)
        .help("Segments that it resent in its whole life.")
}

/// What is told of connections one by one.
fn connections(
    source: &Source,
    processes: &ProcessTable,
    connects: &mut Ranking<Connection>,
    open: &mut Ranking<Connection>,
) -> Result<()> {
    let mut rows = source.rows("tcp");
    let (op, side, state) = (rows.text("op"), rows.text("tcp_side"), rows.text("state"));
    let (address, remote_port, own_port) = (rows.text("daddr"), rows.int("dport"), rows.int("sport"));
    let (ret, resent, rtt_ns) = (rows.int("ret"), rows.int("tcp_segments"), rows.int("tcp_rtt_ns"));
    let (sent, received) = (rows.int("tcp_sent_bytes"), rows.int("tcp_received_bytes"));
    rows.each(|row| {
        let text = |column| row.text(column).map(str::to_owned);
        let moved_bytes = row.natural(sent).saturating_add(row.natural(received));
        let connection = || Connection {
            at: row.at(),
            dur_ns: row.dur(),
            owner: processes.owner_of(row),
            side: text(side),
            address: text(address),
            remote_port: row.int(remote_port),
            own_port: row.int(own_port),
            outcome: text(op),
            state: text(state),
            ret: row.int(ret),
            resent: row.int(resent),
            sent_bytes: row.int(sent),
            received_bytes: row.int(received),
            moved_bytes,
            rtt_ns: row.int(rtt_ns),
        };
        match row.text(op) {
            Some("still open") => open.weighed(source, Some(whole(moved_bytes)), connection),
            Some("close" | "retransmit" | "reset sent" | "reset received") | None => {}
            Some(_) if row.text(side) == Some("accept") => {}
            Some(_) => connects.weighed(source, row.dur(), connection),
        }
    })
}

/// Named lines, as a timeline has them.
type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// A line for each of the peers to which most was sent again, and one for all others.
fn retransmits(source: &Source, host: &str) -> Result<Lines> {
    let mut by: BTreeMap<Vec<Dim>, BTreeMap<i64, u64>> = BTreeMap::new();
    let mut limit = Limit::new();
    let mut rows = source.rows("metric").having("metric", &[metrics::TCP_RETRANSMITS]);
    let (metric, address, segments) = (rows.text("metric"), rows.text("daddr"), rows.int("sum"));
    let (remote, own) = (rows.int("dport"), rows.int("sport"));
    rows.each(|row| {
        if row.text(metric) != Some(metrics::TCP_RETRANSMITS) || !limit.take(128) {
            return;
        }
        let port = |column| row.int(column).map_or(Dim::None, Dim::Int);
        let address = row.text(address).map_or(Dim::None, |text| Dim::Text(limit.name(text)));
        let line = by.entry(vec![address, port(remote), port(own)]).or_default();
        let sum = line.entry(row.at().unwrap_or(0)).or_default();
        *sum = sum.saturating_add(row.natural(segments));
    })?;
    limit.check(source, "retransmits")?;
    let mut lines: Vec<(String, BTreeMap<i64, u64>)> =
        by.into_iter().map(|(dims, line)| (format!("{host}{}", peer(&dims)), line)).collect();
    lines.sort_by_key(|(_, line)| Reverse(line.values().fold(0u64, |sum, one| sum.saturating_add(*one))));
    if lines.len() > LINES {
        let mut rest: BTreeMap<i64, u64> = BTreeMap::new();
        for (at, sum) in lines.split_off(LINES - 1).into_iter().flat_map(|(_, line)| line) {
            let all = rest.entry(at).or_default();
            *all = all.saturating_add(sum);
        }
        lines.push((format!("{host}others"), rest));
    }
    let points = |line: BTreeMap<i64, u64>| line.into_iter().map(|(at, sum)| (at as f64 / 1e9, sum as f64)).collect();
    Ok(lines.into_iter().map(|(name, line)| (name, points(line))).collect())
}
