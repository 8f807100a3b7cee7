//! What the programs of an object could not keep, by cause and CPU.

use std::collections::HashMap;
use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::Map;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::ProgramMut;

use super::scope::types;
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
    let mut totals = Vec::new();
    for cause in 0..types::loss_cause::LOSS_CAUSES.0 {
        let by_cpu = map.lookup_percpu(&cause.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        for (cpu, count) in by_cpu.iter().enumerate() {
            let count = count.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            totals.push((cause_name(cause), u32::try_from(cpu).ok(), count));
        }
    }
    Ok(totals)
}

/// The runs that the kernel left out because the program was at work on the same CPU.
///
/// # Errors
/// When the kernel refuses to tell.
pub(super) fn interrupted(program: &ProgramMut<'_>) -> Result<Lost> {
    let missed = stats::runs(program.as_fd())?.missed;
    Ok((format!("{} interrupted itself", program.name().to_string_lossy()), None, missed))
}

/// The causes of bpf/include/loss.h, in words.
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

    #[test]
    fn a_loss_is_told_once() {
        let mut losses = Losses::default();
        let total = |count| vec![("ring full".to_owned(), Some(1), count)];
        assert_eq!(losses.fresh(total(3)), total(3));
        assert_eq!(losses.fresh(total(3)), []);
        assert_eq!(losses.fresh(total(8)), total(5));
    }
}
