//! What the threads of a process waited for from one another: futexes and locks of the kernel, each with what the evidence says it is.

use anyhow::Result;

use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::processes::Owner;
use crate::report::read::waits::Key;
use crate::report::read::waits::Target;
use crate::report::read::waits::Waits;
use crate::report::table::cells::nanos;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

/// A target and what is said of it.
pub(super) struct Waited {
    owner: Owner,
    key: Key,
    target: Target,
}

impl Waited {
    /// A part of the waits that threads ended, in hundredths.
    fn of_ended(&self, ns: u64) -> Value {
        percent(ns, self.target.by_thread_ns)
    }
}

fn percent(ns: u64, of: u64) -> Value {
    if of == 0 { Value::Null } else { Value::Percent(100.0 * ns as f64 / of as f64) }
}

/// `0x55d0c8a01040`, or the number of a lock of the kernel.
fn address(key: &Key) -> Option<String> {
    key.target.map(|target| match &*key.on {
        "futex" => format!("{target:#x}"),
        _ => format!("lock {target:08x}"),
    })
}

pub(super) fn table(sources: &[Source], shown: usize) -> Ranking<Waited> {
    let columns = Columns::<Waited>::new()
        .comm(|waited| &waited.owner)
        .pid(|waited| &waited.owner)
        .column("verdict", "was for", |waited| waited.target.verdict(&waited.key.on).word())
        .help("What the evidence says: a lock, like a lock, work of another thread, idle, in a request, or undecided.")
        .column("target", "target", |waited| address(&waited.key))
        .help("The futex's address in the process's memory, or a number that identifies a kernel lock.")
        .column("threads", "threads", |waited| waited.target.threads.len() as u64)
        .help("How many threads waited there.")
        .column("count", "waits", |waited| waited.target.count)
        .column("sum_ns", "sum", |waited| nanos(waited.target.ns))
        .help("All waits added up.")
        .column("max_ns", "max", |waited| nanos(waited.target.max_ns))
        .column("contended_percent", "contended", |waited| percent(waited.target.contended_ns, waited.target.ns))
        .help("Share of the time in which the futex word said that threads wait for a lock.")
        .column("active_percent", "waker active", |waited| waited.of_ended(waited.target.active_ns))
        .help("Share of the waits in which the thread that ended them was active.")
        .column("handed_percent", "handed on", |waited| waited.of_ended(waited.target.handed_ns))
        .help("Share of the waits ended by a thread that had waited there itself.")
        .column("unknown_percent", "unknown", |waited| waited.of_ended(waited.target.unknown_ns))
        .help("Share of the waits for which the waker's activity is unknown.")
        .column("owner_tid", "owner", |waited| Value::id(waited.target.owner()))
        .help("Thread that held the lock for most of the waits, if the lock names it.")
        .column("waker_tid", "woken by", |waited| Value::id(waited.target.main_waker().map(|(waker, _)| waker.tid)))
        .help("Thread that ended most of the waits.");
    Ranking::new(sources, "evidence", "Waits of threads for one another", columns).largest_first("sum_ns").top(shown)
}

pub(super) fn rows(source: &Source, table: &mut Ranking<Waited>) -> Result<()> {
    for (key, target) in Waits::of(source)?.targets {
        if !matches!(&*key.on, "futex" | "kernel_lock") {
            continue;
        }
        let owner = Owner { comm: Some(target.process.to_string()), pid: Some(key.which.pid) };
        table.row(source, &Waited { owner, key, target });
    }
    Ok(())
}
