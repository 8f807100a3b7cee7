//! The copies of libssl on this machine: those that lie where distributions put them, and those that processes have mapped.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use libbpf_rs::Link;

use crate::bpf::live::Live;
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
/// The programs, what they are attached to, and whether at the return. The variants in _ex came with
/// OpenSSL 1.1.1, SSL_sendfile with 3.0.
const FUNCTIONS: [(&str, &str, bool); 12] = [
    ("ssl_new", "SSL_new", false),
    ("ssl_free", "SSL_free", false),
    ("ssl_read", "SSL_read", false),
    ("ssl_done", "SSL_read", true),
    ("ssl_write", "SSL_write", false),
    ("ssl_done", "SSL_write", true),
    ("ssl_read_ex", "SSL_read_ex", false),
    ("ssl_done", "SSL_read_ex", true),
    ("ssl_write_ex", "SSL_write_ex", false),
    ("ssl_done", "SSL_write_ex", true),
    ("ssl_sendfile", "SSL_sendfile", false),
    ("ssl_done", "SSL_sendfile", true),
];
/// Bytes of the list of a process's mappings: with more of them it does without.
const MAX_MAPS: usize = 16 << 20;
/// A process maps its libraries soon after it starts; at the ends of that many intervals it is looked at.
const LOOKS: u8 = 3;

/// What the programs are attached to so far.
#[derive(Default)]
pub(super) struct Libraries {
    links: Vec<Link>,
    seen: HashSet<Identity>,
    looks: HashMap<u32, u8>,
}

impl Libraries {
    /// Attaches to the libraries that are not known yet; gives what could not be attached, with the reason.
    pub(super) fn attach_new(&mut self, live: &Live) -> Vec<String> {
        let mut refused = Vec::new();
        let first = self.seen.is_empty() && self.looks.is_empty();
        let lying = if first { lying_about() } else { Vec::new() };
        for path in lying.into_iter().chain(self.newly_mapped()) {
            let Ok(file) = foreign::open(&path) else { continue };
            if Identity::of(&file).is_some_and(|file| self.seen.insert(file)) {
                self.attach(live, &path, &mut refused);
            }
        }
        refused
    }

    /// A process speaks TLS without a library that is known: it is looked at again when the interval ends.
    pub(super) fn look_again(&mut self, pid: u32) {
        self.looks.remove(&pid);
    }

    fn attach(&mut self, live: &Live, path: &Path, refused: &mut Vec<String>) {
        for (program, function, at_return) in FUNCTIONS {
            match live.attach_function(program, path, function, at_return) {
                Ok(link) => self.links.push(link),
                Err(_) if function.ends_with("_ex") || function == "SSL_sendfile" => {}
                Err(error) => refused.push(format!("{function} of {}: {error:#}", path.display())),
            }
        }
    }

    /// Libraries of the processes that are to be looked at, as this process can open them.
    fn newly_mapped(&mut self) -> Vec<PathBuf> {
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
            let Ok(maps) = foreign::read(Path::new(&format!("/proc/{pid}/maps")), MAX_MAPS) else { continue };
            let maps = String::from_utf8_lossy(&maps);
            // As the process sees them: it may live in a file system of its own.
            found.extend(mapped(&maps).into_iter().map(|path| PathBuf::from(format!("/proc/{pid}/root{path}"))));
        }
        found
    }
}

impl Drop for Libraries {
    /// Each takes the kernel a quarter of a second, most of it spent waiting: so side by side.
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            for link in self.links.drain(..) {
                scope.spawn(move || drop(link));
            }
        });
    }
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
fn mapped(maps: &str) -> BTreeSet<&str> {
    let paths = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    paths.filter(|path| is_libssl(Path::new(path))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::mapped;

    #[test]
    fn the_library_is_found_among_what_a_process_has_mapped() {
        let maps = "55d0-55d1 r-xp 00000000 fe:00 1 /usr/sbin/nginx\n\
                    7eff-7fff r--p 00000000 fe:00 2      /usr/lib/x86_64-linux-gnu/libssl.so.3\n\
                    7fff-8000 rw-p 00000000 00:00 0      [stack]\n";
        let system = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
        assert_eq!(mapped(maps), BTreeSet::from([system]));
        assert_eq!(mapped("7eff-7fff r-xp 00000000 fe:00 2 /usr/lib/libssl3.so\n"), BTreeSet::new(), "that is NSS");
        let wheel = "/venv/psycopg2_binary.libs/libssl-0b1ee1c1.so.1.1";
        let both = format!("{maps}7eff-7fff r-xp 00000000 fe:00 2 {wheel}\n");
        assert_eq!(mapped(&both), BTreeSet::from([system, wheel]));
    }
}
