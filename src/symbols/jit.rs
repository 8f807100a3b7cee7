//! Names that run-time compilers leave in /tmp/perf-PID.map: `start size name` a line, in hexadecimal.

use std::io::Read;

/// Bytes of a map that are read; a large server's has some ten.
const MAX_BYTES: u64 = 64 << 20;

/// The compiled functions of a process.
#[derive(Debug, Default)]
pub(super) struct JitMap {
    /// (start, end, name) by rising start; where two overlap, the later line is the newer.
    functions: Vec<(u64, u64, Box<str>)>,
}

impl JitMap {
    /// Reads the map of a process, in its own file system and by the process id that it has there; `None`: it has none.
    pub(super) fn of_process(pid: u32) -> Option<JitMap> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().next_back())?;
        let file = std::fs::File::open(format!("/proc/{pid}/root/tmp/perf-{inner}.map")).ok()?;
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        Some(JitMap::parse(&text))
    }

    pub(super) fn parse(text: &[u8]) -> JitMap {
        let mut functions: Vec<(u64, u64, Box<str>)> = String::from_utf8_lossy(text)
            .lines()
            .filter_map(|line| {
                let mut words = line.splitn(3, ' ');
                let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
                let (start, size) = (number(words.next()?)?, number(words.next()?)?);
                Some((start, start.checked_add(size)?, words.next()?.into()))
            })
            .collect();
        functions.sort_by_key(|function| function.0);
        JitMap { functions }
    }

    /// The function that has an address.
    pub(super) fn name(&self, address: u64) -> Option<&str> {
        let behind = self.functions.partition_point(|function| function.0 <= address);
        let (_, end, name) = self.functions.get(behind.checked_sub(1)?)?;
        (address < *end).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::JitMap;

    #[test]
    fn a_compiled_function_is_found_by_any_address_in_it() {
        let map = JitMap::parse(b"7f10 20 LazyCompile:~f a.js:1\nrubbish\n7f00 8 g\n7f10 20 newer");
        assert_eq!(map.name(0x7f2f), Some("newer"));
        assert_eq!(map.name(0x7f30), None);
        assert_eq!(map.name(0x7f07), Some("g"));
        assert_eq!(map.name(0x7f08), None);
    }
}
