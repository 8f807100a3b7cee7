//! Places in a program that are given by number: `0x1139`, and `main+0x10` or `main+16`.

/// What the name of a function in a specification means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Functions by name or pattern.
    Named(&'a str),
    /// An address in the file's own numbering, as `nm` and `objdump` print it.
    Address(u64),
    /// Bytes behind the beginning of a function.
    Within(&'a str, u64),
}

/// Reads the name. A plus sign is an offset's only before a number, so that C++ operators keep theirs.
pub(super) fn place(name: &str) -> Place<'_> {
    if let Some(address) = hexadecimal(name) {
        return Place::Address(address);
    }
    let within = name.rsplit_once('+').and_then(|(function, offset)| {
        let is_decimal = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset = hexadecimal(offset).or_else(|| offset.parse().ok().filter(|_| is_decimal))?;
        (!function.is_empty()).then_some(Place::Within(function, offset))
    });
    within.unwrap_or(Place::Named(name))
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    // The parser takes a sign, too.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
}

#[cfg(test)]
mod tests {
    use super::Place;
    use super::place;

    #[test]
    fn numbers_are_addresses_and_offsets_and_all_else_is_a_name() {
        for (text, expected) in [
            ("main", Place::Named("main")),
            ("0x1139", Place::Address(0x1139)),
            ("main+16", Place::Within("main", 16)),
            ("main+0x10", Place::Within("main", 16)),
            ("a::operator+", Place::Named("a::operator+")),
            ("a::operator+(int)", Place::Named("a::operator+(int)")),
            ("operator++(int)+4", Place::Within("operator++(int)", 4)),
            ("+4", Place::Named("+4")),
            ("0xzz", Place::Named("0xzz")),
            ("0x+1", Place::Within("0x", 1)),
            ("main+0x", Place::Named("main+0x")),
        ] {
            assert_eq!(place(text), expected, "{text}");
        }
    }
}
