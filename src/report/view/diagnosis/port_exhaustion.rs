//! `port-exhaustion`: connects failed since no local port was free, most often as all are in TIME_WAIT. Precondition: connects that
//! ended without a local port (kind `tcp`).

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule = Rule {
    name: "port-exhaustion",
    resource: "ports",
    view: "tcp",
    outdoes: &["request-failed", "connect-refused"],
    find,
};

/// Fewer are what a process does that closes a socket while it connects.
const LEAST: u64 = 5;

/// What one process's connects came to.
#[derive(Default)]
struct Connects {
    made: u64,
    without_port: u64,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut by: BTreeMap<Who, Connects> = BTreeMap::new();
    let mut rows = scene.source.rows("tcp");
    let (op, port, side) = (rows.text("op"), rows.int("sport"), rows.text("tcp_side"));
    rows.each(|row| {
        let Some(who) = scene.who_of_row(row) else { return };
        match row.text(op) {
            // The kernel gives the port and the state in one call: none means that there was none.
            Some("given up" | "failed") if row.int(port).unwrap_or(0) == 0 => {
                by.entry(who).or_default().without_port += 1
            }
            Some("open") if row.text(side) == Some("connect") => by.entry(who).or_default().made += 1,
            _ => {}
        }
    })?;
    let time_wait = {
        let counters = Counters::of(scene.source, "net_stat")?;
        counters.get("own", "Tcp.time_wait").most
    };
    let worst = by.into_iter().filter(|(_, own)| own.without_port >= LEAST).max_by_key(|(_, own)| own.without_port);
    Ok(worst.map(|(who, own)| finding(scene, &who, &own, time_wait)).into_iter().collect())
}

fn finding(scene: &Scene<'_>, who: &Who, own: &Connects, time_wait: u64) -> Finding {
    let all = own.made.saturating_add(own.without_port);
    let share = own.without_port as f64 / all.max(1) as f64;
    let mut text = format!(
        "{} found no free local port for {} of {} connections ({}): the ports of earlier ones stay in TIME_WAIT for a minute",
        scene.call(who),
        units::count(own.without_port),
        units::count(all),
        units::percent(100.0 * share),
    );
    if time_wait > 0 {
        text.push_str(&format!("; {} were at a time", units::count(time_wait)));
    }
    text.push_str(". Keep connections open, or let more ports be used (net.ipv4.ip_local_port_range).");
    let (weight, percent) = (share, 100.0 * share);
    Finding { weight, text, victim: scene.owner(who), percent, count: own.without_port, ..Finding::default() }
}
