//! View `memory`: stalls for memory, OOM kills, page faults, by process; the slowest stalls.

use anyhow::Result;

use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::bytes;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("memory", "Memory");
    note_absent_probe(&mut document, sources, "memory");
    let shown = plan.rows_shown(20);
    let mut kills = Ranking::new(sources, "oom", "Killed because memory ran out", kill_columns());
    let mut stalls =
        Ranking::new(sources, "stalls", "Stalls by process", stall_columns()).largest_first("sum_ns").top(shown);
    let mut faults =
        Ranking::new(sources, "faults", "Page faults by process", fault_columns()).largest_first("faults").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest stalls", slow_columns()).largest_first("dur_ns").top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        oom(source, &processes, &mut kills)?;
        by_process(source, &processes, &mut stalls)?;
        page_faults(source, &processes, &mut faults)?;
        slow(source, &processes, &mut slowest)?;
    }
    document.push(kills.table()?);
    document.push(stalls.table()?);
    document.push(faults.table()?);
    document.push(slowest.table()?);
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::RECLAIM, "Stalls to free memory", "cause")?,
            times::plot(sources, metrics::COMPACTION, "Stalls to compact memory", "comm")?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

/// A process that was killed because memory ran out.
struct Kill {
    at: Option<i64>,
    victim: Owner,
    uid: Option<i64>,
    anon_rss_bytes: Option<i64>,
    file_rss_bytes: Option<i64>,
    shmem_rss_bytes: Option<i64>,
    swap_bytes: Option<i64>,
    page_tables_bytes: Option<i64>,
    total_vm_bytes: Option<i64>,
    oom_score_adj: Option<i64>,
    asker: Owner,
}

fn kill_columns() -> Columns<Kill> {
    Columns::<Kill>::new()
        .column("time_ns", "when", |kill| time(kill.at))
        .column("comm", "victim", |kill| kill.victim.comm.clone())
        .pid(|kill| &kill.victim)
        .column("uid", "uid", |kill| Value::id(kill.uid))
        .column("anon_rss_bytes", "anonymous", |kill| kill.anon_rss_bytes.map(Value::Bytes))
        .help("Its resident anonymous memory.")
        .column("file_rss_bytes", "files", |kill| kill.file_rss_bytes.map(Value::Bytes))
        .help("Its resident pages of files.")
        .column("shmem_rss_bytes", "shared", |kill| kill.shmem_rss_bytes.map(Value::Bytes))
        .help("Its resident shared memory.")
        .column("swap_bytes", "swap", |kill| kill.swap_bytes.map(Value::Bytes))
        .column("page_tables_bytes", "page tables", |kill| kill.page_tables_bytes.map(Value::Bytes))
        .column("total_vm_bytes", "address space", |kill| kill.total_vm_bytes.map(Value::Bytes))
        .column("oom_score_adj", "adjustment", |kill| Value::id(kill.oom_score_adj))
        .help("Its oom_score_adj: 1000 is killed first, -1000 never.")
        .column("asker", "asked by", |kill| kill.asker.comm.clone())
        .help("Whose request for memory could not be met.")
        .column("asker_pid", "asker pid", |kill| Value::id(kill.asker.pid))
}

fn oom(source: &Source, processes: &ProcessTable, table: &mut Ranking<Kill>) -> Result<()> {
    let mut rows = source.rows("oom");
    let (uid, oom_score_adj) = (rows.int("uid"), rows.int("memory_oom_score_adj"));
    let (anon_rss, file_rss) = (rows.int("memory_anon_rss_bytes"), rows.int("memory_file_rss_bytes"));
    let (shmem_rss, swap) = (rows.int("memory_shmem_rss_bytes"), rows.int("memory_swap_bytes"));
    let (page_tables, total_vm) = (rows.int("memory_pgtables_bytes"), rows.int("memory_total_vm_bytes"));
    let (asker, asker_pid) = (rows.text("memory_asker_comm"), rows.int("memory_asker_pid"));
    rows.each(|row| {
        table.row(
            source,
            &Kill {
                at: row.at(),
                victim: processes.owner_of(row),
                uid: row.int(uid),
                anon_rss_bytes: row.int(anon_rss),
                file_rss_bytes: row.int(file_rss),
                shmem_rss_bytes: row.int(shmem_rss),
                swap_bytes: row.int(swap),
                page_tables_bytes: row.int(page_tables),
                total_vm_bytes: row.int(total_vm),
                oom_score_adj: row.int(oom_score_adj),
                asker: Owner { comm: row.text(asker).map(str::to_owned), pid: row.int(asker_pid) },
            },
        );
    })
}

/// What one process did before it got memory.
struct Stalls {
    owner: Owner,
    what: String,
    times: Times,
    freed_bytes: Option<u64>,
}

fn stall_columns() -> Columns<Stalls> {
    Columns::<Stalls>::new()
        .comm(|stalls| &stalls.owner)
        .pid(|stalls| &stalls.owner)
        .column("what", "what", |stalls| stalls.what.clone())
        .help("What the thread did before it got memory, and for whose limit; kswapd's own work is not a stall.")
        .times(|stalls| &stalls.times)
        .column("freed_bytes", "freed", |stalls| stalls.freed_bytes.map(bytes))
        .help("Memory that was freed.")
}

fn by_process(source: &Source, processes: &ProcessTable, table: &mut Ranking<Stalls>) -> Result<()> {
    let kinds =
        [(metrics::RECLAIM, "reclaim"), (metrics::COMPACTION, "compaction"), (metrics::KSWAPD, "kswapd at work")];
    let wanted = |name: &str| name == metrics::RECLAIMED || kinds.iter().any(|(metric, _)| *metric == name);
    let tally = Tally::of(source, &["pid", "cause", "comm"], wanted)?;
    tally.each(|dims, by| {
        let [pid, cause, comm] = dims else { return };
        for (metric, what) in kinds {
            let Some(times) = by.get(metric) else { continue };
            let what = cause.text().map_or_else(|| what.to_owned(), |cause| format!("{what}, {cause}"));
            let freed = by.get(metrics::RECLAIMED).filter(|_| metric == metrics::RECLAIM);
            let (owner, times) = (processes.owner(pid, comm), Times::of(times));
            table.row(source, &Stalls { owner, what, times, freed_bytes: freed.map(sum) });
        }
    })
}

/// Page faults of one process.
#[derive(Default)]
struct Faults {
    owner: Owner,
    minor: u64,
    major: u64,
}

fn fault_columns() -> Columns<Faults> {
    Columns::<Faults>::new()
        .comm(|faults| &faults.owner)
        .pid(|faults| &faults.owner)
        .column("faults", "faults", |faults| faults.minor.saturating_add(faults.major))
        .column("minor", "minor", |faults| faults.minor)
        .help("Faults whose page was in memory, or new.")
        .column("major", "major", |faults| faults.major)
        .help("Faults whose page was read from a disk.")
}

fn page_faults(source: &Source, processes: &ProcessTable, table: &mut Ranking<Faults>) -> Result<()> {
    let tally = Tally::of(source, &["pid", "state", "comm"], |name| name == metrics::FAULTS)?;
    let add = |sums: &mut Faults, rest: &[Dim], by: &ByMetric<'_>| {
        let ([state, comm], Some(faults)) = (rest, by.get(metrics::FAULTS)) else { return };
        sums.owner.comm = sums.owner.comm.take().or_else(|| comm.text().map(str::to_owned));
        let sum = if state.text() == Some("major") { &mut sums.major } else { &mut sums.minor };
        *sum = sum.saturating_add(count(faults));
    };
    tally.sums(1, add, |dims, mut faults| {
        let [pid] = dims else { return };
        faults.owner = processes.or_owner(pid, faults.owner.comm);
        table.row(source, &faults);
    })
}

/// One stall.
struct Stall {
    at: Option<i64>,
    dur_ns: Option<i64>,
    what: String,
    owner: Owner,
    tid: Option<i64>,
    freed_bytes: Option<i64>,
}

fn slow_columns() -> Columns<Stall> {
    Columns::<Stall>::new()
        .column("time_ns", "end", |stall| time(stall.at))
        .help("When it ended.")
        .column("dur_ns", "took", |stall| Value::nanos(stall.dur_ns))
        .column("what", "what", |stall| stall.what.clone())
        .comm(|stall| &stall.owner)
        .pid(|stall| &stall.owner)
        .column("tid", "thread", |stall| Value::id(stall.tid))
        .column("freed_bytes", "freed", |stall| stall.freed_bytes.map(Value::Bytes))
        .help("Memory that was freed.")
}

fn slow(source: &Source, processes: &ProcessTable, table: &mut Ranking<Stall>) -> Result<()> {
    for kind in ["reclaim", "compaction"] {
        let mut rows = source.rows(kind);
        let (tid, freed, cause) = (rows.int("tid"), rows.int("bytes"), rows.text("cause"));
        table.longest(source, rows, |row| Stall {
            at: row.at(),
            dur_ns: row.dur(),
            what: row.text(cause).map_or_else(|| kind.to_owned(), |cause| format!("{kind}, {cause}")),
            owner: processes.owner_of(row),
            tid: row.int(tid),
            freed_bytes: row.int(freed),
        })?;
    }
    Ok(())
}
