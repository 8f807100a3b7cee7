//! The files that events name: by path, as libraries and programs by name, and as other processes see them.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use super::kernel::Refusal;
use super::points::absent;
use crate::host::foreign;
use crate::host::foreign::Identity;
use crate::host::locked;

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
        let unreadable = |error| Refusal::new(format!("can't open '{}'{of}: {error}", path.display()));
        return reach(&root, &path).map_err(unreadable);
    }
    let mapped = pid.and_then(mappings).unwrap_or_default();
    let cached = libraries(&root);
    let in_cache = |path: &&PathBuf| is_library(path, name);
    let own = mapped.iter().find(|path| is_library(path, name) || path.file_name().is_some_and(|file| file == name));
    let places = own.into_iter().chain(cached.iter().filter(in_cache)).cloned();
    let programs = PROGRAMS.iter().map(|directory| Path::new(directory).join(name));
    // The cache has libraries of other machines' word sizes, too.
    let fits = |reached: &Reached| super::binary::Binary::open(&reached.path, &root).is_ok();
    let all = places.chain(lying_about(&root, name)).chain(programs);
    if let Some(reached) = all.filter_map(|path| reach(&root, &path).ok()).find(fits) {
        return Ok(reached);
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

/// Finds what a path means below a root directory, whose links may be made by those who live there: none leads out of it.
fn reach(root: &Path, path: &Path) -> io::Result<Reached> {
    let reached = |path: PathBuf| Reached { path, root: root.to_owned() };
    if root == Path::new("/") {
        return foreign::open(path).map(|_| reached(path.to_owned()));
    }
    let file = foreign::open_below(root, path)?;
    let is_it = |path: &PathBuf| foreign::open(path).is_ok_and(|other| Identity::of(&other) == Identity::of(&file));
    // By the plain path, or by where that leads inside, which has no links any more.
    let inside = foreign::path_of(&file)?;
    let ways = [path.to_owned(), inside.clone(), below(root, &inside)];
    let way =
        ways.into_iter().find(is_it).ok_or_else(|| io::Error::other("it has no path that leads to it from here"))?;
    Ok(reached(way))
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
    let maps = locked::read_one(pid, Path::new(&format!("/proc/{pid}/maps")), MAX_BYTES)?;
    Some(mapped(&String::from_utf8_lossy(&maps)))
}

fn mapped(maps: &str) -> Vec<PathBuf> {
    let executable = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.contains('x')));
    let paths = executable.filter_map(|line| line.get(line.find('/')?..));
    paths.map(|path| PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(path))).collect()
}

/// The libraries in the dynamic linker's cache: its texts that are paths.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let cache = foreign::open_below(root, Path::new("/etc/ld.so.cache"));
    let cache = cache.and_then(|cache| foreign::read_up_to(cache, MAX_BYTES)).unwrap_or_default();
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
    use super::reach;
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
    fn a_link_inside_a_root_directory_does_not_lead_out_of_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("app")).unwrap();
        std::fs::write(root.join("app/server"), "theirs").unwrap();
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        link(Path::new("/app/server"), "inside");
        link(&std::env::current_exe().unwrap(), "outside");
        link(Path::new("../../../../../../../../../../etc/passwd"), "above");
        assert_eq!(reach(&root, Path::new("/inside")).unwrap().path, root.join("app/server"));
        for path in ["/outside", "/above"] {
            assert_eq!(reach(&root, Path::new(path)).unwrap_err().kind(), std::io::ErrorKind::NotFound, "{path}");
        }
        let fifo = root.join("fifo");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(reach(&root, Path::new("/fifo")).unwrap_err().to_string(), "not a regular file");
        let refusal = find(fifo.to_str().unwrap(), &[]).unwrap_err();
        assert_eq!(refusal.why, format!("can't open '{}': not a regular file", fifo.display()));
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
