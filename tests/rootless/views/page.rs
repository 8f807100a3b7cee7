//! The page of a recording: its numbers are the report's, whatever span of time is selected, and what is in it is inert.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ebrec::render;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;
use serde_json::Value;

use crate::synthetic::build::build;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::views::Case;
use crate::views::growing::growing;

const FIXTURES: [&str; 4] = ["compile", "fio", "redis", "storm"];
/// A page is mailed and attached: at most so many bytes.
const MOST_BYTES: usize = 2 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.parquet"))
}

fn plan(view: &str, file: &Path, format: Format, filter: RowFilter) -> ReportPlan {
    ReportPlan {
        view: view.to_owned(),
        files: vec![file.to_owned()],
        files_from: None,
        called: None,
        metrics: Vec::new(),
        by: Vec::new(),
        filter,
        top: None,
        tree: false,
        debug_dirs: Vec::new(),
        format,
        width: 120,
    }
}

/// A view as programs read it.
fn json(view: &str, file: &Path, filter: RowFilter) -> Value {
    serde_json::from_str(&render::json(&report(&plan(view, file, Format::Json, filter)).unwrap())).unwrap()
}

/// The page of a recording, and the data in it.
fn page(file: &Path) -> (String, Value) {
    let page = render::html(&report(&plan("summary", file, Format::Html, RowFilter::default())).unwrap());
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let over_time = data["blocks"].as_array().unwrap().iter().find(|block| block["kind"] == "over_time");
    let over_time = over_time.unwrap()["page"].clone();
    (page, over_time)
}

/// The sum of the intervals from one to another of values as the page has them: gaps and values in turn.
fn sum(values: &Value, from: u64, to: u64) -> u64 {
    let values: Vec<u64> = values.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect();
    let (mut interval, mut sum) = (0, 0);
    for pair in values.chunks(2) {
        interval += pair[0];
        sum += if (from..to).contains(&interval) { pair[1] } else { 0 };
    }
    sum
}

/// A table's sum of one figure over all rows, those that are not there included.
fn column(page: &Value, table: &str, figure: &str, from: u64, to: u64) -> u64 {
    let table = page["tables"].as_array().unwrap().iter().find(|own| own["name"] == table).unwrap();
    let figures = table["figures"].as_array().unwrap();
    // What was not recorded has no figure.
    let Some(of) = figures.iter().find(|own| own["title"] == figure && own["by"].is_null()) else { return 0 };
    let of = of["of"].as_u64().unwrap();
    let rows = table["rows"].as_array().unwrap().iter().map(|row| &row["values"]);
    rows.chain([&table["rest"]]).map(|values| sum(&values[of as usize], from, to)).sum()
}

/// The sum of a field of a table of a view.
fn total(document: &Value, table: &str, field: &str) -> u64 {
    let rows = document["tables"][table].as_array().unwrap_or_else(|| panic!("no table '{table}' in {document}"));
    rows.iter().filter_map(|row| row.get(field)?.as_u64()).sum()
}

/// Everything on a page from one interval to another that a view says too.
fn assert_equal(page: &Value, file: &Path, filter: &RowFilter, from: u64, to: u64) -> usize {
    let read = |view: &str| json(view, file, filter.clone());
    let name = file.display();
    let mut compared = 0;

    let processes = read("processes");
    for table in ["commands", "processes"] {
        for (figure, field) in [
            ("CPU time", "sched.on_cpu.sum_ns"),
            ("waited for a CPU", "sched.runqueue_latency.sum_ns"),
            ("sched switches", "sched.switches.count"),
            ("block size", "block.size.sum_bytes"),
            ("offcpu time", "offcpu.time.sum_ns"),
        ] {
            let expected = total(&processes, "processes", field);
            assert_eq!(column(page, table, figure, from, to), expected, "{figure} of {table} in {name}");
            compared += usize::from(expected > 0);
        }
    }

    let threads = read("threads");
    let on_cpu = total(&threads, "threads", "on_cpu_ns");
    assert_eq!(column(page, "threads", "CPU time", from, to), on_cpu, "threads of {name}");
    let in_use = total(&read("summary"), "hosts", "cpu_ns");
    let lanes = page["lanes"].as_array().unwrap();
    let shown: u64 = lanes
        .iter()
        .filter(|lane| lane["title"] == "CPU in use")
        .map(|lane| sum(&lane["series"][0][1], from, to))
        .sum();
    assert_eq!(shown, in_use, "CPUs of {name}");

    let hist = read("hist");
    let distributions = page["distributions"].as_array().unwrap();
    let mut seen = 0;
    for own in distributions {
        let mut buckets = BTreeMap::new();
        for (bounds, counts) in own["buckets"].as_array().unwrap().iter().zip(own["counts"].as_array().unwrap()) {
            let count = sum(counts, from, to);
            if count > 0 {
                buckets.insert((bounds[0].as_u64().unwrap(), bounds[1].as_u64().unwrap()), count);
            }
        }
        let drawn = &hist["histograms"][own["name"].as_str().unwrap()]["series"][0];
        let expected = drawn["buckets"].as_array().into_iter().flatten();
        let expected = expected.map(|bucket| {
            ((bucket["lo"].as_u64().unwrap(), bucket["hi"].as_u64().unwrap()), bucket["count"].as_u64().unwrap())
        });
        assert_eq!(buckets, expected.collect(), "{} of {name}", own["name"]);
        let totals = &own["totals"].as_array().unwrap()[from as usize..to as usize];
        let totals: f64 = totals.iter().filter_map(|totals| totals[1].as_f64()).sum();
        assert_eq!(totals, drawn["sum"].as_f64().unwrap_or(0.0), "{} of {name}", own["name"]);
        seen += usize::from(!buckets.is_empty());
    }
    assert_eq!(seen, hist["histograms"].as_object().unwrap().len(), "histograms of {name}");
    compared += seen;

    for (flame, view, table, field) in
        [("cpu", "cpu", "functions", "self_ns"), ("offcpu", "offcpu", "causes", "sum_ns")]
    {
        let own = page["flames"].as_array().unwrap().iter().find(|own| own["name"] == flame).unwrap();
        let shown: u64 = own["own"].as_array().unwrap().iter().map(|own| sum(own, from, to)).sum();
        // Stacks without any frame are a process only, which is not a function.
        let bare = (own["callers"].as_array().unwrap().iter().zip(own["own"].as_array().unwrap()))
            .filter(|(caller, _)| flame == "cpu" && caller.as_u64() == Some(0))
            .map(|(_, own)| sum(own, from, to))
            .sum::<u64>();
        assert_eq!(shown - bare, total(&read(view), table, field), "{flame} of {name}");
        compared += usize::from(shown > 0);
    }

    let timeline = read("timeline");
    let groups = page["tables"].as_array().unwrap().iter().find(|own| own["name"] == "groups").unwrap();
    for (at, field) in [(0, "count"), (1, "sum")] {
        let rows = groups["rows"].as_array().unwrap().iter().map(|row| &row["values"]);
        let shown: u64 = rows.chain([&groups["rest"]]).map(|values| sum(&values[at], from, to)).sum();
        assert_eq!(shown, total(&timeline, "intervals", field), "{field} of all metrics in {name}");
    }
    compared
}

#[test]
fn the_sums_of_all_intervals_are_what_the_views_say() {
    let mut compared = 0;
    for name in FIXTURES {
        let file = fixture(name);
        let (_, page) = page(&file);
        let intervals = page["bounds"].as_array().unwrap().len() as u64 - 1;
        compared += assert_equal(&page, &file, &RowFilter::default(), 0, intervals);
    }
    assert!(compared > 60, "{compared}");
}

/// Of a command's recording the first intervals are shorter than the last.
#[test]
fn a_page_of_intervals_that_grew_says_what_the_views_say() {
    let case = Case::new("summary", vec![("run.parquet", growing("builder", 100))]);
    let file = &case.plan.files[0];
    let (_, page) = page(file);
    let bounds: Vec<u64> = page["bounds"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    assert_eq!(bounds, [0, 1, 2, 3, 4].map(|second| second * 1_000_000_000));
    for from in 0..4 {
        let span = |at: u64| Some(Duration::from_nanos(bounds[at as usize]));
        let filter = RowFilter { from: span(from), to: span(from + 1), ..RowFilter::default() };
        assert!(assert_equal(&page, file, &filter, from, from + 1) > 3);
    }
}

#[test]
fn a_selection_has_the_numbers_of_a_report_from_its_beginning_to_its_end() {
    let case = Case::new("summary", vec![("run.parquet", build("builder"))]);
    let mut compared = 0;
    for file in [fixture("storm"), case.plan.files[0].clone()] {
        let (_, page) = page(&file);
        let bounds: Vec<u64> = page["bounds"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
        assert!(bounds.len() > 2, "{bounds:?}");
        for from in 0..bounds.len() - 1 {
            let (begin, end) = (Duration::from_nanos(bounds[from]), Duration::from_nanos(bounds[from + 1]));
            let filter = RowFilter { from: Some(begin), to: Some(end), ..RowFilter::default() };
            compared += assert_equal(&page, &file, &filter, from as u64, from as u64 + 1);
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn a_page_is_small_and_reaches_for_nothing() {
    for name in FIXTURES {
        let (page, _) = page(&fixture(name));
        assert!(page.len() < MOST_BYTES, "{name}: {} bytes", page.len());
        assert!(page.contains("content=\"default-src 'none'; script-src 'sha256-"), "{name}");
        // Addresses stand in it as names of namespaces only.
        assert_eq!(
            page.matches("http").count(),
            page.matches("\"http://www.w3.org/2000/svg\"").count() + page.matches("http-equiv").count(),
            "{name}"
        );
        assert_eq!(page.matches("<script").count(), 2, "{name}");
    }
}

#[test]
fn several_recordings_are_a_page_of_tables_that_says_so() {
    let recordings = vec![("a.parquet", build("one")), ("b.parquet", build("two"))];
    let case = Case::new("summary", recordings).with(|plan| plan.format = Format::Html);
    let page = render::html(&report(&case.plan).unwrap());
    assert!(page.contains("a page with a timeline is of one recording") && !page.contains("\"kind\":\"over_time\""));
    assert!(page.contains("\"name\":\"commands\""));
}

#[test]
fn a_page_of_a_view_has_its_tables_and_pictures() {
    for (view, parts) in [
        ("threads", &["\"kind\":\"table\"", "\"kind\":\"picture\""][..]),
        ("cpu", &["\"kind\":\"table\"", "\"kind\":\"flame\""]),
        ("heatmap", &["\"kind\":\"picture\""]),
        ("exec", &["\"kind\":\"table\""]),
    ] {
        let plan = plan(view, &fixture("compile"), Format::Html, RowFilter::default());
        let page = render::html(&report(&plan).unwrap());
        for part in parts {
            assert!(page.contains(part), "{view} has no {part}");
        }
    }
}

/// Events that follow one another closely were one row, at the moment of the slowest: a selection without that moment had none of them.
#[test]
fn the_slowest_events_of_a_selection_are_those_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made.parquet");
    let mut recording = build("builder");
    for at in 0..8 {
        let took = if at == 1 { 520 } else { 500 - at };
        let own =
            [("dev", Cell::Text("vdb")), ("op", "read".into()), ("pid", 200.into()), ("dur_ns", (took * MS).into())];
        recording.row("block_io", (at + 1) * 490 * MS, &own);
    }
    recording.write(&made);
    let mut compared = 0;
    for file in [made, fixture("fio"), fixture("web")] {
        let (_, page) = page(&file);
        let bounds: Vec<u64> = page["bounds"].as_array().unwrap().iter().map(|bound| bound.as_u64().unwrap()).collect();
        let events = &page["events"];
        let count = events["keys"].as_array().unwrap().iter().position(|key| key == "burst of").unwrap();
        let rows: Vec<(u64, u64, u64)> = events["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let burst = row[2][count].as_str().unwrap().parse().unwrap();
                (row[0].as_u64().unwrap(), row[1].as_u64().unwrap(), burst)
            })
            .collect();
        for span in bounds.windows(2) {
            let filter = RowFilter {
                from: Some(Duration::from_nanos(span[0])),
                to: Some(Duration::from_nanos(span[1])),
                ..RowFilter::default()
            };
            let slow = json("slow", &file, filter);
            let expected =
                slow["tables"]["events"].as_array().unwrap().first().map(|row| row["dur_ns"].as_u64().unwrap());
            let shown = rows.iter().filter(|(at, ..)| (span[0]..span[1]).contains(at)).map(|(_, took, _)| *took).max();
            assert_eq!(shown, expected, "{span:?} of {}", file.display());
            compared += usize::from(expected.is_some());
        }
        if events["more"] == false {
            let all = json("slow", &file, RowFilter::default());
            let said = all["notes"][0].as_str().unwrap().split(' ').next().unwrap().replace(',', "");
            assert_eq!(rows.iter().map(|(.., burst)| burst).sum::<u64>().to_string(), said, "{}", file.display());
        }
    }
    assert!(compared > 5, "{compared}");
}
