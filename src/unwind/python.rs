//! Where CPython keeps what its threads run, version by version.
//!
//! From 3.13 on the interpreter says so itself: its runtime begins with a table of offsets (`_Py_DebugOffsets`). Before, the offsets
//! are those of the structures in the headers of 3.11 and 3.12, which did not change within either version.

/// The table's first bytes.
const COOKIE: &[u8] = b"xdebugpy";
/// Bytes of the table that are read: those that 3.14 has.
pub const MAX_TABLE: usize = 1024;
/// Bytes of a frame that are read, as in bpf/shared/unwind_walk.h; and the largest offset that is believed.
const FRAME: u32 = 80;
const MAX_OFFSET: u32 = 16 << 20;

/// Where things are, in bytes from where what has them begins; `struct python_interpreter` of bpf/shared/python_types.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How the frames of one call of the interpreter's loop end.
    pub entry: Entry,
    /// In the runtime: the first interpreter's state.
    pub interpreters: u32,
    /// In an interpreter's state: the next one, and the first thread's.
    pub next_interpreter: u32,
    /// The first thread's state.
    pub threads: u32,
    /// In a thread's state: the next one.
    pub next_thread: u32,
    /// What `pthread_self()` gave to the thread.
    pub thread_id: u32,
    /// The frame that runs, or the link that has it.
    pub current: u32,
    /// In a link: the frame.
    pub chain_frame: u32,
    /// In a link: the one before it.
    pub chain_previous: u32,
    /// In a frame: its code object.
    pub code: u32,
    /// The frame that called it.
    pub previous: u32,
    /// The instruction that it is at.
    pub instruction: u32,
    /// Who owns it; of 3.11, whether the loop was entered with it.
    pub owner: u32,
    /// In a code object: the names of its file, its own, the same with its class, and the table of lines.
    pub names: u32,
    /// Its first line.
    pub first_line: u32,
    /// Its instructions.
    pub instructions: u32,
    /// In a text of ASCII: its characters.
    pub ascii: u32,
    /// In any other text.
    pub wide: u32,
}

/// How the frames of one call of the interpreter's loop end; `enum python_entry` of bpf/shared/python_types.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The first one is marked, and a link on the C stack has the last one.
    Marked,
    /// A frame without code is on the C stack, and a link that has the last one.
    Linked,
    /// A frame without code is on the C stack.
    OnStack,
}

const PYTHON_3_11: Layout = Layout {
    entry: Entry::Marked,
    interpreters: 40,
    next_interpreter: 0,
    threads: 16,
    next_thread: 8,
    thread_id: 152,
    current: 56,
    chain_frame: 8,
    chain_previous: 16,
    code: 32,
    previous: 48,
    instruction: 56,
    owner: 68,
    names: 112,
    first_line: 72,
    instructions: 184,
    ascii: 48,
    wide: 72,
};

const PYTHON_3_12: Layout = Layout {
    entry: Entry::Linked,
    threads: 72,
    thread_id: 136,
    chain_frame: 0,
    chain_previous: 8,
    code: 0,
    previous: 8,
    owner: 70,
    first_line: 68,
    instructions: 192,
    ascii: 40,
    wide: 56,
    ..PYTHON_3_11
};

/// Where the table of a version has the words that are read, each eight bytes.
struct Words {
    threads: usize,
    thread: usize,
    frame: usize,
    code: usize,
}

/// 3.14 has one word more of the interpreter's state before the thread's and two more at its end, and two more of a frame's.
const WORDS_3_13: Words = Words { threads: 9, thread: 19, frame: 28, code: 34 };
const WORDS_3_14: Words = Words { threads: 9, thread: 22, frame: 31, code: 39 };

impl Layout {
    /// That of a version (`PY_VERSION_HEX`) whose runtime begins with these bytes. `None` for versions that are not known, and
    /// for the builds without a global lock, whose objects are others.
    pub fn of(version: u32, runtime: &[u8]) -> Option<Layout> {
        match version >> 16 {
            0x030b => Some(PYTHON_3_11),
            0x030c => Some(PYTHON_3_12),
            0x030d => Layout::told(runtime, version, &WORDS_3_13),
            0x030e => Layout::told(runtime, version, &WORDS_3_14),
            _ => None,
        }
    }

    /// The version that a runtime says it is of, from 3.13 on.
    pub fn version(runtime: &[u8]) -> Option<u32> {
        let version = runtime.strip_prefix(COOKIE)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        u32::try_from(version).ok()
    }

    fn told(runtime: &[u8], version: u32, words: &Words) -> Option<Layout> {
        let word = |index: usize| {
            let bytes = runtime.get(8 * index..)?.first_chunk()?;
            u32::try_from(u64::from_le_bytes(*bytes)).ok().filter(|offset| *offset < MAX_OFFSET)
        };
        let is_free_threaded = word(2)? != 0;
        if Layout::version(runtime)? != version || is_free_threaded {
            return None;
        }
        let layout = Layout {
            entry: Entry::OnStack,
            interpreters: word(5)?,
            next_interpreter: word(8)?,
            threads: word(words.threads)?,
            next_thread: word(words.thread + 2)?,
            current: word(words.thread + 4)?,
            thread_id: word(words.thread + 5)?,
            previous: word(words.frame + 1)?,
            code: word(words.frame + 2)?,
            instruction: word(words.frame + 3)?,
            owner: word(words.frame + 5)?,
            names: word(words.code + 1)?,
            first_line: word(words.code + 5)?,
            instructions: word(words.code + 9)?,
            ..PYTHON_3_12
        };
        let names = [word(words.code + 2)?, word(words.code + 3)?, word(words.code + 4)?];
        let is_known = names.iter().zip(1..).all(|(offset, place)| *offset == layout.names + 8 * place);
        let is_word = |offset: u32| offset.is_multiple_of(8) && offset < FRAME;
        let has_words = [layout.code, layout.previous, layout.instruction].into_iter().all(is_word);
        (is_known && has_words && layout.owner < FRAME).then_some(layout)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Entry;
    use super::Layout;
    use super::MAX_TABLE;

    /// What the runtime of 3.13.0 begins with, as its build for x86_64 Linux has it.
    fn of_3_13() -> Vec<u8> {
        let words: [u64; 44] = [
            u64::from_le_bytes(*b"xdebugpy"),
            0x030d_00f0,
            0,
            283_320,
            608,
            632,
            194_968,
            7272,
            7264,
            7344,
            7400,
            7656,
            7640,
            7648,
            16,
            7752,
            0,
            7768,
            7760,
            304,
            0,
            8,
            16,
            72,
            152,
            160,
            232,
            32,
            80,
            8,
            0,
            56,
            72,
            70,
            208,
            112,
            120,
            128,
            136,
            68,
            52,
            96,
            104,
            200,
        ];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_table_of_offsets_is_read_as_its_version_lays_it_out() {
        let table = of_3_13();
        let layout = Layout::of(Layout::version(&table).unwrap(), &table).unwrap();
        assert_eq!(layout.entry, Entry::OnStack);
        assert_eq!((layout.interpreters, layout.next_interpreter, layout.threads), (632, 7264, 7344));
        assert_eq!((layout.next_thread, layout.thread_id, layout.current), (8, 152, 72));
        assert_eq!((layout.code, layout.previous, layout.instruction, layout.owner), (0, 8, 56, 70));
        assert_eq!((layout.names, layout.first_line, layout.instructions), (112, 68, 200));
    }

    /// The same of 3.14.10.
    fn of_3_14() -> Vec<u8> {
        let words: [u64; 49] = [
            u64::from_le_bytes(*b"xdebugpy"),
            0x030e_0af0,
            0,
            316_616,
            784,
            808,
            225_864,
            7280,
            7272,
            7344,
            7360,
            7408,
            7688,
            7672,
            7680,
            16,
            7784,
            0,
            7800,
            7792,
            7992,
            0,
            832,
            0,
            8,
            16,
            72,
            152,
            160,
            232,
            32,
            88,
            8,
            0,
            56,
            80,
            74,
            64,
            0,
            216,
            112,
            120,
            128,
            136,
            68,
            52,
            96,
            104,
            208,
        ];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_newer_table_has_words_between_those_of_an_older_one() {
        let table = of_3_14();
        let layout = Layout::of(Layout::version(&table).unwrap(), &table).unwrap();
        assert_eq!((layout.interpreters, layout.next_interpreter, layout.threads), (808, 7272, 7344));
        assert_eq!((layout.next_thread, layout.thread_id, layout.current), (8, 152, 72));
        assert_eq!((layout.code, layout.previous, layout.instruction, layout.owner), (0, 8, 56, 74));
        assert_eq!((layout.names, layout.first_line, layout.instructions), (112, 68, 208));
    }

    #[test]
    fn what_does_not_fit_is_no_layout() {
        let table = of_3_13();
        assert_eq!(Layout::of(0x030a_00f0, &table), None);
        assert_eq!(Layout::of(0x030e_00f0, &table), None);
        assert_eq!(Layout::of(0x030d_00f0, &table[..300]), None);
        let with = |word: usize, value: u64| {
            let mut table = of_3_13();
            table[8 * word..8 * word + 8].copy_from_slice(&value.to_le_bytes());
            Layout::of(0x030d_00f0, &table)
        };
        assert!(with(5, 640).is_some());
        let free_threaded = with(2, 1);
        let (instruction_beyond_the_frame, names_apart) = (with(31, 80), with(36, 144));
        assert_eq!([free_threaded, instruction_beyond_the_frame, names_apart, with(9, u64::MAX)], [None; 4]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_layout_whose_frame_is_within_what_is_read_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..MAX_TABLE),
            minor in 10u32..16,
        ) {
            let version = 0x0300_00f0 | minor << 16;
            let head = [b"xdebugpy".as_slice(), &u64::from(version).to_le_bytes(), &[0; 8]].concat();
            bytes.splice(..head.len().min(bytes.len()), head);
            if let Some(layout) = Layout::of(version, &bytes) {
                prop_assert!([layout.code, layout.previous, layout.instruction, layout.owner].iter().all(|offset| *offset < 80));
            }
        }
    }
}
