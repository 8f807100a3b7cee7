//! Where processes spent their CPU time, out of the samples: the function in which most of it was.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::limit::Limit;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::Stacks;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::names::Names;
use crate::report::view::diagnosis::names::file_name;
use crate::units;

/// A function with this part of the time by itself is where it was.
const LEAST_OWN: f64 = 0.3;
/// So is one in whose calls this part was.
const LEAST_TOTAL: f64 = 0.5;
/// A kernel in which this part was says more than the program's function.
const MOSTLY_KERNEL: f64 = 0.7;
/// Frames from the innermost out that can be the loop of a spin lock.
const SPIN_DEPTH: usize = 3;
/// Functions that every program has around all it does: glibc's, musl's, Python's.
const OUTERMOST: [&str; 10] = [
    "_start",
    "main",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "libc_start_main_stage2",
    "start_thread",
    "clone",
    "clone3",
    "<module>",
];
/// About what a function takes in memory.
const FUNCTION_BYTES: usize = 64;

/// Whether every program has this function around all it does, so that it tells nothing of what one does.
pub(super) fn is_outermost(function: &Function) -> bool {
    OUTERMOST.contains(&&*function.text)
}

/// The CPU time of one process by function, in nanoseconds of samples.
#[derive(Default)]
pub(super) struct Functions {
    all: u64,
    kernel: u64,
    own: HashMap<Rc<Function>, u64>,
    total: HashMap<Rc<Function>, u64>,
    spinning: HashMap<Rc<Function>, u64>,
    /// By what people call the work.
    costly: BTreeMap<&'static str, u64>,
    /// In filling the page cache.
    refilling: u64,
}

impl Functions {
    /// Reads those of some processes.
    pub(super) fn of(scene: &Scene<'_>, wanted: &[&Who]) -> Result<BTreeMap<Who, Functions>> {
        let mut by: BTreeMap<Who, Functions> = BTreeMap::new();
        if wanted.is_empty() || !scene.has("cpu_sample") {
            return Ok(by);
        }
        let (names, stacks) = (Names::read(), Stacks::of(scene.source, &[])?);
        let mut limit = Limit::new();
        let mut rows = scene.source.rows("cpu_sample");
        let (kernel, user, sum) = (rows.int("kstack_id"), rows.int("ustack_id"), rows.int("sum"));
        rows.each(|row| {
            let Some(who) = scene.who_of_row(row).filter(|who| wanted.contains(&who)) else { return };
            let in_kernel: Vec<&Frame> = stacks.frames(row.int(kernel), None).collect();
            let in_program: Vec<&Frame> = stacks.frames(None, row.int(user)).collect();
            let functions = by.entry(who).or_default();
            functions.add(&names, (&in_kernel, &in_program), row.natural(sum), &mut limit);
        })?;
        limit.check(scene.source, "functions")?;
        Ok(by)
    }

    /// Those of several processes together.
    pub(super) fn sum<'f>(several: impl Iterator<Item = &'f Functions>) -> Functions {
        let mut sum = Functions::default();
        for one in several {
            sum.all = sum.all.saturating_add(one.all);
            sum.kernel = sum.kernel.saturating_add(one.kernel);
            sum.refilling = sum.refilling.saturating_add(one.refilling);
            for (words, ns) in &one.costly {
                let own = sum.costly.entry(words).or_default();
                *own = own.saturating_add(*ns);
            }
            for (to, from) in
                [(&mut sum.own, &one.own), (&mut sum.total, &one.total), (&mut sum.spinning, &one.spinning)]
            {
                for (function, ns) in from {
                    let own = to.entry(Rc::clone(function)).or_default();
                    *own = own.saturating_add(*ns);
                }
            }
        }
        sum
    }

    fn add(&mut self, names: &Names, (kernel, user): (&[&Frame], &[&Frame]), ns: u64, limit: &mut Limit) {
        self.all = self.all.saturating_add(ns);
        if !kernel.is_empty() {
            self.kernel = self.kernel.saturating_add(ns);
        }
        let mut count = |to: &mut HashMap<Rc<Function>, u64>, function: &Rc<Function>| {
            if to.contains_key(function) || limit.take(FUNCTION_BYTES) {
                let sum = to.entry(Rc::clone(function)).or_default();
                *sum = sum.saturating_add(ns);
            }
        };
        let named = |frame: &&&Frame| frame.unnamed.is_none() && !frame.is_truncation();
        // The function of a script says more than the interpreter's that runs it.
        let script = user.iter().filter(named).find(|frame| frame.function.module.ends_with(".py"));
        if let Some(frame) = script.or_else(|| user.iter().find(named)) {
            count(&mut self.own, &frame.function);
        }
        let mut seen = HashSet::new();
        let known = |frame: &&&Frame| named(frame) && !is_outermost(&frame.function);
        for frame in user.iter().filter(known).filter(|frame| seen.insert(Rc::clone(&frame.function))) {
            count(&mut self.total, &frame.function);
        }
        if let Some((_, words, _)) = names.first(kernel, &[Class::Costly]) {
            let own = self.costly.entry(words).or_default();
            *own = own.saturating_add(ns);
        }
        if names.first(kernel, &[Class::Refill]).is_some() {
            self.refilling = self.refilling.saturating_add(ns);
        }
        let innermost: Vec<&Frame> = kernel.iter().chain(user).take(SPIN_DEPTH).copied().collect();
        if let Some(frame) = names.first(&innermost, &[Class::Spin]).and_then(|(_, _, at)| innermost.get(at)) {
            count(&mut self.spinning, &frame.function);
        }
    }

    /// `91.0% in spin_acquire (spinnerd)`, where one function stands out.
    pub(super) fn describe(&self) -> Option<String> {
        let part = |ns: u64| ns as f64 / self.all.max(1) as f64;
        let own = most(&self.own).filter(|(_, ns)| part(*ns) >= LEAST_OWN);
        // Of the functions in whose calls most was, the one that does least besides.
        let around = self.total.iter().filter(|(_, ns)| part(**ns) >= LEAST_TOTAL);
        let around =
            around.min_by_key(|(function, ns)| (**ns, Rc::clone(function))).map(|(function, ns)| (function, *ns));
        if let Some((function, ns)) = own.or(around) {
            return Some(format!("{} in {}", units::percent(100.0 * part(ns)), words(function)));
        }
        let kernel = self.kernel_part();
        (kernel >= MOSTLY_KERNEL).then(|| format!("{} in the kernel", units::percent(100.0 * kernel)))
    }

    /// The part of the time that was in the kernel.
    pub(super) fn kernel_part(&self) -> f64 {
        self.kernel as f64 / self.all.max(1) as f64
    }

    /// The work of the kernel on which most of the time went of that which the table calls costly, and the part of the time.
    pub(super) fn costly(&self) -> Option<(&'static str, f64)> {
        let (words, ns) = self.costly.iter().max_by_key(|(_, ns)| **ns)?;
        Some((words, *ns as f64 / self.all.max(1) as f64))
    }

    /// The part of the time that went into filling the page cache, and making room in it.
    pub(super) fn refilling(&self) -> f64 {
        self.refilling as f64 / self.all.max(1) as f64
    }

    /// The part of the time that went into spinning for locks, and the function in which most of that was.
    pub(super) fn spinning(&self) -> (f64, Option<String>) {
        let ns = self.spinning.values().fold(0u64, |sum, ns| sum.saturating_add(*ns));
        (ns as f64 / self.all.max(1) as f64, most(&self.spinning).map(|(function, _)| words(function)))
    }
}

fn most(of: &HashMap<Rc<Function>, u64>) -> Option<(&Rc<Function>, u64)> {
    of.iter().map(|(function, ns)| (function, *ns)).max_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)))
}

fn words(function: &Function) -> String {
    match file_name(&function.module) {
        "" => function.text.to_string(),
        module => format!("{} ({module})", function.text),
    }
}
