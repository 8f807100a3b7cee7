//! From expressions to the steps that the kernel's program takes.

mod memory;
mod names;
mod operations;

use super::SpecError;
use super::spec::Expr;
use super::spec::Node;
use super::types::Parameter;
use super::types::Shape;
use super::types::Types;
use crate::probe::event::Binary;
use crate::probe::event::MAX_DEPTH;
use crate::probe::event::MAX_STEPS;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TEXT_LIMIT;
use crate::probe::event::TextKind;
use crate::probe::event::Value;

/// What the names in an expression stand for.
pub(super) struct Names<'a> {
    /// The kernel's types, where it tells them.
    pub(super) types: Option<&'a Types>,
    /// Whose memory pointers lead to.
    pub(super) space: Space,
    /// The arguments by place, or why there are none.
    pub(super) arguments: Arguments,
    /// The fields of a tracepoint's record.
    pub(super) fields: Vec<Field>,
    /// What is returned: its shape, or why there is none.
    pub(super) returned: Result<Option<Shape>, String>,
    /// How long it took is known.
    pub(super) duration: bool,
}

/// The arguments of what an event is put on.
pub(super) struct Arguments {
    /// Those whose names or types are known, by place; the place counts for a pointer or integer each.
    pub(super) known: Vec<Parameter>,
    /// How many can be had.
    pub(super) count: u8,
    /// Why there are no more than that.
    pub(super) limit: String,
    /// Why one that there is can't be read, by place.
    pub(super) unreadable: Vec<Option<String>>,
    /// Whether what is read of one is as wide as the argument itself, and not a whole register.
    pub(super) are_sized: bool,
}

impl Arguments {
    /// None, and why.
    pub(super) fn none(why: impl Into<String>) -> Arguments {
        Arguments { known: Vec::new(), count: 0, limit: why.into(), unreadable: Vec::new(), are_sized: false }
    }
}

/// A field of a tracepoint's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: String,
    /// As C writes its type.
    pub(super) type_name: String,
    /// Bytes from the start of the record.
    pub(super) offset: u32,
    /// What is there.
    pub(super) content: Content,
}

/// What is at the place of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The value itself.
    Here(Shape),
    /// Where in the record an array of bytes is, from the record's start.
    Elsewhere,
    /// The same, from behind this field.
    Behind,
}

/// What part of an expression is.
#[derive(Debug, Clone)]
enum Operand {
    /// A number that is known now.
    Constant(i64),
    /// A text between quotes.
    Quoted(String),
    /// A number that the steps compute; `None`: what it is is not known.
    Number { steps: Vec<Step>, shape: Option<Shape> },
    /// Something in memory, at an offset from the address that the steps compute.
    Memory { address: Vec<Step>, offset: i64, space: Space, shape: Shape, bits: Option<(u8, u8)> },
    /// Text at the address that the steps compute.
    Text { address: Vec<Step>, kind: TextKind },
    /// The thread's name.
    Comm,
    /// `args`, whose members are the fields or parameters.
    Args,
}

impl Names<'_> {
    /// The code of a number.
    ///
    /// # Errors
    /// A name that there is not, a text where a number belongs, or more steps than the kernel's program takes.
    pub(super) fn number(&self, expression: &Expr) -> Result<Vec<Step>, SpecError> {
        let operand = self.operand(expression)?;
        bounded(self.loaded(operand, expression)?, expression)
    }

    /// The code of a filter, which is true if it is not zero.
    ///
    /// # Errors
    /// As for a number; and a filter that is always true or never.
    pub(super) fn filter(&self, expression: &Expr) -> Result<Vec<Step>, SpecError> {
        if let Operand::Constant(number) = self.operand(expression)? {
            let always = if number == 0 { "never true" } else { "always true" };
            return Err(SpecError::new(start(expression), format!("the filter is {always}")));
        }
        self.number(expression)
    }

    /// The code of a number or text.
    ///
    /// # Errors
    /// As for a number.
    pub(super) fn value(&self, expression: &Expr) -> Result<Value, SpecError> {
        let operand = self.operand(expression)?;
        let text = match &operand {
            Operand::Memory { shape, .. } => self.text_kind(shape),
            Operand::Text { kind, .. } => Some(*kind),
            _ => None,
        };
        match (text, operand) {
            (_, Operand::Text { address, kind }) => Ok(Value::Text { address: bounded(address, expression)?, kind }),
            (Some(kind), Operand::Memory { address, offset, space, .. }) => {
                let kind = in_space(kind, space);
                Ok(Value::Text { address: bounded(plus(address, offset), expression)?, kind })
            }
            (_, operand) => Ok(Value::Number(bounded(self.loaded(operand, expression)?, expression)?)),
        }
    }

    /// What something in memory is shown as, if not as a number.
    fn text_kind(&self, shape: &Shape) -> Option<TextKind> {
        let space = Space::Kernel;
        let seen = self.types.map_or_else(|| shape.clone(), |types| types.seen(shape));
        match seen {
            Shape::Array { of, count } if self.is_char(&of) => {
                Some(TextKind::String { space, limit: limit_of_array(count) })
            }
            Shape::Composite(id) => match self.types?.name_of(id).as_str() {
                "struct in6_addr" => Some(TextKind::Ipv6(space)),
                "struct in_addr" => Some(TextKind::Ipv4(space)),
                "struct sockaddr"
                | "struct sockaddr_in"
                | "struct sockaddr_in6"
                | "struct sockaddr_un"
                | "struct __kernel_sockaddr_storage" => Some(TextKind::SocketAddress(space)),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_char(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Type(id) => {
                self.types.is_some_and(|types| matches!(types.name_of(*id).as_str(), "char" | "const char"))
            }
            Shape::Int { size: 1, signed, .. } => *signed,
            _ => false,
        }
    }

    fn operand(&self, expression: &Expr) -> Result<Operand, SpecError> {
        match &expression.node {
            Node::Number(number) => Ok(Operand::Constant(*number)),
            Node::Text(text) => Ok(Operand::Quoted(text.clone())),
            Node::Name(name) => self.name(name, expression.at),
            Node::Member { of, name, arrow } => self.member(of, name, *arrow, expression.at),
            Node::Index { of, index } => self.index(of, index, expression.at),
            Node::Call { name, of, length } => self.call(name, of, *length),
            Node::Cast { to, of } => self.cast(to, of, expression.at),
            Node::Deref(of) => {
                let operand = self.operand(of)?;
                self.pointee(operand, of)
            }
            Node::Unary(operator, of) => self.unary(*operator, of),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right, expression.at),
        }
    }

    /// The steps that put a number on the stack.
    fn loaded(&self, operand: Operand, written: &Expr) -> Result<Vec<Step>, SpecError> {
        let wrong = |what: String| SpecError::new(start(written), what);
        match operand {
            Operand::Constant(number) => Ok(vec![Step::Number(number)]),
            Operand::Number { steps, .. } => Ok(steps),
            Operand::Memory { mut address, offset, space, shape, bits } => {
                let (size, signed, big_endian) = match self.seen(&shape) {
                    Shape::Int { size, signed, big_endian } => (size, signed, big_endian),
                    Shape::Pointer(_) => (8, false, false),
                    other => {
                        return Err(wrong(format!("'{written}' is {}, not a number", self.describe(&other))));
                    }
                };
                if !matches!(size, 1 | 2 | 4 | 8) {
                    return Err(wrong(format!("'{written}' has {size} bytes, too many for a number")));
                }
                let offset = i32::try_from(offset).map_err(|_| wrong(format!("'{written}' is too far away")))?;
                let signed_load = signed && bits.is_none();
                address.push(Step::Load { offset, size, signed: signed_load, big_endian, space });
                if let Some((shift, width)) = bits {
                    address.push(Step::Bits { shift, width, signed });
                }
                Ok(address)
            }
            Operand::Text { .. } => Err(wrong(format!("'{written}' is a text where a number is expected"))),
            Operand::Quoted(_) => Err(wrong("a text in quotes can only be compared".to_owned())),
            Operand::Comm => Err(wrong("the name 'comm' can only be compared; every row has it anyway".to_owned())),
            Operand::Args => Err(wrong("'args' is not a value, but its members are: 'args.NAME'".to_owned())),
        }
    }

    fn seen(&self, shape: &Shape) -> Shape {
        self.types.map_or_else(|| shape.clone(), |types| types.seen(shape))
    }

    fn size(&self, shape: &Shape) -> Option<usize> {
        match (self.types, shape) {
            (Some(types), shape) => types.size(shape),
            (None, Shape::Int { size, .. }) => Some((*size).into()),
            (None, Shape::Pointer(_)) => Some(8),
            (None, Shape::Array { of, count }) => self.size(of)?.checked_mul(*count),
            (None, _) => None,
        }
    }

    fn describe(&self, shape: &Shape) -> String {
        match self.seen(shape) {
            Shape::Int { size, .. } => format!("a number of {size} bytes"),
            Shape::Pointer(_) => "a pointer".to_owned(),
            Shape::Array { .. } => "an array".to_owned(),
            Shape::Composite(id) => match self.types.map(|types| types.name_of(id)) {
                Some(name) if name != "struct " && name != "union " => format!("a {name}"),
                _ => "a struct".to_owned(),
            },
            Shape::Opaque(name) => format!("of the type '{name}'"),
            Shape::Type(_) => "of an unknown type".to_owned(),
        }
    }
}

/// An address some bytes further on.
fn plus(mut address: Vec<Step>, offset: i64) -> Vec<Step> {
    if offset != 0 {
        address.extend([Step::Number(offset), Step::Binary(Binary::Add)]);
    }
    address
}

/// Bytes that are kept of an array of characters, which has a zero at the end of its text; 0: its size is not known.
fn limit_of_array(count: usize) -> u16 {
    let size = u16::try_from(count).unwrap_or(u16::MAX);
    if size == 0 { TEXT_LIMIT } else { TEXT_LIMIT.min(size - 1).max(1) }
}

fn in_space(kind: TextKind, space: Space) -> TextKind {
    match kind {
        TextKind::String { limit, .. } => TextKind::String { space, limit },
        TextKind::Bytes { limit, .. } => TextKind::Bytes { space, limit },
        TextKind::SocketAddress(_) => TextKind::SocketAddress(space),
        TextKind::Ipv4(_) => TextKind::Ipv4(space),
        TextKind::Ipv6(_) => TextKind::Ipv6(space),
    }
}

/// Holds code to what the kernel's program takes.
fn bounded(steps: Vec<Step>, written: &Expr) -> Result<Vec<Step>, SpecError> {
    if steps.len() > MAX_STEPS {
        let problem = format!("'{written}' takes {} steps, more than {MAX_STEPS}", steps.len());
        return Err(SpecError::new(start(written), problem));
    }
    let (mut depth, mut deepest) = (0usize, 0);
    for step in &steps {
        match step {
            Step::Load { .. } | Step::Bits { .. } | Step::TextIs { .. } | Step::Unary(_) => {}
            Step::Binary(_) => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_DEPTH {
        let problem = format!("'{written}' holds {deepest} values at once, more than {MAX_DEPTH}");
        return Err(SpecError::new(start(written), problem));
    }
    Ok(steps)
}

/// Where an expression begins in the text.
pub(super) fn start(expression: &Expr) -> usize {
    match &expression.node {
        Node::Member { of, .. } | Node::Index { of, .. } => start(of),
        Node::Binary(_, left, _) => start(left),
        _ => expression.at.0,
    }
}

#[cfg(test)]
#[path = "code/tests.rs"]
mod tests;
