//! `accept-queue`: a server took connections more slowly than they came, and the kernel turned some away. Precondition:
//! `ListenOverflows` grew in a network namespace (kind `net_stat`); or functions on the stacks of sleeps say that callers waited for room in
//! the queue of a Unix socket.
//!
//! The server is the one whose accept queue was longest when the counter was read: the kernel does not say which socket it was.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::read::counters::OfProcess;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::sleeps;
use crate::report::view::diagnosis::wait::waits;
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
    found.extend(by_callers(scene)?);
    Ok(found)
}

/// Processes that waited in connect, since the queue of a Unix socket was full: there the kernel drops nothing.
fn by_callers(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (who, places) in sleeps::of(scene, Class::Queue, &[Class::Queue])? {
        let Some(group) = scene.groups.get(&who) else { continue };
        let ns = places.values().fold(0u64, |sum, spent| sum.saturating_add(spent.ns));
        let count = places.values().fold(0u64, |sum, spent| sum.saturating_add(spent.count));
        let busy_ns = group.busy_ns().saturating_add(ns);
        // Stacks are added up by process.
        let threads = group.threads.max(1);
        let Some(weight) = scene.weight(ns / threads, busy_ns / threads).filter(|_| count >= LEAST) else { continue };
        let over = waits(scene).filter(|wait| wait.who == who && &*wait.key.on == "unix");
        let server = match over.max_by_key(|wait| wait.target.ns) {
            Some(over) => over.peer(scene)?,
            None => None,
        };
        let percent = 100.0 * ns as f64 / busy_ns.max(1) as f64;
        let text = format!(
            "{} waited to connect to a Unix socket {} of the time it was not idle: {} in {} waits, {} each. {} accepts connections more \
             slowly than they arrive, and its queue of them is full.",
            scene.call(&who),
            units::percent(percent),
            units::duration(whole(ns)),
            units::count(count),
            units::duration(whole(ns / count.max(1))),
            server.as_ref().map_or_else(|| "The server".to_owned(), |server| scene.call(server)),
        );
        let alike = Some(scene.alike(&who, server.as_ref().map_or("", |server| &server.name)));
        let (victim, culprit) = (scene.owner(&who), server.map(|server| scene.owner(&server)));
        let view = Some("offcpu");
        found.push(Finding { weight, text, victim, ns, percent, count, culprit, alike, view, ..Finding::default() });
    }
    Ok(found)
}

/// ` on port 8080 (129 waiting)`.
fn in_words(queue: &OfProcess) -> String {
    let port = queue.port.map(|port| format!(" on port {port}")).unwrap_or_default();
    format!("{port} ({} waiting)", units::count(queue.value))
}
