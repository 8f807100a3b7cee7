//! The place to probe for the beginning of a call.
//!
//! The kernel emulates few instructions under a probe and steps over the others, which costs a second trap. So the place moves from the
//! entry to the first emulated instruction behind it that every call passes with its arguments and a stack pointer that is known. In
//! Go it has to move behind the stack check, because a function begins again after its stack has grown.

use super::Entry;
use super::Pairing;
use super::body::Body;
use super::frames::Frame;
use super::growth;
use super::instruction::Effects;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::machine::Machine;
use super::program::Program;
use super::refusal::Refusal;
use super::walk::Walk;

/// Bytes behind the entry in which the place is searched.
const MAX_DISTANCE: u64 = 256;

/// The place of a function's entry.
pub(super) fn entry<'data>(
    program: &Program<'data>,
    walk: &Walk<'_, 'data>,
    pairing: Pairing,
) -> Result<Entry, Refusal> {
    let body = walk.body().ok_or(Refusal::Unreadable)?;
    let search =
        Search { program, walk, body, arguments: program.machine().argument_registers(pairing == Pairing::Goroutine) };
    let start = match pairing {
        Pairing::StackPointer => body.start,
        Pairing::Goroutine => search.behind_stack_check()?,
    };
    let place = search.cheapest(start)?;
    let offset = program.offset(place.address).ok_or(Refusal::Unreadable)?;
    if walk.exits().iter().any(|exit| exit.offset == offset) {
        return Err(Refusal::EntryIsExit);
    }
    Ok(Entry { offset, stack_delta: place.stack_delta })
}

/// A place that every call passes.
struct Place {
    address: u64,
    stack_delta: u32,
}

struct Search<'a, 'data> {
    program: &'a Program<'data>,
    walk: &'a Walk<'a, 'data>,
    body: &'a Body,
    arguments: u32,
}

impl Search<'_, '_> {
    /// The instructions from an address on.
    fn instructions(&self, from: u64) -> Vec<Instruction> {
        let size = self.body.end.saturating_sub(from).min(MAX_DISTANCE);
        let mut instructions = Vec::new();
        // The last one may be cut off; all before it are whole, because the body was decoded.
        let code = self.program.code(from, size).unwrap_or_default();
        let _: Result<(), Refusal> = self.program.machine().decode(code, from, &mut |instruction| {
            instructions.push(instruction);
            Ok(())
        });
        instructions
    }

    fn effects(&self, instruction: &Instruction) -> Option<Effects> {
        let code = self.program.code(instruction.address, u64::from(instruction.size))?;
        self.program.machine().effects(code, instruction.address)
    }

    /// Whether an instruction leaves the registers alone that hold arguments.
    fn keeps_arguments(&self, effects: &Effects) -> bool {
        effects.written & self.arguments == 0
    }

    /// How far below its value at the entry the stack pointer is at an address, where the unwind table and what the instructions
    /// before it `pushed` agree.
    fn stack_delta(&self, address: u64, pushed: i64) -> Option<u32> {
        let machine = self.program.machine();
        let delta = match self.body.frame(address) {
            Some(Frame::Register { register, distance }) if register == machine.stack_pointer() => {
                distance.checked_sub(machine.pushed_by_call())?
            }
            None if !self.body.has_frames() => pushed,
            _ => return None,
        };
        u32::try_from(delta).ok().filter(|_| delta == pushed)
    }

    /// The first place from `start` on that the kernel emulates, or `start`.
    fn cheapest(&self, start: u64) -> Result<Place, Refusal> {
        let is_target = |address: u64| self.walk.targets().is_none_or(|targets| targets.contains(&address));
        let instructions = self.instructions(start);
        let mut pushed = 0;
        for instruction in &instructions {
            let address = instruction.address;
            if address != start && (is_target(address) || self.program.machine() == Machine::Aarch64) {
                break;
            }
            let is_cheap = instruction.is_emulated && instruction.is_probeable && !instruction.is_nop5;
            if is_cheap && let Some(stack_delta) = self.stack_delta(address, pushed) {
                return Ok(Place { address, stack_delta });
            }
            let Some(effects) = self.effects(instruction) else { break };
            if instruction.flow != Flow::Next || !self.keeps_arguments(&effects) {
                break;
            }
            pushed += i64::from(effects.pushed);
        }
        match instructions.first() {
            Some(first) if first.is_probeable => Ok(Place { address: start, stack_delta: 0 }),
            _ => Err(Refusal::Unprobeable { address: start }),
        }
    }

    /// The first instruction that a Go function does not run again after its stack has grown.
    fn behind_stack_check(&self) -> Result<u64, Refusal> {
        let growths = self.walk.growths();
        let mut place = self.body.start;
        let mut is_check = true;
        for instruction in self.instructions(self.body.start) {
            if let Flow::Call(_) = instruction.flow {
                break;
            }
            // Only what takes its arguments on the stack has to look up its goroutine.
            let Some(effects) = self.effects(&instruction).filter(|effects| !effects.reads_thread_pointer) else {
                return Err(Refusal::GoStackAbi);
            };
            match instruction.flow {
                Flow::Branch(target) if is_check && growth::leads_to_growth(growths, self.body, target) => {
                    place = instruction.end();
                }
                Flow::Next => is_check &= self.keeps_arguments(&effects) && effects.pushed == 0,
                _ => break,
            }
        }
        if place != self.body.start {
            let is_target = self.walk.targets().is_some_and(|targets| targets.contains(&place));
            return if is_target { Err(Refusal::JumpsToEntry) } else { Ok(place) };
        }
        if !growths.is_empty() {
            return Err(Refusal::JumpsToEntry);
        }
        // Without a stack check nothing shows where such a function has its goroutine.
        if self.program.is_before_go_registers() { Err(Refusal::GoStackAbi) } else { Ok(place) }
    }
}
