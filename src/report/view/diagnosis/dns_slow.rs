//! `dns-slow`: a process waited for answers to DNS queries. Precondition: the probe `dns`, and queries of 100 ms and more on average.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "dns-slow", resource: "DNS", view: "dns", outdoes: &["downstream"], find };

/// A mean above which a person notices the delay.
const SLOW_NS: u64 = 100_000_000;

/// The queries of one process.
#[derive(Default)]
struct Queries {
    count: u64,
    ns: u64,
    unanswered: u64,
    slowest_ns: u64,
    slowest: String,
    server: Option<String>,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut by: BTreeMap<Who, Queries> = BTreeMap::new();
    let mut rows = scene.source.rows("dns");
    let (op, name, server) = (rows.text("op"), rows.text("name"), rows.text("daddr"));
    rows.each(|row| {
        let op = row.text(op);
        let (Some(who), true) = (scene.who_of_row(row), matches!(op, Some("answer" | "unanswered" | "pending"))) else {
            return;
        };
        let ns = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        let queries = by.entry(who).or_default();
        queries.count += 1;
        queries.ns = queries.ns.saturating_add(ns);
        queries.unanswered += u64::from(op == Some("unanswered"));
        if ns >= queries.slowest_ns {
            queries.slowest_ns = ns;
            queries.slowest = row.text(name).unwrap_or("?").to_owned();
            queries.server = row.text(server).map(str::to_owned);
        }
    })?;
    let slow = by.iter().filter(|(_, queries)| queries.ns / queries.count.max(1) >= SLOW_NS);
    Ok(slow.filter_map(|(who, queries)| finding(scene, who, queries)).collect())
}

fn finding(scene: &Scene<'_>, who: &Who, queries: &Queries) -> Option<Finding> {
    // Queries for two kinds of addresses are under way at the same time.
    let part = (queries.ns as f64 / 2.0 / scene.span_ns()).min(1.0);
    scene.weight((part * scene.span_ns()) as u64, queries.ns)?;
    let time = |ns: u64| units::duration(whole(ns));
    let mut text = format!(
        "{} waited for names: {} DNS queries took {} each, {} the slowest ({}",
        scene.call(who),
        units::count(queries.count),
        time(queries.ns / queries.count.max(1)),
        time(queries.slowest_ns),
        queries.slowest,
    );
    if let Some(server) = &queries.server {
        text.push_str(&format!(", asked of {server}"));
    }
    text.push(')');
    if queries.unanswered > 0 {
        text.push_str(&format!("; {} had no answer", units::count(queries.unanswered)));
    }
    Some(Finding {
        weight: part.max(0.1),
        text: format!("{text}."),
        victim: scene.owner(who),
        ns: queries.ns,
        percent: 100.0 * part,
        count: queries.count,
        alike: Some(scene.alike(who, queries.server.as_deref().unwrap_or_default())),
        ..Finding::default()
    })
}
