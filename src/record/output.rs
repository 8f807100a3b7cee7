//! The file that a recording goes to: opened before anything is attached, so that a bad path fails first.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::failure::Failure;
use crate::host::Host;
use crate::recording::Existing;
use crate::recording::Identity;
use crate::recording::Schema;
use crate::recording::WriteError;
use crate::recording::Writer;

/// The name of a recording that was given none.
const DEFAULT: &str = "run.parquet";
/// Names that are tried when that one is taken.
const NAMES: u32 = 10_000;

/// Opens the output, owned by who called sudo.
///
/// # Errors
/// The file exists and may not be replaced, or the directory refuses.
pub(super) fn open(output: Option<&Path>, force: bool, schema: &Arc<Schema>, host: &Host, id: &str) -> Result<Writer> {
    let identity = Identity { host: host.hostname.clone(), run_id: id.to_owned() };
    let create = |path: &Path, existing| Writer::create(path, Arc::clone(schema), identity.clone(), existing);
    let mut writer = match output {
        Some(path) => {
            let existing = if force { Existing::Replace } else { Existing::Keep };
            create(path, existing).map_err(failure)?
        }
        None => free_name(create)?,
    };
    if let Some(invoker) = &host.invoker {
        writer.set_owner(invoker.uid, invoker.gid)?;
    }
    Ok(writer)
}

fn free_name(create: impl Fn(&Path, Existing) -> Result<Writer, WriteError>) -> Result<Writer> {
    for number in 1..NAMES {
        let path = match number {
            1 => PathBuf::from(DEFAULT),
            _ => PathBuf::from(DEFAULT.replace(".parquet", &format!("-{number}.parquet"))),
        };
        match create(&path, Existing::Keep) {
            Err(WriteError::Exists { .. } | WriteError::PartialExists { .. }) => {}
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
