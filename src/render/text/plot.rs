//! Histograms and timelines for a terminal.

use crate::hist::Histogram;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::Timeline;
use crate::render::Value;
use crate::render::grid::Grid;
use crate::render::stats;
use crate::render::text::TextStyle;
use crate::render::text::line;
use crate::render::text::table;
use crate::text::fit;
use crate::text::pad_left;
use crate::text::pad_right;
use crate::text::sanitize;
use crate::text::width;
use crate::units;
use crate::units::Unit;

/// Most rows of a histogram.
const ROWS: usize = 24;

/// Longest bar, in cells.
const BAR: usize = 80;

/// Percentiles that are marked beside their row.
const MARKS: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// Writes distributions as rows with bars, on the same rows for all, and their percentiles.
pub(in crate::render) fn histogram(out: &mut String, style: &TextStyle, plot: &HistogramPlot) {
    line(out, &style.bold(&fit(&sanitize(&plot.title), style.width)));
    // Sizes are told in powers of two.
    let Some(grid) = Grid::new(plot.series.iter().map(|s| &s.1), ROWS, plot.unit == Unit::Bytes) else {
        line(out, &style.dim("(no values)"));
        return;
    };
    let ranges = ranges(&grid, plot.unit);
    let filled: Vec<_> = plot.series.iter().filter(|s| !s.1.is_empty()).collect();
    for (i, (name, histogram)) in filled.iter().enumerate() {
        if !name.is_empty() {
            if i > 0 {
                out.push('\n');
            }
            line(out, &fit(&sanitize(name), style.width));
        }
        bars(out, style, &grid, &ranges, histogram);
    }
    if filled.len() == 1 {
        for (_, histogram) in filled {
            for wrapped in wrap_facts(&stats::facts(histogram, plot.unit), style.width) {
                line(out, &wrapped);
            }
        }
    } else {
        out.push('\n');
        let filled: Vec<(&str, &Histogram)> = filled.iter().map(|s| (s.0.as_str(), &s.1)).collect();
        table::table(out, style, &percentiles(&filled, plot.unit));
    }
    let all = plot.series.iter().map(|s| s.1.error()).fold(0.0, f64::max);
    line(out, &style.dim(&stats::error_bound(all)));
}

/// Lines of facts, three cells between them, none broken.
fn wrap_facts(facts: &[String], cells: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            Some(line) if width(line) + 3 + width(fact) <= cells => {
                line.push_str("   ");
                line.push_str(fact);
            }
            _ => lines.push(fact.clone()),
        }
    }
    lines
}

/// The values of each row as `1.02 µs –  2.05 µs`, all equally wide.
fn ranges(grid: &Grid, unit: Unit) -> Vec<String> {
    // Small whole numbers have a row each: the number says it all.
    let single = grid.bounds().all(|(lo, hi)| hi - lo == 1);
    let bounds: Vec<(String, String)> =
        grid.bounds().map(|b| (stats::bound(b.0, unit), stats::bound(b.1, unit))).collect();
    let wide = |of: fn(&(String, String)) -> &String| bounds.iter().map(|b| width(of(b))).max().unwrap_or(0);
    let (lo, hi) = (wide(|b| &b.0), wide(|b| &b.1));
    let range = |b: &(String, String)| {
        if single { pad_left(&b.0, lo) } else { format!("{} – {}", pad_left(&b.0, lo), pad_left(&b.1, hi)) }
    };
    bounds.iter().map(range).collect()
}

fn bars(out: &mut String, style: &TextStyle, grid: &Grid, ranges: &[String], histogram: &Histogram) {
    let counts = grid.counts(histogram);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let numbers: Vec<String> = counts.iter().map(|c| units::count(*c)).collect();
    let digits = numbers.iter().map(|n| width(n)).max().unwrap_or(0);
    let range = ranges.iter().map(|r| width(r)).max().unwrap_or(0);
    let marks = marks(grid, histogram);
    let mark = marks.iter().map(|m| width(m)).max().unwrap_or(0);
    // Range, count, share, bar and mark with two cells between them.
    let room = style.width.saturating_sub(range + 2 + digits + 2 + 6 + 2 + 1 + mark).min(BAR);
    // The grid may serve other distributions too: rows beyond this one's range say nothing.
    let first = counts.iter().position(|c| *c > 0).unwrap_or(0);
    let last = counts.iter().rposition(|c| *c > 0).unwrap_or(0);
    let mut empty = 0;
    for (i, count) in counts.iter().enumerate().take(last + 1).skip(first) {
        // A long way to an outlier is told in three lines.
        empty = if *count == 0 { empty + 1 } else { 0 };
        let ahead = counts.iter().skip(i).take_while(|c| **c == 0).count();
        if empty > 1 && ahead > 1 {
            if empty == 2 {
                line(out, &style.dim(&pad_left("⋮", range / 2 + 1)));
            }
            continue;
        }
        let share = units::percent(100.0 * *count as f64 / histogram.count() as f64);
        let share = if *count == 0 { String::new() } else { share };
        let cell = |of: &[String]| of.get(i).cloned().unwrap_or_default();
        let bar = bar(*count as f64 / most as f64, room);
        let text = format!("{}  {}  {}  {bar}", cell(ranges), pad_left(&cell(&numbers), digits), pad_left(&share, 6));
        let mark = cell(&marks);
        if mark.is_empty() {
            line(out, text.trim_end());
        } else {
            line(out, &format!("{} {}", text.trim_end(), style.dim(&mark)));
        }
    }
}

/// The percentiles that lie in each row.
fn marks(grid: &Grid, histogram: &Histogram) -> Vec<String> {
    let mut marks = vec![String::new(); grid.rows()];
    for (q, name) in MARKS {
        let row = histogram.percentile(q).map(|value| grid.row(value));
        if let Some(mark) = row.and_then(|row| marks.get_mut(row)) {
            mark.push_str(if mark.is_empty() { "" } else { " " });
            mark.push_str(name);
        }
    }
    marks
}

/// A bar of `share` (0 to 1) of `room` cells in eighths of a cell; one too short to see is the thinnest.
fn bar(share: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if share <= 0.0 || room == 0 {
        return String::new();
    }
    let eighths = ((share.min(1.0) * room as f64 * 8.0).round() as usize).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS.get(eighths % 8).unwrap_or(&""))
}

/// A row per distribution with its percentiles.
fn percentiles(series: &[(&str, &Histogram)], unit: Unit) -> Table {
    let mut fields = vec![Field::new("name", ""), Field::new("count", "count"), Field::new("mean", "mean")];
    fields.extend(stats::PERCENTILES.iter().map(|p| Field::new(p.1, p.1)));
    fields.push(Field::new("max", "max"));
    let mut table = Table::new("percentiles", "", fields);
    for (name, histogram) in series {
        let mut row = vec![Value::from(*name), Value::from(histogram.count()), Value::of(unit, histogram.mean())];
        row.extend(stats::PERCENTILES.iter().map(|p| Value::of(unit, histogram.percentile(p.0))));
        row.push(Value::of(unit, histogram.max().map(|max| max as f64)));
        table.rows.push(row);
    }
    table
}

/// Writes each line of a plot over time as a row of small bars from 0 to its own maximum, with its minimum, mean and maximum.
pub(in crate::render) fn timeline(out: &mut String, style: &TextStyle, plot: &Timeline) {
    line(out, &style.bold(&fit(&sanitize(&plot.title), style.width)));
    let values: Vec<f64> = plot.series.iter().flat_map(|s| s.1.iter().map(|p| p.1)).filter(|v| v.is_finite()).collect();
    let times = || plot.series.iter().flat_map(|s| s.1.iter().map(|p| p.0)).filter(|t| t.is_finite());
    if values.is_empty() {
        line(out, &style.dim("(no values)"));
        return;
    }
    let (start, end) = (times().fold(f64::MAX, f64::min), times().fold(f64::MIN, f64::max));
    let scale = plot.unit.scale_for(&values);
    let names: Vec<String> = plot.series.iter().map(|s| fit(&sanitize(&s.0), (style.width / 3).max(8))).collect();
    let named = names.iter().map(|n| width(n)).max().unwrap_or(0);
    let rows: Vec<[String; 3]> = plot.series.iter().map(|s| extremes(&s.1).map(|v| scale.format(v))).collect();
    let titles = ["min", "mean", "max"].map(|t| format!("{t} {}", scale.suffix).trim_end().to_owned());
    let columns = [0, 1, 2].map(|i| {
        let cell = |cells: &[String; 3]| cells.get(i).map_or(0, |c| width(c));
        rows.iter().map(cell).max().unwrap_or(0).max(cell(&titles))
    });
    let numbers = |cells: &[String; 3]| {
        let cells = cells.iter().zip(columns).map(|(cell, w)| pad_left(cell, w));
        cells.collect::<Vec<_>>().join("  ")
    };
    let taken = columns.iter().sum::<usize>() + 2 * 2 + 2 + if named > 0 { named + 2 } else { 0 };
    // A point of its own for each interval, where there is room.
    let longest = plot.series.iter().map(|s| s.1.len()).max().unwrap_or(0);
    let room = style.width.saturating_sub(taken).min(BAR).min(longest.max(24)).max(4);
    let lead = |name: &str| if named > 0 { format!("{}  ", pad_right(name, named)) } else { String::new() };
    let decimals = if end - start >= 10.0 { 0 } else { 2 };
    let axis = format!("{start:.decimals$} s … {end:.decimals$} s");
    let head = format!("{}{}  {}", lead(""), pad_right(&fit(&axis, room), room), numbers(&titles));
    line(out, &style.bold(head.trim_end()));
    for ((name, cells), series) in names.iter().zip(&rows).zip(&plot.series) {
        let spark = sparkline(&series.1, start, end, room);
        line(out, format!("{}{spark}  {}", lead(name), numbers(cells)).trim_end());
    }
}

/// Minimum, mean and maximum of the finite values; not numbers when there are none.
fn extremes(points: &[(f64, f64)]) -> [f64; 3] {
    let values = || points.iter().map(|p| p.1).filter(|v| v.is_finite());
    let count = values().count();
    if count == 0 {
        return [f64::NAN; 3];
    }
    [values().fold(f64::MAX, f64::min), values().sum::<f64>() / count as f64, values().fold(f64::MIN, f64::max)]
}

/// One cell per stretch of time, as high as the mean of its values; blank where there is none.
fn sparkline(points: &[(f64, f64)], start: f64, end: f64, room: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut cells = vec![(0.0, 0u32); room];
    for (time, value) in points.iter().filter(|p| p.0.is_finite() && p.1.is_finite()) {
        let at = if end > start { (time - start) / (end - start) * (room - 1) as f64 } else { 0.0 };
        if let Some(cell) = cells.get_mut(at.round() as usize) {
            *cell = (cell.0 + value, cell.1 + 1);
        }
    }
    let means: Vec<Option<f64>> = cells.iter().map(|c| (c.1 > 0).then(|| c.0 / f64::from(c.1))).collect();
    let most = means.iter().flatten().copied().fold(0.0, f64::max);
    // Fewer points than cells: each holds until the next.
    let hold = points.len() < room;
    let mut last = None;
    let mut out = String::new();
    for mean in means {
        last = mean.or(if hold { last } else { None });
        out.push(match last {
            Some(mean) if most > 0.0 => {
                let level = (mean / most * 8.0).ceil().clamp(1.0, 8.0) as usize;
                LEVELS.get(level - 1).copied().unwrap_or(' ')
            }
            Some(_) => '▁',
            None => ' ',
        });
    }
    out
}
