//! Whether a recording is whole, and what it lacks if it is not.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::LEFT_OUT;
use crate::recording::Meta;
use crate::recording::ProbeOutcome;
use crate::render::Document;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::table::cells::outcome_word;
use crate::units;

/// A budget that is exceeded in one of so many measurements took a moment to be held.
const MOST_OVER: u32 = 10;

/// Events that were lost, by probe and cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses(pub(crate) BTreeMap<(Rc<str>, Rc<str>), u64>);

impl Losses {
    /// Adds up the `lost` rows of a recording, of all processes, since a lost event has none.
    pub(crate) fn of(source: &Source) -> Result<Losses> {
        let mut losses = BTreeMap::new();
        let mut limit = Limit::new();
        let mut rows = source.rows_of_all_processes("lost");
        let (lost, name, cause) = (rows.int("count"), rows.text("name"), rows.text("cause"));
        rows.each(|row| {
            let key = (limit.name(row.text(name).unwrap_or("?")), limit.name(row.text(cause).unwrap_or("?")));
            let count: &mut u64 = losses.entry(key).or_default();
            *count = count.saturating_add(row.natural(lost));
        })?;
        limit.check(source, "causes of losses")?;
        losses.retain(|_, count| *count > 0);
        Ok(Losses(losses))
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().fold(0, |total, count| total.saturating_add(*count))
    }

    /// Those of one probe.
    pub(crate) fn of_probe(&self, probe: &str) -> u64 {
        self.0
            .iter()
            .filter(|((name, _), _)| **name == *probe)
            .fold(0, |total, (_, count)| total.saturating_add(*count))
    }
}

/// Says in a document how whole a recording is, the good news included.
pub(crate) fn note(document: &mut Document, source: &Source, whose: &str) -> Result<()> {
    if missing(source)?.is_empty() {
        document.note(format!("{whose}complete: no event lost"));
    }
    for problem in problems(source)? {
        document.warning(format!("{whose}{problem}"));
    }
    Ok(())
}

/// What every view says first: that events or the end of the recording are missing.
pub(crate) fn missing(source: &Source) -> Result<Vec<String>> {
    let losses = Losses::of(source)?;
    let mut missing = Vec::new();
    if losses.total() > 0 {
        missing.push(format!("incomplete: {}", of_events(source, &losses)));
    }
    missing.extend(source.meta().redaction.iter().filter(|line| line.starts_with(LEFT_OUT)).cloned());
    if source.recording().is_partial() {
        missing.push("unfinished: its writer was killed or is still running; the last rows may be missing".to_owned());
    }
    Ok(missing)
}

/// Everything that makes the recording less than whole, one sentence each.
fn problems(source: &Source) -> Result<Vec<String>> {
    let mut problems = missing(source)?;
    for probe in &source.meta().probes {
        if probe.state != ProbeOutcome::Ran {
            let reason = probe.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            problems.push(format!("the probe '{}' {}{reason}", probe.name, outcome_word(probe.state)));
        }
    }
    problems.extend(source.meta().thinned_rows());
    problems.extend(over_budget(source.meta()));
    problems.extend(unequal(source)?);
    let unnamed = source.meta().unnamed_stacks;
    if unnamed > 0 {
        let stacks = if unnamed == 1 { "stack has" } else { "stacks have" };
        problems.push(format!("{} {stacks} no names: no time was left to look them up", units::count(unnamed)));
    }
    problems.extend(skipped_checkpoints(source.meta().skipped_checkpoints));
    problems.extend(late_intervals(source)?);
    Ok(problems)
}

/// A budget of CPU time that did not hold for more than a moment.
fn over_budget(meta: &Meta) -> Option<String> {
    let budget = meta.budget.as_ref().filter(|budget| budget.over > budget.measured / MOST_OVER)?;
    let (over, all) = (units::count(budget.over.into()), units::count(budget.measured.into()));
    let [most, mean] = [budget.most_pct, budget.mean_pct].map(units::percent);
    Some(format!(
        "recording cost more than its budget of {most} of a CPU in {over} of {all} measurements, {mean} on average: thinning lowered it no further"
    ))
}

fn skipped_checkpoints(skipped: u64) -> Option<String> {
    let checkpoints = if skipped == 1 { "checkpoint was" } else { "checkpoints were" };
    (skipped > 0).then(|| {
        let skipped = units::count(skipped);
        format!("{skipped} {checkpoints} skipped while the disk was slow; a kill then would have lost more than the last second")
    })
}

/// Intervals that ended well after they were due: the kernel was slow to end the programs of the one before, or the machine was too busy.
///
/// The window's last interval may be half as long again, since it takes in a short rest.
fn late_intervals(source: &Source) -> Result<Option<String>> {
    let due = source.meta().window.interval_ns;
    let (mut all, mut late, mut longest) = (0, 0, 0);
    // Each interval has one row of ebrec's own CPU time.
    let mut rows = source.rows_of_all_processes("cost");
    let op = rows.text("op");
    rows.each(|row| {
        let Some(length) = row.dur().filter(|_| row.text(op) == Some("cpu")) else { return };
        all += 1;
        if length > due.saturating_add(due / 2) {
            late += 1;
            longest = longest.max(length);
        }
    })?;
    Ok((due > 0 && late > 0).then(|| {
        let [due, longest] = [due, longest].map(units::duration);
        let (late, all) = (units::count(late), units::count(all));
        format!("{late} of {all} intervals ended late, up to {longest} long instead of {due}: counts are complete, their times less exact")
    }))
}

/// `12 of 1,234 events lost (0.97%): sched 10 (ring full), block 2 (map full)`.
fn of_events(source: &Source, losses: &Losses) -> String {
    let lost = losses.total();
    let seen: u64 = source.meta().probes.iter().fold(0, |sum, probe| sum.saturating_add(probe.events));
    let causes: Vec<String> =
        losses.0.iter().map(|((probe, cause), count)| format!("{probe} {} ({cause})", units::count(*count))).collect();
    let causes = causes.join(", ");
    let all = seen.saturating_add(lost);
    if seen == 0 {
        return format!("{} events lost: {causes}", units::count(lost));
    }
    let share = units::percent(100.0 * lost as f64 / all as f64);
    format!("{} of {} events lost ({share}): {causes}", units::count(lost), units::count(all))
}

/// Histograms whose buckets and totals disagree, which no interval that was read whole ever shows.
fn unequal(source: &Source) -> Result<Vec<String>> {
    let metrics = &source.meta().metrics;
    let is_own = |name: &str| metrics.iter().any(|metric| metric.name == name && is_histogram(metric));
    let tally = Tally::of(source, &[], is_own)?;
    let mut sentences = Vec::new();
    for metric in source.meta().metrics.iter().filter(|metric| is_histogram(metric)) {
        let histogram = tally.total(&metric.name)?;
        let Some(totals) = histogram.totals() else { continue };
        if totals.count != histogram.count() {
            let (counted, all) = (units::count(histogram.count()), units::count(totals.count));
            sentences.push(format!("the histogram '{}' holds {counted} of {all} values", metric.name));
        }
    }
    Ok(sentences)
}
