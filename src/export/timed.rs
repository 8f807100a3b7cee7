//! CPU samples one by one, each at a time.
//!
//! A recording adds up the samples of a thread with one stack in an interval, so their number is exact and their times are known to
//! the interval: they are spread evenly over it. A recording in raw mode has the time of each.

use anyhow::Context;
use anyhow::Result;

use crate::export::ExportPlan;
use crate::export::Profile;
use crate::export::samples::OwnStack;
use crate::export::samples::Sample;
use crate::export::samples::Samples;
use crate::failure::Failure;
use crate::report::read::input::Source;
use crate::report::read::window;
use crate::spill::Sorted;
use crate::spill::Sorter;

/// What samples may take in memory while they are sorted.
const SORTED_BYTES: usize = 16 << 20;
/// Samples that are listed: 99 a second on 64 busy CPUs for two hours. A file may claim any number.
const MOST: u64 = 50_000_000;

/// A sample that was taken once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    /// When, in nanoseconds since the window's start.
    pub(super) at: i64,
    /// Whose stack.
    pub(super) stack: OwnStack,
    /// The CPU, where it is known.
    pub(super) cpu: Option<i32>,
    /// What it stands for, in nanoseconds.
    pub(super) ns: u64,
}

/// Samples in the order of their times.
pub(super) struct InOrder(Sorted<Sample>);

/// Reads a profile sample by sample; sleeps and waits stay added up by interval, since they have a duration.
///
/// # Errors
/// As [`Samples::read`]; the recording claims more samples than can be listed.
pub(super) fn read(source: &Source, plan: &ExportPlan) -> Result<(Samples, InOrder)> {
    let mut sorter = Sorter::new(SORTED_BYTES);
    let mut listed = 0u64;
    let samples = Samples::read(source, plan, |sample| {
        let parts = if plan.profile == Profile::Cpu { sample.count.max(1) } else { 1 };
        listed = listed.saturating_add(parts);
        if listed > MOST {
            return;
        }
        for part in 0..parts {
            // Both ends are exact, so that the parts add up.
            let end = |part: u64| (u128::from(sample.ns) * u128::from(part) / u128::from(parts)) as u64;
            let into = i128::from(sample.dur) * i128::from(2 * part + 1) / i128::from(2 * parts);
            let at = if sample.dur == 0 { sample.at } else { sample.at.saturating_sub(sample.dur) + into as i64 };
            let one = Sample { at, dur: 0, ns: end(part + 1) - end(part), count: 1, ..sample };
            sorter.push(one, size_of::<Sample>());
        }
    })?;
    if listed > MOST {
        let path = source.recording().path().display();
        let failure = Failure::run(format!("'{path}' holds more samples than can be listed one by one"));
        return Err(failure.hint("export a shorter part of it with --from and --until, or --to pprof").into());
    }
    let sorted = sorter.finish().context("can't put samples into a temporary file")?;
    Ok((samples, InOrder(sorted)))
}

impl InOrder {
    /// Visits each sample.
    pub(super) fn each(&self, mut visit: impl FnMut(&Timed) -> Result<()>) -> Result<()> {
        const UNREADABLE: &str = "can't read samples back from a temporary file";
        for sample in self.0.iter().context(UNREADABLE)? {
            let Sample { at, stack, cpu, ns, .. } = sample.context(UNREADABLE)?;
            visit(&Timed { at, stack, cpu, ns })?;
        }
        Ok(())
    }
}

/// What has to be said of the times, where they are not each sample's own.
pub(super) fn note(source: &Source) -> Option<String> {
    let raw = source.meta().probes.iter().any(|probe| probe.name == "cpu" && probe.mode == "raw");
    let interval = window::interval(source);
    (!raw).then(|| {
        format!("times of samples: known to the interval ({interval}) and spread evenly over it; record with -p cpu:raw for exact times")
    })
}
