//! Which programs an event's hook takes, and how they are attached: to many functions at once where the kernel can, else to
//! one after the other.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;
use libbpf_rs::KprobeMultiOpts;
use libbpf_rs::KprobeOpts;
use libbpf_rs::Link;
use libbpf_rs::RawTracepointOpts;
use libbpf_rs::TracepointCategory;
use libbpf_rs::TracepointOpts;
use libbpf_rs::UprobeMultiOpts;
use libbpf_rs::UprobeOpts;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use super::spots;
use super::spots::Ends;
use super::spots::Spot;
use crate::bpf::live::Live;
use crate::host::code_file::CodeFile;
use crate::probe::event::CustomEvent;
use crate::probe::hook::Function;
use crate::probe::hook::Hook;
use crate::probe::hook::Place;
use crate::probe::site::Site;

/// Functions that are attached to one by one, at most: each takes the kernel a millisecond or so, and as long to detach.
const MAX_ONE_BY_ONE: usize = 1000;
/// An attachment to one place is a perf event, and since 5.15 a link to it.
const FILES_EACH: u64 = 2;
/// Files that everything else has open: programs, maps and rings of all probes.
const OTHER_FILES: u64 = 512;
/// What perf_event_open(2) takes for all processes.
const EVERY_PROCESS: i32 = -1;
/// Links that are dropped at the same time: the kernel waits in each for all CPUs.
const DROPPED_AT_ONCE: usize = 32;
/// BPF cookies of perf links: commit 7adfc6c9b315.
const COOKIES: (u32, u32) = (5, 15);
/// Of raw tracepoints: commit 68ca5d4eebb8.
const RAW_COOKIES: (u32, u32) = (6, 10);

/// Programs of uprobes that may sleep (6.0), and that say where they don't (commit 9bb00b2895cb).
const SLEEPABLE: (u32, u32) = (6, 2);
/// The same at many places at once: since there are such.
const SLEEPABLE_AT_ONCE: (u32, u32) = (6, 6);
/// Many places of programs at once: commit 89ae89f53d20.
const USER_AT_ONCE: (u32, u32) = (6, 6);

/// How an event is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To all its places by one call, or one for each file.
    AtOnce,
    /// To each place by itself.
    OneByOne,
}

/// An object's links, which are dropped side by side.
#[derive(Default)]
pub(super) struct Links {
    links: Vec<Link>,
    /// Of functions' entries whose exits are among the others: these go first, so that what they begin has an end.
    entries: Vec<Link>,
    /// Hooks as messages and the recording call them.
    pub(super) hooks: Vec<String>,
    /// Places that the kernel refused while it took others.
    pub(super) refused: Vec<String>,
    /// Their numbers among the event's places.
    pub(super) refused_numbers: Vec<usize>,
}

impl Links {
    /// Keeps one more.
    pub(super) fn keep(&mut self, link: Link) {
        self.links.push(link);
    }

    /// Detaches.
    pub(super) fn clear(&mut self) {
        for links in [&mut self.entries, &mut self.links] {
            while !links.is_empty() {
                let rest = links.len().saturating_sub(DROPPED_AT_ONCE);
                std::thread::scope(|scope| {
                    for link in links.drain(rest..) {
                        scope.spawn(move || drop(link));
                    }
                });
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether the event's programs are those that may sleep, and so fetch memory that is not there: for functions of programs alone.
fn may_sleep(event: &CustomEvent, way: Way, kernel: (u32, u32)) -> bool {
    let can = match (&event.hook, way) {
        (Hook::Uprobe { .. } | Hook::Usdt { .. }, Way::AtOnce) => kernel >= SLEEPABLE_AT_ONCE,
        (Hook::Uprobe { .. } | Hook::Usdt { .. }, Way::OneByOne) => kernel >= SLEEPABLE,
        _ => false,
    };
    can && event.reads_process_memory()
}

/// What a hook is called, the places of an event, and the programs for each.
pub(super) struct Plan<'a> {
    event: &'a CustomEvent,
    /// At one place, attaching at once is no different.
    pub(super) way: Way,
    /// The programs are those that may sleep.
    pub(super) may_sleep: bool,
}

/// The functions, tracepoints or probes that an event is at, in the order of their numbers.
pub(super) fn places(hook: &Hook) -> Vec<&str> {
    match hook {
        Hook::Kprobe { functions, .. } | Hook::KernelLatency { functions } => {
            functions.iter().map(String::as_str).collect()
        }
        Hook::Fentry { functions, .. } => functions.iter().map(|function| &*function.name).collect(),
        Hook::Tracepoint { points } => points.iter().map(|(_, name)| &**name).collect(),
        Hook::RawTracepoint { points } => points.iter().map(String::as_str).collect(),
        Hook::Uprobe { places } => places.iter().map(|place| &*place.function).collect(),
        Hook::Uretprobe { returns } | Hook::UserLatency { returns } => {
            returns.places().into_iter().map(|place| &*place.function).collect()
        }
        Hook::Usdt { names, .. } => names.iter().map(String::as_str).collect(),
    }
}

/// Whether attachments to functions can tell which of several places it is.
pub(super) fn has_cookies(kernel: (u32, u32)) -> bool {
    kernel >= COOKIES
}

/// Whether memory that can't be read when a system call is entered is read when it returns.
pub(super) fn awaits_return(event: &CustomEvent) -> bool {
    let Hook::Tracepoint { points } = &event.hook else { return false };
    event.reads_process_memory() && points.iter().all(|point| return_of(point).is_some())
}

/// The tracepoint at the return of the system call at whose entry one is.
fn return_of((category, name): &(String, String)) -> Option<(String, String)> {
    let call = name.strip_prefix("sys_enter").filter(|_| category == "syscalls" || category == "raw_syscalls")?;
    Some((category.clone(), format!("sys_exit{call}")))
}

/// Whether an attachment tells which of the places it is: only asked for where there are several.
pub(super) fn cookies(hook: &Hook, kernel: (u32, u32)) -> bool {
    let several = hook.places() > 1;
    match hook {
        Hook::Fentry { .. } => false,
        Hook::Usdt { sites, .. } => sites.len() > 1 && kernel >= COOKIES,
        // Exits differ, whatever function they are of.
        _ if hook.at_exits().is_some() => kernel >= COOKIES,
        Hook::RawTracepoint { .. } => several && kernel >= RAW_COOKIES,
        _ => several && kernel >= COOKIES,
    }
}

/// The ways to try, the best one first, and whether with programs that may sleep.
pub(super) fn ways(event: &CustomEvent, kernel: (u32, u32)) -> Vec<(Way, bool)> {
    let hook = &event.hook;
    let at_once = match hook {
        Hook::Kprobe { .. } | Hook::KernelLatency { .. } => hook.places() > 1,
        // Even one: its link is given up at once, a perf event after a tenth of a second.
        Hook::Uprobe { .. } | Hook::Uretprobe { .. } | Hook::UserLatency { .. } | Hook::Usdt { .. } => {
            kernel >= USER_AT_ONCE
        }
        _ => false,
    };
    let mut ways = Vec::new();
    for way in if at_once { &[Way::AtOnce, Way::OneByOne][..] } else { &[Way::OneByOne] } {
        if may_sleep(event, *way, kernel) {
            ways.push((*way, true));
        }
        ways.push((*way, false));
    }
    ways
}

impl<'a> Plan<'a> {
    pub(super) fn new(event: &'a CustomEvent, way: Way, may_sleep: bool) -> Plan<'a> {
        Plan { event, way, may_sleep }
    }

    /// The programs that are attached: for a latency the one at the return first, so that no entry is without one.
    pub(super) fn programs(&self) -> Vec<&'static str> {
        let at_once = self.way == Way::AtOnce;
        match (&self.event.hook, at_once) {
            (Hook::Uprobe { .. }, false) if self.may_sleep => vec!["user_entry_sleepable"],
            (Hook::Uprobe { .. }, true) if self.may_sleep => vec!["user_entries_sleepable"],
            (Hook::Usdt { .. }, false) if self.may_sleep => vec!["static_probe_sleepable"],
            (Hook::Usdt { .. }, true) if self.may_sleep => vec!["static_probes_sleepable"],
            (Hook::Kprobe { at_return: false, .. }, false) => vec!["kernel_entry"],
            (Hook::Kprobe { at_return: false, .. }, true) => vec!["kernel_entries"],
            (Hook::Kprobe { at_return: true, .. }, false) => vec!["kernel_return"],
            (Hook::Kprobe { at_return: true, .. }, true) => vec!["kernel_returns"],
            (Hook::Fentry { at_return: false, .. }, _) => vec!["typed_entry"],
            (Hook::Fentry { at_return: true, .. }, _) => vec!["typed_exit"],
            // The return first, so that no entry waits for one.
            (Hook::Tracepoint { .. }, _) if awaits_return(self.event) => vec!["call_returns", "tracepoint"],
            (Hook::Tracepoint { .. }, _) => vec!["tracepoint"],
            (Hook::RawTracepoint { .. }, _) => vec!["raw_tracepoint"],
            (Hook::Uprobe { .. }, false) => vec!["user_entry"],
            (Hook::Uprobe { .. }, true) => vec!["user_entries"],
            (hook, false) if hook.pairs_exits() => vec!["user_frame_exits", "user_frame_enters"],
            (hook, true) if hook.pairs_exits() => vec!["user_frames_exit", "user_frames_enter"],
            (hook, false) if hook.at_exits().is_some() => vec!["user_frame_exits"],
            (hook, true) if hook.at_exits().is_some() => vec!["user_frames_exit"],
            (Hook::Uretprobe { .. }, false) => vec!["user_return"],
            (Hook::Uretprobe { .. }, true) => vec!["user_returns"],
            (Hook::Usdt { .. }, false) => vec!["static_probe"],
            (Hook::Usdt { .. }, true) => vec!["static_probes"],
            (Hook::KernelLatency { .. }, false) => vec!["kernel_call_ends", "kernel_call_begins"],
            (Hook::KernelLatency { .. }, true) => vec!["kernel_calls_end", "kernel_calls_begin"],
            (Hook::UserLatency { .. }, false) => vec!["user_call_ends", "user_call_begins"],
            (Hook::UserLatency { .. }, true) => vec!["user_calls_end", "user_calls_begin"],
        }
    }

    /// The programs that see threads and processes go which may be in a call.
    pub(super) fn watchers(&self) -> &'static [&'static str] {
        match &self.event.hook {
            hook if hook.pairs_exits() => &["frames_process_ends", "frames_process_execs"],
            hook if hook.at_exits().is_none() && hook.is_latency() => &["thread_ends"],
            _ if awaits_return(self.event) => &["thread_ends"],
            _ => &[],
        }
    }

    /// Attaches to all places of the event; of those by their type to the one that this object was loaded for.
    ///
    /// # Errors
    /// What the kernel refused; of several places attached one by one, when it refused all.
    pub(super) fn attach(&self, live: &Live, cookies: bool, of_type: usize, links: &mut Links) -> Result<()> {
        if let (Some(functions), [program, begins @ ..]) = (self.event.hook.at_exits(), &*self.programs()) {
            let mut exits = Attacher { live, program, at_return: false, is_entry: false, cookies, links };
            exits.ends(functions, begins.first().copied(), self.way)?;
            links.refused.dedup();
            return Ok(());
        }
        for program in self.programs() {
            let at_return = program.ends_with("return")
                || program.ends_with("returns")
                || program.contains("_end")
                || program == "typed_exit";
            let mut attacher = Attacher { live, program, at_return, is_entry: false, cookies, links };
            match &self.event.hook {
                Hook::Kprobe { functions, .. } | Hook::KernelLatency { functions } => {
                    attacher.kernel_functions(functions, self.way)?;
                }
                Hook::Fentry { functions, .. } => {
                    let name = functions.get(of_type).map_or("", |function| &function.name);
                    attacher.one(name, |program| program.attach_trace())?;
                    links.hooks.push(format!("{}/{name}", if at_return { "fexit" } else { "fentry" }));
                }
                Hook::Tracepoint { points } if program == "call_returns" => {
                    attacher.points(&points.iter().filter_map(return_of).collect::<Vec<_>>())?;
                }
                Hook::Tracepoint { points } => attacher.points(points)?,
                Hook::RawTracepoint { points } => attacher.raw_points(points)?,
                Hook::Uprobe { places } => attacher.user_functions(&spots::of_places(places), self.way)?,
                Hook::Uretprobe { returns } | Hook::UserLatency { returns } => {
                    attacher.user_functions(&spots::of_places(returns.places()), self.way)?;
                }
                Hook::Usdt { path, file, provider, names, sites } => {
                    let file = spots::open(path, file)?;
                    attacher.static_probes((path, &file), names, sites, self.way)?;
                    links.hooks.push(format!("usdt/{provider}:{}", first_of(names)));
                }
            }
        }
        links.refused.dedup();
        Ok(())
    }
}

/// Attaches one program.
struct Attacher<'a> {
    live: &'a Live,
    program: &'static str,
    /// The kernel is asked to show the returns.
    at_return: bool,
    /// It begins what another program ends.
    is_entry: bool,
    cookies: bool,
    links: &'a mut Links,
}

impl Attacher<'_> {
    fn one(
        &mut self,
        what: &str,
        attach: impl FnOnce(&libbpf_rs::ProgramMut<'_>) -> libbpf_rs::Result<Link>,
    ) -> Result<()> {
        let link = self.live.attach_by(self.program, attach);
        let link = link.map_err(|error| anyhow!("can't attach to '{what}': {error:#}"))?;
        if self.is_entry {
            self.links.entries.push(link)
        } else {
            self.links.links.push(link)
        }
        Ok(())
    }

    /// Attaches to each of several places. One that is refused is left out and named; if all are, that is an error.
    fn each<T>(
        &mut self,
        places: &[T],
        name: impl Fn(&T) -> &str,
        attach: impl Fn(&libbpf_rs::ProgramMut<'_>, &T, u64) -> libbpf_rs::Result<Link>,
    ) -> Result<()> {
        let count = places.len();
        ensure!(count > 0, "nothing matches");
        ensure!(
            count <= MAX_ONE_BY_ONE,
            "{count} functions are more than the {MAX_ONE_BY_ONE} that can be attached to one by one, and this kernel can't attach to all at once"
        );
        allow_files(count as u64 * FILES_EACH)?;
        let mut last = None;
        let mut refused = Vec::new();
        let mut numbers = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let cookie = if self.cookies { number as u64 } else { 0 };
            if let Err(error) = self.one(name(place), |program| attach(program, place, cookie)) {
                refused.push(name(place).to_owned());
                numbers.push(number);
                last = Some(error);
            }
        }
        match last {
            Some(error) if refused.len() == count => Err(error),
            _ => {
                self.links.refused.append(&mut refused);
                self.links.refused_numbers.append(&mut numbers);
                Ok(())
            }
        }
    }

    fn numbers(&self, count: usize) -> Vec<u64> {
        if self.cookies { (0..count as u64).collect() } else { Vec::new() }
    }

    fn kernel_functions(&mut self, functions: &[String], way: Way) -> Result<()> {
        let at_return = self.at_return;
        let hook = if at_return { "kretprobe" } else { "kprobe" };
        if way == Way::AtOnce {
            let cookies = self.numbers(functions.len());
            let symbols = functions.to_vec();
            let options = KprobeMultiOpts { symbols, cookies, retprobe: at_return, ..Default::default() };
            self.one(&first_of(functions), |program| program.attach_kprobe_multi_with_opts(options))?;
            self.links.hooks.push(format!("{hook}.multi/{}", first_of(functions)));
            return Ok(());
        }
        self.each(functions, String::as_str, |program, function, cookie| {
            program.attach_kprobe_with_opts(at_return, function, KprobeOpts { cookie, ..Default::default() })
        })?;
        self.links.hooks.push(format!("{hook}/{}", first_of(functions)));
        Ok(())
    }

    fn user_functions(&mut self, spots: &[Spot<'_>], way: Way) -> Result<()> {
        let hook = if self.at_return { "uretprobe" } else { "uprobe" };
        let suffix = match way {
            Way::AtOnce => {
                self.spots_at_once(spots)?;
                ".multi"
            }
            Way::OneByOne => {
                self.spots_one_by_one(spots)?;
                ""
            }
        };
        let names: Vec<String> = spots.iter().map(|spot| spot.place.function.clone()).collect();
        self.links.hooks.push(format!("{hook}{suffix}/{}", first_of(&names)));
        Ok(())
    }

    fn spots_at_once(&mut self, spots: &[Spot<'_>]) -> Result<()> {
        let retprobe = self.at_return;
        for of_file in spots::by_file(spots) {
            let Some(Spot { place, .. }) = of_file.first() else { continue };
            let offsets: Vec<usize> = of_file.iter().map(|spot| spot.offset as usize).collect();
            let cookies = of_file.iter().filter(|_| self.cookies).map(|spot| spot.cookie).collect();
            let file = spots::file(place)?;
            let options = UprobeMultiOpts { offsets, cookies, retprobe, ..Default::default() };
            self.one(&place.path.display().to_string(), |program| {
                program.attach_uprobe_multi_with_opts(EVERY_PROCESS, file.path(), "", options)
            })?;
        }
        Ok(())
    }

    fn spots_one_by_one(&mut self, spots: &[Spot<'_>]) -> Result<()> {
        let (retprobe, cookies) = (self.at_return, self.cookies);
        let mut files: Vec<(&Path, CodeFile)> = Vec::new();
        for of_file in spots::by_file(spots) {
            let Some(Spot { place, .. }) = of_file.first() else { continue };
            files.push((&place.path, spots::file(place)?));
        }
        let path = |place: &Place| {
            let opened = files.iter().find(|(path, _)| **path == place.path);
            opened.map_or_else(|| place.path.clone(), |(_, file)| file.path())
        };
        self.each(
            spots,
            |spot| &spot.place.function,
            |program, spot, _| {
                let cookie = if cookies { spot.cookie } else { 0 };
                let options = UprobeOpts { cookie, retprobe, ..Default::default() };
                program.attach_uprobe_with_opts(EVERY_PROCESS, path(spot.place), spot.offset as usize, options)
            },
        )
    }

    /// Attaches to where calls of functions end, and then, by the program `begins`, to where they begin. A function of which the kernel
    /// refuses an exit is left out.
    fn ends(&mut self, functions: &[Function], begins: Option<&'static str>, way: Way) -> Result<()> {
        let (ends, misfits) = spots::of_functions(functions, self.cookies);
        let exits: Vec<Spot<'_>> = ends.iter().flat_map(|ends| ends.exits.iter().copied()).collect();
        self.user_functions(&exits, way)?;
        let begun = |ends: &&Ends<'_>| !self.links.refused.contains(&ends.entry.place.function);
        let entries: Vec<Spot<'_>> = ends.iter().filter(begun).map(|ends| ends.entry).collect();
        self.links.refused.extend(misfits.into_iter().map(|place| place.function.clone()));
        let Some(program) = begins else { return Ok(()) };
        let mut attacher = Attacher { program, is_entry: true, links: self.links, ..*self };
        attacher.user_functions(&entries, way)
    }

    fn points(&mut self, points: &[(String, String)]) -> Result<()> {
        self.each(
            points,
            |(_, name)| name,
            |program, (category, name), cookie| {
                let category = TracepointCategory::Custom(category.clone());
                program.attach_tracepoint_with_opts(category, name, TracepointOpts { cookie, ..Default::default() })
            },
        )?;
        let names: Vec<String> = points.iter().map(|(category, name)| format!("{category}/{name}")).collect();
        self.links.hooks.push(format!("tracepoint/{}", first_of(&names)));
        Ok(())
    }

    fn raw_points(&mut self, points: &[String]) -> Result<()> {
        self.each(points, String::as_str, |program, name, cookie| {
            let options = RawTracepointOpts { cookie, ..Default::default() };
            program.attach_raw_tracepoint_with_opts(name, options)
        })?;
        self.links.hooks.push(format!("raw_tracepoint/{}", first_of(points)));
        Ok(())
    }

    fn static_probes(
        &mut self,
        (path, file): (&Path, &CodeFile),
        names: &[String],
        sites: &[Site],
        way: Way,
    ) -> Result<()> {
        if way == Way::AtOnce {
            let has_semaphore = sites.iter().any(|site| site.semaphore != 0);
            let options = UprobeMultiOpts {
                offsets: sites.iter().map(|site| site.offset as usize).collect(),
                ref_ctr_offsets: sites.iter().filter(|_| has_semaphore).map(|site| site.semaphore as usize).collect(),
                cookies: self.numbers(sites.len()),
                ..Default::default()
            };
            return self.one(&path.display().to_string(), |program| {
                program.attach_uprobe_multi_with_opts(EVERY_PROCESS, file.path(), "", options)
            });
        }
        let named: Vec<(&str, &Site)> =
            sites.iter().map(|site| (names.get(site.probe).map_or("", String::as_str), site)).collect();
        self.each(
            &named,
            |(name, _)| name,
            |program, (_, site), cookie| {
                let options = UprobeOpts { cookie, ref_ctr_offset: site.semaphore as usize, ..Default::default() };
                program.attach_uprobe_with_opts(EVERY_PROCESS, file.path(), site.offset as usize, options)
            },
        )
    }
}

/// Lets this process open so many files more than it may have by default, which is 1,024 where nobody asks for more.
fn allow_files(more: u64) -> Result<()> {
    static SO_FAR: AtomicU64 = AtomicU64::new(OTHER_FILES);
    // Events are attached side by side.
    let wanted = SO_FAR.fetch_add(more, Ordering::Relaxed) + more;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum.map(|most| most.max(wanted)) };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{wanted} files have to be open at once, and the limit can't be raised to that"))
}

/// `tcp_sendmsg`, or `tcp_ack and 230 more`.
fn first_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
