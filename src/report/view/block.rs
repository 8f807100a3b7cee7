//! View `block`: disk I/O by device and operation, by process, and the slowest requests.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::People;
use crate::report::table::cells::errno;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::heaviest::Heaviest;
use crate::report::table::heaviest::SERIES;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

const METRICS: [&str; 4] = [metrics::BLOCK_QUEUE, metrics::BLOCK_DEVICE, metrics::BLOCK_SIZE, metrics::BLOCK_ACCESS];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("block", "Disk I/O");
    note_absent_probe(&mut document, sources, "block");
    let shown = plan.rows_shown(20);
    let mut devices =
        Ranking::new(sources, "devices", "By device and operation", device_fields()).largest_first("count").top(shown);
    let mut processes =
        Ranking::new(sources, "processes", "By process", process_fields()).largest_first("device_sum_ns").top(shown);
    let mut requests = Ranking::new(sources, "requests", "Slowest requests", request_fields())
        .largest_first("dur_ns")
        .top(plan.events_shown(20));
    let mut plots = [(metrics::BLOCK_DEVICE, "Time in the device"), (metrics::BLOCK_QUEUE, "Time in the queue")]
        .map(|(name, title)| (name, title, Heaviest::new(SERIES)));
    for source in sources {
        let people = People::of(source)?;
        by_device(source, &mut devices)?;
        by_process(source, &people, &mut processes)?;
        slowest(source, &people, &mut requests)?;
        for (metric, _, series) in &mut plots {
            let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
            let tally = Tally::of(source, &["dev", "op"], |name| name == *metric)?;
            let named = |dims: &[Dim]| format!("{host}{}", dims.iter().map(Dim::word).collect::<Vec<_>>().join(" "));
            tally.groups(metric, |dims, histogram| series.add(named(dims), histogram))?;
        }
    }
    document.push(devices.table()?);
    document.push(processes.table()?);
    document.push(requests.table()?);
    if plan.format != crate::report::plan::Format::Text {
        for (name, title, series) in plots {
            let (unit, series) = (Unit::Nanoseconds, series.series());
            if !series.is_empty() {
                document.push(HistogramPlot { name: name.into(), title: title.into(), unit, series });
            }
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
        Field::new("sequential_pct", "sequential").help("Requests that began where the last one on the device ended."),
        Field::new("errors", "errors").help("Requests that failed."),
        Field::new("device_sum_ns", "device sum"),
        Field::new("depth_mean", "depth mean")
            .help("Requests in the device when another was issued, on average; of all operations."),
        Field::new("depth_max", "depth max"),
    ]
}

fn by_device(source: &Source, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["dev", "op", "state"], |name| METRICS.contains(&name))?;
    let mut depths: BTreeMap<Dim, Histogram> = BTreeMap::new();
    let mut limit = Limit::new();
    let depth = Tally::of(source, &["dev"], |name| name == metrics::BLOCK_DEPTH)?;
    depth.groups(metrics::BLOCK_DEPTH, |dims, histogram| {
        if let ([dev], true) = (dims, limit.take(4096)) {
            depths.insert(dev.clone(), histogram.clone());
        }
    })?;
    limit.check(source, "devices")?;
    let mut errors = errors(source)?;
    let add = |device: &mut Device, rest: &[Dim], by: &ByMetric<'_>| {
        for (slot, metric) in device.metrics.iter_mut().zip(METRICS) {
            by.get(metric).into_iter().for_each(|own| slot.merge(own));
        }
        let requests = by.get(metrics::BLOCK_ACCESS).map_or(0, count);
        device.accesses = device.accesses.saturating_add(requests);
        if rest.first().and_then(Dim::text) == Some("sequential") {
            device.sequential = device.sequential.saturating_add(requests);
        }
    };
    tally.sums(2, add, |dims, device| {
        let [dev, op] = dims else { return };
        let failed = errors.remove(&[dev.clone(), op.clone()]).unwrap_or(0);
        table.row(source, device.cells(dev, op, failed, depths.get(dev)));
    })?;
    for ([dev, op], failed) in errors {
        table.row(source, Device::default().cells(&dev, &op, failed, depths.get(&dev)));
    }
    Ok(())
}

/// Requests of one operation to one device: queue time, device time, size; and whether they began where the last ended.
#[derive(Default)]
struct Device {
    metrics: [Histogram; 3],
    accesses: u64,
    sequential: u64,
}

impl Device {
    fn cells(&self, dev: &Dim, op: &Dim, failed: u64, depths: Option<&Histogram>) -> Vec<Value> {
        let [queue, device, size] = &self.metrics;
        let time = |histogram: &Histogram, q: f64| percentile(histogram, Unit::Nanoseconds, q);
        let max = |histogram: &Histogram| histogram.max().map_or(Value::Null, |max| Value::Nanos(whole(max)));
        vec![
            dev.value(),
            op.value(),
            Value::Int(whole(count(device).max(count(size)))),
            Value::Bytes(whole(sum(size))),
            time(device, 0.5),
            time(device, 0.99),
            max(device),
            time(queue, 0.5),
            time(queue, 0.99),
            max(queue),
            share(self.sequential as f64, self.accesses as f64),
            Value::Int(whole(failed)),
            Value::Nanos(whole(sum(device))),
            Value::of(Unit::Count, depths.and_then(Histogram::mean)),
            depths.and_then(Histogram::max).map_or(Value::Null, |max| Value::Int(whole(max))),
        ]
    }
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
    /// Whether any of those is there.
    any: bool,
}

fn by_process(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["pid", "op", "comm"], |name| METRICS.contains(&name))?;
    let add = |requests: &mut Requests, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.first().and_then(Dim::text).map(str::to_owned);
        requests.comm = requests.comm.take().or_else(name);
        for (slot, metric) in requests.metrics.iter_mut().zip(METRICS) {
            if let Some(own) = by.get(metric) {
                requests.any = true;
                slot.merge(own);
            }
        }
    };
    tally.sums(2, add, |dims, requests| {
        let [pid, op] = dims else { return };
        if !requests.any {
            return;
        }
        let [queue, device, size] = requests.metrics;
        let comm = people.name(pid.process()).or(requests.comm.as_deref());
        table.row(
            source,
            vec![
                Value::from(comm),
                pid.value(),
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
    })
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

fn slowest(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("block_io", &["block_queue_ns", "bytes", "ret", "sector"], &["dev", "op", "block_flags"], |row| {
        table.weighed(source, Some(row.dur().unwrap_or(0)), || {
            vec![
                row.at().map_or(Value::Null, Value::Time),
                Value::Nanos(row.dur().unwrap_or(0)),
                Value::nanos(row.int(0)),
                Value::from(row.text(0)),
                Value::from(row.text(1)),
                row.int(1).map_or(Value::Null, Value::Bytes),
                Value::from(people.of_row(row)),
                Value::id(row.pid()),
                row.int(2).filter(|ret| *ret < 0).map_or(Value::Null, |ret| Value::from(errno(ret))),
                Value::from(row.text(2)),
                Value::id(row.int(3)),
            ]
        });
    })
}
