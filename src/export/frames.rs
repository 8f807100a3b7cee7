//! Names as profiles and traces can hold them: bounded, and on one line.

use std::borrow::Cow;

/// Letters of a name that are kept: ebrec cuts names of functions at this length too, but a file may hold longer ones.
const MOST_BYTES: usize = 1024;

/// What ebrec adds to the name of an inlined function.
const INLINED: &str = " (inlined)";

/// A name without control characters, cut where it is very long; a name that is empty says so.
pub(super) fn name(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return "[unknown]".into();
    }
    let end = (0..=MOST_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let cut = text.get(..end).unwrap_or_default();
    if end == text.len() && !cut.contains(char::is_control) {
        return cut.into();
    }
    let plain = cut.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    plain.chain((end < text.len()).then_some('…')).collect()
}

/// A function's own name, and whether it was inlined into its caller.
pub(super) fn inlined(text: &str) -> (&str, bool) {
    text.strip_suffix(INLINED).map_or((text, false), |own| (own, true))
}

#[cfg(test)]
mod tests {
    use super::inlined;
    use super::name;

    #[test]
    fn a_name_stays_on_its_line_and_within_its_bound() {
        assert_eq!(name("std::vec<a, b>::x"), "std::vec<a, b>::x");
        assert_eq!(name("a\nb\u{1b}[m"), "a?b?[m");
        assert_eq!(name(""), "[unknown]");
        let long = "ü".repeat(2000);
        assert_eq!(name(&long).chars().count(), 513);
    }

    #[test]
    fn an_inlined_function_has_its_own_name() {
        assert_eq!(inlined("f (inlined)"), ("f", true));
        assert_eq!(inlined("f"), ("f", false));
    }
}
