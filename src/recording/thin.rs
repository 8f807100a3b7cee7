//! Thinning of rows: a recording that may not be larger than so many bytes keeps one in so many rows of events, of all its window, instead of
//! all rows of its beginning.
//!
//! When the room ends, the kind of events that takes most of the file is halved: each of its rows stays with a chance of one half, and of the rows
//! that come, as many as of those in the file. So at any time a kind has one in a power of two of its rows, chosen by chance, whenever they came.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::BooleanArray;

use crate::recording::Meta;
use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::footer::Group;
use crate::recording::size;
use crate::recording::thinning::Thinning;
use crate::units;

/// A kind is not thinned below so many rows, nor where it takes less than this part of the limit.
const FEWEST_ROWS: u64 = 512;
const LEAST_PART: u64 = 64;
/// What is aimed at, in tenths of the limit, so that the next rows have room.
const AIM: u64 = 8;

impl Meta {
    /// Says which rows were thinned lest the file be larger than it may be, if any were.
    pub fn thinned_rows(&self) -> Option<String> {
        thinned_rows(&self.rows_one_in)
    }
}

/// `to hold the size limit, the file has 1 in 8 rows 'syscall', 1 in 2 rows 'slice'; totals have every event`.
pub(super) fn thinned_rows(rows_one_in: &BTreeMap<String, u64>) -> Option<String> {
    let of = |(kind, one_in): (&String, &u64)| format!("1 in {} rows '{kind}'", units::count(*one_in));
    let kinds: Vec<String> = rows_one_in.iter().map(of).collect();
    let kinds = kinds.join(", ");
    (!kinds.is_empty()).then(|| format!("to hold the size limit, the file has {kinds}; totals have every event"))
}

impl Writer {
    /// Of which kinds the file has one row in so many.
    pub(super) fn rows_one_in(&self) -> BTreeMap<String, u64> {
        let thinning = self.limit.as_ref().and_then(|limit| limit.thinning.as_ref());
        let one_in = |(kind, shift): (&String, &u32)| (kind.clone(), 1 << (*shift).min(63));
        let thinned =
            |thinning: &Thinning| thinning.shifts.iter().filter(|(_, shift)| **shift > 0).map(one_in).collect();
        thinning.map(thinned).unwrap_or_default()
    }

    /// States in the metadata what was thinned here; what a recording that is copied says of itself stays.
    pub(super) fn state_thinned(&mut self) {
        let rows_one_in = self.rows_one_in();
        if !rows_one_in.is_empty() {
            self.meta.rows_one_in = rows_one_in;
        }
    }

    /// Thins rows until the file is well below `most` bytes by this measure, where it is above and rows may be thinned.
    pub(super) fn thin_until(
        &mut self,
        bytes: impl Fn(&mut Writer) -> Result<u64, WriteError>,
        most: u64,
    ) -> Result<(), WriteError> {
        if self.limit.as_ref().is_none_or(|limit| limit.thinning.is_none()) || bytes(self)? <= most {
            return Ok(());
        }
        while bytes(self)? > most / 10 * AIM && self.halve_largest()? {}
        Ok(())
    }

    /// Halves the rows of the kind of events that takes most; says whether there is one for which that is worth it.
    fn halve_largest(&mut self) -> Result<bool, WriteError> {
        self.close_all()?;
        let Some(limit) = &mut self.limit else { return Ok(false) };
        let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for group in self.groups.iter().filter(|group| limit.is_event(&group.kind)) {
            let (bytes, rows) = kinds.entry(&group.kind).or_default();
            (*bytes, *rows) = (*bytes + size::cost(group), *rows + group.rows);
        }
        let largest = kinds.into_iter().max_by_key(|(_, (bytes, _))| *bytes);
        let worth = largest.filter(|(_, (bytes, rows))| *bytes > limit.most / LEAST_PART && *rows > FEWEST_ROWS);
        let Some((kind, _)) = worth.map(|(kind, size)| (kind.to_owned(), size)) else { return Ok(false) };
        let Some(mut thinning) = limit.thinning.take() else { return Ok(false) };
        *thinning.shifts.entry(kind.clone()).or_default() += 1;
        let gone = self.halve(&kind, &mut thinning)?;
        // They could not be read, and all stay.
        let failed = gone.is_empty();
        if failed && let Some(shift) = thinning.shifts.get_mut(&kind) {
            *shift -= 1;
        }
        if let Some(limit) = &mut self.limit {
            limit.thinning = Some(thinning);
        }
        self.state_thinned();
        self.template = None;
        if failed {
            return Ok(false);
        }
        self.note_disk(0);
        // No footer may name what is given back.
        self.write_sidecar()?;
        gone.into_iter().for_each(|bytes| self.output.give_back(bytes));
        Ok(true)
    }

    /// Leaves half of the rows of a kind, and gives the places in the file that are unused by now.
    fn halve(&mut self, kind: &str, thinning: &mut Thinning) -> Result<Vec<Range<u64>>, WriteError> {
        let is_of = |(_, group): &(usize, &Group)| group.kind == kind;
        let run: Vec<usize> = self.groups.iter().enumerate().filter(is_of).map(|(at, _)| at).collect();
        self.merge_runs(vec![run], &mut |rows| Some(BooleanArray::from(thinning.draw(1, rows))))
    }
}

#[cfg(test)]
mod tests {
    use super::thinned_rows;

    #[test]
    fn what_was_thinned_is_said_by_kind() {
        assert_eq!(thinned_rows(&[].into()), None);
        let said = thinned_rows(&[("slice".to_owned(), 2), ("syscall".to_owned(), 1024)].into()).unwrap();
        assert_eq!(
            said,
            "to hold the size limit, the file has 1 in 2 rows 'slice', 1 in 1,024 rows 'syscall'; totals have every event"
        );
    }
}
