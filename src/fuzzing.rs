//! What the fuzz targets in `fuzz/` call: a function for each, from any bytes to the code that reads what strangers wrote.
//!
//! Compiled for them (`cfg(fuzzing)`) and for the tests, which replay the inputs in `fixtures/fuzz/`; the library that
//! others use does not have it. A finding is a panic, too much time or memory, or one of the assertions here: output that is
//! not what its format promises.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::cli;
use crate::export;
use crate::export::ExportPlan;
use crate::export::Target;
use crate::recording;
use crate::recording::Existing;
use crate::recording::Recording;
use crate::render;
use crate::render::Document;
use crate::render::TextStyle;
use crate::report;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::plan::RowFilter;
use crate::steps::Steps;
use crate::units;

mod containers;
mod rows;

/// A file, read in every way that ebrec reads recordings.
pub fn recording(input: &[u8]) {
    let directory = Directory::new();
    let path = directory.write("run.parquet", input);
    if Recording::open(&path).is_err() {
        return;
    }
    look_at(&path, Format::Text);
    look_at(&path, Format::Json);
    look_at(&path, Format::Svg);
    look_at(&path, Format::Html);
}

/// What a killed writer left: four bytes with the length of the footer, the footer, and the data.
pub fn recover(input: &[u8]) {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let Some((footer, data)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { return };
    let directory = Directory::new();
    let partial = directory.write("run.parquet.partial", data);
    directory.write("run.parquet.partial.footer", footer);
    if Recording::open(&partial).is_ok() {
        look_at(&partial, Format::Json);
    }
    match recording::recover(&partial, Existing::Keep) {
        Ok(recovered) => look_at(&recovered.path, Format::Text),
        Err(error) => hold_error(&error.to_string()),
    }
}

/// Rows that ebrec itself would hardly write, through its own writer: whatever it writes, every view must read.
pub fn rows(input: &[u8]) {
    let directory = Directory::new();
    let path = directory.path("run.parquet");
    // No bytes left is not a finding: what they were enough for is written.
    let Ok(format) = rows::write(input, &path) else { return };
    if let Err(error) = Recording::open(&path) {
        panic!("the reader refuses what the writer wrote: {error}");
    }
    look_at(&path, format);
}

/// A specification of `-e`.
pub fn event(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        crate::events::fuzzing::check(text);
    }
}

/// What names of functions come from: a first byte that chooses, and the content.
pub fn symbols(input: &[u8]) {
    if let Some((which, content)) = input.split_first() {
        let directory = Directory::new();
        crate::symbols::fuzzing::check(*which, content, &|| directory.write("file", content));
    }
}

/// A cgroup's path, a zero byte, and what a container runtime says about the container.
pub fn containers(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let directory = Directory::new();
    containers::check(&path, parts.next().unwrap_or_default(), directory.0.path());
}

/// The words of a command line, with a line end between them.
pub fn options(input: &[u8]) {
    let words = input.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    _ = cli::parse([OsString::from("ebrec")].into_iter().chain(words), &cli::Terminal::default());
    let text = String::from_utf8_lossy(input);
    _ = units::parse_duration(&text);
    _ = units::parse_size(&text);
}

/// A directory that goes with its files.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap_or_else(|error| panic!("no directory for temporary files: {error}")))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("can't write '{}': {error}", path.display()));
        path
    }
}

/// Everything that can be asked of a recording, in one format.
fn look_at(path: &Path, format: Format) {
    match report::info(path) {
        Ok(document) => hold(&document, format),
        Err(error) => hold_error(&error.to_string()),
    }
    for view in report::VIEWS.iter().filter(|view| view.draws || format != Format::Svg) {
        look_through(view.name, path, format, RowFilter::default());
    }
    let millisecond = std::time::Duration::from_millis(1);
    let part =
        RowFilter { pids: vec![1], from: Some(millisecond), to: Some(1000 * millisecond), ..RowFilter::default() };
    for view in ["summary", "processes", "timeline"] {
        look_through(view, path, Format::Json, part.clone());
    }
    for to in export::Format::ALL {
        let profiles = if to.has_stacks() { &export::Profile::ALL[..] } else { &[export::Profile::Cpu] };
        for profile in profiles {
            let target = Target::File { format: to, output: Some(path.with_extension("txt")) };
            let plan = ExportPlan {
                files: vec![path.to_owned()],
                files_from: None,
                target,
                filter: RowFilter::default(),
                profile: *profile,
                debug_dirs: Vec::new(),
                kinds: Vec::new(),
                top: 10,
                label_pids: true,
                steps: 4,
            };
            if let Err(error) = export::export(&plan, &Steps::default()) {
                hold_error(&error.to_string());
            }
        }
    }
}

fn look_through(view: &str, path: &Path, format: Format, filter: RowFilter) {
    let files = vec![path.to_owned()];
    let plan = ReportPlan { view: view.to_owned(), files, format, filter, width: 100, ..ReportPlan::default() };
    match report::report(&plan) {
        Ok(document) => hold(&document, format),
        Err(error) => hold_error(&error.to_string()),
    }
}

/// A document in a format is what the format promises: safe for a terminal, or well formed.
fn hold(document: &Document, format: Format) {
    match format {
        Format::Text => hold_printable(&render::text(document, &TextStyle { width: 100, color: false })),
        Format::Markdown => hold_printable(&render::markdown(document)),
        Format::Json => {
            let text = render::json(document);
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                panic!("'{}' is no JSON: {error}", document.name);
            }
        }
        Format::Csv => _ = render::csv(document, None),
        Format::Html => hold_printable(&render::html(document)),
        Format::Svg => {
            if let Ok(text) = render::svg(document) {
                hold_printable(&text);
            }
        }
    }
}

/// An error is one line and at most a hint.
fn hold_error(text: &str) {
    hold_printable(text);
    let mut lines = text.lines().skip(1);
    let hint = lines.next().unwrap_or("hint: ");
    assert!(hint.starts_with("hint: ") && lines.next().is_none(), "an error of several lines: {text}");
}

fn hold_printable(text: &str) {
    let found = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'));
    assert!(found.is_none(), "{found:?} in what people see");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// A target by the name of its directory.
    type Target = (&'static str, fn(&[u8]));

    /// Every input that found something, and those that reach the most code.
    #[test]
    fn inputs_that_were_found_by_fuzzing_are_harmless() {
        let targets: [Target; 7] = [
            ("recording", super::recording),
            ("recover", super::recover),
            ("rows", super::rows),
            ("event", super::event),
            ("symbols", super::symbols),
            ("containers", super::containers),
            ("options", super::options),
        ];
        for (target, run) in targets {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target);
            let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "no input in '{}'", directory.display());
            for file in files {
                println!("{}", file.display());
                run(&std::fs::read(file).unwrap());
            }
        }
    }
}
