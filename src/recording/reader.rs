//! Opening recordings, whole and unfinished ones, written by anyone.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::recording::ColumnMeta;
use crate::recording::FORMAT;
use crate::recording::Meta;
use crate::recording::OpenError;
use crate::recording::Scan;
use crate::recording::check;
use crate::recording::checksum;
use crate::recording::guard::guard;
use crate::recording::leaves::Leaf;
use crate::recording::leaves::leaves;
use crate::recording::limits::FOOTER_BYTES;
use crate::recording::names::footer_path;
use crate::recording::names::is_partial;
use crate::recording::names::partial_path;
use crate::recording::names::temporary_path;
use crate::recording::output::MAGIC;
use crate::recording::packed;
use crate::recording::shared_file::SharedFile;
use crate::regular_file;

/// Length of the footer and the magic bytes behind it.
const TAIL: u64 = 8;

/// A recording that is open for reading.
pub struct Recording {
    pub(crate) path: PathBuf,
    pub(crate) source: SharedFile,
    pub(crate) arrow: ArrowReaderMetadata,
    pub(crate) leaves: HashMap<String, Leaf>,
    meta: Meta,
    partial: bool,
    bytes: u64,
    /// Row groups of each kind, by name.
    pub(crate) groups: BTreeMap<String, Vec<usize>>,
}

/// A footer as it was found, and where the rows that it describes end.
pub(crate) struct Footer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows_end: u64,
}

impl Recording {
    /// Opens a recording; an unfinished one (`.partial`) up to its last checkpoint.
    ///
    /// It may be compressed (gzip, zstd) or the one recording in a zip file; `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be read, is not a recording, unpacks to too much, is cut off, is of a newer format, or contradicts itself.
    pub fn open(path: &Path) -> Result<Recording, OpenError> {
        if path == Path::new(packed::STDIN) {
            return Recording::finished(path, packed::unpacked(path, packed::stdin()?)?);
        }
        let source = open_file(path)?;
        if !is_partial(path) {
            return Recording::finished(path, packed::unpacked(path, source)?);
        }
        // The footer is written behind the rows before the name changes.
        match read_footer(path, &source).and_then(|footer| Recording::with_footer(path, source.clone(), footer, true)) {
            Ok(recording) => Ok(recording),
            Err(OpenError::NewerFormat { path, format, version }) => {
                Err(OpenError::NewerFormat { path, format, version })
            }
            Err(_) => {
                let footer = read_sidecar(path, &source)?;
                Recording::with_footer(path, source, footer, true)
            }
        }
    }

    fn finished(path: &Path, source: SharedFile) -> Result<Recording, OpenError> {
        let footer = read_footer(path, &source)?;
        Recording::with_footer(path, source, footer, false)
    }

    pub(crate) fn with_footer(
        path: &Path,
        source: SharedFile,
        footer: Footer,
        partial: bool,
    ) -> Result<Recording, OpenError> {
        let corrupt = |why: String| OpenError::corrupt(path, &why);
        check::footer(&footer.bytes).map_err(corrupt)?;
        let metadata = guard(|| ParquetMetaDataReader::decode_metadata(&footer.bytes)).map_err(corrupt)?;
        let meta = read_meta(path, &metadata)?;
        checksum::verify(&footer.bytes).map_err(corrupt)?;
        check::metadata(&metadata, footer.rows_end).map_err(corrupt)?;
        let schema = metadata.file_metadata().schema_descr();
        let (leaves, arrow_schema) = leaves(schema).map_err(corrupt)?;
        let kind_leaf =
            leaves.get("kind").map(|leaf| leaf.index).ok_or_else(|| corrupt("it has no column 'kind'".to_owned()))?;
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, group) in metadata.row_groups().iter().enumerate().filter(|(_, group)| group.num_rows() > 0) {
            let kind = check::one_value(group, kind_leaf)
                .ok_or_else(|| corrupt(format!("row group {index} does not hold exactly one kind")))?;
            groups.entry(kind.to_owned()).or_default().push(index);
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(arrow_schema);
        let arrow = guard(|| ArrowReaderMetadata::try_new(Arc::new(metadata), options)).map_err(corrupt)?;
        let bytes = source.bytes();
        let source = source.up_to(footer.rows_end);
        Ok(Recording { path: path.to_owned(), source, arrow, leaves, meta, partial, bytes, groups })
    }

    /// What the recording says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The file it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls it by a name other than its path from here on.
    pub(crate) fn call(&mut self, name: &Path) {
        name.clone_into(&mut self.path);
    }

    /// Whether it was opened in its unfinished state.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Size of the file in bytes; of an unfinished one without the footer beside it.
    pub fn file_bytes(&self) -> u64 {
        self.bytes
    }

    /// The kinds that have rows, by name, with their number of rows.
    pub fn kinds(&self) -> Vec<(String, u64)> {
        self.groups.iter().map(|(kind, groups)| (kind.clone(), self.rows_of(groups))).collect()
    }

    /// Number of rows of a kind.
    pub fn rows(&self, kind: &str) -> u64 {
        self.groups.get(kind).map_or(0, |groups| self.rows_of(groups))
    }

    /// Bytes that the rows of a kind take in the file.
    pub fn bytes_of(&self, kind: &str) -> u64 {
        let groups = self.groups.get(kind).into_iter().flatten();
        let groups = groups.filter_map(|index| self.metadata().row_groups().get(*index));
        groups.map(|group| u64::try_from(group.compressed_size()).unwrap_or(0)).fold(0, u64::saturating_add)
    }

    /// Whether any row of a kind may have a value in one of these columns, by what the file says of its row groups.
    pub fn has_values(&self, kind: &str, columns: &[&str]) -> bool {
        let leaves = || columns.iter().filter_map(|name| self.leaves.get(*name));
        let groups = self.groups.get(kind).into_iter().flatten();
        let mut groups = groups.filter_map(|index| self.metadata().row_groups().get(*index));
        groups.any(|group| {
            let nulls = |leaf: &Leaf| group.columns().get(leaf.index)?.statistics()?.null_count_opt();
            leaves().any(|leaf| nulls(leaf) != u64::try_from(group.num_rows()).ok())
        })
    }

    fn rows_of(&self, groups: &[usize]) -> u64 {
        let metadata = self.metadata();
        // Row counts were checked to be neither negative nor huge.
        groups.iter().filter_map(|index| metadata.row_groups().get(*index)).map(|g| g.num_rows() as u64).sum()
    }

    /// The columns as the file describes them, with title, unit and help.
    pub fn columns(&self) -> &[ColumnMeta] {
        &self.meta.columns
    }

    /// Streams some columns of the rows of one kind, in the order of the file.
    ///
    /// A column that the file does not have is null in all rows; a kind that it does not have gives no rows.
    /// Each item is some thousand rows, or what is wrong with the file.
    ///
    /// # Errors
    /// None so far; damage shows when the rows are read.
    pub fn scan(&self, kind: &str, columns: &[&str]) -> Result<Scan, OpenError> {
        Ok(Scan::new(self, kind, columns))
    }

    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The footer alone fills a screen a thousand times over.
        f.debug_struct("Recording").field("path", &self.path).field("kinds", &self.kinds()).finish_non_exhaustive()
    }
}

pub(crate) fn open_file(path: &Path) -> Result<SharedFile, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let file = regular_file::open(path).map_err(|source| {
        let partial = partial_path(path);
        match source.kind() {
            _ if regular_file::is_not_regular(&source) => OpenError::NotRegular { path: path.to_owned() },
            io::ErrorKind::NotFound if partial.is_file() => OpenError::OnlyPartial { path: path.to_owned(), partial },
            _ => io(source),
        }
    })?;
    SharedFile::new(file).map_err(io)
}

/// Reads the footer at the end of a file.
pub(crate) fn read_footer(path: &Path, source: &SharedFile) -> Result<Footer, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let not = |why: &str| OpenError::NotARecording { path: path.to_owned(), why: why.to_owned() };
    let len = source.bytes();
    if len == 0 {
        return Err(not("it is empty"));
    }
    let start = source.read(0, len.min(4)).map_err(io)?;
    if !MAGIC.starts_with(&start) {
        return Err(not("it is not a Parquet file"));
    }
    if len < 4 + TAIL {
        return Err(OpenError::Truncated { path: path.to_owned() });
    }
    let tail = source.read(len - TAIL, TAIL).map_err(io)?;
    let Some(footer_len) = footer_len(&tail) else {
        return Err(OpenError::Truncated { path: path.to_owned() });
    };
    let corrupt = |why: String| OpenError::corrupt(path, &why);
    let rows_end = (len - TAIL)
        .checked_sub(footer_len)
        .filter(|end| *end >= 4)
        .ok_or_else(|| corrupt(format!("its footer claims {footer_len} bytes of the file's {len}")))?;
    if footer_len > FOOTER_BYTES as u64 {
        return Err(corrupt(format!("its footer claims {footer_len} bytes")));
    }
    Ok(Footer { bytes: source.read(rows_end, footer_len).map_err(io)?, rows_end })
}

/// The length of the footer in front of a file's last eight bytes; `None` when they do not end a Parquet file.
fn footer_len(tail: &[u8]) -> Option<u64> {
    let (len, magic) = tail.split_first_chunk::<4>()?;
    (magic == MAGIC).then(|| u64::from(u32::from_le_bytes(*len)))
}

/// Reads the footer beside an unfinished recording.
pub(crate) fn read_sidecar(partial: &Path, source: &SharedFile) -> Result<Footer, OpenError> {
    let why = |why: &str| OpenError::Unrecoverable { path: partial.to_owned(), why: why.to_owned() };
    let sidecar = footer_path(partial);
    let file = match regular_file::open(&sidecar) {
        Ok(file) => file,
        Err(error) if regular_file::is_not_regular(&error) => return Err(why("its footer is not a regular file")),
        // The very first one may have been written and not yet renamed; if it is not whole, that shows below.
        Err(error) if error.kind() == io::ErrorKind::NotFound => regular_file::open(&temporary_path(&sidecar))
            .map_err(|_| why("its footer ('.footer' behind its name) is missing: nothing was checkpointed, or it was not copied along"))?,
        Err(source) => return Err(OpenError::Io { path: sidecar, source }),
    };
    let io = |source| OpenError::Io { path: sidecar.clone(), source };
    let side = SharedFile::new(file).map_err(io)?;
    let len = side.bytes();
    if !(TAIL..=TAIL + FOOTER_BYTES as u64).contains(&len) {
        return Err(why("its footer has an impossible size"));
    }
    let mut bytes = side.read(0, len).map_err(io)?;
    let tail = bytes.split_off(bytes.len().saturating_sub(TAIL as usize));
    if footer_len(&tail) != Some(bytes.len() as u64) {
        return Err(why("its footer is cut off"));
    }
    Ok(Footer { bytes, rows_end: source.bytes() })
}

fn read_meta(path: &Path, metadata: &ParquetMetaData) -> Result<Meta, OpenError> {
    let pairs = metadata.file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let find = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
    let Some(format) = find("ebrec.format") else {
        let why = "it is a Parquet file that ebrec did not write".to_owned();
        return Err(OpenError::NotARecording { path: path.to_owned(), why });
    };
    let corrupt = |why: String| OpenError::corrupt(path, &why);
    let format: u32 = format.parse().map_err(|_| corrupt("its format is not a number".to_owned()))?;
    if format > FORMAT {
        let version = find("ebrec.version").unwrap_or_default();
        let version = version.chars().filter(|c| c.is_ascii_alphanumeric() || ".+-".contains(*c)).take(32).collect();
        return Err(OpenError::NewerFormat { path: path.to_owned(), format, version });
    }
    let known = pairs.iter().filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?)));
    Meta::from_pairs(known).map_err(|error| corrupt(error.to_string()))
}
