//! Where a static probe's arguments are: the operands that the assembler wrote into its note, as `-4@%edi 8@16(%rbp)`.
//!
//! The format is SystemTap's (`sys/sdt.h`): for each argument the size in bytes, negative where it is signed, and the operand
//! in the assembler's own syntax.

mod aarch64;
mod x86_64;

use crate::probe::site::Located;
use crate::probe::site::SiteArgument;

/// Arguments of a probe that are read: more are left out.
const MAX_ARGUMENTS: usize = 12;

/// The architectures whose operands are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// The one that this program was compiled for.
    pub(super) fn own() -> Machine {
        if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 }
    }
}

/// Distances from the probe to what symbols name: the operands of a probe don't say where those are.
pub(super) trait Symbols {
    /// Bytes from the probe's instruction to the symbol.
    ///
    /// # Errors
    /// Why it is not known.
    fn distance(&self, name: &str) -> Result<i64, String>;
}

/// The arguments in a note's third text.
pub(super) fn arguments(text: &str, machine: Machine, symbols: &impl Symbols) -> Vec<SiteArgument> {
    split(text).into_iter().take(MAX_ARGUMENTS).map(|one| argument(one, machine, symbols)).collect()
}

fn argument(text: &str, machine: Machine, symbols: &impl Symbols) -> SiteArgument {
    let located = || -> Result<Located, String> {
        let (size, operand) = text.split_once('@').ok_or("its size is missing")?;
        let bytes: i8 = size.parse().map_err(|_| match size.strip_suffix('f') {
            Some(_) => "it is a floating-point number".to_owned(),
            None => format!("'{size}' is not a size"),
        })?;
        let size = bytes.unsigned_abs();
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Err(format!("it has {size} bytes"));
        }
        let place = match machine {
            Machine::X86_64 => x86_64::place(operand.trim(), symbols)?,
            Machine::Aarch64 => aarch64::place(operand.trim())?,
        };
        Ok(Located { size, signed: bytes < 0, ..place })
    };
    match located() {
        Ok(located) => SiteArgument::Located(located),
        Err(why) => SiteArgument::Unreadable(format!("'{text}': {why}")),
    }
}

/// Splits at the blanks before a size: other blanks are part of an operand, as in `8@[x0, 8]`.
fn split(text: &str) -> Vec<&str> {
    let mut begins = Vec::new();
    let mut at = 0;
    for word in text.split(' ') {
        if begins_argument(word) {
            begins.push(at);
        }
        at += word.len() + 1;
    }
    let ends = begins.iter().skip(1).copied().chain([text.len()]);
    begins.iter().zip(ends).filter_map(|(&begin, end)| text.get(begin..end)).map(str::trim).collect()
}

fn begins_argument(word: &str) -> bool {
    word.split_once('@').is_some_and(|(size, _)| {
        let digits = size.strip_prefix('-').unwrap_or(size);
        let digits = digits.strip_suffix('f').unwrap_or(digits);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A number as assemblers write it: decimal, or hexadecimal behind `0x`, with a sign.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let value = value.cast_signed();
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
#[path = "operands/tests.rs"]
mod tests;
