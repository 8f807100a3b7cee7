//! Places of static probes in a program's code, and where the probes' arguments are.

/// One place of a static probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Which of the event's probes it belongs to.
    pub probe: usize,
    /// Where its instruction begins in the file, in bytes.
    pub offset: u64,
    /// Where in the file the counter is that enables the probe; 0: it has none.
    pub semaphore: u64,
    /// Where its arguments are when it is hit.
    pub arguments: Vec<SiteArgument>,
}

/// An argument of a static probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteArgument {
    /// It can be read.
    Located(Located),
    /// It can't, with the operand and the reason.
    Unreadable(String),
}

impl SiteArgument {
    /// Whether it has to be read out of the process's memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, SiteArgument::Located(located) if located.in_memory)
    }
}

/// Where an argument is: the sum of its parts is its value, or the address of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// A constant.
    pub number: i64,
    /// A register, as its place among the eight-byte words of the kernel's `struct pt_regs`.
    pub base: Option<u8>,
    /// A second register.
    pub index: Option<u8>,
    /// The second register counts 1 << `shift` times.
    pub shift: u8,
    /// The address of the hit instruction is a part: `number` is a distance from it.
    pub from_probe: bool,
    /// The sum is the address of the value.
    pub in_memory: bool,
    /// Bytes of the value: 1, 2, 4 or 8.
    pub size: u8,
    /// Its highest bit is a sign.
    pub signed: bool,
}

/// A place that an event does without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The function or probe.
    pub name: String,
    /// Why: a clause.
    pub reason: String,
}
