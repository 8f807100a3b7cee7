//! What `-e` says, as a tree: no name in it has been looked up.

use std::fmt;
use std::fmt::Display;
use std::fmt::Formatter;

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

/// An event as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The sort of hook.
    pub sort: Sort,
    /// What it is put on.
    pub target: Target,
    /// What stands in the parentheses.
    pub items: Vec<Item>,
    /// What stands between the slashes.
    pub filter: Option<Expr>,
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
    /// A kernel function or a raw trace point.
    Kernel(Name),
    /// A trace point.
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
/// What operators on one value bind with.
const UNARY: u8 = 11;
/// What `->`, `.` and `[]` bind with.
const POSTFIX: u8 = 12;

impl Node {
    fn precedence(&self) -> u8 {
        match self {
            Node::Binary(operator, ..) => written(*operator).1,
            Node::Unary(..) | Node::Deref(_) | Node::Cast { .. } => UNARY,
            Node::Number(number) if *number < 0 => UNARY,
            _ => POSTFIX,
        }
    }
}

/// How an operator is written, and its precedence.
fn written(operator: Binary) -> (&'static str, u8) {
    OPERATORS.iter().find(|known| known.0 == operator).map_or(("", 0), |known| (known.1, known.2))
}

/// An expression that stands where only what binds at least so tightly may stand bare.
struct Bound<'a>(&'a Expr, u8);

impl Display for Bound<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.node.precedence() < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number(number) => write!(f, "{number}"),
            Node::Text(text) => quoted(f, text),
            Node::Name(name) => f.write_str(name),
            Node::Member { of, name, arrow } => {
                write!(f, "{}{}{name}", Bound(of, POSTFIX), if *arrow { "->" } else { "." })
            }
            Node::Index { of, index } => write!(f, "{}[{index}]", Bound(of, POSTFIX)),
            Node::Call { name, of } => write!(f, "{name}({of})"),
            Node::Cast { to, of } => write!(f, "({to}){}", Bound(of, UNARY)),
            Node::Deref(of) => write!(f, "*{}", Bound(of, UNARY)),
            Node::Unary(operator, of) => {
                let sign = match operator {
                    Unary::Not => "!",
                    Unary::Negate => "-",
                    _ => "~",
                };
                write!(f, "{sign}{}", Bound(of, UNARY))
            }
            Node::Binary(operator, left, right) => {
                let (sign, precedence) = written(*operator);
                write!(f, "{} {sign} {}", Bound(left, precedence), Bound(right, precedence + 1))
            }
        }
    }
}

impl Display for CType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        if self.stars > 0 {
            write!(f, " {}", "*".repeat(self.stars.into()))?;
        }
        Ok(())
    }
}

impl Display for Labelled {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "{label}=")?;
        }
        self.value.fmt(f)
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let call = |f: &mut Formatter<'_>, name: &str, of: &Labelled| {
            let label = of.label.as_ref().map(|label| format!("{label}=")).unwrap_or_default();
            write!(f, "{label}{name}({})", of.value)
        };
        match self {
            // These words alone mean something else.
            Item::Capture(Labelled { label: None, value: Expr { node: Node::Name(name), .. }, .. })
                if matches!(name.as_str(), "stack" | "ustack" | "raw") =>
            {
                write!(f, "({name})")
            }
            Item::Capture(capture) => capture.fmt(f),
            Item::Hist(value) => call(f, "hist", value),
            Item::By(value) => call(f, "by", value),
            Item::KernelStack => f.write_str("stack"),
            Item::UserStack => f.write_str("ustack"),
            Item::Raw => f.write_str("raw"),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bare = |name: &Name| name.text.contains(is_special) || name.text.contains(':');
        let part = |f: &mut Formatter<'_>, name: &Name| {
            if name.text.is_empty() || bare(name) { quoted(f, &name.text) } else { f.write_str(&name.text) }
        };
        let last = |f: &mut Formatter<'_>, name: &Name| {
            let special = name.text.is_empty() || name.text.contains(is_special);
            if special { quoted(f, &name.text) } else { f.write_str(&name.text) }
        };
        let file = |f: &mut Formatter<'_>, name: &Name| {
            // A path that does not look like one, and what would end it.
            let odd = name.text.is_empty() || name.text.contains([':', '"', '\\']);
            let path = name.text.starts_with(['/', '.']);
            let special = odd || (!path && bare(name));
            if special { quoted(f, &name.text) } else { f.write_str(&name.text) }
        };
        match self {
            Target::Kernel(name) => part(f, name),
            Target::Point { category, name } => {
                part(f, category)?;
                f.write_str(":")?;
                part(f, name)
            }
            Target::File { file: path, function } => {
                file(f, path)?;
                f.write_str(":")?;
                last(f, function)
            }
            Target::Static { file: path, provider, name } => {
                file(f, path)?;
                f.write_str(":")?;
                part(f, provider)?;
                f.write_str(":")?;
                part(f, name)
            }
        }
    }
}

impl Spec {
    /// The sort and the target, without captures and filter.
    pub fn label(&self) -> String {
        format!("{}:{}", self.sort.name(), self.target)
    }
}

impl Display for Spec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())?;
        if !self.items.is_empty() {
            let items: Vec<String> = self.items.iter().map(Item::to_string).collect();
            write!(f, "({})", items.join(", "))?;
        }
        match &self.filter {
            Some(filter) => write!(f, "/ {filter} /"),
            None => Ok(()),
        }
    }
}

/// Whether a character ends a name without quotes, or can't stand in one.
pub(super) fn is_special(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '(' | '/' | '"' | '\\')
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{letter}")?;
    }
    f.write_str("\"")
}
