//! Durations and sizes as people type them.

use std::time::Duration;

/// A value that a person gave and that does not parse; its text is one line that names the value and shows valid ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not {what} (examples: {examples}){}", value.escape_debug(), reason.map(|r| format!(": {r}")).unwrap_or_default())]
pub struct UnitError {
    value: String,
    what: &'static str,
    examples: &'static str,
    reason: Option<&'static str>,
}

const DURATIONS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Powers of 1024 with a bare letter or `iB`, powers of 1000 with `B`, as GNU coreutils has it.
const SIZES: &[(&str, u128)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// Reads a duration such as `500ms`, `30s`, `1.5s`, `2m`, `1h` or `1m30s`; the unit must be given.
pub fn parse_duration(s: &str) -> Result<Duration, UnitError> {
    let error =
        |reason| UnitError { value: s.to_owned(), what: "a duration", examples: "500ms, 30s, 1.5s, 2m, 1h", reason };
    let mut rest = s.trim();
    let mut total = 0u128;
    loop {
        let (number, after) = Decimal::split(rest).ok_or_else(|| error(None))?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit.trim();
        if unit.is_empty() {
            return Err(error(Some("the unit is missing")));
        }
        let factor = DURATIONS.iter().find(|d| d.0 == unit).ok_or_else(|| error(Some("unknown unit")))?.1;
        let part = number.times(factor).ok_or_else(|| error(Some("too large")))?;
        total = total.checked_add(part).ok_or_else(|| error(Some("too large")))?;
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| error(Some("too large")))
}

/// Reads a size in bytes such as `20MiB`, `512KiB`, `64k`, `1GB` or `4096`.
///
/// `k`, `M`, `G`, `T` alone and with `iB` are powers of 1024, with `B` powers of 1000; letter case does not matter.
pub fn parse_size(s: &str) -> Result<u64, UnitError> {
    let error =
        |reason| UnitError { value: s.to_owned(), what: "a size", examples: "20MiB, 512KiB, 64k, 1GB, 4096", reason };
    let (number, unit) = Decimal::split(s.trim()).ok_or_else(|| error(None))?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = SIZES.iter().find(|d| d.0 == unit).ok_or_else(|| error(Some("unknown unit")))?.1;
    let bytes = number.times(factor).ok_or_else(|| error(Some("too large")))?;
    u64::try_from(bytes).map_err(|_| error(Some("too large")))
}

/// A non-negative decimal number, exact: digits / 10^places.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// Splits the number off the front of `s`; `None` when there is none, or one of absurd length.
    fn split(s: &str) -> Option<(Decimal, &str)> {
        let end = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let (number, rest) = s.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 30 {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some((Decimal { digits, places: fraction.len() as u32 }, rest))
    }

    /// Multiplies, rounding to the nearest whole number; `None` on overflow.
    fn times(&self, factor: u128) -> Option<u128> {
        let divisor = 10u128.checked_pow(self.places)?;
        Some(self.digits.checked_mul(factor)?.checked_add(divisor / 2)? / divisor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::parse_duration;
    use super::parse_size;

    #[test]
    fn durations_are_read_with_every_unit() {
        let cases = [
            ("5ns", 5),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("0.1ns", 0),
            ("30 s", 30_000_000_000),
            (" 30s ", 30_000_000_000),
            ("2m", 120_000_000_000),
            ("2min", 120_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("0s", 0),
        ];
        for (text, ns) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024_unless_b_says_otherwise() {
        let cases = [
            ("4096", 4096),
            ("4096B", 4096),
            ("64k", 64 << 10),
            ("512KiB", 512 << 10),
            ("20MiB", 20 << 20),
            ("20mib", 20 << 20),
            ("1.5M", 3 << 19),
            ("1GB", 1_000_000_000),
            ("64 kB", 64_000),
            ("2T", 2 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named_with_examples() {
        for text in ["", "s", "-1s", "+1s", "1e9s", "1..5s", "1.2.3s", "five", "1s x", "∞", "1s2", "nan", "inf s"] {
            let error = parse_duration(text).map_err(|e| e.to_string()).err().unwrap_or_default();
            assert!(error.contains(&format!("'{text}' is not a duration (examples: 500ms, 30s")), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}");
        }
        let error = |text| parse_duration(text).map_err(|e| e.to_string()).err().unwrap_or_default();
        assert_eq!(error("30"), "'30' is not a duration (examples: 500ms, 30s, 1.5s, 2m, 1h): the unit is missing");
        assert_eq!(error("3parsec"), "'3parsec' is not a duration (examples: 500ms, 30s, 1.5s, 2m, 1h): unknown unit");
        assert!(error("999999999999h").ends_with("too large"));
        assert!(error("999999999999999999999999999999999999h").starts_with("'9999"));
        assert!(error("1s\x1b[31m").starts_with(r"'1s\u{1b}[31m' is not"));
    }

    #[test]
    fn what_is_no_size_is_named_with_examples() {
        let error = |text| parse_size(text).map_err(|e| e.to_string()).err().unwrap_or_default();
        assert_eq!(
            error("5parsecs"),
            "'5parsecs' is not a size (examples: 20MiB, 512KiB, 64k, 1GB, 4096): unknown unit"
        );
        assert_eq!(error("-5"), "'-5' is not a size (examples: 20MiB, 512KiB, 64k, 1GB, 4096)");
        assert!(error("99999999999T").ends_with("too large"));
    }

    proptest! {
        #[test]
        fn whole_nanoseconds_are_read_exactly(ns in 0u64..=u64::MAX) {
            prop_assert_eq!(parse_duration(&format!("{ns}ns")), Ok(Duration::from_nanos(ns)));
            prop_assert_eq!(parse_duration(&format!("{}.{:09}s", ns / 1_000_000_000, ns % 1_000_000_000)), Ok(Duration::from_nanos(ns)));
            prop_assert_eq!(parse_size(&ns.to_string()), Ok(ns));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
