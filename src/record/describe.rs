//! What a recording says of itself, from what was asked, found and attached.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::host::Host;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Settings;
use crate::probe::Switch;
use crate::probe::Thins;
use crate::probe::event;
use crate::probe::event::CustomEvent;
use crate::record::budget::Step;
use crate::record::budget::Thinning;
use crate::record::pace;
use crate::record::plan::Filters;
use crate::record::plan::RecordPlan;
use crate::record::plan::User;
use crate::record::state::Figures;
use crate::record::state::State;
use crate::record::trigger::Fired;
use crate::record::trigger::Trigger;
use crate::recording::BudgetMeta;
use crate::recording::CORE_KINDS;
use crate::recording::CaptureMeta;
use crate::recording::ClockAnchor;
use crate::recording::CoreKind;
use crate::recording::EventMeta;
use crate::recording::FORMAT;
use crate::recording::FiredMeta;
use crate::recording::Holds;
use crate::recording::HostMeta;
use crate::recording::KindMeta;
use crate::recording::LastMeta;
use crate::recording::Meta;
use crate::recording::MetricMeta;
use crate::recording::ProbeOutcome;
use crate::recording::ProbeState;
use crate::recording::ThinnedMeta;
use crate::recording::TriggerMeta;
use crate::recording::Window;
use crate::symbols::tables::UNWINDS;
use crate::units;

/// A probe that was chosen, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// What it says of itself.
    pub(super) name: &'static str,
    /// The settings that only it has.
    pub(super) switches: &'static [Switch],
    /// How it was to run.
    pub(super) settings: Settings,
    /// The hooks in use, or why it does not run.
    pub(super) outcome: Result<Hooks, String>,
}

/// The hooks of a probe that runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Hooks {
    /// Those in use.
    pub(super) used: Vec<String>,
    /// Those that it does without, because the kernel does not have them.
    pub(super) lacking: Vec<String>,
    /// Places that it does without, each with the reason.
    pub(super) left_out: Vec<String>,
}

/// All that is known when the window begins.
#[derive(Debug, Clone)]
pub(super) struct Description {
    /// Everything but what `State` has.
    pub(super) base: Meta,
}

impl Description {
    /// Adds the trigger.
    pub(super) fn with_trigger(mut self, trigger: Option<&Trigger>) -> Description {
        self.base.trigger = trigger.map(trigger_meta);
        self
    }
}

impl Description {
    /// Describes a recording that is about to begin.
    pub(super) fn new(
        plan: &RecordPlan,
        command_line: Vec<String>,
        host: &Host,
        registry: &[&'static ProbeInfo],
        attempts: &[Attempt],
        events: &[CustomEvent],
        start: &ClockAnchor,
    ) -> Description {
        let nanoseconds = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        // Every footer repeats it, so only what can be in the file.
        let asked = registry.iter().copied().filter(|info| attempts.iter().any(|attempt| attempt.name == info.name));
        let asked: Vec<&ProbeInfo> = asked.collect();
        let base = Meta {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("EBREC_GIT").to_owned(),
            command: command_line,
            config: config(plan),
            budget: plan
                .max_overhead_ppm
                .map(|ppm| BudgetMeta { most_pct: percent(f64::from(ppm) / 1e6), ..BudgetMeta::default() }),
            last: plan.last.map(|span| LastMeta { span_ns: nanoseconds(span), ..LastMeta::default() }),
            window: Window {
                asked_ns: plan.last.or(plan.window).map(nanoseconds),
                start_real_ns: start.real_ns,
                start_mono_ns: start.mono_ns,
                interval_ns: nanoseconds(pace::first(plan)),
                ..Window::default()
            },
            host: HostMeta {
                hostname: host.hostname.clone(),
                kernel: host.kernel.release.clone(),
                arch: host.arch.clone(),
                cpus: u32::try_from(host.cpus.online.len()).unwrap_or(u32::MAX),
                memory_bytes: host.memory_bytes,
                distro: host.distro.clone().unwrap_or_default(),
                virt: host.virtualisation.describe(),
            },
            clock: vec![*start],
            probes: attempts.iter().map(probe_state).collect(),
            metrics: asked
                .iter()
                .flat_map(|info| info.metrics.iter().map(|metric| metric_meta(info, metric)))
                .collect(),
            kinds: kinds(&asked),
            events: events.iter().map(event_meta).collect(),
            ..Meta::default()
        };
        Description { base }
    }

    /// The metadata at a moment, or at the end.
    pub(super) fn meta(&self, state: &State, ended: &str) -> Meta {
        let mut meta = self.base.clone();
        if let Some(mark) = &state.since {
            let start = i64::try_from(mark.end_ns).unwrap_or(i64::MAX);
            meta.window.start_real_ns += start.saturating_sub(meta.window.start_mono_ns);
            meta.window.start_mono_ns = start;
        }
        let state = &state.of_part();
        let now = i64::try_from(state.now_ns).unwrap_or(i64::MAX);
        if let Some(last) = &mut meta.last {
            last.ran_ns = now.saturating_sub(self.base.window.start_mono_ns);
            last.disk_bytes = state.disk_bytes;
        }
        meta.window.actual_ns = now.saturating_sub(meta.window.start_mono_ns);
        meta.window.ended = ended.to_owned();
        let interval_ns = i64::try_from(state.interval_ns).unwrap_or(i64::MAX);
        if interval_ns > meta.window.interval_ns {
            meta.window.first_interval_ns = Some(std::mem::replace(&mut meta.window.interval_ns, interval_ns));
        }
        meta.clock.extend(state.clocks.last());
        meta.unnamed_stacks = state.unnamed_stacks;
        meta.skipped_checkpoints = state.skipped_checkpoints;
        if let (Some(trigger), Some(fired)) = (&mut meta.trigger, &state.fired) {
            trigger.fired = Some(fired_meta(fired));
        }
        let ran = meta.probes.iter_mut().filter(|probe| probe.state == ProbeOutcome::Ran);
        for (probe, figures) in ran.zip(&state.probes) {
            let Figures { events, lost, cost_ns, unfinished, .. } = *figures;
            (probe.events, probe.lost, probe.cost_ns) = (events, lost, cost_ns);
            probe.unfinished = unfinished;
            thinned(probe, figures, meta.window.start_mono_ns);
        }
        if let (Some(budget), Some(held)) = (&mut meta.budget, &state.held) {
            (budget.measured, budget.over) = (held.measured, held.over);
            budget.highest_pct = percent(held.highest);
            budget.mean_pct = percent(held.sum / f64::from(held.measured.max(1)));
        }
        meta
    }
}

/// A share in per cent, to the ten-thousandth.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

/// Says how a probe was thinned, if it was.
fn thinned(probe: &mut ProbeState, figures: &Figures, start_ns: i64) {
    let one_in = |step: &Step| match step.to {
        Thinning::Shift(shift) => 1 << shift,
        Thinning::Detached => 0,
    };
    let meta = |step: &Step| ThinnedMeta {
        mono_ns: i64::try_from(step.at_ns).unwrap_or(i64::MAX),
        one_in: one_in(step),
        cost_pct: percent(step.cost),
    };
    probe.thinned = figures.steps.iter().map(meta).collect();
    probe.error_pct = (figures.variance > 0.0).then(|| percent(figures.variance.sqrt() / figures.events.max(1) as f64));
    let Some(first) = probe.thinned.first() else { return };
    // A part of the window may begin with what was in force before.
    let since = |step: &ThinnedMeta| units::duration(step.mono_ns.saturating_sub(start_ns).max(0));
    let most = probe.thinned.iter().map(|step| step.one_in).max().unwrap_or(1);
    let cost = units::percent(first.cost_pct);
    let (what, totals) = match (figures.thins, probe.error_pct) {
        (Thins::Rows, _) => ("rows written", "totals have every event".to_owned()),
        (_, None) => ("events taken", "its totals are estimates".to_owned()),
        (_, Some(error)) => {
            ("events taken", format!("its counts are estimates with a standard error of {}", units::percent(error)))
        }
    };
    let from = since(first);
    let mut why = format!("at most 1 in {most} {what} from {from} on, since recording cost {cost} of a CPU; {totals}");
    probe.state = ProbeOutcome::Thinned;
    if let Some(detached) = probe.thinned.iter().find(|step| step.one_in == 0) {
        probe.state = ProbeOutcome::Detached;
        why.push_str(&format!("; nothing from {} on", since(detached)));
    }
    probe.reason = Some(probe.reason.take().map_or(why.clone(), |reason| format!("{reason}; {why}")));
}

fn trigger_meta(trigger: &Trigger) -> TriggerMeta {
    TriggerMeta {
        expression: trigger.text().to_owned(),
        custom: trigger.is_custom(),
        unit: trigger.unit().map(|unit| unit.name().to_owned()),
        after_ns: i64::try_from(trigger.after().as_nanos()).unwrap_or(i64::MAX),
        fired: None,
    }
}

fn fired_meta(fired: &Fired) -> FiredMeta {
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    FiredMeta {
        mono_ns: signed(fired.at_ns),
        noticed_mono_ns: signed(fired.noticed_ns),
        value: fired.value,
        pid: fired.process.as_ref().map(|(pid, _)| i64::from(*pid)),
        process: fired.process.as_ref().map(|(_, name)| name.clone()).filter(|name| !name.is_empty()),
    }
}

fn config(plan: &RecordPlan) -> Map<String, Value> {
    let Filters { pids, comms, cgroups, containers, users, follow } = &plan.filters;
    let users: Vec<Value> = users
        .iter()
        .map(|user| match user {
            User::Id(id) => json!(id),
            User::Name(name) => json!(name),
        })
        .collect();
    let command: Vec<_> = plan.command.iter().map(|word| word.to_string_lossy()).collect();
    let events: Vec<&str> = plan.events.iter().map(|event| event.text.as_str()).collect();
    let value = json!({
        "events": events,
        "interval_ns": plan.interval.map(|interval| interval.as_nanos() as u64),
        "max_size_bytes": plan.max_size,
        "thin_to_size": plan.thin_to_size,
        "max_overhead_pct": plan.max_overhead_ppm.map(|ppm| percent(f64::from(ppm) / 1e6)),
        "last_ns": plan.last.map(|last| last.as_nanos() as u64),
        "buffer_bytes": plan.buffer_bytes,
        "unwind_bytes": if UNWINDS { plan.unwind_bytes } else { 0 },
        "pids": pids,
        "comms": comms,
        "cgroups": cgroups,
        "containers": containers,
        "users": users,
        "follow": follow,
        "system_wide": plan.system_wide,
        "command": command,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn probe_state(attempt: &Attempt) -> ProbeState {
    let mut settings = Map::new();
    if attempt.settings.slow_ns > 0 {
        settings.insert("slow_ns".to_owned(), json!(attempt.settings.slow_ns));
    }
    if attempt.settings.hertz > 0 {
        settings.insert("hz".to_owned(), json!(attempt.settings.hertz));
    }
    for (_, switch) in attempt.switches.iter().enumerate().filter(|(place, _)| attempt.settings.is_on(*place)) {
        settings.insert(switch.name.to_owned(), json!(true));
    }
    let (state, reason, hooks) = match &attempt.outcome {
        Ok(hooks) => (ProbeOutcome::Ran, without(hooks), hooks.used.clone()),
        Err(reason) => (ProbeOutcome::Skipped, Some(reason.clone()), Vec::new()),
    };
    let mode = attempt.settings.mode.name().to_owned();
    ProbeState { name: attempt.name.to_owned(), state, reason, mode, settings, hooks, ..ProbeState::default() }
}

/// What a probe that ran could not see.
fn without(hooks: &Hooks) -> Option<String> {
    let lacking = (!hooks.lacking.is_empty())
        .then(|| format!("without {}: this kernel does not have them", hooks.lacking.join(", ")));
    let left_out = (!hooks.left_out.is_empty()).then(|| format!("left out {}", hooks.left_out.join("; left out ")));
    let parts: Vec<String> = lacking.into_iter().chain(left_out).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn metric_meta(info: &ProbeInfo, metric: &Metric) -> MetricMeta {
    MetricMeta {
        name: metric.name.to_owned(),
        probe: info.name.to_owned(),
        kind: match metric.kind {
            MetricKind::Histogram => "histogram".to_owned(),
            MetricKind::Counter => "counter".to_owned(),
        },
        unit: metric.unit.name().to_owned(),
        help: metric.help.to_owned(),
        by: metric.by.iter().map(|column| (*column).to_owned()).collect(),
        events: metric.events.map(str::to_owned),
    }
}

fn event_meta(event: &CustomEvent) -> EventMeta {
    let (mut numbers, mut texts) = (0, 0);
    let mut column = |value: &event::Value| {
        let (prefix, next) = match value {
            event::Value::Number(_) => ("arg", &mut numbers),
            event::Value::Text { .. } => ("str", &mut texts),
        };
        *next += 1;
        format!("{prefix}_{}", *next - 1)
    };
    EventMeta {
        name: event.label.clone(),
        text: event.text.clone(),
        places: event.hook.places() as u64,
        latency: event.hook.is_latency(),
        captures: event
            .captures
            .iter()
            .map(|capture| CaptureMeta { column: column(&capture.value), name: capture.name.clone() })
            .collect(),
        hist: event.hist.as_ref().map(|hist| hist.name.clone()),
        by: event.by.as_ref().map(|by| by.name.clone()),
    }
}

fn holds(by_column: &[(&str, Holds)]) -> BTreeMap<String, Holds> {
    by_column.iter().map(|(column, holds)| ((*column).to_owned(), *holds)).collect()
}

fn kinds(registry: &[&'static ProbeInfo]) -> Vec<KindMeta> {
    let own = |kind: &CoreKind| KindMeta {
        name: kind.name.to_owned(),
        probe: None,
        help: kind.help.to_owned(),
        holds: holds(kind.holds),
    };
    let of_probes = registry.iter().flat_map(|info| {
        info.kinds.iter().map(|kind| KindMeta {
            name: kind.name.to_owned(),
            probe: Some(info.name.to_owned()),
            help: kind.help.to_owned(),
            holds: holds(info.holds),
        })
    });
    of_probes.chain(CORE_KINDS.iter().map(own)).collect()
}
