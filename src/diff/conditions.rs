//! What the recordings were made under: where the two sides differ in it, their numbers can't be compared without care.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::diff::sides::Which;
use crate::recording::ProbeOutcome;
use crate::report::read::health::Losses;
use crate::report::read::input::Source;
use crate::report::read::window;
use crate::units;

/// Values that are listed of one side.
const SHOWN: usize = 3;
/// Part of the events whose loss matters.
const LOST: f64 = 0.001;
/// By how much windows may differ in length.
const LENGTH: f64 = 0.1;

/// The conditions of both sides by what they are about, in the order in which they are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    facts: BTreeMap<(Rank, String), [BTreeSet<String>; 2]>,
    lengths: [Vec<f64>; 2],
    commands: [BTreeSet<String>; 2],
    recordings: [usize; 2],
}

/// What is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Machine,
    Window,
    Probe,
    Health,
}

impl Conditions {
    /// Adds a recording of a side.
    pub(super) fn add(&mut self, which: Which, source: &Source) -> Result<()> {
        let meta = source.meta();
        let mut fact = |rank, what: &str, value: String| {
            self.facts.entry((rank, what.to_owned())).or_default()[which as usize].insert(value);
        };
        let host = &meta.host;
        fact(Rank::Machine, "machine", host.hostname.clone());
        fact(Rank::Machine, "kernel", format!("Linux {} {}", host.kernel, host.arch));
        fact(Rank::Machine, "number of CPUs", host.cpus.to_string());
        fact(Rank::Machine, "memory", units::bytes(host.memory_bytes));
        fact(Rank::Machine, "distribution", host.distro.clone());
        fact(Rank::Machine, "virtualization", host.virt.clone().unwrap_or_else(|| "none".to_owned()));
        // One that adapts differs with the length of the window, which is compared by itself.
        let adapts = meta.config.get("interval_ns").is_some_and(|asked| asked.is_null());
        let interval = if adapts { "adapted to the window".to_owned() } else { window::interval(source) };
        fact(Rank::Window, "interval", interval);
        fact(Rank::Window, "filter", window::scope(source).unwrap_or_else(|| "none".to_owned()));
        fact(Rank::Window, "version of ebrec", meta.version.clone());
        for probe in &meta.probes {
            let settings: Vec<String> = probe.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let ran = format!("{} {}", probe.mode, settings.join(" "));
            let state = match (probe.state, &probe.reason) {
                (ProbeOutcome::Ran, _) => ran.trim_end().to_owned(),
                (state, None) => format!("{} ({})", ran.trim_end(), word(state)),
                (state, Some(reason)) => format!("{} ({}: {reason})", ran.trim_end(), word(state)),
            };
            fact(Rank::Probe, &format!("probe '{}'", probe.name), state);
        }
        let lost = Losses::of(source)?.total();
        let seen: u64 = meta.probes.iter().fold(0, |sum, probe| sum.saturating_add(probe.events));
        let share = lost as f64 / (lost.saturating_add(seen) as f64).max(1.0);
        let losses =
            if share > LOST { format!("{} of the events", units::percent(100.0 * share)) } else { "none".to_owned() };
        fact(Rank::Health, "losses", losses);
        let whole = if source.recording().is_partial() { "unfinished" } else { "whole" };
        fact(Rank::Health, "state of the recording", whole.to_owned());
        self.lengths[which as usize].push(source.span_ns() as f64);
        let command = meta
            .config
            .get("command")
            .and_then(|command| command.as_array())
            .map(|words| words.iter().filter_map(|word| word.as_str()).collect::<Vec<&str>>().join(" "));
        self.commands[which as usize].extend(command.filter(|command| !command.is_empty()));
        self.recordings[which as usize] += 1;
        Ok(())
    }

    /// What differs between the sides, a sentence each.
    pub(super) fn differences(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for ((rank, what), [before, after]) in &self.facts {
            // A probe that some recordings of a side lack is a difference as well.
            if before != after || (*rank != Rank::Health && before.len() > 1) {
                all.push(format!("{what}: {} before, {} after", listed(before), listed(after)));
            }
        }
        let mean = |lengths: &[f64]| lengths.iter().sum::<f64>() / (lengths.len() as f64).max(1.0);
        let [before, after] = [mean(&self.lengths[0]), mean(&self.lengths[1])];
        if (before - after).abs() > LENGTH * before.max(after) {
            let words = [before, after].map(|length| units::duration(length as i64));
            all.push(format!("length of the window: {} before, {} after", words[0], words[1]));
        }
        all
    }

    /// Commands that differ, which may be what is compared.
    pub(super) fn commands(&self) -> Option<String> {
        let [before, after] = &self.commands;
        (before != after).then(|| format!("recorded command: {} before, {} after", listed(before), listed(after)))
    }
}

fn word(state: ProbeOutcome) -> &'static str {
    match state {
        ProbeOutcome::Ran => "ran",
        ProbeOutcome::Skipped => "skipped",
        ProbeOutcome::Failed => "failed",
        ProbeOutcome::Thinned => "thinned",
        ProbeOutcome::Detached => "detached",
        ProbeOutcome::Unknown => "unknown",
    }
}

fn listed(values: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = values.iter().take(SHOWN).map(String::as_str).collect();
    match values.len() {
        0 => "none".to_owned(),
        number if number > SHOWN => format!("{} and {} more", shown.join(", "), number - SHOWN),
        _ => shown.join(", "),
    }
}
