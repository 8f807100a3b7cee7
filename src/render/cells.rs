//! Cells of a table as characters for people: one unit per column, tree branches, escapes.

use crate::render::Table;
use crate::render::Value;
use crate::text::sanitize;
use crate::units;
use crate::units::Scale;
use crate::units::Unit;

/// Levels of a tree that are drawn; deeper rows show their last levels only, so that a chain of forks stays readable and small.
const DRAWN_LEVELS: usize = 16;

/// One column, ready to be laid out.
pub(super) struct Column {
    /// Title and unit.
    pub(super) header: String,
    /// Whether the column holds numbers, which stand at the right.
    pub(super) numeric: bool,
    /// Whether the cells are free text, which may be cut.
    pub(super) elastic: bool,
    /// Whether the cells go on in the next line instead.
    pub(super) prose: bool,
    /// Whether the cells are command lines, of which a program's name matters more than its directory.
    pub(super) command: bool,
    /// Cells below which its text is not cut, where that is not the usual.
    pub(super) least: usize,
    /// Branches of the tree before each cell; empty when there are none.
    pub(super) branches: Vec<String>,
    /// A cell per row, safe for a terminal.
    pub(super) cells: Vec<String>,
}

/// Writes every cell of a table.
pub(super) fn columns(table: &Table) -> Vec<Column> {
    let scales = scales(table);
    let mut columns: Vec<Column> = scales.iter().enumerate().map(|(at, scale)| column(table, at, *scale)).collect();
    if let Some(depths) = &table.depths {
        let carrier = columns.iter().position(|c| c.elastic).unwrap_or(0);
        if let Some(column) = columns.get_mut(carrier) {
            column.branches = branches(depths, table.rows.len());
        }
    }
    columns
}

fn values(table: &Table, at: usize) -> Vec<&Value> {
    table.rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null)).collect()
}

/// The scale of each column that has one; columns of one unit share it where they can.
fn scales(table: &Table) -> Vec<Option<Scale>> {
    let mut scales = vec![None; table.fields.len()];
    let columns: Vec<(usize, Unit, Vec<f64>)> = (table.fields.iter().enumerate())
        .filter(|(_, field)| !field.mixed)
        .filter_map(|(at, _)| {
            let values = values(table, at);
            let unit = unit(Kinds::of(&values).only?)?;
            Some((at, unit, values.into_iter().filter_map(number).collect()))
        })
        .collect();
    for unit in Unit::ALL {
        let (places, numbers): (Vec<usize>, Vec<Vec<f64>>) =
            (columns.iter()).filter(|(_, own, _)| *own == unit).map(|(at, _, numbers)| (*at, numbers.clone())).unzip();
        for (at, scale) in places.into_iter().zip(unit.scales_for(&numbers)) {
            if let Some(slot) = scales.get_mut(at) {
                *slot = Some(scale);
            }
        }
    }
    scales
}

fn column(table: &Table, at: usize, scale: Option<Scale>) -> Column {
    let values = values(table, at);
    let field = table.fields.get(at);
    let title = sanitize(field.map_or("", |field| field.title.as_str()));
    let kinds = Kinds::of(&values);
    let (suffix, cells) = match (kinds.only, scale) {
        (Some(Value::Time(_)), _) if field.is_none_or(|field| !field.mixed) => ("s", times(&values)),
        (Some(Value::Float(_)), Some(scale)) => ("", values.iter().map(|v| scaled(v, &scale)).collect()),
        (_, Some(scale)) => (scale.suffix, values.iter().map(|v| scaled(v, &scale)).collect()),
        (_, None) => ("", values.iter().map(|v| alone(v)).collect()),
    };
    let header =
        if suffix.is_empty() { title.into_owned() } else { format!("{title} {suffix}").trim_start().to_owned() };
    Column {
        header,
        numeric: kinds.numeric,
        elastic: kinds.text,
        prose: field.is_some_and(|field| field.prose),
        command: field.is_some_and(|field| field.command),
        least: field.map_or(0, |field| field.least),
        branches: Vec::new(),
        cells,
    }
}

/// What the values of a column are.
struct Kinds<'a> {
    /// A value of the column's kind, when all are of one kind or null.
    only: Option<&'a Value>,
    numeric: bool,
    text: bool,
}

impl<'a> Kinds<'a> {
    fn of(values: &[&'a Value]) -> Kinds<'a> {
        let mut known = values.iter().copied().filter(|v| **v != Value::Null);
        let first = known.next();
        let same = |v: &Value| first.is_some_and(|f| std::mem::discriminant(f) == std::mem::discriminant(v));
        let only = first.filter(|_| known.all(same));
        let any = |wanted: fn(&Value) -> bool| values.iter().any(|v| wanted(v));
        let text = any(|v| matches!(v, Value::Text(_)));
        Kinds { only, numeric: first.is_some() && !text && !any(|v| matches!(v, Value::Bool(_))), text }
    }
}

/// The unit that a kind of value is scaled in with the rest of its column.
fn unit(value: &Value) -> Option<Unit> {
    match value {
        Value::Int(_) => Some(Unit::Count),
        // Decimals by size, and no sign: the suffix is left out.
        Value::Float(_) => Some(Unit::PerSecond),
        Value::Nanos(_) => Some(Unit::Nanoseconds),
        Value::Bytes(_) => Some(Unit::Bytes),
        Value::Percent(_) => Some(Unit::Percent),
        Value::Rate(_) => Some(Unit::PerSecond),
        Value::Null | Value::Text(_) | Value::Id(_) | Value::Bool(_) | Value::Time(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) | Value::Nanos(n) | Value::Bytes(n) => Some(*n as f64),
        Value::Float(n) | Value::Percent(n) | Value::Rate(n) => Some(*n),
        Value::Null | Value::Text(_) | Value::Id(_) | Value::Bool(_) | Value::Time(_) => None,
    }
}

fn scaled(value: &Value, scale: &Scale) -> String {
    match value {
        // Exact: a large count does not pass through a float.
        Value::Int(n) => whole(*n),
        other => number(other).map_or_else(missing, |n| scale.format(n)),
    }
}

fn missing() -> String {
    "-".to_owned()
}

fn whole(n: i64) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, units::count(n.unsigned_abs()))
}

/// Writes a cell whose column has no unit in common.
pub(super) fn alone(value: &Value) -> String {
    match value {
        Value::Null => missing(),
        Value::Text(text) => sanitize(text).into_owned(),
        Value::Int(n) => whole(*n),
        Value::Id(n) => n.to_string(),
        Value::Float(n) => Unit::PerSecond.scale(*n).format(*n),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Nanos(n) => units::duration(*n),
        Value::Bytes(n) if *n < 0 => format!("-{}", units::bytes(n.unsigned_abs())),
        Value::Bytes(n) => units::bytes(n.unsigned_abs()),
        Value::Percent(n) => units::percent(*n),
        Value::Rate(n) => units::rate(*n),
        Value::Time(ns) => format!("{} s", seconds(*ns, 3)),
    }
}

/// Moments in seconds: milliseconds where they keep different moments apart, else microseconds.
fn times(values: &[&Value]) -> Vec<String> {
    let write = |decimals: usize| -> Vec<String> {
        let cell = |v: &&Value| if let Value::Time(ns) = v { seconds(*ns, decimals) } else { missing() };
        values.iter().map(cell).collect()
    };
    let cells = write(3);
    let distinct = values.windows(2).zip(cells.windows(2)).all(|(v, c)| v.first() == v.last() || c.first() != c.last());
    if distinct { cells } else { write(6) }
}

fn seconds(ns: i64, decimals: usize) -> String {
    format!("{:.decimals$}", ns as f64 / 1e9)
}

/// Draws the branches before each row of a depth-first tree.
fn branches(depths: &[u16], rows: usize) -> Vec<String> {
    let mut out = Vec::with_capacity(rows);
    // From the last row up: whether a later sibling follows at each level.
    let mut follows: Vec<bool> = Vec::new();
    for row in (0..rows).rev() {
        let depth = usize::from(depths.get(row).copied().unwrap_or(0));
        follows.resize(depth + 1, false);
        let mut branch = String::new();
        if depth > DRAWN_LEVELS {
            branch.push_str("… ");
        }
        for level in (depth.saturating_sub(DRAWN_LEVELS) + 1)..=depth {
            let next = follows.get(level).copied().unwrap_or(false);
            branch.push_str(match (level == depth, next) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        if let Some(here) = follows.last_mut() {
            *here = true;
        }
        out.push(branch);
    }
    out.reverse();
    out
}
