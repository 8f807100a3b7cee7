//! Rows as they are read: some thousand at a time, column by column.

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::array::BooleanArray;
use arrow::array::Float64Array;
use arrow::array::Int32Array;
use arrow::array::ListArray;
use arrow::array::StringArray;
use arrow::buffer::NullBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::TimestampMicrosecondType;

use crate::recording::ColumnType;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// An integer, or a time in microseconds.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// A list.
    List(Vec<i32>),
}

/// Some rows of one kind; its columns are numbered as they were asked for.
///
/// A column of another type than is asked for reads as null.
#[derive(Debug)]
pub struct Chunk {
    rows: usize,
    columns: Vec<Values>,
}

/// The values of one column.
#[derive(Debug)]
pub(crate) enum Values {
    Null,
    Int16(ScalarBuffer<i16>, Option<NullBuffer>),
    Int32(ScalarBuffer<i32>, Option<NullBuffer>),
    Int64(ScalarBuffer<i64>, Option<NullBuffer>),
    Double(Float64Array),
    Bool(BooleanArray),
    Text(Int32Array, StringArray),
    List(ListArray),
}

impl Values {
    /// What the decoder made of a column; `None` when it is not of the type that was asked of it.
    pub(crate) fn new(array: &ArrayRef, ty: ColumnType) -> Option<Values> {
        Some(match ty {
            ColumnType::Int16 => {
                let array = array.as_primitive_opt::<Int16Type>()?;
                Values::Int16(array.values().clone(), array.nulls().cloned())
            }
            ColumnType::Int32 => {
                let array = array.as_primitive_opt::<Int32Type>()?;
                Values::Int32(array.values().clone(), array.nulls().cloned())
            }
            ColumnType::Int64 => {
                let array = array.as_primitive_opt::<Int64Type>()?;
                Values::Int64(array.values().clone(), array.nulls().cloned())
            }
            ColumnType::Timestamp => {
                let array = array.as_primitive_opt::<TimestampMicrosecondType>()?;
                Values::Int64(array.values().clone(), array.nulls().cloned())
            }
            ColumnType::Double => Values::Double(array.as_primitive_opt::<Float64Type>()?.clone()),
            ColumnType::Bool => Values::Bool(array.as_boolean_opt()?.clone()),
            ColumnType::Text(_) => {
                let array = array.as_dictionary_opt::<Int32Type>()?;
                Values::Text(array.keys().clone(), array.values().as_string_opt::<i32>()?.clone())
            }
            ColumnType::ListInt32 => {
                let array = array.as_list_opt::<i32>()?;
                array.values().as_primitive_opt::<Int32Type>()?;
                Values::List(array.clone())
            }
        })
    }
}

impl Chunk {
    pub(crate) fn new(rows: usize, columns: Vec<Values>) -> Chunk {
        Chunk { rows, columns }
    }

    /// Number of rows, at least one.
    #[allow(clippy::len_without_is_empty, reason = "no chunk is empty")]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// A column of integers of any width, or of times in microseconds.
    pub fn int(&self, column: usize) -> Ints<'_> {
        match self.columns.get(column) {
            Some(Values::Int16(values, nulls)) => Ints { values: IntValues::Int16(values), nulls: nulls.as_ref() },
            Some(Values::Int32(values, nulls)) => Ints { values: IntValues::Int32(values), nulls: nulls.as_ref() },
            Some(Values::Int64(values, nulls)) => Ints { values: IntValues::Int64(values), nulls: nulls.as_ref() },
            _ => Ints { values: IntValues::Null, nulls: None },
        }
    }

    /// A column of text.
    pub fn text(&self, column: usize) -> Texts<'_> {
        match self.columns.get(column) {
            Some(Values::Text(keys, values)) => Texts { inner: Some((keys, values)) },
            _ => Texts { inner: None },
        }
    }

    /// The value of a row in a column of any type; `None` when it is null or there is no such row.
    pub fn cell(&self, column: usize, row: usize) -> Option<Cell<'_>> {
        Some(match self.columns.get(column)? {
            Values::Null => return None,
            Values::Int16(..) | Values::Int32(..) | Values::Int64(..) => Cell::Int(self.int(column).get(row)?),
            Values::Double(_) => Cell::Double(self.double(column).get(row)?),
            Values::Bool(_) => Cell::Bool(self.bool(column).get(row)?),
            Values::Text(..) => Cell::Text(self.text(column).get(row)?),
            Values::List(_) => Cell::List(self.list(column).get(row)?),
        })
    }

    /// A column of floating point numbers.
    pub fn double(&self, column: usize) -> Doubles<'_> {
        match self.columns.get(column) {
            Some(Values::Double(array)) => Doubles { inner: Some(array) },
            _ => Doubles { inner: None },
        }
    }

    /// A column of truth values.
    pub fn bool(&self, column: usize) -> Bools<'_> {
        match self.columns.get(column) {
            Some(Values::Bool(array)) => Bools { inner: Some(array) },
            _ => Bools { inner: None },
        }
    }

    /// A column of lists.
    pub fn list(&self, column: usize) -> Lists<'_> {
        match self.columns.get(column) {
            Some(Values::List(array)) => Lists { inner: Some(array) },
            _ => Lists { inner: None },
        }
    }

    /// Times in nanoseconds since the Unix epoch, from the columns `ts` and `ts_sub_ns`.
    pub fn times(&self, ts: usize, ts_sub_ns: usize) -> Times<'_> {
        Times { micros: self.int(ts), nanos: self.int(ts_sub_ns) }
    }
}

/// A column of integers.
#[derive(Clone, Copy, Debug)]
pub struct Ints<'a> {
    values: IntValues<'a>,
    nulls: Option<&'a NullBuffer>,
}

#[derive(Clone, Copy, Debug)]
enum IntValues<'a> {
    Null,
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
}

impl Ints<'_> {
    /// All values at once, where they are of 64 bits and none is null.
    pub(crate) fn all(&self) -> Option<&[i64]> {
        match self.values {
            IntValues::Int64(values) if self.nulls.is_none_or(|nulls| nulls.null_count() == 0) => Some(values),
            _ => None,
        }
    }

    /// The value of a row; `None` when it is null or there is no such row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        let value = match self.values {
            IntValues::Null => return None,
            IntValues::Int16(values) => i64::from(*values.get(row)?),
            IntValues::Int32(values) => i64::from(*values.get(row)?),
            IntValues::Int64(values) => *values.get(row)?,
        };
        valid(self.nulls, row).then_some(value)
    }
}

#[inline]
fn valid(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_none_or(|nulls| row < nulls.len() && nulls.is_valid(row))
}

/// A column of text: numbers into a dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    inner: Option<(&'a Int32Array, &'a StringArray)>,
}

impl<'a> Texts<'a> {
    /// The text of a row; `None` when it is null or there is no such row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        self.key(row).and_then(|key| self.value(key))
    }

    /// The text of a row as a number below [`Texts::values`], valid within this chunk.
    #[inline]
    pub fn key(&self, row: usize) -> Option<usize> {
        let (keys, values) = self.inner?;
        let key = usize::try_from(*keys.values().get(row)?).ok().filter(|key| *key < values.len())?;
        (valid(keys.nulls(), row) && values.is_valid(key)).then_some(key)
    }

    /// The numbers of all rows, where none is null; a negative one is none.
    pub(crate) fn keys(&self) -> Option<&'a [i32]> {
        let (keys, values) = self.inner?;
        (keys.null_count() == 0 && values.null_count() == 0).then(|| &keys.values()[..])
    }

    /// Number of texts in the dictionary; not all need occur.
    pub fn values(&self) -> usize {
        self.inner.map_or(0, |(_, values)| values.len())
    }

    /// A text of the dictionary.
    #[inline]
    pub fn value(&self, key: usize) -> Option<&'a str> {
        let (_, values) = self.inner?;
        (key < values.len()).then(|| values.value(key))
    }
}

/// A column of floating point numbers.
#[derive(Clone, Copy, Debug)]
pub struct Doubles<'a> {
    inner: Option<&'a Float64Array>,
}

impl Doubles<'_> {
    /// The value of a row; `None` when it is null or there is no such row.
    pub fn get(&self, row: usize) -> Option<f64> {
        let array = self.inner?;
        (row < array.len() && array.is_valid(row)).then(|| array.value(row))
    }
}

/// A column of truth values.
#[derive(Clone, Copy, Debug)]
pub struct Bools<'a> {
    inner: Option<&'a BooleanArray>,
}

impl Bools<'_> {
    /// The value of a row; `None` when it is null or there is no such row.
    pub fn get(&self, row: usize) -> Option<bool> {
        let array = self.inner?;
        (row < array.len() && array.is_valid(row)).then(|| array.value(row))
    }
}

/// A column of lists.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    inner: Option<&'a ListArray>,
}

impl Lists<'_> {
    /// The list of a row, without its null elements; `None` when it is null or there is no such row.
    pub fn get(&self, row: usize) -> Option<Vec<i32>> {
        let array = self.inner.filter(|array| row < array.len() && array.is_valid(row))?;
        Some(array.value(row).as_primitive_opt::<Int32Type>()?.iter().flatten().collect())
    }
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    micros: Ints<'a>,
    nanos: Ints<'a>,
}

impl Times<'_> {
    /// Nanoseconds since the Unix epoch; `None` when the time is null or out of range.
    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        let micros = self.micros.get(row)?;
        micros.checked_mul(1000)?.checked_add(self.nanos.get(row).unwrap_or(0))
    }
}
