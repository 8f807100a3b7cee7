//! Distributions as bars, or as outlines where several are compared.

use anyhow::Result;
use plotters::style::Color;

use crate::hist::Histogram;
use crate::render::HistogramPlot;
use crate::render::grid::Grid;
use crate::render::stats;
use crate::render::svg::MARGIN;
use crate::render::svg::SERIES;
use crate::render::svg::WIDTH;
use crate::render::svg::axis;
use crate::render::svg::axis::Tick;
use crate::render::svg::canvas::AXIS;
use crate::render::svg::canvas::Anchor;
use crate::render::svg::canvas::Area;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GREY;
use crate::render::svg::canvas::GRID;
use crate::render::svg::canvas::INK;
use crate::render::svg::canvas::SMALL;
use crate::render::svg::canvas::color;
use crate::render::svg::canvas::names_width;
use crate::render::svg::canvas::text_width;
use crate::units::Unit;

/// Most bars: about seven pixels each.
const BARS: usize = 128;

/// Height of the part with data.
const DATA: i32 = 210;

/// Percentiles that are marked, those first that are dropped last when labels meet.
const MARKS: [(f64, &str); 5] = [(0.5, "p50"), (0.99, "p99"), (0.9, "p90"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// A histogram plot that holds something.
pub(super) struct Drawing<'a> {
    plot: &'a HistogramPlot,
    series: Vec<(&'a str, &'a Histogram)>,
    omitted: usize,
    grid: Grid,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(plot: &'a HistogramPlot) -> Option<Drawing<'a>> {
        let filled = || plot.series.iter().filter(|s| !s.1.is_empty());
        let series: Vec<(&str, &Histogram)> = filled().take(SERIES).map(|s| (s.0.as_str(), &s.1)).collect();
        let grid = Grid::new(series.iter().map(|s| s.1), BARS, false)?;
        Some(Drawing { plot, omitted: filled().count() - series.len(), series, grid })
    }

    fn legend_lines(&self) -> i32 {
        self.series.len() as i32 + i32::from(self.omitted > 0)
    }

    pub(super) fn height(&self) -> i32 {
        // Title, legend, marks, data, ticks and axis title.
        26 + 20 * self.legend_lines() + 32 + DATA + 44
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        canvas.heading(MARGIN, top + 9, &self.plot.title, 15.0, WIDTH - 2 * MARGIN, INK)?;
        let named = names_width(self.series.iter().map(|s| s.0));
        for (i, (name, histogram)) in self.series.iter().enumerate() {
            let y = top + 26 + 8 + 20 * i as i32;
            let mut facts = stats::facts(histogram, self.plot.unit);
            if self.series.len() > 1 {
                // Beside a name there is room for less.
                facts.retain(|fact| !fact.starts_with("mean") && !fact.starts_with("p99.99"));
            }
            let facts = facts.join(" · ");
            if self.series.len() == 1 {
                let name = if name.is_empty() { String::new() } else { format!("{name}:  ") };
                canvas.label(MARGIN, y, &format!("{name}{facts}"), WIDTH - 2 * MARGIN, GREY)?;
            } else {
                canvas.legend(y, color(i), name, named, &facts)?;
            }
        }
        if self.omitted > 0 {
            let y = top + 26 + 8 + 20 * (self.legend_lines() - 1);
            canvas.label(MARGIN, y, &format!("… and {} more, not drawn", self.omitted), WIDTH - 2 * MARGIN, GREY)?;
        }
        let data = top + 26 + 20 * self.legend_lines() + 32;
        let area = Area { left: MARGIN + 56, right: WIDTH - MARGIN - 8, top: data, bottom: data + DATA };
        let titled = self.vertical(canvas, area)?;
        if let [(_, histogram)] = self.series.as_slice() {
            self.bars(canvas, area, histogram)?;
            self.marks(canvas, area, histogram, titled)?;
        } else {
            self.outlines(canvas, area)?;
        }
        self.horizontal(canvas, area)
    }

    /// The height of each row's bar in the axis' own measure: counts, or hundredths of each series where several are compared.
    fn heights(&self, histogram: &Histogram) -> Vec<f64> {
        let whole = if self.series.len() == 1 { 1.0 } else { histogram.count() as f64 / 100.0 };
        self.grid.counts(histogram).iter().map(|count| *count as f64 / whole).collect()
    }

    fn highest(&self) -> f64 {
        self.series.iter().flat_map(|s| self.heights(s.1)).fold(0.0, f64::max)
    }

    /// Draws the axis of heights; returns where its title ends.
    fn vertical(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<i32> {
        let (unit, title) = if self.series.len() == 1 { (Unit::Count, "count") } else { (Unit::Percent, "% of each") };
        let titled = canvas.axis_title(area, title)?;
        let (ticks, _) = axis::linear(0.0, self.highest(), 5, unit, false);
        for tick in ticks {
            let y = self.y(area, tick.value);
            canvas.line((area.left, y), (area.right, y), GRID)?;
            canvas.mark((area.left - 8, y), &tick.label, Anchor::End, GREY)?;
        }
        Ok(titled)
    }

    fn y(&self, area: Area, height: f64) -> i32 {
        let share = height / self.highest().max(f64::MIN_POSITIVE);
        area.bottom - (share * f64::from(area.bottom - area.top)).round() as i32
    }

    /// Places a value: linear or logarithmic, where zero has the room of one power of two.
    fn x(&self, area: Area, value: f64) -> i32 {
        let at = |value: f64| match (self.grid.linear, value >= 1.0) {
            (true, _) => value,
            (false, true) => value.log2(),
            (false, false) => value - 1.0,
        };
        let end = |edge: Option<&u64>| edge.map_or(0.0, |e| at(*e as f64));
        let (lo, hi) = (end(self.grid.edges.first()), end(self.grid.edges.last()));
        // Exact extremes that a file made up may lie outside of its buckets.
        let share = ((at(value) - lo) / (hi - lo).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        area.left + (share * f64::from(area.right - area.left)).round() as i32
    }

    fn bars(&self, canvas: &mut Canvas<'_>, area: Area, histogram: &Histogram) -> Result<()> {
        for ((lo, hi), height) in self.grid.bounds().zip(self.heights(histogram)) {
            if height > 0.0 {
                let (left, right) = (self.x(area, lo as f64), self.x(area, hi as f64));
                let gap = if right - left > 3 { 1 } else { 0 };
                // The smallest count is still seen.
                let y = self.y(area, height).min(area.bottom - 1);
                canvas.rectangle((left, y), (right - gap, area.bottom), color(0))?;
            }
        }
        Ok(())
    }

    fn marks(&self, canvas: &mut Canvas<'_>, area: Area, histogram: &Histogram, titled: i32) -> Result<()> {
        let mut taken = vec![(MARGIN, titled)];
        for (q, name) in MARKS {
            let Some(value) = histogram.percentile(q) else { continue };
            let x = self.x(area, value + self.within());
            let half = text_width(name, SMALL) / 2 + 3;
            if taken.iter().all(|t| x + half < t.0 || x - half > t.1) {
                taken.push((x - half, x + half));
                canvas.line((x, area.top - 10), (x, area.bottom), AXIS)?;
                canvas.mark((x, area.top - 18), name, Anchor::Middle, GREY)?;
            }
        }
        Ok(())
    }

    fn outlines(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<()> {
        let steps = |histogram: &Histogram| {
            let mut points = vec![(area.left, area.bottom)];
            for ((lo, hi), height) in self.grid.bounds().zip(self.heights(histogram)) {
                let y = self.y(area, height);
                points.extend([(self.x(area, lo as f64), y), (self.x(area, hi as f64), y)]);
            }
            points.push((area.right, area.bottom));
            points
        };
        // More than a few areas above each other turn to mud.
        let filled = if self.series.len() <= 3 { self.series.as_slice() } else { &[] };
        for (i, (_, histogram)) in filled.iter().enumerate() {
            canvas.area(steps(histogram), color(i).mix(0.12))?;
        }
        for (i, (_, histogram)) in self.series.iter().enumerate() {
            canvas.path(steps(histogram), color(i))?;
        }
        Ok(())
    }

    fn horizontal(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<()> {
        canvas.line((area.left, area.bottom), (area.right, area.bottom), AXIS)?;
        for tick in self.ticks(area) {
            let x = self.x(area, tick.value);
            canvas.line((x, area.bottom), (x, area.bottom + 4), AXIS)?;
            canvas.mark((x, area.bottom + 14), &tick.label, Anchor::Middle, GREY)?;
        }
        let measure = match self.plot.unit {
            Unit::Nanoseconds => "time",
            Unit::Bytes => "size",
            Unit::Count => "number",
            Unit::Percent => "%",
            Unit::PerSecond => "per second",
        };
        let scale = if self.grid.linear { "" } else { " (logarithmic)" };
        let middle = (area.left + area.right) / 2;
        canvas.mark((middle, area.bottom + 33), &format!("{measure}{scale}"), Anchor::Middle, GREY)?;
        let error = self.series.iter().map(|s| s.1.error()).fold(0.0, f64::max);
        canvas.mark((area.right, area.bottom + 33), &stats::error_bound(error), Anchor::End, GREY)
    }

    /// Where in its bar a value stands: in the middle, when each whole number has a bar.
    fn within(&self) -> f64 {
        if self.grid.linear && self.grid.bounds().all(|(lo, hi)| hi - lo == 1) { 0.5 } else { 0.0 }
    }

    fn ticks(&self, area: Area) -> Vec<Tick> {
        let (Some(lo), Some(hi)) = (self.grid.edges.first().copied(), self.grid.edges.last().copied()) else {
            return Vec::new();
        };
        if !self.grid.linear {
            return axis::logarithmic(lo, hi, self.plot.unit, |value| self.x(area, value));
        }
        let (mut ticks, _) = axis::linear(lo as f64, hi as f64, 8, self.plot.unit, true);
        if self.within() > 0.0 {
            ticks.retain(|tick| tick.value < hi as f64);
        }
        ticks.iter_mut().for_each(|tick| tick.value += self.within());
        ticks
    }
}
