//! DNS: how long answers took by process and name, how they failed, what was never answered.

use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::peers::Numbered;
use super::peers::address;
use super::peers::family;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::batch::take_all;
use crate::bpf::bytes_of;
use crate::bpf::cells::Gathered;
use crate::bpf::io_calls;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::names::syscalls::Arch;
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
use crate::probe::watch::Streamed;
use crate::probe::watch::Watch;
use crate::probe::watch::Watched;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::column;
use crate::units::Unit;

mod hooks;
mod question;

object! {
    name: "dns",
    // A few hundred names that processes ask for in one interval, each with a handful of buckets.
    cells: 4096,
    // SAFETY: integers only, as bpf/dns/{queries,connection}.h declare them.
    unsafe plain: dns_record, dns_knobs, query, query_key, dns_name,
}

/// A query with what tells it from others.
#[derive(Clone, Copy)]
struct Asked {
    key: types::query_key,
    query: types::query,
}

/// Names in one call: all that the map holds.
const NAMES: u32 = 1024;
/// The same number stands in bpf/dns/queries.h.
const CODE_BITS: u32 = 4;
/// The resolver of the C library asks again after this time (resolv.conf(5), `timeout`).
const PATIENCE_NS: u64 = 5_000_000_000;

const TYPE: &str = "dns_type";
const CODE: &str = "dns_rcode";
const TRANSPORT: &str = "dns_transport";

static INFO: ProbeInfo = ProbeInfo {
    name: "dns",
    summary: "DNS queries to port 53 by process and name: how long answers took, how they failed, which never arrived.",
    slow: Some(std::time::Duration::from_millis(100)),
    metrics: &[
        Metric {
            number: types::dns_metric::DNS_LATENCY.0 as u16,
            name: "dns.latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "name"],
            help: "Time from sending a query to the arrival of its answer, whatever the answer; over TCP, from the return of the call that \
                   wrote the query to the return of the call that read the end of the answer.",
            events: None,
        },
        Metric {
            number: types::dns_metric::DNS_FAILURES.0 as u16,
            name: "dns.failures",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name", CODE],
            help: "Answers with a code other than NOERROR.",
            events: None,
        },
        Metric {
            number: types::dns_metric::DNS_NO_ANSWERS.0 as u16,
            name: "dns.unanswered",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name"],
            help: "Queries that had no answer within five seconds, or before the same query was repeated.",
            events: None,
        },
        Metric {
            number: types::dns_metric::DNS_BY_TCP.0 as u16,
            name: "dns.by_tcp",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm"],
            help: "TCP connects to port 53, for example after an answer that was too long for UDP.",
            events: None,
        },
        Metric {
            number: types::dns_metric::DNS_UNREAD.0 as u16,
            name: "dns.unread",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm"],
            help: "Directions of TCP connections to port 53 that could not be read to their end: their messages were moved by io_uring, \
                   splice or 32-bit calls, or are not DNS.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "dns",
        help: "A query; op is its outcome: answer (after dur_ns), unanswered (after waiting dur_ns), pending (at the window's end), tcp (a connect to port 53).",
        columns: &[
            "dur_ns",
            "pid",
            "tid",
            "comm",
            "process",
            "name",
            "op",
            "family",
            "saddr",
            "sport",
            "daddr",
            "dport",
            "dns_type",
            "dns_rcode",
            "dns_transport",
        ],
    }],
    columns: &[
        Column {
            name: TYPE,
            ty: ColumnType::Text(Holds::Word),
            title: "Query type",
            unit: None,
            help: "Type of the query, such as 'A' or 'AAAA'.",
        },
        Column {
            name: CODE,
            ty: ColumnType::Text(Holds::Word),
            title: "Answer's code",
            unit: None,
            help: "The answer's code: 'NOERROR', 'NXDOMAIN', 'SERVFAIL'…",
        },
        Column {
            name: TRANSPORT,
            ty: ColumnType::Text(Holds::Word),
            title: "Transport",
            unit: None,
            help: "Transport of the query: 'udp' or 'tcp'.",
        },
    ],
    holds: &[("name", Holds::DnsName)],
    watches: &[
        Watch {
            only: Some(("op", "answer")),
            ..Watch::duration("dns.latency", "dns", "Time from a query to its answer.")
        },
        Watch {
            name: "dns.rcode",
            kind: "dns",
            only: Some(("op", "answer")),
            value: Some(Watched { column: CODE, less: None, absent: None, unit: Unit::Count }),
            streamed: Streamed::From(1),
            help: "Response code of an answer: 2 is SERVFAIL, 3 NXDOMAIN.",
        },
    ],
    hooks: &[
        "tp_btf/net_dev_queue",
        "tp_btf/netif_receive_skb",
        "tp_btf/inet_sock_set_state",
        "tp_btf/sock_send_length",
        "tp_btf/sock_recv_length",
        "tp_btf/sys_exit",
    ],
    cost: "about a tenth of a microsecond for each packet sent or received, a microsecond for each query; before Linux 6.3 a tenth of \
           one for each system call, too",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Dns {
    kind: Option<ColumnId>,
    code: Option<ColumnId>,
    transport: Option<ColumnId>,
    streams: bool,
    names: Numbered<String>,
    /// Queries that were given up in the interval that ended last.
    late: Vec<Asked>,
    /// Queries that were still waiting when the window was over.
    pending: Vec<Asked>,
}

impl BuiltIn for Dns {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Dns {
        Dns {
            kind: setup.schema.id(TYPE),
            code: setup.schema.id(CODE),
            transport: setup.schema.id(TRANSPORT),
            streams: setup.settings.mode != Mode::Hist,
            names: Numbered::default(),
            late: Vec::new(),
            pending: Vec::new(),
        }
    }

    fn knobs(setup: &Setup<'_>) -> Option<Vec<u8>> {
        let knobs = types::dns_knobs { calls: io_calls::table(Arch::of(&setup.host.arch)) };
        Some(bytes_of(&knobs).to_vec())
    }

    fn choose(_: &Setup<'_>, open: &mut OpenObject) -> Vec<String> {
        hooks::choose(open)
    }
}

/// How a query ended.
struct QueryResult {
    op: &'static str,
    at_ns: u64,
    dur_ns: u64,
    code: Option<u32>,
}

impl Decoder for Dns {
    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        let record: types::dns_record = read(bytes)?;
        let (op, code) = match types::dns_event(header.event.into()) {
            types::dns_event::DNS_ANSWERED => ("answer", Some(record.flags & 0xf)),
            types::dns_event::DNS_UNANSWERED => ("unanswered", None),
            types::dns_event::DNS_TCP => ("tcp", None),
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let outcome = QueryResult { op, at_ns: header.ts, dur_ns: record.dur_ns, code };
        self.row(&Asked { key: record.key, query: record.query }, &outcome, context);
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        if !matches!(metric, "dns.by_tcp" | "dns.unread") {
            let name = self.names.get(gathered.sub >> CODE_BITS).map_or("other", String::as_str);
            key.push(KeyPart::Text(column::NAME, name.to_owned()));
        }
        if let Some(column) = self.code.filter(|_| metric == "dns.failures") {
            key.push(KeyPart::Text(column, question::code_name((gathered.sub & ((1 << CODE_BITS) - 1)) as u32)));
        }
        key
    }

    fn end_interval(&mut self, live: &Live, end_ns: u64) -> Result<()> {
        self.names.turn();
        let sizes = (size_of::<u64>(), size_of::<types::dns_name>());
        take_all(live.map("names")?.as_fd(), sizes, NAMES, |number, name| {
            if let (Some(number), Some(name)) = (crate::bpf::read(number), crate::bpf::read(name)) {
                self.names.insert(number, asked_for(&name).0);
            }
        })?;
        let map = live.map("queries")?;
        for asked in waiting(live)? {
            if asked.query.sent.saturating_add(PATIENCE_NS) < end_ns {
                // One that was answered just now is not there, and was not late either.
                if map.delete(bytes_of(&asked.key)).is_ok() {
                    self.names.insert(asked.query.number, asked_for(&asked.query.name).0);
                    self.late.push(asked);
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, live: &mut Live) -> Result<()> {
        self.pending = waiting(live)?;
        Ok(())
    }

    /// Queries without an answer yet.
    fn under_way(&self, _: &Live) -> Result<Option<u64>> {
        Ok(Some(self.pending.len() as u64))
    }

    fn write(&mut self, interval: Interval, context: &mut Context<'_>) {
        let pending = std::mem::take(&mut self.pending);
        if !self.streams {
            return;
        }
        let late = self.late.iter().map(|asked| ("unanswered", asked));
        for (op, asked) in late.chain(pending.iter().map(|asked| ("pending", asked))) {
            let dur_ns = interval.end_ns.saturating_sub(asked.query.sent);
            self.row(asked, &QueryResult { op, at_ns: interval.end_ns, dur_ns, code: None }, context);
        }
    }

    fn derive(&mut self, mut gathered: Vec<Gathered>) -> Vec<Gathered> {
        let metric = types::dns_metric::DNS_NO_ANSWERS.0 as u16;
        for asked in std::mem::take(&mut self.late) {
            let (pid, sub) = (asked.query.pid, asked.query.number << CODE_BITS);
            match gathered.iter_mut().find(|one| (one.metric, one.pid, one.sub) == (metric, pid, sub)) {
                Some(known) => known.merge(&Gathered::counter(metric, pid, sub, 1, 1)),
                None => gathered.push(Gathered::counter(metric, pid, sub, 1, 1)),
            }
        }
        gathered
    }
}

/// The queries that have no answer yet.
fn waiting(live: &Live) -> Result<Vec<Asked>> {
    let map = live.map("queries")?;
    let mut waiting = Vec::new();
    for key in map.keys() {
        let query = map.lookup(&key, MapFlags::ANY)?;
        if let (Some(key), Some(query)) = (crate::bpf::read(&key), query.and_then(|query| crate::bpf::read(&query))) {
            waiting.push(Asked { key, query });
        }
    }
    Ok(waiting)
}

fn asked_for(name: &types::dns_name) -> (String, Option<u16>) {
    let length = usize::try_from(name.length).unwrap_or(0).min(name.question.len());
    question::read(&name.question[..length])
}

impl Dns {
    fn row(&self, asked: &Asked, outcome: &QueryResult, context: &mut Context<'_>) {
        let Asked { key, query } = asked;
        let [local, remote] = [&key.local, &key.remote].map(|one| address(one.high, one.low));
        let mut row = context.rows.row("dns");
        row.at(outcome.at_ns).int(column::PID, query.pid.into()).int(column::TID, query.tid.into());
        row.bytes(column::COMM, &query.comm).text(column::OP, outcome.op).text(column::FAMILY, family(remote));
        row.text(column::DADDR, &remote.to_string()).int(column::DPORT, 53);
        if let Some(column) = self.transport {
            row.text(column, if key.tcp == 0 { "udp" } else { "tcp" });
        }
        if outcome.op == "tcp" {
            return;
        }
        row.int(column::DUR_NS, signed(outcome.dur_ns));
        row.text(column::SADDR, &local.to_string()).int(column::SPORT, key.port.into());
        let (name, kind) = asked_for(&query.name);
        row.text(column::NAME, &name);
        if let (Some(column), Some(kind)) = (self.kind, kind) {
            row.text(column, &question::type_name(kind));
        }
        if let (Some(column), Some(code)) = (self.code, outcome.code) {
            row.text(column, &question::code_name(code));
        }
    }
}
