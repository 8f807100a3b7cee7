//! Names that say nothing of anyone: those of programs, libraries and directories that common systems have.
//!
//! The lists are data, a name a line, made of what Debian packages install and of well-known servers, runtimes and their threads.

use std::collections::HashSet;

/// Bytes of a name that the kernel keeps of a thread.
const COMM_BYTES: usize = 15;

/// The lists.
pub(super) struct Known {
    programs: HashSet<&'static str>,
    libraries: HashSet<&'static str>,
    parts: HashSet<&'static str>,
}

impl Known {
    pub(super) fn new() -> Known {
        let programs = include_str!("known/programs.txt").lines();
        // The kernel cuts long names.
        let cut = programs.clone().filter_map(|name| name.get(..COMM_BYTES));
        Known {
            programs: programs.chain(cut).collect(),
            libraries: include_str!("known/libraries.txt").lines().collect(),
            parts: include_str!("known/parts.txt").lines().collect(),
        }
    }

    /// Whether something has exactly this name on many systems.
    pub(super) fn exactly(&self, name: &str) -> bool {
        self.programs.contains(name) || self.parts.contains(name) || self.libraries.contains(name)
    }

    /// Whether a program or thread of this name is found on many systems, a version or an index at its end aside.
    pub(super) fn program(&self, name: &str) -> bool {
        self.programs.contains(name) || self.programs.contains(unnumbered(name))
    }

    /// Whether a file or directory of this name is.
    pub(super) fn part(&self, name: &str) -> bool {
        let short_number = (1..=3).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit());
        self.parts.contains(name)
            || self.parts.contains(unnumbered(name))
            || self.program(name)
            || self.is_library(name)
            || short_number
    }

    fn is_library(&self, name: &str) -> bool {
        let Some((stem, version)) = name.split_once(".so") else { return self.libraries.contains(name) };
        // Extension modules of Python: `_json.cpython-311-x86_64-linux-gnu.so`.
        let stem = match stem.split_once(".cpython-") {
            Some((module, platform)) if is_platform(platform) => module,
            Some(_) => return false,
            None => stem,
        };
        // GLib's are `.so.0.7400.6`.
        let is_version = version.is_empty() || version.strip_prefix('.').is_some_and(|rest| is_version(rest, 4));
        is_version && (self.libraries.contains(stem) || self.libraries.contains(unnumbered(stem)))
    }
}

/// What stands in the names of Python's extension modules, such as `311-x86_64-linux-gnu`.
fn is_platform(text: &str) -> bool {
    let Some((version, platform)) = text.split_once('-') else { return false };
    let architectures = ["x86_64", "aarch64", "i386", "arm", "riscv64", "s390x", "powerpc64le"];
    let systems = ["linux-gnu", "linux-musl", "linux-gnueabihf"];
    let known = |(architecture, system)| architectures.contains(&architecture) && systems.contains(&system);
    is_version(version, 3) && platform.split_once('-').is_some_and(known)
}

/// Up to three short numbers with dots between them. More digits may be a telephone, card or customer number, more numbers an address.
fn is_version(text: &str, digits: usize) -> bool {
    let numbers =
        |number: &str| (1..=digits).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 8 && text.split('.').count() <= 3 && text.split('.').all(numbers)
}

/// A name without the version or index behind it: `python3.11`, `pool-3`, `ld-2.36`.
fn unnumbered(name: &str) -> &str {
    match split_number(name) {
        Some((stem, number)) if is_version(number, 3) => stem,
        _ => name,
    }
}

/// A name, and what of digits and dots stands at its end behind at most one separator: `client-4155550166`.
pub(super) fn split_number(name: &str) -> Option<(&str, &str)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = name.get(stem.len()..)?;
    let number = number.strip_prefix('.').unwrap_or(number);
    let is_joined = stem.len() + number.len() == name.len();
    let stem = stem.strip_suffix(['-', '_', '#']).filter(|_| is_joined).unwrap_or(stem);
    (!stem.is_empty() && !number.is_empty()).then_some((stem, number))
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn what_common_systems_have_is_known_with_any_version() {
        let known = Known::new();
        for program in [
            "nginx",
            "python3.11",
            "redis-server",
            "ksoftirqd",
            "systemd-journald",
            "systemd-journal",
            "tokio-runtime-w",
        ] {
            assert!(known.program(program), "{program}");
        }
        for part in ["libc.so.6", "libssl.so.3", "libstdc++.so.6.0.30", "python3.11", "x86_64-linux-gnu", "15"] {
            assert!(known.part(part), "{part}");
        }
        for part in ["log.1", "backup-2", "libglib-2.0.so.0.7400.6"] {
            assert!(known.part(part), "{part}");
        }
        for other in ["acme", "acme-billing", "libacme.so.1", "nginx-acme", "20241231", "libc.so.secret", ""] {
            assert!(!known.part(other), "{other}");
        }
    }

    #[test]
    fn a_number_that_is_longer_than_a_version_may_be_anybodys() {
        let known = Known::new();
        for other in [
            "backup-4111111111111111",
            "client-987654321",
            "log.2026.11.30.771122334455",
            "backup.20261130.4111111111",
            "nginx-4155550188",
            "client-41555501",
            "client-192.168.1.17",
            "client-415.555.016",
            "client-415-555-016",
            "client-1-415",
            "libssl.so.4155550166",
            "libssl.cpython-4155550166.so",
        ] {
            assert!(!known.part(other) && !known.program(other), "{other}");
        }
    }

    #[test]
    fn a_list_has_no_name_twice_and_none_with_spaces_around_it() {
        for list in
            [include_str!("known/programs.txt"), include_str!("known/libraries.txt"), include_str!("known/parts.txt")]
        {
            let lines: Vec<&str> = list.lines().collect();
            assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "in order");
            assert!(lines.iter().all(|line| *line == line.trim() && !line.is_empty()));
        }
    }
}
