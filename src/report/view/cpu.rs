//! Views `cpu` and `offcpu`: which functions the CPUs ran, and in which threads waited; as tables, call trees and flame graphs.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Document;
use crate::render::FlamePlot;
use crate::render::FlameStack;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::limit::Limit;
use crate::report::read::processes::People;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Profile;
use crate::report::read::profile::Stacks;
use crate::report::read::profile::Weight;
use crate::report::read::samples::SampleColumns;
use crate::report::read::samples::SleepColumns;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::some;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

use crate::report::read::input::Source;
use crate::units;
use crate::units::Unit;

/// Branches of the call tree below this part of the whole are left out for people.
const LEAST_SHARE: u64 = 100;

/// About what a cause of sleeps takes in memory.
const CAUSE_BYTES: usize = 96;

pub(super) fn on(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("cpu", "What the CPUs ran");
    note_absent_probe(&mut document, sources, "cpu");
    let mut profiles = Vec::new();
    for source in sources {
        let stacks = Stacks::of(source, &plan.debug_dirs)?;
        let people = People::of(source)?;
        let mut rows = source.rows("cpu_sample");
        let columns = SampleColumns::of(&mut rows);
        let profile = Profile::of(source, rows, &[], |row| Some(columns.sample(&people, row)))?;
        let whose = whose(sources, source);
        let clock = source.meta().probes.iter().find(|probe| probe.name == "cpu").and_then(|probe| probe.hooks.first());
        let clock = clock.map(|hook| format!(" ({})", hook.trim_start_matches("perf_event/"))).unwrap_or_default();
        document.note(format!("{whose}{} samples{clock}; {}", units::count(profile.count()), profile.naming(&stacks)?));
        note_wholeness(&mut document, &whose, source, &profile, &stacks)?;
        profiles.push((profile, stacks));
    }
    finish(&mut document, sources, &profiles, plan, "CPU time")?;
    Ok(document)
}

/// Says how many stacks have all callers.
fn note_wholeness(
    document: &mut Document,
    whose: &str,
    source: &Source,
    profile: &Profile,
    stacks: &Stacks,
) -> Result<()> {
    let by_tables = source.meta().config.get("unwind_bytes").and_then(|bytes| bytes.as_u64()) > Some(0);
    if let Some(text) = profile.wholeness(stacks, by_tables)? {
        document.note(format!("{whose}{text}"));
    }
    Ok(())
}

pub(super) fn off(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("offcpu", "What threads waited for");
    note_absent_probe(&mut document, sources, "offcpu");
    let shown = plan.rows_shown(20);
    let mut causes =
        Ranking::new(sources, "causes", "By state and system call", cause_columns()).largest_first("sum_ns").top(shown);
    let mut blocks =
        Ranking::new(sources, "blocks", "Longest sleeps", sleep_columns()).largest_first("dur_ns").top(shown);
    let mut profiles = Vec::new();
    for source in sources {
        let stacks = Stacks::of(source, &plan.debug_dirs)?;
        let people = People::of(source)?;
        let mut by_cause: BTreeMap<(Rc<str>, Rc<str>), (u64, u64)> = BTreeMap::new();
        let mut limit = Limit::new();
        let mut bare = 0u64;
        let mut rows = source.rows("stack_total");
        let (columns, sleeps) = (SampleColumns::of(&mut rows), SleepColumns::of(&mut rows));
        let call = rows.text("name");
        let profile = Profile::of(source, rows, &LEAVING, |row| {
            let state = sleeps.state(row)?;
            let sample = columns.sample(&people, row);
            let cause = (limit.name(state), limit.name(row.text(call).unwrap_or_default()));
            if by_cause.contains_key(&cause) || limit.take(CAUSE_BYTES) {
                let sum = by_cause.entry(cause).or_default();
                *sum = (sum.0.saturating_add(sample.count), sum.1.saturating_add(sample.ns));
            }
            if sample.kernel.is_none() {
                bare = bare.saturating_add(sample.ns);
            }
            Some(sample)
        })?;
        limit.check(source, "causes of sleeps")?;
        for ((state, call), (count, ns)) in by_cause {
            causes.row(source, &Cause { state, call, count, ns, of_all_ns: profile.ns() });
        }
        longest(source, &people, &stacks, &mut blocks)?;
        let whose = whose(sources, source);
        let sleeps = units::count(profile.count());
        document.note(format!("{whose}{sleeps} sleeps ended in the window; {}", profile.naming(&stacks)?));
        note_wholeness(&mut document, &whose, source, &profile, &stacks)?;
        if bare > 0 {
            let part = units::percent(100.0 * bare as f64 / profile.ns().max(1) as f64);
            document.note(format!(
                "{whose}{part} of the time has no stack: stacks of threads that sleep shortly all the time are sampled"
            ));
        }
        profiles.push((profile, stacks));
    }
    document.push(causes.table()?);
    finish(&mut document, sources, &profiles, plan, "time asleep")?;
    document.push(blocks.table()?);
    Ok(document)
}

fn whose(sources: &[Source], source: &Source) -> String {
    if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() }
}

/// Drops the innermost frames that are the scheduler's own.
fn without_leaving(frames: Vec<Frame>) -> Vec<Frame> {
    let leaving = |frame: &Frame| LEAVING.contains(&&*frame.function.text);
    let own = frames.iter().take_while(|frame| leaving(frame)).count();
    // A thread that only gave up its CPU has nothing else.
    let own = if own == frames.len() { 0 } else { own };
    frames.into_iter().skip(own).collect()
}

/// Adds the functions, the call tree and the flame graph.
fn finish(
    document: &mut Document,
    sources: &[Source],
    profiles: &[(Profile, Stacks)],
    plan: &ReportPlan,
    what: &str,
) -> Result<()> {
    let mut functions = Ranking::new(sources, "functions", "Functions", function_columns(what))
        .largest_first("self_ns")
        .top(plan.rows_shown(20));
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        let all = profile.ns();
        let mut weights: Vec<_> = profile.functions(stacks)?.into_iter().collect();
        weights.sort_by(|a, b| (b.1.own, b.1.total).cmp(&(a.1.own, a.1.total)).then_with(|| a.0.cmp(&b.0)));
        for (function, weight) in weights {
            functions.row(source, &FunctionRow { function, weight, of_all_ns: all });
        }
    }
    document.push(functions.table()?);
    push_lines(document, sources, profiles, plan, what)?;
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        document.push(tree(sources, source, profile, stacks, plan, what)?);
    }
    // Without a recording this is for the manual, which lists every table.
    if sources.is_empty() {
        document.push(Ranking::new(sources, "tree", "Calls", tree_columns(what)).table()?);
    }
    // Nobody else draws it.
    if matches!(plan.format, Format::Svg | Format::Html)
        && let Some(plot) = flame(document, profiles)?
    {
        document.push(plot);
    }
    Ok(())
}

/// A function and what it weighs.
struct FunctionRow {
    function: Rc<Function>,
    weight: Weight,
    of_all_ns: u64,
}

fn function_columns(what: &str) -> Columns<FunctionRow> {
    Columns::<FunctionRow>::new()
        .column("function", "function", |row| Value::from(&*row.function.text))
        .column("module", "module", |row| Value::from(&*row.function.module))
        .help("Program, library or kernel module; [kernel] is the kernel itself.")
        .column("self_ns", "self", |row| nanos(row.weight.own))
        .help(format!("Part of the {what} in the function itself."))
        .column("self_pct", format!("of {what}"), |row| share(row.weight.own as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the function itself, in hundredths."))
        .column("total_ns", "total", |row| nanos(row.weight.total))
        .help(format!("Part of the {what} in the function and in what it called."))
        .column("total_pct", format!("of {what}"), |row| share(row.weight.total as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the function and in what it called, in hundredths."))
}

/// A line of a source file and what it weighs.
struct LineRow {
    function: Rc<Function>,
    line: i64,
    weight: Weight,
    of_all_ns: u64,
}

fn line_columns(what: &str) -> Columns<LineRow> {
    Columns::<LineRow>::new()
        .column("function", "function", |row| Value::from(&*row.function.text))
        .column("module", "file", |row| Value::from(&*row.function.module))
        .column("line", "line", |row| Value::id(Some(row.line)))
        .column("self_ns", "self", |row| nanos(row.weight.own))
        .help(format!("Part of the {what} in the line and in the native functions that it called."))
        .column("self_pct", format!("of {what}"), |row| share(row.weight.own as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the line and in the native functions that it called, in hundredths."))
        .column("total_ns", "total", |row| nanos(row.weight.total))
        .help(format!("Part of the {what} in the line and in what it called."))
        .column("total_pct", format!("of {what}"), |row| share(row.weight.total as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the line and in what it called, in hundredths."))
}

/// Adds the lines of source files, where any are known.
fn push_lines(
    document: &mut Document,
    sources: &[Source],
    profiles: &[(Profile, Stacks)],
    plan: &ReportPlan,
    what: &str,
) -> Result<()> {
    let mut lines = Ranking::new(sources, "lines", "Python lines", line_columns(what))
        .largest_first("self_ns")
        .top(plan.rows_shown(10));
    // Without a recording this is for the manual, which lists every table.
    let mut has_lines = sources.is_empty();
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        let all = profile.ns();
        let mut weights: Vec<_> = profile.lines(stacks)?.into_iter().collect();
        weights.sort_by(|a, b| (b.1.own, b.1.total).cmp(&(a.1.own, a.1.total)).then_with(|| a.0.cmp(&b.0)));
        has_lines |= !weights.is_empty();
        for ((function, line), weight) in weights {
            lines.row(source, &LineRow { function, line, weight, of_all_ns: all });
        }
    }
    if has_lines {
        document.push(lines.table()?);
    }
    Ok(())
}

/// A call in the tree.
struct Call {
    name: Rc<str>,
    ns: u64,
    of_all_ns: u64,
}

fn tree_columns(what: &str) -> Columns<Call> {
    Columns::<Call>::new()
        .column("function", "call tree", |call| Value::from(&*call.name))
        .column("total_ns", "total", |call| nanos(call.ns))
        .column("total_pct", format!("of {what}"), |call| share(call.ns as f64, call.of_all_ns as f64))
        .help(format!("Part of the {what} in the call and below it, in hundredths."))
}

fn tree(
    sources: &[Source],
    source: &Source,
    profile: &Profile,
    stacks: &Stacks,
    plan: &ReportPlan,
    what: &str,
) -> Result<Table> {
    let title = if sources.len() > 1 { format!("Calls on {}", source.label()) } else { "Calls".to_owned() };
    let all = profile.ns();
    let least = if plan.format.is_for_programs() || plan.top == Some(0) { 1 } else { all / LEAST_SHARE };
    let rows = profile.tree(stacks, least)?;
    let shown = plan.rows_shown(40).min(rows.len());
    let mut table = Ranking::new(std::slice::from_ref(source), "tree", &title, tree_columns(what)).top(shown);
    let depths = rows.iter().take(shown).map(|row| row.0).collect();
    for (_, name, ns) in rows {
        table.weighed(source, Some(0), || Call { name, ns, of_all_ns: all });
    }
    let mut table = table.table()?;
    table.depths = Some(depths);
    Ok(table)
}

/// One flame graph of one recording, the difference of two, or all together.
fn flame(document: &Document, profiles: &[(Profile, Stacks)]) -> Result<Option<FlamePlot>> {
    let title = document.title.clone();
    let mut stacks: HashMap<String, (u64, u64)> = HashMap::new();
    if let [before, after] = profiles {
        for ((profile, own), is_after) in [(before, false), (after, true)] {
            for (folded, ns) in profile.folded(own)? {
                let weights = stacks.entry(folded).or_default();
                let weight = if is_after { &mut weights.1 } else { &mut weights.0 };
                *weight = weight.saturating_add(ns);
            }
        }
    } else {
        for (profile, own) in profiles {
            for (folded, ns) in profile.folded(own)? {
                let weight = &mut stacks.entry(folded).or_default().1;
                *weight = weight.saturating_add(ns);
            }
        }
    }
    let differs = profiles.len() == 2;
    let stack = |(folded, (before, weight))| FlameStack { folded, before: differs.then_some(before), weight };
    let mut stacks: Vec<FlameStack> = stacks.into_iter().map(stack).collect();
    stacks.sort_by(|a, b| a.folded.cmp(&b.folded));
    let title = if differs { format!("{title}: red grew from the first recording to the second") } else { title };
    let plot = FlamePlot { name: document.name.clone(), title, unit: Unit::Nanoseconds, stacks };
    Ok((!plot.stacks.is_empty()).then_some(plot))
}

/// Sleeps in one state and system call.
struct Cause {
    state: Rc<str>,
    call: Rc<str>,
    count: u64,
    ns: u64,
    of_all_ns: u64,
}

fn cause_columns() -> Columns<Cause> {
    Columns::<Cause>::new()
        .column("state", "state", |cause| Value::from(&*cause.state))
        .help("sleeping can be interrupted by a signal, blocked can not.")
        .column("name", "system call", |cause| some(&cause.call))
        .column("count", "sleeps", |cause| cause.count)
        .column("sum_ns", "time", |cause| nanos(cause.ns))
        .column("share_pct", "of time asleep", |cause| share(cause.ns as f64, cause.of_all_ns as f64))
        .help("Part of the time asleep of all causes.")
        .column("mean_ns", "mean", |cause| cause.ns.checked_div(cause.count).map(nanos))
}

/// One sleep.
struct Sleep {
    at: Option<i64>,
    process: String,
    tid: Option<i64>,
    dur_ns: Option<i64>,
    runnable_ns: Option<i64>,
    state: String,
    call: Option<String>,
    function: Option<String>,
    user_function: Option<String>,
    waker: Option<String>,
    waker_function: Option<String>,
}

fn sleep_columns() -> Columns<Sleep> {
    Columns::<Sleep>::new()
        .column("at_ns", "end", |sleep| time(sleep.at))
        .column("process", "process", |sleep| sleep.process.clone())
        .column("tid", "thread", |sleep| Value::id(sleep.tid))
        .column("dur_ns", "time", |sleep| Value::nanos(sleep.dur_ns))
        .column("runnable_ns", "of it for a CPU", |sleep| Value::nanos(sleep.runnable_ns))
        .column("state", "state", |sleep| sleep.state.clone())
        .column("name", "system call", |sleep| sleep.call.clone())
        .column("function", "in", |sleep| sleep.function.clone())
        .help("The innermost kernel function that is not the scheduler's.")
        .column("user_function", "called by", |sleep| sleep.user_function.clone())
        .help("The innermost function of the program.")
        .column("waker", "woken by", |sleep| sleep.waker.clone())
        .column("waker_function", "waker in", |sleep| sleep.waker_function.clone())
}

fn longest(source: &Source, people: &People, stacks: &Stacks, table: &mut Ranking<Sleep>) -> Result<()> {
    let mut rows = source.rows("off_cpu");
    let (tid, state, call) = (rows.int("tid"), rows.text("state"), rows.text("name"));
    let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
    let runnable = rows.int("offcpu_runnable_ns");
    let (waker, waker_comm) = (rows.int("waker_pid"), rows.text("offcpu_waker_comm"));
    let (waker_kernel, waker_user) = (rows.int("offcpu_waker_kstack_id"), rows.int("offcpu_waker_ustack_id"));
    rows.each(|row| {
        let state = row.text(state).unwrap_or_default();
        if state == "idle" {
            return;
        }
        table.weighed(source, Some(row.dur().unwrap_or(0)), || {
            let called = |frame: Option<&Frame>| frame.map(|frame| frame.function.text.to_string());
            let in_kernel: Vec<Frame> = stacks.frames(row.int(kernel), None).cloned().collect();
            Sleep {
                at: row.at(),
                process: people.call(row.pid().unwrap_or(0), people.of_row(row)),
                tid: row.int(tid),
                dur_ns: row.dur(),
                runnable_ns: row.int(runnable),
                state: state.to_owned(),
                call: row.text(call).map(str::to_owned),
                function: called(without_leaving(in_kernel).first()),
                user_function: called(stacks.frames(None, row.int(user)).next()),
                waker: row.int(waker).map(|pid| people.call(pid, row.text(waker_comm))),
                waker_function: called(stacks.frames(row.int(waker_kernel), row.int(waker_user)).next()),
            }
        });
    })
}
