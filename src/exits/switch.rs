//! Where functions of Go's runtime change stacks, found in their code: a goroutine's calls of the scheduler and of C run on the thread's own.

use iced_x86::Code;
use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::Instruction;
use iced_x86::Mnemonic;
use iced_x86::OpKind;
use iced_x86::Register;

/// The function that runs another one on the thread's stack, and returns to the goroutine's.
pub(super) const SYSTEM: &str = "runtime.systemstack";
/// Bytes of such a function, at most.
const MAX_CODE: usize = 4096;

/// A stretch of a function that is on another stack than what is before it and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch {
    /// The first instruction on the other stack, and the first that is on its own again; the function's end where it never is.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where the structure of a thread (`m`) has the goroutine that it returns to (`curg`), in bytes.
    pub(super) current: Option<i32>,
}

impl Switch {
    /// Finds it in the code of a function for x86_64. Addresses are stored in the stack pointer by moves there and nowhere else.
    pub(super) fn find(code: &[u8], address: u64) -> Option<Switch> {
        let mut loads: Vec<(Register, i32)> = Vec::new();
        let mut start = None;
        for instruction in
            &mut Decoder::with_ip(64, code.get(..code.len().min(MAX_CODE))?, address, DecoderOptions::NONE)
        {
            if instruction.code() == Code::INVALID {
                return None;
            }
            if instruction.mnemonic() != Mnemonic::Mov || instruction.op0_kind() != OpKind::Register {
                continue;
            }
            match (instruction.op0_register(), start) {
                (Register::RSP, None) => start = Some(instruction.next_ip()),
                (Register::RSP, Some(start)) => {
                    let base = instruction.memory_base();
                    let current = loads.iter().rev().find(|(register, _)| *register == base).map(|(_, at)| *at);
                    return Some(Switch { start, end: instruction.next_ip(), current });
                }
                (register, _) => loads.extend(distance(&instruction).map(|at| (register, at))),
            }
        }
        let end = address.checked_add(code.len() as u64)?;
        start.map(|start| Switch { start, end, current: None })
    }
}

/// How far behind a register's address an instruction reads.
fn distance(instruction: &Instruction) -> Option<i32> {
    let reads = instruction.op1_kind() == OpKind::Memory && instruction.segment_prefix() == Register::None;
    let is_plain = instruction.memory_index() == Register::None && instruction.memory_base() != Register::RIP;
    (reads && is_plain).then(|| i32::try_from(instruction.memory_displacement64().cast_signed()).ok())?
}

#[cfg(test)]
mod tests {
    use super::Switch;

    #[test]
    fn the_stretch_between_two_moves_to_the_stack_pointer_is_on_another_stack() {
        // mov rsp, [rdx+56]; call rdi; mov rbx, [rax+48]; mov rax, [rbx+192]; mov rsp, [rax+56]; ret
        let code = [
            0x48, 0x8b, 0x62, 0x38, 0xff, 0xd7, 0x48, 0x8b, 0x58, 0x30, 0x48, 0x8b, 0x83, 0xc0, 0, 0, 0, 0x48, 0x8b,
            0x60, 0x38, 0xc3,
        ];
        let switch = Switch { start: 0x1004, end: 0x1015, current: Some(192) };
        assert_eq!(Switch::find(&code, 0x1000), Some(switch));
        // It does not come back.
        assert_eq!(Switch::find(&code[..6], 0x1000), Some(Switch { end: 0x1006, current: None, ..switch }));
        assert_eq!(Switch::find(&code[4..6], 0x1000), None);
    }
}
