//! What the recording says of itself: events lost, what it cost, and how long a recorded command took.

use anyhow::Result;

use crate::diff::item::Nature;
use crate::diff::item::Sums;
use crate::diff::observe::Gathered;
use crate::report::read::cost::Cost;
use crate::report::read::health::Losses;
use crate::report::read::input::Source;
use crate::units::Unit;

/// Events lost, by probe and cause.
pub(in crate::diff) const LOST: &str = "lost";
/// Time in ebrec's BPF programs.
pub(in crate::diff) const COST_PROGRAMS: &str = "cost.bpf";
/// CPU time of ebrec itself.
pub(in crate::diff) const COST_OWN: &str = "cost.ebrec";
/// From the start of the recorded command to its end.
pub(in crate::diff) const COMMAND: &str = "command";

pub(super) fn gather(source: &Source, gathered: &mut Gathered<'_>) -> Result<()> {
    let counted = Nature { unit: Unit::Count, sums: Sums::Nothing, is_counted: true, is_sampled: false };
    for ((probe, cause), count) in Losses::of(source)?.0 {
        let name = gathered.name(LOST, [("probe", &probe), ("cause", &cause)]);
        gathered.add(name, counted, 0, count, 0);
    }
    let cost = Cost::of(source)?;
    let spent = Nature { unit: Unit::Nanoseconds, sums: Sums::Time, is_counted: false, is_sampled: false };
    let shares = [(COST_PROGRAMS, cost.programs_share()), (COST_OWN, cost.own_cpu.and_then(|own| own.share()))];
    let seconds = gathered.stretches.seconds.clone();
    for (metric, share) in shares {
        let Some(share) = share else { continue };
        let name = gathered.name(metric, []);
        // Programs are measured for a part of the window: each stretch gets its share of the estimate.
        for (at, seconds) in seconds.iter().enumerate() {
            gathered.add(name.clone(), spent, at, 0, (share * seconds * 1e9) as u64);
        }
    }
    // A part of the window is as long as it was asked to be.
    if source.meta().window.ended.starts_with("command") && !source.filters_times() {
        let length = Nature { unit: Unit::Nanoseconds, sums: Sums::Length, is_counted: false, is_sampled: false };
        let name = gathered.name(COMMAND, []);
        gathered.add(name, length, 0, 1, u64::try_from(source.span_ns()).unwrap_or(0));
    }
    Ok(())
}
