//! The stacks that the programs keep by hash, in maps that all objects share, emptied in batches.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;

use super::batch::take_all;
use super::create::create_map;
use super::create::options;
use super::memory;
use super::memory::MapMemory;
use super::shared::types;

/// Frames of a stack of the kernel's, as in bpf/shared/stack.h; of one of a program, as in stack_types.h beside it; and of one that
/// the kernel has followed.
const MAX_KERNEL_FRAMES: usize = 128;
const MAX_USER_FRAMES: usize = 256;
const MAX_FOUND_FRAMES: usize = 128;
/// Frames of those that are kept in less memory.
const SHALLOW_FRAMES: usize = 48;
/// `struct user_frame` and `struct found_frame` there, and the heads of stacks.
const USER_FRAME: usize = 16;
const FOUND_FRAME: usize = 32;
const KERNEL_HEAD: usize = 8;
const USER_HEAD: usize = 16;
const SHALLOW_VALUE: usize = USER_HEAD + USER_FRAME * SHALLOW_FRAMES;
const DEEP_VALUE: usize = USER_HEAD + USER_FRAME * MAX_USER_FRAMES;
const KERNEL_VALUE: usize = KERNEL_HEAD + 8 * MAX_KERNEL_FRAMES;
/// Frames that the kernel follows by frame pointers, at most (kernel.perf_event_max_stack, unless someone raised it).
const DEEPEST_BY_FRAME_POINTER: usize = 127;
/// BPF_STACK_BUILD_ID_VALID of uapi/linux/bpf.h.
const IN_FILE: u32 = 1;
/// FRAME_IS_PYTHON and FRAME_IS_ADDRESS of bpf/shared/stack_types.h, and PYTHON_NO_INSTRUCTION of python.h beside it.
const IS_PYTHON: u32 = 4 | 2;
const NO_INSTRUCTION: u32 = u32::MAX;

/// Distinct stacks that a look finds, as a rule: looks come once a second, and sooner when there are more. Some hundred on a
/// machine that is busy with the same things, and a part of what 99 samples a second bring on each CPU when all differ.
const STACKS: u32 = 256;
const STACKS_PER_CPU: u32 = 16;
/// Room in each map, as a multiple of that: four threads that never sleep with the same stack twice bring 33 in a millisecond,
/// and a look may come 50 ms late on a busy machine. Of deep stacks half are found in what is run by interpreters.
const SHALLOW_ROOM: u32 = 12;
const DEEP_ROOM: u32 = 3;
const KERNEL_ROOM: u32 = 8;

/// Keys in one call.
const BATCH: u32 = 256;

/// A frame of user code as the kernel found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserFrame {
    /// In a file that has a build id.
    InFile {
        /// The file's build id; shorter ones end in zeroes.
        build_id: [u8; 20],
        /// The place in the file.
        offset: u64,
    },
    /// Anywhere else: an address of the process.
    At(u64),
    /// A function of Python's.
    Python {
        /// What the process's code object is called, as in [`PythonCode`](super::python::PythonCode).
        code: u64,
        /// The place in it of the instruction, in bytes; `None`: before the first.
        instruction: Option<u32>,
    },
}

/// The frames of a stack, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawStack {
    /// Addresses in the kernel.
    Kernel(Vec<u64>),
    /// User code.
    User {
        /// The real user id of the thread.
        uid: u32,
        /// How it ended.
        end: StackEnd,
        /// Its frames.
        frames: Vec<UserFrame>,
    },
}

/// How a user stack ended; `enum stack_end` of bpf/shared/stack_types.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StackEnd {
    /// It was followed by frame pointers alone: nobody knows whether it is whole.
    ByFramePointer,
    /// Its outermost function is there.
    Whole,
    /// It has more frames than are kept.
    TooDeep,
    /// The unwind tables of the program or file were not there yet.
    NoTable,
    /// There was no room for them.
    NoRoom,
    /// A return address where nothing is mapped.
    NoMapping,
    /// Code that the tables don't describe.
    NoRule,
    /// Memory that is not resident.
    Unreadable,
    /// Generated code without frame pointers.
    Generated,
    /// Within execve: the memory is the next program's already, and the registers are not.
    InExec,
}

impl StackEnd {
    fn of(number: u32, frames: usize) -> StackEnd {
        match types::stack_end(number) {
            types::stack_end::STACK_BY_FRAME_POINTER if frames >= DEEPEST_BY_FRAME_POINTER => StackEnd::TooDeep,
            types::stack_end::STACK_WHOLE => StackEnd::Whole,
            types::stack_end::STACK_TOO_DEEP => StackEnd::TooDeep,
            types::stack_end::STACK_NO_TABLE => StackEnd::NoTable,
            types::stack_end::STACK_NO_ROOM => StackEnd::NoRoom,
            types::stack_end::STACK_NO_MAPPING => StackEnd::NoMapping,
            types::stack_end::STACK_NO_RULE => StackEnd::NoRule,
            types::stack_end::STACK_UNREADABLE => StackEnd::Unreadable,
            types::stack_end::STACK_GENERATED => StackEnd::Generated,
            types::stack_end::STACK_IN_EXEC => StackEnd::InExec,
            _ => StackEnd::ByFramePointer,
        }
    }
}

impl RawStack {
    /// How many frames it has.
    pub fn depth(&self) -> usize {
        match self {
            RawStack::Kernel(frames) => frames.len(),
            RawStack::User { frames, .. } => frames.len(),
        }
    }
}

/// The maps.
#[derive(Debug)]
pub struct StackMaps {
    shallow: MapHandle,
    deep: MapHandle,
    kernel: MapHandle,
    /// Stacks since the last look that are a reason for another one.
    many: u32,
}

impl StackMaps {
    /// Creates the maps for a machine of so many CPUs.
    ///
    /// # Errors
    /// When the kernel refuses a map: no privilege, or no memory.
    pub fn create(cpus: u32) -> Result<StackMaps> {
        // Made at the start: programs of perf events take no other before 6.1, and with interrupts off the kernel's
        // allocator runs dry.
        let many = STACKS + STACKS_PER_CPU * cpus;
        let map = |name, value, room| create_map(MapType::Hash, name, 8, value as u32, many * room, &options());
        let shallow = map("ebrec_ustacks", SHALLOW_VALUE, SHALLOW_ROOM)?;
        let deep = map("ebrec_deep", DEEP_VALUE, DEEP_ROOM)?;
        let kernel = map("ebrec_kstacks", KERNEL_VALUE, KERNEL_ROOM)?;
        Ok(StackMaps { shallow, deep, kernel, many })
    }

    /// Whether so many stacks since the last look are a reason to look again: there is room until the next round. Half of them are where
    /// a program woke the reader, as it may not do so again before the maps are full.
    pub fn is_filling(&self, stacks: u64, was_woken: bool) -> bool {
        stacks > u64::from(if was_woken { self.many / 2 } else { self.many })
    }

    /// The maps by their names in the programs.
    pub fn named(&self) -> [(&'static str, BorrowedFd<'_>); 3] {
        [
            ("user_stacks", self.shallow.as_fd()),
            ("deep_user_stacks", self.deep.as_fd()),
            ("kernel_stacks", self.kernel.as_fd()),
        ]
    }

    /// Kernel memory that they take.
    pub fn memory(&self) -> MapMemory {
        let mut found = MapMemory::new();
        [&self.shallow, &self.deep, &self.kernel].iter().for_each(|map| memory::add(&mut found, *map, 0));
        found
    }

    /// Takes every stack out: (hash, frames). `build_id` is that of a file by its number in the unwind tables.
    ///
    /// # Errors
    /// When the kernel refuses the batch.
    pub fn take(&self, mut build_id: impl FnMut(u32) -> Option<[u8; 20]>) -> Result<Vec<(u64, RawStack)>> {
        let mut stacks = Vec::new();
        take_all(self.kernel.as_fd(), (8, KERNEL_VALUE), BATCH, |hash, value| {
            if let (Some(hash), Some(frames)) = (u64_at(hash, 0), kernel_frames(value)) {
                stacks.push((hash, RawStack::Kernel(frames)));
            }
        })?;
        for (map, size) in [(&self.shallow, SHALLOW_VALUE), (&self.deep, DEEP_VALUE)] {
            take_all(map.as_fd(), (8, size), BATCH, |hash, value| {
                if let (Some(hash), Some(stack)) = (u64_at(hash, 0), user_stack(value, &mut build_id)) {
                    stacks.push((hash, stack));
                }
            })?;
        }
        Ok(stacks)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn count(value: &[u8], most: usize) -> Option<usize> {
    u32_at(value, 0).map(|count| (count as usize).min(most))
}

fn kernel_frames(value: &[u8]) -> Option<Vec<u64>> {
    (0..count(value, MAX_KERNEL_FRAMES)?).map(|frame| u64_at(value, KERNEL_HEAD + 8 * frame)).collect()
}

/// A user stack; `build_id` is that of a file by its number.
fn user_stack(value: &[u8], build_id: impl FnMut(u32) -> Option<[u8; 20]>) -> Option<RawStack> {
    let is_found = u16_at(value, 12)? != 0;
    let frames = if is_found { found_frames(value)? } else { user_frames(value, build_id)? };
    Some(RawStack::User { uid: u32_at(value, 4)?, end: StackEnd::of(u32_at(value, 8)?, frames.len()), frames })
}

fn user_frames(value: &[u8], mut build_id: impl FnMut(u32) -> Option<[u8; 20]>) -> Option<Vec<UserFrame>> {
    (0..count(value, MAX_USER_FRAMES)?)
        .map(|frame| {
            let at = USER_HEAD + USER_FRAME * frame;
            let (offset, file, status) = (u64_at(value, at)?, u32_at(value, at + 8)?, u32_at(value, at + 12)?);
            match status {
                IN_FILE => build_id(file).map(|build_id| UserFrame::InFile { build_id, offset }),
                IS_PYTHON => {
                    let instruction = Some(file).filter(|place| *place != NO_INSTRUCTION);
                    Some(UserFrame::Python { code: offset, instruction })
                }
                _ => Some(UserFrame::At(offset)),
            }
        })
        .collect()
}

fn found_frames(value: &[u8]) -> Option<Vec<UserFrame>> {
    (0..count(value, MAX_FOUND_FRAMES)?)
        .map(|frame| {
            let at = USER_HEAD + FOUND_FRAME * frame;
            let place = u64_at(value, at + 24)?;
            if u32_at(value, at)? != IN_FILE {
                return Some(UserFrame::At(place));
            }
            let build_id = *value.get(at + 4..)?.first_chunk()?;
            Some(UserFrame::InFile { build_id, offset: place })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::RawStack;
    use super::StackEnd;
    use super::UserFrame;
    use super::kernel_frames;
    use super::user_stack;

    #[test]
    fn frames_are_read_as_the_kernel_lays_them_out_and_no_further_than_they_reach() {
        let mut value = vec![2, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        value.extend([7; 20]);
        value.extend(0x1234u64.to_ne_bytes());
        value.extend([2, 0, 0, 0]);
        value.extend([0; 20]);
        value.extend(0x7fff_0000u64.to_ne_bytes());
        let first = UserFrame::InFile { build_id: [7; 20], offset: 0x1234 };
        let frames = vec![first, UserFrame::At(0x7fff_0000)];
        let end = StackEnd::ByFramePointer;
        assert_eq!(user_stack(&value, |_| None), Some(RawStack::User { uid: 1000, end, frames: frames.clone() }));
        assert_eq!(user_stack(&value[..68], |_| None), None);
        let mut value = vec![2, 0, 0, 0, 0xe8, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        value.extend([0x1234u64.to_ne_bytes(), (1u64 << 32 | 5).to_ne_bytes()].concat());
        value.extend([0x7fff_0000u64.to_ne_bytes(), (2u64 << 32).to_ne_bytes()].concat());
        let end = StackEnd::Whole;
        let build_id = |file| (file == 5).then_some([7; 20]);
        assert_eq!(user_stack(&value, build_id), Some(RawStack::User { uid: 1000, end, frames }));
        assert_eq!(kernel_frames(&[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]), Some(vec![9]));
    }
}
