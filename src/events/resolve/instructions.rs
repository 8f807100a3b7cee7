//! Which instructions of a file may be probed.

use std::cell::OnceCell;

use crate::events::binary::Binary;
use crate::events::binary::Found;
use crate::events::kernel::Refusal;
use crate::events::nops;
use crate::exits::NopSite;
use crate::exits::Program;
use crate::exits::is_instruction;
use crate::exits::nop_site;
use crate::probe::site::LeftOut;

/// Where a probe for a place goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// There.
    Here,
    /// At an instruction that sees the same, so many bytes further on.
    Behind(u64),
    /// Nowhere, since it would spoil what the program computes.
    Nowhere,
}

/// The code of one file, which is decoded only if a place asks for it.
pub(super) struct Instructions<'a> {
    binary: &'a Binary,
    nops_are_replaced: bool,
    program: OnceCell<Option<Program<'a>>>,
}

impl<'a> Instructions<'a> {
    pub(super) fn new(binary: &'a Binary, nops_are_replaced: bool) -> Instructions<'a> {
        Instructions { binary, nops_are_replaced, program: OnceCell::new() }
    }

    fn program(&self) -> Option<&Program<'a>> {
        self.program.get_or_init(|| self.binary.program().ok()).as_ref()
    }

    /// Whether an address is within an instruction, as far as that is known.
    fn is_within_one(&self, address: u64) -> bool {
        self.program().is_some_and(|program| is_instruction(program, address) == Some(false))
    }

    /// The places that are probed for these, which need not be functions' beginnings. Those that can't be are left out.
    ///
    /// # Errors
    /// No instruction begins at one of them.
    pub(super) fn probed(&self, found: Vec<Found>, left_out: &mut Vec<LeftOut>) -> Result<Vec<Found>, Refusal> {
        let mut probed = Vec::new();
        for mut one in found {
            if one.is_inside && self.is_within_one(one.address) {
                let why = format!("no instruction begins at '{}'", one.function);
                let hint = format!("'objdump -d {}' shows where they do", self.binary.path().display());
                return Err(Refusal::new(why).hint(hint));
            }
            match self.spot(one.address) {
                Spot::Here => {}
                Spot::Behind(bytes) => one.offset = one.offset.saturating_add(bytes),
                Spot::Nowhere => {
                    left_out.push(self::left_out(&one.function, one.address));
                    continue;
                }
            }
            probed.push(one);
        }
        Ok(probed)
    }

    /// Where a probe for an address goes.
    pub(super) fn spot(&self, address: u64) -> Spot {
        if !self.nops_are_replaced || !self.binary.could_be_nop(address) {
            return Spot::Here;
        }
        match self.program().map(|program| nop_site(program, address)) {
            Some(Ok(NopSite::OtherInstruction | NopSite::Harmless)) => Spot::Here,
            Some(Ok(NopSite::Harmful { instead: Some(instead) })) => Spot::Behind(instead.saturating_sub(address)),
            Some(Ok(NopSite::Harmful { instead: None }) | Err(_)) | None => Spot::Nowhere,
        }
    }
}

/// A place that is not probed.
pub(super) fn left_out(name: &str, address: u64) -> LeftOut {
    LeftOut { name: format!("{name} at {address:#x}"), reason: nops::REASON.to_owned() }
}
