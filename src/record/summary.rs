//! What is said when a recording is done: the file, the losses, the cost, and what to type next.

use crate::record::state::State;
use crate::recording::Finished;
use crate::recording::Meta;
use crate::recording::ProbeOutcome;
use crate::text::sanitize;
use crate::units;

/// The lines for standard error.
pub(super) fn text(finished: &Finished, meta: &Meta, state: &State) -> String {
    let path = finished.path.display().to_string();
    let events: u64 = state.probes.iter().map(|probe| probe.events).sum();
    let lost: u64 = state.probes.iter().map(|probe| probe.lost).sum::<u64>() + state.shared_lost;
    let window = units::duration(meta.window.actual_ns);
    let losses = if lost == 0 { "nothing lost".to_owned() } else { format!("{} LOST", units::count(lost)) };
    let mut lines = vec![format!(
        "{}: {}, {} rows, {} events in {window} (ended by {}), {losses}",
        sanitize(&path),
        units::bytes(finished.bytes),
        units::count(finished.rows),
        units::count(events),
        meta.window.ended,
    )];
    let cost: u64 = state.probes.iter().map(|probe| probe.cost_ns).sum();
    let cpus = i64::from(meta.host.cpus.max(1));
    if let Some(share) = share(cost, meta.window.actual_ns.saturating_mul(cpus)) {
        lines.push(format!("cost: about {} of the machine's CPU time in probes", units::percent(share)));
    }
    for probe in meta.probes.iter().filter(|probe| probe.state != ProbeOutcome::Ran) {
        let reason = probe.reason.as_deref().unwrap_or("for an unknown reason");
        lines.push(format!("left out: {} ({})", probe.name, sanitize(reason)));
    }
    lines.push(format!("next: ebrec report {}", shell_word(&path)));
    lines.join("\n")
}

fn share(part: u64, whole: i64) -> Option<f64> {
    (part > 0 && whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// A path as a shell takes it.
fn shell_word(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./,+:@%".contains(&byte) || byte >= 0x80;
    if path.bytes().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn the_next_command_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("run-2.parquet"), "run-2.parquet");
        assert_eq!(shell_word("my run.parquet"), "'my run.parquet'");
    }
}
