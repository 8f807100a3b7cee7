//! `request-failed`: the routes whose HTTP requests failed most often: status 500 and above, or no whole answer.
//! Precondition: rows of the probe `http`.

use std::cmp::Reverse;

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::routes::Candidate;
use crate::report::view::diagnosis::routes::ROUTES;
use crate::report::view::diagnosis::routes::Routes;
use crate::report::view::diagnosis::routes::requests;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "request-failed", resource: "failed request", view: "http", outdoes: &[], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let routes = Routes::of(scene.source, scene.processes)?;
    let mut failing: Vec<Candidate<'_>> =
        routes.candidates().filter(|candidate| !candidate.route.failed.is_empty()).collect();
    failing.sort_by_key(|candidate| Reverse(failures(candidate)));
    Ok(failing.iter().take(ROUTES).map(finding).collect())
}

fn failures(candidate: &Candidate<'_>) -> u64 {
    candidate.route.failed.values().sum()
}

fn finding(candidate: &Candidate<'_>) -> Finding {
    let (failed, all) = (failures(candidate), candidate.all.count);
    let how: Vec<String> =
        candidate.route.failed.iter().map(|(how, times)| format!("{how} ({})", units::count(*times))).collect();
    let mut text = format!("{}: {} failed, {}", candidate.call(), requests(failed), how.join(", "));
    if all > failed {
        let who = if candidate.is_several() { "they" } else { "it" };
        let did = if candidate.is_client() { "had" } else { "answered" };
        let what = if candidate.is_client() { " answers" } else { "" };
        text.push_str(&format!("; {who} {did} {}{what}", units::count(all)));
    }
    let part = failed as f64 / all.max(failed).max(1) as f64;
    Finding {
        weight: part,
        text: format!("{text}."),
        victim: candidate.owner(),
        percent: 100.0 * part,
        count: failed,
        ..Finding::default()
    }
}
