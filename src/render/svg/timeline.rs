//! Values over time as lines.

use std::collections::HashMap;

use anyhow::Result;
use plotters::style::Color;

use crate::render::Timeline;
use crate::render::stats;
use crate::render::svg::MARGIN;
use crate::render::svg::SERIES;
use crate::render::svg::WIDTH;
use crate::render::svg::axis;
use crate::render::svg::canvas::Anchor;
use crate::render::svg::canvas::Area;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GREY;
use crate::render::svg::canvas::GRID;
use crate::render::svg::canvas::INK;
use crate::render::svg::canvas::color;
use crate::render::svg::canvas::names_width;
use crate::units::Unit;

/// Height of the part with data.
const DATA: i32 = 170;

/// A place in pixels, and a line through several.
type Point = (i32, i32);
type Path = Vec<Point>;

/// Length of the dashes of lines that coincide.
const DASH: f64 = 9.0;

/// A plot over time that holds something.
pub(super) struct Drawing<'a> {
    plot: &'a Timeline,
    series: Vec<(&'a str, Vec<(f64, f64)>)>,
    omitted: usize,
    start: f64,
    end: f64,
    lowest: f64,
    highest: f64,
    trigger: Option<f64>,
    /// Whether the values are so far apart that only powers of ten show them all; the smallest that is not zero.
    log: Option<f64>,
}

/// Times and sizes further apart than this are drawn on a logarithmic axis.
const FAR_APART: f64 = 50.0;

impl<'a> Drawing<'a> {
    pub(super) fn new(plot: &'a Timeline, trigger: Option<f64>) -> Option<Drawing<'a>> {
        let finite = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect()
        };
        let filled = plot.series.iter().map(|s| (s.0.as_str(), finite(&s.1))).filter(|s| !s.1.is_empty());
        let mut series: Vec<(&str, Vec<(f64, f64)>)> = filled.collect();
        let omitted = series.len().saturating_sub(SERIES);
        series.truncate(SERIES);
        let points = || series.iter().flat_map(|s| s.1.iter());
        points().next()?;
        let (start, end) =
            (points().map(|p| p.0).fold(f64::MAX, f64::min), points().map(|p| p.0).fold(f64::MIN, f64::max));
        let (lowest, highest) = (points().map(|p| p.1).fold(0.0, f64::min), points().map(|p| p.1).fold(0.0, f64::max));
        let least = points().map(|p| p.1).filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
        let scales = matches!(plot.unit, Unit::Nanoseconds | Unit::Bytes);
        let log = (scales && lowest >= 0.0 && least >= 1.0 && highest / least >= FAR_APART).then_some(least);
        // A flat line at zero stands at the bottom.
        let highest = if highest > lowest { highest } else { lowest + 1.0 };
        // Axes start at the window's start unless the points are far from it.
        let start = if start > 0.0 && start < 0.2 * end { 0.0 } else { start };
        Some(Drawing {
            plot,
            series,
            omitted,
            start,
            end: if end > start { end } else { start + 1.0 },
            lowest,
            highest,
            trigger,
            log,
        })
    }

    fn legend_lines(&self) -> i32 {
        self.series.len() as i32 + i32::from(self.omitted > 0)
    }

    pub(super) fn height(&self) -> i32 {
        // Title, legend, unit, data, ticks and axis title.
        26 + 20 * self.legend_lines() + 30 + DATA + 44
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        canvas.heading(MARGIN, top + 9, &self.plot.title, 15.0, WIDTH - 2 * MARGIN, INK)?;
        let named = names_width(self.series.iter().map(|s| s.0));
        for (i, (name, points)) in self.series.iter().enumerate() {
            canvas.legend(top + 26 + 8 + 20 * i as i32, color(i), name, named, &self.facts(points))?;
        }
        if self.omitted > 0 {
            let y = top + 26 + 8 + 20 * (self.legend_lines() - 1);
            canvas.label(MARGIN, y, &format!("… and {} more, not drawn", self.omitted), WIDTH - 2 * MARGIN, GREY)?;
        }
        let data = top + 26 + 20 * self.legend_lines() + 30;
        let area = Area { left: MARGIN + 56, right: WIDTH - MARGIN - 8, top: data, bottom: data + DATA };
        self.axes(canvas, area)?;
        let paths: Vec<Path> = self.series.iter().map(|(_, points)| self.path(area, points)).collect();
        self.lines(canvas, area, &paths)
    }

    fn facts(&self, points: &[(f64, f64)]) -> String {
        let values = || points.iter().map(|p| p.1);
        let (min, max) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
        let mean = values().sum::<f64>() / points.len().max(1) as f64;
        let write = |v: f64| stats::value(v, self.plot.unit);
        format!("min {} · mean {} · max {}", write(min), write(mean), write(max))
    }

    fn axes(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<()> {
        if let Some(least) = self.log {
            canvas.axis_title(area, "logarithmic")?;
            let (lo, hi) = (least as u64, self.highest.ceil() as u64);
            for tick in axis::upright(lo, hi, self.plot.unit, |value| self.y(area, value)) {
                let y = self.y(area, tick.value);
                canvas.line((area.left, y), (area.right, y), GRID)?;
                canvas.mark((area.left - 8, y), &tick.label, Anchor::End, GREY)?;
            }
            return self.time(canvas, area);
        }
        let (ticks, suffix) = axis::linear(self.lowest, self.highest, 5, self.plot.unit, false);
        let title = match suffix {
            "" => "count",
            "/s" => "per second",
            suffix => suffix,
        };
        canvas.axis_title(area, title)?;
        for tick in ticks {
            let y = self.y(area, tick.value);
            canvas.line((area.left, y), (area.right, y), GRID)?;
            canvas.mark((area.left - 8, y), &tick.label, Anchor::End, GREY)?;
        }
        self.time(canvas, area)
    }

    fn time(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<()> {
        axis::time(canvas, area, self.start, self.end, |time| self.x(area, time))?;
        axis::trigger(canvas, area, self.trigger.map(|time| self.x(area, time)))
    }

    fn x(&self, area: Area, time: f64) -> i32 {
        let share = (time - self.start) / (self.end - self.start);
        area.left + (share * f64::from(area.right - area.left)).round() as i32
    }

    fn y(&self, area: Area, value: f64) -> i32 {
        let share = match self.log {
            // What is zero stands at the bottom, the smallest other a little above it.
            Some(least) if value >= least => 0.04 + 0.96 * (value / least).ln() / (self.highest / least).ln(),
            Some(_) => 0.0,
            None => (value - self.lowest) / (self.highest - self.lowest),
        };
        area.bottom - (share * f64::from(area.bottom - area.top)).round() as i32
    }

    /// Draws the lines. Where several have the same pixels, each is drawn on its own part of them, so that none hides another.
    fn lines(&self, canvas: &mut Canvas<'_>, area: Area, paths: &[Path]) -> Result<()> {
        let mut having: HashMap<(Point, Point), Vec<usize>> = HashMap::new();
        for (series, path) in paths.iter().enumerate() {
            for (from, to) in path.iter().zip(path.iter().skip(1)) {
                having.entry((*from, *to)).or_default().push(series);
            }
        }
        for (series, path) in paths.iter().enumerate() {
            let color = color(series);
            if let [only] = path.as_slice() {
                canvas.dot(*only, color)?;
            }
            if let (1, Some(first), Some(last)) = (paths.len(), path.first(), path.last()) {
                let zero = self.y(area, 0.0);
                canvas.area([path.as_slice(), &[(last.0, zero), (first.0, zero)]].concat(), color.mix(0.15))?;
            }
            let mut run: Path = Vec::new();
            for (from, to) in path.iter().zip(path.iter().skip(1)) {
                let sharing = having.get(&(*from, *to)).map(Vec::as_slice).unwrap_or_default();
                let turn = sharing.iter().position(|own| *own == series).unwrap_or(0);
                if sharing.len() < 2 {
                    if run.is_empty() {
                        run.push(*from);
                    }
                    run.push(*to);
                    continue;
                }
                canvas.path(std::mem::take(&mut run), color)?;
                for dash in dashes(*from, *to, turn, sharing.len()) {
                    canvas.path(dash, color)?;
                }
            }
            canvas.path(run, color)?;
        }
        Ok(())
    }

    /// Points in pixels; of many in one pixel's column the first, lowest, highest and last, so that no spike is lost.
    fn path(&self, area: Area, points: &[(f64, f64)]) -> Path {
        let mut path = Path::new();
        let place = |p: &(f64, f64)| (self.x(area, p.0), self.y(area, p.1));
        for column in points.chunk_by(|a, b| self.x(area, a.0) == self.x(area, b.0)) {
            let ys = || column.iter().map(place);
            let (first, last) = (ys().next(), ys().next_back());
            let (high, low) = (ys().min_by_key(|p| p.1), ys().max_by_key(|p| p.1));
            path.extend([first, high, low, last].into_iter().flatten());
        }
        path.dedup();
        path
    }
}

/// The dashes of one of several lines that have the same pixels: they take turns.
fn dashes(from: Point, to: Point, turn: usize, lines: usize) -> Vec<Path> {
    let (wide, high) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    // So many that each line has one at least.
    let count = ((wide.hypot(high) / DASH).round() as usize).max(lines);
    let at = |place: usize| {
        let share = place as f64 / count as f64;
        (from.0 + (wide * share).round() as i32, from.1 + (high * share).round() as i32)
    };
    (turn..count).step_by(lines.max(1)).map(|place| vec![at(place), at(place + 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::dashes;

    #[test]
    fn lines_that_coincide_take_turns_and_leave_nothing_out() {
        let one = dashes((0, 5), (40, 5), 0, 2);
        let other = dashes((0, 5), (40, 5), 1, 2);
        assert_eq!(one, [[(0, 5), (10, 5)], [(20, 5), (30, 5)]]);
        assert_eq!(other, [[(10, 5), (20, 5)], [(30, 5), (40, 5)]]);
        // However short they are, each line is seen.
        assert!((0..8).all(|turn| !dashes((0, 0), (3, 0), turn, 8).is_empty()));
    }
}
