//! Durations, sizes and rates: read from people, written for people.

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

/// What a number measures, and so how it is written for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
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
        let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).filter(|v| v.is_finite() && *v > 0.0).collect();
        sizes.sort_by(f64::total_cmp);
        let (Some(&max), Some(&median)) = (sizes.last(), sizes.get(sizes.len() / 2)) else {
            return self.scale_at(0, 0.0, 0.0);
        };
        let mut step = self.step_of(max);
        while step > 0 && median / self.divisor(step) < 0.1 && max / self.divisor(step - 1) < 1e5 {
            step -= 1;
        }
        self.scale_at(step, median, max)
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
