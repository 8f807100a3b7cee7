//! Axes: round numbers, far enough apart, and their labels.

use crate::render::stats;
use crate::render::svg::canvas::SMALL;
use crate::render::svg::canvas::text_width;
use crate::units::Unit;

/// A labelled value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// Round values from `lo` to `hi`, about `count` of them; whole ones when `whole`.
pub(super) fn round(lo: f64, hi: f64, count: usize, whole: bool) -> Vec<f64> {
    let span = hi - lo;
    if !span.is_finite() || span <= 0.0 {
        return vec![lo];
    }
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let step = if whole { step.max(1.0).round() } else { step };
    let first = (lo / step - 1e-9).ceil();
    let last = (hi / step + 1e-9).floor();
    let ticks = (last - first).clamp(0.0, 1000.0) as u32;
    (0..=ticks).map(|i| (first + f64::from(i)) * step).collect()
}

/// Ticks of values in one scale: the unit stands apart or behind each, as `suffix` says.
pub(super) fn linear(lo: f64, hi: f64, count: usize, unit: Unit, suffix: bool) -> (Vec<Tick>, &'static str) {
    let scale = unit.scale(hi.abs().max(lo.abs()));
    // A rate of thousands and a count read best with the thousands in the label.
    let values = round(lo / scale.divisor, hi / scale.divisor, count, unit == Unit::Count);
    let step = match values.as_slice() {
        [a, b, ..] => b - a,
        _ => 1.0,
    };
    let decimals = if step >= 1.0 { 0 } else { (-step.log10()).ceil().clamp(0.0, 6.0) as usize };
    let label = |value: f64| {
        let number = compact(value, decimals);
        if suffix { format!("{number} {}", scale.suffix).trim_end().to_owned() } else { number }
    };
    let ticks = values.iter().map(|v| Tick { value: v * scale.divisor, label: label(*v) }).collect();
    (ticks, scale.suffix)
}

/// A number with thousands as k, M, G.
fn compact(value: f64, decimals: usize) -> String {
    for (divisor, suffix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value.abs() >= divisor * 10.0 || (value.abs() >= divisor && suffix != "k") {
            let scaled = value / divisor;
            let text = format!("{scaled:.2}");
            return format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{value:.decimals$}")
}

/// Ticks of a logarithmic axis from `lo` to `hi` that is `pixels` long, `position` placing a value on it: powers of ten, of two for bytes, with
/// as many between as there is room for.
pub(super) fn logarithmic(lo: u64, hi: u64, unit: Unit, position: impl Fn(f64) -> i32) -> Vec<Tick> {
    let candidates: Vec<Vec<f64>> = if unit == Unit::Bytes {
        [1, 2, 4, 5, 10, 20].iter().map(|every| (0..64).step_by(*every).map(|p| 2f64.powi(p)).collect()).collect()
    } else {
        let decades = |every: usize, parts: &[f64]| -> Vec<f64> {
            (0..20).step_by(every).flat_map(|p| parts.iter().map(move |part| part * 10f64.powi(p))).collect()
        };
        vec![
            decades(1, &[1.0, 2.0, 5.0]),
            decades(1, &[1.0, 3.0]),
            decades(1, &[1.0]),
            decades(2, &[1.0]),
            decades(3, &[1.0]),
        ]
    };
    let mut best = Vec::new();
    for values in candidates {
        let inside = values.into_iter().filter(|v| *v >= lo as f64 && *v <= hi as f64);
        let mut ticks: Vec<Tick> = inside.map(|value| Tick { value, label: log_label(value, unit) }).collect();
        if lo == 0 {
            ticks.insert(0, Tick { value: 0.0, label: "0".to_owned() });
        }
        let apart = ticks.windows(2).all(|pair| match pair {
            [a, b] => {
                let half = (text_width(&a.label, SMALL) + text_width(&b.label, SMALL)) / 2;
                position(b.value) - position(a.value) >= half + 14
            }
            _ => true,
        });
        best = ticks;
        if apart {
            break;
        }
    }
    best
}

/// Round numbers without decimals: `100 µs`, `64 KiB`, `10k`; from a second on in seconds.
fn log_label(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds if value >= 1e9 => format!("{} s", compact(value / 1e9, 0)),
        Unit::Nanoseconds => {
            let scale = unit.scale(value);
            format!("{:.0} {}", value / scale.divisor, scale.suffix)
        }
        Unit::Bytes => stats::bound(value as u64, unit),
        Unit::Count | Unit::Percent | Unit::PerSecond => compact(value, 0),
    }
}
