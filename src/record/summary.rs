//! What is said when a recording is done: the file, the losses, the cost, and what to type next.

use crate::record::own_cpu::OwnCpu;
use crate::record::plan::RecordPlan;
use crate::record::state::State;
use crate::recording::Finished;
use crate::recording::Meta;
use crate::recording::ProbeOutcome;
use crate::text;
use crate::text::sanitize;
use crate::units;

/// The lines for standard error, broken between words where a terminal has fewer columns; without the next command where the
/// recording is not a file.
pub(super) fn text(finished: &Finished, is_file: bool, meta: &Meta, state: &State, plan: &RecordPlan) -> String {
    let path = finished.path.display().to_string();
    let events: u64 = state.probes.iter().map(|probe| probe.events).sum();
    let lost: u64 = state.probes.iter().map(|probe| probe.lost).sum::<u64>() + state.shared_lost + finished.left_out;
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
    if plan.max_size.is_some() {
        lines.push(format!("disk: at most {} while recording", units::bytes(finished.most_disk_bytes)));
    }
    let cost = state.probes.iter().fold(state.shared_cost_ns, |sum, probe| sum.saturating_add(probe.cost_ns));
    let programs = share(cost, meta.window.actual_ns)
        .map(|share| format!("about {} of a CPU in BPF programs; ", units::percent(share)));
    lines.push(format!("cost: {}{}", programs.unwrap_or_default(), own_cpu(&state.own_cpu)));
    if let Some(last) = &meta.last {
        let (span, ran) = (units::duration(last.span_ns), units::duration(last.ran_ns));
        let disk = units::bytes(last.disk_bytes);
        lines.push(format!("kept: the newest {span} of {ran}, with at most {disk} on the disk meanwhile"));
    }
    let filters = ["pids", "comms", "cgroups", "containers", "users"];
    let filtered =
        filters.iter().any(|key| meta.config.get(*key).and_then(|list| list.as_array()).is_some_and(|l| !l.is_empty()));
    if events == 0 && lost == 0 && filtered {
        lines.push("no event passed the filters".to_owned());
    }
    lines.extend(meta.budget.as_ref().map(|budget| format!("budget: {budget}")));
    if let Some(thinned) = finished.thinned_rows() {
        lines.push(format!("thinned: {thinned}"));
    }
    for probe in meta.probes.iter().filter(|probe| probe.state != ProbeOutcome::Ran) {
        let reason = probe.reason.as_deref().unwrap_or("for an unknown reason");
        let became = match probe.state {
            ProbeOutcome::Thinned => "thinned",
            ProbeOutcome::Detached => "detached early",
            _ => "left out",
        };
        lines.push(format!("{became}: {} ({})", probe.name, sanitize(reason)));
    }
    if is_file {
        let at_once = if plan.report { "" } else { "; 'record --report' prints the findings at once" };
        lines.push(format!("next: ebrec report {}{at_once}", shell_word(&path)));
    }
    lines.iter().map(|line| broken(line, plan.columns)).collect::<Vec<_>>().join("\n")
}

/// What is said of a recording of the newest span that was made on a signal.
pub(super) fn copied(made: &Result<Finished, String>) -> String {
    match made {
        Ok(finished) => {
            let path = finished.path.display().to_string();
            format!("{}: {}, {} rows", sanitize(&path), units::bytes(finished.bytes), units::count(finished.rows))
        }
        Err(problem) => {
            format!("warning: the recording that SIGUSR1 asked for could not be written: {}", sanitize(problem))
        }
    }
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
