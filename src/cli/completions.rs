//! Completions: a shell asks the program itself, which knows its views, its probes and the metrics of the file on the line.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::engine::CompletionCandidate;
use clap_complete::engine::PathCompleter;
use clap_complete::engine::ValueCompleter;
use clap_complete::env::CompleteEnv;
use clap_complete::env::Shells;

use super::Terminal;
use crate::recording::Recording;
use crate::recording::is_finished;
use crate::report::VIEWS;
use crate::report::tables;

/// The variable by which a shell's function asks for candidates.
const VARIABLE: &str = "EBREC_COMPLETE";
/// What `record` writes where no name is given, and so what a metric is most likely asked of.
const DEFAULT_RECORDING: &str = "run.parquet";

/// The shells that can ask for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ShellArg {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl ShellArg {
    pub(super) fn name(self) -> &'static str {
        match self {
            ShellArg::Bash => "bash",
            ShellArg::Elvish => "elvish",
            ShellArg::Fish => "fish",
            ShellArg::Powershell => "powershell",
            ShellArg::Zsh => "zsh",
        }
    }
}

/// Answers a shell that asks for candidates; false if this run is not such a question.
///
/// # Errors
/// The shell is unknown, or standard output can't be written to.
pub fn answer(words: impl IntoIterator<Item = OsString>) -> io::Result<bool> {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(|| super::command(&Terminal::default())).var(VARIABLE);
    asked.try_complete(words, here.as_deref()).map_err(io::Error::other)
}

/// The script that makes a shell ask.
pub(super) fn script(shell: ShellArg) -> String {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(shell.name()) {
        // Writing into memory does not fail.
        let _ = shell.write_registration(VARIABLE, "ebrec", "ebrec", "ebrec", &mut script);
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// Recordings, and directories that may hold some.
pub(super) fn recordings() -> ArgValueCompleter {
    ArgValueCompleter::new(files)
}

/// Unfinished recordings, and directories that may hold some.
pub(super) fn unfinished() -> ArgValueCompleter {
    let is_unfinished = |path: &Path| path.is_dir() || path.extension().is_some_and(|end| end == "partial");
    ArgValueCompleter::new(move |current: &OsStr| PathCompleter::any().filter(is_unfinished).complete(current))
}

/// Views, metrics and recordings: what may follow `report`.
pub(super) fn report_words() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let line = Line::around(current);
        let mut found = match (line.view(), line.takes_metrics()) {
            (None, _) => among(current, VIEWS.iter().map(|view| (view.name.to_owned(), Some(view.summary.to_owned())))),
            (Some(_), true) => among(current, line.metrics().into_iter().map(|(name, help)| (name, Some(help)))),
            (Some(_), false) => Vec::new(),
        };
        found.extend(files(current));
        found
    })
}

/// The columns by which the metric on the line can be split.
pub(super) fn split_columns() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let line = Line::around(current);
        let meta = line.recording();
        let metrics = meta.iter().flat_map(|recording| recording.meta().metrics.iter());
        let asked = metrics.filter(|metric| line.words.iter().any(|word| word.to_str() == Some(&metric.name)));
        among(current, asked.flat_map(|metric| metric.by.iter()).map(|column| (column.clone(), None)))
    })
}

/// The tables of the view on the line.
pub(super) fn table_names() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let line = Line::around(current);
        let view = VIEWS.iter().find(|view| Some(view.name) == line.view().or(Some(crate::report::SUMMARY)));
        among(current, view.into_iter().flat_map(tables).map(|table| (table.name, None)))
    })
}

/// A list of probes, with signs or modes.
#[cfg(all(feature = "record", target_os = "linux"))]
pub(super) fn probe_lists() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let Some(text) = current.to_str() else { return Vec::new() };
        let last = text.rfind(',').map_or(0, |comma| comma + 1);
        let (before, item) = text.split_at(last);
        let sign = item.chars().next().filter(|sign| "+-".contains(*sign));
        let stem = format!("{before}{}", sign.map(String::from).unwrap_or_default());
        let mode = |probe: &str| crate::probe::Mode::ALL.map(|mode| format!("{probe}:{}", mode.name()));
        let probes = crate::probes::REGISTRY.iter().map(|probe| probe.info());
        let names = probes.flat_map(|info| {
            let modes = if item.contains(':') { mode(info.name).to_vec() } else { vec![info.name.to_owned()] };
            modes.into_iter().map(move |name| (name, Some(info.summary.to_owned())))
        });
        among(current, names.map(|(name, help)| (format!("{stem}{name}"), help)))
    })
}

/// The probes by name.
#[cfg(all(feature = "record", target_os = "linux"))]
pub(super) fn probe_names() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let infos = crate::probes::REGISTRY.iter().map(|probe| probe.info());
        among(current, infos.map(|info| (info.name.to_owned(), Some(info.summary.to_owned()))))
    })
}

/// This build has no probes.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub(super) fn probe_lists() -> ArgValueCompleter {
    ArgValueCompleter::new(|_: &OsStr| Vec::new())
}

/// This build has no probes.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub(super) fn probe_names() -> ArgValueCompleter {
    ArgValueCompleter::new(|_: &OsStr| Vec::new())
}

fn files(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_recording = |path: &Path| path.is_dir() || is_finished(path);
    PathCompleter::any().filter(is_recording).complete(current)
}

/// Those that begin as `current` does, with their help.
fn among(current: &OsStr, names: impl Iterator<Item = (String, Option<String>)>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    names
        .filter(|(name, _)| name.starts_with(&*begun))
        .map(|(name, help)| CompletionCandidate::new(name).help(help.map(Into::into)))
        .collect()
}

/// The words that are on the line so far, after `ebrec report`.
struct Line {
    words: Vec<OsString>,
}

impl Line {
    /// A shell gives the line after `--`; the word under the cursor is not one of these words.
    fn around(current: &OsStr) -> Line {
        let line = std::env::args_os().skip_while(|word| word != "--").skip(1);
        let words = line.skip_while(|word| word != "report").skip(1).filter(|word| word != current);
        Line { words: words.collect() }
    }

    fn view(&self) -> Option<&'static str> {
        let named = |word: &OsString| VIEWS.iter().map(|view| view.name).find(|name| word.to_str() == Some(name));
        self.words.iter().find_map(named)
    }

    fn takes_metrics(&self) -> bool {
        matches!(self.view(), Some("hist" | "heatmap" | "timeline"))
    }

    /// The recording on the line, or the one that is most likely meant.
    fn recording(&self) -> Option<Recording> {
        let named =
            self.words.iter().map(PathBuf::from).find(|path| path.extension().is_some_and(|end| end == "parquet"));
        Recording::open(&named.unwrap_or_else(|| PathBuf::from(DEFAULT_RECORDING))).ok()
    }

    /// Name and meaning of each metric of the recording.
    fn metrics(&self) -> Vec<(String, String)> {
        let recording = self.recording();
        let metrics = recording.iter().flat_map(|recording| recording.meta().metrics.iter());
        metrics.map(|metric| (metric.name.clone(), metric.help.clone())).collect()
    }
}
