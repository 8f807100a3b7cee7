//! Distributions over time as cells whose colour is their count.

use anyhow::Result;
use plotters::style::RGBColor;

use crate::render::Heatmap;
use crate::render::heat::Cells;
use crate::render::svg::MARGIN;
use crate::render::svg::WIDTH;
use crate::render::svg::axis;
use crate::render::svg::canvas::AXIS;
use crate::render::svg::canvas::Anchor;
use crate::render::svg::canvas::Area;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GREY;
use crate::render::svg::canvas::INK;
use crate::units;

/// Most rows: about four pixels each.
const ROWS: usize = 72;

/// Most columns: about two pixels each.
const COLUMNS: usize = 400;

/// Height of the part with data.
const DATA: i32 = 290;

/// Length of the scale of colours.
const SCALE: i32 = 220;

/// From the emptiest to the fullest: ColorBrewer's YlGnBu without its palest, which people of every colour vision read alike, since each
/// is darker than the one before; on white the empty cells stay apart from all of them.
const COLORS: [RGBColor; 8] = [
    RGBColor(237, 248, 177),
    RGBColor(199, 233, 180),
    RGBColor(127, 205, 187),
    RGBColor(65, 182, 196),
    RGBColor(29, 145, 192),
    RGBColor(34, 94, 168),
    RGBColor(37, 52, 148),
    RGBColor(8, 29, 88),
];

/// A heat map that holds something.
pub(super) struct Drawing<'a> {
    plot: &'a Heatmap,
    cells: Cells,
    start: f64,
    end: f64,
    trigger: Option<f64>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(plot: &'a Heatmap, trigger: Option<f64>) -> Option<Drawing<'a>> {
        let cells = Cells::of(plot, ROWS, COLUMNS)?;
        let start = cells.times.iter().map(|time| time.0).fold(f64::MAX, f64::min);
        let end = cells.times.iter().map(|time| time.1).fold(f64::MIN, f64::max);
        (end > start).then_some(Drawing { plot, cells, start, end, trigger })
    }

    pub(super) fn height(&self) -> i32 {
        // Title, scale, data, ticks and axis title.
        26 + 58 + DATA + 44
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        canvas.heading(MARGIN, top + 9, &self.plot.title, 15.0, WIDTH - 2 * MARGIN, INK)?;
        self.scale(canvas, top + 30)?;
        let data = top + 26 + 58;
        let area = Area { left: MARGIN + 56, right: WIDTH - MARGIN - 8, top: data, bottom: data + DATA };
        for ((begin, end), counts) in self.cells.times.iter().zip(&self.cells.counts) {
            let (left, right) = (self.x(area, *begin), self.x(area, *end));
            let gap = if right - left > 8 { 1 } else { 0 };
            for ((lo, hi), count) in self.cells.grid.bounds().zip(counts) {
                if let Some(heat) = self.cells.heat(*count) {
                    let (above, below) = (self.y(area, hi as f64), self.y(area, lo as f64));
                    canvas.rectangle(
                        (left, above),
                        ((right - gap).max(left + 1), below.max(above + 1)),
                        color(heat),
                    )?;
                }
            }
        }
        self.axes(canvas, area)
    }

    /// The scale of colours with counts below it.
    fn scale(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        for x in 0..SCALE {
            let heat = f64::from(x) / f64::from(SCALE - 1);
            canvas.rectangle((MARGIN + x, top), (MARGIN + x + 1, top + 10), color(heat))?;
        }
        let most = self.cells.most as f64;
        let mut counts: Vec<u64> = [0.0, 0.5, 1.0].map(|heat| most.powf(heat).round() as u64).to_vec();
        counts.dedup();
        for count in counts {
            let heat = self.cells.heat(count).unwrap_or(0.0);
            let x = MARGIN + (heat * f64::from(SCALE)).round() as i32;
            let label = units::count(count);
            match () {
                () if heat < 0.1 => canvas.label(MARGIN, top + 20, &label, SCALE, GREY)?,
                () if heat > 0.9 => canvas.mark((x, top + 20), &label, Anchor::End, GREY)?,
                () => canvas.mark((x, top + 20), &label, Anchor::Middle, GREY)?,
            }
        }
        let mut widths: Vec<f64> = self.cells.times.iter().map(|(begin, end)| end - begin).collect();
        widths.sort_by(f64::total_cmp);
        let each = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let note = format!(
            "values per cell (logarithmic); white: none; a cell is {} wide",
            units::duration((each * 1e9).min(i64::MAX as f64) as i64)
        );
        canvas.label(MARGIN + SCALE + 16, top + 5, &note, WIDTH - 2 * MARGIN - SCALE - 16, GREY)
    }

    fn axes(&self, canvas: &mut Canvas<'_>, area: Area) -> Result<()> {
        canvas.line((area.left, area.top), (area.left, area.bottom), AXIS)?;
        canvas.line((area.left, area.bottom), (area.right, area.bottom), AXIS)?;
        let edges = &self.cells.grid.edges;
        if let (Some(lo), Some(hi)) = (edges.first().copied(), edges.last().copied()) {
            let ticks = if self.cells.grid.linear {
                axis::linear(lo as f64, hi as f64, 6, self.plot.unit, true).0
            } else {
                axis::upright(lo, hi, self.plot.unit, |value| self.y(area, value))
            };
            for tick in ticks {
                let y = self.y(area, tick.value);
                canvas.line((area.left - 4, y), (area.left, y), AXIS)?;
                canvas.mark((area.left - 8, y), &tick.label, Anchor::End, GREY)?;
            }
        }
        axis::time(canvas, area, self.start, self.end, |time| self.x(area, time))?;
        axis::trigger(canvas, area, self.trigger.map(|time| self.x(area, time)))
    }

    fn x(&self, area: Area, time: f64) -> i32 {
        let share = (time - self.start) / (self.end - self.start);
        area.left + (share * f64::from(area.right - area.left)).round() as i32
    }

    /// Linear or logarithmic as the rows are; zero has the room of one power of two.
    fn y(&self, area: Area, value: f64) -> i32 {
        let at = |value: f64| match (self.cells.grid.linear, value >= 1.0) {
            (true, _) => value,
            (false, true) => value.log2(),
            (false, false) => value - 1.0,
        };
        let end = |edge: Option<&u64>| edge.map_or(0.0, |edge| at(*edge as f64));
        let (lo, hi) = (end(self.cells.grid.edges.first()), end(self.cells.grid.edges.last()));
        let share = (at(value) - lo) / (hi - lo).max(f64::MIN_POSITIVE);
        area.bottom - (share * f64::from(area.bottom - area.top)).round() as i32
    }
}

/// The colour between two neighbours of the scale.
fn color(heat: f64) -> RGBColor {
    let place = heat.clamp(0.0, 1.0) * (COLORS.len() - 1) as f64;
    let at = (place as usize).min(COLORS.len() - 2);
    let pair = (COLORS.get(at), COLORS.get(at + 1));
    let (Some(a), Some(b)) = pair else { return INK };
    let part = place - at as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}
