//! The metrics of all probes, as the recording describes them.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::diff::item::Nature;
use crate::diff::item::Sums;
use crate::diff::observe::Gathered;
use crate::diff::observe::process;
use crate::diff::quantity::Labels;
use crate::diff::quantity::Name;
use crate::recording::MetricMeta;
use crate::report::read::aggregate::AggregateKind;
use crate::report::read::aggregate::Numbers;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::TextColumn;
use crate::units::Unit;

/// Metrics whose sums are nobody's time: how long things existed, what sleeps by design are part of, and what the ledger has.
const NOT_SPENT: [&str; 8] = [
    metrics::OFF_CPU,
    metrics::ON_CPU,
    metrics::SLICE,
    metrics::RUN_QUEUE,
    metrics::TCP_LIFETIME,
    metrics::TCP_RTT,
    metrics::LIFETIME,
    metrics::SHORT_LIVED,
];
/// Metrics that functions say more about.
const SAMPLES: [&str; 2] = [metrics::CPU_SAMPLES, metrics::CPU_IDLE];

/// The value of a column of classes for calls that wait by design.
const WAITS: &str = "wait";

pub(super) fn gather(source: &Source, processes: &ProcessTable, gathered: &mut Gathered<'_>) -> Result<()> {
    let metrics: BTreeMap<&str, &MetricMeta> = source
        .meta()
        .metrics
        .iter()
        .filter(|metric| !SAMPLES.contains(&metric.name.as_str()))
        .map(|metric| (metric.name.as_str(), metric))
        .collect();
    let mut columns: Vec<&str> = metrics.values().flat_map(|metric| &metric.by).map(String::as_str).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.retain(|column| *column != "comm" && survives(column));
    for kind in [AggregateKind::Buckets, AggregateKind::Totals] {
        let mut rows = source.rows(kind.name());
        let (metric, numbers) = (rows.text("metric"), kind.numbers(&mut rows));
        let places: BTreeMap<&str, (IntColumn, TextColumn)> =
            columns.iter().map(|column| (*column, (rows.int(column), rows.text(column)))).collect();
        rows.each(|row| {
            let Some(metric) = row.text(metric).and_then(|name| metrics.get(name)) else { return };
            let name = Name {
                metric: gathered.limit.name(&metric.name),
                labels: labels(metric, &places, row, processes, gathered),
            };
            let nature = nature(metric, &name);
            let at = gathered.stretches.place(row);
            gathered.change(name, nature, |item| match numbers {
                Numbers::Bucket { lo, hi, count } if is_histogram(metric) => {
                    usize::from(item.add_bucket(at, (row.natural(lo), row.natural(hi)), row.natural(count)))
                }
                Numbers::Bucket { .. } => 0,
                Numbers::Totals { count, sum, min, max } => {
                    item.add(at, row.natural(count), row.natural(sum));
                    if row.natural(count) > 0 {
                        item.add_extremes(row.natural(min), row.natural(max));
                    }
                    0
                }
            });
        })?;
    }
    Ok(())
}

/// Whether a column holds names and not what another run has other values of: ids, ports, addresses, paths of temporary files.
fn survives(column: &str) -> bool {
    const PASSING: [&str; 9] = ["pid", "ppid", "tid", "cpu", "daddr", "dport", "saddr", "sport", "filename"];
    !PASSING.contains(&column) && !column.ends_with("_pid") && !column.ends_with("_address")
}

fn labels(
    metric: &MetricMeta,
    places: &BTreeMap<&str, (IntColumn, TextColumn)>,
    row: &Row<'_>,
    processes: &ProcessTable,
    gathered: &mut Gathered<'_>,
) -> Labels {
    let limit = &mut gathered.limit;
    let label = |column: &String| {
        let name = limit.name(column);
        if column == "comm" {
            return Some((name, process(processes, row, limit)));
        }
        let (int, text) = places.get(column.as_str())?;
        let value = match (row.text(*text), row.int(*int)) {
            (Some(text), _) => limit.name(text),
            (None, Some(number)) => limit.name(&number.to_string()),
            (None, None) => return None,
        };
        Some((name, value))
    };
    metric.by.iter().filter_map(label).collect()
}

fn nature(metric: &MetricMeta, name: &Name) -> Nature {
    let unit = Unit::parse(&metric.unit).unwrap_or(Unit::Count);
    let waits = name.labels.iter().any(|(column, value)| column.ends_with("_class") && **value == *WAITS);
    let sums = match unit {
        Unit::Nanoseconds if !waits && !NOT_SPENT.contains(&metric.name.as_str()) => Sums::Time,
        Unit::Bytes => Sums::Bytes,
        _ => Sums::Nothing,
    };
    // The count of a counter of time says how often it was added to.
    let is_counted = is_histogram(metric) || unit != Unit::Nanoseconds;
    Nature { unit, sums, is_counted, is_sampled: false }
}

#[cfg(test)]
mod tests {
    use super::survives;

    #[test]
    fn ids_and_addresses_are_no_names() {
        assert!(["dev", "op", "http_route", "syscall_errno", "signals_outcome"].iter().all(|column| survives(column)));
        assert!(!["pid", "sport", "signals_sender_pid", "locks_address"].iter().any(|column| survives(column)));
    }
}
