//! What the job in `fleet/` says of many machines: its page, a JSON object a line, as a document.
//!
//! A cluster adds up more recordings than one machine reads. It writes what fits on a page as text beside its tables, so that a
//! page or a table of it needs neither the cluster nor a reader of Parquet.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;

use crate::failure::Failure;
use crate::regular_file;
use crate::render::Document;
use crate::render::Field;
use crate::render::FlamePlot;
use crate::render::FlameStack;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::view::SUMMARY;
use crate::units;
use crate::units::Unit;

/// The directory of the page in the job's output.
const PAGE: &str = "page";
/// The form of the page that this program reads.
const VERSION: u32 = 1;
/// Text of a page.
const MOST_BYTES: u64 = 64 << 20;
/// Files that Spark may have split it into.
const MOST_FILES: usize = 1000;
/// The percentiles of tables: field, heading.
const PERCENTILES: [(&str, &str); 4] = [("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9")];

/// A line of the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
enum Line {
    /// What all of it is about.
    Fleet { version: u32, hosts: u64, recordings: u64, source: String },
    /// A metric over all hosts.
    Percentiles {
        hosts: u64,
        recordings: u64,
        #[serde(flatten)]
        figures: Figures,
    },
    /// A metric of a host that is among the slowest.
    Hosts(OfHost),
    /// A metric of a host that is far from the others.
    Outliers(OfHost),
    /// A stack of all hosts.
    FlameGraph { profile: String, stack: String, ns: u64 },
    /// Rows that the job's table has beyond these.
    Omitted { of: String, rows: u64 },
    /// What a later version of the job says.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
struct Figures {
    metric: String,
    unit: String,
    n: u64,
    total: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct OfHost {
    host: String,
    rank: u64,
    distance: Option<f64>,
    #[serde(flatten)]
    figures: Figures,
}

impl Figures {
    fn unit(&self) -> Unit {
        Unit::parse(&self.unit).unwrap_or(Unit::Count)
    }

    fn percentiles(&self) -> impl Iterator<Item = Value> {
        let unit = self.unit();
        [self.p50, self.p90, self.p99, self.p999].into_iter().map(move |value| Value::of(unit, value))
    }

    fn total(&self) -> Value {
        Value::of(self.unit(), self.total)
    }
}

/// The page that the words of a command line mean: the job's output directory, or the directory of the page in it.
pub(super) fn page(plan: &ReportPlan) -> Option<PathBuf> {
    let [word] = plan.files.as_slice() else { return None };
    let inner = word.join(PAGE);
    [inner, word.clone()]
        .into_iter()
        .find(|place| plan.files_from.is_none() && parts(place).is_ok_and(|parts| !parts.is_empty()))
}

/// The files of a page: those that Spark calls `part-…txt`.
fn parts(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_part = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("part-") && name.ends_with(".txt")
    };
    let entries = std::fs::read_dir(place)?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_part);
    let mut parts: Vec<PathBuf> = entries.take(MOST_FILES).collect();
    parts.sort();
    Ok(parts)
}

/// Puts a page into a document.
///
/// # Errors
/// It can't be read, is no such page or of a later form, or another view or a filter is asked for.
pub(super) fn report(place: &Path, plan: &ReportPlan) -> Result<Document> {
    if plan.view != SUMMARY || !plan.filter.passes_all() {
        let why = format!("'{}' is a page of the fleet job, which has no other view and no filters", place.display());
        return Err(Failure::usage(why).hint("ebrec report VIEW RECORDINGS reads the recordings themselves").into());
    }
    let mut page = Page::new();
    let mut left = MOST_BYTES;
    for part in parts(place)? {
        let what = || format!("can't read '{}'", part.display());
        let mut lines = BufReader::new(regular_file::open(&part).with_context(what)?.take(left));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).with_context(what)? > 0 {
            left = left.saturating_sub(line.len() as u64);
            if left == 0 {
                let why = format!("'{}' is larger than {}", place.display(), units::bytes(MOST_BYTES));
                return Err(Failure::run(why).into());
            }
            let read = serde_json::from_slice(&line).map_err(|error| {
                Failure::run(format!("'{}' is not a page of the fleet job: {error}", part.display()))
            })?;
            page.add(read);
            line.clear();
        }
    }
    page.document(place, plan)
}

/// What was read so far.
struct Page {
    about: Option<(u32, u64, u64, String)>,
    fleet: Table,
    hosts: Table,
    outliers: Table,
    /// By profile.
    flames: Vec<FlamePlot>,
    omitted: Vec<(String, u64)>,
}

impl Page {
    fn new() -> Page {
        Page {
            about: None,
            fleet: Table::new("fleet", "All hosts together", fleet_fields()),
            hosts: Table::new("hosts", "Slowest hosts, by p99", host_fields()),
            outliers: Table::new("outliers", "Hosts that differ", host_fields()),
            flames: Vec::new(),
            omitted: Vec::new(),
        }
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Fleet { version, hosts, recordings, source } => {
                self.about = Some((version, hosts, recordings, source))
            }
            Line::Percentiles { hosts, recordings, figures } => {
                let mut row: Vec<Value> = vec![figures.metric.as_str().into(), figures.unit.as_str().into()];
                row.extend([hosts, recordings, figures.n].map(Value::from));
                row.push(figures.total());
                row.extend(figures.percentiles());
                self.fleet.rows.push(row);
            }
            Line::Hosts(own) => self.hosts.rows.push(own.row()),
            Line::Outliers(own) => self.outliers.rows.push(own.row()),
            Line::FlameGraph { profile, stack, ns } => {
                let title = match profile.as_str() {
                    "cpu" => "CPU time of all hosts".to_owned(),
                    "offcpu" => "Time asleep of all hosts".to_owned(),
                    other => format!("'{other}' of all hosts"),
                };
                let at = self.flames.iter().position(|plot| plot.name == profile).unwrap_or_else(|| {
                    let (unit, stacks) = (Unit::Nanoseconds, Vec::new());
                    self.flames.push(FlamePlot { name: profile, title, unit, stacks });
                    self.flames.len() - 1
                });
                if let Some(plot) = self.flames.get_mut(at) {
                    plot.stacks.push(FlameStack { folded: stack, before: None, weight: ns });
                }
            }
            Line::Omitted { of, rows } => self.omitted.push((of, rows)),
            Line::Unknown => {}
        }
    }

    fn document(mut self, place: &Path, plan: &ReportPlan) -> Result<Document> {
        let place = place.display();
        let Some((version, hosts, recordings, source)) = self.about else {
            return Err(Failure::run(format!("'{place}' is not a page of the fleet job, or not a whole one")).into());
        };
        if version != VERSION {
            let why = format!("'{place}' has the form {version}, and this program reads {VERSION}");
            return Err(Failure::run(why).hint("use the ebrec that the fleet job came with").into());
        }
        let mut document = Document::new("fleet", "Fleet");
        document.subtitle =
            format!("{} recordings of {} hosts in {source}", units::count(recordings), units::count(hosts));
        for (of, rows) in self.omitted {
            match of.as_str() {
                "hosts" => self.hosts.omitted += rows,
                "outliers" => self.outliers.omitted += rows,
                "flame_graph" if rows > 0 => {
                    document.note(format!("flame graphs lack {} of the lightest stacks", units::count(rows)))
                }
                _ => {}
            }
        }
        if self.outliers.rows.is_empty() {
            document.note("no host differs from the others by much in any metric");
        }
        let distance = |row: &Vec<Value>| match row.get(DISTANCE) {
            Some(Value::Float(distance)) => distance.abs(),
            _ => 0.0,
        };
        self.outliers.rows.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
        self.hosts.rows.sort_by_key(|row| order(row, &RANK_AND_METRIC));
        self.fleet.rows.sort_by_key(|row| order(row, &[0]));
        for (mut table, usual) in [(self.outliers, 20), (self.fleet, usize::MAX), (self.hosts, 30)] {
            let shown = plan.rows_shown(usual);
            table.omitted += table.rows.len().saturating_sub(shown) as u64;
            table.rows.truncate(shown);
            document.push(table);
        }
        // Nobody else draws it.
        if matches!(plan.format, Format::Svg | Format::Html) {
            self.flames.sort_by(|a, b| a.name.cmp(&b.name));
            self.flames.into_iter().for_each(|plot| document.push(plot));
        }
        Ok(document)
    }
}

/// Where columns stand in rows of hosts.
const DISTANCE: usize = 4;
const RANK_AND_METRIC: [usize; 2] = [3, 1];

/// What rows are ordered by.
fn order(row: &[Value], places: &[usize]) -> Vec<(String, i64)> {
    let key = |place: &usize| match row.get(*place) {
        Some(Value::Text(text)) => (text.clone(), 0),
        Some(Value::Id(number) | Value::Int(number)) => (String::new(), *number),
        _ => (String::new(), 0),
    };
    places.iter().map(key).collect()
}

impl OfHost {
    fn row(self) -> Vec<Value> {
        let OfHost { host, rank, distance, figures } = self;
        let rank = Value::Id(i64::try_from(rank).unwrap_or(i64::MAX));
        let mut row: Vec<Value> = vec![host.into(), figures.metric.as_str().into(), figures.unit.as_str().into(), rank];
        row.extend([Value::from(distance), figures.n.into(), figures.total()]);
        row.extend(figures.percentiles());
        row
    }
}

fn fleet_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("metric", "metric").at_least(20),
        Field::new("unit", "unit").help("What percentiles and total measure."),
        Field::new("hosts", "hosts"),
        Field::new("recordings", "recordings"),
    ];
    fields.extend(figure_fields());
    fields
}

fn host_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("host", "host").at_least(12),
        Field::new("metric", "metric").at_least(20),
        Field::new("unit", "unit").help("What percentiles and total measure."),
        Field::new("rank", "rank").help("Place among all hosts by p99; 1 is the slowest."),
        Field::new("distance", "distance")
            .help("How far the host is from the median host: robust standard deviations of the logarithm of p99; negative below it."),
    ];
    fields.extend(figure_fields());
    fields
}

/// Count, total and percentiles.
fn figure_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("count", "count").help("Values."),
        Field::new("total", "total").help("Sum of all values.").each_its_unit(),
    ];
    fields.extend(PERCENTILES.map(|(name, title)| Field::new(name, title).each_its_unit()));
    fields
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use crate::render;
    use crate::report::plan::Format;
    use crate::report::plan::ReportPlan;
    use crate::report::report;

    fn plan(dir: &Path, view: &str, format: Format) -> ReportPlan {
        ReportPlan { view: view.to_owned(), files: vec![dir.to_owned()], format, width: 120, ..ReportPlan::default() }
    }

    /// The output of a job: a page in two files, as Spark may write it, beside a table.
    fn job(lines: &[serde_json::Value]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("page")).unwrap();
        fs::create_dir_all(dir.path().join("hosts")).unwrap();
        fs::write(dir.path().join("page/_SUCCESS"), "").unwrap();
        let (first, second) = lines.split_at(lines.len() / 2);
        for (name, lines) in [("part-00000-a.txt", first), ("part-00001-a.txt", second)] {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(dir.path().join("page").join(name), text).unwrap();
        }
        dir
    }

    fn lines() -> Vec<serde_json::Value> {
        let figures = |p99: i64| json!({"metric": "block.device_time", "unit": "ns", "n": 2000, "total": 5e9, "p50": 90_000, "p90": 900_000, "p99": p99, "p999": 9_000_000});
        let with = |mut line: serde_json::Value, p99: i64| {
            line.as_object_mut().unwrap().extend(figures(p99).as_object().unwrap().clone());
            line
        };
        vec![
            with(json!({"table": "hosts", "host": "web2", "rank": 2, "distance": 0.5}), 1_000_000),
            with(json!({"table": "hosts", "host": "web10", "rank": 1, "distance": 40.25}), 8_000_000),
            with(json!({"table": "outliers", "host": "web10", "rank": 1, "distance": 40.25}), 8_000_000),
            with(json!({"table": "percentiles", "hosts": 12, "recordings": 24}), 2_000_000),
            json!({"table": "flame_graph", "profile": "cpu", "stack": "nginx;main;<b>", "ns": 700, "hosts": 9}),
            json!({"table": "flame_graph", "profile": "cpu", "stack": "nginx;main;poll", "ns": 300, "hosts": 9}),
            json!({"table": "omitted", "of": "hosts", "rows": 10}),
            json!({"table": "of a later version", "x": 1}),
            json!({"table": "fleet", "version": 1, "hosts": 12, "recordings": 24, "source": "s3a://bucket/"}),
        ]
    }

    #[test]
    fn the_page_of_the_fleet_job_is_shown_in_every_format() {
        let dir = job(&lines());
        let document = report(&plan(dir.path(), "summary", Format::Json)).unwrap();
        let said: serde_json::Value = serde_json::from_str(&render::json(&document)).unwrap();
        assert_eq!(said["subtitle"], "24 recordings of 12 hosts in s3a://bucket/");
        let fleet = &said["tables"]["fleet"][0];
        assert_eq!(
            (&fleet["metric"], &fleet["count"], &fleet["p99"]),
            (&json!("block.device_time"), &json!(2000), &json!(2_000_000))
        );
        let hosts: Vec<_> = said["tables"]["hosts"].as_array().unwrap().iter().map(|row| &row["host"]).collect();
        assert_eq!((hosts, &said["omitted"]["hosts"]), (vec![&json!("web10"), &json!("web2")], &json!(10)));
        assert_eq!(said["tables"]["outliers"][0]["distance"], 40.25);
        let text = render::text(
            &report(&plan(dir.path(), "summary", Format::Text)).unwrap(),
            &render::TextStyle { width: 120, color: false },
        );
        assert!(text.contains("8.00 ms") && text.contains("40.2") && !text.contains("nginx"), "{text}");
        // The page itself may have been copied from where the job wrote it.
        let page = render::html(&report(&plan(&dir.path().join("page"), "summary", Format::Html)).unwrap());
        assert!(page.contains("CPU time of all hosts") && page.contains("\\u003cb\\u003e"), "{page}");
        let svg = render::svg(&report(&plan(dir.path(), "summary", Format::Svg)).unwrap()).unwrap();
        assert!(svg.contains("nginx"));
    }

    #[test]
    fn what_is_no_page_or_not_a_whole_one_is_an_error() {
        let error = |dir: &tempfile::TempDir, view: &str| {
            report(&plan(dir.path(), view, Format::Json)).unwrap_err().to_string()
        };
        let all = lines();
        assert!(error(&job(&all), "cpu").contains("no other view"));
        assert!(error(&job(&all[..8]), "summary").contains("not a whole one"));
        let later = json!({"table": "fleet", "version": 2, "hosts": 1, "recordings": 1, "source": ""});
        assert!(error(&job(&[later.clone(), later]), "summary").contains("has the form 2"));
        assert!(error(&job(&[json!([]), json!(7)]), "summary").contains("is not a page"));
        // Without a page, a directory is one of recordings.
        let empty = tempfile::tempdir().unwrap();
        assert!(error(&empty, "summary").contains("no recording in the directory"));
    }
}
