//! `dns-search`: a process looked names up in search domains first, where they are not. Precondition: the probe `dns`; names that failed
//! and begin with one that the same process found.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::metrics;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::scene::LEAST_AFFECTED;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "dns-search", resource: "DNS", view: "dns", outdoes: &["downstream"], find };

/// Fewer queries in vain are not a habit.
const LEAST: u64 = 10;

/// Answers about one name.
#[derive(Default)]
struct Name {
    answers: u64,
    ns: u64,
    failures: u64,
}

impl Name {
    fn failed(&self) -> bool {
        self.failures > 0 && self.failures >= self.answers / 2
    }
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let wanted = [metrics::DNS_LATENCY, metrics::DNS_FAILURES];
    let tally = Tally::of(scene.source, &["pid", "comm", "name"], |name| wanted.contains(&name))?;
    let mut by: BTreeMap<Who, BTreeMap<String, Name>> = BTreeMap::new();
    for metric in wanted {
        tally.groups(metric, |dims, values| {
            let [process, comm, name] = dims else { return };
            let names = by.entry(scene.who(process, comm)).or_default();
            let name = names.entry(name.word()).or_default();
            if metric == metrics::DNS_LATENCY {
                name.answers = name.answers.saturating_add(count(values));
                name.ns = name.ns.saturating_add(sum(values));
            } else {
                name.failures = name.failures.saturating_add(count(values));
            }
        })?;
    }
    Ok(by.iter().filter_map(|(who, names)| finding(scene, who, names)).collect())
}

fn finding(scene: &Scene<'_>, who: &Who, names: &BTreeMap<String, Name>) -> Option<Finding> {
    let found = |name: &str| names.get(name).is_some_and(|name| !name.failed());
    let in_vain: Vec<(&String, &Name)> = names
        .iter()
        .filter(|(_, name)| name.failed())
        .filter(|(text, _)| text.match_indices('.').any(|(at, _)| text.get(..at).is_some_and(found)))
        .collect();
    let (example, _) = in_vain.iter().max_by_key(|(_, name)| name.answers)?;
    let queries = in_vain.iter().fold(0u64, |sum, (_, name)| sum.saturating_add(name.answers));
    let ns = in_vain.iter().fold(0u64, |sum, (_, name)| sum.saturating_add(name.ns));
    let all = names.values().fold(0u64, |sum, name| sum.saturating_add(name.answers));
    // Queries for two kinds of addresses are under way at the same time.
    let part = (ns as f64 / 2.0 / scene.span_ns()).min(1.0);
    if queries < LEAST || part < LEAST_AFFECTED {
        return None;
    }
    let text = format!(
        "{} looked names up in search domains that lack them: {} of {} DNS queries were in vain and took {}, such as {example}. A name that \
         ends with a dot is looked up without search domains; so is one with as many dots as 'ndots' in /etc/resolv.conf.",
        scene.call(who),
        units::count(queries),
        units::count(all),
        units::duration(whole(ns)),
    );
    Some(Finding {
        weight: part,
        text,
        victim: scene.owner(who),
        ns,
        percent: 100.0 * part,
        count: queries,
        alike: Some(scene.alike(who, "search domains")),
        ..Finding::default()
    })
}
