//! The instructions of one stretch of code, read from its beginning to its end.

use super::MAX_CODE;
use super::frames::Frame;
use super::frames::Rows;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::program::Program;
use super::refusal::Refusal;

/// A function, or a part of one that was split off.
pub(super) struct Body {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where instructions begin, in bytes from the start.
    starts: Vec<u32>,
    /// The instructions that do not only go on behind themselves, calls included.
    flows: Vec<Instruction>,
    rows: Rows,
}

impl Body {
    /// Decodes the code between two addresses, of which every byte has to belong to an instruction.
    pub(super) fn read(program: &Program<'_>, start: u64, end: u64) -> Result<Body, Refusal> {
        let size = end.checked_sub(start).filter(|size| *size > 0).ok_or(Refusal::Unreadable)?;
        if size > MAX_CODE {
            return Err(Refusal::TooLarge { size });
        }
        let code = program.code(start, size).ok_or(Refusal::Unreadable)?;
        let mut starts = Vec::new();
        let mut flows = Vec::new();
        // The last instruction that is not padding.
        let mut last = None;
        program.machine().decode::<Refusal>(code, start, &mut |instruction| {
            // The code has less than 4 GiB.
            starts.push(u32::try_from(instruction.address - start).unwrap_or(u32::MAX));
            if instruction.flow != Flow::Next {
                flows.push(instruction);
            }
            if !instruction.is_nop {
                last = Some(instruction);
            }
            Ok(())
        })?;
        // A call at the end is one of a function that never returns.
        if let Some(Instruction { address, flow: Flow::Next | Flow::Branch(_), .. }) = last {
            return Err(Refusal::Contradiction { address, what: "it runs on into other code" });
        }
        let rows = program
            .rows(start, end)
            .ok_or(Refusal::Contradiction { address: start, what: "its unwind table can't be read" })?;
        Ok(Body { start, end, starts, flows, rows })
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether an instruction begins at an address.
    pub(super) fn is_boundary(&self, address: u64) -> bool {
        let Some(into) = address.checked_sub(self.start).and_then(|into| u32::try_from(into).ok()) else {
            return false;
        };
        self.starts.binary_search(&into).is_ok()
    }

    /// The addresses of all instructions.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> {
        self.starts.iter().map(|into| self.start + u64::from(*into))
    }

    /// The instructions that do not only go on behind themselves.
    pub(super) fn flows(&self) -> &[Instruction] {
        &self.flows
    }

    /// The frame at an instruction, before it runs.
    pub(super) fn frame(&self, address: u64) -> Option<Frame> {
        self.rows.at(address)
    }

    /// Whether an unwind table describes the code.
    pub(super) fn has_frames(&self) -> bool {
        !self.rows.is_empty()
    }
}
