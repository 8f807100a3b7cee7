//! Views `cpu` and `offcpu`: which functions the CPUs ran, and in which threads waited; as tables, call trees and flame graphs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::FlamePlot;
use crate::render::FlameStack;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::limit::Limit;
use crate::report::read::processes::People;
use crate::report::read::profile::Frame;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Profile;
use crate::report::read::profile::Sample;
use crate::report::read::profile::Stacks;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;

use crate::report::read::input::Source;
use crate::units;
use crate::units::Unit;

/// Branches of the call tree below this part of the whole are left out for people.
const LEAST_SHARE: u64 = 100;

/// The columns of a sample: its stacks, and what it weighs.
const NUMBERS: [&str; 4] = ["kstack_id", "ustack_id", "sum", "count"];
/// About what a cause of sleeps takes in memory.
const CAUSE_BYTES: usize = 96;

pub(super) fn on(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("cpu", "What the CPUs ran");
    note_absent_probe(&mut document, sources, "cpu");
    let mut profiles = Vec::new();
    for source in sources {
        let stacks = Stacks::of(source, &plan.debug_dirs)?;
        let people = People::of(source)?;
        let profile = Profile::of(source, ("cpu_sample", &NUMBERS, &[]), &[], |row| {
            let process = Cow::Owned(process(&people, row.pid(), row.comm()));
            let (kernel, user) = (row.int(0), row.int(1));
            Some(Sample { process, kernel, user, ns: row.natural(2), count: row.natural(3) })
        })?;
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
        Ranking::new(sources, "causes", "By state and system call", cause_fields()).largest_first("sum_ns").top(shown);
    let mut blocks =
        Ranking::new(sources, "blocks", "Longest sleeps", block_fields()).largest_first("dur_ns").top(shown);
    let mut profiles = Vec::new();
    for source in sources {
        let stacks = Stacks::of(source, &plan.debug_dirs)?;
        let people = People::of(source)?;
        let mut by_cause: BTreeMap<(Rc<str>, Rc<str>), (u64, u64)> = BTreeMap::new();
        let mut limit = Limit::new();
        let mut bare = 0u64;
        let columns = ("stack_total", &NUMBERS[..], &["metric", "state", "name"][..]);
        let profile = Profile::of(source, columns, &LEAVING, |row| {
            let (metric, state) = (row.text(0), row.text(1).unwrap_or_default());
            // A kernel thread without work waits for nothing.
            if metric != Some("offcpu.time") || state == "idle" {
                return None;
            }
            let (ns, count) = (row.natural(2), row.natural(3));
            let cause = (limit.name(state), limit.name(row.text(2).unwrap_or_default()));
            if by_cause.contains_key(&cause) || limit.take(CAUSE_BYTES) {
                let sum = by_cause.entry(cause).or_default();
                *sum = (sum.0.saturating_add(count), sum.1.saturating_add(ns));
            }
            if row.int(0).is_none() {
                bare = bare.saturating_add(ns);
            }
            let process = Cow::Owned(process(&people, row.pid(), row.comm()));
            Some(Sample { process, kernel: row.int(0), user: row.int(1), ns, count })
        })?;
        limit.check(source, "causes of sleeps")?;
        for ((state, call), (count, ns)) in by_cause {
            let call = if call.is_empty() { Value::Null } else { Value::from(&*call) };
            let mean = ns.checked_div(count).map_or(Value::Null, |mean| Value::Nanos(whole(mean)));
            causes.row(
                source,
                vec![
                    Value::from(&*state),
                    call,
                    Value::Int(whole(count)),
                    Value::Nanos(whole(ns)),
                    share(ns as f64, profile.ns() as f64),
                    mean,
                ],
            );
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

fn process(people: &People, pid: Option<i64>, comm: Option<&str>) -> String {
    match comm.or_else(|| people.comm(pid?)) {
        Some(comm) => comm.to_owned(),
        None => pid.map_or_else(|| "?".to_owned(), |pid| format!("process {pid}")),
    }
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
    let mut functions = Ranking::new(sources, "functions", "Functions", function_fields(what))
        .largest_first("self_ns")
        .top(plan.rows_shown(20));
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        let all = profile.ns() as f64;
        let mut weights: Vec<_> = profile.functions(stacks)?.into_iter().collect();
        weights.sort_by(|a, b| (b.1.own, b.1.total).cmp(&(a.1.own, a.1.total)).then_with(|| a.0.cmp(&b.0)));
        for (function, weight) in weights {
            functions.row(
                source,
                vec![
                    Value::Text(function.text.to_string()),
                    Value::Text(function.module.to_string()),
                    Value::Nanos(whole(weight.own)),
                    share(weight.own as f64, all),
                    Value::Nanos(whole(weight.total)),
                    share(weight.total as f64, all),
                ],
            );
        }
    }
    document.push(functions.table()?);
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        document.push(tree(sources, source, profile, stacks, plan)?);
    }
    // Without a recording this is for the manual, which lists every table.
    if sources.is_empty() {
        document.push(Ranking::new(sources, "tree", "Calls", tree_fields()).table()?);
    }
    // Nobody else draws it.
    if plan.format == Format::Svg
        && let Some(plot) = flame(document, profiles)?
    {
        document.push(plot);
    }
    Ok(())
}

fn function_fields(what: &str) -> Vec<Field> {
    vec![
        Field::new("function", "function"),
        Field::new("module", "module").help("Program, library or kernel module; [kernel] is the kernel itself."),
        Field::new("self_ns", "self").help(format!("Part of the {what} in the function itself.")),
        Field::new("self_pct", "self share"),
        Field::new("total_ns", "total").help(format!("Part of the {what} in the function and in what it called.")),
        Field::new("total_pct", "total share"),
    ]
}

fn tree_fields() -> Vec<Field> {
    vec![Field::new("function", "call tree"), Field::new("total_ns", "total"), Field::new("total_pct", "total share")]
}

fn tree(sources: &[Source], source: &Source, profile: &Profile, stacks: &Stacks, plan: &ReportPlan) -> Result<Table> {
    let title = if sources.len() > 1 { format!("Calls on {}", source.label()) } else { "Calls".to_owned() };
    let all = profile.ns();
    let least = if plan.format.is_for_programs() || plan.top == Some(0) { 1 } else { all / LEAST_SHARE };
    let rows = profile.tree(stacks, least)?;
    let shown = plan.rows_shown(40).min(rows.len());
    let mut table = Ranking::new(std::slice::from_ref(source), "tree", &title, tree_fields()).top(shown);
    let depths = rows.iter().take(shown).map(|row| row.0).collect();
    for (_, name, ns) in rows {
        let share = share(ns as f64, all as f64);
        table.weighed(source, Some(0), || vec![Value::Text(name.to_string()), Value::Nanos(whole(ns)), share]);
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

fn cause_fields() -> Vec<Field> {
    vec![
        Field::new("state", "state").help("sleeping can be interrupted by a signal, blocked can not."),
        Field::new("name", "system call"),
        Field::new("count", "sleeps"),
        Field::new("sum_ns", "time"),
        Field::new("share_pct", "share"),
        Field::new("mean_ns", "mean"),
    ]
}

fn block_fields() -> Vec<Field> {
    vec![
        Field::new("at_ns", "end"),
        Field::new("process", "process"),
        Field::new("tid", "thread"),
        Field::new("dur_ns", "time"),
        Field::new("runnable_ns", "of it for a CPU"),
        Field::new("state", "state"),
        Field::new("name", "system call"),
        Field::new("function", "in").help("The innermost kernel function that is not the scheduler's."),
        Field::new("user_function", "called by").help("The innermost function of the program."),
        Field::new("waker", "woken by"),
        Field::new("waker_function", "waker in"),
    ]
}

fn longest(source: &Source, people: &People, stacks: &Stacks, table: &mut Ranking) -> Result<()> {
    let numbers = [
        "tid",
        "kstack_id",
        "ustack_id",
        "offcpu_runnable_ns",
        "waker_pid",
        "offcpu_waker_kstack_id",
        "offcpu_waker_ustack_id",
    ];
    source.rows("off_cpu", &numbers, &["state", "name", "offcpu_waker_comm"], |row| {
        let state = row.text(0).unwrap_or_default();
        if state == "idle" {
            return;
        }
        table.weighed(source, Some(row.dur().unwrap_or(0)), || {
            let called =
                |frame: Option<&Frame>| frame.map_or(Value::Null, |frame| Value::Text(frame.function.text.to_string()));
            let kernel: Vec<Frame> = stacks.frames(row.int(1), None).cloned().collect();
            let waker = row.int(4).map(|pid| people.call(pid, row.text(2)));
            vec![
                row.at().map_or(Value::Null, Value::Time),
                Value::Text(people.call(row.pid().unwrap_or(0), row.comm())),
                Value::id(row.int(0)),
                Value::nanos(row.dur()),
                Value::nanos(row.int(3)),
                Value::Text(state.to_owned()),
                row.text(1).map_or(Value::Null, Value::from),
                called(without_leaving(kernel).first()),
                called(stacks.frames(None, row.int(2)).next()),
                waker.map_or(Value::Null, Value::Text),
                called(stacks.frames(row.int(5), row.int(6)).next()),
            ]
        });
    })
}
