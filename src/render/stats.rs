//! Numbers that describe a distribution, as people read them.

use crate::hist::Histogram;
use crate::units;
use crate::units::Unit;

/// Percentiles that every format gives, with their names.
pub(super) const PERCENTILES: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// Writes one value with its unit.
pub(super) fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count if value.fract() == 0.0 && value >= 0.0 => units::count(value as u64),
        Unit::Count => Unit::PerSecond.scale(value).format(value),
        Unit::Percent => units::percent(value),
        Unit::PerSecond => units::rate(value),
        Unit::Nanoseconds => units::duration(value.round() as i64),
        Unit::Bytes if value < 0.0 => format!("-{}", units::bytes(-value.round() as u64)),
        Unit::Bytes => units::bytes(value.round() as u64),
    }
}

/// Writes a bound of a bucket: whole where a power of 1024 divides it, else as any value.
pub(super) fn bound(bound: u64, unit: Unit) -> String {
    if unit == Unit::Bytes {
        for (shift, suffix) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if bound >= 1 << shift && bound.is_multiple_of(1 << shift) && bound >> shift < 1024 {
                return format!("{} {suffix}", bound >> shift);
            }
        }
    }
    value(bound as f64, unit)
}

/// Lists count, mean, percentiles and maximum as `p99 1.23 ms`.
pub(super) fn facts(histogram: &Histogram, unit: Unit) -> Vec<String> {
    let percentiles = PERCENTILES.iter().map(|(q, name)| (*name, histogram.percentile(*q)));
    let extremes = [("max", histogram.max().map(|max| max as f64)), ("mean", histogram.mean())];
    let known = percentiles.chain(extremes).filter_map(|(name, v)| v.map(|v| format!("{name} {}", value(v, unit))));
    known.chain([format!("count {}", units::count(histogram.count()))]).collect()
}

/// Says how far percentiles may be from the samples they estimate.
pub(super) fn error_bound(error: f64) -> String {
    if error > 0.5 {
        "percentiles are approximate: the buckets are wide".to_owned()
    } else if error > 0.0 {
        format!("percentiles within ±{:.1}%", (error * 1000.0).ceil() / 10.0)
    } else {
        "percentiles exact".to_owned()
    }
}

/// Where each part of a bar of `length` cells begins and ends; the parts are hundredths, and none reaches beyond the end.
pub(super) fn edges(values: &[f64], length: i32) -> impl Iterator<Item = (i32, i32)> + '_ {
    let mut sum = 0.0_f64;
    let mut from = 0;
    values.iter().map(move |value| {
        sum = (sum + if value.is_finite() { value.max(0.0) } else { 0.0 }).min(100.0);
        let begin = from;
        from = (sum / 100.0 * f64::from(length)).round() as i32;
        (begin, from)
    })
}
