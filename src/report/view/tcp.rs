//! View `tcp`: connections by process and peer, what failed, the slowest connects, retransmits over time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
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
use crate::report::read::processes::People;
use crate::report::table::cells::errno;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::whole;
use crate::report::table::few::Few;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::units::Unit;

/// In the order of a peer's columns.
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
        Ranking::new(sources, "peers", "By process and peer", peer_fields()).largest_first("bytes").top(shown);
    let mut failures =
        Ranking::new(sources, "failures", "Connects that failed", failure_fields()).largest_first("count").top(shown);
    let mut connects = Ranking::new(sources, "connects", "Slowest connects", connect_fields())
        .largest_first("dur_ns")
        .top(plan.events_shown(10));
    let mut open = Ranking::new(sources, "open", "Still open at the end", open_fields())
        .largest_first("bytes")
        .top(plan.events_shown(10));
    let mut plot = Timeline {
        name: "retransmits".into(),
        title: "Segments sent again, by peer".into(),
        unit: Unit::Count,
        series: Vec::new(),
    };
    for source in sources {
        let people = People::of(source)?;
        by_peer(source, &people, &mut peers)?;
        by_failure(source, &people, &mut failures)?;
        connections(source, &people, &mut connects, &mut open)?;
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
        let (told, more) = found.words();
        if !told.is_empty() {
            lines.push((title.to_owned(), format!("{}{more}", told.join(", "))));
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
        (_, Dim::Int(port)) => format!("{host} at own port {port}"),
        _ => host,
    }
}

fn peer_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid").help("Who connected; or who closed the connection, had it open, or listens."),
        Field::new("side", "side").help("Who began: 'connect' this process, 'accept' the peer."),
        Field::new("peer", "peer").help("The remote address."),
        Field::new("port", "port").help("The port that is served: the peer's, or with 'accept' the own one."),
        Field::new("connections", "opened").help("Connections that were established."),
        Field::new("failed", "failed").help("Connects that failed."),
        Field::new("bytes", "moved").help("Payload in both directions."),
        Field::new("retransmits", "resent").help("Segments sent again."),
        Field::new("resets", "resets").help("Resets, sent and received."),
        Field::new("connect_p50_ns", "connect p50").help("Median time until a connection was established."),
        Field::new("rtt_p50_ns", "RTT p50").help("Median of the smoothed round-trip times."),
        Field::new("connect_max_ns", "connect max"),
        Field::new("rtt_max_ns", "RTT max"),
        Field::new("sent_bytes", "sent").help("Payload that was sent and acknowledged."),
        Field::new("received_bytes", "received").help("Payload that came in."),
        Field::new("lifetime_p50_ns", "life p50").help("Median time from establishment to the end."),
        Field::new("resets_sent", "RST sent"),
        Field::new("resets_received", "RST received"),
    ]
}

/// What the connections between a process and a peer come to: by metric, and the name that rows give the process.
#[derive(Default)]
struct Peer {
    comm: Option<String>,
    found: [Histogram; 10],
}

fn by_peer(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let by = ["pid", "tcp_side", "daddr", "dport", "sport", "comm"];
    let tally = Tally::of(source, &by, |name| METRICS.contains(&name))?;
    let add = |peer: &mut Peer, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.first().and_then(Dim::text).map(str::to_owned);
        peer.comm = peer.comm.take().or_else(name);
        for (slot, metric) in peer.found.iter_mut().zip(METRICS) {
            by.get(metric).into_iter().for_each(|values| slot.merge(values));
        }
    };
    // Process, side, address, remote port, own port.
    tally.sums(5, add, |dims, peer| {
        let [pid, side, address, remote, own] = dims else { return };
        let [connect, accepted, lifetime, rtt, sent, received, resent, reset_out, reset_in, failed] = peer.found;
        let comm = people.name(pid.process()).or(peer.comm.as_deref());
        let time = |times: &Histogram, q: f64| percentile(times, Unit::Nanoseconds, q);
        let most = |times: &Histogram| times.max().map_or(Value::Null, |max| Value::Nanos(whole(max)));
        let number = |count: u64| Value::Int(whole(count));
        let (out, into) = (sum(&sent), sum(&received));
        table.row(
            source,
            vec![
                Value::from(comm),
                pid.value(),
                side.value(),
                address.value(),
                if *remote == Dim::None { own.value() } else { remote.value() },
                number(count(&connect).saturating_add(count(&accepted))),
                number(count(&failed)),
                Value::Bytes(whole(out.saturating_add(into))),
                number(sum(&resent)),
                number(count(&reset_out).saturating_add(count(&reset_in))),
                time(&connect, 0.5),
                time(&rtt, 0.5),
                most(&connect),
                most(&rtt),
                Value::Bytes(whole(out)),
                Value::Bytes(whole(into)),
                time(&lifetime, 0.5),
                number(count(&reset_out)),
                number(count(&reset_in)),
            ],
        );
    })
}

fn failure_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("peer", "peer").help("The address that it tried."),
        Field::new("port", "port"),
        Field::new("cause", "cause")
            .help("Why: refused (the peer answered with a reset), timed out (no answer), unreachable (a router said so), given up (the process closed the socket before)."),
        Field::new("count", "count"),
    ]
}

fn by_failure(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let by = ["pid", "daddr", "dport", "cause", "comm"];
    let tally = Tally::totals_of(source, &by, |name| name == metrics::TCP_FAILURES)?;
    tally.groups(metrics::TCP_FAILURES, |dims, failures| {
        let [pid, address, port, cause, comm] = dims else { return };
        let own = people.of_dims(pid, comm);
        let number = Value::Int(whole(count(failures)));
        let cells = vec![Value::from(own), pid.value(), address.value(), port.value(), cause.value(), number];
        table.row(source, cells);
    })
}

fn connect_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it was established, or failed."),
        Field::new("dur_ns", "took").help("From the first SYN."),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("peer", "peer"),
        Field::new("port", "port"),
        Field::new("outcome", "outcome").help("'open', or why it failed."),
        Field::new("error", "error").help("The error that the process got."),
        Field::new("resent", "resent").help("SYNs that were sent again before a connect failed."),
        Field::new("own_port", "own port"),
    ]
}

fn open_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("side", "side"),
        Field::new("peer", "peer"),
        Field::new("port", "port").help("The remote port."),
        Field::new("own_port", "own port"),
        Field::new("state", "state"),
        Field::new("dur_ns", "age").help("Since it was established; empty when that was before the recording."),
        Field::new("bytes", "moved").help("Payload in both directions within the window."),
        Field::new("sent_bytes", "sent"),
        Field::new("received_bytes", "received"),
        Field::new("rtt_ns", "RTT").help("The smoothed round-trip time at the end."),
        Field::new("resent", "resent").help("Segments sent again in its whole life."),
    ]
}

/// What is told of connections one by one.
fn connections(source: &Source, people: &People, connects: &mut Ranking, open: &mut Ranking) -> Result<()> {
    let ints = ["sport", "dport", "ret", "tcp_segments", "tcp_sent_bytes", "tcp_received_bytes", "tcp_rtt_ns"];
    source.rows("tcp", &ints, &["op", "tcp_side", "daddr", "state"], |row| {
        let comm = people.of_row(row);
        let (own, remote) = (Value::id(row.int(0)), Value::id(row.int(1)));
        let bytes = |bytes: Option<i64>| bytes.map_or(Value::Null, Value::Bytes);
        match row.text(0) {
            Some("still open") => {
                let moved = row.natural(4).saturating_add(row.natural(5));
                open.weighed(source, Some(whole(moved)), || {
                    vec![
                        Value::from(comm),
                        Value::id(row.pid()),
                        Value::from(row.text(1)),
                        Value::from(row.text(2)),
                        remote,
                        own,
                        Value::from(row.text(3)),
                        Value::nanos(row.dur()),
                        Value::Bytes(whole(moved)),
                        bytes(row.int(4)),
                        bytes(row.int(5)),
                        Value::nanos(row.int(6)),
                        Value::from(row.int(3)),
                    ]
                });
            }
            Some("close" | "retransmit" | "reset sent" | "reset received") | None => {}
            Some(_) if row.text(1) == Some("accept") => {}
            Some(outcome) => {
                connects.weighed(source, row.dur(), || {
                    vec![
                        row.at().map_or(Value::Null, Value::Time),
                        Value::nanos(row.dur()),
                        Value::from(comm),
                        Value::id(row.pid()),
                        Value::from(row.text(2)),
                        remote,
                        Value::from(outcome),
                        row.int(2).map_or(Value::Null, |ret| Value::from(errno(ret))),
                        Value::from(row.int(3)),
                        own,
                    ]
                });
            }
        }
    })
}

/// Named lines, as a timeline has them.
type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// A line for each of the peers to which most was sent again, and one for all others.
fn retransmits(source: &Source, host: &str) -> Result<Lines> {
    let mut by: BTreeMap<Vec<Dim>, BTreeMap<i64, u64>> = BTreeMap::new();
    let mut limit = Limit::new();
    source.rows("metric", &["dport", "sport", "sum"], &["metric", "daddr"], |row| {
        if row.text(0) != Some(metrics::TCP_RETRANSMITS) || !limit.take(128) {
            return;
        }
        let number = |at: usize| row.int(at).map_or(Dim::None, Dim::Int);
        let address = row.text(1).map_or(Dim::None, |text| Dim::Text(limit.name(text)));
        let line = by.entry(vec![address, number(0), number(1)]).or_default();
        let sum = line.entry(row.at().unwrap_or(0)).or_default();
        *sum = sum.saturating_add(row.natural(2));
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
