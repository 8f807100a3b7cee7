//! The views: each from recordings to a document.

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;

mod block;
mod chains;
mod cpu;
mod diagnosis;
mod distributions;
mod dns;
mod events;
mod exec;
mod files;
mod findings;
mod heatmap;
mod hist;
mod http;
mod info;
mod irq;
mod locks;
mod losses;
mod memory;
mod overhead;
mod processes;
mod signals;
mod slow;
mod summary;
mod syscalls;
mod tcp;
mod threads;
mod timeline;

pub use info::info;
pub(super) use summary::hosts as hosts_of;
pub(super) use summary::waits::IDLE;

/// One way to look at recordings.
pub struct View {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line without a final stop.
    pub summary: &'static str,
    /// Whether it has pictures.
    pub draws: bool,
    /// Whether its tables have a row per process, which short-lived ones of a command can share.
    pub by_process: bool,
    /// Whether it says by itself, and in detail, what the recording lacks.
    pub(super) tells_health: bool,
    pub(super) run: fn(&[Source], &ReportPlan) -> Result<Document>,
}

/// Name of the view that is shown when none is asked for.
pub const SUMMARY: &str = "summary";

/// Name of the view that `record --report` shows.
pub const FINDINGS: &str = "findings";

/// Every view, the summary first.
pub static VIEWS: &[View] = &[
    View {
        name: SUMMARY,
        summary: "What happened, who did it, what was slow, what was lost",
        draws: true,
        by_process: false,
        tells_health: true,
        run: summary::run,
    },
    View {
        name: FINDINGS,
        summary: "What threads waited for, which process caused it, and where each command's time went",
        draws: false,
        by_process: false,
        tells_health: true,
        run: findings::run,
    },
    View {
        name: "processes",
        summary: "Every process with every metric, short-lived ones included",
        draws: false,
        by_process: true,
        tells_health: false,
        run: processes::run,
    },
    View {
        name: "threads",
        summary: "Where each thread's time went: on CPU, waiting for one, blocked or asleep by cause",
        draws: true,
        by_process: true,
        tells_health: false,
        run: threads::run,
    },
    View {
        name: "hist",
        summary: "Histogram and percentiles of one metric, or of all",
        draws: true,
        by_process: false,
        tells_health: false,
        run: hist::run,
    },
    View {
        name: "heatmap",
        summary: "Values of a metric over time: which latencies occurred when",
        draws: true,
        by_process: false,
        tells_health: false,
        run: heatmap::run,
    },
    View {
        name: "timeline",
        summary: "Rates and latencies over time, for all probes or the named metrics",
        draws: true,
        by_process: false,
        tells_health: false,
        run: timeline::run,
    },
    View {
        name: "slow",
        summary: "The slowest events, with what happened around each",
        draws: false,
        by_process: false,
        tells_health: false,
        run: slow::run,
    },
    View {
        name: "exec",
        summary: "Process starts and exits with arguments, duration and exit status",
        draws: false,
        by_process: false,
        tells_health: false,
        run: exec::run,
    },
    View {
        name: "cpu",
        summary: "What the CPUs ran: functions, call tree, flame graph",
        draws: true,
        by_process: false,
        tells_health: false,
        run: cpu::on,
    },
    View {
        name: "offcpu",
        summary: "What threads waited for: causes, functions, call tree, flame graph, longest sleeps",
        draws: true,
        by_process: false,
        tells_health: false,
        run: cpu::off,
    },
    View {
        name: "chains",
        summary: "Who waited for whom, over several hops",
        draws: false,
        by_process: false,
        tells_health: false,
        run: chains::run,
    },
    View {
        name: "block",
        summary: "Disk I/O by device, operation and process, and the slowest requests",
        draws: true,
        by_process: true,
        tells_health: false,
        run: block::run,
    },
    View {
        name: "syscalls",
        summary: "System calls by call and process: latency, errors, slowest calls; waits apart from work",
        draws: true,
        by_process: true,
        tells_health: false,
        run: syscalls::run,
    },
    View {
        name: "http",
        summary: "HTTP requests by process and status, slow routes, failures, unparsed traffic",
        draws: true,
        by_process: true,
        tells_health: false,
        run: http::run,
    },
    View {
        name: "memory",
        summary: "Stalls for memory, OOM kills and page faults by process",
        draws: true,
        by_process: true,
        tells_health: false,
        run: memory::run,
    },
    View {
        name: "irq",
        summary: "Time in hard and soft interrupts by name",
        draws: true,
        by_process: false,
        tells_health: false,
        run: irq::run,
    },
    View {
        name: "locks",
        summary: "Waits for the kernel's locks and in futexes, by process",
        draws: true,
        by_process: true,
        tells_health: false,
        run: locks::run,
    },
    View {
        name: "tcp",
        summary: "TCP connections by process and peer, failures, slowest connects, retransmits over time",
        draws: true,
        by_process: true,
        tells_health: false,
        run: tcp::run,
    },
    View {
        name: "dns",
        summary: "DNS queries by process and name, failures, the slowest and unanswered ones",
        draws: true,
        by_process: true,
        tells_health: false,
        run: dns::run,
    },
    View {
        name: "files",
        summary: "Files by operation, mount and process; failed opens, short-lived files, slow calls",
        draws: true,
        by_process: true,
        tells_health: false,
        run: files::run,
    },
    View {
        name: "signals",
        summary: "Signals by number, sender and target, and the processes that they ended",
        draws: true,
        by_process: true,
        tells_health: false,
        run: signals::run,
    },
    View {
        name: "events",
        summary: "Custom events: counts, latencies, values and captures",
        draws: true,
        by_process: true,
        tells_health: false,
        run: events::run,
    },
    View {
        name: "losses",
        summary: "What is missing, by probe, cause and time",
        draws: true,
        by_process: false,
        tells_health: true,
        run: losses::run,
    },
    View {
        name: "overhead",
        summary: "What the recording cost",
        draws: false,
        by_process: false,
        tells_health: false,
        run: overhead::run,
    },
];

/// The tables that a view has whatever it finds, without rows, as programs get them.
pub fn tables(view: &View) -> Vec<Table> {
    let plan = ReportPlan { view: view.name.to_owned(), format: Format::Json, ..ReportPlan::default() };
    let blocks = (view.run)(&[], &plan).map(|document| document.blocks).unwrap_or_default();
    let table = |block| if let Block::Table(table) = block { Some(table) } else { None };
    blocks.into_iter().filter_map(table).collect()
}
