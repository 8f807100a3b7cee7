//! Instructions of aarch64, by the encodings of the Arm Architecture Reference Manual (DDI 0487), chapter C4.

use super::instruction::Effects;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::instruction::Undecodable;

/// Bytes of an instruction.
const SIZE: usize = 4;

/// Calls `each` with every instruction of `code`, which begins at `address`, until it returns an error.
pub(super) fn decode<E: From<Undecodable>>(
    code: &[u8],
    address: u64,
    each: &mut dyn FnMut(Instruction) -> Result<(), E>,
) -> Result<(), E> {
    let mut before = 0;
    let mut at = address;
    for bytes in code.chunks(SIZE) {
        let Some(word) = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
            return Err(Undecodable(at).into());
        };
        if !at.is_multiple_of(SIZE as u64) || is_unallocated(word) {
            return Err(Undecodable(at).into());
        }
        let flow = flow(word, before, at);
        each(Instruction {
            address: at,
            size: SIZE as u8,
            flow,
            is_probeable: is_probeable(word, flow),
            is_emulated: matches!(flow, Flow::Branch(_) | Flow::Jump(_) | Flow::Call(_) | Flow::Return),
            is_nop5: false,
            is_nop: word == 0xd503_201f,
        })?;
        before = word;
        at = at.wrapping_add(SIZE as u64);
    }
    Ok(())
}

/// Words that no instruction set version defines: constants between functions look like this.
fn is_unallocated(word: u32) -> bool {
    // Bits 28 to 25. The first are reserved, but for matrix instructions (bit 31 set).
    match (word >> 25) & 0xf {
        0b0000 => word >> 31 == 0,
        0b0001 | 0b0011 => true,
        _ => false,
    }
}

fn flow(word: u32, before: u32, at: u64) -> Flow {
    let target = |bits: u32, low: u32| {
        // The field's sign bit is moved to the top and back.
        let field = ((word >> low) << (32 - bits)).cast_signed() >> (32 - bits);
        at.wrapping_add_signed(i64::from(field) * 4)
    };
    if word & 0xfc00_0000 == 0x1400_0000 {
        return Flow::Jump(target(26, 0));
    }
    if word & 0xfc00_0000 == 0x9400_0000 {
        return Flow::Call(Some(target(26, 0)));
    }
    // b.cond and bc.cond, cbz and cbnz.
    if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 {
        return Flow::Branch(target(19, 5));
    }
    // tbz and tbnz.
    if word & 0x7e00_0000 == 0x3600_0000 {
        return Flow::Branch(target(14, 5));
    }
    // cb<cc> of two registers or with a constant (FEAT_CMPBR).
    if word & 0x7f00_0000 == 0x7400_0000 || word & 0x7f00_0000 == 0x7500_0000 {
        return Flow::Branch(target(9, 5));
    }
    if word & 0xfe00_0000 == 0xd600_0000 {
        return by_register(word, before);
    }
    // brk, hlt, dcps, udf are exceptions; svc goes on behind itself.
    if word & 0xff00_0000 == 0xd400_0000 {
        return if word & 0x00e0_001f == 0x0000_0001 { Flow::Next } else { Flow::Stop };
    }
    // retaasppc and retabsppc (FEAT_PAuth_LR).
    if word & 0xff80_001f == 0x5500_001f {
        return Flow::AuthenticatedReturn;
    }
    Flow::Next
}

/// Unconditional branches to a register.
fn by_register(word: u32, before: u32) -> Flow {
    let register = (word >> 5) & 0x1f;
    match word & 0xffff_fc1f {
        0xd65f_0000 if register == 30 => Flow::Return,
        0xd61f_0000 if is_sum_of_entry(before, register) => Flow::Switch { table: None, is_certain: true },
        0xd61f_0000 => Flow::Pointer(None),
        0xd63f_0000 => Flow::Call(None),
        _ => match word & 0xffff_f800 {
            // retaa, retab and their forms with a register (FEAT_PAuth_LR).
            0xd65f_0800 => Flow::AuthenticatedReturn,
            // braaz, brabz, blraaz, blrabz.
            0xd61f_0800 => Flow::Pointer(None),
            0xd63f_0800 => Flow::Call(None),
            _ if word & 0xffff_f000 == 0xd71f_0000 => Flow::Pointer(None),
            _ if word & 0xffff_f000 == 0xd73f_0000 => Flow::Call(None),
            _ => Flow::Leave,
        },
    }
}

/// Whether an instruction adds an entry of a table, extended from its size, to an address: `add x16, x16, w17, sxtb #2`.
fn is_sum_of_entry(word: u32, register: u32) -> bool {
    let is_extended_add = word & 0xffe0_0000 == 0x8b20_0000;
    let extension = (word >> 13) & 7;
    // uxtb, uxth, sxtb, sxth, sxtw: what an entry of one, two or four bytes needs.
    is_extended_add && word & 0x1f == register && matches!(extension, 0 | 1 | 4 | 5 | 6)
}

/// Whether the kernel accepts a probe on an instruction, by `arch/arm64/kernel/probes/decode-insn.c`.
fn is_probeable(word: u32, flow: Flow) -> bool {
    match flow {
        Flow::AuthenticatedReturn | Flow::Stop | Flow::Leave => false,
        // Those with authentication.
        Flow::Pointer(_) | Flow::Call(None) => word & 0x0000_0800 == 0 && word & 0x0100_0000 == 0,
        Flow::Next => {
            let is_exclusive = word & 0x3f00_0000 == 0x0800_0000;
            // msr and mrs of DAIF, msr of constants, and system calls.
            let is_system = word & 0xffc0_0000 == 0xd500_0000 && word & 0xffff_f01f != 0xd503_201f;
            let is_call = word & 0xff00_0000 == 0xd400_0000;
            !is_exclusive && !is_system && !is_call
        }
        _ => true,
    }
}

/// The registers that an instruction may write: for nearly all its lowest field, for loads of pairs a second one too.
pub(super) fn effects(code: &[u8]) -> Option<Effects> {
    let word = u32::from_le_bytes(*code.first_chunk()?);
    let mut written = 1 << (word & 0x1f);
    if word & 0x3a00_0000 == 0x2800_0000 {
        written |= 1 << ((word >> 10) & 0x1f);
    }
    Some(Effects {
        written,
        operand: None,
        pushed: 0,
        copies_stack_pointer: false,
        reads_thread_pointer: word & 0xffff_ffe0 == 0xd53b_d040,
    })
}

/// The address that an import stub jumps through: `adrp x16, page; ldr x17, [x16, offset]; add x16, …; br x17`, perhaps behind `bti c`.
pub(super) fn stub(code: &[u8], address: u64) -> Option<u64> {
    let word = |at: usize| code.get(at * SIZE..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let first = usize::from(word(0)? == 0xd503_245f);
    let (page, load, jump) = (word(first)?, word(first + 1)?, word(first + 3)?);
    if page & 0x9f00_001f != 0x9000_0010 || load & 0xffc0_03ff != 0xf940_0211 || jump != 0xd61f_0220 {
        return None;
    }
    let pages = (((page >> 5) & 0x7_ffff) << 2) | ((page >> 29) & 3);
    let pages = i64::from((pages << 11).cast_signed() >> 11);
    let at = address.wrapping_add((first * SIZE) as u64) & !0xfff;
    Some(at.wrapping_add_signed(pages << 12).wrapping_add(u64::from((load >> 10) & 0xfff) * 8))
}
