//! Where instructions begin.

use super::body::Body;
use super::program::Program;

/// Whether an instruction begins at `address`, which is in the file's own numbering. `None`: the code around it can't be decoded from
/// its beginning, since neither a symbol nor the unwind table says where that is.
pub fn is_instruction(program: &Program<'_>, address: u64) -> Option<bool> {
    let (start, end) = program.around(address)?;
    let body = Body::read(program, start, end).ok()?;
    Some(body.is_boundary(address))
}
