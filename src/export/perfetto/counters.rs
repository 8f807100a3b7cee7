//! Counters: of every metric its rate and percentiles by interval, and of threads the share of time in each state.

use anyhow::Result;

use crate::export::perfetto::COUNTER;
use crate::export::perfetto::Packets;
use crate::export::perfetto::proto::TrackEvent;
use crate::export::perfetto::tracks;
use crate::export::perfetto::tracks::Thread;
use crate::export::perfetto::tracks::Tracks;
use crate::report::read::input::Source;
use crate::report::read::ledger::State;
use crate::report::read::processes::ProcessTable;
use crate::report::read::series::Series;

/// Writes the metrics.
pub(super) fn metrics(source: &Source, packets: &mut Packets<'_>) -> Result<()> {
    let series = Series::of(source, |_| true)?;
    for metric in source.meta().metrics.iter().filter(|metric| series.has(&metric.name)) {
        let histogram = metric.kind == "histogram";
        // A counter with a unit sums amounts, and its rate is of them.
        let amount = !histogram && metric.unit != "count";
        let unit = if amount { format!("{}/s", metric.unit) } else { "1/s".to_owned() };
        let rate = tracks::named(&metric.name, Some(&unit), packets)?;
        let p99 = histogram.then(|| tracks::named(&format!("{} p99", metric.name), Some(&metric.unit), packets));
        let p99 = p99.transpose()?;
        let mut end = source.begin_ns();
        for interval in series.intervals(&metric.name) {
            let sum = interval.values.totals().map_or_else(|| interval.values.sum(), |totals| totals.sum as f64);
            let count = interval.values.totals().map_or_else(|| interval.values.count(), |totals| totals.count);
            let value = if amount { sum } else { count as f64 };
            packets.event(interval.begin_ns, counted(rate, value / interval.seconds()))?;
            if let (Some(track), Some(p99)) = (p99, interval.values.percentile(0.99)) {
                packets.event(interval.begin_ns, counted(track, p99))?;
            }
            end = interval.begin_ns.saturating_add(interval.dur_ns);
        }
        packets.event(end, counted(rate, 0.0))?;
    }
    Ok(())
}

/// Writes the ledger of threads: in each interval the share of the thread's time in each state, in hundredths.
pub(super) fn ledger(
    source: &Source,
    processes: &ProcessTable,
    tracks: &mut Tracks,
    packets: &mut Packets<'_>,
) -> Result<()> {
    let mut failed = None;
    let mut rows = source.rows("ledger");
    let (tid, sum) = (rows.int("tid"), rows.int("sum"));
    let (state, cause) = (rows.text("state"), rows.text("cause"));
    rows.each(|row| {
        let (Some(end), Some(dur), Some(tid)) = (row.at(), row.dur().filter(|dur| *dur > 0), row.int(tid)) else {
            return;
        };
        let name = row.text(state).unwrap_or("unknown");
        let state = State::new(name.into(), row.text(cause).unwrap_or_default().into());
        let who = Thread { pid: row.pid(), tid: Some(tid), process: processes.of_row(row), comm: row.comm() };
        let share = 100.0 * row.natural(sum) as f64 / dur as f64;
        let mut write = || -> Result<()> {
            let thread = tracks.thread(&who, packets)?;
            let track = tracks.child(thread, &state.words(), 0, Some("%"), packets)?;
            packets.event(end.saturating_sub(dur), counted(track, share))?;
            // The next interval may have nothing of it.
            packets.event(end, counted(track, 0.0))
        };
        if failed.is_none() {
            failed = write().err();
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn counted(track: u64, value: f64) -> TrackEvent {
    TrackEvent {
        r#type: Some(COUNTER),
        track_uuid: Some(track),
        double_counter_value: Some(value),
        ..TrackEvent::default()
    }
}
