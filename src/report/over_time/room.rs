//! How many values by interval a table of a page may hold.

use crate::render::SpanRow;
use crate::render::SpanTable;
use crate::render::Sparse;

/// Values of one table, at some nine bytes each.
const VALUES: usize = 20_000;

/// Joins the rows that have no room with the rest of the table; the first stay.
pub(super) fn bounded(table: SpanTable) -> SpanTable {
    bounded_to(VALUES, table)
}

fn bounded_to(most: usize, mut table: SpanTable) -> SpanTable {
    let mut room = most;
    let mut fits = |row: &SpanRow| {
        let values = row.values.iter().map(Sparse::len).sum();
        let left = room.checked_sub(values);
        // Once there is too little room there is none for any, since the first rows matter most.
        room = left.unwrap_or(0);
        left.is_some()
    };
    let (rows, others): (Vec<SpanRow>, Vec<SpanRow>) = table.rows.into_iter().partition(|row| fits(row));
    table.omitted = table.omitted.saturating_add(others.len() as u64);
    for row in others {
        table.rest.resize(table.rest.len().max(row.values.len()), Sparse::default());
        table.rest.iter_mut().zip(&row.values).for_each(|(rest, own)| rest.merge(own));
    }
    SpanTable { rows, ..table }
}

#[cfg(test)]
mod tests {
    use super::bounded_to;
    use crate::render::SpanRow;
    use crate::render::SpanTable;
    use crate::render::Sparse;

    #[test]
    fn what_has_no_room_is_in_the_rest() {
        let row = |value| {
            let mut own = Sparse::default();
            own.add(0, value);
            own.add(1, value);
            SpanRow { values: vec![own], ..SpanRow::default() }
        };
        let table = SpanTable { rows: vec![row(7), row(5), row(3)], omitted: 2, ..SpanTable::default() };
        let bounded = bounded_to(4, table);
        assert_eq!((bounded.rows.len(), bounded.omitted, bounded.rest.len()), (2, 3, 1));
        assert_eq!(bounded.rest.iter().map(Sparse::total).sum::<u64>(), 6);
    }
}
