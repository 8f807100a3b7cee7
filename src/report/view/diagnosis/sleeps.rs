//! Sleeps by what functions on their stacks say: where threads waited for a lock, or for a file system that others serve.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Spent;
use crate::report::read::limit::Limit;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::Stacks;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::functions::is_outermost;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::names::Names;
use crate::report::view::diagnosis::names::file_name;

/// About what a place takes in memory.
const PLACE_BYTES: usize = 320;

/// A place of a program where its threads slept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// What was waited for, as people say it.
    pub(super) words: &'static str,
    /// The function that waited.
    pub(super) function: Rc<Function>,
    /// The first one further out in a module other than that: the program's own, where the function is a library's.
    pub(super) caller: Option<Rc<Function>>,
}

impl Place {
    /// `in take_gil (python3.11), called by PyEval_RestoreThread`.
    pub(super) fn describe(&self) -> String {
        let function = &self.function;
        let module = file_name(&function.module);
        let mut text = format!("in {} ({module})", function.text);
        if let Some(caller) = &self.caller {
            text.push_str(&format!(", called by {}", caller.text));
        }
        text
    }
}

/// Sleeps of each process in places of one class.
pub(super) type Sleeps = BTreeMap<Who, BTreeMap<Place, Spent>>;

/// Reads them; a sleep counts where the innermost frame that `among` has a name for is of the class `wanted`.
pub(super) fn of(scene: &Scene<'_>, wanted: Class, among: &[Class]) -> Result<Sleeps> {
    let mut sleeps = Sleeps::new();
    if !scene.has("stack_total") {
        return Ok(sleeps);
    }
    let (names, stacks) = (Names::read(), Stacks::of(scene.source, &[])?);
    let mut limit = Limit::new();
    let mut rows = scene.source.rows("stack_total");
    let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
    let (metric, count, sum) = (rows.text("metric"), rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        if row.text(metric) != Some("offcpu.time") {
            return;
        }
        let Some(who) = scene.who_of_row(row) else { return };
        let frames: Vec<&Frame> = stacks.frames(row.int(kernel), row.int(user)).collect();
        let Some((class, words, at)) = names.first(&frames, among) else { return };
        if class != wanted {
            return;
        }
        let Some(frame) = frames.get(at) else { return };
        let function = Rc::clone(&frame.function);
        let further = frames.iter().skip(at + 1);
        let caller = further.copied().find(|frame| {
            let is_known = frame.unnamed.is_none() && !frame.is_truncation();
            is_known && frame.function.module != function.module && !is_outermost(&frame.function)
        });
        let place = Place { words, function, caller: caller.map(|frame| Rc::clone(&frame.function)) };
        let places = sleeps.entry(who).or_default();
        if !places.contains_key(&place) && !limit.take(PLACE_BYTES) {
            return;
        }
        let own = places.entry(place).or_default();
        let (ns, count) = (row.natural(sum), row.natural(count));
        *own = Spent { ns: own.ns.saturating_add(ns), count: own.count.saturating_add(count) };
    })?;
    limit.check(scene.source, "places where threads slept")?;
    Ok(sleeps)
}
