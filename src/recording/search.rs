//! Rows of one kind, read by several threads, and only as much of them as it takes to know that they are not looked for.
//!
//! Of a row group that can't hold any such row, by what the file says of it, nothing is read. Of the others first the columns
//! that decide, and then the rest of the rows that are left. The rows come in the order of the file, whatever thread read them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::thread::Scope;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::RowGroupMetaData;

use crate::recording::Chunk;
use crate::recording::OpenError;
use crate::recording::Recording;
use crate::recording::check;
use crate::recording::leaves::Leaf;
use crate::recording::limits::HELD_BYTES;
use crate::recording::scan::GroupReader;
use crate::recording::scan::leaves;
use crate::recording::shared_file::SharedFile;

#[cfg(test)]
mod tests;

/// With fewer rows than this, starting threads takes longer than it saves.
const FEW_ROWS: u64 = 256 << 10;
/// Threads that read at once, at most: one that looks at the rows is seldom faster than these.
const MOST_THREADS: usize = 8;
/// Bytes that all of them together hold to decode. A row group that takes more than one's share is read without them.
const SHARED_BYTES: usize = HELD_BYTES / 2;
/// Chunks that a thread may be ahead.
const AHEAD: usize = 2;

/// What is looked for among the rows of a kind; columns are numbered as they are asked for.
pub(crate) struct Search<'a> {
    /// The column that says how long a row lasted.
    pub(crate) length: usize,
    /// Whether a row group may hold what is looked for, by what the file says of it.
    pub(crate) may_hold: Option<MayHold<'a>>,
    /// Which rows pass, and the columns that it takes to say so.
    pub(crate) passes: Option<(Vec<usize>, Passes<'a>)>,
    /// Only rows that lasted this long.
    pub(crate) at_least: Option<i64>,
    /// Rows with such a text in a column are counted and left out.
    pub(crate) without: Vec<(usize, IsOut<'a>)>,
    /// Only what may be among the longest of all that pass.
    pub(crate) longest: Option<&'a Longest>,
}

/// Says of a row group whether it may hold what is looked for.
pub(crate) type MayHold<'a> = Box<dyn Fn(&Extent) -> bool + Sync + 'a>;

/// Says of a text whether rows that have it are left out.
pub(crate) type IsOut<'a> = Box<dyn Fn(&str) -> bool + Sync + 'a>;

/// Says of each row of a chunk whether it passes; columns that were not asked for are null in it.
pub(crate) type Passes<'a> = Box<dyn Fn(&Chunk) -> Vec<bool> + Sync + 'a>;

/// What the file says of a row group's times; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first and the last end of a row, in nanoseconds since the Unix epoch.
    pub(crate) ends: Option<(i64, i64)>,
    /// How long its longest row lasted.
    pub(crate) longest: Option<i64>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows that passed, whether they were among the longest or not.
    pub(crate) passed: u64,
    /// Rows that would have, had they not one of the texts that are left out.
    pub(crate) left_out: u64,
}

/// The lengths of the longest rows so far; several searches may share it.
#[derive(Debug)]
pub(crate) struct Longest {
    most: usize,
    held: Mutex<BinaryHeap<Reverse<i64>>>,
    /// Rows shorter than this are not among them.
    least: AtomicI64,
}

impl Longest {
    /// So many are looked for; `None` for so many that all of them might as well be.
    pub(crate) fn new(most: usize) -> Option<Longest> {
        let one = || Longest { most, held: Mutex::new(BinaryHeap::new()), least: AtomicI64::new(i64::MIN) };
        (1..=100_000).contains(&most).then(one)
    }

    fn least(&self) -> i64 {
        self.least.load(Ordering::Relaxed)
    }

    fn add(&self, lengths: &[i64]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for length in lengths {
            held.push(Reverse(*length));
            if held.len() > self.most {
                held.pop();
            }
        }
        if let Some(Reverse(least)) = held.peek().filter(|_| held.len() == self.most) {
            self.least.fetch_max(*least, Ordering::Relaxed);
        }
    }

    /// What the longest rows of row groups, of which each passes, say before any is read.
    fn expect(&self, mut longest: Vec<i64>) {
        longest.sort_unstable_by_key(|length| Reverse(*length));
        if let Some(least) = longest.get(self.most - 1) {
            self.least.fetch_max(*least, Ordering::Relaxed);
        }
    }
}

/// Rows of a row group: all of so many, all but a part, or a few.
enum Picked {
    All(usize),
    /// A flag for each, and how many are set.
    Most(Vec<bool>, usize),
    Some(Vec<u32>),
}

impl Picked {
    fn len(&self) -> usize {
        match self {
            Picked::All(rows) | Picked::Most(_, rows) => *rows,
            Picked::Some(rows) => rows.len(),
        }
    }

    /// The row that is read at this place when they are looked through; of most of a row group all are read.
    #[inline]
    fn at(&self, place: usize) -> Option<u32> {
        match self {
            Picked::All(rows) => u32::try_from(place).ok().filter(|_| place < *rows),
            Picked::Most(flags, _) => u32::try_from(place).ok().filter(|_| flags.get(place) == Some(&true)),
            Picked::Some(rows) => rows.get(place).copied(),
        }
    }

    /// What is read when they are looked through.
    fn read(&self, of: usize) -> Option<RowSelection> {
        if matches!(self, Picked::Some(_)) { self.selection(of) } else { None }
    }

    /// They alone.
    fn selection(&self, of: usize) -> Option<RowSelection> {
        match self {
            Picked::All(_) => None,
            Picked::Most(flags, _) => Some(RowSelection::from_consecutive_ranges(flagged(flags), of)),
            Picked::Some(rows) => {
                let runs = rows.chunk_by(|a, b| a + 1 == *b);
                let range = |run: &[u32]| Some(*run.first()? as usize..*run.last()? as usize + 1);
                Some(RowSelection::from_consecutive_ranges(runs.filter_map(range), of))
            }
        }
    }
}

/// A search in one recording, as its threads see it.
struct Job<'a> {
    source: &'a SharedFile,
    arrow: &'a ArrowReaderMetadata,
    columns: Vec<Option<Leaf>>,
    ts: Option<usize>,
    search: &'a Search<'a>,
}

/// What a thread hands over.
enum Message {
    Chunk(Chunk),
    End(Result<GroupRead, String>),
}

/// What came of reading a row group.
enum GroupRead {
    Read(Counts),
    /// It takes more memory than the thread has, and none of it was handed over.
    TooLarge,
}

impl Recording {
    /// Calls `visit` for some thousand rows at a time of those of a kind that are looked for, in the order of the file.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn search(
        &self,
        kind: &str,
        columns: &[&str],
        search: &Search<'_>,
        visit: &mut dyn FnMut(&Chunk),
    ) -> Result<Counts, OpenError> {
        let threads = if self.rows(kind) < FEW_ROWS { 1 } else { threads() };
        self.search_by(threads, kind, columns, search, visit)
    }

    fn search_by(
        &self,
        threads: usize,
        kind: &str,
        columns: &[&str],
        search: &Search<'_>,
        visit: &mut dyn FnMut(&Chunk),
    ) -> Result<Counts, OpenError> {
        let job = Job {
            source: &self.source,
            arrow: &self.arrow,
            columns: columns.iter().map(|name| self.leaves.get(*name).copied()).collect(),
            ts: self.leaves.get("ts").map(|leaf| leaf.index),
            search,
        };
        let groups = self.groups.get(kind).map_or(&[][..], Vec::as_slice);
        job.run(groups, threads, visit).map_err(|why| OpenError::corrupt(&self.path, &why))
    }
}

impl Job<'_> {
    fn run(&self, groups: &[usize], threads: usize, visit: &mut dyn FnMut(&Chunk)) -> Result<Counts, String> {
        let known = |index: &&usize| self.group(**index).is_none_or(|group| self.may_hold(group));
        let groups: Vec<usize> = groups.iter().filter(known).copied().collect();
        if let Some(longest) = self.search.longest {
            longest.expect(groups.iter().filter_map(|index| self.longest_passing(*index)).collect());
        }
        let threads = threads.min(groups.len());
        let mut counts = Counts::default();
        if threads < 2 {
            groups.iter().try_for_each(|index| self.read_here(*index, visit, &mut counts))?;
            return Ok(counts);
        }
        std::thread::scope(|scope| {
            let share = SHARED_BYTES / threads;
            let start = |place: usize| self.start(scope, groups.iter().skip(place).step_by(threads).copied(), share);
            let lanes: Vec<Option<Receiver<Message>>> = (0..threads).map(start).collect();
            for (place, index) in groups.iter().enumerate() {
                match lanes.get(place % threads).and_then(Option::as_ref) {
                    Some(lane) => match receive(lane, visit)? {
                        GroupRead::Read(more) => counts.add(more),
                        GroupRead::TooLarge => self.read_here(*index, visit, &mut counts)?,
                    },
                    // There may be no more threads.
                    None => self.read_here(*index, visit, &mut counts)?,
                }
            }
            Ok(counts)
        })
    }

    /// Starts a thread that reads some row groups one after the other.
    fn start<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        groups: impl Iterator<Item = usize> + Send + 's,
        share: usize,
    ) -> Option<Receiver<Message>> {
        let (to, lane) = sync_channel(AHEAD);
        let read = move || {
            for index in groups {
                let ended = self.read(index, share, &mut |chunk| to.send(Message::Chunk(chunk)).is_ok());
                // Nobody receives it after an error of another thread.
                if send(&to, ended).is_none() {
                    return;
                }
            }
        };
        Builder::new().name("ebrec-read".to_owned()).spawn_scoped(scope, read).ok().map(|_| lane)
    }

    fn read_here(&self, index: usize, visit: &mut dyn FnMut(&Chunk), counts: &mut Counts) -> Result<(), String> {
        let mut give = |chunk: Chunk| {
            visit(&chunk);
            true
        };
        if let GroupRead::Read(more) = self.read(index, HELD_BYTES, &mut give)? {
            counts.add(more);
        }
        Ok(())
    }

    fn group(&self, index: usize) -> Option<&RowGroupMetaData> {
        self.arrow.metadata().row_groups().get(index)
    }

    /// What the file says of the lengths of a row group's rows.
    fn lengths(&self, group: &RowGroupMetaData) -> Option<(i64, i64)> {
        let leaf = self.columns.get(self.search.length).copied().flatten()?;
        check::int_range(group, leaf.index)
    }

    /// Whether a row group may hold what is looked for.
    fn may_hold(&self, group: &RowGroupMetaData) -> bool {
        let longest = self.lengths(group).map(|(_, longest)| longest);
        if self.search.at_least.is_some_and(|least| longest.is_some_and(|longest| longest < least)) {
            return false;
        }
        // Times are in microseconds, with the nanoseconds below them in another column.
        let ends = self.ts.and_then(|leaf| check::int_range(group, leaf));
        let ends =
            ends.map(|(first, last)| (first.saturating_mul(1000), last.saturating_mul(1000).saturating_add(999)));
        self.search.may_hold.as_ref().is_none_or(|may_hold| may_hold(&Extent { ends, longest }))
    }

    /// How long the longest row of a row group lasted, where the file says that all of its rows pass.
    fn longest_passing(&self, index: usize) -> Option<i64> {
        let group = self.group(index)?;
        let all = self.search.passes.is_none() && matches!(self.undecided(group), Some(columns) if columns.is_empty());
        self.lengths(group).filter(|_| all).map(|(_, longest)| longest)
    }

    /// The columns that have to be read to know which rows of a row group are left out; `None` when all of them are.
    fn undecided(&self, group: &RowGroupMetaData) -> Option<Vec<(usize, &IsOut<'_>)>> {
        let mut undecided = Vec::new();
        for (column, is_out) in &self.search.without {
            let Some(leaf) = self.columns.get(*column).copied().flatten() else { continue };
            match check::one_value(group, leaf.index) {
                Some(only) if is_out(only) => return None,
                Some(_) => {}
                None if check::is_null(group, leaf.index) => {}
                None => undecided.push((*column, is_out)),
            }
        }
        Some(undecided)
    }

    /// Begins to read some columns of some rows; `None` when that takes more memory than there is.
    fn begin(
        &self,
        index: usize,
        columns: &[Option<Leaf>],
        selection: Option<RowSelection>,
        share: usize,
    ) -> Result<Option<GroupReader>, String> {
        let reader = GroupReader::new(self.source, self.arrow, index, leaves(columns.iter()), selection)?;
        Ok((reader.held() <= share).then_some(reader))
    }

    /// Only these of the columns.
    fn only(&self, wanted: impl Fn(usize) -> bool) -> Vec<Option<Leaf>> {
        self.columns.iter().enumerate().map(|(at, leaf)| leaf.filter(|_| wanted(at))).collect()
    }

    /// Reads one row group, and gives its rows that are looked for; it ends early when nobody wants them.
    fn read(&self, index: usize, share: usize, give: &mut dyn FnMut(Chunk) -> bool) -> Result<GroupRead, String> {
        let group = self.group(index).ok_or("a row group is missing")?;
        let mut counts = Counts::default();
        let of = usize::try_from(group.num_rows()).unwrap_or(0);
        let mut rows = Picked::All(of);
        if let Some(least) = self.search.at_least
            && !self.all_at_least(group, least)
        {
            let Some(lasted) = self.lasting(index, &rows, of, least, share)? else { return Ok(GroupRead::TooLarge) };
            rows = Picked::Some(lasted.0);
        }
        let passes = self.search.passes.as_ref();
        let undecided = self.undecided(group);
        if undecided.is_none() && passes.is_none() {
            counts.left_out = rows.len() as u64;
            return Ok(GroupRead::Read(counts));
        }
        if rows.len() > 0 && (passes.is_some() || undecided.as_ref().is_some_and(|columns| !columns.is_empty())) {
            let Some((passed, left_out)) = self.passing(index, &rows, of, undecided.as_deref(), share)? else {
                return Ok(GroupRead::TooLarge);
            };
            (rows, counts.left_out) = (passed, left_out);
        }
        counts.passed = rows.len() as u64;
        let mut lengths = Vec::new();
        if let Some(longest) = self.search.longest
            && rows.len() > 0
        {
            let least = longest.least();
            if self.lengths(group).is_some_and(|(_, longest)| longest < least) {
                return Ok(GroupRead::Read(counts));
            }
            let Some((lasting, its)) = self.lasting(index, &rows, of, least, share)? else {
                return Ok(GroupRead::TooLarge);
            };
            (rows, lengths) = longest_of(lasting, its, longest.most);
        }
        if rows.len() == 0 {
            return Ok(GroupRead::Read(counts));
        }
        let Some(mut reader) = self.begin(index, &self.columns, rows.selection(of), share)? else {
            return Ok(GroupRead::TooLarge);
        };
        if let Some(longest) = self.search.longest {
            longest.add(&lengths);
        }
        while let Some(chunk) = reader.chunk(&self.columns)? {
            if !give(chunk) {
                break;
            }
        }
        Ok(GroupRead::Read(counts))
    }

    /// Whether the file says that no row of a row group is shorter.
    fn all_at_least(&self, group: &RowGroupMetaData, least: i64) -> bool {
        let leaf = self.columns.get(self.search.length).copied().flatten();
        let complete = leaf.and_then(|leaf| group.columns().get(leaf.index)?.statistics()?.null_count_opt()) == Some(0);
        complete && self.lengths(group).is_some_and(|(shortest, _)| shortest >= least)
    }

    /// Those of some rows that lasted so long, and how long each did; a row without a length is shorter than all others.
    #[allow(clippy::type_complexity, reason = "rows with their lengths, if there was memory for it")]
    fn lasting(
        &self,
        index: usize,
        rows: &Picked,
        of: usize,
        least: i64,
        share: usize,
    ) -> Result<Option<(Vec<u32>, Vec<i64>)>, String> {
        let columns = self.only(|at| at == self.search.length);
        let Some(mut reader) = self.begin(index, &columns, rows.read(of), share)? else { return Ok(None) };
        let (mut found, mut lengths, mut seen) = (Vec::new(), Vec::new(), 0);
        while let Some(chunk) = reader.chunk(&columns)? {
            let its = chunk.int(self.search.length);
            let mut keep = |place: usize, length: i64| {
                if let Some(row) = rows.at(seen + place) {
                    found.push(row);
                    lengths.push(length);
                }
            };
            match its.all() {
                Some(all) => {
                    all.iter()
                        .enumerate()
                        .filter(|(_, length)| **length >= least)
                        .for_each(|(at, length)| keep(at, *length));
                }
                None => (0..chunk.len()).for_each(|at| {
                    let length = its.get(at).unwrap_or(i64::MIN);
                    if length >= least {
                        keep(at, length);
                    }
                }),
            }
            seen += chunk.len();
        }
        Ok(Some((found, lengths)))
    }

    /// Those of some rows that pass, and the number of those that are left out for a text; `undecided` are the columns of
    /// such texts, `None` when all rows have one.
    fn passing(
        &self,
        index: usize,
        rows: &Picked,
        of: usize,
        undecided: Option<&[(usize, &IsOut<'_>)]>,
        share: usize,
    ) -> Result<Option<(Picked, u64)>, String> {
        let passes = self.search.passes.as_ref();
        let texts = undecided.unwrap_or(&[]);
        let wanted = |at: usize| {
            passes.is_some_and(|(columns, _)| columns.contains(&at)) || texts.iter().any(|(column, _)| *column == at)
        };
        let columns = self.only(wanted);
        let Some(mut reader) = self.begin(index, &columns, rows.read(of), share)? else { return Ok(None) };
        let (mut found, mut all, mut left_out, mut seen) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(chunk) = reader.chunk(&columns)? {
            let mut flags = passes.map_or_else(|| vec![true; chunk.len()], |(_, passes)| passes(&chunk));
            let passed = count(&flags);
            match undecided {
                None => flags.fill(false),
                Some(texts) => texts.iter().for_each(|(column, is_out)| leave_out(&chunk, *column, is_out, &mut flags)),
            }
            left_out += passed - count(&flags);
            match rows {
                Picked::Some(_) => {
                    let kept = flags.iter().enumerate().filter(|(_, flag)| **flag);
                    found.extend(kept.filter_map(|(at, _)| rows.at(seen + at)));
                }
                _ => all.append(&mut flags),
            }
            seen += chunk.len();
        }
        let kept = all.iter().filter(|flag| **flag).count();
        let picked = match rows {
            Picked::Some(_) => Picked::Some(found),
            // What is left whole is read without looking at each row.
            _ if kept == all.len() => Picked::All(kept),
            _ => Picked::Most(all, kept),
        };
        Ok(Some((picked, left_out)))
    }
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.passed += more.passed;
        self.left_out += more.left_out;
    }
}

fn count(flags: &[bool]) -> u64 {
    flags.iter().filter(|flag| **flag).count() as u64
}

/// The runs of rows whose flags are set.
fn flagged(flags: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    flags.chunk_by(|a, b| a == b).filter_map(move |run| {
        let range = at..at + run.len();
        at = range.end;
        (run.first() == Some(&true)).then_some(range)
    })
}

/// Clears the flags of the rows that have a text that is left out.
fn leave_out(chunk: &Chunk, column: usize, is_out: &IsOut<'_>, flags: &mut [bool]) {
    let own = chunk.text(column);
    // Of a large dictionary few texts occur in a chunk.
    if own.values() > chunk.len() {
        flags.iter_mut().enumerate().for_each(|(at, flag)| *flag &= !own.get(at).is_some_and(is_out));
        return;
    }
    let out: Vec<bool> = (0..own.values()).map(|key| own.value(key).is_some_and(is_out)).collect();
    if out.contains(&true) {
        let of_key = |key: usize| out.get(key).copied().unwrap_or(false);
        match own.keys() {
            Some(keys) => flags.iter_mut().zip(keys).for_each(|(flag, key)| *flag &= !of_key(*key as usize)),
            None => flags.iter_mut().enumerate().for_each(|(at, flag)| *flag &= !own.key(at).is_some_and(of_key)),
        }
    }
}

/// The longest of some rows, in their order; of equally long ones the first.
fn longest_of(rows: Vec<u32>, lengths: Vec<i64>, most: usize) -> (Picked, Vec<i64>) {
    if rows.len() <= most {
        return (Picked::Some(rows), lengths);
    }
    let mut ranked: Vec<(Reverse<i64>, u32)> = lengths.into_iter().map(Reverse).zip(rows).collect();
    ranked.select_nth_unstable(most);
    ranked.truncate(most);
    ranked.sort_unstable_by_key(|(_, row)| *row);
    let (lengths, rows): (Vec<Reverse<i64>>, Vec<u32>) = ranked.into_iter().unzip();
    (Picked::Some(rows), lengths.into_iter().map(|Reverse(length)| length).collect())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

fn send(to: &SyncSender<Message>, ended: Result<GroupRead, String>) -> Option<()> {
    let failed = ended.is_err();
    to.send(Message::End(ended)).ok().filter(|()| !failed)
}

/// Visits what a thread hands over of one row group.
fn receive(lane: &Receiver<Message>, visit: &mut dyn FnMut(&Chunk)) -> Result<GroupRead, String> {
    loop {
        match lane.recv() {
            Ok(Message::Chunk(chunk)) => visit(&chunk),
            Ok(Message::End(ended)) => return ended,
            Err(_) => return Err("reading it failed".to_owned()),
        }
    }
}
