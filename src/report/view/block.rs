//! View `block`: disk I/O by device and operation, by process, and the slowest requests.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
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
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::bytes;
use crate::report::table::cells::errno;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
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
        Ranking::new(sources, "devices", "By device and operation", device_columns()).largest_first("count").top(shown);
    let mut of_processes =
        Ranking::new(sources, "processes", "By process", process_columns()).largest_first("device_sum_ns").top(shown);
    let mut requests = Ranking::new(sources, "requests", "Slowest requests", request_columns())
        .largest_first("dur_ns")
        .top(plan.events_shown(20));
    let mut plots = [(metrics::BLOCK_DEVICE, "Time in the device"), (metrics::BLOCK_QUEUE, "Time in the queue")]
        .map(|(name, title)| (name, title, Heaviest::new(SERIES)));
    for source in sources {
        let processes = ProcessTable::of(source)?;
        by_device(source, &mut devices)?;
        by_process(source, &processes, &mut of_processes)?;
        slowest(source, &processes, &mut requests)?;
        for (metric, _, series) in &mut plots {
            let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
            let tally = Tally::of(source, &["dev", "op"], |name| name == *metric)?;
            let named = |dims: &[Dim]| format!("{host}{}", dims.iter().map(Dim::word).collect::<Vec<_>>().join(" "));
            tally.groups(metric, |dims, histogram| series.add(named(dims), histogram))?;
        }
    }
    document.push(devices.table()?);
    document.push(of_processes.table()?);
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

fn device_columns() -> Columns<Device> {
    Columns::<Device>::new()
        .column("dev", "device", |row| row.dev.value())
        .column("op", "operation", |row| row.op.value())
        .column("count", "count", |row| row.io.count())
        .help("Requests that completed.")
        .column("bytes", "size", |row| bytes(sum(&row.io.size)))
        .help("Bytes moved.")
        .column("device_p50_ns", "device p50", |row| estimate(&row.io.device, 0.5))
        .help("Median time in the device, from issue to completion.")
        .column("device_p99_ns", "device p99", |row| estimate(&row.io.device, 0.99))
        .column("device_max_ns", "device max", |row| row.io.device.max().map(nanos))
        .column("queue_p50_ns", "queue p50", |row| estimate(&row.io.queue, 0.5))
        .help("Median time in the queue, from insertion to issue.")
        .column("queue_p99_ns", "queue p99", |row| estimate(&row.io.queue, 0.99))
        .column("queue_max_ns", "queue max", |row| row.io.queue.max().map(nanos))
        .column("sequential_pct", "sequential", |row| share(row.sequential as f64, row.accesses as f64))
        .help("Share of requests that began where the previous one on the device ended.")
        .column("errors", "errors", |row| row.failed)
        .help("Requests that failed.")
        .column("device_sum_ns", "device sum", |row| nanos(sum(&row.io.device)))
        .column("depth_mean", "depth mean", |row| Value::of(Unit::Count, row.depths.as_ref().and_then(Histogram::mean)))
        .help("Mean number of requests in the device when another was issued, over all operations.")
        .column("depth_max", "depth max", |row| row.depths.as_ref().and_then(Histogram::max))
}

fn by_device(source: &Source, table: &mut Ranking<Device>) -> Result<()> {
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
        device.io.add(by);
        let requests = by.get(metrics::BLOCK_ACCESS).map_or(0, count);
        device.accesses = device.accesses.saturating_add(requests);
        if rest.first().and_then(Dim::text) == Some("sequential") {
            device.sequential = device.sequential.saturating_add(requests);
        }
    };
    tally.sums(2, add, |dims, device| {
        let [dev, op] = dims else { return };
        let failed = errors.remove(&[dev.clone(), op.clone()]).unwrap_or(0);
        let depths = depths.get(dev).cloned();
        table.row(source, &Device { dev: dev.clone(), op: op.clone(), failed, depths, ..device });
    })?;
    for ([dev, op], failed) in errors {
        let depths = depths.get(&dev).cloned();
        table.row(source, &Device { dev, op, failed, depths, ..Device::default() });
    }
    Ok(())
}

/// Times and sizes of requests.
#[derive(Default)]
struct Io {
    queue: Histogram,
    device: Histogram,
    size: Histogram,
    /// Whether any of those is there.
    any: bool,
}

impl Io {
    fn add(&mut self, by: &ByMetric<'_>) {
        let Io { queue, device, size, any } = self;
        for (sum, metric) in
            [(queue, metrics::BLOCK_QUEUE), (device, metrics::BLOCK_DEVICE), (size, metrics::BLOCK_SIZE)]
        {
            if let Some(own) = by.get(metric) {
                *any = true;
                sum.merge(own);
            }
        }
    }

    fn count(&self) -> u64 {
        count(&self.device).max(count(&self.size))
    }
}

fn estimate(times: &Histogram, q: f64) -> Value {
    percentile(times, Unit::Nanoseconds, q)
}

/// Requests of one operation to one device, and whether they began where the last ended.
#[derive(Default)]
struct Device {
    dev: Dim,
    op: Dim,
    io: Io,
    accesses: u64,
    sequential: u64,
    failed: u64,
    depths: Option<Histogram>,
}

/// Requests that failed, which are streamed one by one in every mode.
fn errors(source: &Source) -> Result<BTreeMap<[Dim; 2], u64>> {
    let mut errors: BTreeMap<[Dim; 2], u64> = BTreeMap::new();
    let mut limit = Limit::new();
    let mut rows = source.rows("block_io");
    let (ret, device) = (rows.int("ret"), [rows.text("dev"), rows.text("op")]);
    rows.each(|row| {
        if row.int(ret).is_some_and(|ret| ret < 0) {
            let key = device.map(|part| row.text(part).map_or(Dim::None, |text| Dim::Text(limit.name(text))));
            *errors.entry(key).or_default() += 1;
        }
    })?;
    limit.check(source, "devices")?;
    Ok(errors)
}

/// Requests of one process and operation.
#[derive(Default)]
struct Process {
    owner: Owner,
    op: Dim,
    io: Io,
}

fn process_columns() -> Columns<Process> {
    Columns::<Process>::new()
        .comm(|row| &row.owner)
        .pid(|row| &row.owner)
        .column("op", "operation", |row| row.op.value())
        .column("count", "count", |row| row.io.count())
        .column("bytes", "size", |row| bytes(sum(&row.io.size)))
        .column("device_sum_ns", "device sum", |row| nanos(sum(&row.io.device)))
        .help("Time of its requests in the device, added up.")
        .column("device_p50_ns", "device p50", |row| estimate(&row.io.device, 0.5))
        .column("device_p99_ns", "device p99", |row| estimate(&row.io.device, 0.99))
        .column("device_max_ns", "device max", |row| row.io.device.max().map(nanos))
        .column("queue_sum_ns", "queue sum", |row| nanos(sum(&row.io.queue)))
        .help("Time of its requests in the queue, added up.")
}

fn by_process(source: &Source, processes: &ProcessTable, table: &mut Ranking<Process>) -> Result<()> {
    let tally = Tally::of(source, &["pid", "op", "comm"], |name| METRICS.contains(&name))?;
    let add = |process: &mut Process, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.first().and_then(Dim::text).map(str::to_owned);
        process.owner.comm = process.owner.comm.take().or_else(name);
        process.io.add(by);
    };
    tally.sums(2, add, |dims, process| {
        let [pid, op] = dims else { return };
        if process.io.any {
            let owner = processes.or_owner(pid, process.owner.comm);
            table.row(source, &Process { owner, op: op.clone(), io: process.io });
        }
    })
}

/// One request.
struct Request {
    at: Option<i64>,
    dur_ns: i64,
    queue_ns: Option<i64>,
    dev: Option<String>,
    op: Option<String>,
    bytes: Option<i64>,
    owner: Owner,
    ret: Option<i64>,
    flags: Option<String>,
    sector: Option<i64>,
}

fn request_columns() -> Columns<Request> {
    Columns::<Request>::new()
        .column("time_ns", "end", |row| time(row.at))
        .help("When it completed.")
        .column("dur_ns", "took", |row| Value::Nanos(row.dur_ns))
        .help("Queue and device together.")
        .column("queue_ns", "queue", |row| Value::nanos(row.queue_ns))
        .column("dev", "device", |row| row.dev.clone())
        .column("op", "operation", |row| row.op.clone())
        .column("bytes", "size", |row| row.bytes.map(Value::Bytes))
        .comm(|row| &row.owner)
        .help("Who submitted it.")
        .pid(|row| &row.owner)
        .column("error", "error", |row| row.ret.filter(|ret| *ret < 0).map(errno))
        .help("Error of a request that failed.")
        .column("flags", "flags", |row| row.flags.clone())
        .column("sector", "sector", |row| Value::id(row.sector))
        .help("First sector, in units of 512 bytes.")
}

fn slowest(source: &Source, processes: &ProcessTable, table: &mut Ranking<Request>) -> Result<()> {
    let mut rows = source.rows("block_io");
    let (queue_ns, bytes, ret) = (rows.int("block_queue_ns"), rows.int("bytes"), rows.int("ret"));
    let (sector, flags) = (rows.int("sector"), rows.text("block_flags"));
    let (dev, op) = (rows.text("dev"), rows.text("op"));
    table.longest(source, rows, |row| Request {
        at: row.at(),
        dur_ns: row.dur().unwrap_or(0),
        queue_ns: row.int(queue_ns),
        dev: row.text(dev).map(str::to_owned),
        op: row.text(op).map(str::to_owned),
        bytes: row.int(bytes),
        owner: processes.owner_of(row),
        ret: row.int(ret),
        flags: row.text(flags).map(str::to_owned),
        sector: row.int(sector),
    })
}
