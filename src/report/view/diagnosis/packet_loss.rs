//! `packet-loss`: TCP segments were lost, and connections stood still until a timer sent them again. Precondition: in a network
//! namespace a hundredth of all segments was sent again, and timers that ran out stand for a twentieth of the window.
//!
//! Connections that a full accept queue turned away are sent again as well; that is the queue's fault, and no loss.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::counters::Counters;
use crate::report::read::metrics;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "packet-loss", resource: "packet loss", view: "tcp", outdoes: &["downstream"], find };

/// Segments sent again: less of them are lost on any network.
const LEAST: u64 = 10;
/// Of all segments: long ways lose that much, and are slow for it.
const LEAST_OF_ALL: f64 = 0.01;
/// The shortest time after which the kernel sends again (`TCP_RTO_MIN`, include/net/tcp.h): a connection stands still for it.
const TIMER_NS: f64 = 200e6;
/// Of the window.
const LEAST_AFFECTED: f64 = 0.05;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "net_stat")?;
    let mut found = Vec::new();
    for (namespace, resent) in counters.places("Tcp.RetransSegs").filter(|(_, sums)| sums.grew >= LEAST) {
        let get = |metric| counters.get(namespace, metric).grew;
        let (sent, timers) = (get("Tcp.OutSegs"), get("TcpExt.TCPTimeouts"));
        let turned_away = get("TcpExt.ListenDrops").max(get("TcpExt.ListenOverflows"));
        let part = resent.grew as f64 / (sent.saturating_add(resent.grew) as f64);
        let affected = timers.saturating_sub(turned_away) as f64 * TIMER_NS / scene.span_ns();
        if part < LEAST_OF_ALL || affected < LEAST_AFFECTED || turned_away > resent.grew / 2 {
            continue;
        }
        let mut text = format!(
            "{} of {} TCP segments were lost or late and had to be sent again ({}), {} of them after a timer of 200 ms or more ran out",
            units::count(resent.grew),
            units::count(sent.saturating_add(resent.grew)),
            units::percent(100.0 * part),
            units::count(timers),
        );
        let most = most_resent(scene)?;
        if let Some((who, segments)) = &most {
            text.push_str(&format!(". {} sent most of them: {}", scene.call(who), units::count(*segments)));
        }
        let victim = most.map(|(who, _)| scene.owner(&who)).unwrap_or_default();
        let weight = affected.min(1.0);
        found.push(Finding { weight, text: format!("{text}."), victim, count: resent.grew, ..Finding::default() });
    }
    Ok(found)
}

/// The process that sent most segments again; those of connections that nobody has open are nobody's.
fn most_resent(scene: &Scene<'_>) -> Result<Option<(Who, u64)>> {
    let tally = Tally::of(scene.source, &["pid", "comm"], |metric| metric == metrics::TCP_RETRANSMITS)?;
    let mut by: BTreeMap<Who, u64> = BTreeMap::new();
    tally.groups(metrics::TCP_RETRANSMITS, |dims, resent| {
        let [process, comm] = dims else { return };
        let own = by.entry(scene.who(process, comm)).or_default();
        *own = own.saturating_add(sum(resent));
    })?;
    Ok(by.into_iter().filter(|(who, _)| &*who.name != "?").max_by_key(|(_, segments)| *segments))
}
