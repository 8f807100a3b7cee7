//! The recording: one Parquet file that holds everything needed to read it. This module is the one place that knows it.
//!
//! The format is described for outsiders in the manual page `ebrec-recording(5)` (`man/ebrec-recording.5`). In short: one
//! flat, nullable schema, always complete; row groups of one kind each; integers, text and microseconds in the types
//! that every engine reads; what the file says of itself as JSON in the footer, and as rows of kind `recording`.
//!
//! **Writing** takes two threads. One gathers rows in column builders ([`Rows`], [`Row`]) and hands them over as
//! [`Batch`]es; the other gives them to a [`Writer`], calls [`Writer::checkpoint`] once a second, and
//! [`Writer::finish`] at the end.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! use ebrec::recording::{Existing, Identity, Recording, Rows, Schema, Writer, column, recover};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let schema = Arc::new(Schema::new([]));
//! let identity = Identity { host: "box".to_owned(), run_id: "7f3a".to_owned() };
//! let mut writer = Writer::create("run.parquet".as_ref(), Arc::clone(&schema), identity, Existing::Keep)?;
//! let mut rows = Rows::new(schema, 1_700_000_000_000_000_000);
//! rows.row("exec").at(1_000).int(column::PID, 42).bytes(column::COMM, b"bash\0\0");
//! for batch in rows.take(1, true) {
//!     writer.write(batch)?;
//! }
//! writer.checkpoint()?; // from here on a kill loses nothing of it
//! let finished = writer.finish(Duration::from_secs(5))?;
//!
//! let recording = Recording::open(&finished.path)?;
//! for chunk in recording.scan("exec", &["pid", "comm"])? {
//!     let chunk = chunk?;
//!     let (pids, comms) = (chunk.int(0), chunk.text(1));
//!     for row in 0..chunk.len() {
//!         println!("{:?} {:?}", pids.get(row), comms.get(row));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **A recording is valid at every moment after its first checkpoint.** Rows go to `run.parquet.partial`; a checkpoint
//! closes all row groups, syncs the data, and renames a footer for it into place beside it. Offsets in a footer are
//! absolute, so the two files joined are a recording. [`Recording::open`] opens the unfinished file by itself,
//! [`recover()`] finishes it.
//!
//! **Row groups stay few.** One a second and kind would make the footer of an hour hundreds of megabytes, so small ones
//! are merged while recording once hundreds have piled up, and all of them at the end, into a file without gaps.
//!
//! **Reading trusts nothing.** Recordings come from strangers: everything that a file announces is held against its real
//! size, or a bound, before anything is allocated by it (`check`); panics of the decoder end in an error (`guard`).

/// The version of the file format that this library writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

mod batch;
mod check;
mod checksum;
mod chunk;
mod encode;
pub mod error;
mod escape;
mod finish;
mod fit;
mod footer;
mod glance;
mod group;
mod guard;
mod holds;
mod intern;
mod kinds;
mod layout;
mod leaves;
mod leftovers;
mod limits;
mod merge;
pub mod meta;
pub mod names;
mod narrow;
mod output;
mod packed;
pub mod reader;
pub mod recover;
pub mod rolling;
pub mod rows;
mod scan;
pub mod schema;
mod search;
mod shared_file;
mod size;
mod splice;
mod thin;
mod thinning;
mod thrift;
pub mod writer;

pub use self::batch::Batch;
pub use self::chunk::Bools;
pub use self::chunk::Cell;
pub use self::chunk::Chunk;
pub use self::chunk::Doubles;
pub use self::chunk::Ints;
pub use self::chunk::Lists;
pub use self::chunk::Texts;
pub use self::chunk::Times;
pub use self::error::OpenError;
pub use self::error::WriteError;
pub use self::escape::unescape;
pub use self::finish::Finished;
pub(crate) use self::glance::glance;
pub use self::holds::Holds;
pub use self::kinds::CORE_KINDS;
pub use self::kinds::CoreKind;
pub use self::meta::BudgetMeta;
pub use self::meta::CaptureMeta;
pub use self::meta::ClockAnchor;
pub use self::meta::ColumnMeta;
pub use self::meta::EventMeta;
pub use self::meta::FiredMeta;
pub use self::meta::HostMeta;
pub use self::meta::KindMeta;
pub(crate) use self::meta::LEFT_OUT;
pub use self::meta::LastMeta;
pub use self::meta::Meta;
pub use self::meta::MetaError;
pub use self::meta::MetricMeta;
pub use self::meta::ProbeOutcome;
pub use self::meta::ProbeState;
pub use self::meta::ThinnedMeta;
pub use self::meta::TriggerMeta;
pub use self::meta::Window;
pub use self::names::finished_path;
pub use self::names::footer_path;
pub use self::names::is_finished;
pub use self::names::is_partial;
pub use self::names::partial_path;
pub use self::narrow::NarrowBatch;
pub(crate) use self::packed::STDIN;
pub use self::reader::Recording;
pub use self::recover::RecoverError;
pub use self::recover::Recovered;
pub use self::recover::recover;
pub use self::rolling::Copy;
pub use self::rolling::Span;
pub use self::rows::Row;
pub use self::rows::RowSoFar;
pub use self::rows::Rows;
pub use self::scan::Scan;
pub use self::schema::CORE;
pub use self::schema::Column;
pub use self::schema::ColumnId;
pub use self::schema::ColumnType;
pub use self::schema::Schema;
pub use self::schema::column;
pub(crate) use self::search::Counts;
pub(crate) use self::search::Extent;
pub(crate) use self::search::IsOut;
pub(crate) use self::search::Longest;
pub(crate) use self::search::MayHold;
pub(crate) use self::search::Search;
pub use self::writer::Existing;
pub use self::writer::Identity;
pub use self::writer::Writer;
