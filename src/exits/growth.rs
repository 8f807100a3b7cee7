//! The stack check of Go functions: where the stack does not suffice, they make it grow and begin again.

use super::body::Body;
use super::instruction::Flow;
use super::program::Program;

/// Bytes of the code that makes a stack grow, at most: it saves and restores some registers around a call.
const MAX_SIZE: u64 = 512;
/// What the runtime's functions that make a stack grow are called.
const MORE_STACK: &str = "runtime.morestack";

/// The jumps back to a function's first instruction that follow a call of the runtime to make the stack grow.
pub(super) fn growths(program: &Program<'_>, body: &Body) -> Vec<u64> {
    let flows = body.flows();
    let pairs = flows.iter().zip(flows.iter().skip(1));
    pairs
        .filter(|(call, jump)| {
            let Flow::Call(Some(target)) = call.flow else { return false };
            jump.flow == Flow::Jump(body.start)
                && jump.address - call.address < MAX_SIZE
                && program.name(target).is_some_and(|name| name.starts_with(MORE_STACK))
        })
        .map(|(_, jump)| jump.address)
        .collect()
}

/// Whether code at `target` does nothing but make the stack grow and begin again.
pub(super) fn leads_to_growth(growths: &[u64], body: &Body, target: u64) -> bool {
    growths.iter().any(|jump| {
        let is_before = target < *jump && *jump - target < MAX_SIZE;
        let mut between = body.flows().iter().filter(|flow| (target..*jump).contains(&flow.address));
        is_before && between.all(|flow| matches!(flow.flow, Flow::Call(_)))
    })
}
