//! Tables for a terminal: headings with units, numbers at the right, free text cut to what the width leaves, sentences
//! on several lines.

use crate::render::Table;
use crate::render::cells::Column;
use crate::render::cells::columns;
use crate::render::text::TextStyle;
use crate::render::text::line;
use crate::text::fit;
use crate::text::fit_command;
use crate::text::pad_left;
use crate::text::pad_right;
use crate::text::sanitize;
use crate::text::width;
use crate::text::wrap;
use crate::units;

/// Cells between columns.
const GAP: usize = 2;

/// Free text is cut no further than this; then columns are left out.
const LEAST_TEXT: usize = 14;

/// The same for sentences: lines of two words are no easier to read than none.
const LEAST_PROSE: usize = 18;

/// Writes a table, its title above and what it leaves out below.
pub(super) fn table(out: &mut String, style: &TextStyle, table: &Table) {
    if !table.title.is_empty() {
        line(out, &style.bold(&fit(&sanitize(&table.title), style.width)));
    }
    let columns = columns(table);
    let laid = layout(&columns, style.width);
    if table.rows.is_empty() {
        line(out, &style.dim("(none)"));
    } else {
        rows(out, style, &columns, &laid, table.rows.len());
    }
    if table.omitted > 0 {
        line(out, &style.dim(&format!("… and {} more (--top 0 shows all)", units::count(table.omitted))));
    }
    if let Some(left_out) = columns.get(laid.len()..).filter(|l| !l.is_empty() && !table.rows.is_empty()) {
        let names: Vec<&str> = left_out.iter().map(|c| c.header.as_str()).collect();
        let plural = if names.len() == 1 { "column that needs" } else { "columns that need" };
        let note = format!("… and {} {plural} a wider terminal: {}", names.len(), names.join(", "));
        for wrapped in wrap(&note, style.width) {
            line(out, &style.dim(&wrapped));
        }
    }
}

/// A column's place.
struct Laid {
    width: usize,
    header: Vec<String>,
}

/// Gives as many of the columns as fit a width each.
fn layout(columns: &[Column], width: usize) -> Vec<Laid> {
    let mut count = columns.len();
    while count > 0 {
        // The range is within the columns since count only falls.
        let shown = columns.get(..count).unwrap_or_default();
        if let Some(laid) = place(shown, width, false).or_else(|| place(shown, width, true)) {
            return laid;
        }
        if count == 1 {
            return columns.iter().take(1).map(|c| laid(c, width, true)).collect();
        }
        count -= 1;
    }
    Vec::new()
}

/// Places all of the columns, cutting free text where that is needed; `None` when it is not enough.
fn place(columns: &[Column], width: usize, wrap_headers: bool) -> Option<Vec<Laid>> {
    let natural: Vec<usize> = columns.iter().map(|c| natural(c, wrap_headers)).collect();
    let gaps = GAP * columns.len().saturating_sub(1);
    let room = width.checked_sub(gaps)?;
    let cut = |(c, n): (&Column, &usize), cap: usize| if c.elastic { (*n).min(cap.max(least(c, width))) } else { *n };
    let taken = |cap: usize| -> usize { columns.iter().zip(&natural).map(|column| cut(column, cap)).sum() };
    // Unwrapped headings are worth keeping only while text need not be cut below what they save.
    let least = if wrap_headers { LEAST_TEXT } else { 2 * LEAST_TEXT };
    let widest = natural.iter().copied().max().unwrap_or(0).max(least);
    if taken(least) > room {
        return None;
    }
    let (mut low, mut high) = (least, widest);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if taken(middle) <= room { low = middle } else { high = middle - 1 }
    }
    Some(columns.iter().zip(&natural).map(|column| laid(column.0, cut(column, low), wrap_headers)).collect())
}

/// How much of a column's text has to fit before columns after it have a place.
fn least(column: &Column, width: usize) -> usize {
    // A tree whose names are cut away says nothing, however many numbers stand beside it.
    let tree = if column.branches.is_empty() { 0 } else { width / 2 };
    tree.max(column.least).max(if column.prose { LEAST_PROSE } else { LEAST_TEXT })
}

fn laid(column: &Column, width: usize, wrap_header: bool) -> Laid {
    let header = if wrap_header { wrap(&column.header, width) } else { vec![fit(&column.header, width)] };
    Laid { width, header }
}

fn natural(column: &Column, wrap_header: bool) -> usize {
    let header = if wrap_header {
        column.header.split_whitespace().map(width).max().unwrap_or(0)
    } else {
        width(&column.header)
    };
    let branch = |row: usize| column.branches.get(row).map_or(0, |b| width(b));
    let cells = column.cells.iter().enumerate().map(|(row, cell)| branch(row) + width(cell)).max().unwrap_or(0);
    header.max(cells)
}

fn rows(out: &mut String, style: &TextStyle, columns: &[Column], laid: &[Laid], rows: usize) {
    let heads = laid.iter().map(|l| l.header.len()).max().unwrap_or(0);
    for at in 0..heads {
        // Headings of fewer lines stand at the bottom.
        let part = |l: &Laid| (at + l.header.len()).checked_sub(heads).and_then(|i| l.header.get(i).cloned());
        let cells = columns.iter().zip(laid).map(|(c, l)| align(c, l, &part(l).unwrap_or_default()));
        line(out, &style.bold(join(cells).trim_end()));
    }
    line(out, &style.dim(&join(laid.iter().map(|l| "─".repeat(l.width)))));
    for row in 0..rows {
        let cells: Vec<Vec<String>> = columns.iter().zip(laid).map(|(c, laid)| lines(c, laid, row)).collect();
        for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let cells = columns.iter().zip(laid).zip(&cells);
            let cells = cells.map(|((column, laid), lines)| align(column, laid, lines.get(at).map_or("", |s| s)));
            line(out, join(cells).trim_end());
        }
    }
}

/// A cell as the lines that it takes: one, unless it is a sentence.
fn lines(column: &Column, laid: &Laid, row: usize) -> Vec<String> {
    let cell = column.cells.get(row).map_or("", String::as_str);
    match column.branches.get(row) {
        Some(branch) => vec![format!("{branch}{cell}")],
        None if column.prose => wrap(cell, laid.width),
        None => vec![cell.to_owned()],
    }
}

fn align(column: &Column, laid: &Laid, cell: &str) -> String {
    let cell = if column.command { fit_command(cell, laid.width) } else { fit(cell, laid.width) };
    if column.numeric { pad_left(&cell, laid.width) } else { pad_right(&cell, laid.width) }
}

fn join(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
}
