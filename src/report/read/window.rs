//! The window of a recording in words.

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::Value;

use crate::report::read::input::Source;
use crate::report::read::span::Span;
use crate::units;
use crate::units::Unit;

/// When a moment since the Unix epoch was, in UTC to the second: `2026-11-22 17:33:09 UTC`.
pub(crate) fn moment(real_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(real_ns))
        .ok()
        .and_then(|at| strtime::format("%Y-%m-%d %H:%M:%S UTC", at).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Start, length, what was asked for, and why it ended.
pub(crate) fn describe(source: &Source) -> String {
    let window = &source.meta().window;
    let mut text = format!("{} from {}", units::duration(window.actual_ns), moment(window.start_real_ns));
    if let Some(asked) = window.asked_ns.filter(|asked| *asked > 0)
        && window.actual_ns < asked - asked / 100
    {
        text.push_str(&format!(", {} asked for", units::duration(asked)));
    }
    if let Some(last) = source.meta().last.as_ref().filter(|last| last.ran_ns > window.actual_ns) {
        text.push_str(&format!(", the newest part of {}", units::duration(last.ran_ns)));
    }
    // That a window ended when it should needs no words.
    if !matches!(window.ended.as_str(), "" | "duration") {
        text.push_str(&format!("; ended by {}", window.ended));
    }
    text
}

/// The length of the intervals of totals: `200 ms`, or `62.5 ms, growing to 250 ms`.
pub(crate) fn interval(source: &Source) -> String {
    let window = &source.meta().window;
    let last = units::duration(window.interval_ns);
    match window.first_interval_ns {
        Some(first) => format!("{}, growing to {last}", units::duration(first)),
        None => last,
    }
}

/// When the trigger fired, in nanoseconds since the window's start.
pub(crate) fn fired_ns(source: &Source) -> Option<i64> {
    let fired = source.meta().trigger.as_ref()?.fired.as_ref()?;
    Some(fired.mono_ns.saturating_sub(source.meta().window.start_mono_ns))
}

/// The trigger that was to end the window: when it fired and on what, or that it did not.
pub(crate) fn trigger(source: &Source) -> Option<String> {
    let (trigger, window) = (source.meta().trigger.as_ref()?, &source.meta().window);
    let expression = &trigger.expression;
    let Some(fired) = &trigger.fired else { return Some(format!("{expression} did not fire")) };
    let at = units::duration(fired.mono_ns.saturating_sub(window.start_mono_ns));
    let value = fired.value.map(|value| match trigger.unit.as_deref().and_then(Unit::parse) {
        Some(Unit::Nanoseconds) => format!(": {}", units::duration(value)),
        Some(Unit::Bytes) => format!(": {}", units::bytes(value.unsigned_abs())),
        Some(Unit::Percent) => format!(": {value}%"),
        _ => format!(": {value}"),
    });
    let process = match (&fired.process, fired.pid) {
        (Some(process), Some(pid)) => format!(", {process} (pid {pid})"),
        (None, Some(pid)) => format!(", pid {pid}"),
        _ => String::new(),
    };
    Some(format!("{expression} fired at {at}{}{process}", value.unwrap_or_default()))
}

/// What the recording was confined to, when it was: `processes named make, and their children`.
pub(crate) fn scope(source: &Source) -> Option<String> {
    let config = &source.meta().config;
    let list = |key: &str| -> Vec<String> {
        let values = config.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
    };
    let yes = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
    let mut parts = Vec::new();
    for (key, what) in [
        ("pids", "processes"),
        ("comms", "processes named"),
        ("cgroups", "processes in the cgroup"),
        ("containers", "processes of the container"),
        ("users", "processes of the user"),
    ] {
        let values = list(key);
        if !values.is_empty() {
            parts.push(format!("{what} {}", values.join(", ")));
        }
    }
    let children = if yes("follow") { ", and their children" } else { "" };
    if !parts.is_empty() {
        return Some(format!("{}{children}", parts.join("; ")));
    }
    let confined = !list("command").is_empty() && !yes("system_wide");
    confined.then(|| "the command after '--' and its descendants".to_owned())
}

/// The part of the window that the filters leave, when it is not all of it: `2.00 s to 5.00 s`; where totals cover another part, both.
pub(crate) fn part(source: &Source) -> Option<String> {
    let words = |span: Span| format!("{} to {}", units::duration(span.begin_ns), units::duration(span.end_ns));
    let (asked, shown) = (source.asked(), Span { begin_ns: source.begin_ns(), end_ns: source.end_ns() });
    let all = asked == Span { begin_ns: 0, end_ns: source.meta().window.actual_ns.max(0) };
    // Nobody sees a difference of less than a hundredth.
    let close = |one: i64, other: i64| one.abs_diff(other) <= shown.length_ns().unsigned_abs() / 100;
    match close(asked.begin_ns, shown.begin_ns) && close(asked.end_ns, shown.end_ns) {
        _ if all => None,
        true => Some(words(asked)),
        false => Some(format!("{}; totals cover whole intervals: {}", words(asked), words(shown))),
    }
}

/// Host, kernel and size of the recorded machine in one line.
pub(crate) fn machine(source: &Source) -> String {
    let host = &source.meta().host;
    let cpus = if host.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", host.cpus) };
    let mut parts = vec![source.label().to_owned(), format!("Linux {} {}", host.kernel, host.arch), cpus];
    parts.push(format!("{} of memory", units::bytes(host.memory_bytes)));
    if !host.distro.is_empty() {
        parts.push(host.distro.clone());
    }
    parts.extend(host.virt.clone());
    parts.join(", ")
}
