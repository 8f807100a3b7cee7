//! Stacks by weight: what the views `cpu` and `offcpu` have in common.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;

use crate::report::source::Source;
use crate::symbols::offline::DebugDirs;
use crate::units;

/// Deepest stack that is believed; the kernel's own bound is 127 for each half.
const MAX_DEPTH: usize = 1024;

/// What of a kernel stack only says that the thread left the CPU, not for what.
pub(super) const LEAVING: [&str; 9] = [
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
pub(super) struct Function {
    /// What it is called.
    pub(super) text: Rc<str>,
    /// The file or kernel module that it is in; empty where that is not known.
    pub(super) module: Rc<str>,
}

/// A frame of a stack: which function, and why that has no name.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The function.
    pub(super) function: Rc<Function>,
    /// Why it has no name.
    pub(super) unnamed: Option<Rc<str>>,
}

/// The stacks of a recording by number.
pub(super) struct Stacks {
    symbols: HashMap<i64, Frame>,
    stacks: HashMap<i64, Vec<i32>>,
}

impl Stacks {
    /// Reads them; frames without a name are looked for in the directories.
    pub(super) fn of(source: &Source, debug_dirs: &[PathBuf]) -> Result<Stacks> {
        let mut dirs = DebugDirs::new(debug_dirs);
        let mut functions: HashMap<Function, Rc<Function>> = HashMap::new();
        let mut symbols = HashMap::new();
        source.rows_of_all_times(
            "symbol",
            &["id", "file_offset", "module_addr"],
            &["name", "module", "build_id", "cause"],
            |row| {
                let Some(id) = row.int(0) else { return };
                let offset = row.int(1).and_then(|offset| u64::try_from(offset).ok());
                let address = row.int(2).and_then(|address| u64::try_from(address).ok());
                let module = row.text(1).unwrap_or_default();
                let found = match (row.text(0), row.text(2), offset) {
                    (Some(name), ..) => Some(name.to_owned()),
                    (None, Some(build_id), Some(offset)) if !debug_dirs.is_empty() => {
                        dirs.function(build_id, address, offset)
                    }
                    _ => None,
                };
                let unnamed = match &found {
                    Some(_) => None,
                    None => Some(Rc::from(row.text(3).unwrap_or("unknown"))),
                };
                let text = found.unwrap_or_else(|| place(module, row.text(2), offset));
                let function = Function { text: text.into(), module: module.into() };
                let function = Rc::clone(functions.entry(function.clone()).or_insert_with(|| Rc::new(function)));
                symbols.insert(id, Frame { function, unnamed });
            },
        )?;
        Ok(Stacks { symbols, stacks: stacks(source)? })
    }

    /// The frames of a pair of stacks from the innermost out, the kernel's first.
    pub(super) fn frames(&self, kernel: Option<i64>, user: Option<i64>) -> impl Iterator<Item = &Frame> {
        let ids = [kernel, user].into_iter().flatten().filter_map(|id| self.stacks.get(&id));
        ids.flatten().filter_map(|id| self.symbols.get(&i64::from(*id)))
    }

    /// The names of a pair of stacks' frames from the innermost out, without those that only say that the thread left the CPU.
    pub(super) fn innermost_first(&self, kernel: Option<i64>, user: Option<i64>) -> Vec<String> {
        let names = self.frames(kernel, user).map(|frame| &*frame.function.text);
        names.skip_while(|name| LEAVING.contains(name)).map(str::to_owned).collect()
    }
}

fn stacks(source: &Source) -> Result<HashMap<i64, Vec<i32>>> {
    let failed = || format!("can't read the stacks in '{}'", source.recording().path().display());
    let mut stacks = HashMap::new();
    for chunk in source.recording().scan("stack", &["id", "frames"]).with_context(failed)? {
        let chunk = chunk.with_context(failed)?;
        let (ids, frames) = (chunk.int(0), chunk.list(1));
        for row in 0..chunk.len() {
            if let (Some(id), Some(mut frames)) = (ids.get(row), frames.get(row)) {
                frames.truncate(MAX_DEPTH);
                stacks.insert(id, frames);
            }
        }
    }
    Ok(stacks)
}

/// What a frame without a name is called, as in the column `folded`.
fn place(module: &str, build_id: Option<&str>, offset: Option<u64>) -> String {
    let file = module.rsplit('/').next().unwrap_or_default();
    match (file, build_id, offset) {
        ("", Some(id), Some(offset)) => format!("{}+{offset:#x}", id.get(..8).unwrap_or(id)),
        ("", ..) => "[unknown]".to_owned(),
        (file, _, Some(offset)) => format!("{file}+{offset:#x}"),
        (file, ..) => file.to_owned(),
    }
}

/// One pair of stacks of one process, and what it weighs.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    /// The process's name.
    pub(super) process: Rc<str>,
    /// The frames from the outermost in.
    pub(super) frames: Vec<Frame>,
    /// Nanoseconds.
    pub(super) ns: u64,
    /// Samples or sleeps.
    pub(super) count: u64,
}

/// All stacks of a recording that the filters let through.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// The stacks.
    pub(super) stacks: Vec<Weighted>,
}

/// What a function weighs: as the innermost one, and anywhere in a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// As the innermost.
    pub(super) own: u64,
    /// Anywhere; a recursive function counts once.
    pub(super) total: u64,
}

impl Profile {
    /// Nanoseconds in all.
    pub(super) fn ns(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.ns).sum()
    }

    /// Samples or sleeps in all.
    pub(super) fn count(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }

    /// Every function's weight.
    pub(super) fn functions(&self) -> HashMap<Rc<Function>, Weight> {
        let mut weights: HashMap<Rc<Function>, Weight> = HashMap::new();
        for stack in &self.stacks {
            let mut seen: Vec<&Rc<Function>> = Vec::new();
            for frame in &stack.frames {
                if !seen.contains(&&frame.function) {
                    seen.push(&frame.function);
                    weights.entry(Rc::clone(&frame.function)).or_default().total += stack.ns;
                }
            }
            if let Some(innermost) = stack.frames.last() {
                weights.entry(Rc::clone(&innermost.function)).or_default().own += stack.ns;
            }
        }
        weights
    }

    /// The stacks as text, the process outermost, each once with its nanoseconds.
    pub(super) fn folded(&self) -> HashMap<String, u64> {
        let mut folded: HashMap<String, u64> = HashMap::new();
        for stack in &self.stacks {
            let names = stack.frames.iter().map(|frame| frame.function.text.replace(';', ":"));
            let line: Vec<String> = std::iter::once(stack.process.replace(';', ":")).chain(names).collect();
            *folded.entry(line.join(";")).or_default() += stack.ns;
        }
        folded
    }

    /// How many of the frames have names, and what keeps the others from having one; stacks weigh by their count.
    pub(super) fn naming(&self) -> String {
        let (mut named, mut reasons) = (0u64, HashMap::<&str, u64>::new());
        for stack in &self.stacks {
            for frame in &stack.frames {
                match &frame.unnamed {
                    None => named += stack.count,
                    Some(why) => *reasons.entry(why).or_default() += stack.count,
                }
            }
        }
        let all = named + reasons.values().sum::<u64>();
        if all == 0 {
            return "no stack was recorded".to_owned();
        }
        let percent = |part: u64| units::percent(100.0 * part as f64 / all as f64);
        let mut reasons: Vec<(&str, u64)> = reasons.into_iter().collect();
        reasons.sort_by_key(|(why, count)| (std::cmp::Reverse(*count), *why));
        let reasons: Vec<String> = reasons.iter().map(|(why, count)| format!("{} {why}", percent(*count))).collect();
        match reasons.is_empty() {
            true => "all frames have names".to_owned(),
            false => format!("{} of the frames have names; of the others: {}", percent(named), reasons.join(", ")),
        }
    }

    /// The calls from the outermost in, heaviest first, without branches below `least` nanoseconds: (depth, name, ns).
    pub(super) fn tree(&self, least: u64) -> Vec<(u16, Rc<str>, u64)> {
        let mut root = Node::default();
        for stack in &self.stacks {
            let mut node = root.child(&stack.process, stack.ns);
            for frame in &stack.frames {
                node = node.child(&frame.function.text, stack.ns);
            }
        }
        let mut rows = Vec::new();
        root.list(least.max(1), &mut rows);
        rows
    }
}

#[derive(Default)]
struct Node {
    ns: u64,
    children: HashMap<Rc<str>, Node>,
}

impl Node {
    fn child(&mut self, name: &Rc<str>, ns: u64) -> &mut Node {
        let child = self.children.entry(Rc::clone(name)).or_default();
        child.ns += ns;
        child
    }

    /// Lists the branches below this node, without recursion: a stranger's stack may be deep.
    fn list(&self, least: u64, rows: &mut Vec<(u16, Rc<str>, u64)>) {
        let mut rest = self.heaviest_last(0, least);
        while let Some((depth, name, node)) = rest.pop() {
            rows.push((depth, Rc::clone(name), node.ns));
            rest.extend(node.heaviest_last(depth.saturating_add(1), least));
        }
    }

    fn heaviest_last(&self, depth: u16, least: u64) -> Vec<(u16, &Rc<str>, &Node)> {
        let heavy = self.children.iter().filter(|(_, child)| child.ns >= least);
        let mut children: Vec<_> = heavy.map(|(name, child)| (depth, name, child)).collect();
        children.sort_by(|a, b| a.2.ns.cmp(&b.2.ns).then_with(|| b.1.cmp(a.1)));
        children
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;
    use super::Function;
    use super::Profile;
    use super::Weight;
    use super::Weighted;
    use std::rc::Rc;

    fn stack(names: &[&str], ns: u64) -> Weighted {
        let frame = |name: &&str| Frame {
            function: Rc::new(Function { text: (*name).into(), module: "m".into() }),
            unnamed: name.contains('+').then(|| "no symbol there".into()),
        };
        Weighted { process: "p".into(), frames: names.iter().map(frame).collect(), ns, count: 1 }
    }

    #[test]
    fn a_recursive_function_weighs_once() {
        let profile = Profile { stacks: vec![stack(&["main", "f", "f"], 7), stack(&["main"], 3)] };
        let weights = profile.functions();
        let of = |name: &str| weights.iter().find(|(function, _)| &*function.text == name).map(|(_, weight)| *weight);
        assert_eq!(of("f"), Some(Weight { own: 7, total: 7 }));
        assert_eq!(of("main"), Some(Weight { own: 3, total: 10 }));
    }

    #[test]
    fn the_tree_has_the_heaviest_branch_first_and_leaves_out_small_ones() {
        let profile = Profile { stacks: vec![stack(&["a", "x"], 1), stack(&["a", "y"], 9), stack(&["b"], 20)] };
        let rows: Vec<(u16, String)> = profile.tree(2).iter().map(|row| (row.0, row.1.to_string())).collect();
        let expected = [(0, "p"), (1, "b"), (1, "a"), (2, "y")].map(|(depth, name)| (depth, name.to_owned()));
        assert_eq!(rows, expected);
    }

    #[test]
    fn frames_without_names_are_counted_by_their_reason() {
        let profile = Profile { stacks: vec![stack(&["a", "lib+0x1"], 1), stack(&["a", "b"], 1)] };
        assert_eq!(profile.naming(), "75.0% of the frames have names; of the others: 25.0% no symbol there");
    }
}
