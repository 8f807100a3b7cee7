//! Recordings as people send them: compressed, in a bundle, or through a pipe.
//!
//! A reader of Parquet goes from place to place in its file, so what is packed is unpacked into a temporary file first, one without a
//! name, which is gone when the process ends.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use crate::recording::OpenError;
use crate::recording::error::one_line;
use crate::recording::limits::BUNDLE_ENTRIES;
use crate::recording::limits::UNPACKED_BYTES;
use crate::recording::limits::UNPACKED_RATIO;
use crate::recording::shared_file::SharedFile;

/// The path that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// Bytes that a compressed file may unpack to however small it is.
const UNPACKED_AT_LEAST: u64 = 16 << 20;

/// Bytes of zstd's window: what its command line unpacks without being asked to.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a file is packed, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packing {
    Gzip,
    Zstd,
    Zip,
}

impl Packing {
    fn of(start: &[u8]) -> Option<Packing> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            [b'P', b'K', 3, 4, ..] => Some(Packing::Zip),
            _ => None,
        }
    }
}

/// What standard input has: the file itself if it is one, else everything that comes out of the pipe.
///
/// # Errors
/// Standard input is a terminal, gives nothing or too much, or can't be read.
pub(crate) fn stdin() -> Result<SharedFile, OpenError> {
    let path = Path::new(STDIN);
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(io)?);
        if file.metadata().map_err(io)?.is_file() {
            return SharedFile::new(file).map_err(io);
        }
    }
    if std::io::IsTerminal::is_terminal(&io::stdin()) {
        let why = "it is a terminal".to_owned();
        return Err(OpenError::NotARecording { path: path.to_owned(), why });
    }
    copy(path, io::stdin().lock(), UNPACKED_BYTES)
}

/// A file as it is, or what is packed in it.
///
/// # Errors
/// It is packed, and what is in it is damaged, too much, or no recording.
pub(crate) fn unpacked(path: &Path, source: SharedFile) -> Result<SharedFile, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let start = source.read(0, source.bytes().min(4)).map_err(io)?;
    let Some(packing) = Packing::of(&start) else { return Ok(source) };
    let most = UNPACKED_BYTES.min(UNPACKED_AT_LEAST.max(source.bytes().saturating_mul(UNPACKED_RATIO)));
    let packed = source.reader();
    match packing {
        Packing::Gzip => copy(path, MultiGzDecoder::new(packed), most),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(packed).map_err(io)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(io)?;
            copy(path, decoder, most)
        }
        Packing::Zip => from_bundle(path, &source, most),
    }
}

/// The one recording in a bundle.
fn from_bundle(path: &Path, source: &SharedFile, most: u64) -> Result<SharedFile, OpenError> {
    let corrupt = |error: zip::result::ZipError| OpenError::corrupt(path, &format!("its bundle: {error}"));
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if entries(source).map_err(io)?.is_some_and(|entries| entries > BUNDLE_ENTRIES) {
        return Err(OpenError::corrupt(path, &format!("its bundle has more than {BUNDLE_ENTRIES} files")));
    }
    let mut bundle = ZipArchive::new(source.reader()).map_err(corrupt)?;
    let names = bundle.file_names().enumerate().filter_map(|(index, name)| Some((index, name.ok()?)));
    let found: Vec<(usize, String)> =
        names.filter(|(_, name)| name.ends_with(".parquet")).map(|(index, name)| (index, name.into_owned())).collect();
    let index = match found.as_slice() {
        [(index, _)] => *index,
        [] => {
            let why = "no file in it ends in '.parquet'".to_owned();
            return Err(OpenError::NotARecording { path: path.to_owned(), why });
        }
        [(_, first), (_, second), ..] => {
            let why = format!(
                "it has several, such as {} and {}; unpack them and name one",
                one_line(first).trim(),
                one_line(second).trim()
            );
            return Err(OpenError::NotARecording { path: path.to_owned(), why });
        }
    };
    copy(path, bundle.by_index(index).map_err(corrupt)?, most)
}

/// How many files a bundle says it has, by the largest of all records that could be its directory's end: no other is read.
fn entries(source: &SharedFile) -> io::Result<Option<u16>> {
    const END: [u8; 4] = *b"PK\x05\x06";
    /// The record and the longest comment behind it.
    const FARTHEST: u64 = 22 + 0xffff;
    let len = source.bytes().min(FARTHEST);
    let tail = source.read(source.bytes() - len, len)?;
    let ends = tail.windows(12).filter(|window| window.starts_with(&END));
    Ok(ends.filter_map(|end| Some(u16::from_le_bytes(*end.get(10..)?.first_chunk()?))).max())
}

/// Everything that comes out of a reader, in a file without a name.
fn copy(path: &Path, mut from: impl Read, most: u64) -> Result<SharedFile, OpenError> {
    let unpacked = |action: &str, source: io::Error| {
        let source = io::Error::new(source.kind(), format!("{action}: {source}"));
        OpenError::Io { path: path.to_owned(), source }
    };
    let mut file = tempfile::tempfile().map_err(|error| unpacked("a temporary file", error))?;
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0u64;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(OpenError::corrupt(path, &format!("it doesn't unpack: {error}"))),
        };
        total += read as u64;
        if total > most {
            return Err(OpenError::TooLarge { path: path.to_owned(), most });
        }
        file.write_all(buffer.get(..read).unwrap_or_default())
            .map_err(|error| unpacked("a temporary file (TMPDIR says where)", error))?;
    }
    SharedFile::new(file).map_err(|error| unpacked("a temporary file", error))
}
