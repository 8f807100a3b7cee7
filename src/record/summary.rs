//! What is said when a recording is done: the file, the losses, the cost, and what to type next.

use crate::record::own_cpu::OwnCpu;
use crate::record::state::State;
use crate::recording::Finished;
use crate::recording::Meta;
use crate::recording::ProbeOutcome;
use crate::text;
use crate::text::sanitize;
use crate::units;

/// The lines for standard error, broken between words where a terminal has fewer `columns`; without the next command where the
/// recording is no file.
pub(super) fn text(finished: &Finished, is_file: bool, meta: &Meta, state: &State, columns: Option<usize>) -> String {
    let path = finished.path.display().to_string();
    let events: u64 = state.probes.iter().map(|probe| probe.events).sum();
    let lost: u64 = state.probes.iter().map(|probe| probe.lost).sum::<u64>() + state.shared_lost;
    let window = units::duration(meta.window.actual_ns);
    let losses = if lost == 0 { "nothing lost".to_owned() } else { format!("{} LOST", units::count(lost)) };
    // That a window ended when it should needs no words.
    let ended = match meta.window.ended.as_str() {
        "duration" => String::new(),
        why => format!(", ended by {why}"),
    };
    let mut lines = vec![format!(
        "{}: {}, {} rows, {} events in {window}{ended}, {losses}",
        sanitize(&path),
        units::bytes(finished.bytes),
        units::count(finished.rows),
        units::count(events),
    )];
    let cost = state.probes.iter().fold(state.shared_cost_ns, |sum, probe| sum.saturating_add(probe.cost_ns));
    let programs = share(cost, meta.window.actual_ns)
        .map(|share| format!("about {} of a CPU in BPF programs; ", units::percent(share)));
    lines.push(format!("cost: {}{}", programs.unwrap_or_default(), own_cpu(&state.own_cpu)));
    let filters = ["pids", "comms", "cgroups", "containers", "users"];
    let filtered =
        filters.iter().any(|key| meta.config.get(*key).and_then(|list| list.as_array()).is_some_and(|l| !l.is_empty()));
    if events == 0 && lost == 0 && filtered {
        lines.push("nothing happened that the filters let through".to_owned());
    }
    for probe in meta.probes.iter().filter(|probe| probe.state != ProbeOutcome::Ran) {
        let reason = probe.reason.as_deref().unwrap_or("for an unknown reason");
        lines.push(format!("left out: {} ({})", probe.name, sanitize(reason)));
    }
    if is_file {
        lines.push(format!("next: ebrec report {}", shell_word(&path)));
    }
    lines.iter().map(|line| broken(line, columns)).collect::<Vec<_>>().join("\n")
}

/// A line with those that continue it, which are indented.
fn broken(line: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) if text::width(line) > columns => text::wrap(line, columns.saturating_sub(2)).join("\n  "),
        _ => line.to_owned(),
    }
}

/// `ebrec's own CPU time: 120 ms to start, 35.0 ms in the window, 80.0 ms to finish`.
fn own_cpu(own: &OwnCpu) -> String {
    let [start, window, finish] =
        [own.start_ns, own.window_ns, own.finish_ns()].map(|ns| units::duration(i64::try_from(ns).unwrap_or(i64::MAX)));
    format!("ebrec's own CPU time: {start} to start, {window} in the window, {finish} to finish")
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
    use super::broken;
    use super::shell_word;

    #[test]
    fn a_line_breaks_between_words_where_the_terminal_ends() {
        let line =
            "cost: about 1.5% of a CPU in BPF programs; ebrec's own CPU time: 426 ms to start, 14.8 ms in the window";
        let lines = broken(line, Some(80));
        let expected = "cost: about 1.5% of a CPU in BPF programs; ebrec's own CPU time: 426 ms to\n  start, 14.8 ms in the window";
        assert_eq!(lines, expected);
        assert!(lines.lines().all(|line| line.len() <= 80));
        assert_eq!(broken(line, None), line);
    }

    #[test]
    fn the_next_command_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("run-2.parquet"), "run-2.parquet");
        assert_eq!(shell_word("my run.parquet"), "'my run.parquet'");
    }
}
