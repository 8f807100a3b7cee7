//! Instructions of x86_64.

use iced_x86::Code;
use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::FlowControl;
use iced_x86::Instruction as Decoded;
use iced_x86::InstructionInfoFactory;
use iced_x86::Mnemonic;
use iced_x86::OpAccess;
use iced_x86::OpKind;
use iced_x86::Register;

use super::instruction::Effects;
use super::instruction::Entries;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::instruction::JumpTable;
use super::instruction::Operand;
use super::instruction::Undecodable;

/// The stack pointer and the frame pointer, as numbers of general registers.
pub(super) const STACK_POINTER: u8 = 4;
pub(super) const FRAME_POINTER: u8 = 5;

/// Calls `each` with every instruction of `code`, which begins at `address`, until it returns an error.
pub(super) fn decode<E: From<Undecodable>>(
    code: &[u8],
    address: u64,
    each: &mut dyn FnMut(Instruction) -> Result<(), E>,
) -> Result<(), E> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut pointers = Pointers::default();
    let mut decoded = Decoded::default();
    while decoder.can_decode() {
        let at = decoder.position();
        decoder.decode_out(&mut decoded);
        let bytes = code.get(at..decoder.position()).unwrap_or_default();
        if decoded.is_invalid() || bytes.is_empty() {
            return Err(Undecodable(decoded.ip()).into());
        }
        let flow = flow(&decoded, bytes, &pointers);
        pointers.follow(&decoded);
        let is_nop = decoded.mnemonic() == Mnemonic::Nop;
        each(Instruction {
            address: decoded.ip(),
            size: u8::try_from(bytes.len()).unwrap_or(u8::MAX),
            flow,
            is_probeable: is_probeable(bytes),
            is_emulated: is_emulated(bytes),
            is_nop5: bytes.len() == 5 && does_nothing(&decoded),
            is_nop,
        })?;
    }
    Ok(())
}

/// Whether the kernel takes an instruction for a nop (`insn_is_nop` in `arch/x86/kernel/alternative.c`): `nop` of any form, `lea 0(%reg),
/// %reg`, and jumps to what follows them.
fn does_nothing(decoded: &Decoded) -> bool {
    match decoded.mnemonic() {
        Mnemonic::Nop => true,
        Mnemonic::Lea => {
            let is_same = decoded.op0_register() == decoded.memory_base() && decoded.op0_register().is_gpr64();
            is_same && decoded.memory_index() == Register::None && decoded.memory_displacement64() == 0
        }
        Mnemonic::Jmp => {
            decoded.op0_kind() == OpKind::NearBranch64 && decoded.near_branch_target() == decoded.next_ip()
        }
        _ => false,
    }
}

/// What the first instruction of `code` does to registers and memory.
pub(super) fn effects(code: &[u8], address: u64) -> Option<Effects> {
    let decoded = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
    if decoded.is_invalid() {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let mut written = 0;
    for used in factory.info(&decoded).used_registers() {
        let is_written = matches!(
            used.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        if is_written && let Some(register) = general(used.register()) {
            written |= 1 << register;
        }
    }
    let operand = (0..decoded.op_count()).any(|index| decoded.op_kind(index) == OpKind::Memory).then(|| Operand {
        base: general(decoded.memory_base()),
        index: general(decoded.memory_index()),
        distance: decoded.memory_displacement64().cast_signed(),
    });
    let copies = |register: Register| {
        decoded.mnemonic() == Mnemonic::Mov
            && decoded.op1_kind() == OpKind::Register
            && decoded.op1_register() == register
    };
    Some(Effects {
        written,
        operand,
        pushed: -decoded.stack_pointer_increment() - i32::try_from(subtracted(&decoded)).unwrap_or(0),
        copies_stack_pointer: copies(Register::RSP),
        reads_thread_pointer: decoded.segment_prefix() == Register::FS,
    })
}

/// What an instruction adds to the stack pointer explicitly, by `add`, `sub` or `lea`.
fn subtracted(decoded: &Decoded) -> i64 {
    if decoded.op0_kind() != OpKind::Register || decoded.op0_register() != Register::RSP {
        return 0;
    }
    let is_immediate = decoded.op_count() == 2 && decoded.try_immediate(1).is_ok();
    match decoded.mnemonic() {
        Mnemonic::Sub if is_immediate => decoded.immediate(1).cast_signed().saturating_neg(),
        Mnemonic::Add if is_immediate => decoded.immediate(1).cast_signed(),
        Mnemonic::Lea if decoded.memory_base() == Register::RSP => decoded.memory_displacement64().cast_signed(),
        _ => 0,
    }
}

/// The number of a general register or of a part of it.
fn general(register: Register) -> Option<u8> {
    if !register.is_gpr() {
        return None;
    }
    u8::try_from(register.full_register().number()).ok().filter(|number| *number < 16)
}

fn flow(decoded: &Decoded, bytes: &[u8], pointers: &Pointers) -> Flow {
    let near = || matches!(decoded.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
    match decoded.flow_control() {
        FlowControl::Next if decoded.mnemonic() == Mnemonic::Hlt => Flow::Stop,
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => Flow::Branch(decoded.near_branch_target()),
        FlowControl::XbeginXabortXend if near() => Flow::Branch(decoded.near_branch_target()),
        FlowControl::XbeginXabortXend => Flow::Next,
        FlowControl::UnconditionalBranch if near() => Flow::Jump(decoded.near_branch_target()),
        FlowControl::IndirectBranch if decoded.code() == Code::Jmp_rm64 => indirect(decoded, bytes, pointers),
        FlowControl::Return if matches!(decoded.code(), Code::Retnq | Code::Retnq_imm16) => Flow::Return,
        FlowControl::Call if near() => Flow::Call(Some(decoded.near_branch_target())),
        // `syscall` and its like go on behind themselves and use no stack.
        FlowControl::Call => Flow::Next,
        FlowControl::IndirectCall => Flow::Call(None),
        FlowControl::Interrupt if decoded.mnemonic() == Mnemonic::Int => Flow::Next,
        FlowControl::Interrupt | FlowControl::Exception => Flow::Stop,
        FlowControl::UnconditionalBranch | FlowControl::IndirectBranch | FlowControl::Return => Flow::Leave,
    }
}

/// Where a near jump through a register or memory goes.
fn indirect(decoded: &Decoded, bytes: &[u8], pointers: &Pointers) -> Flow {
    // Compilers mark by `notrack` that a jump needs no landing pad, which only a switch's places lack.
    let is_certain = legacy_prefixes(bytes).contains(&0x3e);
    let table = match decoded.op0_kind() {
        OpKind::Register => match general(decoded.op0_register()).and_then(|number| pointers.known(number)) {
            Some(Known::Target(table)) => return Flow::Switch { table, is_certain: is_certain || table.is_none() },
            _ => None,
        },
        _ if decoded.is_ip_rel_memory_operand() => return Flow::Pointer(Some(decoded.ip_rel_memory_address())),
        _ => pointers.table(decoded, 8).map(|address| JumpTable { address, entries: Entries::Absolute }),
    };
    if table.is_some() || is_certain { Flow::Switch { table, is_certain } } else { Flow::Pointer(None) }
}

/// What is known of a register while code is read from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It holds this address.
    Address(u64),
    /// It holds an entry of a table of distances, which is at this address if that is known.
    Distance(Option<u64>),
    /// It holds the sum of a table's address and one of its entries.
    Target(Option<JumpTable>),
}

/// The general registers of which something is known.
#[derive(Debug, Default)]
struct Pointers {
    registers: [Option<Known>; 16],
}

impl Pointers {
    fn known(&self, number: u8) -> Option<Known> {
        self.registers.get(usize::from(number)).copied().flatten()
    }

    /// The address of the table that an operand takes an entry of `scale` bytes from.
    fn table(&self, decoded: &Decoded, scale: u32) -> Option<u64> {
        if decoded.memory_index() == Register::None || decoded.memory_index_scale() != scale {
            return None;
        }
        let distance = decoded.memory_displacement64();
        match general(decoded.memory_base()) {
            None if decoded.memory_base() == Register::None => Some(distance),
            None => None,
            Some(base) => match self.known(base)? {
                Known::Address(address) => Some(address.wrapping_add(distance)),
                _ => None,
            },
        }
    }

    /// Notes what an instruction writes to its first operand.
    fn follow(&mut self, decoded: &Decoded) {
        if matches!(decoded.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
            self.registers = [None; 16];
        }
        if decoded.op0_kind() != OpKind::Register || matches!(decoded.mnemonic(), Mnemonic::Cmp | Mnemonic::Test) {
            return;
        }
        let Some(number) = general(decoded.op0_register()) else { return };
        let known = self.result(decoded, number);
        if let Some(register) = self.registers.get_mut(usize::from(number)) {
            *register = known;
        }
    }

    fn result(&self, decoded: &Decoded, number: u8) -> Option<Known> {
        let is_memory = decoded.op1_kind() == OpKind::Memory;
        let is_indexed = decoded.memory_index() != Register::None;
        match decoded.mnemonic() {
            Mnemonic::Lea if decoded.is_ip_rel_memory_operand() => {
                Some(Known::Address(decoded.ip_rel_memory_address()))
            }
            Mnemonic::Mov if is_memory => self
                .table(decoded, 8)
                .map(|address| Known::Target(Some(JumpTable { address, entries: Entries::Absolute }))),
            Mnemonic::Mov if decoded.op1_kind() == OpKind::Register => self.known(general(decoded.op1_register())?),
            Mnemonic::Mov => decoded.try_immediate(1).ok().map(Known::Address),
            Mnemonic::Movsxd if is_memory && is_indexed && decoded.memory_index_scale() == 4 => {
                Some(Known::Distance(self.table(decoded, 4)))
            }
            Mnemonic::Add if decoded.op1_kind() == OpKind::Register => {
                sum(self.known(number), self.known(general(decoded.op1_register())?))
            }
            _ => None,
        }
    }
}

fn sum(one: Option<Known>, other: Option<Known>) -> Option<Known> {
    let table = match (one, other) {
        (Some(Known::Distance(table)), Some(Known::Address(_)) | None)
        | (Some(Known::Address(_)) | None, Some(Known::Distance(table))) => table,
        _ => return None,
    };
    Some(Known::Target(table.map(|address| JumpTable { address, entries: Entries::Relative })))
}

/// The address that an import stub (an entry of `.plt`, `.plt.sec` or `.plt.got`) jumps through.
pub(super) fn stub(code: &[u8], address: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut decoded = decoder.decode();
    if decoded.mnemonic() == Mnemonic::Endbr64 {
        decoded = decoder.decode();
    }
    let is_stub = decoded.code() == Code::Jmp_rm64 && decoded.is_ip_rel_memory_operand();
    is_stub.then(|| decoded.ip_rel_memory_address())
}

fn is_legacy_prefix(byte: u8) -> bool {
    matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
}

fn legacy_prefixes(bytes: &[u8]) -> &[u8] {
    let count = bytes.iter().take_while(|byte| is_legacy_prefix(**byte)).count();
    bytes.get(..count).unwrap_or_default()
}

/// Whether the kernel accepts a probe on an instruction, by `arch/x86/kernel/uprobes.c`: no segment prefix but `fs` and `gs`, no `lock`,
/// none of the opcodes that trap, talk to devices or have no meaning in 64-bit code.
fn is_probeable(bytes: &[u8]) -> bool {
    let prefixes = legacy_prefixes(bytes);
    if prefixes.iter().any(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0xf0)) {
        return false;
    }
    let mut rest = bytes.get(prefixes.len()..).unwrap_or_default();
    if let Some((0x40..=0x4f, behind)) = rest.split_first() {
        rest = behind;
    }
    match rest {
        [0x0f, second, ..] => !matches!(
            second,
            0x00 | 0x04 | 0x06..=0x0a | 0x0c | 0x20..=0x27 | 0x30 | 0x32 | 0x34..=0x37
        ),
        [first, ..] => !matches!(
            first,
            0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f | 0x60..=0x62 | 0x6c..=0x6f
                | 0x82 | 0x9a | 0xcc..=0xcf | 0xd4..=0xd6 | 0xe4..=0xe7 | 0xea | 0xec..=0xef | 0xf1 | 0xf4 | 0xfa | 0xfb
        ),
        [] => false,
    }
}

/// Whether the kernel emulates an instruction, from 5.10 on: `push` of a general register, jumps and calls to an address, and `nop`.
fn is_emulated(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x50..=0x57]
            | [0x41, 0x50..=0x57]
            | [0x70..=0x7f | 0xeb, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
            | [0x90]
            | [0x66, 0x90]
    )
}
