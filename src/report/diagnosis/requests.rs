//! HTTP requests that someone waited for, or that failed: the route, and whose it is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::diagnosis::Finding;
use crate::report::limit::Limit;
use crate::report::metrics;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::source::Row;
use crate::report::source::Source;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::sum;
use crate::routes;
use crate::units;

/// What is slow where the recording does not say what it took for slow, in nanoseconds.
const SLOW_NS: i64 = 100_000_000;
/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;
/// Routes of either sort that are told of.
const ROUTES: usize = 2;
/// About what a route takes in memory.
const ROUTE_BYTES: usize = 256;

/// Method, route, process, and which end of the connection it is.
type Key = (Rc<str>, Rc<str>, Option<i64>, Rc<str>);

/// The requests of one route that were slow, and those that failed.
#[derive(Debug, Default)]
struct Route {
    comm: Option<String>,
    slow: u64,
    slow_ns: u64,
    slowest_ns: u64,
    statuses: BTreeMap<i64, u64>,
    failed: BTreeMap<String, u64>,
}

/// All requests of a process at one side.
#[derive(Clone, Copy, Debug, Default)]
struct All {
    count: u64,
    ns: u64,
}

/// Slow routes, those that took most time first, then failing ones, those that failed most often first.
pub(super) fn findings(source: &Source, people: &People) -> Result<Vec<Finding>> {
    let routes = routes_of(source, people)?;
    if routes.is_empty() {
        return Ok(Vec::new());
    }
    let all = all(source)?;
    // A request whose server was recorded is the server's; its client only waited for it.
    let served = |(method, path, _, side): &Key| {
        let same = |own: &Key| (&own.0, &own.1) == (method, path) && &*own.3 == "server";
        &**side == "server" || !routes.keys().any(same)
    };
    let mut told: Vec<(&Key, &Route)> = routes.iter().filter(|(key, _)| served(key)).collect();
    told.sort_by_key(|(_, route)| Reverse(route.slow_ns));
    let slow = told.iter().filter(|(_, route)| route.slow > 0).take(ROUTES);
    let mut findings: Vec<Finding> = slow.map(|(key, route)| slow_finding(source, people, &all, key, route)).collect();
    let failures = |route: &Route| route.failed.values().sum::<u64>();
    told.sort_by_key(|(_, route)| Reverse(failures(route)));
    let failed = told.iter().filter(|(_, route)| !route.failed.is_empty()).take(ROUTES);
    findings.extend(failed.map(|(key, route)| failed_finding(people, &all, key, route)));
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
        source.rows(kind, &["http_status"], &["op", "http_path", "http_side"], |row| {
            let (status, took) = (row.int(0), row.dur().unwrap_or(0));
            let failure = match (kind, status) {
                ("http", Some(status)) if status >= FAILED => Some(format!("status {status}")),
                ("http", _) => None,
                _ => Some("no whole answer".to_owned()),
            };
            let slow = kind == "http" && took >= least;
            if !slow && failure.is_none() {
                return;
            }
            let key = key(row, &mut limit);
            if !routes.contains_key(&key) && !limit.take(ROUTE_BYTES) {
                return;
            }
            let route = routes.entry(key).or_default();
            if route.comm.is_none() {
                route.comm = row.pid().and_then(|pid| people.comm(pid)).or_else(|| row.comm()).map(str::to_owned);
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

fn key(row: &Row<'_>, limit: &mut Limit) -> Key {
    let path = routes::fold(row.text(1).unwrap_or(""));
    (limit.name(row.text(0).unwrap_or("?")), limit.name(&path), row.pid(), limit.name(row.text(2).unwrap_or("")))
}

/// All requests, also those that were not streamed, by process and side.
fn all(source: &Source) -> Result<BTreeMap<(Option<i64>, String), All>> {
    let tally = Tally::totals_of(source, &["pid", "http_side"], |name| name == metrics::HTTP_LATENCY)?;
    let mut by = BTreeMap::new();
    tally.groups(metrics::HTTP_LATENCY, |dims, requests| {
        let [pid, side] = dims else { return };
        let own = All { count: count(requests), ns: sum(requests) };
        by.insert((pid.int(), side.text().unwrap_or("").to_owned()), own);
    })?;
    Ok(by)
}

/// `GET /slow/report of python3 (4242)`; of a client, `… asked by curl (4243)`.
fn call(people: &People, key: &Key, route: &Route) -> String {
    let (method, path, pid, side) = key;
    let of = if &**side == "client" { "asked by" } else { "of" };
    let who = pid.map_or_else(|| "a process".to_owned(), |pid| people.call(pid, route.comm.as_deref()));
    format!("{method} {path} {of} {who}")
}

fn requests(number: u64) -> String {
    format!("{} request{}", units::count(number), if number == 1 { "" } else { "s" })
}

fn slow_finding(
    source: &Source,
    people: &People,
    all: &BTreeMap<(Option<i64>, String), All>,
    key: &Key,
    route: &Route,
) -> Finding {
    let all = all.get(&(key.2, key.3.to_string())).copied().unwrap_or_default();
    let percent = 100.0 * route.slow_ns as f64 / all.ns.max(route.slow_ns).max(1) as f64;
    let statuses: Vec<String> = route.statuses.keys().map(i64::to_string).collect();
    let time = |ns: u64| units::duration(whole(ns));
    let mut text = format!("{}: {} of status {}", call(people, key, route), requests(route.slow), statuses.join(", "));
    if route.slow == 1 {
        text.push_str(&format!(" took {}", time(route.slow_ns)));
    } else {
        let mean = time(route.slow_ns / route.slow.max(1));
        text.push_str(&format!(" took {mean} each, {} the slowest", time(route.slowest_ns)));
    }
    if all.count > 0 {
        text.push_str(&format!("; {} of the time of its {}", units::percent(percent), requests(all.count)));
    }
    let of_window = route.slow_ns as f64 / (source.span_ns() as f64).max(1.0);
    Finding {
        weight: of_window.min(1.0) * percent / 100.0,
        resource: "slow request",
        text: format!("{text}."),
        victim: route.comm.clone().unwrap_or_default(),
        victim_pid: key.2,
        ns: route.slow_ns,
        percent,
        count: route.slow,
        ..Finding::default()
    }
}

fn failed_finding(people: &People, all: &BTreeMap<(Option<i64>, String), All>, key: &Key, route: &Route) -> Finding {
    let all = all.get(&(key.2, key.3.to_string())).copied().unwrap_or_default();
    let failed: u64 = route.failed.values().sum();
    let how: Vec<String> =
        route.failed.iter().map(|(how, times)| format!("{how} ({})", units::count(*times))).collect();
    let mut text = format!("{}: {} failed, {}", call(people, key, route), requests(failed), how.join(", "));
    if all.count > failed {
        text.push_str(&format!("; it answered {}", units::count(all.count)));
    }
    Finding {
        weight: failed as f64 / all.count.max(failed).max(1) as f64,
        resource: "failed request",
        text: format!("{text}."),
        victim: route.comm.clone().unwrap_or_default(),
        victim_pid: key.2,
        percent: 100.0 * failed as f64 / all.count.max(failed).max(1) as f64,
        count: failed,
        ..Finding::default()
    }
}
