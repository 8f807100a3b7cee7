//! System calls as the kernel's programs describe them, with what they are called.

use std::borrow::Cow;
use std::collections::HashMap;

use super::types;
use crate::names::syscalls::Arch;
use crate::names::syscalls::WAITS;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Its name, or what stands for one.
    pub(super) name: Cow<'static, str>,
    waits: bool,
}

impl Call {
    /// What stands in the column `syscall_class`.
    pub(super) fn class(&self) -> &'static str {
        if self.waits { "wait" } else { "work" }
    }
}

/// The calls of an architecture.
#[derive(Debug)]
pub(super) struct Calls {
    /// By number, as far as the table goes: found without a search, since every event asks.
    known: Vec<Call>,
    /// Those that the table does not have, as they occur.
    others: HashMap<u32, Call>,
}

impl Calls {
    /// The calls of this architecture; none has a name on an unknown one.
    pub(super) fn of(arch: Option<Arch>) -> Calls {
        let table = arch.map_or(&[][..], Arch::table);
        let end = table.last().map_or(0, |(number, _)| number + 1);
        let name = |number| match arch.and_then(|arch| arch.name(number)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("syscall_{number}")),
        };
        let call = |number| {
            let name = name(number);
            Call { waits: WAITS.contains(&name.as_ref()), name }
        };
        Calls { known: (0..end).map(call).collect(), others: HashMap::new() }
    }

    /// The call that the programs describe so (`enum call_bits`).
    #[inline]
    pub(super) fn get(&mut self, described: u32) -> &Call {
        // The bits above the number are in none of the table's places.
        match self.known.get(described as usize) {
            Some(call) => call,
            None => self.others.entry(described).or_insert_with(|| other(&self.known, described)),
        }
    }
}

fn other(known: &[Call], described: u32) -> Call {
    let number = described & types::call_bits::CALL_NUMBER.0;
    let name = |number| known.get(number as usize).map(|call| call.name.clone());
    if described & types::call_bits::CALL_WAITS.0 != 0 {
        return Call { name: name(number).unwrap_or_else(|| Cow::Owned(format!("syscall_{number}"))), waits: true };
    }
    let name = match described & types::call_bits::CALL_COMPAT.0 != 0 {
        // 32-bit code has numbers of its own.
        true => format!("compat_{number}"),
        false if number == types::call_bits::CALL_NUMBER.0 => "syscall_invalid".to_owned(),
        false => format!("syscall_{number}"),
    };
    Call { name: Cow::Owned(name), waits: false }
}

#[cfg(test)]
mod tests {
    use super::Arch;
    use super::Calls;

    const COMPAT: u32 = 1 << 16;
    const WAITS_HERE: u32 = 1 << 17;

    #[test]
    fn calls_have_their_architectures_names_and_are_told_apart() {
        let mut calls = Calls::of(Some(Arch::X86_64));
        let mut named = |described| {
            let call = calls.get(described);
            (call.name.to_string(), call.class())
        };
        assert_eq!(named(0), ("read".to_owned(), "work"));
        assert_eq!(named(7), ("poll".to_owned(), "wait"));
        assert_eq!(named(202), ("futex".to_owned(), "work"));
        assert_eq!(named(202 | WAITS_HERE), ("futex".to_owned(), "wait"));
        assert_eq!(named(WAITS_HERE), ("read".to_owned(), "wait"));
        assert_eq!(named(400), ("syscall_400".to_owned(), "work"));
        assert_eq!(named(9999), ("syscall_9999".to_owned(), "work"));
        assert_eq!(named(0xffff), ("syscall_invalid".to_owned(), "work"));
        assert_eq!(named(7 | COMPAT), ("compat_7".to_owned(), "work"));
    }

    #[test]
    fn an_unknown_architecture_has_numbers_for_names() {
        assert_eq!(Calls::of(None).get(3).name, "syscall_3");
    }
}
