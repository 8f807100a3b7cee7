//! The file that a recording goes to: opened before anything is attached, so that a bad path fails first.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::failure::Failure;
use crate::host::Host;
use crate::output::sink::Sink;
use crate::record::spool::Spool;
use crate::recording::Existing;
use crate::recording::Identity;
use crate::recording::Schema;
use crate::recording::WriteError;
use crate::recording::Writer;

/// The name of a recording that was given none.
const DEFAULT: &str = "run.parquet";
/// Names that are tried when that one is taken.
const NAMES: u32 = 10_000;

/// An output that is open.
pub(super) struct Output {
    /// Where the rows go.
    pub(super) writer: Writer,
    /// What the finished file is copied into, where that is a pipe or a device.
    pub(super) spool: Option<Spool>,
}

impl Output {
    /// Opens the output, owned by who called sudo.
    ///
    /// # Errors
    /// The file exists and may not be replaced, the directory refuses, or it is something that can't be written to.
    pub(super) fn open(
        sink: Option<&Sink>,
        force: bool,
        schema: &Arc<Schema>,
        host: &Host,
        id: &str,
    ) -> Result<Output> {
        let identity = Identity { host: host.hostname.clone(), run_id: id.to_owned() };
        let create = |path: &Path, existing| Writer::create(path, Arc::clone(schema), identity.clone(), existing);
        let spool = sink.map(|sink| Spool::open(sink, host.invoker.as_ref())).transpose()?.flatten();
        let writer = match (sink, &spool) {
            (_, Some(spool)) => create(&spool.file(), Existing::Keep).map_err(failure),
            (Some(Sink::File(path)), _) => {
                create(path, if force { Existing::Replace } else { Existing::Keep }).map_err(failure)
            }
            _ => free_name(create),
        };
        let give_away = |mut writer: Writer| {
            if let Some(invoker) = &host.invoker {
                writer.set_owner(invoker.uid, invoker.gid)?;
            }
            Ok(writer)
        };
        match writer.and_then(give_away) {
            Ok(writer) => Ok(Output { writer, spool }),
            Err(error) => {
                spool.iter().for_each(Spool::discard);
                Err(error)
            }
        }
    }
}

fn free_name(create: impl Fn(&Path, Existing) -> Result<Writer, WriteError>) -> Result<Writer> {
    for number in 1..NAMES {
        let path = match number {
            1 => PathBuf::from(DEFAULT),
            _ => PathBuf::from(DEFAULT.replace(".parquet", &format!("-{number}.parquet"))),
        };
        match create(&path, Existing::Keep) {
            Err(
                WriteError::Exists { .. }
                | WriteError::PartialExists { .. }
                | WriteError::Running { .. }
                | WriteError::NotRegular { .. }
                | WriteError::Directory { .. },
            ) => {}
            other => return other.map_err(failure),
        }
    }
    Err(Failure::run(format!("'{DEFAULT}' and {NAMES} names like it are taken")).hint("name the file: -o FILE").into())
}

fn failure(error: WriteError) -> anyhow::Error {
    let failure = Failure::from_error(&error);
    match error {
        WriteError::Exists { .. } => failure.hint("--force replaces it").into(),
        _ => failure.into(),
    }
}
