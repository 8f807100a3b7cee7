//! The end of a recording that may not be larger than so many bytes.
//!
//! Merged, nearly every recording is small enough, since the window ended before it was not. Where it is too large, row groups are left out
//! or cut until it is not, the latest events first. What is left out is counted as lost, in rows and in the footer.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arrow::array::BooleanArray;

use crate::recording::Rows;
use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::column;
use crate::recording::finish::Finished;
use crate::recording::finish::NotWritten;
use crate::recording::footer::Group;
use crate::recording::group::OpenGroup;
use crate::recording::merge;
use crate::recording::output::MAGIC;
use crate::recording::size::cost;
use crate::recording::writer::RECORDING;

/// The kind of the rows that state losses.
const LOST: &str = "lost";
/// The cause of what is left out.
const CAUSE: &str = "size limit";
/// What a loss of rows that belong to no probe is named.
const OURSELVES: &str = "ebrec";
/// A row group is not cut to fewer rows.
const FEWEST_ROWS: u64 = 512;
/// How often a merged file is made that may turn out too large. Each is smaller than the one before.
const TRIES: u32 = 3;

/// Rows of a row group that stay if it gets so many bytes smaller: nine tenths of those that fit, as fewer rows are less alike. Nothing where
/// they are not worth a row group.
fn rows_that_fit(group: &Group, over: u64) -> Option<u64> {
    let (bytes, rows) = (u128::from(cost(group).max(1)), u128::from(group.rows));
    let room = bytes.saturating_sub(over.into());
    let rows = (rows * room * 9 / 10 / bytes) as u64;
    (rows >= FEWEST_ROWS).then_some(rows)
}

impl Writer {
    /// Ends the file within its limit.
    ///
    /// # Errors
    /// As [`Writer::finish`]; and the limit is less than what states that everything was left out.
    pub(super) fn finish_within(mut self, most: u64, budget: Duration) -> Result<Finished, WriteError> {
        let deadline = Instant::now().checked_add(budget);
        self.state_left_out()?;
        for _ in 0..TRIES {
            // What a kill leaves from here on has all rows. Where the disk is full, the end of the file may still fit.
            let _ = self.write_sidecar();
            let runs = merge::small(&self.groups);
            match self.rewrite(&runs, deadline, Some(most)) {
                Ok(finished) => return Ok(finished),
                Err(NotWritten::Written(error)) => return Err(error),
                Err(NotWritten::Stopped) => break,
                Err(NotWritten::TooLarge(bytes)) => {
                    // As many times smaller as it is too large, and a fiftieth more: less is alike in what is left.
                    let now = u128::from(self.ended_bytes()?);
                    let target = now * u128::from(most) / u128::from(bytes.max(1)) * 49 / 50;
                    let target = u64::try_from(target).unwrap_or(most);
                    self.thin_until(Writer::ended_bytes, target)?;
                    self.leave_out(target)?;
                }
            }
        }
        // Row groups that are copied in the file's order take no byte more.
        self.leave_out(most)?;
        let _ = self.write_sidecar();
        self.groups.sort_by_key(|group| group.bytes.start);
        match self.rewrite(&[], None, Some(most)) {
            Ok(finished) => Ok(finished),
            Err(NotWritten::Written(error)) => Err(error),
            // The disk is full. Without gaps from merging, the file that is there is small enough.
            _ if self.output.good() + self.footer_bytes()? <= most => self.end_in_place(false),
            _ => Err(WriteError::io("write", &self.output.path)(io::ErrorKind::StorageFull.into())),
        }
    }

    /// Leaves out row groups until those that are left take no more than `most` bytes with their footer, as they are.
    fn leave_out(&mut self, most: u64) -> Result<(), WriteError> {
        loop {
            let mut bytes = self.ended_bytes()?;
            if bytes <= most {
                return Ok(());
            }
            let mut any = false;
            while bytes > most {
                let Some(limit) = &self.limit else { return Ok(()) };
                let latest = self.groups.iter().rposition(|group| limit.is_event(&group.kind));
                let others =
                    self.groups.iter().enumerate().filter(|(_, group)| ![RECORDING, LOST].contains(&&*group.kind));
                let Some(at) = latest.or_else(|| others.max_by_key(|(_, group)| cost(group)).map(|(at, _)| at)) else {
                    break;
                };
                any = true;
                if latest.is_some()
                    && let Some(kept) = rows_that_fit(&self.groups[at], bytes - most)
                    && self.cut(at, kept)?
                {
                    bytes = self.ended_bytes()?;
                    continue;
                }
                let group = self.groups.remove(at);
                self.count_left_out(&group.kind, group.rows);
                bytes = bytes.saturating_sub(cost(&group));
            }
            if !any {
                return Err(WriteError::TooSmall { path: self.path.clone(), most });
            }
            self.state_left_out()?;
        }
    }

    /// Leaves out all but the first rows of a row group; says whether that was possible.
    fn cut(&mut self, at: usize, kept: u64) -> Result<bool, WriteError> {
        let Some((kind, rows)) = self.groups.get(at).map(|group| (group.kind.clone(), group.rows)) else {
            return Ok(false);
        };
        let mut left = usize::try_from(kept).unwrap_or(usize::MAX);
        let mut first = |rows: usize| {
            let stay = left.min(rows);
            left -= stay;
            Some(BooleanArray::from((0..rows).map(|row| row < stay).collect::<Vec<bool>>()))
        };
        let gone = self.merge_runs(vec![vec![at]], &mut first)?;
        if gone.is_empty() {
            return Ok(false);
        }
        self.count_left_out(&kind, rows.saturating_sub(kept));
        self.note_disk(0);
        Ok(true)
    }

    fn count_left_out(&mut self, kind: &str, rows: u64) {
        self.limit.iter_mut().for_each(|limit| limit.leave_out(kind, rows));
    }

    /// States what was left out since the last time: as rows, and in the probes' figures.
    fn state_left_out(&mut self) -> Result<(), WriteError> {
        let left_out = self.limit.as_mut().map(|limit| std::mem::take(&mut limit.left_out)).unwrap_or_default();
        if left_out.is_empty() {
            return Ok(());
        }
        let window = self.meta.window.clone();
        let mut rows =
            Rows::new(Arc::clone(&self.layout.schema), window.start_real_ns.saturating_sub(window.start_mono_ns));
        for (kind, count) in left_out {
            let probe = self.meta.kinds.iter().find(|meta| meta.name == kind).and_then(|meta| meta.probe.clone());
            if let Some(state) = self.meta.probes.iter_mut().find(|state| Some(&state.name) == probe.as_ref()) {
                state.lost = state.lost.saturating_add(count);
            }
            let cause = if probe.is_some() { CAUSE.to_owned() } else { format!("{CAUSE}: {kind} rows") };
            let mut row = rows.row(LOST);
            row.at(u64::try_from(window.start_mono_ns.saturating_add(window.actual_ns)).unwrap_or(0));
            row.int(column::DUR_NS, window.actual_ns).text(column::NAME, probe.as_deref().unwrap_or(OURSELVES));
            row.text(column::CAUSE, &cause).int(column::COUNT, i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.template = None;
        self.groups.retain(|group| group.kind != RECORDING);
        for batch in rows.take(1, true) {
            let mut group = OpenGroup::new(LOST);
            group.push(batch, &mut self.layout).map_err(WriteError::encode(&self.output.path))?;
            self.append(group)?;
        }
        self.append_meta_rows()
    }

    /// Rows left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.limit.as_ref().map_or(0, |limit| limit.left_out_rows)
    }

    /// What the file takes if its row groups are copied as they are, at most.
    fn ended_bytes(&mut self) -> Result<u64, WriteError> {
        let bytes: u64 = self.groups.iter().map(|group| group.bytes.end.saturating_sub(group.bytes.start)).sum();
        Ok(MAGIC.len() as u64 + bytes + self.footer_bytes()?)
    }

    /// Length of the footer, at most.
    fn footer_bytes(&mut self) -> Result<u64, WriteError> {
        Ok(self.template()?.most_bytes(self.groups.iter()))
    }
}
