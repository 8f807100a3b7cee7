//! Stacks by weight: what the views `cpu` and `offcpu` have in common.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::spill::Runs;
use crate::spill::Sorted;
use crate::spill::Sorter;
use crate::symbols::offline::DebugDirs;
use crate::units;

pub(crate) mod drawn;

/// Deepest stack that is believed; the kernel's own bound is 127 for each half.
const MAX_DEPTH: usize = 1024;

/// What of a kernel stack only says that the thread left the CPU, not for what.
pub(crate) const LEAVING: [&str; 9] = [
    "__schedule",
    "schedule",
    "__cond_resched",
    "schedule_timeout",
    "schedule_preempt_disabled",
    "schedule_hrtimeout_range_clock",
    "schedule_hrtimeout_range",
    "io_schedule",
    "io_schedule_timeout",
];

/// A function, or a place that has no name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Function {
    /// What it is called.
    pub(crate) text: Rc<str>,
    /// The file or kernel module that it is in; empty where that is not known.
    pub(crate) module: Rc<str>,
}

/// A frame of a stack: which function, and why that has no name.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The function.
    pub(crate) function: Rc<Function>,
    /// The line of the source file, where that is known.
    pub(crate) line: Option<i64>,
    /// Why it has no name.
    pub(crate) unnamed: Option<Rc<str>>,
    /// Its address as the file's symbol table counts, else its offset in the file.
    pub(crate) address: Option<u64>,
    /// The build id of the file.
    pub(crate) build_id: Option<Rc<str>>,
}

impl Frame {
    /// A frame of which nothing but the function is known.
    fn of(function: Function) -> Frame {
        Frame { function: Rc::new(function), line: None, unnamed: None, address: None, build_id: None }
    }

    /// Whether it stands for callers that are not known.
    pub(crate) fn is_truncation(&self) -> bool {
        &*self.function.module == TRUNCATED
    }
}

/// The module of the frame that stands for the callers that a stack lacks.
const TRUNCATED: &str = "[truncated]";

/// The stacks of a recording by number.
///
/// Stacks of one program mostly begin alike, so they are kept as paths in a forest, each from its innermost frame out.
pub(crate) struct Stacks {
    symbols: Symbols,
    /// Where each stack's innermost frame is among the nodes, by the stack's number.
    leaves: Vec<(i64, u32)>,
    /// The place of a frame among the symbols, and where its caller is, or [`ROOT`].
    nodes: Vec<(u32, u32)>,
}

/// What frames are, each under its place in a list.
#[derive(Default)]
struct Symbols {
    all: Vec<Symbol>,
    /// By the number that the recording has for a frame.
    by_id: HashMap<i32, u32>,
    functions: HashMap<Rc<Function>, u32>,
}

struct Symbol {
    id: i32,
    frame: Frame,
    /// Numbers functions from 0: frames of one function have one.
    function: u32,
}

impl Symbols {
    fn add(&mut self, id: i32, frame: Frame) {
        let next = place(self.functions.len());
        let function = *self.functions.entry(Rc::clone(&frame.function)).or_insert(next);
        self.by_id.insert(id, place(self.all.len()));
        self.all.push(Symbol { id, frame, function });
    }

    /// The functions by their numbers.
    fn numbered_functions(&self) -> Vec<&Rc<Function>> {
        let mut numbered: Vec<(&Rc<Function>, u32)> =
            self.functions.iter().map(|(own, number)| (own, *number)).collect();
        numbered.sort_unstable_by_key(|(_, number)| *number);
        numbered.into_iter().map(|(own, _)| own).collect()
    }

    /// The function as others have it already.
    fn function(&self, function: Function) -> Rc<Function> {
        self.functions.get_key_value(&function).map_or_else(|| Rc::new(function), |(known, _)| Rc::clone(known))
    }
}

/// A place in a list; the last of all for one that no list has.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What has no caller.
const ROOT: u32 = u32::MAX;
/// About what a symbol, a stack and a frame of one take in memory.
const SYMBOL_BYTES: usize = 208;
const STACK_BYTES: usize = size_of::<(i64, u32)>();
const NODE_BYTES: usize = size_of::<(u32, u32)>();
/// What stacks, and pairs of them, may take in memory while they are sorted.
const SORTED_BYTES: usize = 16 << 20;

impl Stacks {
    /// Reads them; frames without a name are looked for in the directories.
    pub(crate) fn of(source: &Source, debug_dirs: &[PathBuf]) -> Result<Stacks> {
        let mut limit = Limit::of(MOST_BYTES);
        let symbols = symbols(source, debug_dirs, &mut limit)?;
        let mut stacks = Stacks { symbols, leaves: Vec::new(), nodes: Vec::new() };
        stacks.plant(&sorted(source)?, &mut limit)?;
        limit.check(source, "stacks and functions")?;
        Ok(stacks)
    }

    /// Stacks that no recording holds, each a list of functions from the innermost out; their numbers count from 0.
    pub(crate) fn of_functions(stacks: &[Vec<Function>]) -> Stacks {
        let mut made = Stacks { symbols: Symbols::default(), leaves: Vec::new(), nodes: Vec::new() };
        for (number, functions) in (0i64..).zip(stacks) {
            let mut caller = ROOT;
            for function in functions.iter().rev() {
                // Here each function is one symbol.
                let next = place(made.symbols.all.len());
                let symbol = made.symbols.functions.get(function).copied().unwrap_or(next);
                if symbol == next {
                    made.symbols.add(i32::try_from(next).unwrap_or(i32::MAX), Frame::of(function.clone()));
                }
                let node = place(made.nodes.len());
                made.nodes.push((symbol, caller));
                caller = node;
            }
            made.leaves.push((number, caller));
        }
        made
    }

    /// Adds all stacks, which are in the order of their frames from the outermost in: each shares its beginning with the one before.
    fn plant(&mut self, stacks: &Sorted<Stack>, limit: &mut Limit) -> Result<()> {
        let mut path: Vec<(i32, u32)> = Vec::new();
        for stack in stacks.iter().context(UNREADABLE)? {
            let (frames, id) = stack.context(UNREADABLE)?;
            let shared = path.iter().zip(&frames).take_while(|((own, _), frame)| own == *frame).count();
            path.truncate(shared);
            for frame in frames.iter().skip(shared) {
                if !limit.take(NODE_BYTES) {
                    return Ok(());
                }
                let caller = path.last().map_or(ROOT, |(_, node)| *node);
                let node = place(self.nodes.len());
                let symbol = self.symbols.by_id.get(frame).copied().unwrap_or(u32::MAX);
                self.nodes.push((symbol, caller));
                path.push((*frame, node));
            }
            if limit.take(STACK_BYTES) {
                self.leaves.push((id, path.last().map_or(ROOT, |(_, node)| *node)));
            }
        }
        self.leaves.sort_unstable();
        Ok(())
    }

    fn leaf(&self, id: i64) -> Option<u32> {
        let at = self.leaves.binary_search_by_key(&id, |(own, _)| *own).ok()?;
        self.leaves.get(at).map(|(_, leaf)| *leaf)
    }

    /// The frames of a pair of stacks from the innermost out, the kernel's first.
    pub(crate) fn frames(&self, kernel: Option<i64>, user: Option<i64>) -> impl Iterator<Item = &Frame> {
        self.numbered(kernel, user).map(|(_, frame)| frame)
    }

    /// The same with their places among the symbols.
    fn numbered(&self, kernel: Option<i64>, user: Option<i64>) -> impl Iterator<Item = (u32, &Frame)> {
        let leaves = [kernel, user].into_iter().flatten().filter_map(|id| self.leaf(id));
        let symbol = |at: u32| Some((at, &self.symbols.all.get(at as usize)?.frame));
        leaves.flat_map(|leaf| self.path(leaf)).filter_map(symbol)
    }

    /// The frames of a pair of stacks and the numbers of their symbols from the innermost out, without the innermost ones that are
    /// named in `without`, unless that is all of them.
    pub(crate) fn without<'s>(
        &'s self,
        kernel: Option<i32>,
        user: Option<i32>,
        without: &[&str],
    ) -> Vec<(i32, &'s Frame)> {
        let mut places = Vec::new();
        self.fill(&mut places, kernel, user, without);
        let symbols = places.into_iter().filter_map(|at| self.symbols.all.get(at as usize));
        symbols.map(|symbol| (symbol.id, &symbol.frame)).collect()
    }

    /// Puts the places of those frames among the symbols into a list.
    fn fill(&self, places: &mut Vec<u32>, kernel: Option<i32>, user: Option<i32>, without: &[&str]) {
        places.clear();
        let mut own = 0;
        let mut leads = true;
        for (at, frame) in self.numbered(kernel.map(i64::from), user.map(i64::from)) {
            leads = leads && without.contains(&&*frame.function.text);
            own += usize::from(leads);
            places.push(at);
        }
        // A thread that only gave up its CPU has nothing else.
        if own < places.len() {
            places.drain(..own);
        }
    }

    /// How many frames of a pair of stacks are the program's.
    fn user_frames(&self, pair: &Pair) -> usize {
        self.numbered(None, pair.user.map(i64::from)).count()
    }

    /// The symbols from a node out.
    fn path(&self, leaf: u32) -> impl Iterator<Item = u32> {
        let node = |at: u32| self.nodes.get(usize::try_from(at).ok()?).copied();
        std::iter::successors(node(leaf), move |(_, caller)| node(*caller)).map(|(symbol, _)| symbol)
    }

    /// The names of a pair of stacks' frames from the innermost out, without those that only say that the thread left the CPU.
    pub(crate) fn innermost_first(&self, kernel: Option<i64>, user: Option<i64>) -> Vec<String> {
        let names = self.frames(kernel, user).map(|frame| &*frame.function.text);
        names.skip_while(|name| LEAVING.contains(name)).map(str::to_owned).collect()
    }
}

/// The frames of a stack from the outermost in, and its number.
type Stack = (Vec<i32>, i64);

const NO_ROOM: &str = "can't put stacks into a temporary file";
const UNREADABLE: &str = "can't read stacks back from a temporary file";

/// All stacks in the order of their frames.
fn sorted(source: &Source) -> Result<Sorted<Stack>> {
    let failed = || format!("can't read the stacks in '{}'", source.recording().path().display());
    let mut sorter = Sorter::new(SORTED_BYTES);
    for chunk in source.recording().scan("stack", &["id", "frames"]).with_context(failed)? {
        let chunk = chunk.with_context(failed)?;
        let (ids, frames) = (chunk.int(0), chunk.list(1));
        for row in 0..chunk.len() {
            let (Some(id), Some(frames)) = (ids.get(row), frames.get(row)) else { continue };
            // The innermost frames matter most where a stack is deeper than is believed.
            let frames: Vec<i32> = frames.iter().take(MAX_DEPTH).rev().copied().collect();
            let bytes = size_of::<Stack>() + size_of_val(frames.as_slice()) + 16;
            sorter.push((frames, id), bytes);
        }
    }
    sorter.finish().context(NO_ROOM)
}

fn symbols(source: &Source, debug_dirs: &[PathBuf], limit: &mut Limit) -> Result<Symbols> {
    let mut dirs = DebugDirs::new(debug_dirs);
    let mut symbols = Symbols::default();
    let mut rows = source.rows_of_all_times("symbol");
    let (id, offset, address) = (rows.int("id"), rows.int("file_offset"), rows.int("module_addr"));
    let line = rows.int("line");
    let (name, module) = (rows.text("name"), rows.text("module"));
    let (build_id, cause) = (rows.text("build_id"), rows.text("cause"));
    rows.each(|row| {
        let Some(id) = row.int(id).and_then(|id| i32::try_from(id).ok()) else { return };
        let (name, module, cause) = (row.text(name), row.text(module).unwrap_or_default(), row.text(cause));
        if !limit.take(SYMBOL_BYTES + name.map_or(0, str::len)) {
            return;
        }
        let offset = row.int(offset).and_then(|offset| u64::try_from(offset).ok());
        let address = row.int(address).and_then(|address| u64::try_from(address).ok());
        // Without a function's name, `name` says where the frame is and `cause` why there is no name.
        let found = match (cause, row.text(build_id), offset) {
            (Some(_), Some(build_id), Some(offset)) if !debug_dirs.is_empty() => {
                dirs.function(build_id, address, offset)
            }
            _ => None,
        };
        let unnamed = cause.filter(|_| found.is_none()).map(|cause| limit.name(cause));
        let text = found.unwrap_or_else(|| name.unwrap_or("[unknown]").to_owned());
        let function = Function { text: text.into(), module: limit.name(module) };
        let function = symbols.function(function);
        let build_id = row.text(build_id).map(|build_id| limit.name(build_id));
        symbols.add(id, Frame { function, line: row.int(line), unnamed, address: address.or(offset), build_id });
    })?;
    Ok(symbols)
}

/// One pair of stacks of one process: a name, by its number among those of the profile, and the stacks' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Pair {
    process: u32,
    kernel: Option<i32>,
    user: Option<i32>,
}

/// All stacks of a recording that the filters let through.
#[derive(Default)]
pub(crate) struct Profile {
    processes: Vec<Rc<str>>,
    /// The heaviest first.
    pairs: Sorted<Weighed>,
    ns: u64,
    count: u64,
    /// Innermost frames that say nothing.
    without: &'static [&'static str],
}

/// A pair of stacks with nanoseconds, and with samples or sleeps.
type Weighed = (Reverse<u64>, Pair, u64);

/// About what a pair of stacks takes in memory while pairs are added up, and a process's name.
const PAIR_BYTES: usize = 80;
const NAME_BYTES: usize = 96;
/// What all frames and functions may take: less than half of what a view may.
const MOST_BYTES: usize = 100 << 20;
/// Stacks of a picture: thinner ones are narrower than a pixel. The rest of a process is one.
const DRAWN: usize = 10_000;
/// Calls of the tree; below it, what more there is counts for the caller only.
const NODES: usize = 200_000;
/// What the rest is called.
const REST: &str = "[other stacks]";

/// What a function weighs: as the innermost one, and anywhere in a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// As the innermost.
    pub(crate) own: u64,
    /// Anywhere; a recursive function counts once.
    pub(crate) total: u64,
}

impl Profile {
    /// Adds up rows by process and stacks; `pick` says whose a row is, and what it weighs.
    pub(crate) fn of<'p>(
        source: &Source,
        rows: Rows<'_>,
        without: &'static [&'static str],
        mut pick: impl FnMut(&Row<'_>) -> Option<Sample<'p>>,
    ) -> Result<Profile> {
        let mut limit = Limit::new();
        let (mut processes, mut places) = (Vec::new(), HashMap::<Rc<str>, u32>::new());
        let mut pairs = Pairs::default();
        rows.each(|row| {
            let Some(sample) = pick(row) else { return };
            let process = match places.get(&*sample.process) {
                Some(process) => *process,
                None if !limit.take(NAME_BYTES + sample.process.len()) => return,
                None => {
                    let name: Rc<str> = sample.process.into();
                    let process = u32::try_from(processes.len()).unwrap_or(u32::MAX);
                    processes.push(Rc::clone(&name));
                    places.insert(name, process);
                    process
                }
            };
            // Stacks are numbered in 32 bits.
            let number = |id: Option<i64>| id.and_then(|id| i32::try_from(id).ok());
            let pair = Pair { process, kernel: number(sample.kernel), user: number(sample.user) };
            pairs.add(pair, (sample.ns, sample.count));
        })?;
        limit.check(source, "names of processes")?;
        let (mut ns, mut count) = (0u64, 0u64);
        let mut ranked = Sorter::new(SORTED_BYTES);
        pairs.each(|pair, sum| {
            ns = ns.saturating_add(sum.0);
            count = count.saturating_add(sum.1);
            ranked.push((Reverse(sum.0), pair, sum.1), size_of::<Weighed>());
        })?;
        Ok(Profile { processes, pairs: ranked.finish().context(NO_ROOM)?, ns, count, without })
    }

    /// Visits the pairs of stacks, the heaviest first: with nanoseconds, and with samples or sleeps.
    fn each(&self, mut visit: impl FnMut(&Pair, u64, u64)) -> Result<()> {
        for weighed in self.pairs.iter().context(UNREADABLE)? {
            let (Reverse(ns), pair, count) = weighed.context(UNREADABLE)?;
            visit(&pair, ns, count);
        }
        Ok(())
    }

    /// Nanoseconds in all.
    pub(crate) fn ns(&self) -> u64 {
        self.ns
    }

    /// Samples or sleeps in all.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The frames of a pair of stacks from the outermost in, without those that say nothing.
    fn frames<'s>(&self, stacks: &'s Stacks, pair: &Pair) -> Vec<&'s Frame> {
        let frames = stacks.without(pair.kernel, pair.user, self.without);
        frames.into_iter().rev().map(|(_, frame)| frame).collect()
    }

    fn process(&self, pair: &Pair) -> &Rc<str> {
        // Every pair's process was numbered when it was added.
        &self.processes[pair.process as usize]
    }

    /// Visits the pairs, the heaviest first: with the places of its frames among the symbols from the innermost out, without those that say
    /// nothing, with nanoseconds, and with samples or sleeps.
    fn each_path(&self, stacks: &Stacks, mut visit: impl FnMut(&Pair, &[u32], u64, u64)) -> Result<()> {
        let mut path = Vec::new();
        self.each(|pair, ns, count| {
            stacks.fill(&mut path, pair.kernel, pair.user, self.without);
            visit(pair, &path, ns, count);
        })
    }

    /// Looks at every frame of every stack once.
    pub(crate) fn survey(&self, stacks: &Stacks) -> Result<Survey> {
        let Symbols { all: symbols, functions, .. } = &stacks.symbols;
        // For each function its weight, and the stack that it was met in last.
        let mut weights: Vec<(Weight, u64)> = vec![Default::default(); functions.len()];
        let mut entered: Vec<Option<u32>> = vec![None; functions.len()];
        let (mut frames, mut user_stacks) = (Shares::default(), Shares::default());
        let mut stack = 0;
        self.each_path(stacks, |pair, path, ns, count| {
            stack += 1;
            let in_program = stacks.user_frames(pair).min(path.len());
            let in_kernel = path.len() - in_program;
            let symbol = |at: &u32| symbols.get(*at as usize);
            let user = path.get(in_kernel).and_then(symbol);
            for (depth, symbol) in path.iter().filter_map(symbol).enumerate() {
                if !symbol.frame.is_truncation() {
                    frames.add(symbol.frame.unnamed.as_ref(), count);
                }
                let function = symbol.function as usize;
                if let (true, Some(user), Some(entered @ None)) = (depth < in_kernel, user, entered.get_mut(function)) {
                    *entered = Some(user.function);
                }
                let Some((weight, last)) = weights.get_mut(function) else { continue };
                if depth == 0 {
                    weight.own = weight.own.saturating_add(ns);
                }
                if std::mem::replace(last, stack) != stack {
                    weight.total = weight.total.saturating_add(ns);
                }
            }
            if pair.user.is_some() {
                let outermost = path.last().filter(|_| in_program > 0).and_then(symbol);
                let cut = outermost.filter(|symbol| symbol.frame.is_truncation());
                user_stacks.add(cut.and_then(|symbol| symbol.frame.unnamed.as_ref()), count);
            }
        })?;
        let named = stacks.symbols.numbered_functions();
        let name = |number: Option<u32>| named.get(number? as usize).map(|function| Rc::clone(function));
        let met = named.iter().zip(weights).zip(entered).filter(|((_, (_, last)), _)| *last > 0);
        let functions = met.map(|((function, (weight, _)), entered)| Visited {
            function: Rc::clone(function),
            weight,
            entered_from: name(entered),
        });
        Ok(Survey { functions: functions.collect(), frames, user_stacks })
    }

    /// The weight of every line of a source file. Its own is what it took itself, and in functions of which no line is known.
    pub(crate) fn lines(&self, stacks: &Stacks) -> Result<HashMap<(Rc<Function>, i64), Weight>> {
        let mut weights: HashMap<(Rc<Function>, i64), Weight> = HashMap::new();
        if stacks.symbols.all.iter().all(|symbol| symbol.frame.line.is_none()) {
            return Ok(weights);
        }
        let mut seen = HashSet::new();
        self.each(|pair, ns, _| {
            seen.clear();
            let frames = self.frames(stacks, pair);
            let lines = frames.iter().rev().filter_map(|frame| Some((Rc::clone(&frame.function), frame.line?)));
            for (depth, line) in lines.enumerate() {
                if !seen.insert(line.clone()) {
                    continue;
                }
                let weight = weights.entry(line).or_default();
                weight.total = weight.total.saturating_add(ns);
                if depth == 0 {
                    weight.own = weight.own.saturating_add(ns);
                }
            }
        })?;
        Ok(weights)
    }

    /// The stacks as text, the process outermost, each once with its nanoseconds; beyond the heaviest, one for each process.
    pub(crate) fn folded(&self, stacks: &Stacks) -> Result<HashMap<String, u64>> {
        let mut folded: HashMap<String, u64> = HashMap::new();
        let mut at = 0;
        self.each(|pair, ns, _| {
            let process = self.process(pair).replace(';', ":");
            let line = if at < DRAWN {
                let frames = self.frames(stacks, pair);
                let names = frames.iter().map(|frame| frame.function.text.replace(';', ":"));
                std::iter::once(process).chain(names).collect::<Vec<String>>().join(";")
            } else {
                format!("{process};{REST}")
            };
            let sum = folded.entry(line).or_default();
            *sum = sum.saturating_add(ns);
            at += 1;
        })?;
        Ok(folded)
    }

    /// The calls from the outermost in, heaviest first, without branches below `least` nanoseconds.
    ///
    /// The heaviest stacks come first, and once there are very many calls the others only add to those that are there,
    /// so that every call has all of its time.
    pub(crate) fn tree(&self, stacks: &Stacks, least: u64) -> Result<Vec<Branch>> {
        let mut tree = Tree { nodes: vec![Node::default()], calls: HashMap::new() };
        // Functions of one name are one call, whatever files they are in.
        let mut texts: HashMap<&str, u32> = HashMap::new();
        let mut text = |text| {
            let next = place(texts.len());
            *texts.entry(text).or_insert(next)
        };
        let functions: Vec<u32> = stacks.symbols.numbered_functions().iter().map(|own| text(&own.text)).collect();
        let processes: Vec<u32> = self.processes.iter().map(|name| text(name)).collect();
        self.each_path(stacks, |pair, path, ns, _| {
            let in_program = stacks.user_frames(pair).min(path.len());
            let process = processes.get(pair.process as usize).map(|text| (*text, self.process(pair)));
            let symbols = path.iter().rev().filter_map(|at| stacks.symbols.all.get(*at as usize));
            let calls = symbols
                .filter_map(|symbol| Some((*functions.get(symbol.function as usize)?, &symbol.frame.function.text)));
            let mut at = 0;
            for (depth, call) in process.into_iter().chain(calls).enumerate() {
                let Some(child) = tree.child(at, call, ns, depth > in_program) else { break };
                at = child;
            }
        })?;
        Ok(tree.list(least.max(1)))
    }
}

/// What all frames of a profile come to.
pub(crate) struct Survey {
    /// The functions, in no order.
    pub(crate) functions: Vec<Visited>,
    /// Those with a name, by why the others have none; stacks weigh by their count.
    frames: Shares,
    /// Those that reach the outermost function, by why the others do not.
    user_stacks: Shares,
}

/// A function that stacks have.
pub(crate) struct Visited {
    /// The function.
    pub(crate) function: Rc<Function>,
    /// Its weight.
    pub(crate) weight: Weight,
    /// Of one of the kernel, the program's function that entered the kernel, in the heaviest stack that has both.
    pub(crate) entered_from: Option<Rc<Function>>,
}

impl Survey {
    /// How many of the frames have names, and what keeps the others from having one.
    pub(crate) fn naming(&self) -> String {
        match (self.frames.all(), self.frames.others.is_empty()) {
            (0, _) => "no stack was recorded".to_owned(),
            (_, true) => "all frames have names".to_owned(),
            (_, false) => {
                format!("{} of the frames have names; of the others: {}", self.frames.percent(), self.frames.reasons())
            }
        }
    }

    /// How many user stacks reach the outermost function, and why the others do not; `by_tables`: callers were found by unwind
    /// tables. `None` where no sample has a user stack.
    pub(crate) fn wholeness(&self, by_tables: bool) -> Option<String> {
        let stacks = &self.user_stacks;
        match (stacks.all(), by_tables, stacks.others.is_empty()) {
            (0, ..) => None,
            (_, false, _) => Some(
                "user stacks were followed by frame pointers alone: callers of code without frame pointers are missing"
                    .to_owned(),
            ),
            (_, true, true) => Some("all user stacks are complete".to_owned()),
            (_, true, false) => Some(format!(
                "{} of the user stacks are complete; of the others: {}",
                stacks.percent(),
                stacks.reasons()
            )),
        }
    }
}

/// How much is well, and how much is not for which reasons.
#[derive(Default)]
struct Shares {
    well: u64,
    others: HashMap<Rc<str>, u64>,
}

impl Shares {
    fn add(&mut self, reason: Option<&Rc<str>>, count: u64) {
        let sum = match reason {
            None => &mut self.well,
            Some(reason) => self.others.entry(Rc::clone(reason)).or_default(),
        };
        *sum = sum.saturating_add(count);
    }

    fn all(&self) -> u64 {
        self.others.values().fold(self.well, |sum, count| sum.saturating_add(*count))
    }

    /// How much is well.
    fn percent(&self) -> String {
        units::percent(100.0 * self.well as f64 / self.all().max(1) as f64)
    }

    /// Reasons with their shares of all, the largest first.
    fn reasons(&self) -> String {
        let all = self.all();
        let mut reasons: Vec<(&Rc<str>, &u64)> = self.others.iter().collect();
        reasons.sort_by_key(|(why, count)| (Reverse(**count), Rc::clone(why)));
        let share = |(why, count): (&Rc<str>, &u64)| {
            format!("{} {why}", units::percent(100.0 * *count as f64 / all.max(1) as f64))
        };
        reasons.into_iter().map(share).collect::<Vec<String>>().join(", ")
    }
}

/// Pairs of stacks while they are added up.
#[derive(Default)]
struct Pairs {
    held: HashMap<Pair, Sum>,
    runs: Runs<(Pair, Sum)>,
    failed: Option<io::Error>,
}

/// Nanoseconds, and samples or sleeps.
type Sum = (u64, u64);

impl Pairs {
    fn add(&mut self, pair: Pair, (ns, count): Sum) {
        let sum = self.held.entry(pair).or_default();
        *sum = (sum.0.saturating_add(ns), sum.1.saturating_add(count));
        if self.held.len() > SORTED_BYTES / PAIR_BYTES && self.failed.is_none() {
            let sorted = self.sorted();
            self.failed = self.runs.add(sorted.into_iter()).err();
        }
    }

    fn sorted(&mut self) -> Vec<(Pair, Sum)> {
        let mut sorted: Vec<(Pair, Sum)> = self.held.drain().collect();
        sorted.sort_unstable();
        sorted
    }

    /// Visits each pair once, with all of its sums.
    fn each(mut self, mut visit: impl FnMut(Pair, Sum)) -> Result<()> {
        if let Some(error) = self.failed {
            return Err(error).context(NO_ROOM);
        }
        let last = self.sorted();
        let mut current: Option<(Pair, Sum)> = None;
        for pair in self.runs.merged(last).context(UNREADABLE)? {
            let (pair, (ns, count)) = pair.context(UNREADABLE)?;
            match &mut current {
                Some((own, sum)) if *own == pair => *sum = (sum.0.saturating_add(ns), sum.1.saturating_add(count)),
                _ => {
                    if let Some((own, sum)) = current.replace((pair, (ns, count))) {
                        visit(own, sum);
                    }
                }
            }
        }
        if let Some((own, sum)) = current {
            visit(own, sum);
        }
        Ok(())
    }
}

/// A row as a sample of a profile.
pub(crate) struct Sample<'p> {
    /// The process's name.
    pub(crate) process: Cow<'p, str>,
    /// The kernel's stack.
    pub(crate) kernel: Option<i64>,
    /// The program's.
    pub(crate) user: Option<i64>,
    /// Nanoseconds.
    pub(crate) ns: u64,
    /// Samples or sleeps.
    pub(crate) count: u64,
}

/// A call in the tree of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// Callers above it.
    pub(crate) depth: u16,
    /// The function, or at the root the process.
    pub(crate) name: Rc<str>,
    /// Whether it is a function of the kernel.
    pub(crate) in_kernel: bool,
    /// Time in it and in what it called, in nanoseconds.
    pub(crate) ns: u64,
}

/// Calls by their callers.
struct Tree {
    /// The root first.
    nodes: Vec<Node>,
    /// Where the calls of a name, by its number, by a caller are.
    calls: HashMap<(u32, u32), u32>,
}

#[derive(Default)]
struct Node {
    name: Rc<str>,
    in_kernel: bool,
    ns: u64,
    children: Vec<u32>,
}

impl Tree {
    /// Adds to the calls of a name, which has a number, by a caller; nothing where there is no room for them.
    fn child(&mut self, caller: u32, (number, name): (u32, &Rc<str>), ns: u64, in_kernel: bool) -> Option<u32> {
        let next = u32::try_from(self.nodes.len()).ok()?;
        let at = match self.calls.entry((caller, number)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if self.nodes.len() >= NODES => return None,
            Entry::Vacant(new) => {
                self.nodes.push(Node { name: Rc::clone(name), in_kernel, ..Node::default() });
                self.nodes.get_mut(caller as usize)?.children.push(next);
                *new.insert(next)
            }
        };
        let node = self.nodes.get_mut(at as usize)?;
        node.ns = node.ns.saturating_add(ns);
        Some(at)
    }

    /// Lists the branches, without recursion: a stranger's stack may be deep.
    fn list(&self, least: u64) -> Vec<Branch> {
        let mut rows = Vec::new();
        let mut rest = self.heaviest_last(0, 0, least);
        while let Some((depth, at, node)) = rest.pop() {
            rows.push(Branch { depth, name: Rc::clone(&node.name), in_kernel: node.in_kernel, ns: node.ns });
            rest.extend(self.heaviest_last(at, depth.saturating_add(1), least));
        }
        rows
    }

    fn heaviest_last(&self, at: u32, depth: u16, least: u64) -> Vec<(u16, u32, &Node)> {
        let children = self.nodes.get(at as usize).map(|node| node.children.as_slice()).unwrap_or_default();
        let nodes = children.iter().filter_map(|child| Some((depth, *child, self.nodes.get(*child as usize)?)));
        let mut heavy: Vec<_> = nodes.filter(|(.., node)| node.ns >= least).collect();
        heavy.sort_by(|a, b| a.2.ns.cmp(&b.2.ns).then_with(|| b.2.name.cmp(&a.2.name)));
        heavy
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;
    use super::Function;
    use super::PAIR_BYTES;
    use super::Pair;
    use super::Pairs;
    use super::Profile;
    use super::SORTED_BYTES;
    use super::Stacks;
    use super::Symbols;
    use super::Weight;
    use crate::report::read::limit::Limit;
    use crate::spill::Sorter;
    use std::cmp::Reverse;
    use std::collections::HashMap;

    /// A profile of one process, and its stacks from the outermost in.
    fn profile(of: &[(&[&str], u64)]) -> (Profile, Stacks) {
        let mut stacks = Stacks { symbols: Symbols::default(), leaves: Vec::new(), nodes: Vec::new() };
        let (mut sorter, mut pairs) = (Sorter::new(usize::MAX), Sorter::new(0));
        let mut ids: HashMap<String, i32> = HashMap::new();
        for (at, (names, ns)) in of.iter().enumerate() {
            let mut frames = Vec::new();
            for name in *names {
                let next = ids.len() as i32;
                let id = *ids.entry((*name).to_owned()).or_insert(next);
                let unnamed = name.contains('+').then(|| "no symbol there".into());
                let function = Function { text: (*name).into(), module: "m".into() };
                let frame = Frame { unnamed, ..Frame::of(function) };
                if !stacks.symbols.by_id.contains_key(&id) {
                    stacks.symbols.add(id, frame);
                }
                frames.push(id);
            }
            sorter.push((frames, at as i64), 0);
            pairs.push((Reverse(*ns), Pair { process: 0, kernel: None, user: Some(at as i32) }, 1), 1);
        }
        stacks.plant(&sorter.finish().unwrap(), &mut Limit::new()).unwrap();
        let pairs = pairs.finish().unwrap();
        (Profile { processes: vec!["p".into()], pairs, ..Profile::default() }, stacks)
    }

    #[test]
    fn pairs_are_added_up_whether_they_fit_into_memory_or_not() {
        let many = (SORTED_BYTES / PAIR_BYTES + 10) as i32;
        let mut pairs = Pairs::default();
        for round in 0..2u64 {
            (0..many).for_each(|user| pairs.add(Pair { process: 0, kernel: None, user: Some(user) }, (round + 1, 1)));
        }
        assert!(!pairs.runs.is_empty());
        let mut seen = 0;
        pairs
            .each(|pair, sum| {
                assert_eq!((pair.user, sum), (Some(seen), (3, 2)));
                seen += 1;
            })
            .unwrap();
        assert_eq!(seen, many);
    }

    #[test]
    fn stacks_that_begin_alike_share_their_frames() {
        let (_, stacks) = profile(&[(&["a", "b", "c"], 1), (&["a"], 1), (&["a", "b", "d"], 1), (&["a", "b"], 1)]);
        assert_eq!(stacks.nodes.len(), 4);
        let names = |id| stacks.innermost_first(None, Some(id)).join(" ");
        assert_eq!([names(0), names(1), names(2), names(3)], ["c b a", "a", "d b a", "b a"]);
    }

    #[test]
    fn a_recursive_function_weighs_once() {
        let (profile, stacks) = profile(&[(&["main", "f", "f"], 7), (&["main"], 3)]);
        let functions = profile.survey(&stacks).unwrap().functions;
        let of = |name: &str| functions.iter().find(|one| &*one.function.text == name).map(|one| one.weight);
        assert_eq!(of("f"), Some(Weight { own: 7, total: 7 }));
        assert_eq!(of("main"), Some(Weight { own: 3, total: 10 }));
    }

    #[test]
    fn the_tree_has_the_heaviest_branch_first_and_leaves_out_small_ones() {
        let (profile, stacks) = profile(&[(&["a", "x"], 1), (&["a", "y"], 9), (&["b"], 20)]);
        let rows: Vec<(u16, String)> =
            profile.tree(&stacks, 2).unwrap().iter().map(|row| (row.depth, row.name.to_string())).collect();
        let expected = [(0, "p"), (1, "b"), (1, "a"), (2, "y")].map(|(depth, name)| (depth, name.to_owned()));
        assert_eq!(rows, expected);
    }

    #[test]
    fn frames_without_names_are_counted_by_their_reason() {
        let (profile, stacks) = profile(&[(&["a", "lib+0x1"], 1), (&["a", "b"], 1)]);
        assert_eq!(
            profile.survey(&stacks).unwrap().naming(),
            "75.0% of the frames have names; of the others: 25.0% no symbol there"
        );
    }
}
