//! The one flat schema of every recording: the core columns, and what the registered probes add.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;

use crate::recording::Holds;

mod core;

pub use self::core::CORE;
pub(crate) use self::core::GROWING;
pub use self::core::column;

/// The type of a column, chosen so that every common engine reads it with no flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnType {
    /// Signed 16-bit integer.
    Int16,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// 64-bit floating point number.
    Double,
    /// Truth value.
    Bool,
    /// Text, and what it says.
    Text(Holds),
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// List of signed 32-bit integers.
    ListInt32,
}

/// A column of the recording as data: what a probe declares and what documentation is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Name in the file, lower case with underscores; a probe's own begin with the probe's name.
    pub name: &'static str,
    /// Type in memory and in the file.
    pub ty: ColumnType,
    /// Heading for people.
    pub title: &'static str,
    /// Unit of the values, by its short name (`ns`, `bytes`, `count`), where there is one.
    pub unit: Option<&'static str>,
    /// One sentence that says what a value means.
    pub help: &'static str,
}

/// Where a column stands in the schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ColumnId(pub(crate) u16);

impl ColumnId {
    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The columns of a recording in file order: [`CORE`] first, then the probes' own.
#[derive(Debug)]
pub struct Schema {
    columns: Vec<&'static Column>,
    by_name: HashMap<&'static str, ColumnId>,
    arrow: SchemaRef,
}

impl Schema {
    /// Puts the probes' columns, in the order given, behind the core ones.
    ///
    /// A name that is already there is not added again, so two probes may share a column by declaring it alike.
    pub fn new(probe_columns: impl IntoIterator<Item = &'static Column>) -> Schema {
        let mut columns: Vec<&'static Column> = Vec::with_capacity(CORE.len());
        let mut by_name: HashMap<&'static str, ColumnId> = HashMap::new();
        for column in CORE.iter().chain(probe_columns) {
            // 65,535 columns are far more than any registry declares; the rest would be unreachable, not wrong.
            let Ok(next) = u16::try_from(columns.len()) else { break };
            if let Some(id) = by_name.get(column.name) {
                debug_assert_eq!(
                    columns.get(id.index()).map(|c| c.ty.plain()),
                    Some(column.ty.plain()),
                    "column '{}' is declared with two types",
                    column.name
                );
                continue;
            }
            by_name.insert(column.name, ColumnId(next));
            columns.push(column);
        }
        let arrow = Arc::new(ArrowSchema::new(
            columns.iter().map(|c| Field::new(c.name, c.ty.plain(), true)).collect::<Vec<Field>>(),
        ));
        Schema { columns, by_name, arrow }
    }

    /// Finds a column by its name.
    pub fn id(&self, name: &str) -> Option<ColumnId> {
        self.by_name.get(name).copied()
    }

    /// The columns in file order.
    pub fn columns(&self) -> &[&'static Column] {
        &self.columns
    }

    /// The definition of one column; `None` for an id of another, longer schema.
    pub fn column(&self, id: ColumnId) -> Option<&'static Column> {
        self.columns.get(id.index()).copied()
    }

    /// The schema as engines see it: plain types, all nullable. Title, unit and help of a column are in the footer's metadata.
    pub fn arrow(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = (ColumnId, &'static Column)> + '_ {
        // The length was held under 65,536 when the columns were added.
        self.columns.iter().enumerate().map(|(index, column)| (ColumnId(index as u16), *column))
    }
}

impl ColumnType {
    /// The Arrow type that the file declares.
    pub(crate) fn plain(self) -> DataType {
        match self {
            ColumnType::Int16 => DataType::Int16,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Double => DataType::Float64,
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Text(_) => DataType::Utf8,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::ListInt32 => DataType::List(Arc::new(list_item())),
        }
    }

    /// The Arrow type of the arrays that are written and read: strings as dictionaries, the rest as in the file.
    pub(crate) fn in_memory(self) -> DataType {
        match self {
            ColumnType::Text(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            other => other.plain(),
        }
    }
}

/// The element of a list column: named as the Parquet specification wants it, so that engines agree.
pub(crate) fn list_item() -> Field {
    Field::new("element", DataType::Int32, true)
}
