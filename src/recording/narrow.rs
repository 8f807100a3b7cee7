//! Rows that wait: each column in as few bytes per value as the range of its values needs.
//!
//! Most columns of a batch hold one value (a process, a kind), small numbers (keys of texts, errors) or times within some
//! milliseconds. A system call that takes 90 bytes in a batch takes about 20 here.

use crate::recording::ColumnId;
use crate::recording::batch::Batch;
use crate::recording::batch::Cells;
use crate::recording::batch::Plain;
use crate::recording::batch::Texts;

/// A [`Batch`] in less memory, which can only be made a batch again.
#[derive(Debug)]
pub struct NarrowBatch {
    kind: &'static str,
    rows: usize,
    columns: Vec<(ColumnId, NarrowCells)>,
}

#[derive(Debug)]
enum NarrowCells {
    Int(Narrow),
    Text(Narrow, Texts),
    /// What few rows have, as it was.
    Other(Cells),
}

impl NarrowBatch {
    /// The kind of all rows in it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory its values take, in bytes.
    pub fn bytes(&self) -> usize {
        let of = |cells: &NarrowCells| match cells {
            NarrowCells::Int(narrow) => narrow.bytes(),
            NarrowCells::Text(narrow, texts) => narrow.bytes() + texts.strings().bytes(),
            NarrowCells::Other(cells) => cells.bytes(),
        };
        self.columns.iter().map(|(_, cells)| of(cells)).sum()
    }

    /// The rows as they were.
    pub fn widen(self) -> Batch {
        let cells = |cells: NarrowCells| match cells {
            NarrowCells::Int(narrow) => Cells::Int(narrow.widen(|value| value)),
            NarrowCells::Text(narrow, mut texts) => {
                *texts.keys_mut() = narrow.widen(|key| key as i32);
                Cells::Text(texts)
            }
            NarrowCells::Other(cells) => cells,
        };
        let columns = self.columns.into_iter().map(|(id, narrow)| (id, cells(narrow))).collect();
        Batch::new(self.kind, self.rows, columns)
    }
}

impl From<Batch> for NarrowBatch {
    fn from(batch: Batch) -> NarrowBatch {
        let (kind, rows) = (batch.kind(), batch.rows());
        let cells = |cells: Cells| match cells {
            Cells::Int(ints) => NarrowCells::Int(Narrow::new(ints)),
            Cells::Text(mut texts) => NarrowCells::Text(Narrow::new(std::mem::take(texts.keys_mut())), texts),
            other => NarrowCells::Other(other),
        };
        let columns = batch.into_columns().into_iter().map(|(id, whole)| (id, cells(whole))).collect();
        NarrowBatch { kind, rows, columns }
    }
}

/// Integers as what they have beyond the least of them.
#[derive(Debug)]
struct Narrow {
    least: i64,
    beyond: Beyond,
    valid: Vec<bool>,
}

#[derive(Debug)]
enum Beyond {
    /// So many times nothing.
    Nothing(usize),
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
    Eight(Vec<u64>),
}

impl Narrow {
    fn new<T: Copy + Default + Into<i64>>(plain: Plain<T>) -> Narrow {
        let (values, valid) = plain.into_parts();
        let whole = |value: &T| -> i64 { (*value).into() };
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for value in &values {
            let value = whole(value);
            (least, most) = (least.min(value), most.max(value));
        }
        // The difference of any two fits 64 bits without a sign, and wraps to it.
        let beyond = |value: &T| whole(value).wrapping_sub(least).cast_unsigned();
        let beyond = match most.wrapping_sub(least).cast_unsigned() {
            _ if values.is_empty() => Beyond::Nothing(0),
            0 => Beyond::Nothing(values.len()),
            0x1..=0xff => Beyond::One(values.iter().map(|value| beyond(value) as u8).collect()),
            0x100..=0xffff => Beyond::Two(values.iter().map(|value| beyond(value) as u16).collect()),
            0x1_0000..=0xffff_ffff => Beyond::Four(values.iter().map(|value| beyond(value) as u32).collect()),
            _ => Beyond::Eight(values.iter().map(beyond).collect()),
        };
        Narrow { least, beyond, valid }
    }

    fn bytes(&self) -> usize {
        let values = match &self.beyond {
            Beyond::Nothing(_) => 0,
            Beyond::One(values) => size_of_val(&values[..]),
            Beyond::Two(values) => size_of_val(&values[..]),
            Beyond::Four(values) => size_of_val(&values[..]),
            Beyond::Eight(values) => size_of_val(&values[..]),
        };
        values + self.valid.len()
    }

    fn widen<T: Copy + Default>(self, narrow: impl Fn(i64) -> T) -> Plain<T> {
        let value = |beyond: u64| narrow(self.least.wrapping_add_unsigned(beyond));
        let values = match self.beyond {
            Beyond::Nothing(0) => Vec::new(),
            Beyond::Nothing(len) => vec![value(0); len],
            Beyond::One(values) => values.into_iter().map(|beyond| value(beyond.into())).collect(),
            Beyond::Two(values) => values.into_iter().map(|beyond| value(beyond.into())).collect(),
            Beyond::Four(values) => values.into_iter().map(|beyond| value(beyond.into())).collect(),
            Beyond::Eight(values) => values.into_iter().map(value).collect(),
        };
        Plain::from_parts(values, self.valid)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::prop_oneof;
    use proptest::proptest;
    use proptest::strategy::Strategy;

    use super::NarrowBatch;
    use crate::recording::Batch;
    use crate::recording::Rows;
    use crate::recording::Schema;
    use crate::recording::column;

    /// Values of one range.
    fn values() -> impl Strategy<Value = Vec<Option<i64>>> {
        let range = prop_oneof![0..1_i64, 0..256_i64, -300..70_000_i64, 0..1_i64 << 33, any::<i64>()];
        range.prop_flat_map(|most| {
            proptest::collection::vec(
                proptest::option::weighted(
                    0.9,
                    any::<i64>().prop_map(move |value| value % (most.saturating_abs().max(1))),
                ),
                1..300,
            )
        })
    }

    fn batch(values: &[Option<i64>]) -> Batch {
        let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
        for (at, value) in values.iter().enumerate() {
            let mut row = rows.row("syscall");
            row.at(at as u64);
            if let Some(value) = value {
                row.int(column::DUR_NS, *value).text(column::COMM, &format!("n{}", value % 7));
            }
        }
        rows.take(1, true).remove(0)
    }

    proptest! {
        #[test]
        fn rows_are_after_waiting_what_they_were_before(values in values()) {
            let whole = batch(&values);
            let before = format!("{whole:?}");
            let narrow = NarrowBatch::from(whole);
            prop_assert_eq!(narrow.rows(), values.len());
            prop_assert_eq!(format!("{:?}", narrow.widen()), before);
        }
    }

    #[test]
    fn calls_of_one_process_take_a_fifth_of_the_memory() {
        let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
        for at in 0..10_000_u64 {
            rows.row("syscall")
                .at(at * 1000)
                .int(column::PID, 7)
                .int(column::TID, 7)
                .int(column::DUR_NS, at as i64 % 200);
        }
        let batch = rows.take(1, true).remove(0);
        let before = batch.bytes();
        let narrow = NarrowBatch::from(batch);
        assert!(narrow.bytes() * 5 <= before, "{} of {before}", narrow.bytes());
    }
}
