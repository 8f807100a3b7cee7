//! Recordings of arbitrary rows: every kind, column and number that the format has room for, and some that no view knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Result;
use arbitrary::Unstructured;

use crate::probes::REGISTRY;
use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::Existing;
use crate::recording::HostMeta;
use crate::recording::Identity;
use crate::recording::KindMeta;
use crate::recording::Meta;
use crate::recording::MetricMeta;
use crate::recording::ProbeOutcome;
use crate::recording::ProbeState;
use crate::recording::Row;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::Window;
use crate::recording::Writer;
use crate::recording::column;
use crate::report::plan::Format;

const SECOND: i64 = 1_000_000_000;
/// Rows of one recording: enough for what several say together.
const MOST_ROWS: usize = 200;
/// Kinds that no probe declares, and two that nobody does.
const KINDS: [&str; 15] = [
    "hist",
    "metric",
    "stack_total",
    "stack",
    "symbol",
    "ledger",
    "cpu_ledger",
    "process",
    "cgroup",
    "cpu_info",
    "lost",
    "cost",
    "clock",
    "zebra",
    "recording2",
];
/// What views look for in texts.
const TEXTS: [&str; 48] = [
    "",
    "on_cpu",
    "runnable",
    "uninterruptible",
    "interruptible",
    "stopped",
    "busy",
    "idle",
    "futex",
    "fsync",
    "poll",
    "read",
    "write",
    "wait",
    "work",
    "server",
    "client",
    "yes",
    "no",
    "ENOENT",
    "SIGKILL",
    "ring full",
    "ebrec",
    "cpu",
    "rss",
    "maps",
    "established",
    "refused",
    "voluntary",
    "involuntary",
    "sequential",
    "random",
    "user",
    "kernel",
    "main",
    "libc.so.6",
    "a;b;c",
    "vda",
    "GET",
    "127.0.0.1",
    "::1",
    "deadbeef",
    "/usr/bin/x",
    "\u{1b}[2J\u{202e}",
    "a\nb\tc,\"d\"",
    "<svg>&amp;|`",
    "\u{fffd}\u{0}",
    "other",
];

/// Writes a recording as the bytes say and gives the format to look at it in.
///
/// # Errors
/// The bytes are too few.
pub(super) fn write(input: &[u8], path: &Path) -> Result<Format> {
    let mut from = Unstructured::new(input);
    let format = *from.choose(&Format::ALL)?;
    let words = Words::new();
    let schema = Arc::new(Schema::new(REGISTRY.iter().flat_map(|probe| probe.info().columns)));
    let meta = meta(&mut from, &words)?;
    let identity = Identity { host: meta.host.hostname.clone(), run_id: "fuzz".to_owned() };
    let offset = meta.window.start_real_ns.wrapping_sub(meta.window.start_mono_ns);
    let created = Writer::create(path, Arc::clone(&schema), identity, Existing::Replace);
    let mut writer = created.unwrap_or_else(|error| panic!("no writer: {error}"));
    writer.set_meta(&meta);
    let mut rows = Rows::new(Arc::clone(&schema), offset);
    for _ in 0..MOST_ROWS {
        if from.is_empty() {
            break;
        }
        let kind = *from.choose(&words.kinds)?;
        let at = if from.ratio(7, 8)? {
            meta.window.start_mono_ns.wrapping_add(from.int_in_range(0..=4 * SECOND)?)
        } else {
            number(&mut from)?
        };
        let mut row = rows.row(kind);
        row.at(at.cast_unsigned());
        for _ in 0..from.int_in_range(0..=16)? {
            let place = from.choose_index(schema.columns().len())?;
            if let Some(column) = schema.columns().get(place) {
                fill(&mut row, &schema, column, &mut from, &words)?;
            }
        }
        if from.ratio(1, 64)? {
            put(&mut writer, &mut rows);
            writer.checkpoint().unwrap_or_else(|error| panic!("no checkpoint: {error}"));
        }
    }
    put(&mut writer, &mut rows);
    writer.finish(Duration::from_secs(1)).unwrap_or_else(|error| panic!("not finished: {error}"));
    Ok(format)
}

fn put(writer: &mut Writer, rows: &mut Rows) {
    for batch in rows.take(0, true) {
        writer.write(batch).unwrap_or_else(|error| panic!("not written: {error}"));
    }
}

/// Names that mean something to a view.
struct Words {
    kinds: Vec<&'static str>,
    texts: Vec<&'static str>,
}

impl Words {
    fn new() -> Words {
        let infos = || REGISTRY.iter().map(|probe| probe.info());
        let own = infos().flat_map(|info| info.kinds.iter().map(|kind| kind.name));
        let metrics = infos().flat_map(|info| info.metrics.iter().map(|metric| metric.name));
        Words { kinds: KINDS.into_iter().chain(own).collect(), texts: TEXTS.into_iter().chain(metrics).collect() }
    }
}

fn fill(row: &mut Row<'_>, schema: &Schema, column: &Column, from: &mut Unstructured<'_>, words: &Words) -> Result<()> {
    let Some(id) = schema.id(column.name) else { return Ok(()) };
    if [column::KIND, column::HOST, column::RUN_ID, column::TS, column::TS_SUB_NS].contains(&id) {
        return Ok(());
    }
    match column.ty {
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp => row.int(id, number(from)?),
        ColumnType::Double => row.double(id, from.arbitrary()?),
        ColumnType::Bool => row.bool(id, from.arbitrary()?),
        ColumnType::Text(_) => row.bytes(id, &text(from, words)?),
        ColumnType::ListInt32 => row.list(id, &list(from)?),
    };
    Ok(())
}

/// Small numbers, so that ids meet, and extreme ones.
fn number(from: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match from.int_in_range(0..=11)? {
        0..=5 => from.int_in_range(0..=9)?,
        6 => from.int_in_range(0..=4 * SECOND)?,
        7 => i64::from(from.arbitrary::<i32>()?),
        8 => from.arbitrary()?,
        9 => i64::MIN,
        10 => i64::MAX,
        _ => -1,
    })
}

fn text(from: &mut Unstructured<'_>, words: &Words) -> Result<Vec<u8>> {
    Ok(match from.int_in_range(0..=15)? {
        0..=11 => from.choose(&words.texts)?.as_bytes().to_vec(),
        12 => from.arbitrary::<&[u8]>()?.to_vec(),
        13 => from.arbitrary::<&str>()?.as_bytes().to_vec(),
        14 => from.int_in_range(0..=9)?.to_string().into_bytes(),
        _ => from.arbitrary::<&str>()?.repeat(from.int_in_range(1..=4096)?).into_bytes(),
    })
}

/// Frames: a few, or one that comes again and again.
fn list(from: &mut Unstructured<'_>) -> Result<Vec<i32>> {
    let length = if from.ratio(1, 64)? { 1_000_000 } else { from.int_in_range(0..=40)? };
    let mut list = Vec::with_capacity(length);
    for _ in 0..length.min(40) {
        list.push(if from.ratio(15, 16)? { from.int_in_range(0..=9)? } else { from.arbitrary()? });
    }
    let last = list.last().copied().unwrap_or_default();
    list.resize(length, last);
    Ok(list)
}

fn word(from: &mut Unstructured<'_>, words: &Words) -> Result<String> {
    Ok(String::from_utf8_lossy(&text(from, words)?).into_owned())
}

/// What it says of itself: mostly as a recording does, here and there something else.
fn meta(from: &mut Unstructured<'_>, words: &Words) -> Result<Meta> {
    let odd = |from: &mut Unstructured<'_>, usual: i64| if from.ratio(1, 16)? { number(from) } else { Ok(usual) };
    let window = Window {
        asked_ns: Some(4 * SECOND),
        start_real_ns: odd(from, 1_795_348_800 * SECOND)?,
        start_mono_ns: odd(from, 5000 * SECOND)?,
        actual_ns: odd(from, 4 * SECOND)?,
        ended: "duration".to_owned(),
        interval_ns: odd(from, SECOND)?,
        first_interval_ns: if from.ratio(1, 8)? { Some(odd(from, SECOND / 8)?) } else { None },
    };
    let host = HostMeta {
        hostname: if from.ratio(1, 16)? { word(from, words)? } else { "box".to_owned() },
        cpus: odd(from, 2)? as u32,
        memory_bytes: odd(from, 8 << 30)? as u64,
        ..HostMeta::default()
    };
    let mut meta = Meta { window, host, ..Meta::default() };
    for probe in REGISTRY {
        let info = probe.info();
        let [events, lost, cost_ns] = [odd(from, 10)? as u64, odd(from, 0)? as u64, odd(from, 1000)? as u64];
        let mut state = ProbeState {
            name: info.name.to_owned(),
            mode: "slow".to_owned(),
            events,
            lost,
            cost_ns,
            ..ProbeState::default()
        };
        state.state = if from.ratio(15, 16)? { ProbeOutcome::Ran } else { ProbeOutcome::Failed };
        state.settings.insert("slow_ns".to_owned(), odd(from, 1_000_000)?.into());
        meta.probes.push(state);
        for metric in info.metrics {
            let kind = if from.ratio(15, 16)? {
                if metric.by.len() % 2 == 0 { "histogram" } else { "counter" }
            } else {
                "zebra"
            };
            meta.metrics.push(MetricMeta {
                name: metric.name.to_owned(),
                probe: info.name.to_owned(),
                kind: kind.to_owned(),
                unit: if from.ratio(15, 16)? { "ns".to_owned() } else { word(from, words)? },
                help: String::new(),
                by: metric.by.iter().map(|column| (*column).to_owned()).collect(),
                events: metric.events.map(str::to_owned),
            });
        }
        let kinds = info.kinds.iter();
        meta.kinds.extend(kinds.map(|kind| KindMeta {
            name: kind.name.to_owned(),
            probe: Some(info.name.to_owned()),
            help: String::new(),
            holds: info.holds.iter().map(|(column, holds)| ((*column).to_owned(), *holds)).collect(),
        }));
    }
    Ok(meta)
}
