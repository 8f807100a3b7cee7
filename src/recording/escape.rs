//! Kernel strings as text, without loss: what is not UTF-8 is written as `\xNN`.

use std::borrow::Cow;

/// Text that stands for exactly these bytes; [`unescape`] gives them back.
///
/// A byte that is not part of valid UTF-8 becomes `\xNN` (NN from 80 to ff, lower case). Where a text holds such a
/// sequence by itself, or backslashes stand right before one, those backslashes are doubled; all others stay as they
/// are, so that a systemd name such as `dev-sda\x2d1` is not touched.
pub(crate) fn escape(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains("\\x") => Cow::Borrowed(text),
        _ => Cow::Owned(escape_slowly(bytes)),
    }
}

fn escape_slowly(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), !chunk.invalid().is_empty(), &mut out);
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Copies text; backslashes that end it count as standing before a sequence when `sequence_follows`.
fn escape_text(text: &str, sequence_follows: bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        let after = from.trim_start_matches('\\');
        let run = from.len() - after.len();
        let before_sequence = if after.is_empty() { sequence_follows } else { begins_with_sequence(after) };
        out.push_str(before);
        for _ in 0..if before_sequence { 2 * run } else { run } {
            out.push('\\');
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Whether text after a backslash would make it look like an escaped byte.
fn begins_with_sequence(text: &str) -> bool {
    sequence(text.as_bytes()).is_some()
}

fn sequence(bytes: &[u8]) -> Option<u8> {
    let [b'x', high @ (b'8'..=b'9' | b'a'..=b'f'), low @ (b'0'..=b'9' | b'a'..=b'f'), ..] = bytes else { return None };
    let digit = |d: u8| if d.is_ascii_digit() { d - b'0' } else { d - b'a' + 10 };
    Some(digit(*high) << 4 | digit(*low))
}

/// The bytes that a text in a recording stands for: the inverse of what was done when it was written.
pub fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.contains("\\x") {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after_first)) = rest.split_first() {
        if first != b'\\' {
            out.push(first);
            rest = after_first;
            continue;
        }
        let run = rest.iter().take_while(|byte| **byte == b'\\').count();
        let after = rest.get(run..).unwrap_or(&[]);
        match sequence(after) {
            Some(byte) => {
                out.extend(std::iter::repeat_n(b'\\', run / 2));
                if run % 2 == 1 {
                    out.push(byte);
                    rest = after.get(3..).unwrap_or(&[]);
                } else {
                    rest = after;
                }
            }
            None => {
                out.extend(std::iter::repeat_n(b'\\', run));
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::Just;
    use proptest::prelude::any;
    use proptest::prelude::prop_assert_eq;
    use proptest::prop_oneof;
    use proptest::proptest;

    use super::escape;
    use super::unescape;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = escape(&bytes);
            prop_assert_eq!(&*unescape(&text), &bytes[..]);
        }

        #[test]
        fn bytes_full_of_backslashes_come_back(
            bytes in vec(prop_oneof![Just(b'\\'), Just(b'x'), Just(b'f'), Just(b'8'), Just(0xff), any::<u8>()], 0..24)
        ) {
            let text = escape(&bytes);
            prop_assert_eq!(&*unescape(&text), &bytes[..]);
        }
    }

    #[test]
    fn plain_names_and_systemd_escapes_stay_as_they_are() {
        for name in ["bash", "dev-disk-by\\x2duuid", "C:\\dir\\new", "größe", ""] {
            assert_eq!(escape(name.as_bytes()), name);
        }
        assert_eq!(escape(b"a\xffb"), "a\\xffb");
    }
}
