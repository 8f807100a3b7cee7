//! Operands of x86_64 in AT&T syntax.

use super::Symbols;
use super::number;
use crate::probe::site::Located;

/// Registers in the order of `struct pt_regs` (arch/x86/include/asm/ptrace.h), by their 64-bit names; what is empty holds none.
const REGISTERS: [&str; 20] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "", "", "",
    "", "rsp",
];

/// `$5`, `%edi`, `-20(%rbp)`, `8(%rdx,%rax,4)`, `counter+4(%rip)`.
pub(super) fn place(operand: &str, symbols: &impl Symbols) -> Result<Located, String> {
    if let Some(constant) = operand.strip_prefix('$') {
        return sum(constant, symbols);
    }
    if operand.starts_with('%') && !operand.contains(':') {
        return Ok(Located { base: Some(register(operand)?), ..Located::default() });
    }
    if operand.contains(':') {
        return Err("it is in a segment of its own, as thread-local variables are".to_owned());
    }
    let (displacement, inner) = match operand.split_once('(') {
        Some((displacement, rest)) => {
            (displacement, Some(rest.strip_suffix(')').ok_or("its parenthesis is not closed")?))
        }
        None => (operand, None),
    };
    let mut place = sum(displacement, symbols)?;
    place.in_memory = true;
    let Some(inner) = inner else { return Ok(place) };
    let mut parts = inner.split(',').map(str::trim);
    let base = parts.next().unwrap_or_default();
    if base == "%rip" {
        // Without a symbol, the distance is from an instruction that the probe's note does not know.
        return if place.from_probe && parts.next().is_none() {
            Ok(place)
        } else {
            Err("it is relative to another instruction".to_owned())
        };
    }
    if !base.is_empty() {
        place.base = Some(register(base)?);
    }
    if let Some(index) = parts.next() {
        place.index = Some(register(index)?);
        place.shift = match parts.next().unwrap_or("1") {
            "1" => 0,
            "2" => 1,
            "4" => 2,
            "8" => 3,
            other => return Err(format!("'{other}' is not a scale")),
        };
    }
    match parts.next() {
        Some(more) => Err(format!("'{more}' is not part of an address")),
        None => Ok(place),
    }
}

/// Numbers and at most one symbol, joined by signs; nothing is 0.
fn sum(text: &str, symbols: &impl Symbols) -> Result<Located, String> {
    let mut place = Located::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let behind = rest.get(sign..).unwrap_or_default();
        let length = sign + behind.find(['+', '-']).unwrap_or(behind.len());
        let (term, others) = rest.split_at(length);
        rest = others;
        if let Some(value) = number(term) {
            place.number = place.number.wrapping_add(value);
            continue;
        }
        let name = term.strip_prefix('+').unwrap_or(term);
        if place.from_probe || name.starts_with('-') || name.is_empty() {
            return Err(format!("'{text}' is not a sum of one symbol and numbers"));
        }
        if name.contains('@') {
            return Err(format!("'{name}' is found by way of a table"));
        }
        place.number = place.number.wrapping_add(symbols.distance(name)?);
        place.from_probe = true;
    }
    Ok(place)
}

/// The word of a register by any name that it has: `%rdi`, `%edi`, `%di` and `%dil` are one.
fn register(name: &str) -> Result<u8, String> {
    let unknown = || format!("the kernel does not keep the register '{name}'");
    let short = name.strip_prefix('%').ok_or_else(unknown)?;
    let whole = match short {
        "eax" | "ax" | "al" => "rax".to_owned(),
        "ebx" | "bx" | "bl" => "rbx".to_owned(),
        "ecx" | "cx" | "cl" => "rcx".to_owned(),
        "edx" | "dx" | "dl" => "rdx".to_owned(),
        "esi" | "si" | "sil" => "rsi".to_owned(),
        "edi" | "di" | "dil" => "rdi".to_owned(),
        "ebp" | "bp" | "bpl" => "rbp".to_owned(),
        "esp" | "sp" | "spl" => "rsp".to_owned(),
        numbered if numbered.starts_with('r') => numbered.trim_end_matches(['d', 'w', 'b']).to_owned(),
        other => other.to_owned(),
    };
    let place = REGISTERS.iter().position(|known| !known.is_empty() && *known == whole).ok_or_else(unknown)?;
    u8::try_from(place).map_err(|_| unknown())
}
