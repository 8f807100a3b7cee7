//! View `block`: disk I/O by device and operation, by process, and the slowest requests.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::limit::Limit;
use crate::report::metrics;
use crate::report::paper::Ranking;
use crate::report::paper::errno;
use crate::report::paper::note_absent_probe;
use crate::report::paper::percentile;
use crate::report::paper::share;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::report::tally::Dim;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::sum;
use crate::units::Unit;

const METRICS: [&str; 4] = [metrics::BLOCK_QUEUE, metrics::BLOCK_DEVICE, metrics::BLOCK_SIZE, metrics::BLOCK_ACCESS];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("block", "Disk I/O");
    note_absent_probe(&mut document, sources, "block");
    let mut devices = Ranking::new(sources, "devices", "By device and operation", device_fields());
    let mut processes = Ranking::new(sources, "processes", "By process", process_fields());
    let mut requests = Ranking::new(sources, "requests", "Slowest requests", request_fields());
    let mut plots = [(metrics::BLOCK_DEVICE, "Time in the device"), (metrics::BLOCK_QUEUE, "Time in the queue")].map(
        |(name, title)| HistogramPlot {
            name: name.into(),
            title: title.into(),
            unit: Unit::Nanoseconds,
            series: Vec::new(),
        },
    );
    for source in sources {
        let people = People::of(source)?;
        by_device(source, &mut devices)?;
        by_process(source, &people, &mut processes)?;
        slowest(source, &people, &mut requests, plan.events_shown(20))?;
        for plot in &mut plots {
            let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
            let tally = Tally::of(source, &["dev", "op"], |name| name == plot.name)?;
            let named = |dims: &[Dim]| format!("{host}{}", dims.iter().map(Dim::word).collect::<Vec<_>>().join(" "));
            plot.series.extend(tally.groups(&plot.name).map(|(dims, histogram)| (named(dims), histogram.clone())));
        }
    }
    devices.largest_first("count");
    processes.largest_first("device_sum_ns");
    requests.largest_first("dur_ns");
    let shown = plan.rows_shown(20);
    document.push(devices.top(shown));
    document.push(processes.top(shown));
    document.push(requests.top(plan.events_shown(20)));
    if plan.format != crate::report::plan::Format::Text {
        for plot in plots.into_iter().filter(|plot| !plot.series.is_empty()) {
            document.push(plot);
        }
    }
    Ok(document)
}

fn device_fields() -> Vec<Field> {
    vec![
        Field::new("dev", "device"),
        Field::new("op", "operation"),
        Field::new("count", "count").help("Requests that completed."),
        Field::new("bytes", "size").help("Bytes moved."),
        Field::new("device_p50_ns", "device p50").help("Median time in the device, from issue to completion."),
        Field::new("device_p99_ns", "device p99"),
        Field::new("device_max_ns", "device max"),
        Field::new("queue_p50_ns", "queue p50").help("Median time in the queue, from insertion to issue."),
        Field::new("queue_p99_ns", "queue p99"),
        Field::new("queue_max_ns", "queue max"),
        Field::new("sequential", "sequential").help("Requests that began where the last one on the device ended."),
        Field::new("errors", "errors").help("Requests that failed."),
        Field::new("device_sum_ns", "device sum"),
        Field::new("depth_mean", "depth mean")
            .help("Requests in the device when another was issued, on average; of all operations."),
        Field::new("depth_max", "depth max"),
    ]
}

fn by_device(source: &Source, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["dev", "op", "state"], |name| METRICS.contains(&name))?;
    let depth = Tally::of(source, &["dev"], |name| name == metrics::BLOCK_DEPTH)?;
    let errors = errors(source)?;
    let mut by: BTreeMap<[Dim; 2], [Histogram; 3]> = BTreeMap::new();
    let mut access: BTreeMap<[Dim; 2], [u64; 2]> = BTreeMap::new();
    for (at, metric) in METRICS.iter().enumerate() {
        for (dims, histogram) in tally.groups(metric) {
            let [dev, op, state] = dims else { continue };
            let key = [dev.clone(), op.clone()];
            if let Some(slot) = by.entry(key.clone()).or_default().get_mut(at) {
                slot.merge(histogram);
            } else {
                let [sequential, all] = access.entry(key).or_default();
                *all = all.saturating_add(count(histogram));
                if state.text() == Some("sequential") {
                    *sequential = sequential.saturating_add(count(histogram));
                }
            }
        }
    }
    let keys: BTreeSet<[Dim; 2]> = by.keys().chain(errors.keys()).cloned().collect();
    for key in keys {
        let [queue, device, size] = by.remove(&key).unwrap_or_default();
        let [sequential, all] = access.get(&key).copied().unwrap_or_default();
        let [dev, op] = &key;
        let depths = depth.groups(metrics::BLOCK_DEPTH).find(|(dims, _)| dims.first() == Some(dev)).map(|(_, h)| h);
        let time = |histogram: &Histogram, q: f64| percentile(histogram, Unit::Nanoseconds, q);
        let max = |histogram: &Histogram| histogram.max().map_or(Value::Null, |max| Value::Nanos(whole(max)));
        let requests = count(&device).max(count(&size));
        table.row(
            source,
            vec![
                dev.value(),
                op.value(),
                Value::Int(whole(requests)),
                Value::Bytes(whole(sum(&size))),
                time(&device, 0.5),
                time(&device, 0.99),
                max(&device),
                time(&queue, 0.5),
                time(&queue, 0.99),
                max(&queue),
                share(sequential as f64, all as f64),
                Value::Int(whole(errors.get(&key).copied().unwrap_or(0))),
                Value::Nanos(whole(sum(&device))),
                Value::of(Unit::Count, depths.and_then(Histogram::mean)),
                depths.and_then(Histogram::max).map_or(Value::Null, |max| Value::Int(whole(max))),
            ],
        );
    }
    Ok(())
}

/// Requests that failed, which are streamed one by one in every mode.
fn errors(source: &Source) -> Result<BTreeMap<[Dim; 2], u64>> {
    let mut errors: BTreeMap<[Dim; 2], u64> = BTreeMap::new();
    let mut limit = Limit::new();
    source.rows("block_io", &["ret"], &["dev", "op"], |row| {
        if row.int(0).is_some_and(|ret| ret < 0) {
            let key = [0, 1].map(|at| row.text(at).map_or(Dim::None, |text| Dim::Text(limit.name(text))));
            *errors.entry(key).or_default() += 1;
        }
    })?;
    limit.check(source, "devices")?;
    Ok(errors)
}

fn process_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("op", "operation"),
        Field::new("count", "count"),
        Field::new("bytes", "size"),
        Field::new("device_sum_ns", "device sum").help("Time of its requests in the device, added up."),
        Field::new("device_p50_ns", "device p50"),
        Field::new("device_p99_ns", "device p99"),
        Field::new("device_max_ns", "device max"),
        Field::new("queue_sum_ns", "queue sum").help("Time of its requests in the queue, added up."),
    ]
}

/// Requests of one process and operation: queue time, device time, size.
#[derive(Default)]
struct Requests {
    comm: Option<String>,
    metrics: [Histogram; 3],
}

fn by_process(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["pid", "op", "comm"], |name| METRICS.contains(&name))?;
    let mut by: BTreeMap<(Option<i64>, Dim), Requests> = BTreeMap::new();
    for (at, metric) in METRICS.iter().enumerate().take(3) {
        for (dims, histogram) in tally.groups(metric) {
            let [pid, op, comm] = dims else { continue };
            let requests = by.entry((pid.int(), op.clone())).or_default();
            if requests.comm.is_none() {
                requests.comm = comm.text().map(str::to_owned);
            }
            if let Some(slot) = requests.metrics.get_mut(at) {
                slot.merge(histogram);
            }
        }
    }
    for ((pid, op), Requests { comm: name, metrics: [queue, device, size] }) in by {
        let comm = pid.and_then(|pid| people.comm(pid)).map(str::to_owned).or(name);
        table.row(
            source,
            vec![
                Value::from(comm),
                Value::id(pid),
                op.value(),
                Value::Int(whole(count(&device).max(count(&size)))),
                Value::Bytes(whole(sum(&size))),
                Value::Nanos(whole(sum(&device))),
                percentile(&device, Unit::Nanoseconds, 0.5),
                percentile(&device, Unit::Nanoseconds, 0.99),
                device.max().map_or(Value::Null, |max| Value::Nanos(whole(max))),
                Value::Nanos(whole(sum(&queue))),
            ],
        );
    }
    Ok(())
}

fn request_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it completed."),
        Field::new("dur_ns", "took").help("Queue and device together."),
        Field::new("queue_ns", "queue"),
        Field::new("dev", "device"),
        Field::new("op", "operation"),
        Field::new("bytes", "size"),
        Field::new("comm", "command").help("Who submitted it."),
        Field::new("pid", "pid"),
        Field::new("error", "error").help("Error of a request that failed."),
        Field::new("flags", "flags"),
        Field::new("sector", "sector").help("First sector, of 512 bytes."),
    ]
}

fn slowest(source: &Source, people: &People, table: &mut Ranking, most: usize) -> Result<()> {
    let mut rows: Vec<(i64, Vec<Value>)> = Vec::new();
    let mut cut = 0;
    source.rows("block_io", &["block_queue_ns", "bytes", "ret", "sector"], &["dev", "op", "block_flags"], |row| {
        let dur = row.dur().unwrap_or(0);
        let comm = people.of_row(row);
        let cells = vec![
            row.at().map_or(Value::Null, Value::Time),
            Value::Nanos(dur),
            Value::nanos(row.int(0)),
            Value::from(row.text(0)),
            Value::from(row.text(1)),
            row.int(1).map_or(Value::Null, Value::Bytes),
            Value::from(comm),
            Value::id(row.pid()),
            row.int(2).filter(|ret| *ret < 0).map_or(Value::Null, |ret| Value::from(errno(ret))),
            Value::from(row.text(2)),
            Value::id(row.int(3)),
        ];
        rows.push((dur, cells));
        // Cut now and then, so that a recording of millions of requests needs no memory for them.
        if rows.len() >= most.saturating_mul(2).max(4096) {
            cut += keep_slowest(&mut rows, most);
        }
    })?;
    table.left_out(cut);
    for (_, cells) in rows {
        table.row(source, cells);
    }
    Ok(())
}

/// Returns how many it dropped.
fn keep_slowest(rows: &mut Vec<(i64, Vec<Value>)>, most: usize) -> u64 {
    rows.sort_by_key(|(dur, _)| Reverse(*dur));
    let before = rows.len();
    rows.truncate(most);
    (before - rows.len()) as u64
}
