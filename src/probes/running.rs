//! A probe at work: its object in the kernel, its decoder, and the rows of its metrics.

use std::collections::HashMap;

use anyhow::Result;

use super::Decoder;
use super::KeyPart;
use super::signed;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::memory::MapMemory;
use crate::bpf::stats::Runs;
use crate::hist;
use crate::hist::Histogram;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::attached::Attached;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Loss;
use crate::probe::attached::ProgramCost;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::recording::ColumnId;
use crate::recording::Row;
use crate::recording::column;

/// An attached probe: its object in the kernel and its decoder.
pub(super) struct Running<D> {
    info: &'static ProbeInfo,
    live: Live,
    decoder: D,
    /// Events by kind of row, as the aggregates count them.
    aggregated: HashMap<&'static str, u64>,
}

impl<D: Decoder> Running<D> {
    /// A probe that has just been attached.
    ///
    /// # Errors
    /// When the decoder can't attach what needs more than a name.
    pub(super) fn new(info: &'static ProbeInfo, mut live: Live, mut decoder: D) -> Result<Running<D>> {
        decoder.attached(&mut live)?;
        Ok(Running { info, live, decoder, aggregated: HashMap::new() })
    }
}

impl<D: Decoder> Attached for Running<D> {
    fn begin(&mut self) -> Result<()> {
        self.decoder.begin(&self.live)
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        self.decoder.decode(record, context)
    }

    fn ending_interval(&mut self) -> Result<()> {
        self.decoder.ending_interval(&self.live)
    }

    fn end_interval(&mut self, end_ns: u64) -> Result<()> {
        self.decoder.end_interval(&self.live, end_ns)
    }

    fn snapshot(&mut self, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        self.decoder.write(interval, context);
        self.decoder.collect(&self.live)?;
        let mut gathered = self.live.gathered()?;
        hold(&mut gathered, context.names);
        gathered.dedup_by(takes_in);
        let mut derived = self.decoder.derive(gathered);
        hold(&mut derived, context.names);
        for one in derived {
            if let Some(kind) = stands_for(self.info, one.metric) {
                *self.aggregated.entry(kind).or_default() += one.count;
            }
            write_metric(self.info, &mut self.decoder, &one, interval, context);
        }
        self.decoder.snapshot(&self.live, interval, context)
    }

    fn ended(&mut self) -> Result<()> {
        self.decoder.ended(&mut self.live)
    }

    fn unfinished(&self) -> Result<Option<u64>> {
        // First those that have ended meanwhile: what ends between the two looks is missed, and not counted twice.
        let ended = self.live.unfinished()?;
        Ok(self.decoder.under_way(&self.live)?.map(|under_way| ended.saturating_add(under_way)))
    }

    fn forget(&mut self) {
        self.decoder.forget();
    }

    fn attaches_more(&self) -> bool {
        self.decoder.attaches_more()
    }

    fn detach(&mut self) {
        self.live.detach();
    }

    fn losses(&mut self, with_missed_runs: bool) -> Result<Vec<Loss>> {
        let losses = self.live.losses(with_missed_runs)?;
        Ok(losses.into_iter().map(|(cause, cpu, count)| Loss { cause, cpu, count }).collect())
    }

    fn costs(&self) -> Result<Vec<ProgramCost>> {
        let cost = |(name, runs): (String, Runs)| ProgramCost {
            id: runs.id,
            name,
            runs: runs.count,
            ns: runs.ns,
            verified_instructions: runs.verified_instructions,
        };
        Ok(self.live.costs()?.into_iter().map(cost).collect())
    }

    fn hooks(&self) -> Vec<String> {
        self.live.hooks()
    }

    fn lacking(&self) -> Vec<String> {
        self.live.lacking().to_vec()
    }

    fn left_out(&self) -> Vec<String> {
        self.live.left_out().to_vec()
    }

    fn map_memory(&self) -> MapMemory {
        self.live.map_memory()
    }

    fn aggregated(&self) -> &HashMap<&'static str, u64> {
        &self.aggregated
    }
}

/// Says when the process of each had its id, where the id is another's by now.
fn hold(gathered: &mut [Gathered], names: NamesThen<'_>) {
    for one in gathered.iter_mut().filter(|one| one.at_ns.is_none()) {
        one.at_ns = names.last_of(one.pid, one.holder);
    }
}

/// Takes the next into one of the same process: other ids count with its id.
fn takes_in(next: &mut Gathered, one: &mut Gathered) -> bool {
    let key = |of: &Gathered| (of.metric, of.pid, of.sub, of.at_ns);
    let same = key(next) == key(one);
    if same {
        one.merge(next);
    }
    same
}

/// Says whose row it is where the id may be another's at the time of the row. All rows of a kind have it or none:
/// [`Rows::derive`](crate::recording::Rows::derive) looks only at those behind the last that has a name.
pub(super) fn put_holder(row: &mut Row<'_>, pid: u32, holder: u16, names: NamesThen<'_>) {
    put_names(row, pid, names.held(pid, holder));
}

fn put_names(row: &mut Row<'_>, pid: u32, names: NamesThen<'_>) {
    if let (Some(name), Some(start_ns)) = (names.get(pid), names.start_ns(pid)) {
        row.text(column::PROCESS, name).int(column::PID_START_NS, signed(start_ns));
    }
}

/// The kind of row that a metric counts, if it is the first metric that counts it.
fn stands_for(info: &ProbeInfo, metric: u16) -> Option<&'static str> {
    let kind = info.metric(metric)?.events?;
    let first = info.metrics.iter().find(|other| other.events == Some(kind))?;
    (first.number == metric).then_some(kind)
}

/// One key of one metric in one interval: a `metric` row, and for a histogram a `hist` row for each bucket.
fn write_metric<D: Decoder>(
    info: &ProbeInfo,
    decoder: &mut D,
    one: &Gathered,
    interval: Interval,
    context: &mut Context<'_>,
) {
    let Some(metric) = info.metric(one.metric) else { return };
    if one.count == 0 && one.sum == 0 {
        return;
    }
    let names = one.at_ns.map_or(context.names, |ns| context.names.at(ns));
    let parts = decoder.key(metric.name, one, names);
    let key = key_text(&parts);
    let mut row = context.rows.row("metric");
    put_dimensions(&mut row, interval, metric.name, metric.unit.name(), &key, &parts);
    put_process(&mut row, &parts, names);
    row.int(column::COUNT, signed(one.count)).int(column::SUM, signed(one.sum));
    if metric.kind == MetricKind::Histogram {
        row.int(column::MIN, signed(one.min)).int(column::MAX, signed(one.max));
        let values = histogram(one);
        for (column, q) in PERCENTILES {
            row.maybe_int(column, values.percentile(q).map(|value| value as i64));
        }
    }
    for bucket in &one.buckets {
        let (low, high) = hist::bounds(bucket.index);
        let mut row = context.rows.row("hist");
        put_dimensions(&mut row, interval, metric.name, metric.unit.name(), &key, &parts);
        put_process(&mut row, &parts, names);
        row.int(column::BUCKET_LO, signed(low)).int(column::BUCKET_HI, signed(high));
        row.int(column::COUNT, signed(bucket.count));
    }
}

/// The percentiles that a row of a histogram's totals has.
const PERCENTILES: [(ColumnId, f64); 2] = [(column::P50, 0.5), (column::P99, 0.99)];

fn histogram(one: &Gathered) -> Histogram {
    let mut histogram = Histogram::new();
    for bucket in &one.buckets {
        let (low, high) = hist::bounds(bucket.index);
        histogram.add_bucket(low, high, bucket.count);
    }
    histogram.add_totals(one.count, one.sum, one.min, one.max);
    histogram
}

fn put_dimensions(row: &mut Row<'_>, interval: Interval, metric: &str, unit: &str, key: &str, parts: &[KeyPart]) {
    row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
    row.text(column::METRIC, metric).text(column::UNIT, unit);
    if !key.is_empty() {
        row.text(column::KEY, key);
    }
    for part in parts {
        part.put(row);
    }
}

/// Which process it is whose id is among the parts: not all of them had it at the time of the row.
fn put_process(row: &mut Row<'_>, parts: &[KeyPart], names: NamesThen<'_>) {
    let pid = parts.iter().find_map(|part| match part {
        KeyPart::Int(column::PID, pid) => u32::try_from(*pid).ok(),
        _ => None,
    });
    if let Some(pid) = pid {
        put_names(row, pid, names);
    }
}

/// The `key` column: the parts' values, joined by a space.
fn key_text(parts: &[KeyPart]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            KeyPart::Int(_, value) => value.to_string(),
            KeyPart::Text(_, value) => value.clone(),
        })
        .filter(|text| !text.is_empty())
        .collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::KeyPart;
    use super::column;
    use super::key_text;

    #[test]
    fn a_key_is_its_parts_joined_and_leaves_out_what_is_not_known() {
        let parts = [KeyPart::Int(column::PID, 7), KeyPart::Text(column::COMM, String::new())];
        assert_eq!(key_text(&parts), "7");
        let parts = [KeyPart::Text(column::DEV, "vda".into()), KeyPart::Text(column::OP, "read".into())];
        assert_eq!(key_text(&parts), "vda read");
    }
}
