//! Names that run-time compilers leave in /tmp/perf-PID.map: `start size name` a line, in hexadecimal; else those of a jitdump.
//!
//! A map is read through for the addresses that are asked for, and nothing of it is kept: a large server's has ten megabytes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::jitdump;
use super::maps;
use crate::demangle::bounded;
use crate::host::foreign;
use crate::host::foreign::Identity;
use crate::host::process_stat::ProcessStat;
use crate::host::watch::Suspect;
use crate::host::watch::Watch;

/// Bytes of a map that are read; a large server's has some ten million.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes of all maps that are read in one look.
const MAX_TOTAL: u64 = 128 << 20;
/// Bytes of a line that are kept; longer ones have a name of which that much is shown.
const MAX_LINE: u64 = 4096;
/// Times that an address may be named again in one map: bounds the work on lines that all cover everything.
const MAX_NAMINGS: u32 = 1 << 20;
/// Processes whose maps and dumps are held open.
const MAX_PROCESSES: usize = 256;
/// Bytes of /proc/PID/status.
const MAX_STATUS: usize = 64 << 10;

/// The names of generated code by process and address; those without one are left out.
pub(super) type Names = HashMap<(u32, u64), String>;

/// What the run-time compilers of processes have left, opened while they run: some write it when they end.
#[derive(Default)]
pub(super) struct Sources {
    of: HashMap<u32, JitFiles>,
    /// Looks so far.
    looks: u64,
}

/// The map and the dump that the compilers of a process have written.
struct JitFiles {
    /// When the process began: another one may have its id by now.
    start: u64,
    /// The last look that asked for it.
    latest: u64,
    map: Option<Opened>,
    dump: Option<Opened>,
}

struct Opened {
    file: File,
    identity: Identity,
}

/// A map, and the addresses and processes that are looked for in it.
struct Map<'a> {
    file: &'a File,
    size: u64,
    asked: Vec<(u64, u32)>,
}

impl Sources {
    /// Whether there are so many processes that soon no more would be looked at.
    pub(super) fn is_half_full(&self) -> bool {
        self.of.len() > MAX_PROCESSES / 2
    }

    /// Whether a process has left something, in which there may be more later.
    pub(super) fn has(&self, pid: u32) -> bool {
        self.of.get(&pid).is_some_and(|source| source.map.is_some() || source.dump.is_some())
    }

    /// Looks up addresses of generated code in the maps and dumps of their processes. Maps that several processes share are read
    /// once, the small ones first.
    pub(super) fn names(&mut self, asked: &BTreeMap<u32, Vec<u64>>, watch: &Watch) -> Names {
        asked.keys().for_each(|pid| self.open(*pid, watch));
        let mut maps: HashMap<Identity, Map<'_>> = HashMap::new();
        for (pid, addresses) in asked {
            let Some(Opened { file, identity }) = self.of.get(pid).and_then(|source| source.map.as_ref()) else {
                continue;
            };
            let size = file.metadata().map_or(0, |facts| facts.len());
            let map = maps.entry(*identity).or_insert_with(|| Map { file, size, asked: Vec::new() });
            map.asked.extend(addresses.iter().map(|address| (*address, *pid)));
        }
        let mut maps: Vec<_> = maps.into_iter().collect();
        maps.sort_by_key(|(_, map)| map.size);
        let (mut found, mut left) = (Names::new(), MAX_TOTAL);
        for (identity, Map { mut file, size, mut asked }) in maps {
            let part = size.min(MAX_BYTES);
            let Some(rest) = left.checked_sub(part) else { break };
            left = rest;
            asked.sort_unstable();
            let read = || {
                file.rewind().ok()?;
                Some(look_up(BufReader::new(file.take(part)), &asked))
            };
            let Some(names) = watch.look(Suspect::File(identity), read) else { continue };
            let named = asked.iter().zip(names).filter_map(|((address, pid), name)| Some(((*pid, *address), name?)));
            found.extend(named);
        }
        for (pid, addresses) in asked {
            let missing: BTreeSet<u64> =
                addresses.iter().copied().filter(|address| !found.contains_key(&(*pid, *address))).collect();
            if missing.is_empty() {
                continue;
            }
            if let Some(Opened { file, identity }) = self.dump(*pid, watch) {
                let missing: Vec<u64> = missing.into_iter().collect();
                let read = || {
                    (&mut &*file).rewind().ok()?;
                    Some(jitdump::look_up(file, &missing))
                };
                let names = watch.look(Suspect::File(*identity), read).unwrap_or_default();
                found.extend(missing.iter().zip(names).filter_map(|(address, name)| Some(((*pid, *address), name?))));
            }
        }
        found
    }

    /// Opens the map of a process, unless it is open. What a process has left that is gone stays open, as long as there is room.
    fn open(&mut self, pid: u32, watch: &Watch) {
        let Some(start) = watch.look(Suspect::Process(pid), || started(pid)) else { return };
        self.of.retain(|known, source| *known != pid || source.start == start);
        if self.of.len() >= MAX_PROCESSES
            && !self.of.contains_key(&pid)
            && let Some(oldest) = self.of.iter().min_by_key(|(_, source)| source.latest).map(|(pid, _)| *pid)
        {
            self.of.remove(&oldest);
        }
        self.looks += 1;
        let source = self.of.entry(pid).or_insert(JitFiles { start, latest: 0, map: None, dump: None });
        source.latest = self.looks;
        if source.map.is_none() {
            source.map = watch.look(Suspect::Process(pid), || open(pid));
        }
    }

    /// The dump of a process whose map has been opened before, if it has one.
    fn dump(&mut self, pid: u32, watch: &Watch) -> Option<&Opened> {
        let source = self.of.get_mut(&pid)?;
        if source.dump.is_none() {
            let mapped = || jitdump::open(pid, &maps::of_process(pid)?.mappings).and_then(Opened::new);
            source.dump = watch.look(Suspect::Process(pid), mapped);
        }
        source.dump.as_ref()
    }
}

/// When a process began, in ticks since the machine did; `None` when it has gone.
fn started(pid: u32) -> Option<u64> {
    let stat = foreign::read(Path::new(&format!("/proc/{pid}/stat")), MAX_STATUS).ok()?;
    ProcessStat::parse(&stat).map(|stat| stat.start_ticks)
}

impl Opened {
    fn new(file: File) -> Option<Opened> {
        Some(Opened { identity: Identity::of(&file)?, file })
    }
}

/// The map of a process, in its own file system and by the process id that it has there. Its owner, or root, must have made
/// it: everyone may write to /tmp.
fn open(pid: u32) -> Option<Opened> {
    let status = foreign::read(Path::new(&format!("/proc/{pid}/status")), MAX_STATUS).ok()?;
    let status = String::from_utf8_lossy(&status);
    let words = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::split_whitespace);
    let inner: u32 = words("NSpid:")?.next_back()?.parse().ok()?;
    let owner: u32 = words("Uid:")?.nth(1)?.parse().ok()?;
    let file = foreign::open_in_root_of(pid, Path::new(&format!("/tmp/perf-{inner}.map"))).ok()?;
    let facts = file.metadata().ok()?;
    let is_theirs = facts.uid() == owner || facts.uid() == 0;
    if is_theirs { Opened::new(file) } else { None }
}

/// The names of ascending addresses. Of several lines for an address the last counts: a compiler appends, and reuses memory.
pub(super) fn look_up(mut map: impl BufRead, asked: &[(u64, u32)]) -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = vec![None; asked.len()];
    let mut line = Vec::new();
    let mut left = MAX_NAMINGS;
    while map.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let is_whole = line.last() == Some(&b'\n');
        if let Some((start, end, name)) = function(line.trim_ascii_end()) {
            let first = asked.partition_point(|(address, _)| *address < start);
            let inside = asked.iter().zip(&mut names).skip(first).take_while(|((address, _), _)| *address < end);
            for (_, slot) in inside {
                let Some(rest) = left.checked_sub(1) else { return vec![None; asked.len()] };
                left = rest;
                *slot = Some(bounded(&String::from_utf8_lossy(name)));
            }
        }
        line.clear();
        // The rest of a line that is too long is not a line of its own.
        if !is_whole && map.skip_until(b'\n').is_err() {
            break;
        }
    }
    names
}

fn function(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let word = str::from_utf8(words.next()?).ok()?;
        u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    Some((start, start.checked_add(size)?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::JitFiles;
    use super::MAX_PROCESSES;
    use super::Opened;
    use super::Sources;
    use super::look_up;
    use crate::host::watch::Watch;
    use std::collections::BTreeMap;

    fn named(map: &[u8], addresses: &[u64]) -> Vec<Option<String>> {
        look_up(map, &addresses.iter().map(|address| (*address, 1)).collect::<Vec<_>>())
    }

    #[test]
    fn a_compiled_function_is_found_by_any_address_in_it() {
        let map = b"7f10 20 LazyCompile:~f a.js:1\nrubbish\n0x7f00 8 g\n7f10 20 newer";
        let names = named(map, &[0x7f07, 0x7f08, 0x7f2f, 0x7f30]);
        assert_eq!(names, [Some("g".to_owned()), None, Some("newer".to_owned()), None]);
    }

    #[test]
    fn a_later_line_covers_an_earlier_one_that_begins_behind_it() {
        assert_eq!(named(b"400 40 old_small\n3c0 200 new_large\n", &[0x410]), [Some("new_large".to_owned())]);
        assert_eq!(named(b"3c0 200 old_large\n400 40 new_small\n", &[0x410]), [Some("new_small".to_owned())]);
    }

    #[test]
    fn a_line_without_end_is_one_function_with_a_cut_name() {
        let map = [b"10 10 ".to_vec(), vec![b'x'; 100_000], b" 20 10 y\n30 10 z\n".to_vec()].concat();
        let names = named(&map, &[0x10, 0x20, 0x30]);
        assert!(names[0].as_deref().is_some_and(|name| name.ends_with('…') && name.len() < 1100), "{names:?}");
        assert_eq!((names[1].as_deref(), names[2].as_deref()), (None, Some("z")));
    }

    #[test]
    fn a_process_that_has_the_id_of_an_earlier_one_is_not_named_by_what_that_has_left() {
        let left = |name: &str| {
            let file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut &file, format!("1000 100 {name}\n").as_bytes()).unwrap();
            Opened::new(file)
        };
        let gone = u32::MAX - 1;
        let mut sources = Sources::default();
        for pid in [std::process::id(), gone] {
            sources.of.insert(pid, JitFiles { start: 1, latest: 0, map: left("earlier"), dump: None });
        }
        let asked: BTreeMap<u32, Vec<u64>> = [std::process::id(), gone].map(|pid| (pid, vec![0x1010])).into();
        let names = sources.names(&asked, &Watch::default());
        assert_eq!(names.get(&(std::process::id(), 0x1010)), None);
        assert_eq!(names.get(&(gone, 0x1010)).map(String::as_str), Some("earlier"));
    }

    #[test]
    fn no_more_files_are_held_open_than_for_so_many_processes_and_the_latest_are() {
        let mut sources = Sources::default();
        for number in 0..MAX_PROCESSES as u32 {
            let source = JitFiles { start: 1, latest: number.into(), map: None, dump: None };
            sources.of.insert(u32::MAX - 1 - number, source);
        }
        sources.looks = MAX_PROCESSES as u64;
        _ = sources.names(&[(std::process::id(), vec![0x1010])].into(), &Watch::default());
        assert_eq!(sources.of.len(), MAX_PROCESSES);
        assert!(sources.of.contains_key(&std::process::id()) && !sources.of.contains_key(&(u32::MAX - 1)));
    }
}
