//! A heat map as cells: rows of values, columns of time, a count in each.

use crate::hist::Histogram;
use crate::render::Heatmap;
use crate::render::grid::Grid;
use crate::units::Unit;

/// The cells of a heat map.
pub(super) struct Cells {
    /// The rows, by rising value.
    pub(super) grid: Grid,
    /// The stretches of time, in seconds.
    pub(super) times: Vec<(f64, f64)>,
    /// For each stretch the count of each row.
    pub(super) counts: Vec<Vec<u64>>,
    /// The fullest cell.
    pub(super) most: u64,
}

impl Cells {
    /// At most `rows` rows and `columns` columns; what is more is added up. `None` without values.
    pub(super) fn of(plot: &Heatmap, rows: usize, columns: usize) -> Option<Cells> {
        let sane = plot.columns.iter().filter(|column| column.begin.is_finite() && column.end > column.begin);
        let sane: Vec<_> = sane.collect();
        let mut all = Histogram::new();
        sane.iter().for_each(|column| all.merge(&column.values));
        let grid = Grid::new(std::iter::once(&all), rows, plot.unit == Unit::Bytes)?;
        let together = sane.len().div_ceil(columns.max(1)).max(1);
        let (mut times, mut counts) = (Vec::new(), Vec::new());
        for group in sane.chunks(together) {
            let mut sum = vec![0u64; grid.rows()];
            for column in group {
                for (sum, count) in sum.iter_mut().zip(grid.counts(&column.values)) {
                    *sum = sum.saturating_add(count);
                }
            }
            if let ([first, ..], [.., last]) = (group, group) {
                times.push((first.begin, last.end));
                counts.push(sum);
            }
        }
        let most = counts.iter().flatten().copied().max().unwrap_or(0);
        (most > 0).then_some(Cells { grid, times, counts, most })
    }

    /// How full a cell is on a logarithmic scale: 0 for a single value, 1 for the fullest; `None` for an empty one.
    pub(super) fn heat(&self, count: u64) -> Option<f64> {
        let whole = (self.most as f64).ln();
        (count > 0).then(|| if whole > 0.0 { (count as f64).ln() / whole } else { 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::Cells;
    use crate::hist::Histogram;
    use crate::render::HeatColumn;
    use crate::render::Heatmap;
    use crate::units::Unit;

    fn heatmap(columns: &[&[u64]]) -> Heatmap {
        let column = |(at, values): (usize, &&[u64])| {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            HeatColumn { begin: at as f64, end: at as f64 + 1.0, values: histogram }
        };
        let columns = columns.iter().enumerate().map(column).collect();
        Heatmap { name: "h".into(), title: "H".into(), unit: Unit::Nanoseconds, columns }
    }

    #[test]
    fn every_value_is_in_one_cell_however_few_the_cells() {
        let plot = heatmap(&[&[1_000, 1_000, 90_000], &[], &[5_000_000]]);
        for (rows, columns) in [(24, 80), (8, 2), (8, 1)] {
            let cells = Cells::of(&plot, rows, columns).unwrap();
            assert_eq!(cells.counts.iter().flatten().sum::<u64>(), 4);
            assert!(cells.times.len() <= columns && cells.times.last().unwrap().1 == 3.0);
        }
        assert!(Cells::of(&heatmap(&[&[]]), 24, 80).is_none());
    }

    #[test]
    fn heat_is_on_a_logarithmic_scale() {
        let cells = Cells::of(&heatmap(&[&[7; 100]]), 24, 80).unwrap();
        assert_eq!((cells.heat(0), cells.heat(1), cells.heat(100)), (None, Some(0.0), Some(1.0)));
        assert!((cells.heat(10).unwrap() - 0.5).abs() < 1e-9);
    }
}
