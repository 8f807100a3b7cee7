//! What the machine did over time: CPUs, run queue, disks, network and memory.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::render::Lane;
use crate::render::Sparse;
use crate::report::over_time::intervals::Intervals;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::window;
use crate::units::Unit;

/// Lines of one lane: more can't be told apart.
const LINES: usize = 4;

/// A lane that is made of metrics.
struct Measured {
    title: &'static str,
    unit: Unit,
    per_second: bool,
    factor: f64,
    /// Each with the name of its line; without one, the operation of each row is the name.
    metrics: &'static [(&'static str, Option<&'static str>)],
    /// Whether values are counted, not summed.
    counts: bool,
}

/// A nanosecond of each second, as part of a second.
const AT_ONCE: f64 = 1e-9;

static MEASURED: &[Measured] = &[
    Measured {
        title: "Threads that waited for a CPU",
        unit: Unit::Count,
        per_second: false,
        factor: AT_ONCE,
        metrics: &[(metrics::RUN_QUEUE, Some("waiting"))],
        counts: false,
    },
    Measured {
        title: "Disk",
        unit: Unit::Bytes,
        per_second: true,
        factor: 1.0,
        metrics: &[(metrics::BLOCK_SIZE, None)],
        counts: false,
    },
    Measured {
        title: "Network (TCP payload)",
        unit: Unit::Bytes,
        per_second: true,
        factor: 1.0,
        metrics: &[(metrics::TCP_SENT, Some("sent")), (metrics::TCP_RECEIVED, Some("received"))],
        counts: false,
    },
    Measured {
        title: "Page faults",
        unit: Unit::Count,
        per_second: true,
        factor: 1.0,
        metrics: &[(metrics::FAULTS, Some("faults"))],
        counts: true,
    },
    Measured {
        title: "Threads that stalled for memory",
        unit: Unit::Count,
        per_second: false,
        factor: AT_ONCE,
        metrics: &[(metrics::RECLAIM, Some("freeing memory")), (metrics::COMPACTION, Some("moving memory"))],
        counts: false,
    },
];

/// The lanes of what was recorded; what never happened has none.
pub(super) fn lanes(source: &Source, intervals: &Intervals) -> Result<Vec<Lane>> {
    let mut lines: BTreeMap<(usize, String), Sparse> = BTreeMap::new();
    let mut on_cpu = Sparse::default();
    let mut rows = source.rows("metric");
    let (metric, op) = (rows.text("metric"), rows.text("op"));
    let (count, sum) = (rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        let (Some(name), Some(interval)) = (row.text(metric), intervals.at(row)) else { return };
        if name == metrics::ON_CPU {
            on_cpu.add(interval, row.natural(sum));
        }
        for (at, lane) in MEASURED.iter().enumerate() {
            let Some((_, line)) = lane.metrics.iter().find(|(own, _)| *own == name) else { continue };
            let line = line.or(row.text(op)).unwrap_or("other");
            let mut key = (at, line.to_owned());
            if !lines.contains_key(&key) && lines.range((at, String::new())..(at + 1, String::new())).count() >= LINES {
                key.1 = "other".to_owned();
            }
            lines.entry(key).or_default().add(interval, row.natural(if lane.counts { count } else { sum }));
        }
    })?;
    let mut lanes = vec![cpus(source, intervals, on_cpu)?];
    for (at, lane) in MEASURED.iter().enumerate() {
        let series = lines.range((at, String::new())..(at + 1, String::new()));
        let series: Vec<(String, Sparse)> = series.map(|((_, name), line)| (name.clone(), line.clone())).collect();
        let Measured { title, unit, per_second, factor, .. } = *lane;
        lanes.push(Lane { title, unit, per_second, factor, most: None, series });
    }
    lanes.retain(|lane| lane.series.iter().any(|(_, line)| !line.is_empty()));
    Ok(lanes)
}

/// Time in which CPUs were busy, in hundredths of all CPUs: by their own ledger, or by the threads that were recorded where that is not all.
fn cpus(source: &Source, intervals: &Intervals, on_cpu: Sparse) -> Result<Lane> {
    let mut busy = Sparse::default();
    if window::scope(source).is_none() {
        let mut rows = source.rows("cpu_ledger");
        let (state, sum) = (rows.text("state"), rows.int("sum"));
        rows.each(|row| {
            if let (Some("busy"), Some(interval)) = (row.text(state), intervals.at(row)) {
                busy.add(interval, row.natural(sum));
            }
        })?;
    }
    let line = if busy.is_empty() { on_cpu } else { busy };
    Ok(Lane {
        title: "CPU in use",
        unit: Unit::Percent,
        per_second: false,
        factor: 100.0 * AT_ONCE / f64::from(source.meta().host.cpus.max(1)),
        most: Some(100.0),
        series: vec![("busy".to_owned(), line)],
    })
}
