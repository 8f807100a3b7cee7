//! Whether a probe on a nop of five bytes spoils a function's results.
//!
//! Kernels from 6.17 on replace a probed nop of five bytes by a call. Its return address overwrites the bytes below the stack pointer,
//! where functions that call no others may keep values: the red zone.

use super::body::Body;
use super::frames::Frame;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::machine::Machine;
use super::program::Program;
use super::refusal::Refusal;
use super::walk;
use super::x86_64::FRAME_POINTER;
use super::x86_64::STACK_POINTER;

/// What a probe at a place does where the kernel replaces nops by calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NopSite {
    /// There is another instruction, which is never replaced.
    OtherInstruction,
    /// A nop whose function keeps nothing below the stack pointer.
    Harmless,
    /// A nop whose function keeps, or may keep, values below the stack pointer.
    Harmful {
        /// Where a probe sees the same calls, arguments and stack, in the file's own numbering, and is not replaced.
        instead: Option<u64>,
    },
}

/// What a probe at `address` does on kernels that replace nops by calls.
///
/// # Errors
/// The file has no instruction there.
pub fn nop_site(program: &Program<'_>, address: u64) -> Result<NopSite, Refusal> {
    // Arm's instructions all have four bytes.
    if program.machine() == Machine::Aarch64 {
        return Ok(NopSite::OtherInstruction);
    }
    let code = program.code(address, 5).ok_or(Refusal::Unreadable);
    let mut first = None;
    let _ = program.machine().decode::<Refusal>(code?, address, &mut |instruction| {
        first.get_or_insert(instruction);
        Ok(())
    });
    let Some(nop) = first.filter(|first| first.is_nop5) else { return Ok(NopSite::OtherInstruction) };
    let Some((start, end)) = program.around(address) else { return Ok(NopSite::Harmful { instead: None }) };
    let Ok(body) = Body::read(program, start, end) else { return Ok(NopSite::Harmful { instead: None }) };
    if !body.is_boundary(address) {
        return Err(Refusal::Undecodable { address });
    }
    if !may_keep_values(program, &body, address) {
        return Ok(NopSite::Harmless);
    }
    Ok(NopSite::Harmful { instead: equivalent(program, &body, nop.end()) })
}

/// The instruction behind the nop, if everyone who comes to it passed the nop.
fn equivalent(program: &Program<'_>, body: &Body, next: u64) -> Option<u64> {
    if !body.is_boundary(next) || walk::targets(program, body)?.contains(&next) {
        return None;
    }
    let code = program.code(next, (body.end - next).min(16))?;
    let mut first: Option<Instruction> = None;
    let _ = program.machine().decode::<Refusal>(code, next, &mut |instruction| {
        first.get_or_insert(instruction);
        Ok(())
    });
    let first = first?;
    (first.is_probeable && !first.is_nop5).then_some(next)
}

/// Whether a function may keep values below the stack pointer that it has at `nop`.
fn may_keep_values(program: &Program<'_>, body: &Body, nop: u64) -> bool {
    // Compilers use the red zone only in functions that call no others. Assembly may do otherwise, by the stack pointer.
    let calls = body.flows().iter().any(|instruction| matches!(instruction.flow, Flow::Call(_)));
    // The rest of a function that was split is not read.
    let leaves = |flow: Flow| matches!(flow, Flow::Branch(target) | Flow::Jump(target) if !body.contains(target));
    if !calls && body.flows().iter().any(|instruction| leaves(instruction.flow)) {
        return true;
    }
    let mut depth = Some(0i64);
    let mut at_frame_pointer = None;
    let mut lowest_by_frame_pointer = 0;
    let mut depth_at_nop = None;
    for address in body.addresses() {
        let size = (body.end - address).min(16);
        let Some(effects) = program.code(address, size).and_then(|code| program.machine().effects(code, address))
        else {
            return true;
        };
        // Where the unwind table knows the depth it is right; between, it is counted.
        if let Some(Frame::Register { register, distance }) = body.frame(address)
            && register == program.machine().stack_pointer()
        {
            depth = Some(distance);
        }
        if address == nop {
            depth_at_nop = depth;
        }
        if let Some(operand) = effects.operand {
            if operand.base == Some(STACK_POINTER) && operand.distance < 0 {
                return true;
            }
            if operand.base == Some(FRAME_POINTER) && at_frame_pointer.is_some() {
                lowest_by_frame_pointer = lowest_by_frame_pointer.min(operand.distance);
            }
        }
        if effects.copies_stack_pointer {
            if effects.written & (1 << FRAME_POINTER) == 0 && !calls {
                return true;
            }
            at_frame_pointer = depth;
        }
        depth = depth.map(|depth| depth + i64::from(effects.pushed));
    }
    if calls {
        return false;
    }
    match (at_frame_pointer, depth_at_nop) {
        (None, _) => false,
        // What lies below the frame pointer by more than the stack pointer does is in the red zone.
        (Some(frame), Some(depth)) => lowest_by_frame_pointer < frame - depth,
        (Some(_), None) => true,
    }
}
