//! What a recording says of itself: key-value pairs in the footer, JSON where a value has structure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Value;

use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::FORMAT;
use crate::recording::Holds;
use crate::units;

/// What a line of [`Meta::redaction`] begins with that is about rows which are missing.
pub(crate) const LEFT_OUT: &str = "left out ";

/// Everything a recording says of itself, besides its rows.
///
/// A field that a file does not have keeps its default, so older and newer files of one format read alike.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Meta {
    /// Version of the file format; [`FORMAT`] when this library wrote it.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Git revision of that program; empty when unknown.
    pub git: String,
    /// Full command line, one word an element.
    pub command: Vec<String>,
    /// Effective configuration by option name.
    pub config: Map<String, Value>,
    /// The recorded window.
    pub window: Window,
    /// The recorded machine.
    pub host: HostMeta,
    /// Anchors between the clocks: at the start, in between, at the end.
    pub clock: Vec<ClockAnchor>,
    /// Every probe that was asked for, also those that did not run.
    pub probes: Vec<ProbeState>,
    /// The metrics that rows of kinds `hist` and `metric` may carry.
    pub metrics: Vec<MetricMeta>,
    /// The kinds of rows that may occur.
    pub kinds: Vec<KindMeta>,
    /// The events of the user's own.
    pub events: Vec<EventMeta>,
    /// What was to end the window before its time, and whether it did.
    pub trigger: Option<TriggerMeta>,
    /// Of how much time the window is the newest part; `None`: all was kept.
    pub last: Option<LastMeta>,
    /// What the recording was allowed to cost, and how that was held; `None`: there was no bound.
    pub budget: Option<BudgetMeta>,
    /// Kinds of rows of which the file has one in so many, chosen by chance, lest it be larger than it may be.
    pub rows_one_in: BTreeMap<String, u64>,
    /// Stacks whose functions have no names since no time was left to look them up.
    pub unnamed_stacks: u64,
    /// Checkpoints that were skipped because the disk was still busy with the one before.
    pub skipped_checkpoints: u64,
    /// The columns; filled in from the schema when the file is written.
    pub columns: Vec<ColumnMeta>,
    /// What was removed or masked, one line each; empty for a recording as it was made.
    pub redaction: Vec<String>,
}

/// The time that a recording covers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// Length asked for, in nanoseconds; `None` for «until the command ends» or «until interrupted».
    pub asked_ns: Option<i64>,
    /// CLOCK_REALTIME at the start, in nanoseconds since the Unix epoch.
    pub start_real_ns: i64,
    /// CLOCK_MONOTONIC at the start, in nanoseconds.
    pub start_mono_ns: i64,
    /// Length as it came out, in nanoseconds; up to the last checkpoint while recording.
    pub actual_ns: i64,
    /// Why it ended, such as `duration`, `command`, `interrupt`; empty while recording.
    pub ended: String,
    /// Length of the aggregates' intervals, in nanoseconds; that of the last ones where they grew with the window.
    pub interval_ns: i64,
    /// Length of the first intervals, in nanoseconds, where they grew. `interval_ns` is this, doubled a number of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_interval_ns: Option<i64>,
}

/// Facts about the recorded machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostMeta {
    /// Host name.
    pub hostname: String,
    /// Kernel release, such as `6.12.9`.
    pub kernel: String,
    /// Architecture, such as `x86_64`.
    pub arch: String,
    /// Number of CPUs online.
    pub cpus: u32,
    /// Main memory in bytes.
    pub memory_bytes: u64,
    /// Name and version of the distribution.
    pub distro: String,
    /// Virtualisation or container around the machine; `None` on bare metal.
    pub virt: Option<String>,
}

/// One moment on three clocks, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockAnchor {
    /// CLOCK_MONOTONIC, on which all events are stamped.
    pub mono_ns: i64,
    /// CLOCK_BOOTTIME.
    pub boot_ns: i64,
    /// CLOCK_REALTIME, since the Unix epoch.
    pub real_ns: i64,
}

/// What became of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeOutcome {
    /// It ran through the window.
    Ran,
    /// It was not run, for the reason given.
    #[default]
    Skipped,
    /// It could not be run or stopped early, for the reason given.
    Failed,
    /// It was sampled 1 in N to keep its cost down.
    Thinned,
    /// It was taken off before the end to keep its cost down.
    Detached,
    /// An outcome that a newer version knows.
    #[serde(other)]
    Unknown,
}

impl ProbeOutcome {
    /// Whether it ran, for a part of the window at least.
    pub fn has_run(self) -> bool {
        matches!(self, ProbeOutcome::Ran | ProbeOutcome::Thinned | ProbeOutcome::Detached)
    }
}

/// One probe, as it ran or did not.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeState {
    /// Name of the probe.
    pub name: String,
    /// What became of it.
    pub state: ProbeOutcome,
    /// Why, in one plain sentence, unless it ran.
    pub reason: Option<String>,
    /// Mode: `hist`, `slow`, `raw` or `stacks`.
    pub mode: String,
    /// Settings in force, by name.
    pub settings: Map<String, Value>,
    /// Hooks in use, such as `tp_btf/sched_switch`.
    pub hooks: Vec<String>,
    /// Events seen, those in histograms included.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Time spent in its programs, in nanoseconds; 0 when it was not measured.
    pub cost_ns: u64,
    /// What had begun in the window and had not ended at its end: no histogram has it. `None` for a probe whose events are moments, and
    /// before the window's end.
    pub unfinished: Option<u64>,
    /// How it was thinned to hold a budget of CPU time, in order of time; empty where it never was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thinned: Vec<ThinnedMeta>,
    /// Standard error of the number of its events in per cent of it, where totals are estimated from one event in so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_pct: Option<f64>,
}

/// A change to how a probe is thinned.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThinnedMeta {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: i64,
    /// From then on one event in so many was taken, or one row in so many written; 0: none, the probe was detached.
    pub one_in: u64,
    /// What all of recording cost before, in per cent of one CPU.
    pub cost_pct: f64,
}

/// What a recording was allowed to cost: `--max-overhead`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetMeta {
    /// The bound, in per cent of one CPU.
    pub most_pct: f64,
    /// How often the cost was measured, about four times a second.
    pub measured: u32,
    /// How many of these measurements were over the bound by more than a fifth.
    pub over: u32,
    /// The highest of them, in per cent of one CPU.
    pub highest_pct: f64,
    /// Their mean, likewise.
    pub mean_pct: f64,
}

impl fmt::Display for BudgetMeta {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [most, mean, highest] = [self.most_pct, self.mean_pct, self.highest_pct].map(units::percent);
        let (over, all) = (units::count(self.over.into()), units::count(self.measured.into()));
        write!(
            to,
            "{most} of a CPU; cost {mean} on average, {highest} at most; over it by more than a fifth in {over} of {all} measurements"
        )
    }
}

/// One metric that aggregates carry.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricMeta {
    /// Name, such as `block.device_time`.
    pub name: String,
    /// The probe that measures it.
    pub probe: String,
    /// `histogram` or `counter`.
    pub kind: String,
    /// Unit by its short name: `ns`, `bytes`, `count`.
    pub unit: String,
    /// One sentence that says what it means.
    pub help: String,
    /// Columns that break it down.
    pub by: Vec<String>,
    /// The kind of the streamed events that it aggregates, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
}

/// One kind of rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KindMeta {
    /// Name, the value of column `kind`.
    pub name: String,
    /// The probe that writes it; `None` for the core's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// One sentence that says what a row is.
    pub help: String,
    /// What its texts say in columns where that depends on the kind, and those of metrics of its probe.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, Holds>,
}

/// One event of the user's own: what its rows and metrics mean.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMeta {
    /// What it is called in the column `name`.
    pub name: String,
    /// As the user wrote it.
    pub text: String,
    /// How many functions or points it was to be at.
    pub places: u64,
    /// It is the time from entry to return of a function.
    pub latency: bool,
    /// What its rows hold.
    pub captures: Vec<CaptureMeta>,
    /// What its histogram `events.value` is of, where it has one.
    pub hist: Option<String>,
    /// What the column `events_by` of its metrics holds, where it is kept by something.
    pub by: Option<String>,
}

/// What was to end the window before its time: `--until`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerMeta {
    /// The expression as the user wrote it.
    pub expression: String,
    /// It is the name of a custom event.
    pub custom: bool,
    /// Unit of the compared value by its short name, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How long the window was to go on after it had fired, in nanoseconds.
    pub after_ns: i64,
    /// How it fired; `None`: it did not.
    pub fired: Option<FiredMeta>,
}

/// A recording of the newest span: `--last`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastMeta {
    /// How much was to be kept, in nanoseconds.
    pub span_ns: i64,
    /// How long the recorder had run at the end of the window, in nanoseconds.
    pub ran_ns: i64,
    /// The most that the unfinished recording took on the disk until then, in bytes.
    pub disk_bytes: u64,
}

/// How a trigger fired.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FiredMeta {
    /// When the event that fired it ended, or when the pressure was read, in nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: i64,
    /// When ebrec noticed it, likewise.
    pub noticed_mono_ns: i64,
    /// The value that fired it, where one was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// The process of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// One column of an event's rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptureMeta {
    /// The column: `arg_0` to `arg_5`, `str_0` to `str_2`.
    pub column: String,
    /// What is in it.
    pub name: String,
}

/// One column, as the file describes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnMeta {
    /// Name in the file.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// Unit by its short name, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// One sentence that says what a value means.
    pub help: String,
    /// What its texts say; `None` for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
}

impl From<&Column> for ColumnMeta {
    fn from(column: &Column) -> ColumnMeta {
        ColumnMeta {
            name: column.name.to_owned(),
            title: column.title.to_owned(),
            unit: column.unit.map(str::to_owned),
            help: column.help.to_owned(),
            holds: match column.ty {
                ColumnType::Text(holds) => Some(holds),
                _ => None,
            },
        }
    }
}

/// A metadata pair that does not hold what its key promises.
#[derive(Debug, thiserror::Error)]
#[error("metadata '{key}' is not what it should be: {problem}")]
pub struct MetaError {
    /// Key of the pair.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
}

impl Meta {
    /// The pairs as they stand in the footer and in the rows of kind `recording`, always of this library's [`FORMAT`].
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let pairs = [
            ("ebrec.format", FORMAT.to_string()),
            ("ebrec.version", self.version.clone()),
            ("ebrec.git", self.git.clone()),
            ("ebrec.command", json(&self.command)),
            ("ebrec.config", json(&self.config)),
            ("ebrec.window", json(&self.window)),
            ("ebrec.host", json(&self.host)),
            ("ebrec.clock", json(&self.clock)),
            ("ebrec.probes", json(&self.probes)),
            ("ebrec.metrics", json(&self.metrics)),
            ("ebrec.kinds", json(&self.kinds)),
            ("ebrec.events", json(&self.events)),
            ("ebrec.unnamed_stacks", self.unnamed_stacks.to_string()),
            ("ebrec.skipped_checkpoints", self.skipped_checkpoints.to_string()),
            ("ebrec.columns", json(&self.columns)),
            ("ebrec.redaction", json(&self.redaction)),
        ];
        let trigger = self.trigger.as_ref().map(|trigger| ("ebrec.trigger", json(trigger)));
        let last = self.last.as_ref().map(|last| ("ebrec.last", json(last)));
        let budget = self.budget.as_ref().map(|budget| ("ebrec.budget", json(budget)));
        let rows_one_in = (!self.rows_one_in.is_empty()).then(|| ("ebrec.rows_one_in", json(&self.rows_one_in)));
        pairs
            .into_iter()
            .chain(trigger)
            .chain(last)
            .chain(budget)
            .chain(rows_one_in)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Reads the pairs back; keys it does not know are passed over.
    ///
    /// # Errors
    /// A known key whose value does not parse.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Meta, MetaError> {
        let mut meta = Meta::default();
        for (key, value) in pairs {
            match key {
                "ebrec.format" => meta.format = parse("ebrec.format", value)?,
                "ebrec.version" => value.clone_into(&mut meta.version),
                "ebrec.git" => value.clone_into(&mut meta.git),
                "ebrec.command" => meta.command = parse("ebrec.command", value)?,
                "ebrec.config" => meta.config = parse("ebrec.config", value)?,
                "ebrec.window" => meta.window = parse("ebrec.window", value)?,
                "ebrec.host" => meta.host = parse("ebrec.host", value)?,
                "ebrec.clock" => meta.clock = parse("ebrec.clock", value)?,
                "ebrec.probes" => meta.probes = parse("ebrec.probes", value)?,
                "ebrec.metrics" => meta.metrics = parse("ebrec.metrics", value)?,
                "ebrec.kinds" => meta.kinds = parse("ebrec.kinds", value)?,
                "ebrec.events" => meta.events = parse("ebrec.events", value)?,
                "ebrec.trigger" => meta.trigger = parse("ebrec.trigger", value)?,
                "ebrec.last" => meta.last = parse("ebrec.last", value)?,
                "ebrec.budget" => meta.budget = parse("ebrec.budget", value)?,
                "ebrec.rows_one_in" => meta.rows_one_in = parse("ebrec.rows_one_in", value)?,
                "ebrec.unnamed_stacks" => meta.unnamed_stacks = parse("ebrec.unnamed_stacks", value)?,
                "ebrec.skipped_checkpoints" => meta.skipped_checkpoints = parse("ebrec.skipped_checkpoints", value)?,
                "ebrec.columns" => meta.columns = parse("ebrec.columns", value)?,
                "ebrec.redaction" => meta.redaction = parse("ebrec.redaction", value)?,
                _ => {}
            }
        }
        Ok(meta)
    }
}

fn json<T: Serialize>(value: &T) -> String {
    // None of these types has a map with keys that are not strings, the one thing that JSON refuses.
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(key: &'static str, value: &str) -> Result<T, MetaError> {
    serde_json::from_str(value).map_err(|error| MetaError { key, problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::BudgetMeta;
    use super::FiredMeta;
    use super::LastMeta;
    use super::Meta;
    use super::ProbeOutcome;
    use super::ProbeState;
    use super::ThinnedMeta;
    use super::TriggerMeta;

    fn pairs_of(meta: &Meta) -> Vec<(String, String)> {
        meta.to_pairs()
    }

    #[test]
    fn pairs_read_back_as_they_were_written() {
        let meta = Meta {
            format: crate::recording::FORMAT,
            version: "0.1.0".into(),
            command: vec!["ebrec".into(), "record".into(), "-d\u{1b}".into()],
            probes: vec![ProbeState {
                name: "sched".into(),
                state: ProbeOutcome::Thinned,
                thinned: vec![ThinnedMeta { mono_ns: 7, one_in: 8, cost_pct: 12.5 }],
                error_pct: Some(0.25),
                ..ProbeState::default()
            }],
            budget: Some(BudgetMeta { most_pct: 2.0, measured: 4, over: 1, highest_pct: 12.5, mean_pct: 3.5 }),
            rows_one_in: [("slice".into(), 4)].into(),
            skipped_checkpoints: 2,
            trigger: Some(TriggerMeta { fired: Some(FiredMeta::default()), ..TriggerMeta::default() }),
            last: Some(LastMeta { span_ns: 10, ..LastMeta::default() }),
            ..Meta::default()
        };
        let pairs = pairs_of(&meta);
        let read = Meta::from_pairs(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap();
        assert_eq!(read, meta);
    }

    #[test]
    fn unknown_keys_and_unknown_states_are_passed_over() {
        let read = Meta::from_pairs([
            ("ARROW:schema", "…"),
            ("ebrec.probes", r#"[{"name":"x","state":"hibernated","later":1}]"#),
        ])
        .unwrap();
        assert_eq!(read.probes[0].state, ProbeOutcome::Unknown);
    }

    #[test]
    fn a_value_that_does_not_parse_names_its_key() {
        let error = Meta::from_pairs([("ebrec.window", "{")]).unwrap_err();
        assert!(error.to_string().contains("'ebrec.window'"), "{error}");
    }
}
