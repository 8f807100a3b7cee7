//! What the programs of an object could not keep, by cause and CPU.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::Map;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::ProgramMut;

use super::shared::types;
use super::stats;

/// A cause, the CPU where it is known, and how often.
pub type Lost = (String, Option<u32>, u64);

/// What was told of an object's losses so far: the kernel counts from the object's load on.
#[derive(Debug, Default)]
pub(super) struct Losses {
    told: HashMap<(String, Option<u32>), u64>,
}

impl Losses {
    /// What is new among the totals.
    pub(super) fn fresh(&mut self, totals: Vec<Lost>) -> Vec<Lost> {
        let mut fresh = Vec::new();
        for (cause, cpu, total) in totals {
            let before = self.told.entry((cause.clone(), cpu)).or_default();
            if total > *before {
                fresh.push((cause, cpu, total - *before));
                *before = total;
            }
        }
        fresh
    }
}

/// The object's own counts, out of its map `losses`.
///
/// # Errors
/// When the kernel refuses to read them.
pub(super) fn counted(map: &Map<'_>) -> Result<Vec<Lost>> {
    let by_cpu = map.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    let mut totals = Vec::new();
    for (cpu, counts) in (0..).zip(&by_cpu) {
        let (counts, _) = counts.as_chunks();
        for (cause, count) in (0..types::loss_cause::LOSS_CAUSES.0).zip(counts) {
            let count = u64::from_ne_bytes(*count);
            if count > 0 {
                totals.push((cause_name(cause), Some(cpu), count));
            }
        }
    }
    Ok(totals)
}

/// The runs that the kernel left out because the program was at work on the same CPU, by program; `copies` is the map
/// `first_copies` of an object that attaches a program twice.
///
/// # Errors
/// When the kernel refuses to tell.
pub(super) fn interrupted<'a>(
    programs: impl Iterator<Item = ProgramMut<'a>>,
    copies: Option<&Map<'_>>,
) -> Result<Vec<Lost>> {
    let mut missed = BTreeMap::new();
    for program in programs {
        missed.insert(program.name().to_string_lossy().into_owned(), stats::runs(program.as_fd())?.missed);
    }
    // After the runs: what the second copy takes meanwhile must not appear as lost.
    let stood_in = copies.map_or(Ok(0), stood_in)?;
    let name = |(program, missed)| (format!("{program} interrupted itself"), None, missed);
    Ok(by_both_copies(missed, stood_in).into_iter().map(name).collect())
}

/// The events that second copies took for first ones (bpf/tcp/twice.h).
fn stood_in(copies: &Map<'_>) -> Result<u64> {
    let by_cpu = copies.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    let first = |value: &Vec<u8>| value.first_chunk().map(|count| u64::from_ne_bytes(*count));
    Ok(by_cpu.iter().filter_map(first).sum())
}

/// Takes copies of a program together: an event is lost if the kernel left out the first copy and the second did not
/// take it. Runs of the second that are left out cost nothing, as it works in place of the first only.
fn by_both_copies(mut missed: BTreeMap<String, u64>, stood_in: u64) -> BTreeMap<String, u64> {
    let copies: Vec<String> = missed.keys().filter(|name| name.ends_with(COPY)).cloned().collect();
    for copy in copies {
        if let Some(first) = missed.get_mut(copy.trim_end_matches(COPY)) {
            *first = first.saturating_sub(stood_in);
            missed.remove(&copy);
        }
    }
    missed
}

/// What the name of a program's second copy ends with.
const COPY: &str = "_again";

/// The causes of bpf/shared/loss.h, in words.
fn cause_name(cause: u32) -> String {
    let name = match types::loss_cause(cause) {
        types::loss_cause::LOSS_RING_FULL => "ring full",
        types::loss_cause::LOSS_NO_RING => "cpu without ring",
        types::loss_cause::LOSS_HISTOGRAM_FULL => "histogram full",
        types::loss_cause::LOSS_STATE_FULL => "state full",
        types::loss_cause::LOSS_UNREADABLE => "text unreadable",
        types::loss_cause::LOSS_START_UNSEEN => "start not seen",
        types::loss_cause::LOSS_STACK_NOT_KEPT => "stack not kept",
        types::loss_cause::LOSS_END_UNSEEN => "end not seen",
        types::loss_cause::LOSS_NAME_NOT_KEPT => "name not kept",
        types::loss_cause::LOSS_MEMORY_UNREADABLE => "memory unreadable",
        _ => "unknown",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::Losses;
    use super::by_both_copies;

    #[test]
    fn an_event_is_lost_if_the_second_copy_of_a_program_did_not_take_it_for_the_first() {
        let missed = |of: &[(&str, u64)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let left_out = missed(&[("state", 7), ("state_again", 3), ("other", 2), ("alone_again", 3)]);
        let both = by_both_copies(left_out, 5);
        assert_eq!(both, missed(&[("state", 2), ("other", 2), ("alone_again", 3)]));
        // The first interrupted nothing of its own: what the second missed was done.
        assert_eq!(by_both_copies(missed(&[("state", 0), ("state_again", 2)]), 0), missed(&[("state", 0)]));
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut losses = Losses::default();
        let total = |count| vec![("ring full".to_owned(), Some(1), count)];
        assert_eq!(losses.fresh(total(3)), total(3));
        assert_eq!(losses.fresh(total(3)), []);
        assert_eq!(losses.fresh(total(8)), total(5));
    }
}
