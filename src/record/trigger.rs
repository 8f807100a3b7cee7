//! What ends a window before its time: `--until EXPR`, from its text to the row or the pressure that fires it.
//!
//! The drain evaluates it on rows as they are decoded, so a trigger sees what the kernel streams and nothing else: a threshold on a
//! duration lowers the probe's own where that is higher.

mod expression;
mod pressure;

use std::time::Duration;

use anyhow::Result;

use crate::failure::Failure;
use crate::host::foreign;
use crate::host::root::Root;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::Settings;
use crate::probe::event::CustomEvent;
use crate::probe::names::Names;
use crate::probe::watch::Streamed;
use crate::record::select::Chosen;
use crate::record::trigger::expression::Comparison;
use crate::record::trigger::expression::Expression;
use crate::record::trigger::expression::Subject;
use crate::record::trigger::expression::Vocabulary;
use crate::record::trigger::pressure::Pressure;
use crate::recording::ColumnId;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::column;
use crate::units::Unit;

/// The kind of rows of custom events.
const OWN_EVENT: &str = "event";

/// A trigger that was asked for, checked against what will run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    expression: Expression,
    after: Duration,
}

/// How a trigger fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fired {
    /// When what it is about ended, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) at_ns: u64,
    /// When ebrec noticed it.
    pub(super) noticed_ns: u64,
    /// The value that fired it, where it compares one.
    pub(super) value: Option<i64>,
    /// The process of the row, and its name.
    pub(super) process: Option<(u32, String)>,
}

impl Trigger {
    /// Reads `--until` and has the probe that it needs stream what it waits for. `own` are the names of custom events.
    ///
    /// # Errors
    /// The text is not a trigger, or the probe that it needs does not run.
    pub(super) fn choose(
        text: &str,
        after: Duration,
        probes: &[&'static ProbeInfo],
        own: &[String],
        chosen: &mut [Chosen],
    ) -> Result<Trigger, Failure> {
        let expression = Vocabulary { probes, own }.read(text)?;
        if let Subject::Row(watch) = expression.subject {
            let probe = |chosen: &&mut Chosen| {
                probes.get(chosen.index).is_some_and(|info| info.watches.iter().any(|other| other.name == watch.name))
            };
            let Some(chosen) = chosen.iter_mut().find(probe) else {
                let name = watch.name.split('.').next().unwrap_or_default();
                let problem = format!("the trigger '{text}' needs the probe '{name}', which is not chosen");
                return Err(Failure::usage(problem).hint(format!("add it: -p +{name}")));
            };
            stream(&mut chosen.settings, watch.streamed, expression.comparison);
        }
        Ok(Trigger { expression, after })
    }

    /// Has each hit of the custom event that it waits for become a row.
    pub(super) fn stream_hits(&self, events: &mut [CustomEvent]) {
        if let Subject::CustomEvent(name) = &self.expression.subject {
            events.iter_mut().filter(|event| event.label == *name).for_each(|event| event.every_hit = true);
        }
    }

    /// Whether it is about a custom event.
    pub(super) fn is_custom(&self) -> bool {
        matches!(self.expression.subject, Subject::CustomEvent(_))
    }

    /// Whether it waits for rows of a probe.
    pub(super) fn is_by(&self, info: &ProbeInfo) -> bool {
        match &self.expression.subject {
            Subject::Row(watch) => info.watches.iter().any(|other| other.name == watch.name),
            // The one probe of custom events has no watches.
            Subject::CustomEvent(_) => info.name == "events",
            Subject::Pressure(..) => false,
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.expression.text
    }

    /// How long the recording goes on after it has fired.
    pub(super) fn after(&self) -> Duration {
        self.after
    }

    /// The unit of its values, where it compares one.
    pub(super) fn unit(&self) -> Option<Unit> {
        match &self.expression.subject {
            Subject::Row(watch) => watch.value.map(|value| value.unit),
            Subject::Pressure(..) => Some(Unit::Percent),
            Subject::CustomEvent(_) => None,
        }
    }

    /// Begins to watch for it.
    ///
    /// # Errors
    /// The kernel does not tell the pressure that it is about.
    pub(super) fn watch(&self, schema: &Schema, root: &Root) -> Result<Watcher> {
        let id = |name: &str| schema.id(name);
        let watched = match &self.expression.subject {
            Subject::Row(watch) => Watched::Rows {
                kind: watch.kind,
                only: watch.only.and_then(|(name, text)| Some((id(name)?, text.to_owned()))),
                value: watch.value.and_then(|value| {
                    let less = value.less.and_then(id);
                    Some(Place { column: id(value.column)?, less, absent: value.absent })
                }),
            },
            Subject::CustomEvent(name) => {
                Watched::Rows { kind: OWN_EVENT, only: Some((column::NAME, name.clone())), value: None }
            }
            Subject::Pressure(resource, line) => {
                let path = root.path(format!("/proc/pressure/{resource}"));
                let file = foreign::open(&path).map_err(|error| {
                    let problem = format!("can't read '{}' for the trigger '{}': {error}", path.display(), self.text());
                    Failure::run(problem)
                        .hint("the kernel needs CONFIG_PSI, and psi=1 on its command line where it is off")
                })?;
                Watched::Pressure(Pressure::of(file, line))
            }
        };
        Ok(Watcher { trigger: self.clone(), watched, looked: 0 })
    }
}

/// Has the kernel stream what a comparison waits for.
fn stream(settings: &mut Settings, streamed: Streamed, comparison: Option<Comparison>) {
    let least = comparison.map_or(i64::MIN, Comparison::least);
    match streamed {
        Streamed::OverThreshold if least > 0 => {
            let least = least.unsigned_abs();
            settings.slow_ns = if settings.mode == Mode::Hist { least } else { settings.slow_ns.min(least) };
            settings.mode = if settings.mode == Mode::Hist { Mode::Slow } else { settings.mode };
        }
        Streamed::From(from) if least >= from || comparison.is_none() => {
            settings.mode = if settings.mode == Mode::Hist { Mode::Slow } else { settings.mode };
        }
        _ => settings.mode = Mode::Raw,
    }
}

/// A trigger while the window lasts.
pub(super) struct Watcher {
    trigger: Trigger,
    watched: Watched,
    /// Rows of the kind that were looked at.
    looked: u64,
}

enum Watched {
    Rows { kind: &'static str, only: Option<(ColumnId, String)>, value: Option<Place> },
    Pressure(Pressure),
}

/// Where a row's value is.
struct Place {
    column: ColumnId,
    less: Option<ColumnId>,
    absent: Option<i64>,
}

impl Watcher {
    /// The trigger.
    pub(super) fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// When it has to be looked at even if nothing happens; `u64::MAX`: never.
    pub(super) fn next_due(&self) -> u64 {
        match &self.watched {
            Watched::Rows { .. } => u64::MAX,
            Watched::Pressure(pressure) => pressure.next_due(),
        }
    }

    /// Looks at the rows that came since the last look, or at the pressure if it is time.
    pub(super) fn look(&mut self, rows: &Rows, names: &Names, now_ns: u64) -> Option<Fired> {
        let comparison = self.trigger.expression.comparison;
        let holds = |value: i64| comparison.is_none_or(|comparison| comparison.holds(value));
        match &mut self.watched {
            Watched::Pressure(pressure) => {
                let value = pressure.share(now_ns).filter(|share| holds(*share))?;
                Some(Fired { at_ns: now_ns, noticed_ns: now_ns, value: Some(value), process: None })
            }
            Watched::Rows { kind, only, value } => {
                let (looked, fired) = rows.search(kind, self.looked, |row| {
                    if only.as_ref().is_some_and(|(column, text)| row.text(*column) != Some(text.as_bytes())) {
                        return None;
                    }
                    let value = match value {
                        None => None,
                        Some(place) => {
                            let less = place.less.and_then(|column| row.int(column)).unwrap_or(0);
                            Some(row.int(place.column).or(place.absent)?.saturating_sub(less))
                        }
                    };
                    if value.is_some_and(|value| !holds(value)) {
                        return None;
                    }
                    let at_ns = row.at_ns()?;
                    let process = row.int(column::PID).and_then(|pid| u32::try_from(pid).ok());
                    let process = process.map(|pid| (pid, names.at(at_ns).get(pid).unwrap_or_default().to_owned()));
                    Some(Fired { at_ns, noticed_ns: now_ns, value, process })
                });
                self.looked = looked;
                fired
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison;
    use super::Mode;
    use super::Settings;
    use super::Streamed;
    use super::expression::Operator;
    use super::stream;

    fn streamed(mode: Mode, slow_ns: u64, streamed: Streamed, operator: Operator, value: i64) -> (Mode, u64) {
        let mut settings = Settings { mode, slow_ns, hertz: 0, switched_on: 0 };
        stream(&mut settings, streamed, Some(Comparison { operator, value }));
        (settings.mode, settings.slow_ns)
    }

    #[test]
    fn a_threshold_below_the_probes_own_lowers_it_and_one_above_does_not_raise_it() {
        let over = |mode, value| streamed(mode, 10, Streamed::OverThreshold, Operator::Greater, value);
        assert_eq!(over(Mode::Slow, 5), (Mode::Slow, 5));
        assert_eq!(over(Mode::Slow, 50), (Mode::Slow, 10));
        assert_eq!(over(Mode::Hist, 50), (Mode::Slow, 50));
        assert_eq!(over(Mode::Raw, 5).0, Mode::Raw);
    }

    #[test]
    fn what_only_raw_mode_streams_switches_to_it() {
        assert_eq!(streamed(Mode::Slow, 10, Streamed::OverThreshold, Operator::Less, 5).0, Mode::Raw);
        let status = |operator, value| streamed(Mode::Slow, 10, Streamed::From(500), operator, value).0;
        assert_eq!(status(Operator::GreaterOrEqual, 500), Mode::Slow);
        assert_eq!(status(Operator::Equal, 503), Mode::Slow);
        assert_eq!(status(Operator::GreaterOrEqual, 400), Mode::Raw);
        assert_eq!(status(Operator::NotEqual, 200), Mode::Raw);
        assert_eq!(streamed(Mode::Hist, 0, Streamed::From(i64::MIN), Operator::NotEqual, 0).0, Mode::Slow);
    }
}
