//! `kernel-wait`: a process waited in a system call for something in the kernel that is no device, such as a grace period of RCU at the
//! end of its watches on files. Precondition: uninterruptible waits in file calls, with functions on the stacks that wait for that, and
//! none that waits for a device.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::profile::Function;
use crate::report::read::profile::Stacks;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::names::Names;
use crate::report::view::diagnosis::scene::Victim;
use crate::report::view::diagnosis::scene::add;
use crate::report::view::diagnosis::scene::others;

pub(super) static RULE: Rule = Rule { name: "kernel-wait", resource: "kernel", view: "offcpu", outdoes: &[], find };

/// From this part of a process's waits for storage on, what the stacks say holds for them.
const MOST: f64 = 0.5;

/// How the entries of system calls into the kernel begin, by architecture.
const ENTRIES: [&str; 2] = ["__x64_sys_", "__arm64_sys_"];

/// What the stacks say that a process waited for in calls on files.
#[derive(Default)]
pub(super) struct Grounds {
    /// Nanoseconds with a function that waits for a device.
    device_ns: u64,
    /// Those without, by what they were for.
    kernel: BTreeMap<Place, Spent>,
}

/// Where in the kernel a process waited for something that is no device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// What for, as people say it.
    words: &'static str,
    function: Rc<Function>,
    /// The system call, where the stack reaches it.
    call: Option<String>,
}

impl Grounds {
    /// Whether a process waited for devices in most of its waits for storage.
    pub(super) fn is_device(&self, victim: &Victim<'_>) -> bool {
        self.device_ns as f64 >= MOST * victim.spent.ns as f64
    }

    /// Whether it waited for the kernel itself in most of them.
    pub(super) fn is_kernel(&self, victim: &Victim<'_>) -> bool {
        let kernel_ns = self.kernel.values().fold(0u64, |sum, spent| sum.saturating_add(spent.ns));
        kernel_ns as f64 >= MOST * victim.spent.ns as f64 && kernel_ns > self.device_ns
    }
}

/// Waits for files and disks.
pub(super) fn is_storage(sort: Sort, _: &State) -> bool {
    sort == Sort::Storage
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut victims = scene.victims(is_storage);
    if victims.is_empty() {
        return Ok(Vec::new());
    }
    let grounds = grounds(scene, &victims)?;
    victims.retain(|victim| grounds.get(victim.who).is_some_and(|own| own.is_kernel(victim)));
    let Some((victim, own)) = victims.first().and_then(|victim| Some((victim, grounds.get(victim.who)?))) else {
        return Ok(Vec::new());
    };
    let Some((place, _)) = own.kernel.iter().max_by_key(|(_, spent)| spent.ns) else { return Ok(Vec::new()) };
    let call = place.call.as_ref().map(|call| format!(" in {call}")).unwrap_or_default();
    let what = format!("the kernel{call} ({}: {})", place.words, place.function.text);
    let mut text = format!("{}, {} each", victim.sentence(scene, &what), victim.mean());
    text.push_str(&others(scene, victims.iter().skip(1)));
    Ok(vec![victim.finding(scene, format!("{text}."))])
}

/// What the stacks of processes say of their waits for storage; nothing of a process without stacks.
pub(super) fn grounds(scene: &Scene<'_>, victims: &[Victim<'_>]) -> Result<BTreeMap<Who, Grounds>> {
    let mut by: BTreeMap<Who, Grounds> =
        victims.iter().map(|victim| (victim.who.clone(), Grounds::default())).collect();
    if !scene.has("stack_total") {
        return Ok(by);
    }
    let (names, stacks) = (Names::read(), Stacks::of(scene.source, &[])?);
    let mut rows = scene.source.rows("stack_total");
    let (metric, kernel) = (rows.text("metric"), rows.int("kstack_id"));
    let (count, sum) = (rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        if row.text(metric) != Some("offcpu.time") {
            return;
        }
        let Some(own) = scene.who_of_row(row).and_then(|who| by.get_mut(&who)) else { return };
        let spent = Spent { ns: row.natural(sum), count: row.natural(count) };
        let functions: Vec<&Rc<Function>> = stacks.frames(row.int(kernel), None).map(|frame| &frame.function).collect();
        let texts = || functions.iter().map(|function| &*function.text);
        if names.of_kernel(texts(), Class::Device).is_some() {
            own.device_ns = own.device_ns.saturating_add(spent.ns);
            return;
        }
        // The outermost says what the inner ones wait for.
        let Some((name, words)) = names.of_kernel(texts().rev(), Class::Kernel) else { return };
        let Some(function) = functions.iter().find(|function| &*function.text == name) else { return };
        let call = texts().find_map(|text| ENTRIES.iter().find_map(|entry| text.strip_prefix(entry)));
        let place = Place { words, function: Rc::clone(function), call: call.map(str::to_owned) };
        let sum = own.kernel.entry(place).or_default();
        *sum = add(*sum, spent);
    })?;
    Ok(by)
}
