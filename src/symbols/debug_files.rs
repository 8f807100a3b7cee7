//! Where a file's symbols and debug information may be but in the file itself, on this machine: nothing is fetched.

use std::fs::File;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use lzma_rust2::XzReader;
use rustix::fs::MemfdFlags;

use super::elf::Elf;
use super::functions::text;
use super::sections::Sections;
use crate::host::foreign;
use crate::host::invoker::Invoker;
use crate::host::root::Root;

/// The section that names the file with the debug information, and the one that has a compressed ELF file of symbols.
const DEBUG_LINK: &str = ".gnu_debuglink";
const MINI_DEBUG_INFO: &str = ".gnu_debugdata";
/// Bytes of such a file, and memory to unpack it in: xz(1) takes 9 MiB unless it is told to try harder.
const MAX_MINI_DEBUG_INFO: u64 = 16 << 20;
const MAX_UNPACKER_KIB: u32 = 12 << 10;
/// The directory of separate debug information.
const EVERYWHERE: &str = "/usr/lib/debug";
/// The user who owns the machine's own files.
const ROOT: u32 = 0;

/// The files, each opened when it is asked for. `elf` is of the file `opened`, which has this path if it has one here. A file outside of
/// root's own directories must belong to root or to `owner`; in a cache of debug information it may belong to the user who records.
pub(super) fn of<'a>(opened: &'a File, elf: &'a Elf, path: Option<&'a Path>, owner: u32) -> impl Iterator<Item = File> {
    let sources: [Box<dyn FnOnce() -> Option<File> + 'a>; 4] = [
        Box::new(|| mini_debug_info(opened)),
        Box::new(|| by_build_id(elf)),
        Box::new(move || beside(opened, elf, path?, owner)),
        Box::new(move || cached(elf, owner)),
    ];
    sources.into_iter().filter_map(|open| open())
}

/// The symbols that a stripped file still has (`.gnu_debugdata`: an ELF file, compressed by xz(1)).
fn mini_debug_info(file: &File) -> Option<File> {
    let section = Sections::read(file)?.named(MINI_DEBUG_INFO)?;
    let mut packed = file.try_clone().ok()?;
    packed.seek(SeekFrom::Start(section.offset)).ok()?;
    let packed = BufReader::new(packed.take(section.size.min(MAX_MINI_DEBUG_INFO)));
    let mut unpacked = XzReader::new_mem_limit(packed, false, MAX_UNPACKER_KIB).take(MAX_MINI_DEBUG_INFO);
    let mut found = File::from(rustix::fs::memfd_create("symbols", MemfdFlags::CLOEXEC).ok()?);
    std::io::copy(&mut unpacked, &mut found).ok()?;
    Some(found)
}

/// The separate debug information of a build id, where distributions put it.
fn by_build_id(elf: &Elf) -> Option<File> {
    let build_id = elf.build_id.as_deref()?;
    let (directory, rest) = (build_id.get(..2)?, build_id.get(2..)?);
    foreign::open(Path::new(&format!("{EVERYWHERE}/.build-id/{directory}/{rest}.debug"))).ok()
}

/// The separate debug information that a file names (`.gnu_debuglink`), where gdb looks for it.
fn beside(opened: &File, elf: &Elf, path: &Path, owner: u32) -> Option<File> {
    let name = text(opened, Sections::read(opened)?.named(DEBUG_LINK)?.offset)?;
    if name.contains('/') || name == ".." {
        return None;
    }
    let directory = path.parent()?;
    let everywhere = Path::new(EVERYWHERE).join(directory.strip_prefix("/").ok()?);
    let places = [directory.join(&name), directory.join(".debug").join(&name), everywhere.join(&name)];
    places.iter().find_map(|place| fitting(place, elf, &[ROOT, owner]))
}

/// What debuginfod clients have fetched before (debuginfod_find_debuginfo(3)), for the user who records or who called sudo.
fn cached(elf: &Elf, owner: u32) -> Option<File> {
    let build_id = elf.build_id.as_deref()?;
    CACHES.iter().find_map(|(cache, user)| fitting(&cache.join(build_id).join("debuginfo"), elf, &[ROOT, owner, *user]))
}

/// The caches and the users whose they are.
static CACHES: LazyLock<Vec<(PathBuf, u32)>> = LazyLock::new(|| {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let euid = rustix::process::geteuid().as_raw();
    let invoker = Invoker::read(&Root::system(), euid, |name| std::env::var(name).ok());
    let user = invoker.as_ref().map_or(euid, |invoker| invoker.uid);
    let named = variable("DEBUGINFOD_CACHE_PATH");
    let below = variable("XDG_CACHE_HOME").map(|caches| caches.join("debuginfod_client"));
    let homes = [invoker.and_then(|invoker| invoker.home), variable("HOME")];
    let at_home = homes.into_iter().flatten().map(|home| home.join(".cache/debuginfod_client"));
    named.into_iter().chain(below).chain(at_home).map(|cache| (cache, user)).collect()
});

/// A file that has the same build id and that one of these users made.
fn fitting(path: &Path, elf: &Elf, users: &[u32]) -> Option<File> {
    let found = foreign::open(path).ok()?;
    let is_theirs = users.contains(&found.metadata().ok()?.uid());
    (is_theirs && Elf::read(&found)?.build_id == elf.build_id).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::MAX_MINI_DEBUG_INFO;
    use super::mini_debug_info;
    use std::fs::File;
    use std::path::Path;
    use std::process::Command;

    fn run(shell: &str, dir: &Path) {
        assert!(Command::new("sh").args(["-ec", shell]).current_dir(dir).status().unwrap().success(), "{shell}");
    }

    #[test]
    fn what_unpacks_to_more_than_symbols_take_is_cut_and_takes_no_more_memory() {
        let dir = tempfile::tempdir().unwrap();
        run("echo 'int main(void) { return 0; }' > a.c; cc -o program a.c", dir.path());
        for (level, expected) in [("-6", Some(MAX_MINI_DEBUG_INFO)), ("-9", None)] {
            let pack = format!("head -c 64M /dev/zero | xz {level} > packed");
            run(&format!("{pack}; objcopy --add-section .gnu_debugdata=packed program bomb"), dir.path());
            let unpacked = mini_debug_info(&File::open(dir.path().join("bomb")).unwrap());
            assert_eq!(unpacked.map(|file| file.metadata().unwrap().len()), expected, "{level}");
        }
    }
}
