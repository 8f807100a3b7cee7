//! `connect-timeout`: connects of a process got no answer for long: a host that is gone, or a firewall that drops what comes. Precondition:
//! rows of kind `tcp`, connects to one address that failed or were given up after half a second and more, and none that worked.
//!
//! A client that tries two addresses at a time gives one of them up sooner.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::limit::Limit;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "connect-timeout", resource: "connects", view: "tcp", outdoes: &["connect-refused"], find };

/// An answer that takes longer is none on any network of this planet.
const LONG_NS: u64 = 500_000_000;
/// A single one may be a host that just restarts.
const LEAST: u64 = 2;
/// Of the window.
const LEAST_AFFECTED: f64 = 0.2;
/// About what an address of a process takes in memory.
const ADDRESS_BYTES: usize = 256;

/// Connects of a process to one address.
#[derive(Default)]
struct Connects {
    worked: u64,
    unanswered: u64,
    ns: u64,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut by: BTreeMap<(Who, String), Connects> = BTreeMap::new();
    let mut limit = Limit::new();
    let mut rows = scene.source.rows("tcp");
    let (op, side) = (rows.text("op"), rows.text("tcp_side"));
    let (address, port, own_port) = (rows.text("daddr"), rows.int("dport"), rows.int("sport"));
    rows.each(|row| {
        let ns = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        let worked = match row.text(op) {
            Some("open") => row.text(side) == Some("connect"),
            // Without a port of its own it was never sent.
            Some("given up" | "failed") if ns >= LONG_NS && row.int(own_port).unwrap_or(0) != 0 => false,
            _ => return,
        };
        let (Some(who), Some(address), Some(port)) = (scene.who_of_row(row), row.text(address), row.int(port)) else {
            return;
        };
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let key = (who, format!("{host}:{port}"));
        if !by.contains_key(&key) && !limit.take(ADDRESS_BYTES) {
            return;
        }
        let own = by.entry(key).or_default();
        if worked {
            own.worked += 1;
        } else {
            own.unanswered += 1;
            own.ns = own.ns.saturating_add(ns);
        }
    })?;
    limit.check(scene.source, "connects")?;
    Ok(by.iter().filter_map(|((who, peer), connects)| finding(scene, who, peer, connects)).collect())
}

fn finding(scene: &Scene<'_>, who: &Who, peer: &str, connects: &Connects) -> Option<Finding> {
    let affected = (connects.ns as f64 / scene.span_ns()).min(1.0);
    if connects.worked > 0 || connects.unanswered < LEAST || affected < LEAST_AFFECTED {
        return None;
    }
    let text = format!(
        "nobody answered {} connects of {} to {peer}: it waited {} for each, {} in all. The host is down, or something on the way drops \
         packets.",
        units::count(connects.unanswered),
        scene.call(who),
        units::duration(whole(connects.ns / connects.unanswered)),
        units::duration(whole(connects.ns)),
    );
    Some(Finding {
        weight: affected,
        text,
        victim: scene.owner(who),
        ns: connects.ns,
        percent: 100.0 * affected,
        count: connects.unanswered,
        alike: Some(scene.alike(who, peer)),
        ..Finding::default()
    })
}
