//! Distinct byte strings in order of first use: the dictionaries of text columns while rows are gathered.

use std::hash::BuildHasher;
use std::hash::RandomState;

const EMPTY: u32 = u32::MAX;

/// A seed that nobody outside can know; only the placement in hash tables depends on it, never what is written.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// A set of byte strings, each with a number in order of first use.
///
/// Open addressing with linear probing, at most half full; the hash is seeded, since names in it come from strangers.
#[derive(Clone, Debug)]
pub(crate) struct Interner {
    seed: u64,
    /// Length of all strings together, at most.
    most: usize,
    bytes: Vec<u8>,
    /// End of each string in `bytes`; it begins where the one before ends.
    ends: Vec<u32>,
    hashes: Vec<u32>,
    /// Numbers of strings, or EMPTY; a power of two long, or empty.
    table: Vec<u32>,
    last: u32,
}

impl Interner {
    /// An empty set, for strings that are together at most as long as `most`, which is less than 2^32.
    pub(crate) fn new(seed: u64, most: usize) -> Interner {
        Interner { seed, most, bytes: Vec::new(), ends: Vec::new(), hashes: Vec::new(), table: Vec::new(), last: EMPTY }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Length of all strings together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The string with number `key`; empty for a number that was not given out.
    #[inline]
    pub(crate) fn get(&self, key: u32) -> &[u8] {
        let index = key as usize;
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// The number of `value`, which is added if it is new; `None` when the dictionary is full.
    #[inline]
    pub(crate) fn intern(&mut self, value: &[u8]) -> Option<u32> {
        // Rows come in runs of one process, so the last string is the likeliest.
        if self.last != EMPTY && self.get(self.last) == value {
            return Some(self.last);
        }
        self.find_or_add(value)
    }

    fn find_or_add(&mut self, value: &[u8]) -> Option<u32> {
        let hash = hash(self.seed, value);
        if self.table.len() < 2 * (self.ends.len() + 1) {
            self.grow();
        }
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        // The table is at most half full, so that an empty place ends every search.
        loop {
            match self.table.get(at).copied() {
                Some(key) if key != EMPTY => {
                    if self.hashes.get(key as usize) == Some(&hash) && self.get(key) == value {
                        self.last = key;
                        return Some(key);
                    }
                }
                _ => break,
            }
            at = (at + 1) & mask;
        }
        if self.bytes.len() + value.len() > self.most {
            return None;
        }
        let key = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
        self.hashes.push(hash);
        if let Some(place) = self.table.get_mut(at) {
            *place = key;
        }
        self.last = key;
        Some(key)
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(32);
        let mut table = vec![EMPTY; size];
        for (key, hash) in self.hashes.iter().enumerate() {
            let mut at = *hash as usize & (size - 1);
            while table.get(at).is_some_and(|place| *place != EMPTY) {
                at = (at + 1) & (size - 1);
            }
            if let Some(place) = table.get_mut(at) {
                *place = key as u32;
            }
        }
        self.table = table;
    }
}

/// Multiply and fold eight bytes at a time, as wyhash does.
fn hash(seed: u64, value: &[u8]) -> u32 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut state = seed ^ (value.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = value.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), MULTIPLIER ^ seed);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        state = fold(state ^ u64::from_le_bytes(last), MULTIPLIER.rotate_left(23) ^ seed);
    }
    let state = fold(state, MULTIPLIER);
    (state ^ (state >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::any;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::Interner;

    proptest! {
        #[test]
        fn strings_keep_the_number_of_their_first_use(values: Vec<Vec<u8>>, seed in any::<u64>()) {
            let mut interner = Interner::new(seed, usize::MAX);
            let mut expected: HashMap<Vec<u8>, u32> = HashMap::new();
            for value in values.iter().chain(values.iter().rev()) {
                let next = expected.len() as u32;
                let number = *expected.entry(value.clone()).or_insert(next);
                prop_assert_eq!(interner.intern(value), Some(number));
            }
            prop_assert_eq!(interner.len(), expected.len());
            for (value, number) in expected {
                prop_assert_eq!(interner.get(number), &value[..]);
            }
        }
    }

    #[test]
    fn ten_thousand_names_are_told_apart() {
        let mut interner = Interner::new(1, usize::MAX);
        for n in 0..10_000_u32 {
            assert_eq!(interner.intern(format!("kworker/{n}").as_bytes()), Some(n));
        }
        assert_eq!(interner.intern(b"kworker/77"), Some(77));
    }
}
