//! The copies of libssl on this machine: those that lie where distributions put them, and those that processes have mapped.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use libbpf_rs::Link;
use object::Object;
use object::ObjectSymbol;
use object::ReadCache;
use object::ReadRef;

use crate::bpf::frames;
use crate::bpf::live::Live;
use crate::exits::Exit;
use crate::exits::Program;
use crate::exits::boundaries;
use crate::host::code_file::CodeFile;
use crate::host::foreign;
use crate::host::foreign::Identity;

/// Where distributions and those who build for themselves put libraries.
const DIRECTORIES: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];
/// How the library's file name begins; `.so` follows, or what a Python wheel puts between to tell its own copy from others.
const NAME: &str = "libssl";
/// The functions that begin and end a connection, with their programs.
const LIVES: [(&str, &str); 2] = [("SSL_new", "ssl_new"), ("SSL_free", "ssl_free")];
/// The functions that move bytes, with the programs at their entries. The variants in _ex came with OpenSSL 1.1.1, SSL_sendfile with
/// 3.0.
const MOVES: [(&str, &str); 5] = [
    ("SSL_read", "ssl_read"),
    ("SSL_write", "ssl_write"),
    ("SSL_read_ex", "ssl_read_ex"),
    ("SSL_write_ex", "ssl_write_ex"),
    ("SSL_sendfile", "ssl_sendfile"),
];
/// The program at their exits.
const DONE: &str = "ssl_done";
/// Libraries that are looked at in a recording, and bytes of one, which has less than one million usually: any user can map files of
/// that name.
const MAX_LIBRARIES: usize = 64;
const MAX_FILE: u64 = 16 << 20;
/// Bytes of the list of a process's mappings that are read.
const MAX_MAPS: u64 = 16 << 20;
/// A process maps its libraries soon after it starts; at the ends of that many intervals it is looked at.
const LOOKS: u8 = 3;

/// What the programs are attached to so far.
pub(super) struct Libraries {
    /// Whether attachments have cookies.
    cookies: bool,
    /// At the functions' entries: these go first.
    entries: Vec<Link>,
    others: Vec<Link>,
    seen: HashSet<Identity>,
    looks: HashMap<u32, u8>,
}

/// A function that moves bytes.
struct Move {
    program: &'static str,
    entry: (u64, u64),
    exits: Vec<(u64, u64)>,
}

impl Libraries {
    /// None yet. `cookies`: attachments have them on this kernel.
    pub(super) fn new(cookies: bool) -> Libraries {
        Libraries { cookies, entries: Vec::new(), others: Vec::new(), seen: HashSet::new(), looks: HashMap::new() }
    }

    /// Attaches to the libraries that are not known yet; gives what could not be attached, with the reason.
    pub(super) fn attach_new(&mut self, live: &Live) -> Vec<String> {
        let mut refused = Vec::new();
        let first = self.seen.is_empty() && self.looks.is_empty();
        let lying = if first { lying_about() } else { Vec::new() };
        let lying = lying.into_iter().map(|path| (foreign::open(&path), path));
        // As the process sees them: it may have another root directory.
        let mapped = self.newly_mapped();
        let mapped = mapped.into_iter().map(|(pid, path)| (foreign::open_in_root_of(pid, &path), path));
        for (file, path) in lying.chain(mapped) {
            let Ok(file) = file else { continue };
            if self.seen.len() < MAX_LIBRARIES
                && Identity::of(&file).is_some_and(|file| self.seen.insert(file))
                && let Err(error) = self.attach(live, file)
            {
                refused.push(format!("TLS by '{}': {error:#}", path.display()));
            }
        }
        refused
    }

    /// Attaches to all functions of a library, or to none: of a connection that is seen in part, nothing would be known. What
    /// processes do with a library that is left out is counted as TLS by an unknown library.
    fn attach(&mut self, live: &Live, file: File) -> Result<()> {
        ensure!(file.metadata()?.len() <= MAX_FILE, "it has more than {} MiB", MAX_FILE >> 20);
        let library = CodeFile::of(file)?;
        let cache = ReadCache::new(library.file());
        let functions = functions(&cache)?;
        let program = Program::read(&cache)?;
        let mut moves = Vec::new();
        for (name, at_entry) in MOVES {
            // Of an older library.
            let Some(&(address, size)) = functions.get(name) else { continue };
            moves.push(self.movement(&program, at_entry, address, size).with_context(|| name)?);
        }
        ensure!(moves.len() >= 2, "it has no SSL_read and SSL_write");
        let path = library.path();
        let mut links = Vec::new();
        for (name, at_entry) in LIVES {
            let place = functions.get(name).and_then(|(address, _)| program.offset(*address));
            let place = place.with_context(|| format!("it has no {name}"))?;
            links.append(&mut live.attach_in_file(at_entry, &path, &[(place, 0)])?);
        }
        for one in &moves {
            links.append(&mut live.attach_in_file(DONE, &path, &one.exits)?);
        }
        for one in &moves {
            self.entries.append(&mut live.attach_in_file(one.program, &path, &[one.entry])?);
        }
        self.others.append(&mut links);
        Ok(())
    }

    fn movement(&self, program: &Program<'_>, at_entry: &'static str, address: u64, size: Option<u64>) -> Result<Move> {
        let boundaries = boundaries(program, address, size)?;
        let pairing = boundaries.pairing;
        let shares = boundaries.exits.iter().any(|exit| exit.is_shared);
        ensure!(!shares || self.cookies, "it shares exits with other functions, which needs Linux 5.15");
        let moved = frames::entry_place(0, pairing, shares, boundaries.entry.stack_delta).filter(|_| self.cookies);
        let entry = match (moved, program.offset(address)) {
            (Some(cookie), _) => (boundaries.entry.offset, cookie),
            (None, Some(first)) => (first, frames::exit_place(0, pairing, shares)),
            (None, None) => bail!("its code is not in the file"),
        };
        let exit = |exit: &Exit| (exit.offset, frames::exit_place(0, pairing, exit.is_shared));
        Ok(Move { program: at_entry, entry, exits: boundaries.exits.iter().map(exit).collect() })
    }

    /// A process speaks TLS without a library that is known: it is looked at again when the interval ends.
    pub(super) fn look_again(&mut self, pid: u32) {
        self.looks.remove(&pid);
    }

    /// Libraries of the processes that are to be looked at.
    fn newly_mapped(&mut self) -> Vec<(u32, PathBuf)> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids: HashSet<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        self.looks.retain(|pid, _| pids.contains(pid));
        let mut found = Vec::new();
        for pid in pids {
            let looks = self.looks.entry(pid).or_default();
            if *looks >= LOOKS {
                continue;
            }
            *looks += 1;
            let Ok(maps) = foreign::open(Path::new(&format!("/proc/{pid}/maps"))) else { continue };
            found.extend(mapped(BufReader::new(maps.take(MAX_MAPS))).into_iter().map(|path| (pid, path)));
        }
        found
    }
}

impl Drop for Libraries {
    /// Each takes the kernel a quarter of a second, most of it spent waiting: so side by side.
    fn drop(&mut self) {
        for links in [&mut self.entries, &mut self.others] {
            std::thread::scope(|scope| {
                for link in links.drain(..) {
                    scope.spawn(move || drop(link));
                }
            });
        }
    }
}

/// The functions that the library exports and a program is attached to: address, and size where it is known.
fn functions<'data>(file: impl ReadRef<'data>) -> Result<HashMap<&'data str, (u64, Option<u64>)>> {
    let elf = object::File::parse(file)?;
    let wanted = |name: &str| LIVES.iter().chain(&MOVES).any(|(function, _)| *function == name);
    let symbols = elf.dynamic_symbols().chain(elf.symbols()).filter(|symbol| symbol.is_definition());
    let named = symbols.filter_map(|symbol| Some((symbol.name().ok()?, symbol)));
    let found = named.filter(|(name, _)| wanted(name));
    Ok(found.map(|(name, symbol)| (name, (symbol.address(), Some(symbol.size()).filter(|size| *size > 0)))).collect())
}

fn lying_about() -> Vec<PathBuf> {
    let entries = DIRECTORIES.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let names = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    names.filter(|path| is_libssl(path)).collect()
}

fn is_libssl(path: &Path) -> bool {
    let rest = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(NAME));
    rest.is_some_and(|rest| rest.starts_with(".so") || (rest.starts_with('-') && rest.contains(".so")))
}

/// The library's paths in the text of /proc/PID/maps: a package may bring its own copy beside the system's.
fn mapped(maps: impl BufRead) -> BTreeSet<PathBuf> {
    let path = |line: Vec<u8>| {
        let begin = line.iter().position(|byte| *byte == b'/')?;
        let path = Path::new(OsStr::from_bytes(line.get(begin..)?));
        is_libssl(path).then(|| path.to_owned())
    };
    maps.split(b'\n').map_while(Result::ok).filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::mapped;

    #[test]
    fn the_library_is_found_among_what_a_process_has_mapped() {
        let maps = "55d0-55d1 r-xp 00000000 fe:00 1 /usr/sbin/nginx\n\
                    7eff-7fff r--p 00000000 fe:00 2      /usr/lib/x86_64-linux-gnu/libssl.so.3\n\
                    7fff-8000 rw-p 00000000 00:00 0      [stack]\n";
        let mapped = |maps: &str| mapped(maps.as_bytes());
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let system = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
        assert_eq!(mapped(maps), paths(&[system]));
        assert_eq!(mapped("7eff-7fff r-xp 00000000 fe:00 2 /usr/lib/libssl3.so\n"), paths(&[]), "that is NSS");
        let wheel = "/venv/psycopg2_binary.libs/libssl-0b1ee1c1.so.1.1";
        let both = format!("{maps}7eff-7fff r-xp 00000000 fe:00 2 {wheel}\n");
        assert_eq!(mapped(&both), paths(&[system, wheel]));
    }
}
