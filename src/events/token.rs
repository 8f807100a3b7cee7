//! The words of an expression.

use super::SpecError;
use crate::units::parse_duration;
use crate::units::parse_size;

/// A word with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Where it begins, in bytes of the whole specification.
    pub(super) at: usize,
    /// What it is.
    pub(super) word: Word,
}

/// The sorts of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Number(i64),
    Text(String),
    Name(String),
    Sign(&'static str),
}

impl Word {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Word::Number(number) => format!("'{number}'"),
            Word::Text(text) => format!("the text '{text}'"),
            Word::Name(name) => format!("'{name}'"),
            Word::Sign(sign) => format!("'{sign}'"),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 28] = [
    "->", "||", "&&", "==", "!=", "<=", ">=", "<<", ">>", "(", ")", "[", "]", ",", ".", "=", "+", "-", "*", "/", "%",
    "<", ">", "!", "~", "&", "|", "^",
];

/// Takes `text[from..to]` apart.
pub(super) fn tokens(text: &str, from: usize, to: usize) -> Result<Vec<Token>, SpecError> {
    let mut tokens = Vec::new();
    let mut at = from;
    while let Some(letter) = text.get(at..to).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..to).unwrap_or_default();
        if letter.is_whitespace() {
            at += letter.len_utf8();
            continue;
        }
        let (word, length) = if letter.is_ascii_digit() {
            let length = literal_length(rest);
            let literal = rest.get(..length).unwrap_or_default();
            (Word::Number(number(literal).map_err(|why| SpecError::new(at, why))?), length)
        } else if letter.is_ascii_alphabetic() || letter == '_' {
            let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Word::Name(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if letter == '"' {
            let (content, length) = quoted(rest).ok_or_else(|| SpecError::new(at, "a quote is not closed"))?;
            (Word::Text(content), length)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Word::Sign(sign), sign.len())
        } else {
            return Err(SpecError::new(at, format!("'{letter}' means nothing here")));
        };
        tokens.push(Token { at, word });
        at += length;
    }
    Ok(tokens)
}

/// The content of the quotes that `text` begins with, and the length with both quotes. A backslash takes the next
/// character as it is.
pub(super) fn quoted(text: &str) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((content, at + 1)),
            '\\' => content.push(letters.next()?.1),
            _ => content.push(letter),
        }
    }
    None
}

/// Letters and digits, and points that have a digit behind them.
fn literal_length(text: &str) -> usize {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut letters = text.char_indices();
    let end = letters.find(|(at, c)| {
        let point = *c == '.' && is_digit(text.get(at + 1..).and_then(|rest| rest.chars().next()));
        !(c.is_alphanumeric() || point)
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Decimal, hexadecimal, a duration or a size.
fn number(literal: &str) -> Result<i64, String> {
    let wrong = |what: &str| format!("'{literal}' is {what}");
    if let Some(digits) = literal.strip_prefix("0x").or_else(|| literal.strip_prefix("0X")) {
        // Masks and addresses use all 64 bits.
        return u64::from_str_radix(digits, 16).map(u64::cast_signed).map_err(|_| wrong("no hexadecimal number"));
    }
    if literal.bytes().all(|byte| byte.is_ascii_digit()) {
        return literal.parse::<u64>().map(u64::cast_signed).map_err(|_| wrong("too large"));
    }
    let unit = literal.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if unit == "m" {
        return Err(wrong("minutes or mebibytes: write 'min' or 'MiB'"));
    }
    let duration = parse_duration(literal).ok().and_then(|duration| i64::try_from(duration.as_nanos()).ok());
    let size = || parse_size(literal).ok().and_then(|size| i64::try_from(size).ok());
    duration.or_else(size).ok_or_else(|| wrong("no number, duration (10us, 1.5ms) or size (4KiB)"))
}

#[cfg(test)]
mod tests {
    use super::Word;
    use super::number;
    use super::quoted;
    use super::tokens;

    #[test]
    fn numbers_are_durations_and_sizes_too() {
        for (text, expected) in [("10", 10), ("0xff", 255), ("1ms", 1_000_000), ("1.5us", 1500), ("4KiB", 4096)] {
            assert_eq!(number(text), Ok(expected), "{text}");
        }
        assert_eq!(number("0xffffffffffffffff"), Ok(-1));
        assert_eq!(number("5m").unwrap_err(), "'5m' is minutes or mebibytes: write 'min' or 'MiB'");
        assert!(number("5parsec").is_err() && number("99999999999999999999").is_err() && number("0x").is_err());
    }

    #[test]
    fn words_know_where_they_stand() {
        let found = tokens("x(a->b >= 1ms)", 1, 14).unwrap();
        let places: Vec<usize> = found.iter().map(|token| token.at).collect();
        assert_eq!(places, [1, 2, 3, 5, 7, 10, 13]);
        assert_eq!((&found[2].word, &found[4].word), (&Word::Sign("->"), &Word::Sign(">=")));
        assert_eq!(tokens("a § b", 0, 6).unwrap_err().at, 2);
        assert_eq!(tokens("a \"b", 0, 4).unwrap_err().at, 2);
    }

    #[test]
    fn a_backslash_keeps_a_quote_in_the_text() {
        assert_eq!(quoted(r#""a\"b\\" c"#), Some((r#"a"b\"#.to_owned(), 8)));
        assert_eq!(quoted(r#""a\"#), None);
    }
}
