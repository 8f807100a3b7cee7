//! Rows of a table that are too many for memory: they are read each time that they are written.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::render::Table;
use crate::render::Value;

/// Rows as they are read; any may fail.
pub type RowReader = Box<dyn Iterator<Item = io::Result<Vec<Value>>>>;

/// Rows of a table after those that it has in memory.
#[derive(Clone)]
pub struct Rest {
    rows: u64,
    read: Arc<dyn Fn() -> io::Result<RowReader> + Send + Sync>,
}

/// Rows of a table that are laid out together, for people.
const LAID_OUT: usize = 10_000;

impl Rest {
    /// Makes it of the number of rows, and of what begins to read them.
    pub fn new(rows: u64, read: impl Fn() -> io::Result<RowReader> + Send + Sync + 'static) -> Rest {
        Rest { rows, read: Arc::new(read) }
    }

    /// Begins to read the rows.
    ///
    /// # Errors
    /// The temporary file that they are in can't be read.
    pub fn read(&self) -> io::Result<RowReader> {
        (self.read)()
    }

    /// The same rows, each changed in the same way.
    pub fn map(self, change: impl Fn(Vec<Value>) -> Vec<Value> + Clone + Send + Sync + 'static) -> Rest {
        Rest::new(self.rows, move || {
            let change = change.clone();
            Ok(Box::new(self.read()?.map(move |row| row.map(&change))))
        })
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl PartialEq for Rest {
    fn eq(&self, other: &Rest) -> bool {
        Arc::ptr_eq(&self.read, &other.read)
    }
}

impl Table {
    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of its rows.
    pub fn len(&self) -> u64 {
        self.rows.len() as u64 + self.rest.as_ref().map_or(0, |rest| rest.rows)
    }

    /// Visits every row, with its place.
    ///
    /// # Errors
    /// What `visit` returns, and when the rows can't be read.
    pub fn each(&self, mut visit: impl FnMut(usize, &[Value]) -> io::Result<()>) -> io::Result<()> {
        for (at, row) in self.rows.iter().enumerate() {
            visit(at, row)?;
        }
        if let Some(rest) = &self.rest {
            for (at, row) in rest.read()?.enumerate() {
                visit(self.rows.len() + at, &row?)?;
            }
        }
        Ok(())
    }

    /// Visits the table in parts that fit into memory: one, unless it is very long. Its title is the first part's, what it
    /// leaves out the last's.
    ///
    /// # Errors
    /// What `visit` returns, and when the rows can't be read.
    pub fn parts(&self, mut visit: impl FnMut(&Table) -> io::Result<()>) -> io::Result<()> {
        if self.rest.is_none() {
            return visit(self);
        }
        let mut part = Table { rest: None, rows: Vec::new(), omitted: 0, ..self.clone() };
        let depths = |from: usize, rows: usize| -> Option<Vec<u16>> {
            Some(self.depths.as_ref()?.iter().skip(from).take(rows).copied().collect())
        };
        self.each(|at, row| {
            if part.rows.len() == LAID_OUT {
                part.depths = depths(at - LAID_OUT, LAID_OUT);
                visit(&part)?;
                part.rows.clear();
                part.title.clear();
            }
            part.rows.push(row.to_vec());
            Ok(())
        })?;
        let len = usize::try_from(self.len()).unwrap_or(usize::MAX);
        part.depths = depths(len.saturating_sub(part.rows.len()), part.rows.len());
        part.omitted = self.omitted;
        visit(&part)
    }
}

#[cfg(test)]
mod tests {
    use super::LAID_OUT;
    use super::Rest;
    use crate::render::Field;
    use crate::render::Table;
    use crate::render::Value;

    #[test]
    fn a_long_table_comes_in_parts_with_every_row_once() {
        let count = 2 * LAID_OUT as i64 + 5;
        let mut table = Table::new("t", "Title", vec![Field::new("n", "n")]);
        table.rows = vec![vec![Value::Int(0)], vec![Value::Int(1)]];
        let rest = move || (2..count).map(|n| Ok(vec![Value::Int(n)]));
        table.rest = Some(Rest::new(count as u64 - 2, move || Ok(Box::new(rest()))));
        table.depths = Some((0..count).map(|n| (n % 7) as u16).collect());
        table.omitted = 3;
        let (mut rows, mut depths, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        table
            .parts(|part| {
                rows.extend(part.rows.iter().map(|row| row[0].clone()));
                depths.extend(part.depths.clone().unwrap());
                heads.push((part.title.clone(), part.rows.len(), part.omitted));
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, (0..count).map(Value::Int).collect::<Vec<_>>());
        assert_eq!(Some(depths), table.depths);
        let head = |title: &str, rows, omitted| (title.to_owned(), rows, omitted);
        assert_eq!(heads, [head("Title", LAID_OUT, 0), head("", LAID_OUT, 0), head("", 5, 3)]);
    }
}
