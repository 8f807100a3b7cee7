//! TCP connections: how long connecting took, how long they lived, what they moved, round-trip times, what went wrong.

use std::os::fd::AsFd;

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::peers::Numbered;
use super::peers::address;
use super::peers::family;
use super::read;
use super::running::put_holder;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::batch::take_all;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Watch;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::Row;
use crate::recording::column;
use crate::units::Unit;

object! {
    name: "tcp",
    // A thousand peers, each with bytes both ways, an accept, and a few buckets of lifetime and round-trip time.
    cells: 8192,
    // SAFETY: integers only, as bpf/tcp/tcp.bpf.c and bpf/tcp/connections.h declare them.
    unsafe plain: tcp_record, peer,
}

/// Peers in one call: all that the map holds.
const PEERS: u32 = 1024;

/// The same number stands in bpf/tcp/connections.h.
const PEER_SHIFT: u32 = 4;

const SIDE: &str = "tcp_side";
const SENT: &str = "tcp_sent_bytes";
const RECEIVED: &str = "tcp_received_bytes";
const RTT: &str = "tcp_rtt_ns";
const SEGMENTS: &str = "tcp_segments";

/// What every metric is kept by: the port is the one that is served, so remote where we connected, local where we accepted.
const BY: [&str; 6] = ["pid", "comm", SIDE, "daddr", "dport", "sport"];

const fn metric(
    number: types::tcp_metric,
    name: &'static str,
    kind: MetricKind,
    unit: Unit,
    help: &'static str,
) -> Metric {
    Metric { number: number.0 as u16, name, kind, unit, by: &BY, help, events: None }
}

static INFO: ProbeInfo = ProbeInfo {
    name: "tcp",
    summary: "TCP connections by process and peer: connecting, lifetime, round-trip time, bytes, retransmits, resets, failures.",
    default_on: true,
    default_mode: Mode::Raw,
    slow: Some(std::time::Duration::from_millis(100)),
    metrics: &[
        metric(
            types::tcp_metric::TCP_CONNECT_LATENCY,
            "tcp.connect_latency",
            MetricKind::Histogram,
            Unit::Nanoseconds,
            "Time from the first SYN until the connection was established.",
        ),
        metric(
            types::tcp_metric::TCP_ACCEPTED,
            "tcp.accepted",
            MetricKind::Counter,
            Unit::Count,
            "Incoming connections that were established; counted for the listening process.",
        ),
        metric(
            types::tcp_metric::TCP_LIFETIME,
            "tcp.lifetime",
            MetricKind::Histogram,
            Unit::Nanoseconds,
            "Time from a connection's establishment until the kernel was done with it; for connections whose start was seen.",
        ),
        metric(
            types::tcp_metric::TCP_RTT,
            "tcp.rtt",
            MetricKind::Histogram,
            Unit::Nanoseconds,
            "The kernel's smoothed round-trip time of a connection: at its close, and at the end of each interval in which it moved data.",
        ),
        metric(
            types::tcp_metric::TCP_BYTES_SENT,
            "tcp.sent",
            MetricKind::Counter,
            Unit::Bytes,
            "Payload that was sent and acknowledged; including connections that stay open.",
        ),
        metric(
            types::tcp_metric::TCP_BYTES_RECEIVED,
            "tcp.received",
            MetricKind::Counter,
            Unit::Bytes,
            "Payload received in order; including connections that stay open.",
        ),
        metric(
            types::tcp_metric::TCP_RETRANSMITS,
            "tcp.retransmits",
            MetricKind::Counter,
            Unit::Count,
            "Retransmissions; the sum is in segments.",
        ),
        metric(
            types::tcp_metric::TCP_RESETS_SENT,
            "tcp.resets_sent",
            MetricKind::Counter,
            Unit::Count,
            "Resets that were sent.",
        ),
        metric(
            types::tcp_metric::TCP_RESETS_RECEIVED,
            "tcp.resets_received",
            MetricKind::Counter,
            Unit::Count,
            "Resets received for a connection.",
        ),
        Metric {
            number: types::tcp_metric::TCP_FAILURES.0 as u16,
            name: "tcp.failures",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", SIDE, "daddr", "dport", "sport", "cause"],
            help: "Connects that failed: refused, timed out, unreachable, given up by their process, other.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "tcp",
        help: "An event of a connection; op says which: open (dur_ns: from SYN to established), close (dur_ns: lifetime), still open (at the window's end), retransmit, reset sent, reset received, or why a connect failed after dur_ns: refused, timed out, unreachable, given up, failed. The process is the one that connected; of a connection that came in, the one that closes it, before that the first that was seen to have it open, else the one that listens.",
        columns: &[
            "dur_ns",
            "cpu",
            "pid",
            "comm",
            "process",
            "op",
            "state",
            "ret",
            "family",
            "saddr",
            "sport",
            "daddr",
            "dport",
            "tcp_side",
            "tcp_sent_bytes",
            "tcp_received_bytes",
            "tcp_rtt_ns",
            "tcp_segments",
        ],
    }],
    columns: &[
        Column {
            name: SIDE,
            ty: ColumnType::Text(Holds::Word),
            title: "Side",
            unit: None,
            help: "Who began the connection: 'connect' this process, 'accept' the remote end.",
        },
        Column {
            name: SENT,
            ty: ColumnType::Int64,
            title: "Sent",
            unit: Some("bytes"),
            help: "Payload that the connection sent within the window and that was acknowledged.",
        },
        Column {
            name: RECEIVED,
            ty: ColumnType::Int64,
            title: "Received",
            unit: Some("bytes"),
            help: "Payload that the connection received within the window.",
        },
        Column {
            name: RTT,
            ty: ColumnType::Int64,
            title: "Round-trip time",
            unit: Some("ns"),
            help: "The kernel's smoothed round-trip time.",
        },
        Column {
            name: SEGMENTS,
            ty: ColumnType::Int32,
            title: "Segments sent again",
            unit: None,
            help: "Segments resent: by a retransmit, or in the connection's whole life.",
        },
    ],
    watches: &[Watch {
        only: Some(("op", "open")),
        ..Watch::duration("tcp.connect_time", "tcp", "Time from a connection's SYN until it was established.")
    }],
    hooks: &[
        "tp_btf/inet_sock_set_state",
        "tp_btf/tcp_retransmit_skb",
        "tp_btf/tcp_retransmit_synack",
        "tp_btf/tcp_send_reset",
        "tp_btf/tcp_receive_reset",
        "iter/task_file",
    ],
    cost: "about a microsecond for each connection's opening and closing, a walk over all open files for each interval",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Tcp {
    /// The probe's own columns, in the order of `new`.
    columns: [Option<ColumnId>; 5],
    peers: Numbered<types::peer>,
    /// What was open when the window was over.
    open: Vec<types::tcp_record>,
}

impl BuiltIn for Tcp {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Tcp {
        let columns = [SIDE, SENT, RECEIVED, RTT, SEGMENTS].map(|name| setup.schema.id(name));
        Tcp { columns, peers: Numbered::default(), open: Vec::new() }
    }
}

impl Decoder for Tcp {
    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        if u32::from(header.event) > types::tcp_event::TCP_RESET_RECEIVED.0 {
            return Err(Undecodable { length: bytes.len() });
        }
        self.row(&read(bytes)?, context);
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = if gathered.pid == 0 { Vec::new() } else { Vec::from(KeyPart::process(gathered.pid, names)) };
        let [side_column, ..] = self.columns;
        match self.peers.get(gathered.sub >> PEER_SHIFT) {
            Some(peer) => {
                key.extend(side_column.map(|column| KeyPart::Text(column, side(peer.side.into()).to_owned())));
                key.push(KeyPart::Text(column::DADDR, address(peer.remote.high, peer.remote.low).to_string()));
                let accepted = u32::from(peer.side) == types::tcp_side::SIDE_ACCEPT.0;
                key.push(KeyPart::Int(if accepted { column::SPORT } else { column::DPORT }, peer.port.into()));
            }
            None => key.push(KeyPart::Text(column::DADDR, "other".to_owned())),
        }
        if metric == "tcp.failures" {
            let failure = (gathered.sub & ((1 << PEER_SHIFT) - 1)) as u32;
            key.push(KeyPart::Text(column::CAUSE, failure_name(failure).to_owned()));
        }
        key
    }

    fn begin(&mut self, live: &Live) -> Result<()> {
        // Twice: who listens has to be known before it can be told which side of the others began.
        live.walk("tcp_walk")?;
        live.walk("tcp_walk").map(drop)
    }

    fn ending_interval(&mut self, live: &Live) -> Result<()> {
        live.walk("tcp_walk").map(drop)
    }

    fn end_interval(&mut self, live: &Live, _: u64) -> Result<()> {
        self.peers.turn();
        let sizes = (size_of::<u64>(), size_of::<types::peer>());
        take_all(live.map("peers")?.as_fd(), sizes, PEERS, |number, peer| {
            if let (Some(number), Some(peer)) = (crate::bpf::read(number), crate::bpf::read(peer)) {
                self.peers.insert(number, peer);
            }
        })?;
        Ok(())
    }

    fn ended(&mut self, live: &mut Live) -> Result<()> {
        // Once all totals are read the walk tells what is open.
        let bytes = live.walk("tcp_walk")?;
        self.open = bytes.chunks_exact(size_of::<types::tcp_record>()).filter_map(crate::bpf::read).collect();
        Ok(())
    }

    fn write(&mut self, interval: Interval, context: &mut Context<'_>) {
        for mut record in std::mem::take(&mut self.open) {
            // Nothing in a recording is after the window.
            record.dur_ns = record.dur_ns.saturating_sub(record.header.ts.saturating_sub(interval.end_ns));
            record.header.ts = interval.end_ns;
            self.row(&record, context);
        }
    }
}

impl Tcp {
    fn row(&self, record: &types::tcp_record, context: &mut Context<'_>) {
        let header = &record.header;
        let event = types::tcp_event(header.event.into());
        let flow = &record.flow;
        let [local, remote] = [&flow.local, &flow.remote].map(|one| address(one.high, one.low));
        let mut row = context.rows.row("tcp");
        row.at(header.ts).int(column::CPU, header.cpu.into());
        if header.pid != 0 {
            row.int(column::PID, header.pid.into());
            // The kernel may end a connection when its process is gone and the id is another's.
            let names = context.names.held(header.pid, header.pad as u16);
            if let Some(comm) = names.get(header.pid) {
                row.text(column::COMM, comm);
            }
            put_holder(&mut row, header.pid, header.pad as u16, context.names);
        }
        row.text(column::FAMILY, family(remote)).text(column::SADDR, &local.to_string());
        row.int(column::SPORT, flow.local_port.into()).text(column::DADDR, &remote.to_string());
        row.int(column::DPORT, flow.remote_port.into()).text(column::STATE, state(record.state));
        row.text(column::OP, op(event, record.failure.into()));
        if record.dur_ns != 0 {
            row.int(column::DUR_NS, signed(record.dur_ns));
        }
        if record.ret != 0 {
            row.int(column::RET, record.ret.into());
        }
        let [side_column, sent, received, rtt, segments] = self.columns;
        if let Some(column) = side_column {
            row.text(column, side(record.side.into()));
        }
        if matches!(event, types::tcp_event::TCP_CLOSED | types::tcp_event::TCP_STILL_OPEN) {
            put(&mut row, sent, signed(record.sent));
            put(&mut row, received, signed(record.received));
            put(&mut row, rtt.filter(|_| record.rtt_us != 0), i64::from(record.rtt_us) * 1000);
        }
        if event != types::tcp_event::TCP_OPENED && record.segments != 0 {
            put(&mut row, segments, record.segments.into());
        }
    }
}

fn put(row: &mut Row<'_>, column: Option<ColumnId>, value: i64) {
    if let Some(column) = column {
        row.int(column, value);
    }
}

fn side(number: u32) -> &'static str {
    if types::tcp_side(number) == types::tcp_side::SIDE_ACCEPT { "accept" } else { "connect" }
}

fn op(event: types::tcp_event, failure: u32) -> &'static str {
    match event {
        types::tcp_event::TCP_OPENED => "open",
        types::tcp_event::TCP_CLOSED => "close",
        types::tcp_event::TCP_RETRANSMITTED => "retransmit",
        types::tcp_event::TCP_RESET_SENT => "reset sent",
        types::tcp_event::TCP_RESET_RECEIVED => "reset received",
        types::tcp_event::TCP_STILL_OPEN => "still open",
        _ => failure_name(failure),
    }
}

fn failure_name(failure: u32) -> &'static str {
    match types::tcp_failure(failure) {
        types::tcp_failure::FAIL_REFUSED => "refused",
        types::tcp_failure::FAIL_TIMED_OUT => "timed out",
        types::tcp_failure::FAIL_UNREACHABLE => "unreachable",
        types::tcp_failure::FAIL_GIVEN_UP => "given up",
        _ => "failed",
    }
}

/// The names that ss(8) uses.
fn state(number: u8) -> &'static str {
    match types::tcp_state(number.into()) {
        types::tcp_state::TCP_ESTABLISHED => "established",
        types::tcp_state::TCP_SYN_SENT => "syn-sent",
        types::tcp_state::TCP_SYN_RECV | types::tcp_state::TCP_NEW_SYN_RECV => "syn-recv",
        types::tcp_state::TCP_FIN_WAIT1 => "fin-wait-1",
        types::tcp_state::TCP_FIN_WAIT2 => "fin-wait-2",
        types::tcp_state::TCP_TIME_WAIT => "time-wait",
        types::tcp_state::TCP_CLOSE => "closed",
        types::tcp_state::TCP_CLOSE_WAIT => "close-wait",
        types::tcp_state::TCP_LAST_ACK => "last-ack",
        types::tcp_state::TCP_LISTEN => "listen",
        types::tcp_state::TCP_CLOSING => "closing",
        _ => "unknown",
    }
}
