//! One ring buffer, mapped and read.
//!
//! libbpf maps the data twice in a row, so that a record that wraps around is contiguous. The kernel counts both
//! mappings as resident: 64 MiB for rings of 32. Here the data is mapped once, and a record that wraps is put together
//! in a scratch buffer. The layout is that of kernel/bpf/ringbuf.c, which is ABI.

use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use anyhow::Result;
use rustix::mm::ProtFlags;

use super::mapping::Mapping;

/// Of a record's header word: it is reserved and not yet submitted.
const BUSY: u32 = 1 << 31;
/// Of a record's header word: it was given up.
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record.
const HEADER: usize = 8;

/// The mapped pages of a ring: what this process writes, and what the kernel writes.
#[derive(Debug)]
pub(super) struct Ring {
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    size: usize,
    wrapped: Vec<u8>,
}

impl Ring {
    /// Maps a ring of `size` bytes.
    pub(super) fn map(fd: BorrowedFd<'_>, size: usize, page: usize) -> Result<Ring> {
        let consumer = Mapping::new(fd, 0, page, ProtFlags::READ | ProtFlags::WRITE)?;
        let producer = Mapping::new(fd, page, page + size, ProtFlags::READ)?;
        Ok(Ring { consumer, producer, page, size, wrapped: Vec::new() })
    }

    /// Where the records end that are reserved by now.
    pub(super) fn end(&self) -> usize {
        self.producer_position().load(Ordering::Acquire)
    }

    /// Whether every record before `end` has been handed over.
    pub(super) fn is_drained_to(&self, end: usize) -> bool {
        self.consumer_position().load(Ordering::Relaxed) >= end
    }

    /// Hands every record before `end` to `sink`, up to the first that is not submitted yet; returns how many.
    pub(super) fn drain_to(&mut self, end: usize, sink: &mut dyn FnMut(&[u8])) -> usize {
        let mut records = 0;
        let mut position = self.consumer_position().load(Ordering::Relaxed);
        while position < end {
            let at = position & (self.size - 1);
            let word = self.word(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            let length = (word & !DISCARDED) as usize;
            if word & DISCARDED == 0 {
                self.hand_over(at + HEADER, length, sink);
                records += 1;
            }
            position += (length + HEADER).next_multiple_of(HEADER);
            self.consumer_position().store(position, Ordering::Release);
        }
        records
    }

    fn hand_over(&mut self, at: usize, length: usize, sink: &mut dyn FnMut(&[u8])) {
        let before_end = self.size - at.min(self.size);
        if length <= before_end {
            return sink(self.bytes(at, length));
        }
        let mut whole = std::mem::take(&mut self.wrapped);
        whole.clear();
        whole.extend_from_slice(self.bytes(at, before_end));
        whole.extend_from_slice(self.bytes(0, (length - before_end).min(self.size)));
        sink(&whole);
        self.wrapped = whole;
    }

    fn consumer_position(&self) -> &AtomicUsize {
        // SAFETY: the consumer page begins with this word, aligned to the page; the kernel reads it atomically.
        unsafe { self.consumer.start().cast().as_ref() }
    }

    fn producer_position(&self) -> &AtomicUsize {
        // SAFETY: the producer page begins with this word, aligned to the page; the kernel writes it atomically.
        unsafe { self.producer.start().cast().as_ref() }
    }

    /// The first word of the header at a place in the data; headers are aligned to eight bytes, so they never wrap.
    fn word(&self, at: usize) -> &AtomicU32 {
        let at = (at & (self.size - 1)) & !(HEADER - 1);
        // SAFETY: inside the mapped data, aligned to eight bytes; the kernel writes it atomically.
        unsafe { self.producer.start().add(self.page + at).cast().as_ref() }
    }

    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        debug_assert!(at + length <= self.size);
        // SAFETY: inside the mapped data; the kernel writes none of it until the consumer position has passed it.
        unsafe { std::slice::from_raw_parts(self.producer.start().add(self.page + at).as_ptr(), length) }
    }
}
