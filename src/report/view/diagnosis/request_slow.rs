//! `request-slow`: the routes whose slow HTTP requests took most time. Precondition: rows of the probe `http`.

use std::cmp::Reverse;

use anyhow::Result;

use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::routes::Candidate;
use crate::report::view::diagnosis::routes::ROUTES;
use crate::report::view::diagnosis::routes::Routes;
use crate::report::view::diagnosis::routes::requests;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "request-slow", resource: "slow request", view: "http", outdoes: &[], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let routes = Routes::of(scene.source, scene.processes)?;
    let mut slow: Vec<Candidate<'_>> = routes.candidates().filter(|candidate| candidate.route.slow > 0).collect();
    slow.sort_by_key(|candidate| Reverse(candidate.route.slow_ns));
    Ok(slow.iter().take(ROUTES).map(|candidate| finding(scene, candidate)).collect())
}

fn finding(scene: &Scene<'_>, candidate: &Candidate<'_>) -> Finding {
    let (route, all) = (candidate.route, candidate.all);
    let percent = 100.0 * route.slow_ns as f64 / all.ns.max(route.slow_ns).max(1) as f64;
    let statuses: Vec<String> = route.statuses.keys().map(i64::to_string).collect();
    let time = |ns: u64| units::duration(whole(ns));
    let mut text = format!("{}: {} of status {}", candidate.call(), requests(route.slow), statuses.join(", "));
    if route.slow == 1 {
        text.push_str(&format!(" took {}", time(route.slow_ns)));
    } else {
        let mean = time(route.slow_ns / route.slow.max(1));
        text.push_str(&format!(" took {mean} each, {} the slowest", time(route.slowest_ns)));
    }
    if all.count > 0 {
        let whose = if candidate.is_several() { "their" } else { "its" };
        text.push_str(&format!("; {} of the time of {whose} {}", units::percent(percent), requests(all.count)));
    }
    let of_window = route.slow_ns as f64 / scene.span_ns();
    Finding {
        weight: of_window.min(1.0) * percent / 100.0,
        text: format!("{text}."),
        victim: candidate.owner(),
        ns: route.slow_ns,
        percent,
        count: route.slow,
        ..Finding::default()
    }
}
