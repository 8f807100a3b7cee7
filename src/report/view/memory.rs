//! View `memory`: stalls for memory, OOM kills, page faults, by process; the slowest stalls.

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
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
use crate::report::read::processes::People;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

/// The victim's sizes.
const SIZES: [&str; 6] = [
    "memory_total_vm_bytes",
    "memory_anon_rss_bytes",
    "memory_file_rss_bytes",
    "memory_shmem_rss_bytes",
    "memory_swap_bytes",
    "memory_pgtables_bytes",
];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("memory", "Memory");
    note_absent_probe(&mut document, sources, "memory");
    let shown = plan.rows_shown(20);
    let mut kills = Ranking::new(sources, "oom", "Killed because memory ran out", kill_fields());
    let mut stalls =
        Ranking::new(sources, "stalls", "Stalls by process", stall_fields()).largest_first("sum_ns").top(shown);
    let mut faults =
        Ranking::new(sources, "faults", "Page faults by process", fault_fields()).largest_first("faults").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest stalls", slow_fields()).largest_first("dur_ns").top(shown);
    for source in sources {
        let people = People::of(source)?;
        oom(source, &people, &mut kills)?;
        by_process(source, &people, &mut stalls)?;
        page_faults(source, &people, &mut faults)?;
        slow(source, &people, &mut slowest)?;
    }
    document.push(kills.table()?);
    document.push(stalls.table()?);
    document.push(faults.table()?);
    document.push(slowest.table()?);
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::RECLAIM, "Stalls to free memory", "cause")?,
            times::plot(sources, metrics::COMPACTION, "Stalls to move memory together", "comm")?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

fn kill_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "when"),
        Field::new("comm", "victim"),
        Field::new("pid", "pid"),
        Field::new("uid", "uid"),
        Field::new("anon_rss_bytes", "anonymous").help("Its resident anonymous memory."),
        Field::new("file_rss_bytes", "files").help("Its resident pages of files."),
        Field::new("shmem_rss_bytes", "shared").help("Its resident shared memory."),
        Field::new("swap_bytes", "swap"),
        Field::new("page_tables_bytes", "page tables"),
        Field::new("total_vm_bytes", "address space"),
        Field::new("oom_score_adj", "adjustment").help("Its oom_score_adj: 1000 is killed first, -1000 never."),
        Field::new("asker", "asked by").help("Whose request for memory could not be met."),
        Field::new("asker_pid", "asker pid"),
    ]
}

fn oom(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let ints = [SIZES.as_slice(), &["uid", "memory_oom_score_adj", "memory_asker_pid"]].concat();
    source.rows("oom", &ints, &["memory_asker_comm"], |row| {
        let size = |at: usize| row.int(at).map_or(Value::Null, Value::Bytes);
        let comm = people.of_row(row);
        let cells = vec![
            row.at().map_or(Value::Null, Value::Time),
            Value::from(comm),
            Value::id(row.pid()),
            Value::id(row.int(6)),
            size(1),
            size(2),
            size(3),
            size(4),
            size(5),
            size(0),
            Value::id(row.int(7)),
            Value::from(row.text(0)),
            Value::id(row.int(8)),
        ];
        table.row(source, cells);
    })
}

fn stall_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("what", "what")
            .help("What it did before it got memory, and for whose limit; kswapd's work is no stall."),
    ];
    fields.extend(times::fields());
    fields.push(Field::new("freed_bytes", "freed").help("Memory that was freed."));
    fields
}

fn by_process(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let kinds =
        [(metrics::RECLAIM, "reclaim"), (metrics::COMPACTION, "compaction"), (metrics::KSWAPD, "kswapd at work")];
    let wanted = |name: &str| name == metrics::RECLAIMED || kinds.iter().any(|(metric, _)| *metric == name);
    let tally = Tally::of(source, &["pid", "cause", "comm"], wanted)?;
    tally.each(|dims, by| {
        let [pid, cause, comm] = dims else { return };
        for (metric, what) in kinds {
            let Some(times) = by.get(metric) else { continue };
            let own = people.of_dims(pid, comm);
            let what = cause.text().map_or_else(|| what.to_owned(), |cause| format!("{what}, {cause}"));
            let mut cells = vec![Value::from(own), pid.value(), Value::from(what)];
            cells.extend(times::cells(times));
            let freed = by.get(metrics::RECLAIMED).filter(|_| metric == metrics::RECLAIM);
            cells.push(freed.map_or(Value::Null, |bytes| Value::Bytes(whole(sum(bytes)))));
            table.row(source, cells);
        }
    })
}

fn fault_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("faults", "faults"),
        Field::new("minor", "minor").help("The page was in memory, or had to be made."),
        Field::new("major", "major").help("The page had to be read from a disk."),
    ]
}

fn page_faults(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["pid", "state", "comm"], |name| name == metrics::FAULTS)?;
    let add = |(name, [minor, major]): &mut (Option<String>, [u64; 2]), rest: &[Dim], by: &ByMetric<'_>| {
        let ([state, comm], Some(faults)) = (rest, by.get(metrics::FAULTS)) else { return };
        *name = name.take().or_else(|| comm.text().map(str::to_owned));
        let sort = if state.text() == Some("major") { major } else { minor };
        *sort = sort.saturating_add(count(faults));
    };
    tally.sums(1, add, |dims, (name, [minor, major])| {
        let [pid] = dims else { return };
        let number = |count: u64| Value::Int(whole(count));
        let all = minor.saturating_add(major);
        let comm = people.name(pid.process()).or(name.as_deref());
        table.row(source, vec![Value::from(comm), pid.value(), number(all), number(minor), number(major)]);
    })
}

fn slow_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it ended."),
        Field::new("dur_ns", "took"),
        Field::new("what", "what"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
        Field::new("freed_bytes", "freed").help("Memory that was freed."),
    ]
}

fn slow(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    for kind in ["reclaim", "compaction"] {
        source.rows(kind, &["tid", "bytes"], &["cause"], |row| {
            table.weighed(source, row.dur(), || {
                let what = row.text(0).map_or_else(|| kind.to_owned(), |cause| format!("{kind}, {cause}"));
                vec![
                    row.at().map_or(Value::Null, Value::Time),
                    Value::nanos(row.dur()),
                    Value::from(what),
                    Value::from(people.of_row(row)),
                    Value::id(row.pid()),
                    Value::id(row.int(0)),
                    row.int(1).map_or(Value::Null, Value::Bytes),
                ]
            });
        })?;
    }
    Ok(())
}
