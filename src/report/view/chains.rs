//! View `chains`: who waited for whom, over several hops, from those that lost most time down to what explains it.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::render::Document;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::ledger::Ledger;
use crate::report::read::limit::Limit;
use crate::report::read::waits::Judged;
use crate::report::read::waits::Waits;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units;

use self::walk::Line;
use self::walk::Ran;
use self::walk::Scene;

mod pairs;
mod walk;

/// Roots that are shown.
const ROOTS: usize = 5;
/// A process that lost a smaller part of the window than this does not start a chain.
const LEAST_OF_WINDOW: f64 = 0.05;
/// About what a thread takes in memory.
const THREAD_BYTES: usize = 96;

/// A line with what it is a part of.
struct Shown {
    line: Line,
    lost_ns: u64,
}

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("chains", "Chains of waits");
    note_absent_probe(&mut document, sources, "offcpu");
    let columns = Columns::<Shown>::new()
        .column("text", "who waited for whom", |shown| shown.line.text.clone())
        .help("A process, what its threads waited for, and what its holders did in turn.")
        .prose()
        .column("known", "known by", |shown| shown.line.known.words())
        .help("Evidence for the hop: the lock named its holder, the peer of the socket answered, or one process ended nearly all of the waits; 'itself' marks what the threads did themselves.")
        .column("share_percent", "share", |shown| share(shown.line.share, 1.0))
        .help("Share of the time that the first process of the chain lost.")
        .column("ns", "time", |shown| nanos((shown.line.share * shown.lost_ns as f64) as u64))
        .help("That share in nanoseconds.")
        .column("threads", "threads", |shown| shown.line.threads as u64)
        .help("Threads that are looked at together.")
        .column("pid", "pid", |shown| Value::id(shown.line.pid))
        .help("Process that the line is about.");
    let mut table = Ranking::new(sources, "chains", "", columns);
    let mut depths = Vec::new();
    for source in sources {
        let least_ns = (LEAST_OF_WINDOW * source.span_ns() as f64) as u64;
        let chains = scene(source)?.chains(least_ns, plan.rows_shown(ROOTS));
        if chains.is_empty() {
            document.note("the evidence shows no wait for others that was long enough to matter");
        }
        for chain in chains {
            if let Some(root) = chain.lines.first() {
                let duration = units::duration(i64::try_from(chain.lost_ns).unwrap_or(i64::MAX));
                let [explained, unknown] = [chain.explained, chain.unknown].map(|part| units::percent(100.0 * part));
                document.note(format!(
                    "the chain of {} explains {explained} of {duration}; {unknown} is unknown",
                    root.text
                ));
            }
            for line in chain.lines {
                depths.push(line.depth);
                table.row(source, &Shown { line, lost_ns: chain.lost_ns });
            }
        }
    }
    let mut table = table.table()?;
    depths.truncate(usize::try_from(table.len()).unwrap_or(usize::MAX));
    table.depths = Some(depths);
    document.push(table);
    // Every pair is too much to read, but programs can ask it anything.
    if plan.format.is_for_programs() {
        document.push(pairs::table(sources)?);
    }
    Ok(document)
}

fn scene(source: &Source) -> Result<Scene> {
    let mut threads = BTreeMap::new();
    let mut limit = Limit::new();
    let waits = Waits::of(source)?;
    Ledger::judged(source, Judged::by(&waits))?.each_thread(|which, tid, account| {
        if limit.take(THREAD_BYTES) {
            let ran = Ran { on_cpu_ns: account.in_state("on_cpu"), queued_ns: account.in_state("runnable") };
            threads.insert((which, tid), ran);
        }
    })?;
    limit.check(source, "threads")?;
    Ok(Scene { waits, threads })
}
