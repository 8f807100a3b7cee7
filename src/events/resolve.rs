//! From what `-e` says to what is attached: every name looked up on this machine.

mod arguments;
mod instructions;
mod refusals;
mod returns;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use self::arguments::MAX_ARGUMENTS;
use self::arguments::argument_values;
use self::arguments::arguments;
use self::arguments::common;
use self::arguments::returned;
use self::arguments::site_arguments;
use self::arguments::trampoline;
use self::instructions::Instructions;
use self::instructions::Spot;
use self::refusals::at;
use self::refusals::few;
use super::SpecError;
use super::binary::Binary;
use super::binary::StaticProbe;
use super::capture;
use super::code::Arguments;
use super::code::Field;
use super::code::Names;
use super::files;
use super::files::Reached;
use super::kernel::Function;
use super::kernel::Functions;
use super::kernel::Refusal;
use super::nops;
use super::parse::quotes;
use super::points;
use super::spec::At;
use super::spec::Name;
use super::spec::Sort;
use super::spec::Spec;
use super::spec::Target;
use super::spec::Written;
use super::types::DIRECTORY;
use super::types::Parameter;
use super::types::Signature;
use super::types::Types;
use crate::failure::Failure;
use crate::glob;
use crate::host::Host;
use crate::host::root::Root;
use crate::host::tracefs::Tracefs;
use crate::probe::Scope;
use crate::probe::event::CustomEvent;
use crate::probe::event::Space;
use crate::probe::hook::Hook;
use crate::probe::site::LeftOut;

/// Arguments of the entry that a latency event keeps.
const KEPT_ARGUMENTS: usize = 6;

/// An event with what it could say of each hit.
pub struct Offer {
    /// The event.
    pub event: CustomEvent,
    /// (name, type) of the arguments, fields and what is returned.
    pub values: Vec<(String, String)>,
}

/// Looks the events up; files are those that the processes of the scope see, if it names any.
///
/// # Errors
/// What this machine does not have, at which character.
pub fn resolve(written: &[Written], host: &Host, scope: &Scope) -> Result<Vec<CustomEvent>, Failure> {
    let offers = looked_up(written, host, &scope.pids, false)?.into_iter();
    let events: Vec<CustomEvent> = offers.map(|offer| offer.event).collect();
    let by_kprobe = |event: &&CustomEvent| matches!(event.hook, Hook::Kprobe { .. } | Hook::KernelLatency { .. });
    if let Some(event) = events.iter().find(by_kprobe)
        && !host.kernel.kprobes
    {
        let problem = format!("this kernel has no kprobes, which '{}' needs", event.text);
        let hint = "it was built without CONFIG_KPROBE_EVENTS; 'tracepoint:' and 'rawtp:' need none";
        return Err(Failure::run(problem).hint(hint));
    }
    Ok(events)
}

/// The same, with the values that each event has.
///
/// # Errors
/// As for `resolve`.
pub fn offers(written: &[Written], host: &Host, pids: &[u32]) -> Result<Vec<Offer>, Failure> {
    looked_up(written, host, pids, true)
}

fn looked_up(written: &[Written], host: &Host, pids: &[u32], with_values: bool) -> Result<Vec<Offer>, Failure> {
    let version = host.kernel.version;
    let mut machine = Machine {
        tracefs: &host.tracefs,
        registers: if host.arch == "aarch64" { 8 } else { 6 },
        pids,
        with_values,
        nops_are_replaced: nops::are_replaced(host.arch.as_str(), (version.major, version.minor)),
        functions: None,
        types: HashMap::new(),
    };
    let mut offers: Vec<Offer> = Vec::new();
    for Written { text, spec } in written {
        if offers.iter().any(|earlier| &earlier.event.text == text) {
            return Err(Failure::usage(format!("the event '{text}' is given twice")));
        }
        let offer = machine.offer(text, spec).map_err(|error| error.failure(text))?;
        if offers.iter().any(|earlier| earlier.event.label == offer.event.label) {
            return Err(Failure::usage(format!("two events are named '{}'", offer.event.label)));
        }
        offers.push(offer);
    }
    Ok(offers)
}

/// What has been read of this machine so far.
struct Machine<'a> {
    tracefs: &'a Tracefs,
    /// Arguments that are passed in registers.
    registers: usize,
    pids: &'a [u32],
    /// Whether it matters what an event could capture, and not only what it does.
    with_values: bool,
    /// Whether the kernel puts a call in place of a probed nop of five bytes.
    nops_are_replaced: bool,
    functions: Option<Functions>,
    /// The types of the kernel, under `None`, and with those of a module.
    types: HashMap<Option<String>, Option<Rc<Types>>>,
}

/// A hook with what is known where it is.
struct Hooked {
    hook: Hook,
    types: Option<Rc<Types>>,
    space: Space,
    arguments: Arguments,
    fields: Vec<Field>,
    returned: Result<Option<Parameter>, String>,
    duration: bool,
    left_out: Vec<LeftOut>,
}

impl Machine<'_> {
    fn offer(&mut self, text: &str, spec: &Spec) -> Result<Offer, SpecError> {
        let hooked = match &spec.target {
            Target::Kernel(name) if spec.sort == Sort::Rawtp => self.raw_points(name)?,
            Target::Kernel(name) => self.kernel(spec.sort, name, spec)?,
            Target::Point { category, name } => self.points(category, name)?,
            Target::File { file, function } => self.file(spec.sort, file, function, spec)?,
            Target::Static { file, provider, name } => self.static_probes(file, provider, name)?,
        };
        let pair = |parameter: &Parameter| (parameter.name.clone(), parameter.type_name.clone());
        let mut values: Vec<(String, String)> =
            hooked.fields.iter().map(|field| (field.name.clone(), field.type_name.clone())).collect();
        values.extend(argument_values(&hooked.arguments));
        match &hooked.returned {
            Ok(Some(returns)) => values.push(pair(returns)),
            Ok(None) => values.push(("retval".to_owned(), String::new())),
            Err(_) => {}
        }
        if hooked.duration {
            values.push(("duration".to_owned(), "nanoseconds".to_owned()));
        }
        let names = Names {
            types: hooked.types.as_deref(),
            space: hooked.space,
            arguments: hooked.arguments,
            fields: hooked.fields,
            returned: hooked.returned.map(|returns| returns.map(|returns| returns.shape)),
            duration: hooked.duration,
        };
        let mut event = capture::event(text, spec, hooked.hook, &names).map_err(|error| {
            // Parameters of a function of C++ read as values.
            let is_scoped = matches!(&spec.target, Target::File { function, .. } if function.text.contains("::"));
            match quotes(text, &spec.target).filter(|_| is_scoped) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        event.left_out = hooked.left_out;
        Ok(Offer { event, values })
    }

    /// The types of the kernel and one of its modules, if it tells them.
    fn types(&mut self, module: Option<&str>) -> Option<Rc<Types>> {
        let read = || {
            // A module without types of its own may use the kernel's.
            let module = module.filter(|module| Path::new(DIRECTORY).join(module).exists());
            Types::read(module).ok().map(Rc::new)
        };
        self.types.entry(module.map(str::to_owned)).or_insert_with(read).clone()
    }

    fn functions(&mut self, name: &Name) -> Result<Vec<Function>, SpecError> {
        let tracefs = self.tracefs;
        let functions = self.functions.get_or_insert_with(|| Functions::read(&Root::system(), tracefs));
        let found = functions.find(&name.text).map_err(|refusal| at(name, refusal))?;
        few(name, found.len(), "functions")?;
        Ok(found)
    }

    fn kernel(&mut self, sort: Sort, name: &Name, spec: &Spec) -> Result<Hooked, SpecError> {
        let found = self.functions(name)?;
        let by_trampoline = matches!(sort, Sort::Fentry | Sort::Fexit);
        let at_return = matches!(sort, Sort::Kretprobe | Sort::Fexit);
        // The types of several modules at once are not to be had: those of the first one's count.
        let module = found.first().and_then(|function| function.module.clone());
        // To read types takes longer than all else, and for each module again.
        let wanted = by_trampoline || self.with_values || spec.names_values();
        let types = if wanted { self.types(module.as_deref()) } else { None };
        let mut typed = Vec::new();
        let mut signatures = Vec::new();
        for function in &found {
            let own = match by_trampoline && function.module != module {
                true => self.types(function.module.as_deref()),
                false => types.clone().filter(|_| function.module == module),
            };
            let signature = own.and_then(|types| types.function(&function.name));
            if by_trampoline {
                match trampoline(function, signature.as_ref()) {
                    Ok(function) => typed.push(function),
                    // Of a glob what can be had.
                    Err(_) if found.len() > 1 => continue,
                    Err(refusal) => return Err(at(name, refusal)),
                }
            }
            signatures.push(if function.module == module { signature } else { None });
        }
        if by_trampoline && typed.is_empty() {
            let why = format!(
                "none of the {} functions that match '{}' can be traced through trampolines",
                found.len(),
                name.text
            );
            return Err(at(name, Refusal::new(why).hint(format!("'kprobe:{}' takes them", name.text))));
        }
        let (known, whole) = common(&signatures);
        let limit = match sort {
            Sort::Fentry | Sort::Fexit => MAX_ARGUMENTS,
            Sort::Latency => KEPT_ARGUMENTS,
            _ => self.registers,
        };
        let returned = returned(sort, &name.text, &signatures);
        let functions = found.iter().map(|function| function.name.clone()).collect();
        let hook = match sort {
            Sort::Fentry | Sort::Fexit => Hook::Fentry { functions: typed, at_return },
            Sort::Latency => Hook::KernelLatency { functions },
            _ => Hook::Kprobe { functions, at_return },
        };
        let arguments = if sort == Sort::Kretprobe {
            Arguments::none("they are gone when a function returns; 'fexit' and 'latency' keep them")
        } else {
            arguments(known, whole, limit, &name.text)
        };
        let duration = sort == Sort::Latency;
        Ok(Hooked {
            hook,
            types,
            space: Space::ByAddress,
            arguments,
            fields: Vec::new(),
            returned,
            duration,
            left_out: Vec::new(),
        })
    }

    fn raw_points(&mut self, name: &Name) -> Result<Hooked, SpecError> {
        let Some(types) = self.types(None) else {
            return Err(at(
                name,
                Refusal::new("this kernel has no type information, so its raw tracepoints are unknown"),
            ));
        };
        let all = types.raw_points();
        let points: Vec<String> = all.iter().filter(|point| glob::matches(&name.text, point)).cloned().collect();
        if points.is_empty() {
            return Err(at(name, points::absent("raw tracepoint", &name.text, &all)));
        }
        let of = |point: &String| types.raw_point(point);
        let signature = |parameters| Signature { parameters, returns: None, variadic: false };
        let signatures: Vec<Option<Signature>> = points.iter().map(|point| of(point).map(signature)).collect();
        let (known, whole) = common(&signatures);
        Ok(Hooked {
            hook: Hook::RawTracepoint { points },
            types: Some(types),
            space: Space::ByAddress,
            arguments: arguments(known, whole, MAX_ARGUMENTS, &name.text),
            fields: Vec::new(),
            returned: Err("a tracepoint returns nothing".to_owned()),
            duration: false,
            left_out: Vec::new(),
        })
    }

    fn points(&mut self, category: &Name, name: &Name) -> Result<Hooked, SpecError> {
        let directory = points::directory(self.tracefs).map_err(|refusal| at(category, refusal))?;
        let points = points::find(&directory, &category.text, &name.text)
            .map_err(|(is_category, refusal)| at(if is_category { category } else { name }, refusal))?;
        few(name, points.len(), "tracepoints")?;
        let types = self.types(None);
        let mut fields: Option<Vec<Field>> = None;
        for (category, point) in &points {
            let own =
                points::fields(&directory, category, point, types.as_deref()).map_err(|refusal| at(name, refusal))?;
            fields = Some(match fields {
                None => own,
                Some(known) => known.into_iter().filter(|field| own.contains(field)).collect(),
            });
        }
        let fields = fields.unwrap_or_default();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let limit = match names.as_slice() {
            [] => "a tracepoint has fields, and these have none in common".to_owned(),
            names => format!("a tracepoint has fields, these are {}", names.join(", ")),
        };
        // What system calls are passed is the caller's.
        let is_call = points.iter().all(|(category, _)| category == "syscalls" || category == "raw_syscalls");
        Ok(Hooked {
            hook: Hook::Tracepoint { points },
            types,
            space: if is_call { Space::User } else { Space::ByAddress },
            arguments: Arguments::none(limit),
            fields,
            returned: Err("a tracepoint returns nothing".to_owned()),
            duration: false,
            left_out: Vec::new(),
        })
    }

    fn reached(&self, file: &Name) -> Result<Vec<(Reached, Binary)>, SpecError> {
        let found = files::find(&file.text, self.pids).map_err(|refusal| at(file, refusal))?;
        let open = |reached: Reached| {
            let binary = Binary::open(&reached.path, &reached.root).map_err(|refusal| at(file, refusal))?;
            Ok((reached, binary))
        };
        found.into_iter().map(open).collect()
    }

    fn file(&mut self, sort: Sort, file: &Name, function: &Name, spec: &Spec) -> Result<Hooked, SpecError> {
        let binaries = self.reached(file)?;
        let is_go = binaries.iter().any(|(_, binary)| binary.is_go());
        if let (true, Some(At(word))) = (is_go, spec.trampoline()) {
            let why =
                format!("'{}' is a Go program, and a return trampoline would crash it: Go moves its stacks", file.text);
            return Err(SpecError::new(word, why).hint("without 'trampoline', ebrec probes the functions' own exits"));
        }
        let mut found = Vec::new();
        let mut left_out = Vec::new();
        let mut refused = None;
        for (reached, binary) in &binaries {
            let instructions = Instructions::new(binary, self.nops_are_replaced);
            match binary.functions(&function.text) {
                Ok(mut functions) => {
                    if sort == Sort::Uprobe {
                        functions =
                            instructions.probed(functions, &mut left_out).map_err(|refusal| at(function, refusal))?;
                    }
                    found.push((reached, binary, functions));
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        if let (true, Some(refusal)) = (found.is_empty(), refused) {
            return Err(at(function, refusal));
        }
        let count = found.iter().map(|(_, _, functions)| functions.len()).sum();
        if count == 0 {
            return Err(at(function, nothing_left(&left_out)));
        }
        few(function, count, "functions")?;
        let limit = if sort == Sort::Latency { KEPT_ARGUMENTS } else { self.registers };
        let arguments = match sort {
            Sort::Uretprobe => Arguments::none("they are gone when a function returns; 'latency' keeps them"),
            _ if is_go => Arguments::none("Go has its own calling convention"),
            _ => arguments(Vec::new(), false, limit, &function.text),
        };
        let returned = match sort {
            Sort::Uprobe => Err("nothing is returned yet at the entry: 'uretprobe', or 'latency'".to_owned()),
            _ => Ok(None),
        };
        let duration = sort == Sort::Latency;
        let mut returns = || match spec.trampoline() {
            Some(_) => returns::by_trampoline(function, &found),
            None => returns::at_exits(function, &found, &mut left_out),
        };
        let hook = match sort {
            Sort::Uretprobe => Hook::Uretprobe { returns: returns()? },
            Sort::Latency => Hook::UserLatency { returns: returns()? },
            _ => Hook::Uprobe { places: returns::places(&found) },
        };
        // Only casts need the kernel's types here.
        let types = if spec.names_values() { self.types(None) } else { None };
        Ok(Hooked { hook, types, space: Space::User, arguments, fields: Vec::new(), returned, duration, left_out })
    }

    fn static_probes(&mut self, file: &Name, provider: &Name, name: &Name) -> Result<Hooked, SpecError> {
        let binaries = self.reached(file)?;
        let [(reached, binary)] = binaries.as_slice() else {
            let why = format!("'{}' is not the same file to all of these processes", file.text);
            return Err(at(file, Refusal::new(why).hint("name one of them by --pid")));
        };
        let by_provider = |one: &str, _: &str| glob::matches(&provider.text, one);
        let of = binary.static_probes(by_provider).map_err(|refusal| at(file, refusal))?;
        let unique = |mut names: Vec<String>| {
            names.sort();
            names.dedup();
            names
        };
        let providers = unique(of.iter().map(|probe| probe.provider.clone()).collect());
        let [only] = providers.as_slice() else {
            if !providers.is_empty() {
                let why = format!("'{}' matches several providers: {}", provider.text, providers.join(", "));
                return Err(at(provider, Refusal::new(why)));
            }
            let all = binary.static_probes(|_, _| true).map_err(|refusal| at(file, refusal))?;
            if all.is_empty() {
                return Err(at(file, Refusal::new(format!("'{}' has no static probes", reached.path.display()))));
            }
            let known = unique(all.into_iter().map(|probe| probe.provider).collect());
            return Err(at(provider, points::absent("provider of static probes", &provider.text, &known)));
        };
        let is_wanted = |probe: &&StaticProbe| glob::matches(&name.text, &probe.name);
        let probes: Vec<&StaticProbe> = of.iter().filter(is_wanted).collect();
        let names: Vec<String> = probes.iter().map(|probe| probe.name.clone()).collect();
        if names.is_empty() {
            let known = unique(of.iter().map(|probe| probe.name.clone()).collect());
            return Err(at(name, points::absent(&format!("static probe of '{only}'"), &name.text, &known)));
        }
        let instructions = Instructions::new(binary, self.nops_are_replaced);
        let (mut sites, mut left_out) = (Vec::new(), Vec::new());
        for (number, probe) in probes.iter().enumerate() {
            for site in &probe.sites {
                match instructions.spot(site.address) {
                    Spot::Here => sites.push(site.site(number, 0)),
                    Spot::Behind(bytes) => sites.push(site.site(number, bytes)),
                    Spot::Nowhere => left_out.push(instructions::left_out(&probe.name, site.address)),
                }
            }
        }
        few(name, sites.len(), "places of static probes")?;
        if sites.is_empty() {
            return Err(at(name, nothing_left(&left_out)));
        }
        Ok(Hooked {
            arguments: site_arguments(&sites, &name.text),
            hook: Hook::Usdt {
                path: reached.path.clone(),
                file: binary.identity(),
                provider: only.clone(),
                names,
                sites,
            },
            types: self.types(None),
            space: Space::User,
            fields: Vec::new(),
            returned: Err("a static probe returns nothing".to_owned()),
            duration: false,
            left_out,
        })
    }
}

/// When all places have to be left out.
fn nothing_left(left_out: &[LeftOut]) -> Refusal {
    match left_out {
        [] => Refusal::new("nothing matches"),
        [first, ..] => Refusal::new(format!("can't probe '{}': {}", first.name, first.reason)),
    }
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
