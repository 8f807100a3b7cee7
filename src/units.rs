//! Durations, sizes and rates: read from people, written for people.

use std::cmp::Reverse;

use serde::Deserialize;
use serde::Serialize;

mod parse;

pub use parse::UnitError;
pub use parse::parse_duration;
pub use parse::parse_size;

/// What a number measures, and so how it is written for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Time in nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A plain number of things.
    Count,
    /// Hundredths, 100 being the whole.
    Percent,
    /// Things per second.
    PerSecond,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Unit; 5] = [Unit::Nanoseconds, Unit::Bytes, Unit::Count, Unit::Percent, Unit::PerSecond];

    /// Returns the unit's stable name, as it stands in recordings and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
            Unit::Percent => "percent",
            Unit::PerSecond => "per_second",
        }
    }

    /// Returns what the names of raw numbers in this unit end with, in JSON and CSV; nothing for counts.
    pub fn ending(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "_ns",
            Unit::Bytes => "_bytes",
            Unit::Count => "",
            Unit::Percent => "_pct",
            Unit::PerSecond => "_hz",
        }
    }

    /// Finds a unit by its stable name.
    pub fn parse(name: &str) -> Option<Unit> {
        Unit::ALL.into_iter().find(|u| u.name() == name)
    }

    /// The unit's scales by rising size.
    fn steps(self) -> &'static [(f64, &'static str)] {
        match self {
            Unit::Nanoseconds => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"), (60e9, "min"), (3600e9, "h")],
            Unit::Bytes => &[
                (1.0, "B"),
                (1024.0, "KiB"),
                (1_048_576.0, "MiB"),
                (1_073_741_824.0, "GiB"),
                (1_099_511_627_776.0, "TiB"),
            ],
            Unit::Count => &[(1.0, "")],
            Unit::Percent => &[(1.0, "%")],
            Unit::PerSecond => &[(1.0, "/s")],
        }
    }

    /// The position in `steps` that writes `value` with at most three digits before the point, where there is one.
    fn step_of(self, value: f64) -> usize {
        let limit = |divisor: f64| match self {
            // Seconds and minutes stay readable for longer than the next larger unit would make them.
            Unit::Nanoseconds if divisor == 60e9 => 120.0,
            Unit::Bytes => 1023.5,
            _ => 999.5,
        };
        let steps = self.steps();
        steps.iter().position(|s| value.abs() / s.0 < limit(s.0)).unwrap_or(steps.len() - 1)
    }

    /// Returns the scale in which a column or axis up to `max_abs` reads best, with decimals for three significant digits of it.
    pub fn scale(self, max_abs: f64) -> Scale {
        self.scale_at(self.step_of(max_abs), max_abs, max_abs)
    }

    /// Returns one scale for all of `values` (raw: ns, bytes…): that of the largest, or one step finer when the typical value would
    /// all but vanish in it; decimals give the typical value three significant digits.
    pub fn scale_for(self, values: &[f64]) -> Scale {
        let size = Size::of(values);
        self.scale_at(self.own_step(size), size.median, size.max)
    }

    /// Returns a scale for each column of a table: those that stay readable so share one, so that a reader can compare them.
    pub fn scales_for(self, columns: &[Vec<f64>]) -> Vec<Scale> {
        let sizes: Vec<Size> = columns.iter().map(|values| Size::of(values)).collect();
        let own: Vec<usize> = sizes.iter().map(|size| self.own_step(*size)).collect();
        let known = |step: &usize| sizes.iter().zip(&own).filter(|(size, own)| size.max > 0.0 && *own == step).count();
        let mut steps: Vec<usize> = own.clone();
        steps.sort_by_key(|step| Reverse((known(step), *step)));
        let scale = |(size, own): (&Size, &usize)| {
            let readable = |step: &&usize| {
                let divisor = self.divisor(**step);
                *step == own || size.max == 0.0 || (size.median / divisor >= 0.01 && size.max / divisor < 1e5)
            };
            self.scale_at(*steps.iter().find(readable).unwrap_or(own), size.median, size.max)
        };
        sizes.iter().zip(&own).map(scale).collect()
    }

    /// The step that suits values by themselves.
    fn own_step(self, size: Size) -> usize {
        let mut step = self.step_of(size.max);
        while step > 0 && size.median / self.divisor(step) < 0.1 && size.max / self.divisor(step - 1) < 1e5 {
            step -= 1;
        }
        step
    }

    fn divisor(self, step: usize) -> f64 {
        self.steps().get(step).map_or(1.0, |s| s.0)
    }

    /// Decimals by the typical value, fewer when the largest is long already; none where the raw numbers are whole.
    fn scale_at(self, step: usize, typical: f64, max: f64) -> Scale {
        let (divisor, suffix) = self.steps().get(step).copied().unwrap_or((1.0, ""));
        let whole = divisor == 1.0 && matches!(self, Unit::Nanoseconds | Unit::Bytes | Unit::Count);
        let decimals = match (whole, self) {
            (true, _) => 0,
            (_, Unit::Percent) => 1,
            _ => decimals(typical / divisor).min(if max / divisor >= 9999.5 { 1 } else { 3 }),
        };
        Scale { divisor, suffix, decimals }
    }
}

/// How large values are, zeros left out.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    median: f64,
    max: f64,
}

impl Size {
    fn of(values: &[f64]) -> Size {
        let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).filter(|v| v.is_finite() && *v > 0.0).collect();
        sizes.sort_by(f64::total_cmp);
        match (sizes.get(sizes.len() / 2), sizes.last()) {
            (Some(&median), Some(&max)) => Size { median, max },
            _ => Size::default(),
        }
    }
}

/// One way to write every number of a column or axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale {
    /// What raw values are divided by.
    pub divisor: f64,
    /// The unit's sign, such as `ms`; empty for counts.
    pub suffix: &'static str,
    /// Digits after the point.
    pub decimals: usize,
}

impl Scale {
    /// Writes a raw value without its suffix; one too small to show is `<0.01`, not zero.
    pub fn format(&self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        let scaled = value / self.divisor;
        let smallest = 10f64.powi(-(self.decimals as i32));
        if value > 0.0 && scaled < smallest / 2.0 {
            return format!("<{smallest:.*}", self.decimals);
        }
        // No sign before what rounds to zero.
        let scaled = if scaled.abs() < smallest / 2.0 { 0.0 } else { scaled };
        grouped(&format!("{scaled:.*}", self.decimals))
    }
}

/// Digits after the point that give three significant ones, three at most.
fn decimals(value: f64) -> usize {
    match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v > 0.0 => 3,
        _ => 0,
    }
}

/// Puts commas between thousands of a plain decimal number.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |d| ("-", d));
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let mut out = String::with_capacity(number.len() + whole.len() / 3);
    out.push_str(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out.push_str(fraction);
    out
}

fn alone(unit: Unit, value: f64) -> String {
    let scale = unit.scale(value);
    format!("{} {}", scale.format(value), scale.suffix)
}

/// Writes a duration with three significant digits: `812 ns`, `1.23 ms`, `90.0 s`.
pub fn duration(ns: i64) -> String {
    alone(Unit::Nanoseconds, ns as f64)
}

/// Writes a size with three significant digits: `512 B`, `1.20 MiB`.
pub fn bytes(bytes: u64) -> String {
    alone(Unit::Bytes, bytes as f64)
}

/// Writes a number of things with commas between thousands: `1,234,567`.
pub fn count(count: u64) -> String {
    grouped(&count.to_string())
}

/// Writes hundredths with one decimal: 12.345 is `12.3%`, what is too small to show is `<0.1%`.
pub fn percent(percent: f64) -> String {
    format!("{}%", Unit::Percent.scale(percent).format(percent))
}

/// Writes things per second with three significant digits or whole: `0.250/s`, `12,345/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", Unit::PerSecond.scale(per_second).format(per_second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::prop_assert;
    use proptest::proptest;

    use super::Unit;
    use super::bytes;
    use super::count;
    use super::duration;
    use super::parse_duration;
    use super::percent;
    use super::rate;

    #[test]
    fn columns_of_a_table_share_a_unit_where_each_stays_readable_in_it() {
        let ms = |values: &[f64]| values.iter().map(|ms| ms * 1e6).collect::<Vec<f64>>();
        let suffixes = |columns: &[Vec<f64>]| -> Vec<&str> {
            Unit::Nanoseconds.scales_for(columns).iter().map(|scale| scale.suffix).collect()
        };
        // Self and total of functions.
        assert_eq!(suffixes(&[ms(&[2202.2, 19.7, 4.3, 4.3]), ms(&[2202.2, 3240.0, 1810.0])]), ["s", "s"]);
        // A sum of seconds would have six digits before the point in the microseconds of its parts.
        assert_eq!(suffixes(&[ms(&[250_000.0, 180_000.0]), ms(&[0.04, 0.05]), ms(&[0.06, 0.2])]), ["s", "µs", "µs"]);
        assert_eq!(suffixes(&[ms(&[1.0, 3.0]), Vec::new(), ms(&[0.04])]), ["ms", "ms", "ms"]);
    }

    #[test]
    fn single_values_have_three_significant_digits() {
        assert_eq!(duration(0), "0 ns");
        assert_eq!(duration(812), "812 ns");
        assert_eq!(duration(1_234), "1.23 µs");
        assert_eq!(duration(999_600), "1.00 ms");
        assert_eq!(duration(45_678_901), "45.7 ms");
        assert_eq!(duration(90_000_000_000), "90.0 s");
        assert_eq!(duration(1_000_000_000_000), "16.7 min");
        assert_eq!(duration(10_000_000_000_000), "2.78 h");
        assert_eq!(duration(-1_500_000), "-1.50 ms");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_023), "1,023 B");
        assert_eq!(bytes(1_258_291), "1.20 MiB");
        assert_eq!(bytes(u64::MAX), "16,777,216 TiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!((percent(12.345), percent(0.01), percent(0.0)), ("12.3%".into(), "<0.1%".into(), "0.0%".into()));
        assert_eq!((rate(0.25), rate(12_345.0)), ("0.250/s".into(), "12,345/s".into()));
    }

    #[test]
    fn a_column_has_one_unit_and_one_number_of_decimals() {
        let column = |unit: Unit, values: &[f64]| {
            let scale = unit.scale_for(values);
            (scale.suffix, values.iter().map(|v| scale.format(*v)).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(column(Unit::Nanoseconds, &[1e6, 23.4e6, 456e6]), ("ms", "1.0 23.4 456.0".into()));
        // The typical value decides when the largest is far from it.
        assert_eq!(column(Unit::Nanoseconds, &[4.1e3, 8.2e3, 12e6]), ("µs", "4.1 8.2 12,000.0".into()));
        assert_eq!(column(Unit::Nanoseconds, &[3.0, 999.0]), ("ns", "3 999".into()));
        assert_eq!(column(Unit::Bytes, &[0.0, 4096.0, 3_145_728.0]), ("MiB", "0.00 <0.01 3.00".into()));
        assert_eq!(column(Unit::Count, &[1.0, 1_234_567.0]), ("", "1 1,234,567".into()));
        assert_eq!(column(Unit::Percent, &[0.001, 99.95]), ("%", "<0.1 100.0".into()));
        assert_eq!(column(Unit::Nanoseconds, &[]), ("ns", "".into()));
        assert_eq!(column(Unit::Nanoseconds, &[f64::NAN, 2e9]), ("s", "- 2.00".into()));
    }

    #[test]
    fn unit_names_are_found_again() {
        for unit in Unit::ALL {
            assert_eq!(Unit::parse(unit.name()), Some(unit));
        }
        assert_eq!(Unit::parse("furlong"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_within_half_a_percent(ns in 1i64..=86_400_000_000_000) {
            let text = duration(ns).replace(',', "").replace("min", "m");
            let read = parse_duration(&text).map_or(0.0, |d| d.as_nanos() as f64);
            prop_assert!((read - ns as f64).abs() <= 0.005 * ns as f64 + 0.5, "{} {}", ns, text);
        }
    }
}
