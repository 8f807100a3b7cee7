//! What holds for any document: no format breaks, nothing harmful gets through, lines fit the terminal.

use proptest::prelude::Just;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::strategy::Strategy;

use super::HOSTILE;
use super::document;
use super::histogram;
use super::plain;
use super::plot;
use super::processes;
use crate::hist::Histogram;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::HeatColumn;
use crate::render::Heatmap;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::Timeline;
use crate::render::Value;
use crate::render::csv;
use crate::render::json;
use crate::render::markdown;
use crate::render::svg;
use crate::render::text;
use crate::text::is_unsafe;
use crate::text::width;
use crate::units::Unit;

/// Numbers of every size, and those that a broken file could hold.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1e3..1e12, Just(0.0)]
}

fn value() -> impl Strategy<Value = Value> {
    let whole = || prop_oneof![any::<i64>(), 0i64..1_000_000];
    prop_oneof![
        Just(Value::Null),
        any::<String>().prop_map(Value::Text),
        Just(Value::from(HOSTILE)),
        whole().prop_map(Value::Int),
        whole().prop_map(Value::Id),
        number().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        whole().prop_map(Value::Nanos),
        whole().prop_map(Value::Bytes),
        number().prop_map(Value::Percent),
        number().prop_map(Value::Rate),
        whole().prop_map(Value::Time),
    ]
}

fn unit() -> impl Strategy<Value = Unit> {
    prop::sample::select(Unit::ALL.to_vec())
}

fn block() -> impl Strategy<Value = Block> {
    let row = || prop::collection::vec(value(), 0..6);
    let rows = (prop::collection::vec(row(), 0..6), any::<Option<Vec<u16>>>(), any::<u64>());
    let table = ("[a-z]{0,9}", rows).prop_map(|(title, (rows, depths, omitted))| {
        let fields = (0..4).map(|i| Field::new(format!("f{i}"), format!("{title} {i}"))).collect();
        Block::Table(Table { rows, depths, omitted, ..Table::new("t", title, fields) })
    });
    let bucket = (any::<u64>(), any::<u64>(), any::<u64>(), 0u32..64);
    let histogram = prop::collection::vec(bucket, 0..20).prop_map(|buckets| {
        let mut histogram = Histogram::new();
        for (lo, wide, count, shift) in buckets {
            histogram.add_bucket(lo >> shift, (lo >> shift).saturating_add(wide >> shift), count >> shift);
            histogram.record(lo >> shift);
        }
        histogram
    });
    let distributions =
        (unit(), prop::collection::vec((any::<String>(), histogram), 0..4)).prop_map(|(unit, series)| {
            Block::Histogram(HistogramPlot { name: "h".into(), title: "Histogram".into(), unit, series })
        });
    let points = prop::collection::vec((number(), number()), 0..40);
    let timeline = (unit(), prop::collection::vec((any::<String>(), points), 0..4))
        .prop_map(|(unit, series)| Block::Timeline(Timeline { name: "t".into(), title: "Time".into(), unit, series }));
    let column = (number(), number(), prop::collection::vec((any::<u64>(), 0u32..64), 0..20));
    let heatmap = (unit(), prop::collection::vec(column, 0..6)).prop_map(|(unit, columns)| {
        let column = |(begin, end, values): (f64, f64, Vec<(u64, u32)>)| {
            let mut histogram = Histogram::new();
            values.iter().for_each(|(value, shift)| histogram.record(value >> shift));
            HeatColumn { begin, end, values: histogram }
        };
        let columns = columns.into_iter().map(column).collect();
        Block::Heatmap(Heatmap { name: "m".into(), title: "Heat".into(), unit, columns })
    });
    prop_oneof![
        any::<String>().prop_map(Block::Heading),
        any::<String>().prop_map(Block::Note),
        any::<String>().prop_map(Block::Warning),
        prop::collection::vec((any::<String>(), any::<String>()), 0..4).prop_map(Block::Pairs),
        table,
        distributions,
        timeline,
        heatmap,
    ]
}

proptest! {
    #[test]
    fn no_document_breaks_any_format(blocks in prop::collection::vec(block(), 0..4), cells in 0usize..250) {
        let document = Document { blocks, subtitle: HOSTILE.into(), ..Document::new("view", HOSTILE) };
        let harmless = |s: &str| !s.chars().any(|c| is_unsafe(c) && c != '\n');
        prop_assert!(harmless(&text(&document, &plain(cells))));
        prop_assert!(harmless(&markdown(&document)));
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&json(&document));
        prop_assert!(parsed.is_ok());
        let _ = csv(&document, None);
        let drawable = document.blocks.iter().any(|b| matches!(b, Block::Histogram(_) | Block::Timeline(_) | Block::Heatmap(_)));
        match svg(&document) {
            Ok(drawn) => prop_assert!(harmless(&drawn) && drawable),
            Err(error) => prop_assert!(error.to_string().contains("no plot"), "{}", error),
        }
    }

    #[test]
    fn tables_and_plots_of_ordinary_numbers_fit_the_terminal(
        cells in 72usize..220,
        comm in prop::collection::vec("[a-z/:0-9日本]{0,40}", 3),
        values in prop::collection::vec(0u64..1 << 40, 1..50),
        points in prop::collection::vec((0.0..60.0, 0.0..1e9), 1..50),
    ) {
        let mut table = processes();
        for (row, name) in table.rows.iter_mut().zip(&comm) {
            if let Some(cell) = row.get_mut(1) {
                *cell = name.as_str().into();
            }
        }
        let mut document = document(table);
        document.push(plot(Unit::Nanoseconds, vec![(&comm[0], histogram(values.clone())), (&comm[1], histogram(values))]));
        document.push(Timeline { name: "t".into(), title: "t".into(), unit: Unit::PerSecond, series: vec![(comm[2].clone(), points)] });
        for line in text(&document, &plain(cells)).lines() {
            prop_assert!(width(line) <= cells, "{}", line);
        }
        prop_assert_eq!(markdown(&document), markdown(&document));
    }
}
