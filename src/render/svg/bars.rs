//! Bars made of parts, one below the other.

use anyhow::Result;
use plotters::style::RGBColor;

use crate::render::Bars;
use crate::render::stats::edges;
use crate::render::svg::MARGIN;
use crate::render::svg::WIDTH;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GRID;
use crate::render::svg::canvas::INK;
use crate::render::svg::canvas::color;
use crate::render::svg::canvas::names_width;

/// Height of a bar with the space below it.
const ROW: i32 = 22;
/// What is idle by design: a little darker than where there is nothing.
const PALE: RGBColor = RGBColor(199, 206, 213);
/// Height of a bar.
const BAR: i32 = 15;

/// Bars of which there is at least one.
pub(super) struct Drawing<'a> {
    plot: &'a Bars,
    /// Parts that some bar has.
    used: Vec<usize>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(plot: &'a Bars) -> Option<Drawing<'a>> {
        let has =
            |part: &usize| plot.rows.iter().any(|(_, values)| values.get(*part).is_some_and(|value| *value > 0.0));
        let used: Vec<usize> = (0..plot.parts.len()).filter(has).collect();
        (!plot.rows.is_empty()).then_some(Drawing { plot, used })
    }

    fn color(&self, part: usize) -> RGBColor {
        if self.plot.pale == Some(part) { PALE } else { color(part) }
    }

    pub(super) fn height(&self) -> i32 {
        26 + 20 * self.used.len() as i32 + 12 + ROW * self.plot.rows.len() as i32
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        canvas.heading(MARGIN, top + 9, &self.plot.title, 15.0, WIDTH - 2 * MARGIN, INK)?;
        let mut y = top + 26;
        for part in &self.used {
            let title = self.plot.parts.get(*part).map_or("", String::as_str);
            canvas.legend(y + 8, self.color(*part), title, WIDTH / 2, "")?;
            y += 20;
        }
        y += 12;
        let named = names_width(self.plot.rows.iter().map(|(name, _)| name.as_str()));
        let left = MARGIN + named + 12;
        let length = WIDTH - MARGIN - left;
        for (name, values) in &self.plot.rows {
            canvas.label(MARGIN, y + BAR / 2, name, named, INK)?;
            canvas.rectangle((left, y), (left + length, y + BAR), GRID)?;
            for (part, (from, to)) in edges(values, length).enumerate().filter(|(_, (from, to))| to > from) {
                canvas.rectangle((left + from, y), (left + to, y + BAR), self.color(part))?;
            }
            y += ROW;
        }
        Ok(())
    }
}
