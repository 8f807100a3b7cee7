//! Operands of aarch64.

use super::number;
use crate::probe::site::Located;

/// Where the stack pointer is in `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h), behind x0 to x30.
const STACK_POINTER: u8 = 31;

/// `5`, `x0`, `w0`, `sp`, `[x0]`, `[sp, 8]`, `[x0, x1]`, `[x0, w1, sxtw 2]`.
pub(super) fn place(operand: &str) -> Result<Located, String> {
    if let Some(value) = number(operand.strip_prefix('#').unwrap_or(operand)) {
        return Ok(Located { number: value, ..Located::default() });
    }
    let Some(inner) = operand.strip_prefix('[') else {
        return Ok(Located { base: Some(register(operand)?), ..Located::default() });
    };
    let inner = inner.strip_suffix(']').ok_or("it is not one address")?;
    let mut parts = inner.split(',').map(str::trim);
    let mut place =
        Located { base: Some(register(parts.next().unwrap_or_default())?), in_memory: true, ..Located::default() };
    let Some(second) = parts.next() else { return Ok(place) };
    if let Some(value) = number(second.strip_prefix('#').unwrap_or(second)) {
        place.number = value;
    } else {
        // The upper half of what a narrow register names is not known to be empty.
        if second.starts_with('w') {
            return Err("its index is half a register".to_owned());
        }
        place.index = Some(register(second)?);
        if let Some(scale) = parts.next() {
            let shift = scale.strip_prefix("lsl").map(str::trim).map(|shift| shift.strip_prefix('#').unwrap_or(shift));
            let shift = shift.and_then(|shift| shift.parse().ok()).filter(|shift| *shift <= 4);
            place.shift = shift.ok_or_else(|| format!("'{scale}' is not a scale"))?;
        }
    }
    match parts.next() {
        Some(more) => Err(format!("'{more}' is not part of an address")),
        None => Ok(place),
    }
}

fn register(name: &str) -> Result<u8, String> {
    if name == "sp" {
        return Ok(STACK_POINTER);
    }
    let number = name.strip_prefix(['x', 'w']).and_then(|number| number.parse::<u8>().ok());
    number
        .filter(|number| *number < STACK_POINTER)
        .ok_or_else(|| format!("the kernel does not keep the register '{name}'"))
}
