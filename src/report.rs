//! Explains recordings: a table of views, each from rows to a document.

use anyhow::Result;

use crate::failure::Failure;
use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::units;

mod aside;
mod block;
mod cost;
mod cpu;
pub mod deliver;
mod diagnosis;
mod distributions;
mod dns;
mod events;
mod exec;
mod few;
mod files;
mod health;
mod heatmap;
mod heaviest;
mod hist;
mod http;
mod info;
mod irq;
mod ledger;
mod limit;
mod locks;
mod losses;
mod memory;
mod metrics;
mod overhead;
mod paper;
mod people;
pub mod plan;
mod processes;
mod profile;
mod ranking;
mod series;
mod signals;
mod slow;
mod source;
mod span;
mod summary;
mod syscalls;
mod tally;
mod tcp;
mod threads;
mod timeline;
mod times;
mod window;

pub use info::info;

/// One way to look at recordings.
pub struct View {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line without a final stop.
    pub summary: &'static str,
    /// Whether it has pictures.
    pub draws: bool,
    /// Whether it says by itself, and in detail, what the recording lacks.
    tells_health: bool,
    run: fn(&[Source], &ReportPlan) -> Result<Document>,
}

/// Name of the view that is shown when none is asked for.
pub const SUMMARY: &str = "summary";

/// Every view, the summary first.
pub static VIEWS: &[View] = &[
    View {
        name: SUMMARY,
        summary: "What happened, who did it, what was slow, what was lost",
        draws: true,
        tells_health: true,
        run: summary::run,
    },
    View {
        name: "processes",
        summary: "Every process with every metric, short-lived ones included",
        draws: false,
        tells_health: false,
        run: processes::run,
    },
    View {
        name: "threads",
        summary: "Where each thread's time went: on CPU, waiting for one, blocked or asleep by cause",
        draws: true,
        tells_health: false,
        run: threads::run,
    },
    View {
        name: "hist",
        summary: "Histogram and percentiles of one metric, or of all",
        draws: true,
        tells_health: false,
        run: hist::run,
    },
    View {
        name: "heatmap",
        summary: "Values of a metric over time: which latencies occurred when",
        draws: true,
        tells_health: false,
        run: heatmap::run,
    },
    View {
        name: "timeline",
        summary: "Rates and latencies over time, for all probes or the named metrics",
        draws: true,
        tells_health: false,
        run: timeline::run,
    },
    View {
        name: "slow",
        summary: "The slowest events, with what happened around each",
        draws: false,
        tells_health: false,
        run: slow::run,
    },
    View {
        name: "exec",
        summary: "Process starts and exits with arguments, duration and exit status",
        draws: false,
        tells_health: false,
        run: exec::run,
    },
    View {
        name: "cpu",
        summary: "What the CPUs ran: functions, call tree, flame graph",
        draws: true,
        tells_health: false,
        run: cpu::on,
    },
    View {
        name: "offcpu",
        summary: "What threads waited for: causes, functions, call tree, flame graph, longest sleeps",
        draws: true,
        tells_health: false,
        run: cpu::off,
    },
    View {
        name: "block",
        summary: "Disk I/O by device, operation and process, and the slowest requests",
        draws: true,
        tells_health: false,
        run: block::run,
    },
    View {
        name: "syscalls",
        summary: "System calls by call and process: latency, errors, slowest calls; waits apart from work",
        draws: true,
        tells_health: false,
        run: syscalls::run,
    },
    View {
        name: "http",
        summary: "HTTP requests by process and status, slow routes, failures, unparsed traffic",
        draws: true,
        tells_health: false,
        run: http::run,
    },
    View {
        name: "memory",
        summary: "Stalls for memory, OOM kills and page faults by process",
        draws: true,
        tells_health: false,
        run: memory::run,
    },
    View {
        name: "irq",
        summary: "Time in hard and soft interrupts by name",
        draws: true,
        tells_health: false,
        run: irq::run,
    },
    View {
        name: "locks",
        summary: "Waits for the kernel's locks and in futexes, by process",
        draws: true,
        tells_health: false,
        run: locks::run,
    },
    View {
        name: "tcp",
        summary: "TCP connections by process and peer, failures, slowest connects, retransmits over time",
        draws: true,
        tells_health: false,
        run: tcp::run,
    },
    View {
        name: "dns",
        summary: "DNS queries by process and name, failures, the slowest and unanswered ones",
        draws: true,
        tells_health: false,
        run: dns::run,
    },
    View {
        name: "files",
        summary: "Files by operation, mount and process; failed opens, short-lived files, slow calls",
        draws: true,
        tells_health: false,
        run: files::run,
    },
    View {
        name: "signals",
        summary: "Signals by number, sender and target, and the processes that they ended",
        draws: true,
        tells_health: false,
        run: signals::run,
    },
    View {
        name: "events",
        summary: "Custom events: counts, latencies, values and captures",
        draws: true,
        tells_health: false,
        run: events::run,
    },
    View {
        name: "losses",
        summary: "What is missing, by probe, cause and time",
        draws: true,
        tells_health: true,
        run: losses::run,
    },
    View {
        name: "overhead",
        summary: "What the recording cost",
        draws: false,
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

/// Opens the recordings and runs the view.
///
/// Fails when a file does not open as a recording, when the view or metric does not exist, or when a picture is asked of a view that has none.
pub fn report(plan: &ReportPlan) -> Result<Document> {
    let Some(view) = VIEWS.iter().find(|view| view.name == plan.view) else {
        return Err(Failure::usage(format!("no view '{}'", plan.view)).into());
    };
    if plan.format == Format::Svg && !view.draws {
        let drawing: Vec<&str> = VIEWS.iter().filter(|view| view.draws).map(|view| view.name).collect();
        let none = Failure::usage(format!("the view '{}' draws nothing", view.name));
        return Err(none.hint(format!("views that draw: {}", drawing.join(", "))).into());
    }
    let sources = source::open(&plan.files, &plan.filter)?;
    check_window(&sources.list, plan)?;
    let mut document = (view.run)(&sources.list, plan)?;
    if let ([source], true) = (sources.list.as_slice(), document.subtitle.is_empty() && view.name != SUMMARY) {
        document.subtitle = format!("{}; {}", source.label(), window::describe(source));
        if let Some(part) = window::part(source) {
            document.subtitle.push_str(&format!("; shown: {part}"));
        }
    }
    if sources.list.len() > 1 {
        let parts = sources
            .list
            .iter()
            .filter_map(|source| Some(format!("{} shown: {}", source.label(), window::part(source)?)));
        parts.for_each(|part| document.note(part));
    }
    if !view.tells_health {
        let several = sources.list.len() > 1;
        let mut warnings = Vec::new();
        for source in &sources.list {
            let whose = if several { format!("{}: ", source.label()) } else { String::new() };
            warnings.extend(health::missing(source)?.into_iter().map(|what| Block::Warning(format!("{whose}{what}"))));
        }
        document.blocks.splice(0..0, warnings);
    }
    if plan.filter.by_process() && says_nothing(&document) && !knows_any(&sources.list, plan)? {
        document.warning("no process of that number or name is in this recording".to_owned());
    }
    for reason in sources.left_out {
        document.warning(format!("left out: {reason}"));
    }
    Ok(document)
}

/// A part of the window that no recording has is a mistake, and an empty report would hide it.
fn check_window(sources: &[Source], plan: &ReportPlan) -> Result<()> {
    let longest = sources.iter().map(|source| source.meta().window.actual_ns).max();
    if let (Some(from), Some(longest)) = (plan.filter.from, longest)
        && from.as_nanos() >= u128::try_from(longest).unwrap_or(0)
        && longest > 0
    {
        let from = units::duration(i64::try_from(from.as_nanos()).unwrap_or(i64::MAX));
        let after = format!("--from {from} is after the end of the window, which is {} long", units::duration(longest));
        return Err(Failure::usage(after).into());
    }
    Ok(())
}

fn says_nothing(document: &Document) -> bool {
    document.blocks.iter().all(|block| !matches!(block, Block::Table(table) if !table.is_empty()))
}

fn knows_any(sources: &[Source], plan: &ReportPlan) -> Result<bool> {
    for source in sources {
        let people = people::People::of(source)?;
        if people.iter().any(|(which, person)| plan.filter.passes_process(Some(which.pid), person.comm.as_deref())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The pictures of every view that draws, as one document: those of the summary by their own names, the others with
/// their view's in front.
///
/// Fails as [`report`] does.
pub fn pictures(plan: &ReportPlan) -> Result<Document> {
    let mut document = report(plan)?;
    // All distributions are in the summary.
    for view in VIEWS.iter().filter(|view| view.draws && ![SUMMARY, "hist"].contains(&view.name)) {
        let plan = ReportPlan { view: view.name.to_owned(), ..plan.clone() };
        for mut block in report(&plan)?.blocks {
            if let Some(name) = block.plot_name() {
                let own = name.strip_prefix(view.name).map(|rest| rest.trim_start_matches('.')).unwrap_or(name);
                *name = if own.is_empty() { view.name.to_owned() } else { format!("{}-{own}", view.name) };
                document.push(block);
            }
        }
    }
    Ok(document)
}
