//! A custom event, resolved: where it hooks and what it computes there. Plain data, between the language of
//! `-e` (module `events`), which makes it, and the probe `events`, which attaches it.
//!
//! What is computed at a hit is postfix code over 64-bit integers. The kernel's program is one text for all events: it
//! has the code as constants, so the verifier walks only the steps of this event.

#[cfg(all(feature = "record", target_os = "linux"))]
use super::hook::Hook;
#[cfg(all(feature = "record", target_os = "linux"))]
use super::site::LeftOut;
#[cfg(all(feature = "record", target_os = "linux"))]
use super::site::SiteArgument;

/// Numbers that an event can capture: the columns `arg_0` to `arg_5`.
pub const MAX_NUMBERS: usize = 6;
/// Strings that an event can capture: the columns `str_0` to `str_2`.
pub const MAX_TEXTS: usize = 3;
/// Steps of one expression.
pub const MAX_STEPS: usize = 16;
/// Values that an expression can hold at once.
pub const MAX_DEPTH: usize = 6;
/// Bytes that are kept of a string, where the event does not say how many.
pub const TEXT_LIMIT: u16 = 1024;
/// Bytes that an event can ask to keep of a string or of memory.
pub const MAX_TEXT_LIMIT: u16 = 4096;
/// Bytes of the texts that one event compares with, together, each filled up to the next multiple of `WANTED_CHUNK`.
pub const WANTED_BYTES: usize = 1024;
/// Bytes that the kernel's side compares at once.
pub const WANTED_CHUNK: usize = 32;

/// One event to attach.
#[cfg(all(feature = "record", target_os = "linux"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomEvent {
    /// As the user wrote it.
    pub text: String,
    /// What it is called in the recording: the name that the user gave it, else the text.
    pub label: String,
    /// Where it hooks.
    pub hook: Hook,
    /// What is kept of each hit; no row is streamed for an event that captures nothing, keeps no stack and has not `every_hit`.
    pub captures: Vec<Capture>,
    /// A hit counts if this is not zero; empty: every hit.
    pub filter: Vec<Step>,
    /// A number of which the kernel keeps a histogram.
    pub hist: Option<Named>,
    /// What counts and histograms are kept by, beside the process.
    pub by: Option<Capture>,
    /// Each hit is a row though nothing is captured.
    pub every_hit: bool,
    /// Rows carry the kernel's stack.
    pub kernel_stack: bool,
    /// Rows carry the user's stack.
    pub user_stack: bool,
    /// Places and functions that match and that it does without, with the reason.
    pub left_out: Vec<LeftOut>,
}

#[cfg(all(feature = "record", target_os = "linux"))]
impl CustomEvent {
    /// Whether it reads memory of the process that it is hit in.
    pub fn reads_process_memory(&self) -> bool {
        let by = self.by.iter().map(|by| &by.value);
        let values = self.captures.iter().map(|capture| &capture.value).chain(by);
        let steps = |steps: &[Step]| {
            steps.iter().any(|step| match step {
                Step::Load { space, .. } | Step::TextIs { space, .. } => *space != Space::Kernel,
                _ => false,
            })
        };
        let by_values = values.into_iter().any(|value| match value {
            Value::Number(number) => steps(number),
            Value::Text { address, kind } => steps(address) || kind.space() != Space::Kernel,
        });
        let arguments_in_memory = match &self.hook {
            Hook::Usdt { sites, .. } => sites.iter().flat_map(|site| &site.arguments).any(SiteArgument::is_in_memory),
            _ => false,
        };
        by_values
            || steps(&self.filter)
            || self.hist.as_ref().is_some_and(|hist| steps(&hist.steps))
            || arguments_in_memory
    }
}

/// Something with a name that is kept of a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Its name in the report.
    pub name: String,
    /// What it is.
    pub value: Value,
}

/// A number with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name in the report.
    pub name: String,
    /// The code that computes it.
    pub steps: Vec<Step>,
}

/// A value that is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A signed 64-bit number.
    Number(Vec<Step>),
    /// Text at the address that the code computes.
    Text {
        /// The code of the address.
        address: Vec<Step>,
        /// How what is there becomes text.
        kind: TextKind,
    },
}

/// What is at the address of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// Bytes up to a zero, not more than the limit.
    String {
        /// Where they are.
        space: Space,
        /// How many are kept.
        limit: u16,
    },
    /// A number of bytes, whatever they are.
    Bytes {
        /// Where they are.
        space: Space,
        /// How many.
        limit: u16,
    },
    /// A `struct sockaddr` of IPv4, IPv6 or a Unix socket.
    SocketAddress(Space),
    /// Four bytes of an IPv4 address.
    Ipv4(Space),
    /// Sixteen bytes of an IPv6 address.
    Ipv6(Space),
}

impl TextKind {
    /// Where it is.
    pub fn space(&self) -> Space {
        match self {
            TextKind::String { space, .. } | TextKind::Bytes { space, .. } => *space,
            TextKind::SocketAddress(space) | TextKind::Ipv4(space) | TextKind::Ipv6(space) => *space,
        }
    }
}

/// Whose memory an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The kernel's.
    Kernel,
    /// The current process's.
    User,
    /// One or the other, which the address tells: the kernel's addresses have their highest bit set, on x86_64 and aarch64 alike.
    ByAddress,
}

/// One step of postfix code: it takes values off the stack and puts one back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Puts a constant.
    Number(i64),
    /// Puts argument `0..` of the function, raw tracepoint or USDT probe.
    Argument(u8),
    /// Puts what the function returns.
    Returned,
    /// Puts the duration of a latency event in nanoseconds.
    Duration,
    /// Puts the address of a tracepoint's record.
    Record,
    /// Puts something about who is running.
    Who(Who),
    /// Takes an address, puts the integer there.
    Load {
        /// Bytes after the address.
        offset: i32,
        /// 1, 2, 4 or 8 bytes.
        size: u8,
        /// Its highest bit is a sign.
        signed: bool,
        /// It is in network byte order.
        big_endian: bool,
        /// Where the address points.
        space: Space,
    },
    /// Takes a number, puts these bits of it: a bit field.
    Bits {
        /// The lowest bit.
        shift: u8,
        /// How many.
        width: u8,
        /// The highest of them is a sign.
        signed: bool,
    },
    /// Takes an address, puts 1 if the string there is the given one, else 0.
    TextIs {
        /// Where the address points.
        space: Space,
        /// The wanted string, without a zero.
        wanted: Vec<u8>,
    },
    /// Puts 1 if the thread's name is the given one, padded with zeroes, else 0.
    CommIs([u8; 16]),
    /// Takes one number, puts its result.
    Unary(Unary),
    /// Takes the right number, then the left one, puts their result.
    Binary(Binary),
}

/// What is known at each hit without an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The process.
    Pid,
    /// The thread.
    Tid,
    /// The user's number.
    Uid,
    /// The CPU.
    Cpu,
    /// CLOCK_MONOTONIC in nanoseconds.
    Time,
}

/// Operations on one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// 1 for 0, else 0.
    Not,
    /// Its negative.
    Negate,
    /// Every bit turned.
    Invert,
    /// The lowest two bytes in reverse order, the rest 0.
    Swap16,
    /// The lowest four bytes in reverse order, the rest 0.
    Swap32,
    /// All eight bytes in reverse order.
    Swap64,
}

/// Operations on two numbers; comparisons are signed and give 1 or 0, arithmetic wraps, division by 0 gives 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
