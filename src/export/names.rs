//! Names, labels and numbers as Prometheus and OpenMetrics write them.

use std::fmt;

use crate::units::Unit;

/// What every name begins with.
const PREFIX: &str = "ebrec_";

/// The name of a family without the suffixes of its samples: `ebrec_block_device_time_seconds` for `block.device_time`.
pub(super) fn family(metric: &str, unit: Unit) -> String {
    let valid = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mut name: String = PREFIX.chars().chain(metric.chars().map(valid)).collect();
    if let Some(base) = base_unit(unit)
        && !name.ends_with(&format!("_{base}"))
    {
        name.push('_');
        name.push_str(base);
    }
    name
}

/// The base unit that values are written in, where they have one.
pub(super) fn base_unit(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Nanoseconds => Some("seconds"),
        Unit::Bytes => Some("bytes"),
        _ => None,
    }
}

/// A value in the base unit, out of the recording's.
pub(super) fn value(raw: u64, unit: Unit) -> f64 {
    match unit {
        // A division rounds once, as a product by 1e-9, which no binary number is, would not.
        Unit::Nanoseconds => raw as f64 / 1e9,
        _ => raw as f64,
    }
}

/// A label's name out of a column's.
pub(super) fn label(column: &str) -> String {
    let valid = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    column.chars().map(valid).collect()
}

/// A text with backslashes, line ends and quotes escaped, as a label's value is and in OpenMetrics a help text.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.0, true, f)
    }
}

/// A text with backslashes and line ends escaped, as Prometheus' help texts are.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.0, false, f)
    }
}

fn escaped(text: &str, quotes: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    for letter in text.chars() {
        match letter {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '"' if quotes => f.write_str("\\\"")?,
            letter => f.write_char(letter)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Quoted;
    use super::family;
    use super::value;
    use crate::units::Unit;

    #[test]
    fn names_end_in_their_base_unit_once() {
        assert_eq!(family("block.device_time", Unit::Nanoseconds), "ebrec_block_device_time_seconds");
        assert_eq!(family("block.size", Unit::Bytes), "ebrec_block_size_bytes");
        assert_eq!(family("x.bytes", Unit::Bytes), "ebrec_x_bytes");
        assert_eq!(family("process.starts", Unit::Count), "ebrec_process_starts");
        assert_eq!(family("a-b.ü", Unit::Count), "ebrec_a_b__");
    }

    #[test]
    fn nanoseconds_become_seconds_that_are_written_shortly() {
        assert_eq!(value(4095, Unit::Nanoseconds).to_string(), "0.000004095");
        assert_eq!(value(1_500_000_000, Unit::Nanoseconds).to_string(), "1.5");
        assert_eq!(value(7, Unit::Count).to_string(), "7");
    }

    #[test]
    fn a_label_s_value_can_not_leave_its_quotes() {
        assert_eq!(Quoted("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }
}
