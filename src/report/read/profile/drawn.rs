//! A profile as calls by their callers, within a bound on calls and names: what a flame graph of a page is made of.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::profile::DRAWN;
use crate::report::read::profile::Function;
use crate::report::read::profile::Pair;
use crate::report::read::profile::Profile;
use crate::report::read::profile::REST;
use crate::report::read::profile::Sample;
use crate::report::read::profile::Stacks;

/// Bounds on a flame graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Calls.
    pub(crate) calls: usize,
    /// Bytes of the functions' names.
    pub(crate) text: usize,
}

/// Calls, each behind its caller, the process outermost.
#[derive(Default)]
pub(crate) struct Drawn {
    /// For each call the one that made it, and the function's place.
    pub(crate) calls: Vec<(Option<u32>, u32)>,
    /// The functions.
    pub(crate) functions: Vec<Rc<Function>>,
    /// Nanoseconds of stacks that had no room: they are one call of their process.
    pub(crate) joined_ns: u64,
    by_caller: HashMap<(Option<u32>, u32), u32>,
    by_function: HashMap<Rc<Function>, u32>,
    processes: HashMap<Rc<str>, u32>,
    pairs: HashMap<Pair, u32>,
    rest: HashMap<u32, u32>,
    text: usize,
}

impl Profile {
    /// The calls of the heaviest stacks; others are one call of their process each.
    pub(crate) fn drawn(&self, stacks: &Stacks, room: Room) -> Result<Drawn> {
        let processes = (0..).zip(&self.processes).map(|(at, name)| (Rc::clone(name), at));
        let mut drawn = Drawn { processes: processes.collect(), ..Drawn::default() };
        let outermost = |text: &Rc<str>| Rc::new(Function { text: Rc::clone(text), module: "".into() });
        let rest = outermost(&REST.into());
        self.each(|pair, ns, _| {
            let process = outermost(self.process(pair));
            if drawn.pairs.len() < DRAWN {
                let frames = self.frames(stacks, pair);
                let path = std::iter::once(&process).chain(frames.iter().map(|frame| &frame.function));
                if drawn.fits(path.clone(), room) {
                    let call = drawn.path(path);
                    drawn.pairs.extend(call.map(|call| (*pair, call)));
                    return;
                }
            }
            drawn.joined_ns = drawn.joined_ns.saturating_add(ns);
            if !drawn.rest.contains_key(&pair.process) {
                // Each process may have this one call, unless there are far too many.
                let alone = [&rest];
                let both = [&process, &rest];
                let path = if drawn.calls.len() < 2 * room.calls { both.as_slice() } else { alone.as_slice() };
                let call = drawn.path(path.iter().copied());
                drawn.rest.extend(call.map(|call| (pair.process, call)));
            }
        })?;
        Ok(drawn)
    }
}

impl Drawn {
    /// The call that a sample of the profile ends in.
    pub(crate) fn call(&self, sample: &Sample<'_>) -> Option<u32> {
        let process = *self.processes.get(&*sample.process)?;
        let number = |id: Option<i64>| id.and_then(|id| i32::try_from(id).ok());
        let pair = Pair { process, kernel: number(sample.kernel), user: number(sample.user) };
        self.pairs.get(&pair).or_else(|| self.rest.get(&process)).copied()
    }

    /// Whether there is room for what a path would add.
    fn fits<'f>(&self, path: impl Iterator<Item = &'f Rc<Function>>, room: Room) -> bool {
        let (mut caller, mut calls, mut text) = (Some(None), self.calls.len(), self.text);
        for function in path {
            let known = self.by_function.get(function);
            let call = known.zip(caller).and_then(|(at, caller)| self.by_caller.get(&(caller, *at)));
            caller = call.map(|call| Some(*call));
            calls += usize::from(call.is_none());
            text += if known.is_none() { size(function) } else { 0 };
        }
        calls <= room.calls && text <= room.text
    }

    /// Adds a path, and returns its innermost call.
    fn path<'f>(&mut self, path: impl Iterator<Item = &'f Rc<Function>>) -> Option<u32> {
        let mut caller = None;
        for function in path {
            let at = match self.by_function.get(function) {
                Some(at) => *at,
                None => {
                    let at = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);
                    self.text += size(function);
                    self.functions.push(Rc::clone(function));
                    self.by_function.insert(Rc::clone(function), at);
                    at
                }
            };
            let next = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
            let call = *self.by_caller.entry((caller, at)).or_insert(next);
            if call == next {
                self.calls.push((caller, at));
            }
            caller = Some(call);
        }
        caller
    }
}

fn size(function: &Function) -> usize {
    function.text.len() + function.module.len() + 8
}
