//! What a recording says of itself: key-value pairs in the footer, JSON where a value has structure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Value;

use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::FORMAT;
use crate::recording::Holds;

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
    /// Length of the aggregates' interval, in nanoseconds.
    pub interval_ns: i64,
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
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
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
    use super::Meta;
    use super::ProbeOutcome;
    use super::ProbeState;

    fn pairs_of(meta: &Meta) -> Vec<(String, String)> {
        meta.to_pairs()
    }

    #[test]
    fn pairs_read_back_as_they_were_written() {
        let meta = Meta {
            format: crate::recording::FORMAT,
            version: "0.1.0".into(),
            command: vec!["ebrec".into(), "record".into(), "-d\u{1b}".into()],
            probes: vec![ProbeState { name: "sched".into(), state: ProbeOutcome::Thinned, ..ProbeState::default() }],
            skipped_checkpoints: 2,
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
