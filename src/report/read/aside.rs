//! Long texts, such as arguments, kept out of memory while what they belong to is put together.

use std::io;

use anyhow::Context;
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::spill::Merged;
use crate::spill::Runs;

/// Bytes of text that are held before they go to a temporary file.
const MOST_BYTES: usize = 4 << 20;

/// Texts by a number, or what else they are kept by, the last of each.
pub(crate) struct Aside<K = i64> {
    held: Vec<Kept<K>>,
    held_bytes: usize,
    kept: u64,
    runs: Runs<Kept<K>>,
    failed: Option<io::Error>,
}

/// Number, place among all, text.
type Kept<K> = (K, u64, String);

impl<K> Default for Aside<K> {
    fn default() -> Aside<K> {
        Aside { held: Vec::new(), held_bytes: 0, kept: 0, runs: Runs::default(), failed: None }
    }
}

impl<K: Ord + Serialize + DeserializeOwned> Aside<K> {
    /// Keeps a text; one that the number had before is forgotten.
    pub(crate) fn put(&mut self, number: K, text: &str) {
        self.held.push((number, self.kept, text.to_owned()));
        self.held_bytes += text.len() + size_of::<Kept<K>>();
        self.kept += 1;
        if self.held_bytes > MOST_BYTES {
            self.held_bytes = 0;
            self.held.sort_unstable();
            if let Err(error) = self.runs.add(std::mem::take(&mut self.held).into_iter()) {
                self.failed = Some(error);
            }
        }
    }

    /// Begins to look texts up, by rising numbers.
    ///
    /// # Errors
    /// A temporary file could not be written, or can't be read.
    pub(crate) fn look_up(mut self) -> Result<LookUp<K>> {
        if let Some(error) = self.failed {
            return Err(error).context("can't put texts into a temporary file");
        }
        self.held.sort_unstable();
        let mut texts = self.runs.merged(self.held).context(UNREADABLE)?;
        let next = texts.next();
        Ok(LookUp { texts, next })
    }
}

const UNREADABLE: &str = "can't read texts back from a temporary file";

/// Texts while they are looked up.
pub(crate) struct LookUp<K = i64> {
    texts: Merged<Kept<K>>,
    next: Option<io::Result<Kept<K>>>,
}

impl<K: Ord + Serialize + DeserializeOwned> LookUp<K> {
    /// The text of a number, which is larger than all before.
    pub(crate) fn get(&mut self, wanted: K) -> Result<Option<String>> {
        let mut found = None;
        while let Some(Ok((number, ..))) = &self.next
            && *number <= wanted
        {
            if let Some(Ok((number, _, text))) = std::mem::replace(&mut self.next, self.texts.next())
                && number == wanted
            {
                found = Some(text);
            }
        }
        match self.next.take_if(|next| next.is_err()) {
            Some(Err(error)) => Err(error).context(UNREADABLE),
            _ => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Aside;
    use super::MOST_BYTES;

    #[test]
    fn the_last_text_of_a_number_is_found_however_many_there_are() {
        let mut aside = Aside::default();
        let long = "x".repeat(MOST_BYTES / 50);
        for round in 0..3 {
            for number in (0..200).rev().filter(|number| number % 2 == 0) {
                aside.put(number, &format!("{number} {round} {long}"));
            }
        }
        let mut texts = aside.look_up().unwrap();
        for number in 0..200 {
            let found = texts.get(number).unwrap();
            assert_eq!(found.is_some(), number % 2 == 0, "{number}");
            assert!(found.is_none_or(|text| text.starts_with(&format!("{number} 2 x"))));
        }
    }
}
