//! What `ebrec probes` and `ebrec doctor` show.

use std::path::Path;

use anyhow::Result;

use crate::events;
use crate::events::spec::Written;
use crate::exits::Pairing;
use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::host::Host;
use crate::host::doctor::OutputDirectory;
use crate::host::doctor::Verdict;
use crate::host::doctor::checks;
use crate::host::doctor::worst;
use crate::host::foundation;
use crate::host::foundation::Lack;
use crate::probe::MetricKind;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::hook::Function;
use crate::probe::hook::Hook;
use crate::probe::hook::Place;
use crate::probe::hook::Returns;
use crate::probe::site::Site;
use crate::probe::watch::Watch;
use crate::probes::REGISTRY;
use crate::record::Doctor;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::text;
use crate::units;

/// The list of probes, or everything about one.
pub(super) fn probes(name: Option<&str>) -> Result<Document> {
    let host = Host::this();
    let infos: Vec<&'static ProbeInfo> = REGISTRY.iter().map(|probe| probe.info()).collect();
    let Some(name) = name else { return Ok(list(&infos, &host)) };
    let Some(info) = infos.iter().find(|info| info.name == name) else {
        let all: Vec<&str> = infos.iter().map(|info| info.name).collect();
        let near = text::nearest(name, all.iter().copied());
        return Err(Failure::usage(format!("there is no probe '{name}'")).hint(did_you_mean(&near, &all)).into());
    };
    Ok(one(info, &host))
}

/// What events of the user's own would be put on, and the values that they have.
pub(super) fn events(written: &[Written], pids: &[u32]) -> Result<Document> {
    let offers = events::offers(written, &Host::this(), pids)?;
    let mut document = Document::new("events", "Events");
    let hooks = offers.iter().flat_map(|offer| {
        let label = text_value(&offer.event.label);
        places(&offer.event.hook).into_iter().map(move |(name, of, offset, returns)| {
            let returns = returns.map_or(Value::Null, |returns| text_value(&returns));
            vec![label.clone(), text_value(&name), text_value(&of), offset, returns]
        })
    });
    let left_out = offers.iter().flat_map(|offer| {
        let label = text_value(&offer.event.label);
        offer.event.left_out.iter().map(move |one| {
            let reason = text_value(&format!("left out: {}", one.reason));
            vec![label.clone(), text_value(&one.name), Value::Null, Value::Null, reason]
        })
    });
    let columns = ["event", "name", "in", "offset", "returns"];
    document.push(table("hooks", "Attached at", &columns, hooks.chain(left_out).collect()));
    let values = offers.iter().flat_map(|offer| {
        let label = text_value(&offer.event.label);
        offer.values.iter().map(move |(name, kind)| vec![label.clone(), text_value(name), text_value(kind)])
    });
    document.push(table("values", "Values at each hit", &["event", "value", "type"], values.collect()));
    document.note("'ebrec record -e EVENT' records it; 'man ebrec-record' has the language");
    Ok(document)
}

/// (name, what it is in, where in that, how its returns are seen) of everything that an event is put on or leaves out.
fn places(hook: &Hook) -> Vec<(String, String, Value, Option<String>)> {
    let kernel = |name: &String| (name.clone(), "the kernel".to_owned(), Value::Null, None);
    let placed = |place: &Place, returns: Option<String>| {
        let offset = text_value(&format!("{:#x}", place.offset));
        (place.function.clone(), place.path.display().to_string(), offset, returns)
    };
    match hook {
        Hook::Kprobe { functions, .. } | Hook::KernelLatency { functions } => functions.iter().map(kernel).collect(),
        Hook::Fentry { functions, .. } => {
            let module = |module: &Option<String>| module.clone().unwrap_or_else(|| "the kernel".to_owned());
            functions.iter().map(|one| (one.name.clone(), module(&one.module), Value::Null, None)).collect()
        }
        Hook::Tracepoint { points } => {
            points.iter().map(|(category, name)| (name.clone(), category.clone(), Value::Null, None)).collect()
        }
        Hook::RawTracepoint { points } => points.iter().map(kernel).collect(),
        Hook::Uprobe { places } => places.iter().map(|place| placed(place, None)).collect(),
        Hook::Uretprobe { returns: Returns::ByTrampoline { places } }
        | Hook::UserLatency { returns: Returns::ByTrampoline { places } } => {
            places.iter().map(|place| placed(place, Some("by the return trampoline".to_owned()))).collect()
        }
        Hook::Uretprobe { returns: Returns::AtExits { functions } }
        | Hook::UserLatency { returns: Returns::AtExits { functions } } => {
            functions.iter().map(|function| placed(&function.place, Some(at_exits(function)))).collect()
        }
        Hook::Usdt { path, provider, names, sites, .. } => {
            let of = format!("{} ({provider})", path.display());
            let site = |site: &Site| {
                let name = names.get(site.probe).cloned().unwrap_or_default();
                (name, of.clone(), text_value(&format!("{:#x}", site.offset)), None)
            };
            sites.iter().map(site).collect()
        }
    }
}

/// Where a function's returns are seen, as `at 2 exits, entered at 0x1156`.
fn at_exits(function: &Function) -> String {
    let boundaries = &function.boundaries;
    let shared = boundaries.exits.iter().filter(|exit| exit.is_shared).count();
    let exits = |count| format!("{count} {}", if count == 1 { "exit" } else { "exits" });
    let mut text = match (boundaries.exits.len() - shared, shared) {
        (own, 0) => format!("at {}", exits(own)),
        (0, shared) => format!("at {} of its tail calls", exits(shared)),
        (own, shared) => format!("at {}, and {} of its tail calls", exits(own), exits(shared)),
    };
    if boundaries.entry.offset != function.place.offset {
        text += &format!("; entry at {:#x}", boundaries.entry.offset);
    }
    if boundaries.pairing == Pairing::Goroutine {
        text += "; by goroutine";
    }
    text
}

fn list(infos: &[&ProbeInfo], host: &Host) -> Document {
    let row = |info: &&ProbeInfo| {
        vec![
            text_value(info.name),
            Value::Bool(info.default_on),
            text_value(info.default_mode.name()),
            threshold(info),
            text_value(obstacle(info, host).as_deref().unwrap_or("yes")),
            text_value(info.summary),
        ]
    };
    let mut table = Table::new(
        "probes",
        "",
        vec![
            Field::new("probe", "probe").help("name on the command line"),
            Field::new("default", "default").help("runs when no probe is named"),
            Field::new("mode", "mode").help("default mode"),
            Field::new("slow_ns", "slow").help("threshold of the mode slow"),
            Field::new("runs_here", "runs here").help("yes, or why not").prose(),
            Field::new("summary", "measures").help("what it measures").prose(),
        ],
    );
    table.rows = infos.iter().map(row).collect();
    let mut document = Document::new("probes", "Probes");
    document.push(table);
    document.note("'ebrec probes NAME' says everything about one; 'ebrec record -p NAME' runs it");
    document
}

fn one(info: &ProbeInfo, host: &Host) -> Document {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let modes: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
    let mut pairs = vec![
        pair("runs here", obstacle(info, host).unwrap_or_else(|| "yes".to_owned())),
        pair("in the default set", if info.default_on { "yes" } else { "no" }.to_owned()),
        pair("modes", format!("{} (default: {})", modes.join(", "), info.default_mode.name())),
    ];
    if let Some(slow) = info.slow {
        pairs.push(pair("threshold of slow", units::duration(i64::try_from(slow.as_nanos()).unwrap_or(i64::MAX))));
    }
    if let Some(hertz) = info.hertz {
        let meaning = format!("samples a second on each CPU, 1 to {} (default: {})", hertz.most, hertz.default);
        pairs.push(pair("setting", format!("{}:hz={}: {meaning}", info.name, hertz.default)));
    }
    for switch in info.switches {
        let example = format!("{}:{}=on", info.name, switch.name);
        pairs.push(pair("setting", format!("{example}: {}", switch.help)));
    }
    pairs.push(pair("hooks", info.hooks.join(", ")));
    pairs.push(pair("oldest kernel", format!("{}.{}", info.oldest_kernel.0, info.oldest_kernel.1)));
    pairs.push(pair("cost", info.cost.to_owned()));
    let mut document = Document::new("probe", format!("{}: {}", info.name, info.summary));
    document.push(Block::Pairs(pairs));
    document.push(metrics(info));
    document.push(kinds(info));
    document.push(columns(info));
    if !info.watches.is_empty() {
        document.push(watches(info));
    }
    document
}

/// What `record --until` can be about.
fn watches(info: &ProbeInfo) -> Table {
    let row = |watch: &Watch| {
        let unit = watch.value.map(|value| value.unit.name());
        vec![
            text_value(watch.name),
            unit.map_or(Value::Null, text_value),
            text_value(watch.kind),
            text_value(watch.help),
        ]
    };
    table(
        "triggers",
        "Triggers of 'record --until'",
        &["name", "unit", "kind", "meaning"],
        info.watches.iter().map(row).collect(),
    )
}

fn metrics(info: &ProbeInfo) -> Table {
    let row = |metric: &crate::probe::Metric| {
        let kind = match metric.kind {
            MetricKind::Histogram => "histogram",
            MetricKind::Counter => "counter",
        };
        vec![
            text_value(metric.name),
            text_value(kind),
            text_value(metric.unit.name()),
            text_value(&metric.by.join(", ")),
            text_value(metric.help),
        ]
    };
    table("metrics", "Metrics", &["metric", "kind", "unit", "by", "help"], info.metrics.iter().map(row).collect())
}

fn kinds(info: &ProbeInfo) -> Table {
    let row = |kind: &crate::probe::EventKind| vec![text_value(kind.name), text_value(kind.help)];
    table("kinds", "Kinds of rows", &["kind", "help"], info.kinds.iter().map(row).collect())
}

fn columns(info: &ProbeInfo) -> Table {
    let row = |column: &crate::recording::Column| {
        vec![text_value(column.name), text_value(column.unit.unwrap_or("")), text_value(column.help)]
    };
    table("columns", "Columns of its own", &["column", "unit", "help"], info.columns.iter().map(row).collect())
}

fn table(name: &str, title: &str, fields: &[&'static str], rows: Vec<Vec<Value>>) -> Table {
    let field = |field: &&'static str| {
        let made = Field::new(*field, *field);
        if ["by", "found", "help", "remedy", "returns"].contains(field) { made.prose() } else { made }
    };
    let fields = fields.iter().map(field).collect();
    Table { rows, ..Table::new(name, title, fields) }
}

fn text_value(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn threshold(info: &ProbeInfo) -> Value {
    info.slow.map_or(Value::Null, |slow| Value::Nanos(i64::try_from(slow.as_nanos()).unwrap_or(i64::MAX)))
}

/// Why a probe can't run here, as far as that can be told without trying.
fn obstacle(info: &ProbeInfo, host: &Host) -> Option<String> {
    let (major, minor) = info.oldest_kernel;
    if let Some(Lack { problem, .. }) = foundation::lack(host) {
        return Some(format!("no: {problem}"));
    }
    if !host.kernel.at_least(major, minor) {
        return Some(format!("no: it needs Linux {major}.{minor}, this is {}", host.kernel.release));
    }
    host.privilege.lack().map(|lack| format!("not as this user: {lack}"))
}

/// The checks of this machine.
pub(super) fn doctor() -> Doctor {
    let host = Host::this();
    let program = std::env::current_exe().unwrap_or_else(|_| "ebrec".into());
    let checks = checks(&host, &program, &OutputDirectory::read(Path::new(".")));
    let can_record = worst(&checks) < Verdict::Fail;
    let row = |check: &crate::host::doctor::Check| {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warning",
            Verdict::Fail => "FAILS",
        };
        let remedy = check.remedy.as_deref().map_or(Value::Null, text_value);
        vec![text_value(check.name), text_value(verdict), text_value(&check.found), remedy]
    };
    let table = table("checks", "Checks", &["check", "verdict", "found", "remedy"], checks.iter().map(row).collect());
    let verdict = if can_record { "recording works here" } else { "recording does not work here yet" };
    let mut document = Document::new("doctor", "Doctor");
    document.note(verdict);
    document.push(table);
    Doctor { document, can_record }
}
