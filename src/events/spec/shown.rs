//! A tree as the text that it is read from.

use super::CType;
use super::Expr;
use super::Item;
use super::Labelled;
use super::Name;
use super::Node;
use super::OPERATORS;
use super::Spec;
use super::Target;
use super::is_special;
use crate::probe::event::Binary;
use crate::probe::event::Unary;
use std::fmt;
use std::fmt::Display;
use std::fmt::Formatter;

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
            Node::Call { name, of, length: None } => write!(f, "{name}({of})"),
            Node::Call { name, of, length: Some(length) } => write!(f, "{name}({of}, {length})"),
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
                if matches!(name.as_str(), "stack" | "ustack" | "raw" | "trampoline") =>
            {
                write!(f, "({name})")
            }
            Item::Capture(capture) => capture.fmt(f),
            Item::Hist(value) => call(f, "hist", value),
            Item::By(value) => call(f, "by", value),
            Item::KernelStack => f.write_str("stack"),
            Item::UserStack => f.write_str("ustack"),
            Item::Raw => f.write_str("raw"),
            Item::Trampoline(_) => f.write_str("trampoline"),
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

impl Display for Spec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        write!(f, "{}:{}", self.sort.name(), self.target)?;
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
