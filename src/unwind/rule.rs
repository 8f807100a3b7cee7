//! The rules of unwinding: what to do at an instruction to come to the caller.

/// How the caller is found from an instruction on; in C `struct unwind_rule` of bpf/shared/unwind.h.
///
/// The CFA (canonical frame address) is the stack pointer as it is once the function has returned. The return address is right
/// below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// How the CFA is computed.
    pub cfa: Cfa,
    /// Where the caller's frame pointer is.
    pub frame_pointer: FramePointer,
}

/// How the CFA is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cfa {
    /// The tables say nothing of this place.
    Unknown,
    /// The outermost function: nobody called it.
    Outermost,
    /// The stack pointer plus so many bytes.
    StackPointer(i32),
    /// The frame pointer plus so many bytes.
    FramePointer(i32),
    /// The frame pointer plus so many bytes, from a function that has left its own stack.
    OtherStack(i32),
    /// Another register plus so many bytes; only the innermost function's are known.
    Register(u8, i32),
    /// The stack pointer plus so many bytes, and the return address is in a register; only the innermost function's are known.
    ReturnInRegister(u8, i32),
    /// What is in memory at the stack pointer plus the first number, plus the second.
    AtStackPointer(i32, i32),
    /// What is in memory at the frame pointer plus the first number, plus the second.
    AtFramePointer(i32, i32),
    /// An import stub of 16 bytes: it has pushed a word from this byte of it on.
    Stub(i32),
    /// On the stack of the goroutine that a thread of Go's runs: where the thread's structure has that, and so many bytes above where it
    /// left the stack.
    Goroutine(i32, i32),
    /// The kernel called it to end a signal handler: all registers are on the stack.
    Signal,
    /// Something that is not computed here.
    Unsupported,
}

/// Where the caller's frame pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FramePointer {
    /// In its register still.
    Same,
    /// In memory at the CFA plus so many bytes.
    AtCfa(i32),
    /// In memory at the frame pointer plus so many bytes.
    AtFramePointer(i32),
    /// Nowhere.
    Lost,
}

impl Rule {
    /// The tables say nothing.
    pub const UNKNOWN: Rule = Rule::without_caller(Cfa::Unknown);
    /// The outermost function.
    pub const OUTERMOST: Rule = Rule::without_caller(Cfa::Outermost);
    /// What is not computed here.
    pub const UNSUPPORTED: Rule = Rule::without_caller(Cfa::Unsupported);
    /// The end of a signal handler.
    pub const SIGNAL: Rule = Rule::without_caller(Cfa::Signal);

    const fn without_caller(cfa: Cfa) -> Rule {
        Rule { cfa, frame_pointer: FramePointer::Same }
    }
}
