//! The recordings that the words of a command line mean: files, directories, patterns and lists.

use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::recording::STDIN;
use crate::recording::finished_path;
use crate::recording::is_finished;
use crate::recording::is_partial;
use crate::regular_file;
use crate::render::LeftOut;

/// Most recordings of one command: their names are held in memory.
const MOST: usize = 100_000;
/// Most bytes of a list of files.
const LIST_BYTES: u64 = 64 << 20;
/// Directories within directories.
const DEPTH: usize = 32;

/// One recording, not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether a word names this file and no other.
    pub(crate) by_itself: bool,
}

/// What the words mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// In the order of the words; those of a directory or pattern by their paths.
    pub(crate) list: Vec<Named>,
    /// Directories that can't be read and listed files that are not there.
    pub(crate) left_out: Vec<LeftOut>,
}

impl Files {
    /// Finds the recordings that the words mean, and those of a list of files, where `-` is standard input.
    ///
    /// A directory stands for the recordings in it and below it. A word that is not a file and has `*`, `?` or `[` is a pattern.
    /// A list has a path per line, or is separated by zero bytes if it has any; its paths may be directories, not patterns.
    ///
    /// # Errors
    /// A word means no recording, the list can't be read, or the recordings are too many.
    pub(crate) fn of(words: &[PathBuf], list: Option<&Path>) -> Result<Files> {
        let mut files = Files::default();
        for word in words {
            files.add_word(word)?;
        }
        if let Some(list) = list {
            let before = files.list.len() + files.left_out.len();
            for path in read_list(list)? {
                match path.is_dir() {
                    true => drop(files.add_directory(&path)?),
                    false if path.exists() => files.add(path, false)?,
                    false => files.leave_out(&path, "there is no such file"),
                }
            }
            if files.list.len() + files.left_out.len() == before {
                return Err(Failure::run(format!("the list '{}' names no recording", list.display())).into());
            }
        }
        Ok(files)
    }

    /// Adds what one word means.
    ///
    /// # Errors
    /// It means no recording.
    fn add_word(&mut self, word: &Path) -> Result<()> {
        if word.is_dir() {
            let found = self.add_directory(word)?;
            if found == 0 {
                return Err(match self.left_out.pop() {
                    Some(LeftOut { reason, .. }) => Failure::run(reason).into(),
                    None => Failure::run(format!("no recording in the directory '{}'", word.display())).into(),
                });
            }
            return Ok(());
        }
        let text = word.to_string_lossy();
        if !is_pattern(&text) || word.exists() {
            return self.add(word.to_path_buf(), true);
        }
        let paths =
            glob::glob(&text).map_err(|error| Failure::usage(format!("'{text}' is not a valid pattern: {error}")))?;
        let mut matches: Vec<PathBuf> = paths.filter_map(Result::ok).take(MOST + 1).collect();
        matches.sort();
        let before = self.list.len();
        for path in matches {
            match path.is_dir() {
                true => drop(self.add_directory(&path)?),
                false => self.add(path, false)?,
            }
        }
        if self.list.len() == before {
            return Err(Failure::run(format!("no file matches '{text}'")).into());
        }
        Ok(())
    }

    /// Adds the recordings in a directory and below it, and returns how many they are.
    fn add_directory(&mut self, directory: &Path) -> Result<usize> {
        let before = self.list.len();
        self.descend(directory, DEPTH)?;
        Ok(self.list.len() - before)
    }

    /// Finished recordings by name, unfinished ones that have no finished one beside them, and those of the directories below.
    fn descend(&mut self, directory: &Path, depth: usize) -> Result<()> {
        let entries = std::fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let why = format!("can't read the directory '{}': {error}", directory.display());
                self.left_out.push(LeftOut::new(directory, why));
                return Ok(());
            }
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Links to directories are not followed: they may lead back up.
            if entry.file_type().is_ok_and(|ty| ty.is_dir()) {
                if depth > 0 && !is_private(&path) {
                    self.descend(&path, depth - 1)?;
                }
            } else if is_recording(&path) && path.is_file() {
                self.add(path, false)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, by_itself: bool) -> Result<()> {
        if self.list.len() >= MOST {
            let many = Failure::run(format!("these are more than {MOST} recordings"));
            return Err(many.hint("name fewer at a time, such as those of one day").into());
        }
        self.list.push(Named { path, by_itself });
        Ok(())
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        self.left_out.push(LeftOut::new(path, format!("'{}': {why}", path.display())));
    }
}

/// Whether a word has what only patterns have.
fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// Whether a file's name is that of a recording, and no finished one stands beside it if it is unfinished.
fn is_recording(path: &Path) -> bool {
    let unfinished =
        || is_partial(path) && finished_path(path).is_some_and(|finished| is_finished(&finished) && !finished.exists());
    is_finished(path) || unfinished()
}

/// Directories that readers of data sets pass over: those of version control, and what an engine has not finished.
fn is_private(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')))
}

/// Reads the paths of a list.
fn read_list(list: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("can't read the list '{}'", list.display());
    let mut bytes = Vec::new();
    let mut read = |from: &mut dyn Read| from.take(LIST_BYTES + 1).read_to_end(&mut bytes);
    if list == Path::new(STDIN) {
        read(&mut io::stdin().lock()).with_context(failed)?;
    } else {
        let mut file = regular_file::open(list).map_err(|error| match regular_file::is_not_regular(&error) {
            true => {
                let refused = Failure::run(format!("the list '{}' is not a regular file", list.display()));
                anyhow::Error::from(refused.hint("a list can be piped into '--files-from -'"))
            }
            false => anyhow::Error::from(error).context(failed()),
        })?;
        read(&mut file).with_context(failed)?;
    }
    if bytes.len() as u64 > LIST_BYTES {
        return Err(Failure::run(format!("the list '{}' is longer than 64 MiB", list.display())).into());
    }
    Ok(paths(&bytes))
}

/// The paths of a list: separated by zero bytes if there are any, else a path per line.
fn paths(list: &[u8]) -> Vec<PathBuf> {
    let separator = if list.contains(&0) { 0 } else { b'\n' };
    list.split(|byte| *byte == separator).filter(|path| !path.is_empty()).map(path_of).collect()
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from(String::from_utf8_lossy(bytes).trim_end_matches('\r')))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::Files;
    use super::paths;

    fn tree(files: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn names(files: &Files, below: &Path) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(below).unwrap().to_string_lossy().into_owned();
        files.list.iter().map(|named| name(&named.path)).collect()
    }

    #[test]
    fn a_directory_stands_for_all_below_it_by_path() {
        let dir = tree(&[
            "date=2026-01-02/host=b/run.parquet",
            "date=2026-01-01/host=a/run.parquet",
            "date=2026-01-01/host=a/run.parquet.partial",
            "date=2026-01-01/host=c/run.parquet.partial",
            "date=2026-01-01/notes.txt",
            "_temporary/run.parquet",
            ".git/run.parquet",
            "z.parquet.zst",
        ]);
        let files = Files::of(&[dir.path().to_path_buf()], None).unwrap();
        let expected = [
            "date=2026-01-01/host=a/run.parquet",
            "date=2026-01-01/host=c/run.parquet.partial",
            "date=2026-01-02/host=b/run.parquet",
            "z.parquet.zst",
        ];
        assert_eq!(names(&files, dir.path()), expected);
        assert!(files.list.iter().all(|named| !named.by_itself) && files.left_out.is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_leads_back_up_is_not_followed() {
        let dir = tree(&["a/run.parquet"]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        let files = Files::of(&[dir.path().to_path_buf()], None).unwrap();
        assert_eq!(names(&files, dir.path()), ["a/run.parquet"]);
    }

    #[test]
    fn a_pattern_matches_files_and_directories_and_a_file_of_that_name_goes_first() {
        let dir = tree(&["day=1/a.parquet", "day=2/b.parquet", "e.parquet", "[x].parquet"]);
        let of = |word: &str| names(&Files::of(&[dir.path().join(word)], None).unwrap(), dir.path());
        assert_eq!(of("day=*"), ["day=1/a.parquet", "day=2/b.parquet"]);
        assert_eq!(of("**/?.parquet"), ["day=1/a.parquet", "day=2/b.parquet", "e.parquet"]);
        assert_eq!(of("[x].parquet"), ["[x].parquet"]);
        let none = Files::of(&[dir.path().join("nope-*")], None).unwrap_err().to_string();
        assert!(none.starts_with("no file matches '") && none.ends_with("nope-*'"), "{none}");
    }

    #[test]
    fn a_list_names_files_and_directories_and_what_is_missing_is_left_out() {
        let dir = tree(&["a.parquet", "d/b.parquet"]);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let list = dir.path().join("list");
        fs::write(&list, [path("a.parquet"), path("d"), path("gone.parquet")].join("\n")).unwrap();
        let files = Files::of(&[], Some(&list)).unwrap();
        assert_eq!(names(&files, dir.path()), ["a.parquet", "d/b.parquet"]);
        assert_eq!(files.left_out.len(), 1);
        assert!(files.left_out[0].reason.ends_with("gone.parquet': there is no such file"));
        fs::write(&list, "\n\n").unwrap();
        assert!(Files::of(&[], Some(&list)).unwrap_err().to_string().ends_with("names no recording"));
    }

    #[test]
    fn zero_bytes_separate_where_there_are_any() {
        let of = |list: &str| paths(list.as_bytes());
        assert_eq!(of("a b\nc\n"), [PathBuf::from("a b"), PathBuf::from("c")]);
        assert_eq!(of("a\nb\0c\0"), [PathBuf::from("a\nb"), PathBuf::from("c")]);
    }
}
