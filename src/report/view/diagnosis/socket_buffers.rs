//! `socket-buffers`: the kernel dropped what came in since a socket's receive buffer was full. Precondition: `RcvbufErrors` of UDP, or
//! the counters of TCP's full queues, grew in a network namespace (kind `net_stat`).
//!
//! The receiver is the one whose socket has dropped most datagrams, as the kernel counts them for each socket.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "socket-buffers", resource: "socket buffers", view: "tcp", outdoes: &["packet-loss"], find };

/// Fewer in a window are a burst that nobody misses: datagrams may be lost anywhere.
const LEAST: u64 = 20;

/// Counters of one protocol that say the same.
const FULL: [(&str, &str, &[&str]); 2] = [
    ("datagrams", "Udp.drops", &["Udp.RcvbufErrors", "Udp6.RcvbufErrors"]),
    ("TCP segments", "", &["TcpExt.TCPRcvQDrop", "TcpExt.RcvPruned", "TcpExt.TCPBacklogDrop"]),
];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "net_stat")?;
    let mut found = Vec::new();
    for (what, by_socket, full) in FULL {
        for metric in full {
            for (namespace, dropped) in counters.places(metric).filter(|(_, sums)| sums.grew >= LEAST) {
                let most = counters.processes(namespace, by_socket).max_by_key(|socket| socket.value);
                let who = most.and_then(|socket| scene.known_by_id(socket.which?.pid));
                let receiver = who.as_ref().map_or_else(|| "a process".to_owned(), |who| scene.call(who));
                let port =
                    most.and_then(|socket| socket.port).map(|port| format!(" on port {port}")).unwrap_or_default();
                let text = format!(
                    "{receiver} read {what} more slowly than they arrived: the receive buffer of its socket{port} was full, and the kernel \
                     dropped {}.",
                    units::count(dropped.grew)
                );
                let weight = (dropped.in_ns as f64 / scene.span_ns()).min(1.0);
                let victim = who.as_ref().map(|who| scene.owner(who)).unwrap_or_default();
                found.push(Finding { weight, text, victim, count: dropped.grew, ..Finding::default() });
            }
        }
    }
    Ok(found)
}
