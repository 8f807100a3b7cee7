//! Findings: what made the machine slow, and who is behind it, the weightiest cause first.
//!
//! Each rule names one cause from rows of the recording, and stays silent where its precondition does not hold: a wrong accusation is
//! worse than silence. A finding begins with the process that suffered. How much it lost is a share of the time in which its threads
//! had something to do, so a pool of idle workers hides nothing.

mod accept_queue;
mod blocked_file;
mod calls;
mod child;
mod child_wait;
mod connect_refused;
mod connect_timeout;
mod cpu_queue;
mod cpu_quota;
mod cpu_use;
mod delayed_ack;
mod descriptor_limit;
mod disk;
mod disk_full;
mod dns_search;
mod dns_slow;
mod downstream;
mod ends;
mod file_lock;
mod finding;
mod functions;
mod herd;
mod kernel_lock;
mod kernel_wait;
mod kernel_work;
mod lock;
mod memory_reclaim;
mod names;
mod oom_kill;
mod packet_loss;
mod page_server;
mod paging;
mod pids_limit;
mod port_exhaustion;
mod quiet;
mod ranking;
mod request_failed;
mod request_slow;
mod retry_loop;
mod routes;
mod scene;
mod scripts;
mod sleeps;
mod slow_filesystem;
mod slow_network;
mod slow_reader;
mod socket_buffers;
mod spin;
mod steal;
mod stopped;
mod swap;
mod timer;
mod titles;
mod wait;
mod work;

use anyhow::Result;

use crate::report::read::ledger::Account;
use crate::text;

pub(super) use finding::Finding;
pub(super) use finding::columns;
pub(super) use quiet::outside;
pub(super) use quiet::quiet;
pub(super) use ranking::weighty;
pub(super) use scene::Group;
pub(super) use scene::Scene;
pub(super) use scene::Who;

/// One cause that a report can name. Each is a file of this folder.
pub(super) struct Rule {
    /// Its name, that of its file in kebab case; JSON has it.
    name: &'static str,
    /// What people read in front of its findings, in one or two words.
    resource: &'static str,
    /// The view that shows more.
    view: &'static str,
    /// Rules whose findings about the same victim say less than this one's, and are left out.
    outdoes: &'static [&'static str],
    /// The findings; none where the rule's precondition does not hold.
    find: fn(&Scene<'_>) -> Result<Vec<Finding>>,
}

/// All rules. Findings of equal weight stay in this order.
static RULES: &[&Rule] = &[
    &request_slow::RULE,
    &request_failed::RULE,
    &oom_kill::RULE,
    &swap::RULE,
    &memory_reclaim::RULE,
    &cpu_quota::RULE,
    &accept_queue::RULE,
    &port_exhaustion::RULE,
    &socket_buffers::RULE,
    &packet_loss::RULE,
    &pids_limit::RULE,
    &descriptor_limit::RULE,
    &disk_full::RULE,
    &steal::RULE,
    &connect_timeout::RULE,
    &connect_refused::RULE,
    &dns_slow::RULE,
    &dns_search::RULE,
    &delayed_ack::RULE,
    &lock::RULE,
    &downstream::RULE,
    &slow_reader::RULE,
    &slow_network::RULE,
    &child_wait::RULE,
    &timer::RULE,
    &work::RULE,
    &file_lock::RULE,
    &kernel_lock::RULE,
    &blocked_file::RULE,
    &slow_filesystem::RULE,
    &page_server::RULE,
    &paging::RULE,
    &kernel_wait::RULE,
    &disk::RULE,
    &cpu_queue::RULE,
    &spin::RULE,
    &kernel_work::RULE,
    &herd::RULE,
    &retry_loop::RULE,
    &child::RULE,
    &cpu_use::RULE,
    &stopped::RULE,
];

/// The findings of a recording, the weightiest first; empty where nothing stands out.
pub(super) fn findings(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let path = scene.source.recording().path().to_string_lossy().into_owned();
    let file = String::from_utf8_lossy(&text::shell_words(std::iter::once(path.as_bytes()))).into_owned();
    for rule in RULES {
        findings.extend((rule.find)(scene)?.into_iter().map(|finding| Finding {
            rule: rule.name,
            resource: rule.resource,
            next: format!("ebrec report {} {file}", finding.view.unwrap_or(rule.view)),
            ..finding
        }));
    }
    Ok(ranking::ranked(findings, RULES, scene.span_ns()))
}

/// How busy some CPUs were, in hundredths; nothing where their states were not recorded.
fn busy_percent<'c>(cpus: impl Iterator<Item = &'c Account>) -> Option<f64> {
    let (busy, lived) = cpus.fold((0u64, 0u64), |(busy, lived), cpu| {
        (busy.saturating_add(cpu.in_state("busy")), lived.saturating_add(cpu.lived_ns))
    });
    (lived > 0).then(|| 100.0 * busy as f64 / lived as f64)
}
