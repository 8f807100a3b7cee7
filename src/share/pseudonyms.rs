//! Names in place of names: the same for the same text within a bundle, and of no use outside of it.

use std::hash::Hasher;

use siphasher::sip128::Hasher128;
use siphasher::sip128::SipHasher24;

/// Characters of a pseudonym: without vowels, so that none makes a word.
const ALPHABET: &[u8; 28] = b"bcdfghjkmnpqrstvwxz123456789";
/// How many: 28⁸ are 3.8·10¹¹, so that among 100,000 texts two share one with a chance of 1.3 %.
const LENGTH: usize = 8;

/// A key that exists only while a bundle is made.
///
/// SipHash-2-4 is a pseudorandom function (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): without the key, a pseudonym does not
/// even confirm a guess.
pub(super) struct Pseudonyms {
    key: [u8; 16],
}

impl Pseudonyms {
    /// A new key from the operating system.
    pub(super) fn new() -> Result<Pseudonyms, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Pseudonyms { key })
    }

    /// The pseudonym of a text of some sort, such as `file-x2k7h9qd`.
    pub(super) fn of(&self, sort: &str, text: &str) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(sort.as_bytes());
        hasher.write_u8(0);
        hasher.write(text.as_bytes());
        let mut rest = hasher.finish128().as_u128();
        let mut name = format!("{sort}-");
        for _ in 0..LENGTH {
            let digit = (rest % ALPHABET.len() as u128) as usize;
            rest /= ALPHABET.len() as u128;
            name.push(ALPHABET.get(digit).copied().map_or('_', char::from));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::Pseudonyms;

    #[test]
    fn equal_texts_have_equal_names_in_one_bundle_only() {
        let (one, other) = (Pseudonyms::new().unwrap(), Pseudonyms::new().unwrap());
        assert_eq!(one.of("file", "budget"), one.of("file", "budget"));
        assert_ne!(one.of("file", "budget"), one.of("dir", "budget"));
        assert_ne!(one.of("file", "budget"), one.of("file", "budgets"));
        assert_ne!(one.of("file", "budget"), other.of("file", "budget"));
    }
}
