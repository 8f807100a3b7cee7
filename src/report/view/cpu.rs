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
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Branch;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Profile;
use crate::report::read::profile::Stacks;
use crate::report::read::profile::Survey;
use crate::report::read::profile::Visited;
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
/// What the kernel does for a call is one line below this part of the whole.
const LEAST_IN_KERNEL: u64 = 20;

/// About what a cause of sleeps takes in memory.
const CAUSE_BYTES: usize = 96;

pub(super) fn on(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("cpu", "What the CPUs ran");
    note_absent_probe(&mut document, sources, "cpu");
    let mut profiles = Vec::new();
    for source in sources {
        let stacks = Stacks::of(source, &plan.debug_dirs)?;
        let processes = ProcessTable::of(source)?;
        let mut rows = source.rows("cpu_sample");
        let columns = SampleColumns::of(&mut rows);
        let profile = Profile::of(source, rows, &[], |row| Some(columns.sample(&processes, row)))?;
        let whose = whose(sources, source);
        let clock = source.meta().probes.iter().find(|probe| probe.name == "cpu").and_then(|probe| probe.hooks.first());
        let clock = clock.map(|hook| format!(" ({})", hook.trim_start_matches("perf_event/"))).unwrap_or_default();
        let survey = profile.survey(&stacks)?;
        document.note(format!("{whose}{} samples{clock}; {}", units::count(profile.count()), survey.naming()));
        note_wholeness(&mut document, &whose, source, &survey);
        profiles.push((profile, stacks, survey));
    }
    finish(&mut document, sources, profiles, plan, "CPU time")?;
    Ok(document)
}

/// Says how many stacks have all callers.
fn note_wholeness(document: &mut Document, whose: &str, source: &Source, survey: &Survey) {
    let by_tables = source.meta().config.get("unwind_bytes").and_then(|bytes| bytes.as_u64()) > Some(0);
    if let Some(text) = survey.wholeness(by_tables) {
        document.note(format!("{whose}{text}"));
    }
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
        let processes = ProcessTable::of(source)?;
        let mut by_cause: BTreeMap<(Rc<str>, Rc<str>), (u64, u64)> = BTreeMap::new();
        let mut limit = Limit::new();
        let mut bare = 0u64;
        let mut rows = source.rows("stack_total");
        let (columns, sleeps) = (SampleColumns::of(&mut rows), SleepColumns::of(&mut rows));
        let call = rows.text("name");
        let profile = Profile::of(source, rows, &LEAVING, |row| {
            let state = sleeps.state(row)?;
            let sample = columns.sample(&processes, row);
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
        longest(source, &processes, &stacks, &mut blocks)?;
        let whose = whose(sources, source);
        let sleeps = units::count(profile.count());
        let survey = profile.survey(&stacks)?;
        document.note(format!("{whose}{sleeps} sleeps ended in the window; {}", survey.naming()));
        note_wholeness(&mut document, &whose, source, &survey);
        if bare > 0 {
            let part = units::percent(100.0 * bare as f64 / profile.ns().max(1) as f64);
            document.note(format!(
                "{whose}{part} of the time has no stack: stacks of threads with many short sleeps are sampled"
            ));
        }
        profiles.push((profile, stacks, survey));
    }
    document.push(causes.table()?);
    finish(&mut document, sources, profiles, plan, "time asleep")?;
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
    surveyed: Vec<(Profile, Stacks, Survey)>,
    plan: &ReportPlan,
    what: &str,
) -> Result<()> {
    let mut profiles = Vec::new();
    let mut functions = Ranking::new(sources, "functions", "Functions", function_columns(what))
        .largest_first("self_ns")
        .top(plan.rows_shown(20));
    for (source, (profile, stacks, survey)) in sources.iter().zip(surveyed) {
        let mut visited = survey.functions;
        visited.sort_by(|a, b| {
            let weights = |one: &Visited| (one.weight.own, one.weight.total);
            weights(b).cmp(&weights(a)).then_with(|| a.function.cmp(&b.function))
        });
        for Visited { function, weight, entered_from } in visited {
            functions.row(source, &FunctionRow { function, entered_from, weight, of_all_ns: profile.ns() });
        }
        profiles.push((profile, stacks));
    }
    let profiles = profiles.as_slice();
    document.push(functions.table()?);
    push_lines(document, sources, profiles, plan, what)?;
    if plan.format.is_for_programs() {
        document.push(all_trees(sources, profiles, plan, what)?);
    } else {
        for (source, (profile, stacks)) in sources.iter().zip(profiles) {
            document.push(tree(sources, source, profile, stacks, plan, what)?);
        }
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
    entered_from: Option<Rc<Function>>,
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
        .column("self_pct", "self", |row| share(row.weight.own as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the function itself, in percent."))
        .column("total_ns", "total", |row| nanos(row.weight.total))
        .help(format!("Part of the {what} in the function and in what it called."))
        .column("total_pct", "total", |row| share(row.weight.total as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the function and in what it called, in percent."))
        .column("entered_from", "entered from", |row| row.entered_from.as_ref().map(|caller| caller.text.to_string()))
        .help("For a kernel function: the program's function that entered the kernel, in the heaviest stack that contains both.")
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
        .column("self_pct", "self", |row| share(row.weight.own as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the line and in the native functions that it called, in percent."))
        .column("total_ns", "total", |row| nanos(row.weight.total))
        .help(format!("Part of the {what} in the line and in what it called."))
        .column("total_pct", "total", |row| share(row.weight.total as f64, row.of_all_ns as f64))
        .help(format!("Part of the {what} in the line and in what it called, in percent."))
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
        .help(format!("Part of the {what} in the call and below it, in percent."))
}

/// A tree as people read it: calls that are nearly all of their caller's time share its line, and what the kernel did for a call is
/// told apart only where it is much.
fn folded(branches: Vec<Branch>, all: u64) -> Vec<Branch> {
    let (least, least_in_kernel) = (all / LEAST_SHARE, all / LEAST_IN_KERNEL);
    let mut entered: Option<u16> = None;
    let mut rows: Vec<Branch> = Vec::new();
    for branch in branches {
        // The kernel's first function stands for small ones below it.
        entered = entered.filter(|depth| branch.depth > *depth);
        match entered {
            Some(_) if branch.ns < least_in_kernel => continue,
            None if branch.in_kernel => entered = Some(branch.depth),
            _ => {}
        }
        rows.push(branch);
    }
    let mut lines: Vec<Branch> = Vec::new();
    // Of each line, the names on it; of each depth of `rows`, the depth of the line.
    let mut chain: Vec<Rc<str>> = Vec::new();
    let mut depths: Vec<u16> = Vec::new();
    let mut rest = rows.iter().peekable();
    while let Some(row) = rest.next() {
        depths.truncate(row.depth.into());
        if chain.is_empty() {
            let depth = depths.last().map_or(0, |depth| depth + 1);
            lines.push(Branch { depth, ..row.clone() });
        }
        chain.push(Rc::clone(&row.name));
        depths.push(lines.last().map_or(0, |line| line.depth));
        let continues = rest
            .peek()
            .is_some_and(|next| next.depth == row.depth + 1 && row.depth > 0 && row.ns - next.ns.min(row.ns) < least);
        if !continues {
            if let Some(line) = lines.last_mut() {
                line.name = line_of(&chain);
            }
            chain.clear();
        }
    }
    lines
}

/// `main`; `main → run`; `main → 3 more → read`.
fn line_of(chain: &[Rc<str>]) -> Rc<str> {
    match chain {
        [first, last] => format!("{first} → {last}").into(),
        [first, between @ .., last] if !between.is_empty() => {
            format!("{first} → {} more → {last}", between.len()).into()
        }
        [only, ..] => Rc::clone(only),
        [] => "".into(),
    }
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
    let least = if plan.top == Some(0) { 1 } else { all / LEAST_SHARE };
    let branches = profile.tree(stacks, least)?;
    let rows = if plan.top == Some(0) { branches } else { folded(branches, all) };
    let shown = plan.rows_shown(40).min(rows.len());
    let mut table = Ranking::new(std::slice::from_ref(source), "tree", &title, tree_columns(what)).top(shown);
    let depths = rows.iter().take(shown).map(|row| row.depth).collect();
    for Branch { name, ns, .. } in rows {
        table.weighed(source, Some(0), || Call { name, ns, of_all_ns: all });
    }
    let mut table = table.table()?;
    table.depths = Some(depths);
    Ok(table)
}

/// Every call of all recordings in one table, as programs find it whatever the number of recordings.
fn all_trees(sources: &[Source], profiles: &[(Profile, Stacks)], plan: &ReportPlan, what: &str) -> Result<Table> {
    let shown = plan.rows_shown(usize::MAX);
    let mut table = Ranking::new(sources, "tree", "Calls", tree_columns(what)).top(shown);
    let mut depths = Vec::new();
    for (source, (profile, stacks)) in sources.iter().zip(profiles) {
        let all = profile.ns();
        for Branch { name, ns, depth, .. } in profile.tree(stacks, 1)? {
            if depths.len() < shown {
                depths.push(depth);
            }
            table.weighed(source, Some(0), || Call { name, ns, of_all_ns: all });
        }
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
        .help("'sleeping' can be interrupted by a signal, 'blocked' can't.")
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
        .column("runnable_ns", "for a CPU", |sleep| Value::nanos(sleep.runnable_ns))
        .column("state", "state", |sleep| sleep.state.clone())
        .column("name", "system call", |sleep| sleep.call.clone())
        .column("function", "in", |sleep| sleep.function.clone())
        .help("The innermost kernel function that is not the scheduler's.")
        .column("user_function", "called by", |sleep| sleep.user_function.clone())
        .help("The innermost function of the program.")
        .column("waker", "woken by", |sleep| sleep.waker.clone())
        .column("waker_function", "waker in", |sleep| sleep.waker_function.clone())
}

fn longest(source: &Source, processes: &ProcessTable, stacks: &Stacks, table: &mut Ranking<Sleep>) -> Result<()> {
    let mut rows = source.rows("off_cpu").without("state", &["idle"]);
    let (tid, state, call) = (rows.int("tid"), rows.text("state"), rows.text("name"));
    let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
    let runnable = rows.int("offcpu_runnable_ns");
    let (waker, waker_comm) = (rows.int("waker_pid"), rows.text("offcpu_waker_comm"));
    let (waker_kernel, waker_user) = (rows.int("offcpu_waker_kstack_id"), rows.int("offcpu_waker_ustack_id"));
    table.longest(source, rows, |row| {
        let called = |frame: Option<&Frame>| frame.map(|frame| frame.function.text.to_string());
        let in_kernel: Vec<Frame> = stacks.frames(row.int(kernel), None).cloned().collect();
        Sleep {
            at: row.at(),
            process: processes.call(row.pid().unwrap_or(0), processes.of_row(row)),
            tid: row.int(tid),
            dur_ns: row.dur(),
            runnable_ns: row.int(runnable),
            state: row.text(state).unwrap_or_default().to_owned(),
            call: row.text(call).map(str::to_owned),
            function: called(without_leaving(in_kernel).first()),
            user_function: called(stacks.frames(None, row.int(user)).next()),
            waker: row.int(waker).map(|pid| processes.call(pid, row.text(waker_comm))),
            waker_function: called(stacks.frames(row.int(waker_kernel), row.int(waker_user)).next()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Branch;
    use super::folded;

    fn branches(of: &[(u16, &str, u64)]) -> Vec<Branch> {
        let branch = |(depth, name, ns): &(u16, &str, u64)| Branch {
            depth: *depth,
            name: (*name).into(),
            in_kernel: name.starts_with("k_"),
            ns: *ns,
        };
        of.iter().map(branch).collect()
    }

    fn lines(of: &[(u16, &str, u64)], all: u64) -> Vec<(u16, String, u64)> {
        folded(branches(of), all).into_iter().map(|line| (line.depth, line.name.to_string(), line.ns)).collect()
    }

    #[test]
    fn a_chain_of_calls_is_one_line_and_a_fork_is_not() {
        let tree = [
            (0, "server", 1000),
            (1, "_start", 1000),
            (2, "libc_start", 1000),
            (3, "main", 995),
            (4, "parse", 600),
            (5, "lex", 595),
            (4, "write", 390),
        ];
        let expected =
            [(0, "server", 1000), (1, "_start → 1 more → main", 1000), (2, "parse → lex", 600), (2, "write", 390)];
        assert_eq!(lines(&tree, 1000), expected.map(|(depth, name, ns)| (depth, name.to_owned(), ns)));
    }

    #[test]
    fn a_call_with_time_of_its_own_keeps_its_line() {
        let tree = [(0, "p", 1000), (1, "main", 1000), (2, "run", 900), (3, "step", 895)];
        let expected = [(0, "p", 1000), (1, "main", 1000), (2, "run → step", 900)];
        // 100 of `main` are its own.
        assert_eq!(lines(&tree, 1000), expected.map(|(depth, name, ns)| (depth, name.to_owned(), ns)));
    }

    #[test]
    fn small_work_of_the_kernel_is_told_by_its_first_function() {
        let tree = [
            (0, "p", 1000),
            (1, "read", 1000),
            (2, "k_entry", 140),
            (3, "k_vfs_read", 100),
            (4, "k_copy", 45),
            (4, "k_fault", 40),
            (3, "k_lock", 40),
            (2, "parse", 700),
        ];
        let expected =
            [(0, "p", 1000), (1, "read", 1000), (2, "k_entry", 140), (3, "k_vfs_read", 100), (2, "parse", 700)];
        assert_eq!(lines(&tree, 1000), expected.map(|(depth, name, ns)| (depth, name.to_owned(), ns)));
    }
}
