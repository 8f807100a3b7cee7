//! What `-e` says, as a tree: no name in it has been looked up.

mod shown;

use crate::probe::event::Binary;
use crate::probe::event::Unary;

/// A place in the text of a specification, in bytes. Trees are compared without their places.
#[derive(Debug, Clone, Copy, Default)]
pub struct At(pub usize);

impl PartialEq for At {
    fn eq(&self, _: &At) -> bool {
        true
    }
}

impl Eq for At {}

/// An event as it was written, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// What it says.
    pub spec: Spec,
}

impl Written {
    /// What it is called in a recording: the name that its user gave it, else its text.
    pub fn label(&self) -> &str {
        self.spec.name.as_deref().unwrap_or(self.text.trim())
    }
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What the user calls it.
    pub name: Option<String>,
    /// The sort of hook.
    pub sort: Sort,
    /// What it is put on.
    pub target: Target,
    /// What stands in the parentheses.
    pub items: Vec<Item>,
    /// What stands between the slashes.
    pub filter: Option<Expr>,
}

impl Spec {
    /// Whether it asks for anything of a hit but to count it.
    pub fn names_values(&self) -> bool {
        self.items.iter().any(|item| !matches!(item, Item::Trampoline(_))) || self.filter.is_some()
    }

    /// Whether it is about functions of a program that return.
    pub fn is_return_of_a_program(&self) -> bool {
        matches!((self.sort, &self.target), (Sort::Uretprobe | Sort::Latency, Target::File { .. }))
    }

    /// Where it asks for the kernel's return trampoline, if it does.
    pub fn trampoline(&self) -> Option<At> {
        self.items.iter().find_map(|item| match item {
            Item::Trampoline(at) => Some(*at),
            _ => None,
        })
    }
}

/// The sorts of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // As the language has them.
pub enum Sort {
    Kprobe,
    Kretprobe,
    Fentry,
    Fexit,
    Tracepoint,
    Rawtp,
    Uprobe,
    Uretprobe,
    Usdt,
    Latency,
}

impl Sort {
    /// All of them, in the order of the manual.
    pub const ALL: [Sort; 10] = [
        Sort::Kprobe,
        Sort::Kretprobe,
        Sort::Fentry,
        Sort::Fexit,
        Sort::Tracepoint,
        Sort::Rawtp,
        Sort::Uprobe,
        Sort::Uretprobe,
        Sort::Usdt,
        Sort::Latency,
    ];

    /// The word before the first colon.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Kprobe => "kprobe",
            Sort::Kretprobe => "kretprobe",
            Sort::Fentry => "fentry",
            Sort::Fexit => "fexit",
            Sort::Tracepoint => "tracepoint",
            Sort::Rawtp => "rawtp",
            Sort::Uprobe => "uprobe",
            Sort::Uretprobe => "uretprobe",
            Sort::Usdt => "usdt",
            Sort::Latency => "latency",
        }
    }
}

/// A name that may be a glob, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Where it begins.
    pub at: At,
    /// The name without quotes.
    pub text: String,
}

/// What an event is put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A kernel function or a raw tracepoint.
    Kernel(Name),
    /// A tracepoint.
    Point {
        /// Its category.
        category: Name,
        /// Its name.
        name: Name,
    },
    /// A function of a file.
    File {
        /// The file's path, or the name of a library or program.
        file: Name,
        /// The function.
        function: Name,
    },
    /// A static probe of a file.
    Static {
        /// The file's path, or the name of a library or program.
        file: Name,
        /// Who named it.
        provider: Name,
        /// Its name.
        name: Name,
    },
}

/// One item in the parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A value to keep of each hit.
    Capture(Labelled),
    /// `hist(…)`: a number of which the kernel keeps a histogram.
    Hist(Labelled),
    /// `by(…)`: what counts and histograms are kept by.
    By(Labelled),
    /// `stack`: the kernel's stack.
    KernelStack,
    /// `ustack`: the user's stack.
    UserStack,
    /// `raw`: a row for each hit.
    Raw,
    /// `trampoline`: returns by the kernel's return trampoline.
    Trampoline(At),
}

/// A value with the name that the user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Where the item begins.
    pub at: At,
    /// What stands before `=`.
    pub label: Option<String>,
    /// The value.
    pub value: Expr,
}

/// An expression with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// Where it begins; for an operation, where the operator stands.
    pub at: At,
    /// What it is.
    pub node: Node,
}

/// The sorts of expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A number; durations are nanoseconds, sizes bytes.
    Number(i64),
    /// A text in double quotes.
    Text(String),
    /// `arg0`, `retval`, a parameter, a field.
    Name(String),
    /// `of->name` or `of.name`.
    Member {
        /// The struct, or the pointer to one.
        of: Box<Expr>,
        /// The member.
        name: String,
        /// Written with an arrow.
        arrow: bool,
    },
    /// `of[index]`.
    Index {
        /// The array or pointer.
        of: Box<Expr>,
        /// The place in it.
        index: Box<Expr>,
    },
    /// `str(…)` and the like.
    Call {
        /// The function.
        name: String,
        /// What it is called with.
        of: Box<Expr>,
        /// Bytes that are kept, where that is said.
        length: Option<u16>,
    },
    /// `(u32)of`, `(struct sock *)of`.
    Cast {
        /// The type.
        to: CType,
        /// The value.
        of: Box<Expr>,
    },
    /// `*of`.
    Deref(Box<Expr>),
    /// An operation on one number.
    Unary(Unary, Box<Expr>),
    /// An operation on two numbers.
    Binary(Binary, Box<Expr>, Box<Expr>),
}

/// A type as C writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CType {
    /// `struct sock`, `union u` or the name of an integer.
    pub base: String,
    /// How many stars follow.
    pub stars: u8,
}

/// Operators with their precedence; what binds more tightly has the higher number.
pub(super) const OPERATORS: [(Binary, &str, u8); 18] = [
    (Binary::Or, "||", 1),
    (Binary::And, "&&", 2),
    (Binary::BitOr, "|", 3),
    (Binary::BitXor, "^", 4),
    (Binary::BitAnd, "&", 5),
    (Binary::Equal, "==", 6),
    (Binary::NotEqual, "!=", 6),
    (Binary::LessOrEqual, "<=", 7),
    (Binary::GreaterOrEqual, ">=", 7),
    (Binary::Less, "<", 7),
    (Binary::Greater, ">", 7),
    (Binary::ShiftLeft, "<<", 8),
    (Binary::ShiftRight, ">>", 8),
    (Binary::Add, "+", 9),
    (Binary::Subtract, "-", 9),
    (Binary::Multiply, "*", 10),
    (Binary::Divide, "/", 10),
    (Binary::Remainder, "%", 10),
];

/// Whether a character ends a name without quotes, or can't stand in one.
pub(super) fn is_special(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '(' | '/' | '"' | '\\')
}
