//! Columns of tables: each declared once, with its name, its heading, how to get its value from a row, and its help.

use std::borrow::Cow;

use crate::render::Field;
use crate::render::Value;
use crate::report::read::processes::Owner;

/// The columns of a table whose rows are made of `R`.
///
/// What follows a column in a chain, as [`Columns::help`], is about that column.
pub(crate) struct Columns<R>(Vec<Column<R>>);

struct Column<R> {
    field: Field,
    value: Box<dyn Fn(&R) -> Value>,
}

impl<R> Columns<R> {
    /// Starts without any.
    pub(crate) fn new() -> Columns<R> {
        Columns(Vec::new())
    }

    /// Adds a column: its stable name, its heading, and its value in a row.
    pub(crate) fn column<V: Into<Value>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        title: impl Into<String>,
        value: impl Fn(&R) -> V + 'static,
    ) -> Columns<R> {
        let value = Box::new(move |row: &R| value(row).into());
        self.0.push(Column { field: Field::new(name, title), value });
        self
    }

    /// Adds the command that a row is about.
    pub(crate) fn comm(self, owner: impl Fn(&R) -> &Owner + 'static) -> Columns<R> {
        self.column("comm", "command", move |row| owner(row).comm.clone())
    }

    /// Adds the process that a row is about.
    pub(crate) fn pid(self, owner: impl Fn(&R) -> &Owner + 'static) -> Columns<R> {
        self.column("pid", "pid", move |row| Value::id(owner(row).pid))
    }

    /// Adds the sentence that says what the column holds.
    pub(crate) fn help(self, help: impl Into<String>) -> Columns<R> {
        self.last(|field| field.help(help))
    }

    /// Gives every cell a unit of its own, for rows of different things.
    pub(crate) fn each_its_unit(self) -> Columns<R> {
        self.last(Field::each_its_unit)
    }

    /// Says that the cells hold sentences, which are worth lines of their own.
    pub(crate) fn prose(self) -> Columns<R> {
        self.last(Field::prose)
    }

    /// Says that the cells are command lines.
    pub(crate) fn command(self) -> Columns<R> {
        self.last(Field::command)
    }

    /// Says how many cells of a terminal its text is worth, before columns after it have a place.
    pub(crate) fn at_least(self, cells: usize) -> Columns<R> {
        self.last(|field| field.at_least(cells))
    }

    /// Says that most rows have nothing in it.
    pub(crate) fn sparse(self) -> Columns<R> {
        self.last(Field::sparse)
    }

    fn last(mut self, change: impl FnOnce(Field) -> Field) -> Columns<R> {
        if let Some(Column { field, value }) = self.0.pop() {
            self.0.push(Column { field: change(field), value });
        }
        self
    }

    /// What the columns are called and hold.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().map(|column| &column.field)
    }

    /// The cells of a row.
    pub(crate) fn cells(&self, row: &R) -> impl Iterator<Item = Value> {
        self.0.iter().map(|column| (column.value)(row))
    }

    /// The cell of a row in one of the columns.
    pub(crate) fn cell(&self, at: usize, row: &R) -> Option<Value> {
        self.0.get(at).map(|column| (column.value)(row))
    }
}
