//! Heat maps for a terminal.

use crate::render::Heatmap;
use crate::render::heat::Cells;
use crate::render::stats;
use crate::render::text::TextStyle;
use crate::render::text::line;
use crate::text::fit;
use crate::text::pad_left;
use crate::text::pad_right;
use crate::text::sanitize;
use crate::text::width;
use crate::units;

/// Most rows.
const ROWS: usize = 20;

/// Widest map, in cells.
const MAP: usize = 120;

/// Widest column, in cells.
const COLUMN: usize = 6;

/// From the emptiest to the fullest.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// Writes distributions over time as shaded cells: the largest values at the top, time from the left, and each row's count at its end.
pub(in crate::render) fn heatmap(out: &mut String, style: &TextStyle, plot: &Heatmap) {
    line(out, &style.bold(&fit(&sanitize(&plot.title), style.width)));
    // Of the rows' labels and counts the widest are not known before the rows are.
    let Some(widest) = Cells::of(plot, ROWS, usize::MAX) else {
        line(out, &style.dim("(no values)"));
        return;
    };
    let labels: Vec<String> = widest.grid.bounds().map(|(lo, _)| stats::bound(lo, plot.unit)).collect();
    let label = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let sums: Vec<String> = (0..widest.grid.rows()).map(|row| units::count(sum(&widest, row))).collect();
    let count = sums.iter().map(|sum| width(sum)).max().unwrap_or(0).max(5);
    let room = style.width.saturating_sub(label + count + 6).clamp(4, MAP);
    let Some(cells) = Cells::of(plot, ROWS, room) else { return };
    let each = (room / cells.times.len().max(1)).clamp(1, COLUMN);
    let map = each * cells.times.len();
    line(out, &style.bold(&format!("{}  {}", " ".repeat(label + 2 + map), pad_left("count", count))));
    for row in (0..cells.grid.rows()).rev() {
        let shade = |column: &Vec<u64>| shade(&cells, column.get(row).copied().unwrap_or(0)).to_string().repeat(each);
        let shades: String = cells.counts.iter().map(shade).collect();
        let (name, sum) = (labels.get(row).cloned().unwrap_or_default(), sums.get(row).cloned().unwrap_or_default());
        line(out, &format!("{} │{shades}│ {}", pad_left(&name, label), pad_left(&sum, count)));
    }
    let (start, end) = (cells.times.first().map_or(0.0, |time| time.0), cells.times.last().map_or(0.0, |time| time.1));
    let decimals = if end - start >= 10.0 { 0 } else { 2 };
    let (left, right) = (format!("{start:.decimals$} s"), format!("{end:.decimals$} s"));
    let axis = if width(&left) + width(&right) < map {
        format!("{}{}", pad_right(&left, map - width(&right)), right)
    } else {
        format!("{left} … {right}")
    };
    line(out, &style.dim(&format!("{}  {axis}", " ".repeat(label))));
    for wrapped in legend(&cells, style.width) {
        line(out, &style.dim(&wrapped));
    }
}

fn sum(cells: &Cells, row: usize) -> u64 {
    cells.counts.iter().filter_map(|column| column.get(row)).fold(0, |sum, count| sum.saturating_add(*count))
}

fn level(heat: f64) -> usize {
    ((heat * SHADES.len() as f64) as usize).min(SHADES.len() - 1)
}

fn shade(cells: &Cells, count: u64) -> char {
    cells.heat(count).and_then(|heat| SHADES.get(level(heat))).copied().unwrap_or(' ')
}

/// What each shade means: the least count that has it.
fn legend(cells: &Cells, room: usize) -> Vec<String> {
    let most = cells.most as f64;
    let mut lines: Vec<String> =
        vec![format!("a cell: {}", SHADES.first().map_or(String::new(), |shade| format!("{shade} 1")))];
    let mut before = 1;
    for (at, shade) in SHADES.iter().enumerate().skip(1) {
        // The first count whose logarithm reaches the shade.
        let least = most.powf(at as f64 / SHADES.len() as f64).ceil().max(1.0) as u64;
        if least <= before || least > cells.most {
            continue;
        }
        before = least;
        let entry = format!("{shade} from {}", units::count(least));
        match lines.last_mut() {
            Some(last) if width(last) + 3 + width(&entry) <= room => last.push_str(&format!("   {entry}")),
            _ => lines.push(entry),
        }
    }
    let end = format!("most {}", units::count(cells.most));
    match lines.last_mut() {
        Some(last) if width(last) + 3 + width(&end) <= room => last.push_str(&format!("   {end}")),
        _ => lines.push(end),
    }
    lines
}
