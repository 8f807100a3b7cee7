//! Axes: round numbers, far enough apart, and their labels.

use anyhow::Result;

use crate::render::stats;
use crate::render::svg::canvas::AXIS;
use crate::render::svg::canvas::Anchor;
use crate::render::svg::canvas::Area;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GREY;
use crate::render::svg::canvas::SMALL;
use crate::render::svg::canvas::TRIGGER;
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
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power);
    let fits = |step: &f64| *step >= rough * 0.999 && (!whole || step.fract() == 0.0);
    let step = steps.into_iter().find(fits).unwrap_or(1.0);
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
    let decimals = decimals(&values);
    let largest = values.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let label = |value: f64| {
        let number = compact(value, largest, decimals);
        if suffix { format!("{number} {}", scale.suffix).trim_end().to_owned() } else { number }
    };
    let ticks = values.iter().map(|v| Tick { value: v * scale.divisor, label: label(*v) }).collect();
    (ticks, scale.suffix)
}

/// Digits after the point that tell round values apart.
pub(super) fn decimals(values: &[f64]) -> usize {
    let step = if let [a, b, ..] = values { b - a } else { 1.0 };
    let exact = |decimals: &usize| {
        let scaled = step * 10f64.powi(*decimals as i32);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
    };
    (0..9).find(exact).unwrap_or(9)
}

/// A number with thousands as k, M or G where the largest number beside it has five digits.
fn compact(value: f64, largest: f64, decimals: usize) -> String {
    for (divisor, suffix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if largest >= divisor * 10.0 || (largest >= divisor && suffix != "k") {
            if value == 0.0 {
                return "0".to_owned();
            }
            let text = format!("{:.2}", value / divisor);
            return format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{value:.decimals$}")
}

/// Ticks of a logarithmic axis from `lo` to `hi` that is `pixels` long, `position` placing a value on it: powers of ten, of two for bytes, with
/// as many between as there is room for.
pub(super) fn logarithmic(lo: u64, hi: u64, unit: Unit, position: impl Fn(f64) -> i32) -> Vec<Tick> {
    apart(lo, hi, unit, |a, b| {
        let half = (text_width(&a.label, SMALL) + text_width(&b.label, SMALL)) / 2;
        position(b.value) - position(a.value) < half + 14
    })
}

/// The same for an upright axis.
pub(super) fn upright(lo: u64, hi: u64, unit: Unit, position: impl Fn(f64) -> i32) -> Vec<Tick> {
    apart(lo, hi, unit, |a, b| position(a.value) - position(b.value) < SMALL as i32 + 8)
}

/// Draws the axis of time below a plot: a line, whole seconds or round parts of them, and what they are.
pub(super) fn time(
    canvas: &mut Canvas<'_>,
    area: Area,
    start: f64,
    end: f64,
    position: impl Fn(f64) -> i32,
) -> Result<()> {
    canvas.line((area.left, area.bottom), (area.right, area.bottom), AXIS)?;
    let seconds = round(start, end, 10, false);
    let decimals = decimals(&seconds);
    for second in seconds {
        let x = position(second);
        canvas.line((x, area.bottom), (x, area.bottom + 4), AXIS)?;
        canvas.mark((x, area.bottom + 14), &format!("{second:.decimals$}"), Anchor::Middle, GREY)?;
    }
    let middle = (area.left + area.right) / 2;
    canvas.mark((middle, area.bottom + 33), "seconds since the start", Anchor::Middle, GREY)
}

/// Marks where the trigger fired, if that is within the plot.
pub(super) fn trigger(canvas: &mut Canvas<'_>, area: Area, x: Option<i32>) -> Result<()> {
    const LABEL: &str = "trigger";
    let Some(x) = x.filter(|x| (area.left..=area.right).contains(x)) else { return Ok(()) };
    canvas.line((x, area.top - 4), (x, area.bottom), TRIGGER)?;
    // Above the line, and within the picture where that is at its end.
    let half = text_width(LABEL, SMALL) / 2;
    canvas.mark((x.min(area.right - half), area.top - 12), LABEL, Anchor::Middle, TRIGGER)
}

/// The finest of several sets of ticks of which none is too close to the one before.
fn apart(lo: u64, hi: u64, unit: Unit, close: impl Fn(&Tick, &Tick) -> bool) -> Vec<Tick> {
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
            // Zero stands below its bar, whatever is next to it.
            let zero = Tick { value: 0.5, label: "0".to_owned() };
            ticks.retain(|tick| !close(&zero, tick));
            ticks.insert(0, zero);
        }
        let apart = ticks.windows(2).all(|pair| if let [a, b] = pair { !close(a, b) } else { true });
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
        Unit::Nanoseconds if value >= 1e9 => format!("{} s", compact(value / 1e9, value / 1e9, 0)),
        Unit::Nanoseconds => {
            let scale = unit.scale(value);
            format!("{:.0} {}", value / scale.divisor, scale.suffix)
        }
        Unit::Bytes => stats::bound(value as u64, unit),
        Unit::Count | Unit::Percent | Unit::PerSecond => compact(value, value, 0),
    }
}
