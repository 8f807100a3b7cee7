//! View `overhead`: what the recording itself cost, by BPF program.

use std::rc::Rc;

use anyhow::Result;

use crate::recording::ThinnedMeta;
use crate::render::Block;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::cost::Cost;
use crate::report::read::cost::Measured;
use crate::report::read::input::Source;
use crate::report::table::cells::bytes;
use crate::report::table::cells::nanos;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("overhead", "What the recording cost");
    let mut recorder = Ranking::new(sources, "recorder", "The recorder", recorder_columns());
    let mut own_cpu = Ranking::new(sources, "own_cpu", "CPU time of the recorder's process", cpu_columns());
    let mut programs = Ranking::new(sources, "programs", "BPF programs", program_columns())
        .largest_first("sum_ns")
        .top(plan.rows_shown(20));
    let mut thinning =
        Ranking::new(sources, "thinning", "Probes that were thinned to hold the budget", thinning_columns());
    for source in sources {
        for probe in &source.meta().probes {
            let error_pct = probe.error_pct;
            for step in &probe.thinned {
                let at_ns = step.mono_ns.saturating_sub(source.meta().window.start_mono_ns).max(0);
                let (probe, step) = (probe.name.clone(), step.clone());
                thinning.row(source, &Thinned { probe, at_ns, step, error_pct });
            }
        }
        let cost = Cost::of(source)?;
        let recording = source.recording();
        recorder.row(
            source,
            &Recorder {
                programs_share: cost.programs_share(),
                own_share: cost.own_cpu.and_then(|own| own.share()),
                own_cpu_ns: cost.own_cpu.map(|own| own.ns),
                rss_bytes: cost.rss_bytes,
                map_bytes: cost.map_bytes,
                file_bytes: recording.file_bytes(),
                rows: recording.kinds().iter().map(|(_, rows)| *rows).sum(),
                measured: cost.measured_part(source.span_ns()),
            },
        );
        let window_ns = cost.own_cpu.map(|own| own.ns);
        own_cpu.row(source, &OwnCpu { start_ns: cost.start_cpu_ns, window_ns, finish_ns: cost.finish_cpu_ns });
        for (name, cost) in &cost.programs {
            programs.row(source, &Program { name: Rc::clone(name), cost: *cost });
        }
        describe(&mut document, source, &cost, sources.len() > 1);
    }
    document.push(recorder.table()?);
    document.push(own_cpu.table()?);
    document.push(programs.table()?);
    if sources.iter().any(|source| source.meta().probes.iter().any(|probe| !probe.thinned.is_empty())) {
        document.push(thinning.table()?);
    }
    Ok(document)
}

/// How far the figures can be trusted to stand for the whole window.
fn describe(document: &mut Document, source: &Source, cost: &Cost, several: bool) {
    let whose = if several { format!("{}: ", source.label()) } else { String::new() };
    if let Some(budget) = &source.meta().budget {
        document.push(Block::Note(format!("{whose}budget: {budget}")));
    }
    match cost.measured_part(source.span_ns()) {
        None => document.push(Block::Note(format!("{whose}the time in BPF programs was not measured"))),
        Some(part) if part < 0.95 => {
            let part = units::percent(100.0 * part);
            document
                .push(Block::Note(format!("{whose}the time in BPF programs is estimated from {part} of the window")));
        }
        Some(_) => {}
    }
}

/// A change to how a probe is thinned.
struct Thinned {
    probe: String,
    at_ns: i64,
    step: ThinnedMeta,
    error_pct: Option<f64>,
}

fn thinning_columns() -> Columns<Thinned> {
    Columns::<Thinned>::new()
        .column("probe", "probe", |row| Value::from(&*row.probe))
        .column("at_ns", "at", |row| Value::Nanos(row.at_ns))
        .help("Time in the window.")
        .column("one_in", "1 in", |row| (row.step.one_in > 0).then_some(row.step.one_in))
        .help("From then on one event in so many was taken, or one row in so many written; null: none, the probe was detached.")
        .column("cost_pct", "cost before", |row| Value::Percent(row.step.cost_pct))
        .help("What all of recording cost before, as a share of one CPU.")
        .column("error_pct", "error of counts", |row| row.error_pct.map(Value::Percent))
        .help("Standard error of the number of the probe's events while it was attached; null where totals have all events.")
}

/// What the recorder as a whole cost.
struct Recorder {
    programs_share: Option<f64>,
    own_share: Option<f64>,
    own_cpu_ns: Option<u64>,
    rss_bytes: Option<u64>,
    map_bytes: Option<u64>,
    file_bytes: u64,
    rows: u64,
    measured: Option<f64>,
}

fn recorder_columns() -> Columns<Recorder> {
    Columns::<Recorder>::new()
        .column("bpf_cpu_pct", "BPF CPU", |row| row.programs_share.map(percent))
        .help("Time in all BPF programs as a share of one CPU.")
        .column("own_cpu_pct", "own CPU", |row| row.own_share.map(percent))
        .help("CPU time of the recorder's process as a share of one CPU.")
        .column("own_cpu_ns", "own CPU time", |row| row.own_cpu_ns.map(nanos))
        .help("CPU time of the recorder's process within the window.")
        .column("rss_bytes", "memory", |row| row.rss_bytes.map(bytes))
        .help("Largest resident set of the recorder's process.")
        .column("map_bytes", "kernel memory", |row| row.map_bytes.map(bytes))
        .help("Memory of all BPF maps: ring buffers, stacks, histograms, processes in scope; without task storage.")
        .column("file_bytes", "file", |row| bytes(row.file_bytes))
        .help("Size of the recording.")
        .column("rows", "rows", |row| row.rows)
        .help("Rows in the recording.")
        .column("measured_pct", "measured", |row| row.measured.map(percent))
        .help("Part of the window in which BPF programs were measured.")
}

fn percent(share: f64) -> Value {
    Value::Percent(100.0 * share)
}

/// CPU time of the recorder's process.
struct OwnCpu {
    start_ns: Option<u64>,
    window_ns: Option<u64>,
    finish_ns: Option<u64>,
}

fn cpu_columns() -> Columns<OwnCpu> {
    Columns::<OwnCpu>::new()
        .column("start_ns", "to start", |cpu| cpu.start_ns.map(nanos))
        .help("Before the window: loading and attaching.")
        .column("window_ns", "in the window", |cpu| cpu.window_ns.map(nanos))
        .column("finish_ns", "to finish", |cpu| cpu.finish_ns.map(nanos))
        .help("After the window: naming stacks and writing rows, without the final merge of row groups.")
}

/// A BPF program.
struct Program {
    name: Rc<str>,
    cost: Measured,
}

fn program_columns() -> Columns<Program> {
    Columns::<Program>::new()
        .column("program", "program", |program| Value::from(&*program.name))
        .help("Probe and program.")
        .column("runs", "runs", |program| program.cost.runs)
        .help("Runs while it was measured.")
        .column("per_run_ns", "per run", |program| Value::nanos_f64(program.cost.per_run()))
        .help("Mean time of a run.")
        .column("cpu_pct", "of a CPU", |program| program.cost.share().map(percent))
        .help("Time in the program as a share of one CPU.")
        .column("sum_ns", "time", |program| nanos(program.cost.ns))
        .help("Time in the program while it was measured.")
        .column("measured_ns", "measured", |program| nanos(program.cost.during_ns))
        .help("Length of the measurement.")
}
