//! A recording of which only the newest part is kept: row groups belong to generations, and old generations are given up.
//!
//! The rows of a generation refer to stacks, symbols and processes that are described in it or in a later one, never in an earlier one.
//! So a generation can go as a whole, and what is left stands alone. Nothing is freed within the file: when more of it is unused than
//! used, the rest is copied to a new file that takes its place. The file therefore has at most twice what is kept, and three times while
//! that is done.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::array::BooleanArray;
use arrow::array::Int64Array;
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::TimestampMicrosecondType;
use parquet::errors::ParquetError;

use crate::recording::Batch;
use crate::recording::CORE_KINDS;
use crate::recording::ColumnId;
use crate::recording::Existing;
use crate::recording::Finished;
use crate::recording::Identity;
use crate::recording::Meta;
use crate::recording::Schema;
use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::column;
use crate::recording::encode::Encoders;
use crate::recording::encode::pages::Codec;
use crate::recording::footer::Group;
use crate::recording::footer::Template;
use crate::recording::group::OpenGroup;
use crate::recording::layout::Layout;
use crate::recording::leftovers;
use crate::recording::merge;
use crate::recording::merge::Arrays;
use crate::recording::merge::Input;
use crate::recording::merge::Stopped;
use crate::recording::merge::push_arrays;
use crate::recording::names::partial_path;
use crate::recording::names::temporary_path;
use crate::recording::output::Output;
use crate::recording::writer::RECORDING;
use crate::recording::writer::give_away;
use crate::recording::writer::meta_groups;
use crate::recording::writer::rename;

/// Unused bytes that are left in the file however little is used.
const SLACK: u64 = 4 << 20;

/// Kinds of rows that add up waits, which may have begun long before the span in which they ended.
const WAITS: [&str; 2] = ["wait", "stack_total"];
/// What of a wait is a part of its length.
const PARTS: [ColumnId; 7] = [
    column::SUM,
    column::WAIT_ACTIVE_NS,
    column::WAIT_UNKNOWN_NS,
    column::WAIT_CONTENDED_NS,
    column::WAIT_HANDED_NS,
    column::WAIT_REQUEST_NS,
    column::WAIT_QUESTION_NS,
];

/// The span that a copy has, in nanoseconds since the Unix epoch.
///
/// A total belongs to it if its interval does. The kernel's maps are swapped a little after an interval ends, so events have bounds of
/// their own: those that totals have counted are in the span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Totals of intervals that ended later.
    pub after_ns: i64,
    /// Totals of intervals that ended by then.
    pub until_ns: i64,
    /// Events that ended later.
    pub events_after_ns: i64,
    /// Events that ended by then.
    pub events_until_ns: i64,
}

/// Which rows of a kind are in a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// Those of intervals in it.
    Interval,
    /// Those that ended in it.
    Event,
    /// All: they say what others refer to.
    All,
    /// None: they are written for each copy.
    None,
}

impl Rule {
    fn of(kind: &str) -> Rule {
        match CORE_KINDS.iter().find(|core| core.name == kind) {
            Some(core) if core.is_aggregate => Rule::Interval,
            Some(core) if core.name == "clock" => Rule::Interval,
            Some(core) if core.name == RECORDING => Rule::None,
            Some(_) => Rule::All,
            None => Rule::Event,
        }
    }
}

impl Span {
    fn has(&self, rule: Rule, ts: i64) -> bool {
        let (after, until) = match rule {
            Rule::Interval => (self.after_ns, self.until_ns),
            Rule::Event => (self.events_after_ns, self.events_until_ns),
            Rule::All => return true,
            Rule::None => return false,
        };
        after < ts && ts <= until
    }
}

impl Writer {
    /// Begins a generation: rows written from here on belong to it. The generations before `oldest` are given up, and so are all rows
    /// of the kinds that `descriptions` are of, which take their place.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn begin_generation(&mut self, oldest: u64, descriptions: Vec<Batch>) -> Result<(), WriteError> {
        self.close_all()?;
        self.merge_generation()?;
        let replaced: HashSet<&str> = descriptions.iter().map(Batch::kind).collect();
        self.groups.retain(|group| group.generation >= oldest && !replaced.contains(group.kind.as_str()));
        self.generation += 1;
        for batch in descriptions {
            self.write(batch)?;
        }
        self.close_all()?;
        let live: u64 = self.groups.iter().map(Group::size).sum();
        let unused = self.output.good().saturating_sub(live);
        if unused > live + SLACK {
            self.move_to_a_new_file()?;
        }
        self.write_sidecar()
    }

    /// The number of the generation that rows are written to.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes of the row groups that are kept.
    pub fn bytes_kept(&self) -> u64 {
        self.groups.iter().map(Group::size).sum()
    }

    /// Makes one row group of the small ones that the generation has of a kind; where that fails they stay as they are.
    fn merge_generation(&mut self) -> Result<(), WriteError> {
        let generation = self.generation;
        let runs = merge::small(&self.groups).into_iter();
        let of_this = |run: &Vec<usize>| {
            run.iter().all(|index| self.groups.get(*index).is_some_and(|group| group.generation == generation))
        };
        let runs: Vec<Vec<usize>> = runs.filter(of_this).collect();
        self.merge_runs(runs, &mut merge::all)?;
        Ok(())
    }

    /// Copies the row groups that are kept to a new file, which takes the place of the old one; where that fails, all stays as it is.
    fn move_to_a_new_file(&mut self) -> Result<(), WriteError> {
        let template = self.template()?;
        let partial = self.output.path.clone();
        let temporary = temporary_path(&partial);
        let Ok((output, groups)) = self.copied_to(&temporary, &template) else {
            let _ = std::fs::remove_file(&temporary);
            return Ok(());
        };
        self.note_disk(output.good());
        // A kill before the next footer beside it costs nothing: the file ends with one of its own.
        std::fs::rename(&temporary, &partial).map_err(WriteError::io("rename", &temporary))?;
        (self.output, self.groups) = (output, groups);
        self.output.path = partial;
        Ok(())
    }

    fn copied_to(&self, path: &Path, template: &Template) -> Result<(Output, Vec<Group>), Stopped> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let input = Input::open(&self.output.path, self.output.good())?;
        let mut output = Output::create(path)?;
        give_away(output.file(), self.owner)?;
        let copy = |group: &Group| input.copy(group, template, &self.layout, &mut output, None);
        let groups: Vec<Group> = self.groups.iter().map(copy).collect::<Result<_, _>>()?;
        output.append(&template.footer(groups.iter())?)?;
        output.file().sync_all()?;
        Ok((output, groups))
    }

    /// Prepares a copy of what is kept, as a recording of its own that `meta` describes, with more rows; it can be written by another
    /// thread, while this writer goes on.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn copy(&mut self, span: Span, meta: &Meta, more: Vec<Batch>) -> Result<Copy, WriteError> {
        self.close_all()?;
        let path = self.output.path.clone();
        let input = Input::open(&path, self.output.good()).map_err(WriteError::io("open", &path))?;
        Ok(Copy {
            input,
            groups: self.groups.clone(),
            template: self.template()?,
            schema: Arc::clone(&self.layout.schema),
            identity: self.layout.identity.clone(),
            owner: self.owner,
            meta: Meta { columns: self.columns(), ..meta.clone() },
            span,
            more,
        })
    }

    /// Removes the unfinished recording: all that was wanted of it is in copies.
    pub fn discard(self) {
        let partial = self.output.path.clone();
        let _ = std::fs::remove_file(&partial);
        leftovers::remove_beside(&partial);
    }
}

/// A part of a recording on its way to a file of its own.
pub struct Copy {
    input: Input,
    groups: Vec<Group>,
    /// As the unfinished recording has it.
    template: Arc<Template>,
    schema: Arc<Schema>,
    identity: Identity,
    owner: Option<(u32, u32)>,
    meta: Meta,
    span: Span,
    more: Vec<Batch>,
}

impl Copy {
    /// Writes it.
    ///
    /// # Errors
    /// The name is taken and is to be kept, or the disk is full or refuses.
    pub fn write(self, path: &Path, existing: Existing) -> Result<Finished, WriteError> {
        let temporary = temporary_path(&partial_path(path));
        // One that a killed run left behind.
        let _ = std::fs::remove_file(&temporary);
        let written = self.write_to(&temporary).and_then(|(bytes, rows)| {
            rename(&temporary, path, existing)?;
            let (path, most_disk_bytes, rows_one_in) = (path.to_owned(), bytes, BTreeMap::new());
            Ok(Finished { path, bytes, rows, merged: true, left_out: 0, most_disk_bytes, rows_one_in })
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// Writes it under the first name that is not taken: of `run.parquet`, `run-1.parquet` and so on from `number`.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn write_numbered(self, path: &Path, number: u32) -> Result<Finished, WriteError> {
        let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
        let names = (number..=u32::MAX).map(|number| numbered(path, number));
        match names.into_iter().find(|path| !taken(path)) {
            Some(path) => self.write(&path, Existing::Keep),
            None => Err(WriteError::Exists { path: path.to_owned() }),
        }
    }

    fn write_to(mut self, path: &Path) -> Result<(u64, u64), WriteError> {
        let encode = |error: ParquetError| WriteError::encode(path)(error);
        let encoders = Encoders::new(&self.schema).map_err(encode)?;
        let codec = Codec::new().map_err(encode)?;
        let mut layout = Layout { schema: Arc::clone(&self.schema), encoders, identity: self.identity.clone(), codec };
        let mut output = Output::create(path).map_err(WriteError::io("create", path))?;
        give_away(output.file(), self.owner).map_err(WriteError::io("give away", path))?;
        let groups = self.groups(&mut layout, &mut output).map_err(|stopped| match stopped {
            Stopped::Late => WriteError::io("copy", path)(io::ErrorKind::TimedOut.into()),
            Stopped::Failed(error) => encode(error),
        })?;
        let template = Template::new(&self.meta, &layout).map_err(encode)?;
        let footer = template.footer(groups.iter());
        let ended = footer.and_then(|bytes| output.append(&bytes)).and_then(|()| output.file().sync_all());
        ended.map_err(WriteError::io("write", path))?;
        Ok((output.good(), groups.iter().map(|group| group.rows).sum()))
    }

    fn groups(&mut self, layout: &mut Layout, output: &mut Output) -> Result<Vec<Group>, Stopped> {
        let mut kinds: Vec<&str> = Vec::new();
        for kind in self
            .groups
            .iter()
            .map(|group| group.kind.as_str())
            .chain(self.more.iter().map(|batch| -> &str { batch.kind() }))
        {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let kinds: Vec<String> = kinds.into_iter().map(str::to_owned).collect();
        let mut copied = Vec::new();
        for kind in &kinds {
            let rule = Rule::of(kind);
            let groups: Vec<&Group> =
                self.groups.iter().filter(|group| group.kind == *kind && rule != Rule::None).collect();
            let mut open = OpenGroup::new(kind);
            let waits = WAITS.contains(&kind.as_str());
            if !groups.is_empty() {
                let span = self.span;
                self.input.read(&groups, &self.template, layout, |rows, arrays, layout| {
                    let Some((rows, arrays)) = in_span(rows, arrays, rule, &span)? else { return Ok(()) };
                    let arrays = if waits { cut_waits(rows, arrays, span.after_ns) } else { arrays };
                    copied.extend(push_arrays(&mut open, rows, &arrays, 0, layout, output)?);
                    Ok(())
                })?;
            }
            for batch in self.more.extract_if(.., |batch| batch.kind() == kind) {
                if !open.has_room(batch.rows(), batch.text_bytes(), batch.list_values()) {
                    copied.push(std::mem::replace(&mut open, OpenGroup::new(kind)).close(0, layout, output)?);
                }
                open.push(batch, layout)?;
            }
            if open.rows() > 0 {
                copied.push(open.close(0, layout, output)?);
            }
        }
        copied.extend(meta_groups(&self.meta, layout, output)?);
        Ok(copied)
    }
}

/// `run-3.parquet` for `run.parquet`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((&name, ""));
    let dot = if ending.is_empty() { "" } else { "." };
    path.with_file_name(format!("{stem}-{number}{dot}{ending}"))
}

/// The rows that are in a span; `None` if there are none.
fn in_span(rows: usize, arrays: Arrays, rule: Rule, span: &Span) -> Result<Option<(usize, Arrays)>, ParquetError> {
    if rule == Rule::All {
        return Ok(Some((rows, arrays)));
    }
    let array = |id: ColumnId| arrays.iter().find(|(other, _)| *other == id).map(|(_, array)| array);
    let micros = array(column::TS).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
    let nanos = array(column::TS_SUB_NS).and_then(|array| array.as_primitive_opt::<Int16Type>());
    let Some(micros) = micros else { return Ok(None) };
    let is_in = |row: usize| {
        let below = nanos.filter(|nanos| nanos.is_valid(row)).map_or(0, |nanos| i64::from(nanos.value(row)));
        micros.is_valid(row) && span.has(rule, micros.value(row).saturating_mul(1000).saturating_add(below))
    };
    let mask: BooleanArray = (0..rows).map(|row| Some(is_in(row))).collect();
    match mask.true_count() {
        0 => Ok(None),
        kept if kept == rows => Ok(Some((rows, arrays))),
        _ => merge::kept(arrays, &mask).map(Some),
    }
}

/// Cuts waits at the span's begin, as far as a row of an interval tells: no wait, and no thread's waits together, can have lasted
/// longer in the span than from its begin to the interval's end.
fn cut_waits(rows: usize, arrays: Arrays, after_ns: i64) -> Arrays {
    let array = |id: ColumnId| arrays.iter().find(|(other, _)| *other == id).map(|(_, array)| array);
    let numbers = |id: ColumnId| array(id).and_then(|array| array.as_primitive_opt::<Int64Type>());
    let at = |array: Option<&Int64Array>, row: usize| {
        array.filter(|array| array.is_valid(row)).map(|array| array.value(row))
    };
    let micros = array(column::TS).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
    let (count, sum, max) = (numbers(column::COUNT), numbers(column::SUM), numbers(column::MAX));
    let of_a_thread = |row: usize| array(column::TID).is_some_and(|array| array.is_valid(row));
    // By row: how long it can have been, its length, and what is left of that.
    let cut = |row: usize| {
        let since = micros?.value(row).saturating_mul(1000).saturating_sub(after_ns).max(0);
        let sum = at(sum, row)?;
        let most = if of_a_thread(row) { since } else { at(count, row)?.max(1).saturating_mul(since) };
        let longest = at(max, row).unwrap_or(0);
        let left = sum.saturating_sub(longest.saturating_sub(since).max(0)).clamp(0, most);
        (left < sum).then_some((since, sum, left))
    };
    let cuts: Vec<Option<(i64, i64, i64)>> = (0..rows).map(cut).collect();
    if cuts.iter().all(Option::is_none) {
        return arrays;
    }
    let scaled = |(id, array): (ColumnId, ArrayRef)| {
        let (true, Some(values)) = (PARTS.contains(&id) || id == column::MAX, array.as_primitive_opt::<Int64Type>())
        else {
            return (id, array);
        };
        let value = |(value, cut): (Option<i64>, &Option<(i64, i64, i64)>)| match (value, cut) {
            (Some(value), Some((since, _, _))) if id == column::MAX => Some(value.min(*since)),
            // The part of a length is not longer than the length, and `sum` is not 0 where less is left of it.
            (Some(value), Some((_, sum, left))) => {
                Some((i128::from(value) * i128::from(*left) / i128::from((*sum).max(1))) as i64)
            }
            (value, _) => value,
        };
        let values: Int64Array = values.iter().zip(&cuts).map(value).collect();
        (id, Arc::new(values) as ArrayRef)
    };
    arrays.into_iter().map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::path::PathBuf;
    use std::sync::Arc;

    use arrow::array::ArrayRef;
    use arrow::array::AsArray;
    use arrow::array::Int32Array;
    use arrow::array::Int64Array;
    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::Int64Type;

    use super::Rule;
    use super::Span;
    use super::cut_waits;
    use super::numbered;
    use crate::recording::column;

    #[test]
    fn totals_go_by_their_interval_and_events_by_when_the_maps_were_swapped() {
        let span = Span { after_ns: 10, until_ns: 20, events_after_ns: 11, events_until_ns: 21 };
        let has = |rule| [10, 11, 12, 20, 21, 22].map(|ts| span.has(rule, ts));
        assert_eq!(has(Rule::Interval), [false, true, true, true, false, false]);
        assert_eq!(has(Rule::Event), [false, false, true, true, true, false]);
        assert_eq!(has(Rule::All), [true; 6]);
        assert_eq!(["hist", "lost", "clock"].map(Rule::of), [Rule::Interval; 3]);
        assert_eq!(["stack", "symbol", "process", "cgroup"].map(Rule::of), [Rule::All; 4]);
        assert_eq!((Rule::of("block_io"), Rule::of("recording")), (Rule::Event, Rule::None));
    }

    #[test]
    fn waits_that_began_before_the_span_are_cut_at_its_begin() {
        let numbers = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        // At two seconds after the span's begin: a wait of an hour, one of a second, the hour and three short ones, and an hour's of
        // two threads of a process.
        let second = 1_000_000_000;
        let hour = 3600 * second;
        let times = TimestampMicrosecondArray::from(vec![12_000_000; 4]);
        let tids = Int32Array::from(vec![Some(7), Some(8), Some(9), None]);
        let arrays = vec![
            (column::TS, Arc::new(times) as ArrayRef),
            (column::TID, Arc::new(tids) as ArrayRef),
            (column::COUNT, numbers(&[1, 1, 4, 2])),
            (column::SUM, numbers(&[hour, second, hour + second / 2, 2 * hour])),
            (column::MAX, numbers(&[hour, second, hour, 0])),
            (column::WAIT_ACTIVE_NS, numbers(&[hour / 2, 3, 0, 0])),
        ];
        let cut = cut_waits(4, arrays, 10 * second);
        let values = |id| {
            let (_, array) = cut.iter().find(|(other, _)| *other == id).unwrap();
            array.as_primitive::<Int64Type>().values().to_vec()
        };
        assert_eq!(values(column::SUM), [2 * second, second, 2 * second, 4 * second]);
        assert_eq!(values(column::MAX), [2 * second, second, 2 * second, 0]);
        assert_eq!(values(column::WAIT_ACTIVE_NS), [second, 3, 0, 0]);
        assert_eq!(values(column::COUNT), [1, 1, 4, 2]);
    }

    #[test]
    fn recordings_are_numbered_before_the_ending() {
        let named = |path: &str| numbered(Path::new(path), 3);
        assert_eq!(named("dir.d/run.parquet"), PathBuf::from("dir.d/run-3.parquet"));
        assert_eq!(named("run"), PathBuf::from("run-3"));
        assert_eq!(named(".hidden"), PathBuf::from(".hidden-3"));
    }
}
