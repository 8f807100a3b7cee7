//! The least that `--max-size` can be: what a recording takes in which nothing happened.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::record::describe::Attempt;
use crate::record::describe::Description;
use crate::record::describe::Hooks;
use crate::record::select::Chosen;
use crate::record::state::State;
use crate::recording::CORE_KINDS;
use crate::recording::Existing;
use crate::recording::Identity;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::Writer;
use crate::units;

/// Limits are told in whole ones.
const STEP: u64 = 1 << 10;

/// The chosen probes as if all of them ran.
pub(super) fn attempts(chosen: &[Chosen], registry: &[&'static crate::probe::ProbeInfo]) -> Vec<Attempt> {
    let attempt = |Chosen { index, settings, .. }: &Chosen| {
        let info = registry.get(*index)?;
        let outcome = Ok(Hooks::default());
        Some(Attempt { name: info.name, switches: info.switches, settings: *settings, outcome })
    };
    chosen.iter().filter_map(attempt).collect()
}

/// Refuses a limit that leaves no room for anything but the description of the recording.
///
/// # Errors
/// The limit is too small, or an empty recording can't be made in the directory for temporary files.
pub(super) fn check(most: u64, description: &Description, schema: &Arc<Schema>, identity: Identity) -> Result<()> {
    let least = least(description, schema, identity).context("can't make an empty recording, to see what it takes")?;
    if most >= least {
        return Ok(());
    }
    let problem = format!("--max-size '{}' is less than an empty recording takes", units::bytes(most));
    Err(Failure::usage(problem).hint(format!("the least that works here: --max-size {}KiB", least / STEP)).into())
}

/// An empty recording with a row of each kind that any may have, and a quarter more: hooks are named once they are attached, and numbers grow.
fn least(description: &Description, schema: &Arc<Schema>, identity: Identity) -> Result<u64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("empty.parquet");
    let mut writer = Writer::create(&path, Arc::clone(schema), identity, Existing::Keep)?;
    writer.set_meta(&description.meta(&State::default(), "size limit"));
    let mut rows = Rows::new(Arc::clone(schema), 0);
    for kind in CORE_KINDS {
        rows.row(kind.name).at(0);
    }
    for batch in rows.take(0, true) {
        writer.write(batch)?;
    }
    let bytes = writer.finish(Duration::ZERO)?.bytes;
    Ok((bytes + bytes / 4).next_multiple_of(STEP))
}
