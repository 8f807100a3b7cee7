//! Several recordings, one after the other: each into a file of its own, into one stream of rows, or to a database.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Result;

use crate::export::ExportPlan;
use crate::export::Exported;
use crate::export::Format;
use crate::export::Pushed;
use crate::export::Target;
use crate::export::output;
use crate::export::push;
use crate::export::read;
use crate::export::rows;
use crate::export::write;
use crate::failure::Failure;
use crate::recording::OpenError;
use crate::report::read::files::Files;
use crate::report::read::input;
use crate::report::read::input::Source;
use crate::report::read::label;
use crate::steps::Steps;

/// Exports recordings; one that can't be read, or has nothing of what is asked for, is left out.
///
/// # Errors
/// None of them can be exported, the format holds one recording and no directory is named, or the output can't be written.
pub(super) fn export(files: Files, plan: &ExportPlan, steps: &Steps) -> Result<Exported> {
    steps.expect(files.list.len());
    let mut done = Exported { left_out: files.left_out.clone(), ..Exported::default() };
    match &plan.target {
        Target::Push(url) => {
            let endpoint = push::Endpoint::of(url)?;
            let mut pushed = Pushed::default();
            let files = by_start(files, plan);
            each(&files, plan, &mut done, steps, |source| {
                let metrics = match read::metrics(source, plan) {
                    Ok(metrics) => metrics,
                    Err(error) => return Ok(Some(error)),
                };
                pushed.add(push::push(&metrics, &endpoint)?);
                Ok(None)
            })?;
            done.pushed = Some(pushed);
        }
        Target::File { format, output: Some(directory) } if directory.is_dir() => {
            let mut names = names(&files, plan, *format).into_iter();
            each(&files, plan, &mut done, steps, |source| {
                let known = names.find(|(path, _)| path == source.recording().path());
                let Some((_, name)) = known else { return Ok(None) };
                settled(write(source, plan, *format, Some(&directory.join(name))))
            })?;
        }
        Target::File { format: Format::Jsonl, output } => {
            let gzip = output.as_deref().is_some_and(output::is_gzip);
            output::write(output.as_deref(), gzip, |out| {
                each(&files, plan, &mut done, steps, |source| {
                    settled(rows::kinds(source, plan).and_then(|kinds| rows::jsonl(source, &kinds, out)))
                })
            })?;
        }
        Target::File { .. } => {
            let why = format!("{} recordings don't fit into one file of this format", files.list.len());
            return Err(Failure::usage(why).hint("-o DIRECTORY writes a file for each recording").into());
        }
    }
    match done.recordings {
        0 => Err(input::none_opens(&done.left_out).into()),
        _ => Ok(done),
    }
}

/// Puts recordings into the order of their starts: databases that append to series take no earlier samples after later ones.
fn by_start(mut files: Files, plan: &ExportPlan) -> Files {
    let start = |path: &Path| Some(Source::open(path, &plan.filter).ok()?.meta().window.start_real_ns);
    files.list.sort_by_cached_key(|named| start(&named.path));
    files
}

/// Opens each recording and exports it; what `work` returns is why that recording is left out.
fn each(
    files: &Files,
    plan: &ExportPlan,
    done: &mut Exported,
    steps: &Steps,
    mut work: impl FnMut(&Source) -> Result<Option<anyhow::Error>>,
) -> Result<()> {
    for named in &files.list {
        let refused = match Source::open(&named.path, &plan.filter) {
            Ok(source) => work(&source)?,
            Err(error) => Some(error),
        };
        match refused {
            None => done.recordings += 1,
            Some(error) => done.left_out.push(named.left_out(&error)),
        }
        steps.step();
    }
    Ok(())
}

/// A recording that is damaged, or lacks what is asked for, ends nothing; an output that can't be written does.
fn settled(written: Result<()>) -> Result<Option<anyhow::Error>> {
    let is_its_own =
        |error: &anyhow::Error| error.chain().any(|cause| cause.is::<OpenError>() || cause.is::<Failure>());
    match written {
        Ok(()) => Ok(None),
        Err(error) if is_its_own(&error) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// A file name for each recording that opens: its label, as far as file names may have it, and the format's ending.
fn names(files: &Files, plan: &ExportPlan, format: Format) -> Vec<(PathBuf, String)> {
    let host = |path: &Path| Some(Source::open(path, &plan.filter).ok()?.label().to_owned());
    let known: Vec<(String, &Path)> =
        files.list.iter().filter_map(|named| Some((host(&named.path)?, &*named.path))).collect();
    let labels = label::labels(&known);
    let mut taken = HashSet::new();
    let name = |((_, path), label): (&(String, &Path), String)| {
        let base = file_name(&label);
        let numbered = (2u64..).map(|number| format!("{base}-{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(free.clone());
        (path.to_path_buf(), format!("{free}.{}", format.ending()))
    };
    known.iter().zip(labels).map(name).collect()
}

/// A label without what leads out of a directory or has to be quoted: `web1_date=2026-01-01` for `web1 (date=2026-01-01)`.
fn file_name(label: &str) -> String {
    let safe = |letter: char| if letter.is_alphanumeric() || "._-=".contains(letter) { letter } else { ' ' };
    let words: String = label.chars().map(safe).collect();
    let name = words.split_whitespace().collect::<Vec<_>>().join("_");
    // File names have 255 bytes on most systems, and an ending follows.
    let name: String = name
        .trim_start_matches(['.', '_'])
        .chars()
        .scan(0, |bytes, letter| {
            *bytes += letter.len_utf8();
            (*bytes <= 200).then_some(letter)
        })
        .collect();
    if name.is_empty() { "recording".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn labels_become_names_that_stay_in_the_directory() {
        let cases = [
            ("web1", "web1"),
            ("web1 (date=2026-01-01, run)", "web1_date=2026-01-01_run"),
            ("../../etc/passwd", "etc_passwd"),
            ("..", "recording"),
            ("a/b c", "a_b_c"),
        ];
        for (label, name) in cases {
            assert_eq!(file_name(label), name);
        }
        assert!(file_name(&"é".repeat(300)).len() <= 200);
    }
}
