//! The stretches of code that are one function.

use super::MAX_PARTS;
use super::body::Body;
use super::frames::Frame;
use super::instruction::Flow;
use super::program::Program;
use super::refusal::Refusal;

/// Where the code of the function between two addresses is: there, and wherever the compiler put a part that it split off, as code
/// that seldom runs. Each stretch up to its end, in the file's own numbering.
///
/// A jump leads to such a part if the function's frame is still there; from a jump that ends the function it is gone.
///
/// # Errors
/// The function can't be decoded.
pub fn parts(program: &Program<'_>, start: u64, end: u64) -> Result<Vec<(u64, u64)>, Refusal> {
    let body = Body::read(program, start, end)?;
    let machine = program.machine();
    let gone = Frame::Register { register: machine.stack_pointer(), distance: machine.pushed_by_call() };
    let mut parts = vec![(start, end)];
    for instruction in body.flows() {
        let (Flow::Jump(target) | Flow::Branch(target)) = instruction.flow else { continue };
        if parts.iter().any(|(start, end)| (*start..*end).contains(&target)) {
            continue;
        }
        let frame = body.frame(instruction.address).filter(|frame| *frame != gone && *frame != Frame::Expression);
        let Some((start, end)) = program.described(target).filter(|_| frame.is_some()) else { continue };
        if program.rows(start, end).and_then(|rows| rows.at(target)) == frame && parts.len() < MAX_PARTS {
            parts.push((start, end));
        }
    }
    Ok(parts)
}
