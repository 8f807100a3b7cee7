//! Plots of a document as one SVG.
//!
//! plotters writes the elements; axes, legends and labels are laid out here, since its own layout needs font metrics that its vector back end
//! does not have. The output depends on the document alone.

mod axis;
mod bars;
mod canvas;
mod heatmap;
mod histogram;
mod timeline;

use anyhow::Result;
use anyhow::bail;

use crate::render::Block;
use crate::render::Document;
use crate::render::flame;
use crate::render::svg::canvas::Canvas;
use crate::render::svg::canvas::GREY;
use crate::render::svg::canvas::INK;
use crate::render::svg::canvas::SMALL;
use crate::render::svg::canvas::text_width;

/// Width of the drawing in pixels.
const WIDTH: i32 = 960;

/// Space around all.
const MARGIN: i32 = 24;

/// Space between plots.
const GAP: i32 = 28;

/// Height of a line of the subtitle.
const LINE: i32 = 18;

/// Most lines of a plot: more cannot be told apart by colour.
const SERIES: usize = 8;

/// Draws the plots of a document, one below the other under its title; fails when nothing in it can be drawn.
pub fn svg(document: &Document) -> Result<String> {
    // A flame graph has a script and a size of its own, so it stands alone.
    let flame = document.blocks.iter().find_map(|block| if let Block::Flame(plot) = block { Some(plot) } else { None });
    if let Some(plot) = flame {
        return flame::flame(document, plot);
    }
    let plots: Vec<Plot<'_>> = document.blocks.iter().filter_map(|block| Plot::of(block, document.trigger)).collect();
    if plots.is_empty() {
        bail!("view '{}' has no plot to draw\nhint: use --format text, md, json or csv", document.name);
    }
    let below = lines(&document.subtitle);
    let head = match (document.title.is_empty(), below.len() as i32) {
        (true, 0) => 0,
        (true, lines) => 16 + LINE * lines,
        (false, 0) => 34,
        (false, lines) => 40 + LINE * lines,
    };
    let heights = plots.iter().map(Plot::height);
    let height = 2 * MARGIN + head + heights.sum::<i32>() + GAP * (plots.len() as i32 - 1);
    let mut out = String::new();
    let mut canvas = Canvas::new(&mut out, WIDTH, height)?;
    let mut top = MARGIN;
    if !document.title.is_empty() {
        canvas.heading(MARGIN, top + 14, &document.title, 19.0, WIDTH - 2 * MARGIN, INK)?;
        top += 24;
    }
    for line in &below {
        canvas.label(MARGIN, top + 12, line, WIDTH - 2 * MARGIN, GREY)?;
        top += LINE;
    }
    top = MARGIN + head;
    for plot in &plots {
        plot.draw(&mut canvas, top)?;
        top += plot.height() + GAP;
    }
    canvas.finish()?;
    Ok(out)
}

/// A subtitle in lines that end between its parts.
fn lines(subtitle: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in subtitle.split("; ").filter(|part| !part.is_empty()) {
        let longer = lines.last().map(|line| format!("{line}; {part}"));
        match (lines.last_mut(), longer) {
            (Some(line), Some(longer)) if text_width(&longer, SMALL) <= WIDTH - 2 * MARGIN => *line = longer,
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

/// A part of a document that can be drawn, with its place on the page left open.
enum Plot<'a> {
    Histogram(histogram::Drawing<'a>),
    Timeline(timeline::Drawing<'a>),
    Heatmap(heatmap::Drawing<'a>),
    Bars(bars::Drawing<'a>),
}

impl<'a> Plot<'a> {
    fn of(block: &'a Block, trigger: Option<f64>) -> Option<Plot<'a>> {
        match block {
            Block::Histogram(plot) => histogram::Drawing::new(plot).map(Plot::Histogram),
            Block::Timeline(plot) => timeline::Drawing::new(plot, trigger).map(Plot::Timeline),
            Block::Heatmap(plot) => heatmap::Drawing::new(plot, trigger).map(Plot::Heatmap),
            Block::Bars(plot) => bars::Drawing::new(plot).map(Plot::Bars),
            Block::Heading(_)
            | Block::Note(_)
            | Block::Warning(_)
            | Block::Pairs(_)
            | Block::Table(_)
            | Block::Flame(_)
            | Block::OverTime(_) => None,
        }
    }

    fn height(&self) -> i32 {
        match self {
            Plot::Histogram(drawing) => drawing.height(),
            Plot::Timeline(drawing) => drawing.height(),
            Plot::Heatmap(drawing) => drawing.height(),
            Plot::Bars(drawing) => drawing.height(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, top: i32) -> Result<()> {
        match self {
            Plot::Histogram(drawing) => drawing.draw(canvas, top),
            Plot::Timeline(drawing) => drawing.draw(canvas, top),
            Plot::Heatmap(drawing) => drawing.draw(canvas, top),
            Plot::Bars(drawing) => drawing.draw(canvas, top),
        }
    }
}
