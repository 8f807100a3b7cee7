//! A document as the data that the page's script reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value as Json;
use serde_json::json;

use crate::render::Block;
use crate::render::Document;
use crate::render::FlamePlot;
use crate::render::FlameTree;
use crate::render::OverTime;
use crate::render::Sparse;
use crate::render::Table;
use crate::render::Value;
use crate::render::cells;
use crate::render::svg;

use std::collections::HashMap;

/// Rows of one table that a page holds.
const ROWS: usize = 5_000;

/// A document as an object with the list of its blocks.
pub(super) struct Blocks<'a>(pub(super) &'a Document);

impl Serialize for Blocks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Data<'a> {
            version: u32,
            view: &'a str,
            blocks: Vec<Part<'a>>,
        }
        let blocks = self.0.blocks.iter().filter_map(|block| Part::of(block, self.0.trigger)).collect();
        Data { version: 1, view: &self.0.name, blocks }.serialize(serializer)
    }
}

/// A block; pictures are images, so that nothing in them can run.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Part<'a> {
    Heading { text: &'a str },
    Note { text: &'a str },
    Warning { text: &'a str },
    Pairs { pairs: &'a [(String, String)] },
    Table(TablePart<'a>),
    Picture { title: &'a str, source: String },
    Flame(FlameTree),
    OverTime { page: &'a OverTime },
}

impl<'a> Part<'a> {
    fn of(block: &'a Block, trigger: Option<f64>) -> Option<Part<'a>> {
        Some(match block {
            Block::Heading(text) => Part::Heading { text },
            Block::Note(text) => Part::Note { text },
            Block::Warning(text) => Part::Warning { text },
            Block::Pairs(pairs) => Part::Pairs { pairs },
            Block::Table(table) => Part::Table(TablePart::of(table)),
            Block::OverTime(page) => Part::OverTime { page },
            Block::Flame(plot) if plot.stacks.iter().all(|stack| stack.before.is_none()) => Part::Flame(tree(plot)),
            Block::Histogram(plot) => picture(block, &plot.title, trigger)?,
            Block::Timeline(plot) => picture(block, &plot.title, trigger)?,
            Block::Heatmap(plot) => picture(block, &plot.title, trigger)?,
            Block::Flame(plot) => picture(block, &plot.title, trigger)?,
            Block::Bars(bars) => picture(block, &bars.title, trigger)?,
        })
    }
}

/// The block as an image; nothing where there is nothing to draw.
fn picture<'a>(block: &Block, title: &'a str, trigger: Option<f64>) -> Option<Part<'a>> {
    let page = Document { blocks: vec![block.clone()], trigger, ..Document::default() };
    let drawn = svg(&page).ok()?;
    Some(Part::Picture { title, source: format!("data:image/svg+xml;base64,{}", STANDARD.encode(drawn)) })
}

/// A table as its cells read, with the numbers that it is sorted by.
#[derive(Serialize)]
struct TablePart<'a> {
    name: &'a str,
    title: &'a str,
    columns: Vec<Json>,
    rows: Vec<(Vec<String>, Vec<Option<f64>>)>,
    omitted: u64,
}

impl<'a> TablePart<'a> {
    fn of(table: &'a Table) -> TablePart<'a> {
        let mut held = Table { rest: None, rows: Vec::new(), ..table.clone() };
        // A row that can't be read back ends the table, as one that is too many does.
        let _ = table.each(|at, row| {
            if at < ROWS {
                held.rows.push(row.to_vec());
            }
            Ok(())
        });
        let columns = cells::columns(&held);
        let heading = |(column, field): (&cells::Column, &crate::render::Field)| json!({ "title": column.header, "help": field.help, "numeric": column.numeric });
        let row = |(at, values): (usize, &Vec<Value>)| {
            let cell = |column: &cells::Column| {
                let branch = column.branches.get(at).map_or("", String::as_str).replace(' ', "\u{a0}");
                format!("{branch}{}", column.cells.get(at).map_or("", String::as_str))
            };
            (columns.iter().map(cell).collect(), values.iter().map(number).collect())
        };
        let omitted = table.omitted.saturating_add(table.len().saturating_sub(held.rows.len() as u64));
        TablePart {
            name: &table.name,
            title: &table.title,
            columns: columns.iter().zip(&table.fields).map(heading).collect(),
            rows: held.rows.iter().enumerate().map(row).collect(),
            omitted,
        }
    }
}

/// What a cell is sorted by, where it is a number.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => Some(*n as f64),
        Value::Float(n) | Value::Percent(n) | Value::Rate(n) => Some(*n).filter(|n| n.is_finite()),
        Value::Null | Value::Text(_) | Value::Bool(_) => None,
    }
}

/// Folded stacks as calls by their callers, all in one interval.
fn tree(plot: &FlamePlot) -> FlameTree {
    let mut tree = FlameTree { name: "stacks", title: plot.title.clone(), ..FlameTree::default() };
    let mut functions: HashMap<&str, u32> = HashMap::new();
    let mut calls: HashMap<(Option<u32>, u32), u32> = HashMap::new();
    for stack in &plot.stacks {
        let mut caller = None;
        for name in stack.folded.split(';') {
            let function = *functions.entry(name).or_insert_with(|| {
                tree.functions.push((name.to_owned(), String::new()));
                tree.functions.len() as u32 - 1
            });
            let next = tree.callers.len() as u32;
            let call = *calls.entry((caller, function)).or_insert(next);
            if call == next {
                tree.callers.push(caller.map_or(0, |caller| next - caller));
                tree.names.push(function);
                tree.own.push(Sparse::default());
            }
            caller = Some(call);
        }
        if let Some(own) = caller.and_then(|call| tree.own.get_mut(call as usize)) {
            own.add(0, stack.weight);
        }
    }
    tree
}
