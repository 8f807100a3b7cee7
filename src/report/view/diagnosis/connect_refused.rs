//! `connect-refused`: connects of a process failed. Precondition: ten of them to one address, and most of its connects to it.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::metrics;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "connect-refused", resource: "connects", view: "tcp", outdoes: &[], find };

/// Fewer failures may be one program that looks whether another runs.
const LEAST: u64 = 10;
/// Below this part of all connects to the address, it mostly works.
const MOST: f64 = 0.5;

/// Connects of a process to one address.
#[derive(Default)]
struct Connects {
    worked: u64,
    failed: BTreeMap<String, u64>,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let wanted = [metrics::TCP_FAILURES, metrics::TCP_CONNECT];
    let tally =
        Tally::totals_of(scene.source, &["pid", "comm", "daddr", "dport", "cause"], |name| wanted.contains(&name))?;
    let mut by: BTreeMap<(Who, String), Connects> = BTreeMap::new();
    for metric in wanted {
        tally.groups(metric, |dims, values| {
            let [process, comm, address, port, cause] = dims else { return };
            let connects = by.entry((scene.who(process, comm), peer(address, port))).or_default();
            match metric {
                metrics::TCP_CONNECT => connects.worked += count(values),
                _ => *connects.failed.entry(cause.word()).or_default() += count(values),
            }
        })?;
    }
    Ok(by.iter().filter_map(|((who, peer), connects)| finding(scene, who, peer, connects)).collect())
}

fn peer(address: &Dim, port: &Dim) -> String {
    let address = address.word();
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    port.int().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

fn finding(scene: &Scene<'_>, who: &Who, peer: &str, connects: &Connects) -> Option<Finding> {
    let failed: u64 = connects.failed.values().sum();
    let all = failed.saturating_add(connects.worked);
    let part = failed as f64 / all.max(1) as f64;
    if failed < LEAST || part < MOST {
        return None;
    }
    let causes: Vec<String> =
        connects.failed.iter().map(|(cause, times)| format!("{cause} ({})", units::count(*times))).collect();
    let text = format!(
        "{} of {} connects of {} to {peer} failed: {}.",
        units::count(failed),
        units::count(all),
        scene.call(who),
        causes.join(", ")
    );
    Some(Finding {
        weight: part,
        text,
        victim: scene.owner(who),
        percent: 100.0 * part,
        count: failed,
        alike: Some(scene.alike(who, peer)),
        ..Finding::default()
    })
}
