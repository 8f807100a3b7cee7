//! A file's columns by name, with the types they are read as.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Field;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::datatypes::SchemaRef;
use parquet::basic::LogicalType;
use parquet::basic::Repetition;
use parquet::basic::TimeUnit;
use parquet::basic::Type as Physical;
use parquet::schema::types::SchemaDescriptor;
use parquet::schema::types::Type;

use crate::recording::CORE;
use crate::recording::ColumnType;
use crate::recording::Holds;

/// A column of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its place among the file's leaf columns; the schema is flat, so also among its fields.
    pub(crate) index: usize,
    pub(crate) ty: ColumnType,
}

/// The file's columns by name, and the Arrow schema that they are read with.
///
/// A newer file may have more columns than we know, but only of the types that we know; and a core column has its type.
pub(crate) fn leaves(schema: &SchemaDescriptor) -> Result<(HashMap<String, Leaf>, SchemaRef), String> {
    let fields = schema.root_schema().get_fields();
    if fields.len() != schema.num_columns() {
        return Err("its schema is not flat".to_owned());
    }
    let mut leaves = HashMap::with_capacity(fields.len());
    let mut arrow = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let name = field.name();
        let ty = column_type(field).ok_or_else(|| format!("column '{name}' has a type that no recording has"))?;
        if let Some(core) = CORE.iter().find(|column| column.name == name)
            && core.ty.plain() != ty.plain()
        {
            return Err(format!("column '{name}' has another type than it must have"));
        }
        if leaves.insert(name.to_owned(), Leaf { index, ty }).is_some() {
            return Err(format!("column '{name}' is there twice"));
        }
        arrow.push(Field::new(name, arrow_type(field, ty), true));
    }
    Ok((leaves, Arc::new(ArrowSchema::new(arrow))))
}

fn column_type(field: &Type) -> Option<ColumnType> {
    if field.get_basic_info().repetition() != Repetition::OPTIONAL {
        return None;
    }
    if field.is_group() {
        return list_element(field).map(|_| ColumnType::ListInt32);
    }
    match (field.get_physical_type(), field.get_basic_info().logical_type_ref()) {
        (Physical::BOOLEAN, None) => Some(ColumnType::Bool),
        (Physical::DOUBLE, None) => Some(ColumnType::Double),
        (Physical::INT32, None) => Some(ColumnType::Int32),
        (Physical::INT64, None) => Some(ColumnType::Int64),
        (Physical::BYTE_ARRAY, Some(LogicalType::String)) => Some(ColumnType::Text(Holds::Unknown)),
        (physical, Some(LogicalType::Integer(integer))) if integer.is_signed => match (physical, integer.bit_width) {
            (Physical::INT32, 16) => Some(ColumnType::Int16),
            (Physical::INT32, 32) => Some(ColumnType::Int32),
            (Physical::INT64, 64) => Some(ColumnType::Int64),
            _ => None,
        },
        (Physical::INT64, Some(LogicalType::Timestamp(timestamp)))
            if timestamp.is_adjusted_to_u_t_c && timestamp.unit == TimeUnit::MICROS =>
        {
            Some(ColumnType::Timestamp)
        }
        _ => None,
    }
}

/// The element of an optional list of optional 32-bit integers, in the three levels that the specification wants.
fn list_element(field: &Type) -> Option<&Type> {
    if !matches!(field.get_basic_info().logical_type_ref(), Some(LogicalType::List)) {
        return None;
    }
    let [repeated] = field.get_fields() else { return None };
    if !repeated.is_group() || repeated.get_basic_info().repetition() != Repetition::REPEATED {
        return None;
    }
    let [element] = repeated.get_fields() else { return None };
    let fits = element.is_primitive()
        && element.get_physical_type() == Physical::INT32
        && element.get_basic_info().repetition() == Repetition::OPTIONAL
        && element.get_basic_info().logical_type_ref().is_none();
    fits.then_some(element.as_ref())
}

fn arrow_type(field: &Type, ty: ColumnType) -> arrow::datatypes::DataType {
    match list_element(field) {
        // The element's name is the file's own.
        Some(element) if field.is_group() => arrow::datatypes::DataType::List(Arc::new(Field::new(
            element.name(),
            arrow::datatypes::DataType::Int32,
            true,
        ))),
        _ => ty.in_memory(),
    }
}
