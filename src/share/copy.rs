//! A recording, row by row, into another that may be given away.
//!
//! Nothing encoded is copied: the copy's statistics and dictionaries are made from its own texts.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::fit::Cuts;
use super::metadata;
use super::redactor::Redactor;
use crate::recording::CORE;
use crate::recording::CORE_KINDS;
use crate::recording::Chunk;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Existing;
use crate::recording::Holds;
use crate::recording::Identity;
use crate::recording::Meta;
use crate::recording::Recording;
use crate::recording::Row;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::Writer;
use crate::recording::column;

/// Rows of a kind that are gathered before they are encoded.
const BATCH_ROWS: usize = 64 << 10;
/// The kind that repeats the metadata; the writer makes it.
const RECORDING: &str = "recording";
/// Time for the last step, which merges small row groups.
const MERGE_TIME: Duration = Duration::from_secs(60);

/// A column that is copied.
struct Copied {
    id: ColumnId,
    ty: ColumnType,
    /// What its texts say in this kind; `ByKind` where the row's metric decides.
    holds: Holds,
}

/// Copies a recording to `path`, without the rows that `cuts` leaves out; their number by kind.
pub(super) fn copy(
    recording: &Recording,
    path: &Path,
    redactor: &mut Redactor,
    cuts: &Cuts,
) -> Result<BTreeMap<String, u64>> {
    let meta = recording.meta();
    let schema = Arc::new(schema_of(recording));
    note_functions(recording, redactor)?;
    let identity =
        Identity { host: redactor.text(Holds::Host, &meta.host.hostname).to_string(), run_id: run_id(recording)? };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep)?;
    let mut rows = Rows::new(Arc::clone(&schema), 0);
    let mut left_out = BTreeMap::new();
    for (kind, _) in recording.kinds().into_iter().filter(|(kind, _)| kind != RECORDING) {
        let dropped = copy_kind(recording, &kind, &schema, redactor, cuts, &mut rows, &mut writer)?;
        if dropped > 0 {
            left_out.insert(kind, dropped);
        }
    }
    let mut meta = metadata::redact(meta.clone(), redactor);
    meta.redaction.extend(cuts.said(&left_out));
    writer.set_meta(&metadata::patterns_replaced(&meta, redactor)?);
    writer.finish(MERGE_TIME)?;
    Ok(left_out)
}

fn copy_kind(
    recording: &Recording,
    kind: &str,
    schema: &Schema,
    redactor: &mut Redactor,
    cuts: &Cuts,
    rows: &mut Rows,
    writer: &mut Writer,
) -> Result<u64> {
    let columns = copied(recording, kind, schema);
    let mut names: Vec<&str> = columns.iter().filter_map(|copied| Some(schema.column(copied.id)?.name)).collect();
    let (ts, sub) = (names.len(), names.len() + 1);
    names.extend(["ts", "ts_sub_ns"]);
    let place = |name: &str| {
        columns.iter().position(|copied| schema.column(copied.id).is_some_and(|column| column.name == name))
    };
    let (metric, module, build_id) = (place("metric"), place("module"), place("build_id"));
    let dimensions = Dimensions::of(recording.meta(), &columns, schema);
    let duration = place("dur_ns");
    // Kinds live as long as the recording that is written, and the process writes one.
    let kind_name: &'static str = String::leak(kind.to_owned());
    let mut dropped = 0;
    for chunk in recording.scan(kind, &names)? {
        let chunk = chunk?;
        let times = chunk.times(ts, sub);
        for index in 0..chunk.len() {
            if cuts.leaves_out(kind, duration.and_then(|place| chunk.int(place).get(index))) {
                dropped += 1;
                continue;
            }
            let metric = metric.and_then(|place| chunk.text(place).get(index));
            let module = module.and_then(|place| chunk.text(place).get(index));
            let mut row = rows.row(kind_name);
            if let Some(real_ns) = times.get(index) {
                // The rows' offset between the clocks is 0 here.
                row.at(real_ns.cast_unsigned());
            }
            for (place, copied) in columns.iter().enumerate() {
                let holds = match copied.holds {
                    Holds::ByKind => metric.map_or(Holds::Unknown, |metric| dimensions.holds(metric, place)),
                    holds => metric.and_then(|metric| dimensions.overrides(metric, place)).unwrap_or(holds),
                };
                if build_id == Some(place)
                    && let Some((module, id)) = module.zip(chunk.text(place).get(index))
                    && !redactor.may_show_build_id(id, module)
                {
                    continue;
                }
                if holds == Holds::Key {
                    continue;
                }
                put(&mut row, &chunk, place, index, copied, holds, redactor);
            }
            if let (Some(id), Some(metric)) = (schema.id("key"), metric)
                && let Some(key) = dimensions.key(metric, &chunk, index, redactor)
            {
                row.text(id, &key);
            }
        }
        for batch in rows.take(BATCH_ROWS, false) {
            writer.write(batch)?;
        }
    }
    for batch in rows.take(1, true) {
        writer.write(batch)?;
    }
    Ok(dropped)
}

fn put(
    row: &mut Row<'_>,
    chunk: &Chunk,
    place: usize,
    index: usize,
    copied: &Copied,
    holds: Holds,
    redactor: &mut Redactor,
) {
    match copied.ty {
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => {
            row.maybe_int(copied.id, chunk.int(place).get(index));
        }
        ColumnType::Double => {
            if let Some(number) = chunk.double(place).get(index) {
                row.double(copied.id, number);
            }
        }
        ColumnType::Bool => {
            if let Some(truth) = chunk.bool(place).get(index) {
                row.bool(copied.id, truth);
            }
        }
        ColumnType::Text(_) => {
            if let Some(text) = chunk.text(place).get(index) {
                row.text(copied.id, &redactor.text(holds, text));
            }
        }
        ColumnType::ListInt32 => {
            if let Some(list) = chunk.list(place).get(index) {
                row.list(copied.id, &list);
            }
        }
        // There is one, `ts`, which has a place of its own.
        ColumnType::Timestamp => {}
    }
}

/// The columns of a kind that have values, without those that every row has or gets from its writer.
fn copied(recording: &Recording, kind: &str, schema: &Schema) -> Vec<Copied> {
    const OWN: [ColumnId; 5] = [column::KIND, column::HOST, column::RUN_ID, column::TS, column::TS_SUB_NS];
    let meta = recording.meta();
    let by_kind = meta.kinds.iter().find(|known| known.name == kind).map(|known| &known.holds);
    let core = CORE_KINDS.iter().find(|known| known.name == kind);
    let known: HashMap<&str, Holds> = core.map(|known| known.holds.iter().copied().collect()).unwrap_or_default();
    let columns = schema.columns().iter().filter_map(|column| Some((schema.id(column.name)?, *column)));
    columns
        .filter(|(id, column)| !OWN.contains(id) && recording.has_values(kind, &[column.name]))
        .map(|(id, column)| {
            let declared = match column.ty {
                ColumnType::Text(holds) => holds,
                _ => Holds::Word,
            };
            let recorded = by_kind.and_then(|holds| holds.get(column.name)).copied().unwrap_or(declared);
            // A word may have been somebody's text all along, which an older version did not know.
            let holds = known.get(column.name).copied().filter(|_| recorded == Holds::Word).unwrap_or(recorded);
            Copied { id, ty: column.ty, holds }
        })
        .collect()
}

/// The columns that make a metric's key, and what their texts say.
struct Dimensions<'a> {
    by_metric: HashMap<&'a str, Vec<(usize, ColumnType, Holds)>>,
    overrides: HashMap<&'a str, HashMap<usize, Holds>>,
}

impl<'a> Dimensions<'a> {
    fn of(meta: &'a Meta, columns: &[Copied], schema: &Schema) -> Dimensions<'a> {
        let place = |name: &str| columns.iter().position(|copied| schema.id(name) == Some(copied.id));
        let mut by_metric = HashMap::new();
        let mut overrides = HashMap::new();
        for metric in &meta.metrics {
            let kinds = meta.kinds.iter().filter(|kind| kind.probe.as_deref() == Some(metric.probe.as_str()));
            let said: HashMap<usize, Holds> = kinds
                .flat_map(|kind| &kind.holds)
                .filter_map(|(column, holds)| Some((place(column)?, *holds)))
                .collect();
            let dimensions = metric.by.iter().filter_map(|column| place(column)).filter_map(|place| {
                let copied = columns.get(place)?;
                let holds = match said.get(&place) {
                    Some(holds) => *holds,
                    None if copied.holds == Holds::ByKind => Holds::Unknown,
                    None => copied.holds,
                };
                Some((place, copied.ty, holds))
            });
            by_metric.insert(metric.name.as_str(), dimensions.collect());
            overrides.insert(metric.name.as_str(), said);
        }
        Dimensions { by_metric, overrides }
    }

    fn overrides(&self, metric: &str, place: usize) -> Option<Holds> {
        self.overrides.get(metric)?.get(&place).copied()
    }

    fn holds(&self, metric: &str, place: usize) -> Holds {
        self.overrides(metric, place).unwrap_or_default()
    }

    /// The key of a row: the values of its dimensions as they are now, joined by spaces.
    fn key(&self, metric: &str, chunk: &Chunk, index: usize, redactor: &mut Redactor) -> Option<String> {
        let mut key = String::new();
        for (place, ty, holds) in self.by_metric.get(metric)? {
            let part = match ty {
                ColumnType::Text(_) => {
                    chunk.text(*place).get(index).map(|text| redactor.text(*holds, text).to_string())
                }
                _ => chunk.int(*place).get(index).map(|number| number.to_string()),
            };
            if let Some(part) = part {
                if !key.is_empty() {
                    key.push(' ');
                }
                key.push_str(&part);
            }
        }
        (!key.is_empty()).then_some(key)
    }
}

/// The recording's own schema: what it says of its columns, with the types that they have in the file.
fn schema_of(recording: &Recording) -> Schema {
    let own = recording.columns().iter().filter(|column| CORE.iter().all(|core| core.name != column.name));
    let own: Vec<Column> = own
        .filter_map(|column| {
            let ty = match recording.leaves.get(&column.name)?.ty {
                ColumnType::Text(_) => ColumnType::Text(column.holds.unwrap_or_default()),
                ty => ty,
            };
            // A schema's columns live as long as the process, which writes one recording.
            let unit = column.unit.clone().map(|unit| &*unit.leak());
            Some(Column {
                name: column.name.clone().leak(),
                ty,
                title: column.title.clone().leak(),
                unit,
                help: column.help.clone().leak(),
            })
        })
        .collect();
    Schema::new(own.leak().iter())
}

/// The identifier of the run, which every row has.
fn run_id(recording: &Recording) -> Result<String> {
    for (kind, _) in recording.kinds() {
        for chunk in recording.scan(&kind, &["run_id"])? {
            if let Some(id) = chunk?.text(0).get(0) {
                // Its own writer makes it of hexadecimal digits; what else stands there is somebody's text.
                return Ok(id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').take(36).collect());
            }
        }
    }
    Ok(String::new())
}

/// Tells the redactor which functions are of programs that no common system has, before stacks name them without their modules.
fn note_functions(recording: &Recording, redactor: &mut Redactor) -> Result<()> {
    for chunk in recording.scan("symbol", &["name", "module"])? {
        let chunk = chunk?;
        let (names, modules) = (chunk.text(0), chunk.text(1));
        for index in 0..chunk.len() {
            if let Some(name) = names.get(index) {
                redactor.note_function(name, modules.get(index).unwrap_or(""));
            }
        }
    }
    Ok(())
}
