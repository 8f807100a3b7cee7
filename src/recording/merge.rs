//! Merging small row groups of a kind into large ones: while recording, lest the footer grow, and at the end.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::array::BooleanArray;
use arrow::compute::filter;
use arrow::datatypes::Int32Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::recording::ColumnId;
use crate::recording::Recording;
use crate::recording::footer::Group;
use crate::recording::footer::Template;
use crate::recording::footer::encode_group;
use crate::recording::group::OpenGroup;
use crate::recording::layout::Layout;
use crate::recording::output::Output;
use crate::recording::reader::Footer;
use crate::recording::scan::GroupReader;
use crate::recording::shared_file::SharedFile;
use crate::regular_file;

/// A row group with fewer rows is small.
pub(crate) const SMALL_ROWS: u64 = 64 << 10;
/// While recording, nothing is merged before there are so many row groups in all.
///
/// Every checkpoint writes a footer of all of them, at some four kilobytes each. A recording of half a minute never gets here.
const MANY: usize = 256;
/// So many small row groups of a kind, merged as often as each other, become one.
const FAN_IN: usize = 8;

/// Why merging ended early. Nobody is told: the row groups stay as they were, and a disk that is full shows elsewhere.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The time is over.
    Late,
    /// The file could not be read or written.
    Failed(ParquetError),
}

impl From<ParquetError> for Stopped {
    fn from(error: ParquetError) -> Stopped {
        Stopped::Failed(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Failed(error.into())
    }
}

fn is_late(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() > deadline)
}

/// The runs of small row groups that are worth merging while recording: of one kind, with none of that kind in between.
pub(crate) fn due(groups: &[Group]) -> Vec<Vec<usize>> {
    if groups.len() < MANY {
        return Vec::new();
    }
    runs(groups, |run, next| run.level == next.level && run.generation == next.generation)
        .into_iter()
        .filter(|run| run.len() >= FAN_IN)
        .collect()
}

/// All runs of small row groups of one kind.
pub(crate) fn small(groups: &[Group]) -> Vec<Vec<usize>> {
    runs(groups, |run, next| run.generation == next.generation).into_iter().filter(|run| run.len() > 1).collect()
}

/// Small row groups of one kind that follow each other among those of that kind, by their places.
fn runs(groups: &[Group], alike: impl Fn(&Group, &Group) -> bool) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    // The run that each kind's next row group would belong to.
    let mut open: Vec<(&str, Option<usize>)> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let at = open.iter().position(|(kind, _)| *kind == group.kind).unwrap_or_else(|| {
            open.push((&group.kind, None));
            open.len() - 1
        });
        let Some((_, run)) = open.get_mut(at) else { continue };
        if group.rows >= SMALL_ROWS {
            *run = None;
            continue;
        }
        let last = run.and_then(|run| runs.get_mut(run));
        match last {
            Some(last) if last.last().and_then(|last| groups.get(*last)).is_some_and(|last| alike(last, group)) => {
                last.push(index);
            }
            _ => {
                *run = Some(runs.len());
                runs.push(vec![index]);
            }
        }
    }
    runs
}

/// Which of so many rows stay when row groups are merged; `None`: all of them.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(usize) -> Option<BooleanArray>;

/// All rows stay.
pub(crate) fn all(_: usize) -> Option<BooleanArray> {
    None
}

/// Columns of rows.
pub(crate) type Arrays = Vec<(ColumnId, ArrayRef)>;

/// The rows that stay, and how many they are.
pub(crate) fn kept(arrays: Arrays, mask: &BooleanArray) -> Result<(usize, Arrays), ParquetError> {
    let filtered = arrays.into_iter().map(|(id, array)| {
        let kept = filter(&array, mask).map_err(|error| ParquetError::General(error.to_string()))?;
        Ok((id, kept))
    });
    Ok((mask.true_count(), filtered.collect::<Result<_, ParquetError>>()?))
}

/// The unfinished file, open for reading beside the one that writes it.
pub(crate) struct Input {
    path: PathBuf,
    file: File,
    source: SharedFile,
    rows_end: u64,
}

impl Input {
    /// Opens the file up to what is whole in it. It stays readable when another file takes its name.
    pub(crate) fn open(path: &Path, rows_end: u64) -> io::Result<Input> {
        let (source, file) = (SharedFile::new(regular_file::open(path)?)?, regular_file::open(path)?);
        Ok(Input { path: path.to_owned(), source, file, rows_end })
    }

    fn recording(&self, groups: &[&Group], template: &Template) -> Result<Recording, ParquetError> {
        let mut bytes = template.footer(groups.iter().copied())?;
        bytes.truncate(bytes.len().saturating_sub(8));
        let footer = Footer { bytes, rows_end: self.rows_end };
        let recording = Recording::with_footer(&self.path, self.source.clone(), footer, true);
        recording.map_err(|error| ParquetError::General(error.to_string()))
    }

    /// Reads the rows of these row groups, all of one kind, some thousand at a time.
    pub(crate) fn read(
        &self,
        groups: &[&Group],
        template: &Template,
        layout: &mut Layout,
        mut take: impl FnMut(usize, Vec<(ColumnId, ArrayRef)>, &mut Layout) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let recording = self.recording(groups, template)?;
        // The first three columns are the same in all rows of a row group, and are not read.
        let leaves: Vec<usize> = (3..layout.schema.columns().len()).collect();
        for index in 0..groups.len() {
            let reader = GroupReader::new(&recording.source, &recording.arrow, index, leaves.clone(), None);
            let mut reader = reader.map_err(ParquetError::General)?;
            while let Some((rows, arrays)) = reader.next().map_err(ParquetError::General)? {
                // Schemas have fewer columns than 2^16.
                let ids = reader.leaves().iter().map(|leaf| ColumnId(*leaf as u16));
                take(rows, ids.zip(arrays).collect(), layout)?;
            }
        }
        Ok(())
    }

    /// Appends the rows of these row groups, all of one kind, to the output as new ones.
    pub(crate) fn merge(
        &self,
        groups: &[&Group],
        template: &Template,
        layout: &mut Layout,
        output: &mut Output,
        deadline: Option<Instant>,
        keep: Keep<'_>,
    ) -> Result<Vec<Group>, Stopped> {
        let Some(kind) = groups.first().map(|group| group.kind.clone()) else { return Ok(Vec::new()) };
        let level = groups.iter().map(|group| group.level).max().unwrap_or(0).saturating_add(1);
        let generation = groups.iter().map(|group| group.generation).max().unwrap_or(0);
        let mut merged = Vec::new();
        let mut open = OpenGroup::new(&kind);
        self.read(groups, template, layout, |rows, arrays, layout| {
            if is_late(deadline) {
                return Err(Stopped::Late);
            }
            let (rows, arrays) = match keep(rows) {
                Some(mask) => kept(arrays, &mask)?,
                None => (rows, arrays),
            };
            if rows > 0 {
                merged.extend(push_arrays(&mut open, rows, &arrays, level, layout, output)?);
            }
            Ok(())
        })?;
        if open.rows() > 0 {
            merged.push(open.close(level, layout, output)?);
        }
        merged.iter_mut().for_each(|group| group.generation = generation);
        Ok(merged)
    }

    /// Appends a row group to the output as it is.
    pub(crate) fn copy(
        &self,
        group: &Group,
        template: &Template,
        layout: &Layout,
        output: &mut Output,
        deadline: Option<Instant>,
    ) -> Result<Group, Stopped> {
        let Range { start, end } = group.bytes;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        let mut left = end - start;
        while left > 0 {
            if is_late(deadline) {
                return Err(Stopped::Late);
            }
            let copied = io::copy(&mut file.take(left.min(4 << 20)), output.tracked())?;
            if copied == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            left -= copied;
        }
        let to = output.good();
        output.keep()?;
        let mut footer = template.footer([group].into_iter())?;
        footer.truncate(footer.len().saturating_sub(8));
        let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
        let found =
            metadata.row_groups().first().ok_or_else(|| ParquetError::General("a row group is missing".to_owned()))?;
        let shift = to as i64 - start as i64;
        let mut builder = found.clone().into_builder();
        let columns = builder.take_columns().into_iter().map(|column| {
            let (data, dictionary) = (column.data_page_offset(), column.dictionary_page_offset());
            column
                .into_builder()
                .set_data_page_offset(data + shift)
                .set_dictionary_page_offset(dictionary.map(|offset| offset + shift))
                .build()
        });
        let columns = columns.collect::<Result<Vec<_>, ParquetError>>()?;
        let metadata = builder.set_column_metadata(columns).set_file_offset(to as i64).build()?;
        let encoded = encode_group(&metadata, layout)?;
        Ok(Group { bytes: to..output.good(), encoded, ..group.clone() })
    }
}

/// Adds rows to an open row group, which is appended to the output first if it has no room for them, and afterwards if it is full.
pub(crate) fn push_arrays(
    open: &mut OpenGroup,
    rows: usize,
    arrays: &[(ColumnId, ArrayRef)],
    level: u8,
    layout: &mut Layout,
    output: &mut Output,
) -> Result<Vec<Group>, ParquetError> {
    let mut closed = Vec::new();
    let kind = open.kind.clone();
    let mut close = |open: &mut OpenGroup, layout: &mut Layout| {
        std::mem::replace(open, OpenGroup::new(&kind)).close(level, layout, output).map(|group| closed.push(group))
    };
    if !open.has_room(rows, text_bytes(arrays), list_values(arrays)) {
        close(open, layout)?;
    }
    open.push_arrays(rows, arrays, layout)?;
    if open.is_full() {
        close(open, layout)?;
    }
    Ok(closed)
}

/// Length of the texts that columns of texts refer to.
fn text_bytes(arrays: &[(ColumnId, ArrayRef)]) -> usize {
    let texts = |array: &ArrayRef| {
        Some(array.as_dictionary_opt::<Int32Type>()?.values().as_string_opt::<i32>()?.value_data().len())
    };
    arrays.iter().filter_map(|(_, array)| texts(array)).sum()
}

/// Elements of the column with the most in its lists.
fn list_values(arrays: &[(ColumnId, ArrayRef)]) -> usize {
    let lists = arrays.iter().filter_map(|(_, array)| array.as_list_opt::<i32>());
    lists.map(|list| list.values().len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Group;
    use super::SMALL_ROWS;
    use super::due;
    use super::small;

    fn group(kind: &str, rows: u64, level: u8) -> Group {
        Group { kind: kind.to_owned(), rows, level, generation: 0, bytes: 0..0, encoded: Vec::new() }
    }

    #[test]
    fn small_row_groups_of_a_kind_are_merged_whatever_stands_between_them() {
        let groups =
            [group("exec", 5, 0), group("exit", 5, 0), group("exec", 5, 1), group("stack", 5, 0), group("exit", 5, 0)];
        assert_eq!(small(&groups), [vec![0, 2], vec![1, 4]]);
    }

    #[test]
    fn rows_never_pass_those_of_a_large_row_group_of_their_kind() {
        let groups = [
            group("exec", 5, 0),
            group("exec", 5, 0),
            group("exec", SMALL_ROWS, 0),
            group("exec", 5, 0),
            group("exit", 5, 0),
        ];
        assert_eq!(small(&groups), [vec![0, 1]]);
    }

    #[test]
    fn a_short_recording_is_not_merged_while_it_runs() {
        let groups: Vec<Group> = (0..100).map(|_| group("exec", 5, 0)).collect();
        assert!(due(&groups).is_empty());
    }

    #[test]
    fn row_groups_of_different_generations_are_not_merged() {
        let of = |generation| Group { generation, ..group("exec", 5, 0) };
        let groups: Vec<Group> = (0..300).map(|number| of(number / 200)).collect();
        assert_eq!(small(&groups), [(0..200).collect::<Vec<usize>>(), (200..300).collect()]);
        assert_eq!(due(&groups), small(&groups));
    }

    #[test]
    fn merged_row_groups_wait_for_others_that_were_merged_as_often() {
        let mut groups: Vec<Group> = (0..7).map(|_| group("exec", 5, 1)).collect();
        groups.extend((0..300).map(|_| group("exec", 5, 0)));
        groups.push(group("exit", 5, 0));
        assert_eq!(due(&groups), [(7..307).collect::<Vec<usize>>()]);
        groups.insert(0, group("exec", 5, 1));
        assert_eq!(due(&groups).len(), 2);
    }
}
