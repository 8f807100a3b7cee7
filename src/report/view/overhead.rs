//! View `overhead`: what the recording itself cost, by BPF program.

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::cost::Cost;
use crate::report::read::input::Source;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::units;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("overhead", "What the recording cost");
    let mut recorder = Ranking::new(sources, "recorder", "The recorder", recorder_fields());
    let mut own_cpu = Ranking::new(sources, "own_cpu", "CPU time of the recorder's process", cpu_fields());
    let mut programs = Ranking::new(sources, "programs", "BPF programs", program_fields())
        .largest_first("sum_ns")
        .top(plan.rows_shown(20));
    for source in sources {
        let cost = Cost::of(source)?;
        recorder.row(source, recorder_row(source, &cost));
        own_cpu.row(source, cpu_row(&cost));
        for (name, program) in &cost.programs {
            let cells = vec![
                Value::from(&**name),
                Value::Int(whole(program.runs)),
                Value::nanos_f64(program.per_run()),
                program.share().map_or(Value::Null, |share| Value::Percent(100.0 * share)),
                Value::Nanos(whole(program.ns)),
                Value::Nanos(whole(program.during_ns)),
            ];
            programs.row(source, cells);
        }
        tell(&mut document, source, &cost, sources.len() > 1);
    }
    document.push(recorder.table()?);
    document.push(own_cpu.table()?);
    document.push(programs.table()?);
    Ok(document)
}

/// How far the figures can be trusted to stand for the whole window.
fn tell(document: &mut Document, source: &Source, cost: &Cost, several: bool) {
    let whose = if several { format!("{}: ", source.label()) } else { String::new() };
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

fn recorder_fields() -> Vec<Field> {
    vec![
        Field::new("bpf_cpu_pct", "BPF CPU").help("Time in all BPF programs as a share of one CPU."),
        Field::new("own_cpu_pct", "own CPU").help("CPU time of the recorder's process as a share of one CPU."),
        Field::new("own_cpu_ns", "own CPU time").help("CPU time of the recorder's process within the window."),
        Field::new("rss_bytes", "memory").help("Largest resident set of the recorder's process."),
        Field::new("map_bytes", "kernel memory").help("Memory of all BPF maps: ring buffers, stacks, histograms, processes in scope; without what is kept by thread in task storage."),
        Field::new("file_bytes", "file").help("Size of the recording."),
        Field::new("rows", "rows").help("Rows in the recording."),
        Field::new("measured_pct", "measured").help("Part of the window in which BPF programs were measured."),
    ]
}

fn recorder_row(source: &Source, cost: &Cost) -> Vec<Value> {
    let percent = |share: Option<f64>| share.map_or(Value::Null, |share| Value::Percent(100.0 * share));
    let bytes = |bytes: Option<u64>| bytes.map_or(Value::Null, |bytes| Value::Bytes(whole(bytes)));
    let rows = source.recording().kinds().iter().map(|(_, rows)| *rows).sum::<u64>();
    vec![
        percent(cost.programs_share()),
        percent(cost.own_cpu.and_then(|own| own.share())),
        cost.own_cpu.map_or(Value::Null, |own| Value::Nanos(whole(own.ns))),
        bytes(cost.rss_bytes),
        bytes(cost.map_bytes),
        Value::Bytes(whole(source.recording().file_bytes())),
        Value::Int(whole(rows)),
        cost.measured_part(source.span_ns()).map_or(Value::Null, |part| share(part, 1.0)),
    ]
}

fn cpu_fields() -> Vec<Field> {
    vec![
        Field::new("start_ns", "to start").help("Before the window: loading and attaching."),
        Field::new("window_ns", "in the window"),
        Field::new("finish_ns", "to finish")
            .help("After the window: naming stacks and writing rows; the last merge of row groups is left out."),
    ]
}

fn cpu_row(cost: &Cost) -> Vec<Value> {
    let ns = |ns: Option<u64>| Value::nanos(ns.map(whole));
    vec![ns(cost.start_cpu_ns), ns(cost.own_cpu.map(|own| own.ns)), ns(cost.finish_cpu_ns)]
}

fn program_fields() -> Vec<Field> {
    vec![
        Field::new("program", "program").help("Probe and program."),
        Field::new("runs", "runs").help("Runs while it was measured."),
        Field::new("per_run_ns", "per run").help("Mean time of a run."),
        Field::new("cpu_pct", "of a CPU").help("Time in the program as a share of one CPU."),
        Field::new("sum_ns", "time").help("Time in the program while it was measured."),
        Field::new("measured_ns", "measured").help("Length of the measurement."),
    ]
}
