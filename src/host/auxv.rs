//! What the kernel hands to each program at its start: page size and clock tick.

use crate::host::root::Root;

/// Keys of the auxiliary vector; see getauxval(3).
const AT_PAGESZ: usize = 6;
const AT_CLKTCK: usize = 17;

/// Two constants of the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auxv {
    /// Bytes in a page of memory: 4,096, or up to 65,536 on aarch64.
    pub page_size: u64,
    /// The units per second of times in `/proc/PID/stat`: 100 on every common machine.
    pub ticks_per_second: u64,
}

impl Auxv {
    /// Reads them from `/proc/self/auxv`, with the usual values where that fails.
    pub fn read(root: &Root) -> Auxv {
        Auxv::parse(&root.bytes("/proc/self/auxv").unwrap_or_default())
    }

    /// Parses pairs of native words.
    pub fn parse(bytes: &[u8]) -> Auxv {
        let (words, _) = bytes.as_chunks::<{ size_of::<usize>() }>();
        let (pairs, _) = words.as_chunks::<2>();
        let value = |wanted| {
            let pairs = pairs.iter().map(|[key, value]| (usize::from_ne_bytes(*key), usize::from_ne_bytes(*value)));
            pairs.filter(|(key, value)| *key == wanted && *value > 0).map(|(_, value)| value as u64).next()
        };
        Auxv { page_size: value(AT_PAGESZ).unwrap_or(4096), ticks_per_second: value(AT_CLKTCK).unwrap_or(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::Auxv;
    use crate::host::root::Root;

    #[test]
    fn pairs_are_found_whatever_their_order() {
        let words: [usize; 8] = [17, 250, 3, 6, 6, 65536, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(Auxv::parse(&bytes), Auxv { page_size: 65536, ticks_per_second: 250 });
    }

    #[test]
    fn a_missing_or_cut_vector_gives_the_usual_values() {
        let usual = Auxv { page_size: 4096, ticks_per_second: 100 };
        assert_eq!(Auxv::parse(&[]), usual);
        assert_eq!(Auxv::parse(&[6, 0, 0, 0, 0, 0, 0, 0, 1]), usual);
    }

    #[test]
    fn this_machine_tells_a_page_size_that_is_a_power_of_two() {
        let auxv = Auxv::read(&Root::system());
        assert!(auxv.page_size.is_power_of_two());
        assert_eq!(auxv.ticks_per_second, 100);
    }
}
