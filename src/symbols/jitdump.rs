//! Names that run-time compilers leave in a jitdump file, as node does with `--perf-prof` and Java with perf's agent; the format is
//! that of Linux, tools/perf/Documentation/jitdump-specification.txt.
//!
//! A process has its dump mapped, which is how it is found. A dump is searched for the addresses that are asked for; it also has the
//! code, which is skipped.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use super::elf::u32_at;
use super::elf::u64_at;
use super::maps::Mapping;
use crate::demangle::bounded;
use crate::host::foreign;

/// `JiTD`, by a machine that writes numbers as this one does.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
/// Bytes of the file's header that mean something here, and of a record's.
const FILE_HEADER: usize = 12;
const RECORD_HEADER: usize = 16;
/// `JIT_CODE_LOAD` and `JIT_CODE_MOVE`, and their bytes before a name.
const LOAD: u32 = 0;
const MOVE: u32 = 1;
const LOAD_BYTES: usize = 40;
const MOVE_BYTES: usize = 48;
/// Bytes of a name that are read.
const MAX_NAME: u64 = 4096;
/// Records of a dump; a large server has some hundred thousand functions.
const MAX_RECORDS: u32 = 2_000_000;
/// Times that an address may be named again in one dump: bounds the work on records that all cover everything.
const MAX_NAMINGS: u32 = 1 << 20;
/// Time for one dump.
const TIME: Duration = Duration::from_secs(1);

/// The dump that a process has mapped: `jit-PID.dump`, in whatever directory.
pub(super) fn open(pid: u32, mappings: &[Mapping]) -> Option<File> {
    let is_dump = |mapping: &&Mapping| {
        let name = mapping.path.rsplit('/').next().unwrap_or_default();
        mapping.is_file() && name.starts_with("jit-") && name.ends_with(".dump")
    };
    let mapping = mappings.iter().find(is_dump)?;
    foreign::open(Path::new(&format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end))).ok()
}

/// The names of ascending addresses. Of several records for an address the last counts: memory is used again.
pub(super) fn look_up(dump: impl Read + Seek, asked: &[u64]) -> Vec<Option<String>> {
    let mut dump = BufReader::new(dump);
    let places = asked.len();
    let mut work = Work { asked, names: vec![None; places], moved: vec![None; places], left: MAX_NAMINGS };
    work.go_through(&mut dump);
    let mut moved: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, number) in work.moved.iter().enumerate().filter_map(|(at, number)| Some((at, (*number)?))) {
        moved.entry(number).or_default().push(at);
    }
    if !moved.is_empty() && dump.rewind().is_ok() {
        work.name_moved(&mut dump, &moved);
    }
    work.names
}

struct Work<'a> {
    asked: &'a [u64],
    names: Vec<Option<String>>,
    /// The number of the function that has moved to an address: it has the name of the record that loaded it.
    moved: Vec<Option<u64>>,
    left: u32,
}

impl Work<'_> {
    fn go_through(&mut self, dump: &mut (impl BufRead + Seek)) {
        each(dump, |kind, body, name| {
            let (address, size, number) = match kind {
                LOAD => (u64_at(body, 16)?, u64_at(body, 24)?, None),
                _ => (u64_at(body, 24)?, u64_at(body, 32)?, Some(u64_at(body, 40)?)),
            };
            let first = self.asked.partition_point(|asked| *asked < address);
            let inside = self.asked.iter().enumerate().skip(first).take_while(|(_, asked)| **asked - address < size);
            for (at, _) in inside {
                self.left = self.left.checked_sub(1)?;
                *self.names.get_mut(at)? = number.is_none().then(|| bounded(&name()));
                *self.moved.get_mut(at)? = number;
            }
            Some(())
        });
    }

    fn name_moved(&mut self, dump: &mut (impl BufRead + Seek), moved: &HashMap<u64, Vec<usize>>) {
        each(dump, |kind, body, name| {
            for at in moved.get(&u64_at(body, 32)?).filter(|_| kind == LOAD).into_iter().flatten() {
                self.left = self.left.checked_sub(1)?;
                *self.names.get_mut(*at)? = Some(bounded(&name()));
            }
            Some(())
        });
    }
}

/// Visits the records that load or move a function: the record, and what gives its name. Ends where something is wrong, or where
/// `visit` gives `None`.
fn each(dump: &mut (impl BufRead + Seek), mut visit: impl FnMut(u32, &[u8], &dyn Fn() -> String) -> Option<()>) {
    let end = Instant::now() + TIME;
    let mut go = || {
        let head: [u8; FILE_HEADER] = bytes(dump)?;
        if u32_at(&head, 0)? != MAGIC || u32_at(&head, 4)? != VERSION {
            return None;
        }
        skip(dump, u64::from(u32_at(&head, 8)?).checked_sub(FILE_HEADER as u64)?)?;
        for _ in 0..MAX_RECORDS {
            let header: [u8; RECORD_HEADER] = bytes(dump)?;
            let mut left = u64::from(u32_at(&header, 4)?).checked_sub(RECORD_HEADER as u64)?;
            match u32_at(&header, 0)? {
                LOAD => {
                    let body: [u8; LOAD_BYTES] = bytes(dump)?;
                    left = left.checked_sub(LOAD_BYTES as u64)?;
                    let mut name = Vec::new();
                    dump.take(left.min(MAX_NAME)).read_until(0, &mut name).ok()?;
                    left -= name.len() as u64;
                    let text = || String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(&name)).into_owned();
                    visit(LOAD, &body, &text)?;
                }
                MOVE => {
                    let body: [u8; MOVE_BYTES] = bytes(dump)?;
                    left = left.checked_sub(MOVE_BYTES as u64)?;
                    visit(MOVE, &body, &String::new)?;
                }
                _ => {}
            }
            skip(dump, left)?;
            if Instant::now() > end {
                return None;
            }
        }
        Some(())
    };
    let _: Option<()> = go();
}

fn bytes<const N: usize>(dump: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    dump.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn skip(dump: &mut impl Seek, size: u64) -> Option<()> {
    dump.seek_relative(i64::try_from(size).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::look_up;
    use std::io::Cursor;

    fn record(kind: u32, numbers: &[u64], name: &str, code: usize) -> Vec<u8> {
        let name = if kind == 0 { [name.as_bytes(), b"\0"].concat() } else { Vec::new() };
        let size = 16 + 8 + 8 * numbers.len() + name.len() + code;
        let mut bytes =
            [kind.to_le_bytes(), (size as u32).to_le_bytes(), [0; 4], [0; 4], [1, 0, 0, 0], [1, 0, 0, 0]].concat();
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(name);
        bytes.resize(size, 0xcc);
        bytes
    }

    fn load(address: u64, size: u64, number: u64, name: &str) -> Vec<u8> {
        record(0, &[address, address, size, number], name, size as usize)
    }

    fn dump(records: &[Vec<u8>]) -> Cursor<Vec<u8>> {
        let mut bytes = [0x4a69_5444_u32, 1, 40, 62, 0, 1, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
        bytes.extend(records.concat());
        Cursor::new(bytes)
    }

    #[test]
    fn a_function_has_its_name_from_its_first_address_to_its_last_and_the_last_record_counts() {
        let records = [
            load(0x1000, 0x20, 1, "first"),
            record(4, &[0; 4], "", 99),
            load(0x2000, 0x10, 2, "old"),
            load(0x2000, 0x10, 3, "new"),
        ];
        let found = look_up(dump(&records), &[0xfff, 0x1000, 0x101f, 0x1020, 0x2008]);
        let names: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(names, [None, Some("first"), Some("first"), None, Some("new")]);
    }

    #[test]
    fn a_function_that_has_moved_has_its_name_where_it_is() {
        let moved = record(1, &[0, 0x1000, 0x3000, 0x20, 7], "", 0);
        let records = [load(0x3000, 0x20, 6, "before"), load(0x1000, 0x20, 7, "moved"), moved];
        assert_eq!(look_up(dump(&records), &[0x3010]), [Some("moved".to_owned())]);
        let records = [records.concat(), load(0x3000, 0x20, 8, "after")];
        assert_eq!(look_up(dump(&records), &[0x3010]), [Some("after".to_owned())]);
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_size_names_what_came_before() {
        let whole = dump(&[load(0x1000, 0x20, 1, "first"), load(0x2000, 0x20, 2, "second")]).into_inner();
        for length in 0..whole.len() {
            let found = look_up(Cursor::new(whole[..length].to_vec()), &[0x1000, 0x2000]);
            assert!(found[0].as_deref().is_none_or(|name| "first".starts_with(name)), "{found:?}");
        }
        for size in [0, 1, 15, 16, 17, u32::MAX] {
            let mut lying = load(0x1000, 0x20, 1, "first");
            lying[4..8].copy_from_slice(&size.to_le_bytes());
            _ = look_up(dump(&[lying, load(0x2000, 8, 2, "second")]), &[0, 0x1000, 0x2000, u64::MAX]);
        }
    }
}
