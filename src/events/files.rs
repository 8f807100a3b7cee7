//! The files that events name: by path, as libraries and programs by name, and as other processes see them.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use super::kernel::Refusal;
use super::points::absent;
use crate::host::foreign;

/// Bytes of what is read of a process and of the dynamic linker's cache.
const MAX_BYTES: usize = 16 << 20;
/// Where libraries are besides those that the dynamic linker's cache names.
const LIBRARIES: [&str; 7] = [
    "/usr/local/lib",
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];
/// Where programs are.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A file that an event names, as this process reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    /// Its path here.
    pub(super) path: PathBuf,
    /// The root directory that it was found below.
    pub(super) root: PathBuf,
}

/// The files that a path or name means to each of some processes; to this one if there are none.
///
/// # Errors
/// There is no such file.
pub(super) fn find(name: &str, pids: &[u32]) -> Result<Vec<Reached>, Refusal> {
    let mut found: Vec<Reached> = Vec::new();
    let mut seen = HashSet::new();
    let views: Vec<Option<u32>> = if pids.is_empty() { vec![None] } else { pids.iter().copied().map(Some).collect() };
    let mut refusal = None;
    for pid in views {
        match one(name, pid) {
            Ok(reached) => {
                let facts = std::fs::metadata(&reached.path).map(|facts| (facts.dev(), facts.ino()));
                if facts.map_or(true, |facts| seen.insert(facts)) {
                    found.push(reached);
                }
            }
            Err(why) => refusal = Some(why),
        }
    }
    match (found.is_empty(), refusal) {
        (true, Some(refusal)) => Err(refusal),
        _ => Ok(found),
    }
}

fn one(name: &str, pid: Option<u32>) -> Result<Reached, Refusal> {
    let root = pid.map_or_else(|| PathBuf::from("/"), |pid| PathBuf::from(format!("/proc/{pid}/root")));
    let of = pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
    if name.contains('/') {
        let path = absolute(name, pid)?;
        let reached = below(&root, &path);
        return match std::fs::metadata(&reached) {
            Ok(_) => Ok(settle(&path, reached, root)),
            Err(error) => Err(Refusal::new(format!("can't open '{}'{of}: {error}", path.display()))),
        };
    }
    let mapped = pid.and_then(mappings).unwrap_or_default();
    let cached = libraries(&root);
    let in_cache = |path: &&PathBuf| is_library(path, name);
    let own = mapped.iter().find(|path| is_library(path, name) || path.file_name().is_some_and(|file| file == name));
    let places = own.into_iter().chain(cached.iter().filter(in_cache)).cloned();
    let programs = PROGRAMS.iter().map(|directory| Path::new(directory).join(name));
    // The cache has libraries of other machines' word sizes, too.
    let fits = |path: &PathBuf| super::binary::Binary::open(&below(&root, path), &root).is_ok();
    if let Some(path) = places.chain(lying_about(&root, name)).chain(programs).find(fits) {
        let reached = below(&root, &path);
        return Ok(settle(&path, reached, root));
    }
    let mut known: Vec<String> = cached.iter().chain(&mapped).filter_map(|path| short(path)).collect();
    known.sort();
    known.dedup();
    let refusal = absent("library or program", name, &known);
    Err(if refusal.hint.is_some() { refusal } else { refusal.hint("give its path: '/…' or './…'") })
}

/// A path from the root; a relative one begins in the process's working directory.
fn absolute(name: &str, pid: Option<u32>) -> Result<PathBuf, Refusal> {
    let path = Path::new(name);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let directory = match pid {
        Some(pid) => std::fs::read_link(format!("/proc/{pid}/cwd")),
        None => std::env::current_dir(),
    };
    let directory = directory.map_err(|error| Refusal::new(format!("'{name}' begins nowhere: {error}")))?;
    Ok(directory.join(path).components().collect())
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The plain path if it leads to the same file.
fn settle(path: &Path, reached: PathBuf, root: PathBuf) -> Reached {
    let facts = |path: &Path| std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino())).ok();
    let same = facts(path).is_some() && facts(path) == facts(&reached);
    Reached { path: if same { path.to_owned() } else { reached }, root }
}

/// Whether a file is a library of that name: `libc` is libc.so.6, and so is `libc.so.6` or `c`.
fn is_library(path: &Path, name: &str) -> bool {
    let Some(file) = path.file_name().and_then(|file| file.to_str()) else { return false };
    let begins = |name: &str| {
        file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(".so") || rest.starts_with('.'))
    };
    file == name || (file.contains(".so") && (begins(name) || begins(&format!("lib{name}"))))
}

/// What one would call a library.
fn short(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    Some(file.split(".so").next().unwrap_or(file).to_owned())
}

/// The executable files that a process has mapped.
fn mappings(pid: u32) -> Option<Vec<PathBuf>> {
    let maps = foreign::read(Path::new(&format!("/proc/{pid}/maps")), MAX_BYTES).ok()?;
    Some(mapped(&String::from_utf8_lossy(&maps)))
}

fn mapped(maps: &str) -> Vec<PathBuf> {
    let executable = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.contains('x')));
    let paths = executable.filter_map(|line| line.get(line.find('/')?..));
    paths.map(|path| PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(path))).collect()
}

/// The libraries in the dynamic linker's cache: its texts that are paths.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let cache = foreign::read(&below(root, Path::new("/etc/ld.so.cache")), MAX_BYTES).unwrap_or_default();
    let paths = cache.split(|byte| *byte == 0).filter(|text| text.starts_with(b"/") && text.len() < 4096);
    paths.filter_map(|path| Some(PathBuf::from(std::str::from_utf8(path).ok()?))).collect()
}

/// Libraries of that name where they lie by custom, for systems without a cache.
fn lying_about(root: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in LIBRARIES {
        let Ok(entries) = std::fs::read_dir(below(root, Path::new(directory))) else { continue };
        let names = entries.flatten().map(|entry| Path::new(directory).join(entry.file_name()));
        found.extend(names.filter(|path| is_library(path, name)));
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::find;
    use super::is_library;
    use super::mapped;
    use std::path::Path;

    #[test]
    fn libraries_are_known_by_short_names() {
        for (file, name, expected) in [
            ("libc.so.6", "libc", true),
            ("libc.so.6", "libc.so.6", true),
            ("libc.so.6", "c", true),
            ("libcrypto.so.3", "libc", false),
            ("libstdc++.so.6", "stdc++", true),
            ("libpython3.11.so.1.0", "libpython3", true),
            ("bash", "bash", true),
            ("libc.conf", "libc", false),
        ] {
            assert_eq!(is_library(&Path::new("/usr/lib").join(file), name), expected, "{file} {name}");
        }
    }

    #[test]
    fn mapped_files_are_those_with_code() {
        let maps = "55d0-55d1 r--p 00000000 fe:00 1    /usr/bin/a b\n\
                    55d1-55d2 r-xp 00001000 fe:00 1    /usr/bin/a b\n\
                    7fff-8000 r-xp 00000000 00:00 0    [vdso]\n\
                    7eff-7fff r-xp 00000000 fe:00 2    /usr/lib/x.so (deleted)\n";
        assert_eq!(mapped(maps), [Path::new("/usr/bin/a b"), Path::new("/usr/lib/x.so")]);
    }

    #[test]
    fn a_file_is_found_as_a_process_sees_it() {
        let own = std::env::current_exe().unwrap();
        let path = own.to_str().unwrap();
        let here = find(path, &[]).unwrap();
        // The same file, so the plain path will do; and once, though two processes have it.
        assert_eq!(find(path, &[std::process::id(), std::process::id()]).unwrap()[0].path, own);
        assert_eq!(find(path, &[std::process::id(), std::process::id()]).unwrap().len(), 1);
        assert_eq!(here[0].path, own);
        assert!(find("/no/such/file", &[]).unwrap_err().why.starts_with("can't open '/no/such/file'"));
        let refusal = find("libnosuchthing", &[]).unwrap_err();
        assert!(refusal.why.contains("no library or program named 'libnosuchthing'") && refusal.hint.is_some());
    }
}
