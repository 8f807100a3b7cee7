//! Every format on the same documents: what people read, what programs parse, and what a hostile name can do.

mod properties;

use crate::hist::Histogram;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::HeatColumn;
use crate::render::Heatmap;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::TextStyle;
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

/// A name that tries every format at once.
const HOSTILE: &str = "a\x1b[31m|`<script>\"&'\n,\u{202e}@octocat #1 *b* [x](y)\\|";

fn plain(width: usize) -> TextStyle {
    TextStyle { width, color: false }
}

fn document(block: impl Into<Block>) -> Document {
    Document { blocks: vec![block.into()], ..Document::new("view", "") }
}

fn processes() -> Table {
    let fields = vec![
        Field::new("pid", "pid"),
        Field::new("comm", "comm"),
        Field::new("cpu_ns", "cpu"),
        Field::new("wait_p99_ns", "wait p99"),
        Field::new("read_bytes", "read"),
        Field::new("switches", "switches"),
    ];
    let row = |pid, comm: &str, cpu, wait, read, switches| {
        vec![
            Value::Id(pid),
            comm.into(),
            Value::Nanos(cpu),
            Value::nanos(wait),
            Value::Bytes(read),
            Value::Int(switches),
        ]
    };
    let rows = vec![
        row(1, "systemd", 12_345_678, Some(81_230), 0, 12),
        row(12_345, "make -j2", 1_543_209_862, None, 3_145_728, 1_234_567),
        row(12_346, "编译器", 400_000_000, Some(5_000), 1_048_576, 3),
    ];
    Table { rows, ..Table::new("processes", "Processes", fields) }
}

fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::new();
    values.into_iter().for_each(|value| histogram.record(value));
    histogram
}

fn plot(unit: Unit, series: Vec<(&str, Histogram)>) -> HistogramPlot {
    let series = series.into_iter().map(|(name, h)| (name.to_owned(), h)).collect();
    HistogramPlot { name: "plot".into(), title: "Plot".into(), unit, series }
}

#[test]
fn a_table_states_each_unit_once_and_aligns_numbers_at_the_right() {
    let wanted = "\
Processes
  pid  comm      cpu s  wait p99 µs  read MiB   switches
─────  ────────  ─────  ───────────  ────────  ─────────
    1  systemd   0.012         81.2      0.00         12
12345  make -j2  1.543            -      3.00  1,234,567
12346  编译器    0.400          5.0      1.00          3
… and 1,200 more (--top 0 shows all)
";
    let table = Table { omitted: 1200, ..processes() };
    assert_eq!(text(&document(table), &plain(80)), wanted);
}

#[test]
fn a_tree_shows_who_started_whom() {
    let names = ["init", "make", "cc", "ld", "cron", "sh", "other"];
    let mut table = Table::new("tree", "", vec![Field::new("pid", "pid"), Field::new("comm", "comm")]);
    table.rows = names.iter().enumerate().map(|(i, name)| vec![Value::Id(i as i64), (*name).into()]).collect();
    table.depths = Some(vec![0, 1, 2, 2, 1, 2, 0]);
    let wanted = "\
pid  comm
───  ────────
  0  init
  1  ├─ make
  2  │  ├─ cc
  3  │  └─ ld
  4  └─ cron
  5     └─ sh
  6  other
";
    assert_eq!(text(&document(table.clone()), &plain(80)), wanted);
    assert!(markdown(&document(table.clone())).contains("| 5 | \u{a0}\u{a0}\u{a0}└─\u{a0}sh |"));
    assert!(
        csv(&document(table.clone()), None)
            .unwrap_or_default()
            .starts_with("pid,comm,depth\r\n0,init,0\r\n1,make,1\r\n")
    );
    // A chain of 60,000 forks must not draw 60,000 branches per row.
    table.rows = vec![vec![Value::Id(1), "fork".into()]; 60_000];
    table.depths = Some((0..60_000).collect());
    assert!(text(&document(table), &plain(80)).len() < 20_000_000);
}

#[test]
fn names_in_a_deep_tree_are_worth_more_than_the_last_numbers() {
    let numbers = (0..8).map(|at| Field::new(format!("n{at}"), format!("number {at}")));
    let fields = std::iter::once(Field::new("comm", "command")).chain(numbers).collect();
    let mut table = Table::new("tree", "", fields);
    let row = |at: i64| std::iter::once(Value::from(format!("program-{at}"))).chain(vec![Value::Int(1_000_000); 8]);
    table.rows = (0..8).map(|at| row(at).collect()).collect();
    table.depths = Some((0..8).collect());
    let narrow = text(&document(table), &plain(80));
    assert!(narrow.contains("└─ program-7  1,000,000"), "{narrow}");
}

/// A remedy that ends in `…` is none.
#[test]
fn a_sentence_goes_on_in_the_next_line() {
    let mut table = Table::new("checks", "", vec![Field::new("check", "check"), Field::new("fix", "fix").prose()]);
    table.rows = vec![vec!["clock".into(), "boot with tsc=reliable".into()], vec!["memory".into(), "-".into()]];
    let wanted = "\
check   fix
──────  ──────────────────
clock   boot with
        tsc=reliable
memory  -
";
    assert_eq!(text(&document(table), &plain(26)), wanted);
}

#[test]
fn what_does_not_fit_is_cut_and_then_left_out_and_named() {
    let mut table = processes();
    table.fields.push(Field::new("argv", "argv"));
    table.rows.iter_mut().for_each(|row| row.push("/usr/bin/something with many arguments ".repeat(9).into()));
    let wide = text(&document(table.clone()), &plain(120));
    assert!(wide.lines().nth(3).is_some_and(|l| l.ends_with('…') && width(l) == 120), "{wide}");
    let narrow = text(&document(table), &plain(40));
    assert!(narrow.contains("columns that need a wider"), "{narrow}");
    assert!(narrow.lines().all(|l| width(l) <= 40), "{narrow}");
}

#[test]
fn a_histogram_shows_ranges_counts_bars_and_percentiles_with_their_error() {
    let values = (0..1000u64).map(|i| 900 + 20 * i);
    let drawn = text(&document(plot(Unit::Nanoseconds, vec![("", histogram(values))])), &plain(80));
    let wanted = "\
Plot
 800 ns – 1.02 µs    7    0.7%  █▎
1.02 µs – 1.28 µs   12    1.2%  ██▎
1.28 µs – 1.60 µs   16    1.6%  ███
1.60 µs – 2.05 µs   23    2.3%  ████▎
2.05 µs – 2.56 µs   25    2.5%  ████▋
2.56 µs – 3.20 µs   32    3.2%  ██████
3.20 µs – 4.10 µs   45    4.5%  ████████▍
4.10 µs – 5.12 µs   51    5.1%  █████████▌
5.12 µs – 6.40 µs   64    6.4%  ███████████▉
6.40 µs – 8.19 µs   90    9.0%  ████████████████▊
8.19 µs – 10.2 µs  102   10.2%  ███████████████████
10.2 µs – 12.8 µs  128   12.8%  ███████████████████████▉ p50
12.8 µs – 16.4 µs  180   18.0%  █████████████████████████████████▌
16.4 µs – 20.5 µs  204   20.4%  ██████████████████████████████████████ p90
20.5 µs – 25.6 µs   21    2.1%  ███▉ p99 p99.9
p50 11.0 µs   p90 18.9 µs   p99 20.9 µs   p99.9 20.9 µs   p99.99 20.9 µs
max 20.9 µs   mean 10.9 µs   count 1,000
percentiles within ±3.2%
";
    assert_eq!(drawn, wanted);
}

#[test]
fn small_whole_numbers_have_a_row_each_and_exact_percentiles() {
    let drawn = text(&document(plot(Unit::Count, vec![("", histogram([0, 0, 0, 1, 1, 3]))])), &plain(40));
    let wanted = "\
Plot
0  3   50.0%  ████████████ p50
1  2   33.3%  ████████
2  0
3  1   16.7%  ████ p90 p99 p99.9
p50 0   p90 3   p99 3   p99.9 3
p99.99 3   max 3   mean 0.833   count 6
percentiles exact
";
    assert_eq!(drawn, wanted);
}

#[test]
fn a_timeline_is_a_row_of_bars_with_minimum_mean_and_maximum() {
    let points = (0..24).map(|i| (f64::from(i), f64::from(i % 8) * 1e6)).collect();
    let timeline = Timeline {
        name: "t".into(),
        title: "Latency".into(),
        unit: Unit::Nanoseconds,
        series: vec![("p99".into(), points)],
    };
    let wanted = "\
Latency
     0 s … 23 s                min ms  mean ms  max ms
p99  ▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█    0.00     3.50    7.00
";
    assert_eq!(text(&document(timeline), &plain(80)), wanted);
}

#[test]
fn colour_comes_only_when_asked() {
    let mut document = document(processes());
    document.title = HOSTILE.into();
    document.warning("something was lost");
    assert!(!text(&document, &plain(80)).contains('\x1b'));
    let coloured = text(&document, &TextStyle { width: 80, color: true });
    assert!(coloured.contains("\x1b[33mwarning: something was lost\x1b[0m"));
    assert!(coloured.contains("\x1b[1m"));
}

#[test]
fn json_is_raw_stable_and_lossless() {
    let mut table = processes();
    table.rows.push(vec![Value::Null, HOSTILE.into(), Value::Time(5), Value::Float(f64::NAN)]);
    table.omitted = 2;
    let mut document = document(table.clone());
    document.push(table);
    document.push(plot(Unit::Bytes, vec![("a", histogram([512, 4096]))]));
    document.push(Block::Pairs(vec![("host".into(), "h".into())]));
    let written = json(&document);
    assert!(!written.chars().any(|c| is_unsafe(c) && c != '\n'), "{written}");
    let parsed: serde_json::Value = serde_json::from_str(&written).unwrap_or_default();
    let rows = &parsed["tables"]["processes"];
    assert_eq!(rows[0]["cpu_ns"], 12_345_678);
    assert_eq!(rows[1]["wait_p99_ns"], serde_json::Value::Null);
    assert_eq!(rows[3]["comm"], HOSTILE);
    assert_eq!(rows[3]["wait_p99_ns"], serde_json::Value::Null);
    assert_eq!(rows[3]["switches"], serde_json::Value::Null);
    assert_eq!(parsed["tables"]["processes-2"], *rows);
    assert_eq!(
        (&parsed["view"], &parsed["omitted"]["processes"], &parsed["facts"]["host"]),
        (&"view".into(), &2.into(), &"h".into())
    );
    let series = &parsed["histograms"]["plot"]["series"][0];
    assert_eq!((&series["count"], &series["buckets"][0]["lo"], &series["max"]), (&2.into(), &512.into(), &4096.into()));
    let keys: Vec<&str> = rows[0].as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    assert_eq!(keys, ["pid", "comm", "cpu_ns", "wait_p99_ns", "read_bytes", "switches"]);
}

#[test]
fn csv_is_one_table_with_raw_values_quoted_where_rfc_4180_wants_it() {
    let mut table =
        Table::new("t", "", vec![Field::new("comm", "comm"), Field::new("cpu_ns", "cpu"), Field::new("ok", "ok")]);
    table.rows = vec![
        vec!["a,b".into(), Value::Nanos(1_234_567), Value::Bool(true)],
        vec!["say \"hi\"\r\n".into(), Value::Null],
        vec!["".into(), Value::Float(0.5), Value::Percent(f64::INFINITY)],
        vec!["=1+1".into(), Value::Nanos(-1), Value::Null, Value::Int(9)],
    ];
    let wanted = "comm,cpu_ns,ok\r\n\"a,b\",1234567,true\r\n\"say \"\"hi\"\"\r\n\",,\r\n\"\",0.5,\r\n=1+1,-1,\r\n";
    assert_eq!(csv(&document(table.clone()), None).as_deref(), Some(wanted));
    assert_eq!(csv(&document(table.clone()), Some("t")).as_deref(), Some(wanted));
    assert_eq!(csv(&document(table), Some("other")), None);
}

#[test]
fn a_hostile_name_stays_one_cell_of_code_in_markdown() {
    let mut table = processes();
    table.rows.push(vec![Value::Id(9), HOSTILE.into(), Value::Null]);
    let mut document = document(table);
    document.title = HOSTILE.into();
    document.note(HOSTILE);
    let written = markdown(&document);
    for line in written.lines().filter(|l| l.starts_with('|')) {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 7, "{line}");
    }
    assert!(!written.contains("<script>") && !written.contains('\x1b') && !written.contains("@octocat"), "{written}");
    assert!(written.contains("| 12345 | `make -j2` |") || written.contains("| 12345 | make -j2 |"), "{written}");
}

#[test]
fn a_hostile_name_links_to_nothing_in_markdown() {
    for (name, link) in [
        ("GH-26", "GH-26"),
        ("see www.example.com", "www."),
        ("https://example.com/", "://"),
        ("deadbee1", "deadbee1"),
        ("octocat/hello#1", "#1"),
        ("@octocat", "@octocat"),
        ("a@example.com", "@example"),
    ] {
        let mut table = processes();
        table.rows.push(vec![Value::Id(9), name.into(), Value::Null]);
        let mut document = document(table);
        document.note(name);
        document.push(Block::Pairs(vec![(name.to_owned(), name.to_owned())]));
        let written = markdown(&document);
        // In tables it is code, in prose it is divided.
        let prose = written.lines().filter(|line| !line.starts_with('|')).collect::<Vec<_>>().join("\n");
        assert!(!prose.contains(link), "{prose}");
        assert!(written.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`"))), "{written}");
    }
}

#[test]
fn svg_is_escaped_deterministic_and_refused_where_nothing_draws() {
    let mut document =
        document(plot(Unit::Nanoseconds, vec![(HOSTILE, histogram([1, 10, 100])), ("b", histogram([7; 9]))]));
    document.title = HOSTILE.into();
    document.subtitle = HOSTILE.into();
    let drawn = svg(&document).unwrap_or_default();
    assert!(drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"));
    assert!(!drawn.contains("<script") && !drawn.chars().any(|c| is_unsafe(c) && c != '\n'));
    assert_eq!(svg(&document).ok(), Some(drawn));
    document.blocks.clear();
    let refused = svg(&document).map_err(|e| e.to_string());
    assert_eq!(refused, Err("view 'view' has no plot to draw\nhint: use --format text, md, json or csv".to_owned()));
}

#[test]
fn pictures_over_time_mark_the_trigger_where_it_is_within_them() {
    let points = (0..24).map(|i| (f64::from(i), f64::from(i))).collect();
    let line = Timeline { name: "t".into(), title: "t".into(), unit: Unit::Count, series: vec![("a".into(), points)] };
    let columns = (0..24).map(|i| HeatColumn {
        begin: f64::from(i),
        end: f64::from(i + 1),
        values: histogram([1 << (i % 8); 3]),
    });
    let heat = Heatmap { name: "h".into(), title: "h".into(), unit: Unit::Nanoseconds, columns: columns.collect() };
    for block in [Block::Timeline(line), Block::Heatmap(heat)] {
        let drawn = |trigger| svg(&Document { trigger, ..document(block.clone()) }).unwrap();
        let mark = ">\ntrigger\n</text>";
        assert!(drawn(Some(12.5)).contains(mark), "{}", drawn(Some(12.5)));
        assert!(!drawn(None).contains(mark) && !drawn(Some(99.0)).contains(mark) && !drawn(Some(-3.0)).contains(mark));
    }
}

#[test]
fn an_empty_document_is_empty_in_every_format() {
    let empty = Document::default();
    assert_eq!((text(&empty, &plain(80)).as_str(), markdown(&empty).as_str(), csv(&empty, None)), ("", "", None));
    let hollow = document(plot(Unit::Bytes, vec![("", Histogram::new())]));
    assert_eq!(text(&hollow, &plain(80)), "Plot\n(no values)\n");
    assert!(svg(&hollow).is_err());
    let bare = document(Table::new("t", "Title", vec![Field::new("a", "a")]));
    assert_eq!(text(&bare, &plain(80)), "Title\n(none)\n");
    assert_eq!(csv(&bare, None).as_deref(), Some("a\r\n"));
}

#[test]
fn extremes_outside_of_their_buckets_are_drawn() {
    let mut made_up = Histogram::new();
    made_up.add_bucket(5, 6, 1);
    made_up.add_totals(1, u64::MAX, u64::MAX, u64::MAX);
    let drawn = svg(&document(plot(Unit::Nanoseconds, vec![("", made_up)]))).unwrap();
    assert!(drawn.contains("<svg"));
}
