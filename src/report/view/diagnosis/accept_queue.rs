//! `accept-queue`: a server took connections more slowly than they came, and the kernel turned some away. Precondition:
//! `ListenOverflows` grew in a network namespace (kind `net_stat`).
//!
//! The server is the one whose accept queue was longest when the counter was read: the kernel does not say which socket it was.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::read::counters::OfProcess;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "accept-queue", resource: "accept queue", view: "tcp", outdoes: &["packet-loss"], find };

/// Fewer in a window are a burst that a healthy server may have once.
const LEAST: u64 = 5;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "net_stat")?;
    let mut found = Vec::new();
    for (namespace, overflows) in counters.places("TcpExt.ListenOverflows").filter(|(_, sums)| sums.grew >= LEAST) {
        let longest = counters.processes(namespace, "Tcp.accept_queue").max_by_key(|queue| queue.value);
        let who = longest.and_then(|queue| scene.known_by_id(queue.which?.pid));
        let server = who.as_ref().map_or_else(|| "a server".to_owned(), |who| scene.call(who));
        let queue = longest.map(in_words).unwrap_or_default();
        let text = format!(
            "{server} accepted connections more slowly than they arrived: its accept queue{queue} was full, and the kernel rejected {}. Each \
             client waits a second or more and tries again.",
            units::count(overflows.grew)
        );
        let weight = (overflows.in_ns as f64 / scene.span_ns()).min(1.0);
        let victim = who.as_ref().map(|who| scene.owner(who)).unwrap_or_default();
        found.push(Finding { weight, text, victim, count: overflows.grew, ..Finding::default() });
    }
    Ok(found)
}

/// ` on port 8080 (129 waiting)`.
fn in_words(queue: &OfProcess) -> String {
    let port = queue.port.map(|port| format!(" on port {port}")).unwrap_or_default();
    format!("{port} ({} waiting)", units::count(queue.value))
}
