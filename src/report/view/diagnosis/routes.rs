//! The routes of HTTP requests that were slow or failed, for the rules about them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Which;
use crate::routes;
use crate::units;

/// What is slow where the recording does not say what it took for slow, in nanoseconds.
const SLOW_NS: i64 = 100_000_000;
/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;
/// Slow routes, and failing ones, that become findings.
pub(super) const ROUTES: usize = 2;
/// About what a route takes in memory, and each process of it.
const ROUTE_BYTES: usize = 256;
const PROCESS_BYTES: usize = 48;

/// Method, route, command, and which end of the connection it is. Processes of one command are one: each request may come from
/// another client.
type Key = (Rc<str>, Rc<str>, Rc<str>, Rc<str>);

/// The requests of one route that were slow, and those that failed.
#[derive(Debug, Default)]
pub(super) struct Route {
    processes: BTreeSet<Which>,
    pub(super) slow: u64,
    pub(super) slow_ns: u64,
    pub(super) slowest_ns: u64,
    /// How many slow ones had each status.
    pub(super) statuses: BTreeMap<i64, u64>,
    /// How many failed in each way.
    pub(super) failed: BTreeMap<String, u64>,
}

impl Route {
    /// The process, where it is one.
    fn only(&self) -> Option<i64> {
        self.processes.first().filter(|_| self.processes.len() == 1).map(|which| which.pid)
    }

    /// What its command was asked in all.
    fn all(&self, all: &ByCommand, (_, _, comm, side): &Key) -> All {
        all.get(&(comm.to_string(), side.to_string())).copied().unwrap_or_default()
    }
}

/// All requests of a command at one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct All {
    pub(super) count: u64,
    pub(super) ns: u64,
}

type ByCommand = BTreeMap<(String, String), All>;

/// Routes with slow or failed requests, and what their commands were asked in all.
pub(super) struct Routes {
    routes: BTreeMap<Key, Route>,
    all: ByCommand,
}

impl Routes {
    /// Reads them.
    pub(super) fn of(source: &Source, processes: &ProcessTable) -> Result<Routes> {
        let routes = routes_of(source, processes)?;
        let all = if routes.is_empty() { ByCommand::new() } else { all(source, processes)? };
        Ok(Routes { routes, all })
    }

    /// Those whose server was recorded are the server's, since its client only waited for it; the others are the client's.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let served = |(method, path, _, side): &Key| {
            let same = |own: &Key| (&own.0, &own.1) == (method, path) && &*own.3 == "server";
            &**side == "server" || !self.routes.keys().any(same)
        };
        let routes = self.routes.iter().filter(move |(key, _)| served(key));
        routes.map(|(key, route)| Candidate { key, route, all: route.all(&self.all, key) })
    }
}

/// A route that findings may be about.
pub(super) struct Candidate<'r> {
    key: &'r Key,
    /// Its slow and failed requests.
    pub(super) route: &'r Route,
    /// All requests of its command.
    pub(super) all: All,
}

impl Candidate<'_> {
    /// Whose it is.
    pub(super) fn owner(&self) -> Owner {
        Owner { comm: Some(self.key.2.to_string()), pid: self.route.only() }
    }

    /// Whether it was seen at the asking side.
    pub(super) fn is_client(&self) -> bool {
        &*self.key.3 == "client"
    }

    /// `GET /slow/report of python3 (4242)`, `… of nginx (4 processes)`; of a client, `… asked by curl (4243)`.
    pub(super) fn call(&self) -> String {
        call(self.key, self.route)
    }

    /// `its`, `their`.
    pub(super) fn is_several(&self) -> bool {
        self.route.processes.len() > 1
    }
}

fn threshold(source: &Source) -> i64 {
    let http = source.meta().probes.iter().find(|probe| probe.name == "http");
    http.and_then(|http| http.settings.get("slow_ns")?.as_i64()).unwrap_or(SLOW_NS)
}

fn routes_of(source: &Source, processes: &ProcessTable) -> Result<BTreeMap<Key, Route>> {
    let least = threshold(source);
    let mut routes: BTreeMap<Key, Route> = BTreeMap::new();
    let mut limit = Limit::new();
    for kind in ["http", "http_unanswered"] {
        let mut rows = source.rows(kind);
        let status = rows.int("http_status");
        let (method, path, side) = (rows.text("op"), rows.text("http_path"), rows.text("http_side"));
        rows.each(|row| {
            let (status, took) = (row.int(status), row.dur().unwrap_or(0));
            let failure = match (kind, status) {
                ("http", Some(status)) if status >= FAILED => Some(format!("status {status}")),
                ("http", _) => None,
                _ => Some("no whole answer".to_owned()),
            };
            let slow = kind == "http" && took >= least;
            if !slow && failure.is_none() {
                return;
            }
            let comm = row.which().and_then(|which| processes.one(&which)?.comm.as_deref()).or(row.comm());
            let key = (
                limit.name(row.text(method).unwrap_or("?")),
                limit.name(&routes::fold(row.text(path).unwrap_or(""))),
                limit.name(comm.unwrap_or("")),
                limit.name(row.text(side).unwrap_or("")),
            );
            if !routes.contains_key(&key) && !limit.take(ROUTE_BYTES) {
                return;
            }
            let route = routes.entry(key).or_default();
            if row.which().is_some_and(|which| route.processes.insert(which)) {
                limit.take(PROCESS_BYTES);
            }
            if slow {
                let took = u64::try_from(took).unwrap_or(0);
                route.slow += 1;
                route.slow_ns = route.slow_ns.saturating_add(took);
                route.slowest_ns = route.slowest_ns.max(took);
                *route.statuses.entry(status.unwrap_or(0)).or_default() += 1;
            }
            if let Some(failure) = failure {
                *route.failed.entry(failure).or_default() += 1;
            }
        })?;
    }
    limit.check(source, "routes")?;
    Ok(routes)
}

/// All requests, also those that were not streamed, by command and side.
fn all(source: &Source, processes: &ProcessTable) -> Result<ByCommand> {
    let tally = Tally::totals_of(source, &["pid", "comm", "http_side"], |name| name == metrics::HTTP_LATENCY)?;
    let mut by = ByCommand::new();
    tally.groups(metrics::HTTP_LATENCY, |dims, requests| {
        let [pid, comm, side] = dims else { return };
        let comm = processes.of_dims(pid, comm).unwrap_or("").to_owned();
        let own = by.entry((comm, side.text().unwrap_or("").to_owned())).or_default();
        own.count = own.count.saturating_add(count(requests));
        own.ns = own.ns.saturating_add(sum(requests));
    })?;
    Ok(by)
}

fn call((method, path, comm, side): &Key, route: &Route) -> String {
    let of = if &**side == "client" { "asked by" } else { "of" };
    let who = match (&**comm, route.only(), route.processes.len()) {
        ("", Some(pid), _) => format!("process {pid}"),
        ("", None, 0) => "a process".to_owned(),
        ("", None, several) => format!("{} processes", units::count(several as u64)),
        (comm, Some(pid), _) => format!("{comm} ({pid})"),
        (comm, None, 0) => comm.to_owned(),
        (comm, None, several) => format!("{comm} ({} processes)", units::count(several as u64)),
    };
    format!("{method} {path} {of} {who}")
}

/// `1 request`, `20 requests`.
pub(super) fn requests(number: u64) -> String {
    format!("{} request{}", units::count(number), if number == 1 { "" } else { "s" })
}
