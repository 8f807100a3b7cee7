//! HTTP requests that someone waited for, or that failed: the route, and whose it is.

use std::cmp::Reverse;
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
use crate::report::read::processes::People;
use crate::report::read::rows::Which;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::routes;
use crate::units;

/// What is slow where the recording does not say what it took for slow, in nanoseconds.
const SLOW_NS: i64 = 100_000_000;
/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;
/// Slow routes, and failing ones, that become findings.
const ROUTES: usize = 2;
/// About what a route takes in memory, and each process of it.
const ROUTE_BYTES: usize = 256;
const PROCESS_BYTES: usize = 48;

/// Method, route, command, and which end of the connection it is. Processes of one command are one: each request may come from
/// another client.
type Key = (Rc<str>, Rc<str>, Rc<str>, Rc<str>);

/// The requests of one route that were slow, and those that failed.
#[derive(Debug, Default)]
struct Route {
    processes: BTreeSet<Which>,
    slow: u64,
    slow_ns: u64,
    slowest_ns: u64,
    statuses: BTreeMap<i64, u64>,
    failed: BTreeMap<String, u64>,
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
struct All {
    count: u64,
    ns: u64,
}

type ByCommand = BTreeMap<(String, String), All>;

/// Slow routes, those that took most time first, then failing ones, those that failed most often first.
pub(super) fn findings(source: &Source, people: &People) -> Result<Vec<Finding>> {
    let routes = routes_of(source, people)?;
    if routes.is_empty() {
        return Ok(Vec::new());
    }
    let all = all(source, people)?;
    // A request whose server was recorded is the server's; its client only waited for it.
    let served = |(method, path, _, side): &Key| {
        let same = |own: &Key| (&own.0, &own.1) == (method, path) && &*own.3 == "server";
        &**side == "server" || !routes.keys().any(same)
    };
    let mut told: Vec<(&Key, &Route)> = routes.iter().filter(|(key, _)| served(key)).collect();
    told.sort_by_key(|(_, route)| Reverse(route.slow_ns));
    let slow = told.iter().filter(|(_, route)| route.slow > 0).take(ROUTES);
    let mut findings: Vec<Finding> = slow.map(|(key, route)| slow_finding(source, &all, key, route)).collect();
    let failures = |route: &Route| route.failed.values().sum::<u64>();
    told.sort_by_key(|(_, route)| Reverse(failures(route)));
    let failed = told.iter().filter(|(_, route)| !route.failed.is_empty()).take(ROUTES);
    findings.extend(failed.map(|(key, route)| failed_finding(&all, key, route)));
    Ok(findings)
}

fn threshold(source: &Source) -> i64 {
    let http = source.meta().probes.iter().find(|probe| probe.name == "http");
    http.and_then(|http| http.settings.get("slow_ns")?.as_i64()).unwrap_or(SLOW_NS)
}

fn routes_of(source: &Source, people: &People) -> Result<BTreeMap<Key, Route>> {
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
            let comm = row.which().and_then(|which| people.one(&which)?.comm.as_deref()).or(row.comm());
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
fn all(source: &Source, people: &People) -> Result<ByCommand> {
    let tally = Tally::totals_of(source, &["pid", "comm", "http_side"], |name| name == metrics::HTTP_LATENCY)?;
    let mut by = ByCommand::new();
    tally.groups(metrics::HTTP_LATENCY, |dims, requests| {
        let [pid, comm, side] = dims else { return };
        let comm = people.of_dims(pid, comm).unwrap_or("").to_owned();
        let own = by.entry((comm, side.text().unwrap_or("").to_owned())).or_default();
        own.count = own.count.saturating_add(count(requests));
        own.ns = own.ns.saturating_add(sum(requests));
    })?;
    Ok(by)
}

/// `GET /slow/report of python3 (4242)`, `… of nginx (4 processes)`; of a client, `… asked by curl (4243)`.
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

fn requests(number: u64) -> String {
    format!("{} request{}", units::count(number), if number == 1 { "" } else { "s" })
}

fn slow_finding(source: &Source, all: &ByCommand, key: &Key, route: &Route) -> Finding {
    let all = route.all(all, key);
    let percent = 100.0 * route.slow_ns as f64 / all.ns.max(route.slow_ns).max(1) as f64;
    let statuses: Vec<String> = route.statuses.keys().map(i64::to_string).collect();
    let time = |ns: u64| units::duration(whole(ns));
    let mut text = format!("{}: {} of status {}", call(key, route), requests(route.slow), statuses.join(", "));
    if route.slow == 1 {
        text.push_str(&format!(" took {}", time(route.slow_ns)));
    } else {
        let mean = time(route.slow_ns / route.slow.max(1));
        text.push_str(&format!(" took {mean} each, {} the slowest", time(route.slowest_ns)));
    }
    if all.count > 0 {
        let whose = if route.processes.len() > 1 { "their" } else { "its" };
        text.push_str(&format!("; {} of the time of {whose} {}", units::percent(percent), requests(all.count)));
    }
    let of_window = route.slow_ns as f64 / (source.span_ns() as f64).max(1.0);
    Finding {
        weight: of_window.min(1.0) * percent / 100.0,
        resource: "slow request",
        text: format!("{text}."),
        victim: key.2.to_string(),
        victim_pid: route.only(),
        ns: route.slow_ns,
        percent,
        count: route.slow,
        ..Finding::default()
    }
}

fn failed_finding(all: &ByCommand, key: &Key, route: &Route) -> Finding {
    let all = route.all(all, key);
    let failed: u64 = route.failed.values().sum();
    let how: Vec<String> =
        route.failed.iter().map(|(how, times)| format!("{how} ({})", units::count(*times))).collect();
    let mut text = format!("{}: {} failed, {}", call(key, route), requests(failed), how.join(", "));
    if all.count > failed {
        let who = if route.processes.len() > 1 { "they" } else { "it" };
        text.push_str(&match &*key.3 {
            "client" => format!("; {who} had {} answers", units::count(all.count)),
            _ => format!("; {who} answered {}", units::count(all.count)),
        });
    }
    Finding {
        weight: failed as f64 / all.count.max(failed).max(1) as f64,
        resource: "failed request",
        text: format!("{text}."),
        victim: key.2.to_string(),
        victim_pid: route.only(),
        percent: 100.0 * failed as f64 / all.count.max(failed).max(1) as f64,
        count: failed,
        ..Finding::default()
    }
}
