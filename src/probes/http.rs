//! HTTP/1: how long requests took, by process, method and status; the slow and the failed ones one by one.

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::bytes_of;
use crate::bpf::cells::Gathered;
use crate::bpf::frames::Sweeper;
use crate::bpf::io_calls;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::names::syscalls::Arch;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Switch;
use crate::probe::Thins;
use crate::probe::attached::Context;
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

use self::hooks::Wanted;
use self::libssl::Libraries;
use self::methods::Methods;
use self::routes::Routes;

mod hooks;
mod libssl;
mod methods;
mod routes;

object! {
    name: "http",
    // A hundred pairs of processes, methods and statuses, each with the thirty buckets of a distribution.
    cells: 4096,
    // SAFETY: integers only, as bpf/http/{conn,calls,route}.h declare them.
    unsafe plain: http_record, http_knobs, method_name, route, conn,
}

/// Cells when routes are kept apart: five hundred of them.
const CELLS_BY_ROUTE: u32 = 16_384;

const STATUS: &str = "http_status";
const SIDE: &str = "http_side";
const TLS: &str = "http_tls";
const PATH: &str = "http_path";
const ROUTE: &str = "http_route";
/// The place of the switch `query`.
const QUERY: usize = 0;
/// The place of the switch `route`.
const BY_ROUTE: usize = 1;
/// The place of the switch `syscalls`.
const BY_CALLS: usize = 2;

static INFO: ProbeInfo = ProbeInfo {
    name: "http",
    summary: "Latency of HTTP/1 requests by process, method and status, for servers and clients, over TCP and Unix sockets, in cleartext and through libssl.",
    slow: Some(std::time::Duration::from_millis(100)),
    switches: &[
        Switch { name: "query", help: "Also keep the query string (after '?') of a path." },
        Switch {
            name: "route",
            help: "Also count by route: the path with {id} for numbers, UUIDs and hashes; 'other' after 1,024 of them.",
        },
        Switch {
            name: "syscalls",
            help: "Follow system calls instead of sockets, as before Linux 6.16: this includes splice, at a higher cost.",
        },
    ],
    metrics: &[
        Metric {
            number: types::http_metric::HTTP_LATENCY.0 as u16,
            name: "http.latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "op", STATUS, SIDE, TLS, ROUTE],
            help: "Time from a request's first byte, read by the server or written by the client, to its answer's last byte, \
                   written or read; both within the window.",
            events: Some("http"),
        },
        Metric {
            number: types::http_metric::HTTP_UNANSWERED_COUNT.0 as u16,
            name: "http.unanswered",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "op", STATUS, SIDE, TLS, ROUTE],
            help: "Requests whose connection ended before their answer did; with the status, if it had arrived.",
            events: None,
        },
        Metric {
            number: types::http_metric::HTTP_UNPARSED.0 as u16,
            name: "http.unparsed",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "cause"],
            help: "Traffic that may be HTTP and is missing from the latencies, by cause: connections that use HTTP/2, QUIC, 32-bit code or \
                   TLS other than libssl's, that switched to another protocol or could not be followed, and requests and answers without \
                   their other half.",
            events: None,
        },
    ],
    kinds: &[
        EventKind {
            name: "http",
            help: "A request was answered; its answer ended after dur_ns. Slow mode has the slow ones and those with status 500 or more.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "op",
                "bytes",
                "family",
                "sport",
                "dport",
                "http_status",
                "http_side",
                "http_tls",
                "http_path",
            ],
        },
        EventKind {
            name: "http_unanswered",
            help: "A request's connection ended, dur_ns after the request began, before the answer did.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "op",
                "bytes",
                "family",
                "sport",
                "dport",
                "http_status",
                "http_side",
                "http_tls",
                "http_path",
            ],
        },
    ],
    columns: &[
        Column { name: STATUS, ty: ColumnType::Int16, title: "Status", unit: None, help: "Status code of the answer." },
        Column {
            name: SIDE,
            ty: ColumnType::Text(Holds::Word),
            title: "Side",
            unit: None,
            help: "Which end of the connection the process is: 'server' or 'client'.",
        },
        Column {
            name: TLS,
            ty: ColumnType::Text(Holds::Word),
            title: "TLS",
            unit: None,
            help: "Whether the request used TLS, through libssl: 'yes' or 'no'.",
        },
        Column {
            name: PATH,
            ty: ColumnType::Text(Holds::Url),
            title: "Path",
            unit: None,
            help: "Path of the request, without its query string unless http:query=on; at most 80 bytes.",
        },
        Column {
            name: ROUTE,
            ty: ColumnType::Text(Holds::Url),
            title: "Route",
            unit: None,
            help: "The path with {id} for numbers, UUIDs and hashes; 'other' stands for routes beyond the limit. With http:route=on.",
        },
    ],
    holds: &[("op", Holds::Method)],
    watches: &[
        Watch::duration("http.latency", "http", "Time from a request to the end of its answer."),
        Watch {
            name: "http.status",
            kind: "http",
            only: None,
            value: Some(Watched { column: STATUS, less: None, absent: None, unit: Unit::Count }),
            streamed: Streamed::From(500),
            help: "Status of an answer.",
        },
        Watch::occurrence("http.unanswered", "http_unanswered", "A connection ended before the answer did."),
    ],
    hooks: &[
        "tp_btf/tcp_sendmsg_locked",
        "tp_btf/sock_send_length",
        "tp_btf/sock_recv_length",
        "tp_btf/sys_enter",
        "tp_btf/sys_exit",
        "tp_btf/inet_sock_set_state",
        "tp_btf/sched_process_free",
        "tp_btf/io_uring_submit_req",
        "uprobe/SSL_new",
        "uprobe/SSL_free",
        "uprobe/SSL_read",
        "uprobe/SSL_read_ex",
        "uprobe/SSL_write",
        "uprobe/SSL_write_ex",
        "uprobe/SSL_sendfile",
        "uprobe/SSL_*",
        "tp_btf/sched_process_exit",
        "tp_btf/sched_process_exec",
    ],
    cost: "about 0.7 microseconds for each request and side; before Linux 6.16 a tenth of one for each system call, too",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Http {
    status: Option<ColumnId>,
    side: Option<ColumnId>,
    tls: Option<ColumnId>,
    path: Option<ColumnId>,
    route: Option<ColumnId>,
    query: bool,
    methods: Methods,
    /// `None`: nothing is kept by route.
    routes: Option<Routes>,
    libraries: Libraries,
    sweeper: Sweeper,
}

impl BuiltIn for Http {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Http {
        let id = |name| setup.schema.id(name);
        Http {
            status: id(STATUS),
            side: id(SIDE),
            tls: id(TLS),
            path: id(PATH),
            route: id(ROUTE),
            query: setup.settings.is_on(QUERY),
            methods: Methods::default(),
            routes: setup.settings.is_on(BY_ROUTE).then(Routes::default),
            libraries: Libraries::new(setup.host.kernel.at_least(5, 15)),
            sweeper: Sweeper::default(),
        }
    }

    fn knobs(setup: &Setup<'_>) -> Option<Vec<u8>> {
        let mut knobs = types::http_knobs { calls: io_calls::table(Arch::of(&setup.host.arch)), ..Default::default() };
        knobs.cookies = u8::from(setup.host.kernel.at_least(5, 15));
        knobs.routes = u8::from(setup.settings.is_on(BY_ROUTE));
        Some(bytes_of(&knobs).to_vec())
    }

    fn choose(setup: &Setup<'_>, open: &mut OpenObject) -> Vec<String> {
        let calls = setup.settings.is_on(BY_CALLS);
        hooks::choose(open, Wanted { calls, links: setup.host.kernel.at_least(6, 6) })
    }

    fn cells(setup: &Setup<'_>) -> u32 {
        if setup.settings.is_on(BY_ROUTE) { CELLS_BY_ROUTE } else { OBJECT.cells }
    }
}

/// What the packing of `enum http_sub` holds.
struct Sub {
    method: u32,
    side: &'static str,
    tls: &'static str,
    status: Option<i64>,
}

impl Sub {
    fn of(sub: u64) -> Sub {
        use types::http_sub as bits;
        let has = |bit: types::http_sub| sub & u64::from(bit.0) != 0;
        let status = sub >> bits::HTTP_SUB_STATUS_SHIFT.0 & 0xffff;
        Sub {
            method: sub as u32 & bits::HTTP_SUB_METHOD.0,
            side: if has(bits::HTTP_SUB_CLIENT) { "client" } else { "server" },
            tls: if has(bits::HTTP_SUB_TLS) { "yes" } else { "no" },
            status: (status != 0).then_some(signed(status)),
        }
    }
}

/// Why something is not among the latencies.
fn reason(number: u64) -> &'static str {
    match types::http_reason(number as u32) {
        types::http_reason::UNPARSED_HTTP2 => "HTTP/2",
        types::http_reason::UNPARSED_UPGRADED => "left HTTP",
        types::http_reason::UNPARSED_NO_REQUEST => "answer without request",
        types::http_reason::UNPARSED_PIPELINE => "pipeline too long",
        types::http_reason::UNPARSED_OUT_OF_STEP => "message end not found",
        types::http_reason::UNPARSED_MANY_PARTS => "too many parts in a call",
        types::http_reason::UNPARSED_TLS => "TLS not by a known libssl",
        types::http_reason::UNPARSED_RING => "io_uring",
        types::http_reason::UNPARSED_QUIC => "QUIC",
        types::http_reason::UNPARSED_COMPAT => "32-bit code",
        types::http_reason::UNPARSED_UNSEEN => "bytes moved unseen",
        _ => "unknown",
    }
}

/// The address family of a socket by its number in the kernel, the same on all architectures.
fn family(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("unix"),
        2 => Some("ipv4"),
        10 => Some("ipv6"),
        _ => None,
    }
}

/// The target of a request line out of its first bytes: up to the space, and to the '?' unless the query is wanted.
fn path(bytes: &[u8], query: bool) -> String {
    let ends = |byte: &u8| *byte <= b' ' || (*byte == b'?' && !query);
    let end = bytes.iter().position(ends).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

impl Decoder for Http {
    /// Requests whose answer has not ended.
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        let map = live.map("conns")?;
        let mut waiting: u64 = 0;
        for key in map.keys() {
            let conn = map.lookup(&key, MapFlags::ANY)?.and_then(|conn| read::<types::conn>(&conn).ok());
            let of_conn = |conn: types::conn| u64::from(conn.tail.wrapping_sub(conn.head)) + u64::from(conn.over);
            waiting = waiting.saturating_add(conn.map_or(0, of_conn));
        }
        Ok(Some(waiting))
    }

    fn attached(&mut self, live: &mut Live) -> Result<()> {
        for refused in self.libraries.attach_new(live) {
            live.leaves_out(refused);
        }
        Ok(())
    }

    fn attaches_more(&self) -> bool {
        true
    }

    /// Libraries that came since: a process that brings its own is seen from the next interval on.
    fn ending_interval(&mut self, live: &Live) -> Result<()> {
        self.libraries.attach_new(live);
        Ok(())
    }

    fn end_interval(&mut self, live: &Live, _: u64) -> Result<()> {
        self.sweeper.sweep(live)?;
        self.methods.learn(live)?;
        self.routes.as_mut().map_or(Ok(()), |routes| routes.learn(live))
    }

    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let record: types::http_record = read(bytes)?;
        let header = record.header;
        let kind = match types::http_event(header.event.into()) {
            types::http_event::HTTP_ANSWERED => "http",
            types::http_event::HTTP_UNANSWERED => "http_unanswered",
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let sub = Sub::of(header.pad.into());
        let mut row = context.rows.row(kind);
        row.at(header.ts).int(column::DUR_NS, signed(record.took_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into())
            .int(column::TID, header.tid.into())
            .bytes(column::COMM, &record.comm)
            .text(column::OP, &methods::of_record(sub.method, &record.path));
        row.int(column::BYTES, signed(record.bytes));
        if let Some(family) = family(record.family) {
            row.text(column::FAMILY, family);
        }
        if record.port != 0 {
            row.int(column::SPORT, record.port.into()).int(column::DPORT, record.peer_port.into());
        }
        if let Some((column, status)) = self.status.zip(sub.status) {
            row.int(column, status);
        }
        let kept = record.path.get(..record.path_bytes.into()).unwrap_or(&record.path);
        let path = path(kept, self.query);
        for (column, text) in [(self.side, sub.side), (self.tls, sub.tls), (self.path, &path)] {
            if let Some(column) = column {
                row.text(column, text);
            }
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        if metric == "http.unparsed" {
            key.push(KeyPart::Text(column::CAUSE, reason(gathered.sub).to_owned()));
            if gathered.sub == u64::from(types::http_reason::UNPARSED_TLS.0) {
                // It may have loaded a libssl since it was looked at.
                self.libraries.look_again(gathered.pid);
            }
            return key;
        }
        let sub = Sub::of(gathered.sub);
        key.push(KeyPart::Text(column::OP, self.methods.name(sub.method).to_owned()));
        key.extend(self.status.zip(sub.status).map(|(column, status)| KeyPart::Int(column, status)));
        key.extend(self.side.map(|column| KeyPart::Text(column, sub.side.to_owned())));
        key.extend(self.tls.map(|column| KeyPart::Text(column, sub.tls.to_owned())));
        if let (Some(column), Some(routes)) = (self.route, &self.routes) {
            let number = (gathered.sub >> types::http_sub::HTTP_SUB_ROUTE_SHIFT.0) as u32;
            key.push(KeyPart::Text(column, routes.name(number).to_owned()));
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::Sub;
    use super::path;

    #[test]
    fn a_query_stays_out_of_the_file_unless_it_is_asked_for() {
        assert_eq!(path(b"/pay?card=4111 HTTP/1.1\r\n", false), "/pay");
        assert_eq!(path(b"/pay?card=4111 HTTP/1.1\r\n", true), "/pay?card=4111");
        assert_eq!(path(b"/cut", false), "/cut");
        assert_eq!(path(b"", false), "");
    }

    #[test]
    fn what_a_metric_is_kept_by_is_unpacked() {
        let sub = Sub::of(404 << 16 | 1 << 8 | 3);
        assert_eq!((sub.method, sub.side, sub.tls, sub.status), (3, "client", "no", Some(404)));
        let sub = Sub::of(1 << 9 | 1);
        assert_eq!((sub.method, sub.side, sub.tls, sub.status), (1, "server", "yes", None));
    }
}
