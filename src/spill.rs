//! Sorted records beyond what memory should hold: runs in unnamed temporary files, merged as they are read back.
//!
//! The caller keeps records in memory up to a bound, hands them over as a run, and reads all runs back as one. What
//! is in the files is compressed, since a report of tens of millions of rows would otherwise fill small disks.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::stream::raw::CParameter;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

/// Runs that are merged into one, which bounds the open files and the memory that reading them takes.
const FAN_IN: usize = 16;
/// ZSTD's fastest level, with a window of 128 KiB: each open run takes about that much memory.
const LEVEL: i32 = 1;
const WINDOW_LOG: u32 = 17;
/// Bytes of a buffer between the compressor and the file.
const BUFFER: usize = 32 << 10;

/// Runs of records, each of them sorted.
///
/// Records that compare as equal come back in the order of the runs that they were handed over in.
#[derive(Debug)]
pub struct Runs<R> {
    /// Runs by how often they were merged; older ones first within a level, and older than all those of the level below.
    levels: Vec<Vec<Run>>,
    records: std::marker::PhantomData<R>,
}

/// One sorted run in a file.
#[derive(Clone, Debug)]
struct Run {
    file: Arc<File>,
}

impl<R> Default for Runs<R> {
    fn default() -> Runs<R> {
        Runs { levels: Vec::new(), records: std::marker::PhantomData }
    }
}

impl<R> Clone for Runs<R> {
    fn clone(&self) -> Runs<R> {
        Runs { levels: self.levels.clone(), records: std::marker::PhantomData }
    }
}

impl<R: Ord + Serialize + DeserializeOwned> Runs<R> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(Vec::is_empty)
    }

    /// Writes records, which are sorted, as a run.
    ///
    /// # Errors
    /// The directory for temporary files has no room, or refuses.
    pub fn add(&mut self, sorted: impl Iterator<Item = R>) -> io::Result<()> {
        let run = write(sorted.map(Ok))?;
        self.keep(run, 0)
    }

    fn keep(&mut self, run: Run, level: usize) -> io::Result<()> {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        let Some(runs) = self.levels.get_mut(level) else { return Ok(()) };
        runs.push(run);
        if runs.len() < FAN_IN {
            return Ok(());
        }
        let merged = write(Merged::<R>::of(&std::mem::take(runs), Vec::new())?)?;
        self.keep(merged, level + 1)
    }

    /// All records, those of `last` being the youngest run, which stays in memory if there is no other.
    ///
    /// # Errors
    /// As [`Runs::add`].
    pub fn ended_by(mut self, last: Vec<R>) -> io::Result<Sorted<R>> {
        if self.is_empty() {
            return Ok(Sorted { held: last, runs: self });
        }
        self.add(last.into_iter())?;
        Ok(Sorted { held: Vec::new(), runs: self })
    }

    /// All records in order, those of `last` being the youngest run, which is still in memory.
    ///
    /// # Errors
    /// A temporary file can't be read; each record may fail so.
    pub fn merged(&self, last: Vec<R>) -> io::Result<Merged<R>> {
        let oldest_first: Vec<Run> = self.levels.iter().rev().flatten().cloned().collect();
        Merged::of(&oldest_first, last)
    }
}

/// Records while they are collected: in memory up to a bound, and beyond it in runs.
#[derive(Debug)]
pub struct Sorter<R> {
    held: Vec<R>,
    held_bytes: usize,
    most_bytes: usize,
    runs: Runs<R>,
    failed: Option<io::Error>,
}

impl<R: Ord + Serialize + DeserializeOwned> Sorter<R> {
    /// Starts without any, and holds about `most_bytes` in memory.
    pub fn new(most_bytes: usize) -> Sorter<R> {
        Sorter { held: Vec::new(), held_bytes: 0, most_bytes, runs: Runs::default(), failed: None }
    }

    /// Adds a record that takes about `bytes` in memory. A full disk shows in [`Sorter::finish`].
    pub fn push(&mut self, record: R, bytes: usize) {
        self.held.push(record);
        self.held_bytes += bytes;
        if self.held_bytes > self.most_bytes {
            self.spill();
        }
    }

    fn spill(&mut self) {
        self.held.sort();
        self.held_bytes = 0;
        let run = std::mem::take(&mut self.held);
        if self.failed.is_none()
            && let Err(error) = self.runs.add(run.into_iter())
        {
            self.failed = Some(error);
        }
    }

    /// Ends the collection.
    ///
    /// # Errors
    /// A temporary file could not be written.
    pub fn finish(mut self) -> io::Result<Sorted<R>> {
        self.held.sort();
        match self.failed {
            Some(error) => Err(error),
            None => self.runs.ended_by(self.held),
        }
    }
}

/// Records in order, which can be read any number of times. Equal ones stay in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Sorted<R> {
    held: Vec<R>,
    /// Where there are any, nothing is held.
    runs: Runs<R>,
}

impl<R> Default for Sorted<R> {
    fn default() -> Sorted<R> {
        Sorted { held: Vec::new(), runs: Runs::default() }
    }
}

impl<R: Clone + Ord + Serialize + DeserializeOwned> Sorted<R> {
    /// Reads them from the first on.
    ///
    /// # Errors
    /// A temporary file can't be read; each record may fail so.
    pub fn iter(&self) -> io::Result<impl Iterator<Item = io::Result<R>> + '_> {
        let merged = (!self.runs.is_empty()).then(|| self.runs.merged(Vec::new())).transpose()?;
        Ok(self.held.iter().cloned().map(Ok).chain(merged.into_iter().flatten()))
    }
}

/// Records in order out of several runs.
pub struct Merged<R> {
    readers: Vec<Reader<R>>,
    heads: BinaryHeap<Head<R>>,
    failed: bool,
}

/// The next record of a run.
struct Head<R> {
    record: R,
    run: usize,
}

impl<R: Ord> Ord for Head<R> {
    fn cmp(&self, other: &Head<R>) -> Ordering {
        // The heap gives the greatest first.
        (&other.record, other.run).cmp(&(&self.record, self.run))
    }
}

impl<R: Ord> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Head<R>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord> PartialEq for Head<R> {
    fn eq(&self, other: &Head<R>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R: Ord> Eq for Head<R> {}

impl<R: Ord + DeserializeOwned> Merged<R> {
    fn of(oldest_first: &[Run], last: Vec<R>) -> io::Result<Merged<R>> {
        let mut readers = Vec::with_capacity(oldest_first.len() + 1);
        for run in oldest_first {
            readers.push(Reader::File(Box::new(FileReader::new(run)?)));
        }
        readers.push(Reader::Memory(last.into_iter()));
        let mut merged = Merged { readers, heads: BinaryHeap::new(), failed: false };
        for run in 0..merged.readers.len() {
            merged.advance(run)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let Some(reader) = self.readers.get_mut(run) else { return Ok(()) };
        if let Some(record) = reader.next()? {
            self.heads.push(Head { record, run });
        }
        Ok(())
    }
}

impl<R: Ord + DeserializeOwned> Iterator for Merged<R> {
    type Item = io::Result<R>;

    fn next(&mut self) -> Option<io::Result<R>> {
        if self.failed {
            return None;
        }
        let Head { record, run } = self.heads.pop()?;
        match self.advance(run) {
            Ok(()) => Some(Ok(record)),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

enum Reader<R> {
    File(Box<FileReader>),
    Memory(std::vec::IntoIter<R>),
}

impl<R: DeserializeOwned> Reader<R> {
    fn next(&mut self) -> io::Result<Option<R>> {
        match self {
            Reader::File(reader) => reader.next(),
            Reader::Memory(records) => Ok(records.next()),
        }
    }
}

/// Reads one run; several may read the same file, so each keeps its own place.
struct FileReader {
    from: BufReader<Decoder<'static, BufReader<Placed>>>,
    record: Vec<u8>,
}

struct Placed {
    file: Arc<File>,
    at: u64,
}

impl Read for Placed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut file = &*self.file;
        file.seek(io::SeekFrom::Start(self.at))?;
        let len = file.read(buf)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl FileReader {
    fn new(run: &Run) -> io::Result<FileReader> {
        let placed = BufReader::with_capacity(BUFFER, Placed { file: Arc::clone(&run.file), at: 0 });
        let from = BufReader::with_capacity(BUFFER, Decoder::with_buffer(placed)?);
        Ok(FileReader { from, record: Vec::new() })
    }

    fn next<R: DeserializeOwned>(&mut self) -> io::Result<Option<R>> {
        let mut len = [0; 4];
        let Some((first, rest)) = len.split_first_mut() else { return Ok(None) };
        if self.from.read(std::slice::from_mut(first))? == 0 {
            return Ok(None);
        }
        self.from.read_exact(rest)?;
        self.record.resize(u32::from_le_bytes(len) as usize, 0);
        self.from.read_exact(&mut self.record)?;
        postcard::from_bytes(&self.record).map(Some).map_err(io::Error::other)
    }
}

fn write<R: Serialize>(records: impl Iterator<Item = io::Result<R>>) -> io::Result<Run> {
    let file = tempfile::tempfile()?;
    let mut encoder = Encoder::new(&file, LEVEL)?;
    encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    let mut out = BufWriter::with_capacity(BUFFER, encoder);
    let mut bytes = Vec::new();
    for record in records {
        bytes.clear();
        bytes = postcard::to_extend(&record?, bytes).map_err(io::Error::other)?;
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(&bytes)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    Ok(Run { file: Arc::new(file) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::FAN_IN;
    use super::Runs;
    use super::Sorter;

    proptest! {
        #[test]
        fn runs_come_back_as_one_in_order(
            runs in prop::collection::vec(prop::collection::vec((any::<u8>(), ".{0,3}"), 0..20), 0..3 * FAN_IN),
            mut last in prop::collection::vec((any::<u8>(), ".{0,3}"), 0..20),
        ) {
            let mut expected: Vec<(u8, String)> = runs.iter().flatten().chain(&last).cloned().collect();
            expected.sort();
            let mut sorted = Runs::default();
            for mut run in runs {
                run.sort();
                sorted.add(run.into_iter()).unwrap();
            }
            last.sort();
            for _ in 0..2 {
                let read: Result<Vec<_>, _> = sorted.merged(last.clone()).unwrap().collect();
                prop_assert_eq!(read.unwrap(), expected.clone());
            }
        }
    }

    #[test]
    fn a_sorter_gives_the_same_whether_its_records_fit_into_memory_or_not() {
        let mut read = Vec::new();
        for most_bytes in [usize::MAX, 100] {
            let mut sorter = Sorter::new(most_bytes);
            (0..500u32).for_each(|number| sorter.push(Keyed((number % 7) as u8, number), 8));
            let sorted = sorter.finish().unwrap();
            assert_eq!(sorted.held.is_empty(), most_bytes == 100);
            let numbers = || sorted.iter().unwrap().map(|one| one.unwrap().1).collect::<Vec<_>>();
            assert_eq!(numbers(), numbers());
            read.push(numbers());
        }
        let mut expected: Vec<u32> = (0..500).collect();
        expected.sort_by_key(|number| number % 7);
        assert_eq!(read, [expected.clone(), expected]);
    }

    /// Compares by the first number alone.
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    struct Keyed(u8, u32);

    impl Ord for Keyed {
        fn cmp(&self, other: &Keyed) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Keyed {
        fn partial_cmp(&self, other: &Keyed) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Keyed {
        fn eq(&self, other: &Keyed) -> bool {
            self.0 == other.0
        }
    }

    impl Eq for Keyed {}

    #[test]
    fn equal_records_keep_their_order_through_every_merge() {
        let mut runs = Runs::default();
        let count = (2 * FAN_IN * FAN_IN + 5) as u32;
        for number in 0..count {
            runs.add([Keyed(1, 2 * number), Keyed(1, 2 * number + 1)].into_iter()).unwrap();
        }
        let read: Vec<u32> = runs.merged(vec![Keyed(1, 2 * count)]).unwrap().map(|one| one.unwrap().1).collect();
        assert_eq!(read, (0..=2 * count).collect::<Vec<_>>());
    }
}
