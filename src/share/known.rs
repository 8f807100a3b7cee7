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

    /// Whether a program or thread of this name is found on many systems, numbers at its end aside.
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
        let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Extension modules of Python: `_json.cpython-311-x86_64-linux-gnu.so`.
        let stem = stem.split_once(".cpython-").map_or(stem, |(module, _)| module);
        numeric(version) && (self.libraries.contains(stem) || self.libraries.contains(unnumbered(stem)))
    }
}

/// A name without the version or number behind it: `python3.11`, `pool-3`, `ld-2.36`.
fn unnumbered(name: &str) -> &str {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || ".-_#".contains(c));
    if stem.is_empty() { name } else { stem }
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
        for other in ["acme", "acme-billing", "libacme.so.1", "nginx-acme", "20241231", "libc.so.secret", ""] {
            assert!(!known.part(other), "{other}");
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
