//! Distinct numbers in order of first use: the dictionary of an integer column.

/// Odd, and far from any pattern of the numbers that are looked up (2^64 divided by the golden ratio).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const EMPTY: u32 = u32::MAX;

/// A set of numbers, each with an index in order of first use.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    values: Vec<i64>,
    /// A number and its index, or EMPTY; a power of two long, at most half full.
    table: Vec<(i64, u32)>,
    shift: u32,
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn values(&self) -> &[i64] {
        &self.values
    }

    /// Appends the indices of these numbers, adding those that are new.
    pub(crate) fn look_up(&mut self, values: &[i64], indices: &mut Vec<u32>) {
        indices.reserve(values.len());
        let Some(first) = values.first() else { return };
        let mut last = *first;
        let mut index = self.index(last);
        for value in values {
            // Rows come in runs of one process.
            if *value != last {
                last = *value;
                index = self.index(last);
            }
            indices.push(index);
        }
    }

    #[inline]
    fn index(&mut self, value: i64) -> u32 {
        if self.table.len() < 2 * (self.values.len() + 1) {
            self.grow();
        }
        let mask = self.table.len() - 1;
        // The upper bits of the product depend on all bits of the number.
        let mut at = (value as u64).wrapping_mul(MULTIPLIER).wrapping_shr(self.shift) as usize;
        // The table is at most half full, so that an empty place ends every search.
        while let Some((known, index)) = self.table.get(at & mask).copied() {
            if index == EMPTY {
                break;
            }
            if known == value {
                return index;
            }
            at += 1;
        }
        // Row groups have fewer rows than 2^32.
        let index = self.values.len() as u32;
        self.values.push(value);
        if let Some(place) = self.table.get_mut(at & mask) {
            *place = (value, index);
        }
        index
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(64);
        self.shift = u64::BITS - size.trailing_zeros();
        let mut table = vec![(0, EMPTY); size];
        for (index, value) in self.values.iter().enumerate() {
            let mut at = (*value as u64).wrapping_mul(MULTIPLIER).wrapping_shr(self.shift) as usize;
            while table.get(at & (size - 1)).is_some_and(|(_, index)| *index != EMPTY) {
                at += 1;
            }
            if let Some(place) = table.get_mut(at & (size - 1)) {
                *place = (*value, index as u32);
            }
        }
        self.table = table;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::Numbers;

    proptest! {
        #[test]
        fn every_number_is_found_under_its_index(values in vec(any::<i64>(), 0..500), small in vec(0_i64..20, 0..100)) {
            let mut numbers = Numbers::default();
            let mut indices = Vec::new();
            let all: Vec<i64> = values.iter().chain(&small).chain(&values).copied().collect();
            numbers.look_up(&all, &mut indices);
            let found: Vec<i64> = indices.iter().map(|index| numbers.values()[*index as usize]).collect();
            prop_assert_eq!(found, all);
            let mut distinct = numbers.values().to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), numbers.len());
        }
    }
}
