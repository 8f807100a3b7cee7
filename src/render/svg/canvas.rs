//! Elements of a drawing: lines, areas and text in the palette and type of all plots.

use anyhow::Context;
use anyhow::Result;
use plotters::backend::DrawingBackend;
use plotters::backend::SVGBackend;
use plotters::style::Color;
use plotters::style::FontDesc;
use plotters::style::FontFamily;
use plotters::style::FontStyle;
use plotters::style::RGBAColor;
use plotters::style::RGBColor;
use plotters::style::TextStyle;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::Pos;
use plotters::style::text_anchor::VPos;

use crate::render::svg::MARGIN;
use crate::render::svg::WIDTH;
use crate::text::sanitize;
use crate::text::width;

/// Text that matters.
pub(super) const INK: RGBColor = RGBColor(31, 35, 40);

/// Text beside it.
pub(super) const GREY: RGBColor = RGBColor(89, 99, 110);

/// Axes.
pub(super) const AXIS: RGBColor = RGBColor(140, 149, 159);

/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(225, 228, 232);

/// The moment at which the trigger fired.
pub(super) const TRIGGER: RGBColor = RGBColor(191, 38, 38);

/// Colours of Okabe and Ito, which people of every colour vision tell apart; the darker ones first.
const PALETTE: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(64, 64, 64),
    RGBColor(150, 140, 30),
    RGBColor(120, 60, 120),
];

/// Height of small text in pixels.
pub(super) const SMALL: f64 = 12.0;

/// The colour of the nth series.
pub(super) fn color(series: usize) -> RGBColor {
    PALETTE.get(series % PALETTE.len()).copied().unwrap_or(INK)
}

/// The width of text in pixels, by the classes of letters of DejaVu Sans, the widest of the usual sans-serif fonts.
pub(super) fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().map(em).sum::<f64>() * size).ceil() as i32
}

/// The room that the names of a legend take, with enough left for what stands beside them.
pub(super) fn names_width<'n>(names: impl Iterator<Item = &'n str>) -> i32 {
    names.map(|name| text_width(&sanitize(name), SMALL)).max().unwrap_or(0).min((WIDTH - 2 * MARGIN) / 4)
}

fn em(c: char) -> f64 {
    match c {
        ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '·' | 'i' | 'j' | 'l' | 'I' => 0.33,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        'A'..='Z' => 0.72,
        _ if c.is_ascii() => 0.635,
        // Wide letters are square; others take no more than a Latin one, or nothing.
        _ => width(c.encode_utf8(&mut [0; 4])).min(2) as f64 * 0.65,
    }
}

/// Where a label stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// The label ends there.
    End,
    /// The label is centred there.
    Middle,
}

/// The part of a plot that the data fill, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

/// A drawing under construction.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(out: &'a mut String, width: i32, height: i32) -> Result<Canvas<'a>> {
        let mut backend = SVGBackend::with_string(out, (width.unsigned_abs(), height.unsigned_abs()));
        backend.draw_rect((0, 0), (width, height), &RGBColor(255, 255, 255), true).context("draw the background")?;
        Ok(Canvas { backend })
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.backend.present().context("finish the drawing")
    }

    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<()> {
        self.backend.draw_line(from, to, &color).context("draw a line")
    }

    /// Draws a line through points; fewer than two are none.
    pub(super) fn path(&mut self, points: Vec<(i32, i32)>, color: RGBColor) -> Result<()> {
        if points.len() < 2 {
            return Ok(());
        }
        self.backend.draw_path(points, &color.stroke_width(2)).context("draw a path")
    }

    pub(super) fn area(&mut self, points: Vec<(i32, i32)>, color: RGBAColor) -> Result<()> {
        self.backend.fill_polygon(points, &color).context("draw an area")
    }

    /// Fills a rectangle from its upper left to its lower right corner.
    pub(super) fn rectangle(&mut self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<()> {
        self.backend.draw_rect(from, to, &color, true).context("draw a bar")
    }

    /// A dot, for a line that has one point only.
    pub(super) fn dot(&mut self, at: (i32, i32), color: RGBColor) -> Result<()> {
        self.backend.draw_circle(at, 3, &color, true).context("draw a dot")
    }

    /// Writes bold text with its middle at `y`, cut to `room` pixels.
    pub(super) fn heading(&mut self, x: i32, y: i32, text: &str, size: f64, room: i32, color: RGBColor) -> Result<()> {
        // Bold letters are wider.
        let text = cut(text, size * 1.1, room);
        self.write((x, y), &text, size, HPos::Left, FontStyle::Bold, color)
    }

    /// Writes small text with its middle at `y`, cut to `room` pixels.
    pub(super) fn label(&mut self, x: i32, y: i32, text: &str, room: i32, color: RGBColor) -> Result<()> {
        self.write((x, y), &cut(text, SMALL, room), SMALL, HPos::Left, FontStyle::Normal, color)
    }

    /// Writes what an axis measures above its upper end; returns where the text ends.
    pub(super) fn axis_title(&mut self, area: Area, title: &str) -> Result<i32> {
        self.label(MARGIN, area.top - 18, title, area.left, GREY)?;
        Ok(MARGIN + text_width(title, SMALL))
    }

    /// Writes small text that ends or is centred at a point.
    pub(super) fn mark(&mut self, at: (i32, i32), text: &str, anchor: Anchor, color: RGBColor) -> Result<()> {
        let anchor = match anchor {
            Anchor::End => HPos::Right,
            Anchor::Middle => HPos::Center,
        };
        self.write(at, &sanitize(text), SMALL, anchor, FontStyle::Normal, color)
    }

    /// Writes the entry of a legend: a swatch, the name in `named` pixels and what is known of the series.
    pub(super) fn legend(&mut self, y: i32, color: RGBColor, name: &str, named: i32, facts: &str) -> Result<()> {
        self.rectangle((MARGIN, y - 5), (MARGIN + 11, y + 6), color)?;
        let left = MARGIN + 18;
        self.label(left, y, name, named, INK)?;
        let beside = left + if named > 0 { named + 12 } else { 0 };
        self.label(beside, y, facts, WIDTH - MARGIN - beside, GREY)
    }

    fn write(
        &mut self,
        at: (i32, i32),
        text: &str,
        size: f64,
        anchor: HPos,
        weight: FontStyle,
        color: RGBColor,
    ) -> Result<()> {
        // The back end divides sizes by 1.24.
        let font = FontDesc::new(FontFamily::SansSerif, size * 1.24, weight);
        let style = TextStyle { font, color: color.to_backend_color(), pos: Pos::new(anchor, VPos::Center) };
        self.backend.draw_text(text, &style, at).context("write a label")
    }
}

/// Cuts text to `room` pixels; what is cut ends in `…`.
fn cut(text: &str, size: f64, room: i32) -> String {
    let text = sanitize(text);
    if text_width(&text, size) <= room {
        return text.into_owned();
    }
    let mut left = f64::from(room) / size - em('…');
    let fits = |c: &char| {
        left -= em(*c);
        left >= 0.0
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}
