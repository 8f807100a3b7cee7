//! A file as the decoder reads it: by offset, never past the end that was checked, never allocating what is not there.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use parquet::file::reader::Length;

/// A file of a known length; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile {
    file: Arc<Mutex<File>>,
    len: u64,
}

/// The file's bytes from an offset on.
#[derive(Debug)]
pub(crate) struct SharedFileReader {
    source: SharedFile,
    at: u64,
}

impl SharedFile {
    pub(crate) fn new(file: File) -> io::Result<SharedFile> {
        let len = file.metadata()?.len();
        Ok(SharedFile { file: Arc::new(Mutex::new(file)), len })
    }

    /// The same file up to here only.
    pub(crate) fn up_to(&self, len: u64) -> SharedFile {
        SharedFile { file: Arc::clone(&self.file), len: self.len.min(len) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.len
    }

    /// The whole file, from its beginning on.
    pub(crate) fn reader(&self) -> SharedFileReader {
        SharedFileReader { source: self.clone(), at: 0 }
    }

    /// Reads `len` bytes at an offset; an error when the file does not have them all.
    pub(crate) fn read(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let end = at.checked_add(len).filter(|end| *end <= self.len);
        let len = end.and_then(|_| usize::try_from(len).ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; len];
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        // A panic elsewhere cannot leave the file in a state that matters: every read seeks first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(to)
    }
}

impl Read for SharedFileReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len.saturating_sub(self.at);
        let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        if let Some(buf) = buf.get_mut(..len) {
            self.source.fill(self.at, buf)?;
            self.at += len as u64;
        }
        Ok(len)
    }
}

impl Seek for SharedFileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<SharedFileReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        // Only page headers are read this way, and they are short.
        Ok(BufReader::with_capacity(256, SharedFileReader { source: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.read(start, length as u64)?.into())
    }
}
