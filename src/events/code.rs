//! From expressions to the steps that the kernel's program takes.

use super::SpecError;
use super::parse::INTEGERS;
use super::parse::compares;
use super::spec::At;
use super::spec::CType;
use super::spec::Expr;
use super::spec::Node;
use super::types::Parameter;
use super::types::Shape;
use super::types::Types;
use crate::failure::did_you_mean;
use crate::probe::event::Binary;
use crate::probe::event::MAX_DEPTH;
use crate::probe::event::MAX_STEPS;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TextKind;
use crate::probe::event::Unary;
use crate::probe::event::Value;
use crate::probe::event::WANTED_BYTES;
use crate::probe::event::Who;
use crate::text::nearest;

/// What the kernel keeps of a thread's name, its end included.
const COMM_BYTES: usize = 16;
/// What is known of whoever is running.
const WHO: [(&str, Who); 5] =
    [("pid", Who::Pid), ("tid", Who::Tid), ("uid", Who::Uid), ("cpu", Who::Cpu), ("time", Who::Time)];

/// What the names in an expression stand for.
pub(super) struct Names<'a> {
    /// The kernel's types, where it tells them.
    pub(super) types: Option<&'a Types>,
    /// Whose memory pointers lead to.
    pub(super) space: Space,
    /// The arguments by place, or why there are none.
    pub(super) arguments: Arguments,
    /// The fields of a trace point's record.
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
}

impl Arguments {
    /// None, and why.
    pub(super) fn none(why: impl Into<String>) -> Arguments {
        Arguments { known: Vec::new(), count: 0, limit: why.into() }
    }
}

/// A field of a trace point's record.
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
            Shape::Array { of, .. } if self.is_char(&of) => Some(TextKind::String(space)),
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
            Node::Call { name, of } => self.call(name, of),
            Node::Cast { to, of } => self.cast(to, of, expression.at),
            Node::Deref(of) => {
                let operand = self.operand(of)?;
                self.pointee(operand, of)
            }
            Node::Unary(operator, of) => self.unary(*operator, of),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right, expression.at),
        }
    }

    fn name(&self, name: &str, at: At) -> Result<Operand, SpecError> {
        if let Some(place) = name.strip_prefix("arg").and_then(|place| place.parse::<u8>().ok()) {
            return self.argument(place, at);
        }
        if name == "retval" {
            return match &self.returned {
                Ok(shape) => Ok(narrowed(vec![Step::Returned], shape.clone(), self.types)),
                Err(why) => Err(SpecError::new(at.0, why.clone())),
            };
        }
        if let Some(operand) = self.own(name) {
            return Ok(operand);
        }
        match name {
            "duration" if self.duration => return Ok(plain(Step::Duration)),
            "duration" => {
                let hint = "'latency:' in place of the sort of event measures it";
                return Err(SpecError::new(at.0, "only 'latency' events have a duration").hint(hint));
            }
            "comm" => return Ok(Operand::Comm),
            "args" => return Ok(Operand::Args),
            _ => {}
        }
        if let Some((_, who)) = WHO.iter().find(|known| known.0 == name) {
            return Ok(plain(Step::Who(*who)));
        }
        if let Some(number) = self.types.and_then(|types| types.constant(name)) {
            return Ok(Operand::Constant(number));
        }
        Err(self.unknown(name, at))
    }

    fn unknown(&self, name: &str, at: At) -> SpecError {
        let own = self.own_names();
        let places: Vec<String> = (0..self.arguments.count).map(|place| format!("arg{place}")).collect();
        let mut all: Vec<&str> = own.iter().map(String::as_str).collect();
        all.extend(places.iter().map(String::as_str));
        all.extend(self.returned.is_ok().then_some("retval"));
        all.extend(self.duration.then_some("duration"));
        all.extend(WHO.iter().map(|known| known.0).chain(["comm"]));
        let near = nearest(name, all.iter().copied());
        SpecError::new(at.0, format!("there is no value '{name}' here")).hint(did_you_mean(&near, &all))
    }

    /// A field or parameter by its name.
    fn own(&self, name: &str) -> Option<Operand> {
        if let Some(field) = self.fields.iter().find(|field| field.name == name) {
            let (offset, space) = (i64::from(field.offset), Space::Kernel);
            let word = |shift: u8| {
                let load = Step::Load {
                    offset: field.offset.cast_signed(),
                    size: 4,
                    signed: false,
                    big_endian: false,
                    space: Space::Kernel,
                };
                // The upper half is the length.
                vec![Step::Record, load, Step::Bits { shift, width: 16, signed: false }]
            };
            return Some(match &field.content {
                Content::Here(shape) => {
                    Operand::Memory { address: vec![Step::Record], offset, space, shape: shape.clone(), bits: None }
                }
                Content::Elsewhere | Content::Behind => {
                    let mut address = word(0);
                    address.extend([Step::Record, Step::Binary(Binary::Add)]);
                    let behind = if field.content == Content::Behind { offset + 4 } else { 0 };
                    let char = Shape::Int { size: 1, signed: true, big_endian: false };
                    let is_text = field.type_name.contains("char");
                    let of = if is_text { char } else { Shape::Int { size: 1, signed: false, big_endian: false } };
                    let shape = Shape::Array { of: Box::new(of), count: 0 };
                    Operand::Memory { address, offset: behind, space, shape, bits: None }
                }
            });
        }
        let place = self.arguments.known.iter().position(|known| known.name == name && !name.is_empty())?;
        self.argument(u8::try_from(place).ok()?, At(0)).ok()
    }

    fn own_names(&self) -> Vec<String> {
        let parameters = self.arguments.known.iter().map(|known| known.name.clone());
        self.fields.iter().map(|field| field.name.clone()).chain(parameters).filter(|name| !name.is_empty()).collect()
    }

    fn argument(&self, place: u8, at: At) -> Result<Operand, SpecError> {
        if place >= self.arguments.count {
            return Err(SpecError::new(at.0, format!("there is no arg{place} here: {}", self.arguments.limit)));
        }
        let shape = self.arguments.known.get(usize::from(place)).map(|known| known.shape.clone());
        if let Some(Shape::Composite(_) | Shape::Array { .. }) = shape {
            return Err(SpecError::new(at.0, format!("arg{place} is a struct that is passed by value")));
        }
        Ok(narrowed(vec![Step::Argument(place)], shape, self.types))
    }

    fn member(&self, of: &Expr, name: &str, arrow: bool, at: At) -> Result<Operand, SpecError> {
        let base = self.operand(of)?;
        if matches!(base, Operand::Args) {
            return self.own(name).ok_or_else(|| {
                let own = self.own_names();
                let all: Vec<&str> = own.iter().map(String::as_str).collect();
                let hint = did_you_mean(&nearest(name, all.iter().copied()), &all);
                SpecError::new(at.0, format!("there is no '{name}' here")).hint(hint)
            });
        }
        // A dot behind a pointer and an arrow behind a struct are forgiven only where C has one meaning left.
        let is_pointer = match &base {
            Operand::Memory { shape, .. } => matches!(self.seen(shape), Shape::Pointer(_)),
            _ => true,
        };
        let place = if is_pointer { self.pointee(base, of)? } else { base };
        let Operand::Memory { address, offset, space, shape, .. } = place else {
            return Err(SpecError::new(at.0, format!("'{of}' has no members")));
        };
        if is_pointer != arrow {
            let (what, sign) = if is_pointer { ("a pointer", "->") } else { ("no pointer", ".") };
            return Err(SpecError::new(at.0, format!("'{of}' is {what}: write '{of}{sign}{name}'")));
        }
        let (Some(types), Shape::Composite(id)) = (self.types, self.seen(&shape)) else {
            let what = self.describe(&shape);
            return Err(SpecError::new(at.0, format!("'{of}' is {what}, so it has no member '{name}'")));
        };
        let Some(member) = types.member(id, name) else {
            let members = types.members(id);
            let all: Vec<&str> = members.iter().map(String::as_str).collect();
            let near = nearest(name, all.iter().copied());
            // A task has hundreds.
            let shown = if all.len() > 40 && near.is_empty() { &[][..] } else { &all[..] };
            let error = SpecError::new(at.0, format!("{} has no member '{name}'", types.name_of(id)));
            return Err(if shown.is_empty() { error } else { error.hint(did_you_mean(&near, shown)) });
        };
        let offset = offset + i64::from(member.offset);
        Ok(Operand::Memory { address, offset, space, shape: member.shape, bits: member.bits })
    }

    fn index(&self, of: &Expr, index: &Expr, at: At) -> Result<Operand, SpecError> {
        let base = self.operand(of)?;
        let array = match &base {
            Operand::Memory { shape, .. } => match self.seen(shape) {
                Shape::Array { of, count } => Some((*of, count)),
                _ => None,
            },
            _ => None,
        };
        let (element, count, place) = match (array, base) {
            (Some((element, count)), place) => (element, count, place),
            (None, base) => match self.pointee(base, of)? {
                Operand::Memory { address, offset, space, shape, bits } => {
                    (shape.clone(), 0, Operand::Memory { address, offset, space, shape, bits })
                }
                other => return Ok(other),
            },
        };
        let Operand::Memory { mut address, offset, space, .. } = place else {
            return Err(SpecError::new(at.0, format!("'{of}' is no array")));
        };
        let size = self.size(&element).ok_or_else(|| {
            SpecError::new(at.0, format!("'{of}' is of {}, whose size is not known", self.describe(&element)))
        })?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let (shape, bits) = (element, None);
        if let Operand::Constant(place) = self.operand(index)? {
            if count > 0 && !(0..i64::try_from(count).unwrap_or(i64::MAX)).contains(&place) {
                return Err(SpecError::new(start(index), format!("'{of}' has {count} elements, from 0")));
            }
            let offset = place.checked_mul(size).and_then(|bytes| bytes.checked_add(offset));
            let offset = offset.ok_or_else(|| SpecError::new(start(index), "this is too far away"))?;
            return Ok(Operand::Memory { address, offset, space, shape, bits });
        }
        let operand = self.operand(index)?;
        address.extend(self.loaded(operand, index)?);
        if size != 1 {
            address.extend([Step::Number(size), Step::Binary(Binary::Multiply)]);
        }
        address.push(Step::Binary(Binary::Add));
        Ok(Operand::Memory { address, offset, space, shape, bits })
    }

    fn call(&self, name: &str, of: &Expr) -> Result<Operand, SpecError> {
        let operand = self.operand(of)?;
        match name {
            "ntohs" | "ntohl" | "ntohll" => {
                let swap = match name {
                    "ntohs" => Unary::Swap16,
                    "ntohl" => Unary::Swap32,
                    _ => Unary::Swap64,
                };
                let mut steps = self.loaded(operand, of)?;
                steps.push(Step::Unary(swap));
                Ok(Operand::Number { steps, shape: None })
            }
            "str" => {
                let (address, space) = match operand {
                    Operand::Memory { address, offset, space, shape, bits: None }
                        if matches!(self.seen(&shape), Shape::Array { .. }) =>
                    {
                        (plus(address, offset), space)
                    }
                    Operand::Comm => return Ok(Operand::Comm),
                    Operand::Constant(_) | Operand::Quoted(_) => {
                        return Err(SpecError::new(start(of), format!("'{of}' is the address of no text")));
                    }
                    operand => (self.loaded(operand, of)?, self.space),
                };
                Ok(Operand::Text { address, kind: TextKind::String(space) })
            }
            "sockaddr" => {
                let (address, space) = self.address_of(operand, of, |seen| matches!(seen, Shape::Composite(_)))?;
                Ok(Operand::Text { address, kind: TextKind::SocketAddress(space) })
            }
            _ => self.ip(name, operand, of),
        }
    }

    /// `ip(x)`, `ipv4(x)`, `ipv6(x)`: of something in memory its bytes, of a pointer what it points to.
    fn ip(&self, name: &str, operand: Operand, of: &Expr) -> Result<Operand, SpecError> {
        let size = |shape: &Shape| match self.seen(shape) {
            Shape::Int { size: 4, .. } => Some(4),
            shape @ (Shape::Composite(_) | Shape::Array { .. }) => {
                self.size(&shape).filter(|size| [4, 16].contains(size))
            }
            _ => None,
        };
        let own = match &operand {
            Operand::Memory { shape, .. } => size(shape),
            Operand::Number { shape: Some(Shape::Pointer(to)), .. } => size(to),
            _ => None,
        };
        // A pointer in memory leads on.
        let operand = match (&operand, own) {
            (Operand::Memory { shape, .. }, None) if matches!(self.seen(shape), Shape::Pointer(_)) && name == "ip" => {
                self.pointee(operand, of)?
            }
            _ => operand,
        };
        let found = match &operand {
            Operand::Memory { shape, .. } => size(shape),
            _ => own,
        };
        let wanted = match name {
            "ipv4" => Some(4),
            "ipv6" => Some(16),
            _ => found,
        };
        if found.is_some() && found != wanted {
            let problem = format!("'{of}' has {} bytes, {name} takes {}", found.unwrap_or(0), wanted.unwrap_or(0));
            return Err(SpecError::new(start(of), problem));
        }
        let Some(bytes) = wanted else {
            return Err(SpecError::new(start(of), format!("'{of}' is not known to be an address of IPv4 or IPv6"))
                .hint("ipv4(POINTER) and ipv6(POINTER) read 4 and 16 bytes there"));
        };
        let (address, space) = self.address_of(operand, of, |seen| size(seen).is_some())?;
        let kind = if bytes == 4 { TextKind::Ipv4(space) } else { TextKind::Ipv6(space) };
        Ok(Operand::Text { address, kind })
    }

    /// Of something in memory that is itself wanted its place, of all else its value, which is an address.
    fn address_of(
        &self,
        operand: Operand,
        of: &Expr,
        itself: impl Fn(&Shape) -> bool,
    ) -> Result<(Vec<Step>, Space), SpecError> {
        match operand {
            Operand::Memory { address, offset, space, shape, bits: None } if itself(&self.seen(&shape)) => {
                Ok((plus(address, offset), space))
            }
            Operand::Constant(_) => Err(SpecError::new(start(of), format!("'{of}' is no address"))),
            operand => Ok((self.loaded(operand, of)?, self.space)),
        }
    }

    fn cast(&self, to: &CType, of: &Expr, at: At) -> Result<Operand, SpecError> {
        let base = match INTEGERS.iter().find(|known| known.0 == to.base) {
            Some((_, size, signed)) => Shape::Int { size: *size, signed: *signed, big_endian: false },
            None => self.composite(&to.base, at)?,
        };
        let mut shape = base;
        for _ in 0..to.stars {
            shape = Shape::Pointer(Box::new(shape));
        }
        let operand = self.operand(of)?;
        match shape {
            Shape::Int { size, signed, .. } => {
                let mut steps = self.loaded(operand, of)?;
                if size < 8 {
                    steps.push(Step::Bits { shift: 0, width: 8 * size, signed });
                }
                Ok(Operand::Number { steps, shape: Some(shape) })
            }
            Shape::Pointer(_) => Ok(Operand::Number { steps: self.loaded(operand, of)?, shape: Some(shape) }),
            _ => Err(SpecError::new(at.0, format!("a value can't be made a {}: write '({} *)'", to.base, to.base))),
        }
    }

    /// A struct or union by what C calls it.
    fn composite(&self, written: &str, at: At) -> Result<Shape, SpecError> {
        let (name, is_struct) = match written.strip_prefix("struct ") {
            Some(name) => (name, true),
            None => (written.strip_prefix("union ").unwrap_or(written), false),
        };
        let Some(types) = self.types else {
            return Err(SpecError::new(at.0, "the kernel tells no types here, so there are no structs"));
        };
        types.composite(name, is_struct).map(Shape::Composite).ok_or_else(|| {
            let all = types.composites(is_struct);
            let near = nearest(name, all.iter().map(String::as_str));
            let error = SpecError::new(at.0, format!("the kernel has no '{written}'"));
            if near.is_empty() { error } else { error.hint(did_you_mean(&near, &[])) }
        })
    }

    fn unary(&self, operator: Unary, of: &Expr) -> Result<Operand, SpecError> {
        if let Operand::Constant(number) = self.operand(of)? {
            return Ok(Operand::Constant(match operator {
                Unary::Not => i64::from(number == 0),
                Unary::Negate => number.wrapping_neg(),
                _ => !number,
            }));
        }
        let operand = self.operand(of)?;
        let mut steps = self.loaded(operand, of)?;
        steps.push(Step::Unary(operator));
        Ok(Operand::Number { steps, shape: None })
    }

    fn binary(&self, operator: Binary, left: &Expr, right: &Expr, at: At) -> Result<Operand, SpecError> {
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        match (a, b) {
            (Operand::Quoted(wanted), other) => self.text_is(operator, other, right, &wanted, left, at),
            (other, Operand::Quoted(wanted)) => self.text_is(operator, other, left, &wanted, right, at),
            (Operand::Constant(a), Operand::Constant(b)) => Ok(Operand::Constant(folded(operator, a, b))),
            (a, b) => {
                let mut steps = self.loaded(a, left)?;
                steps.extend(self.loaded(b, right)?);
                steps.push(Step::Binary(operator));
                Ok(Operand::Number { steps, shape: None })
            }
        }
    }

    /// `text == "wanted"`.
    fn text_is(
        &self,
        operator: Binary,
        text: Operand,
        written: &Expr,
        wanted: &str,
        quoted: &Expr,
        at: At,
    ) -> Result<Operand, SpecError> {
        if !compares(operator) || !matches!(operator, Binary::Equal | Binary::NotEqual) {
            return Err(SpecError::new(at.0, "of texts only '==' and '!=' can be told"));
        }
        let bytes = |limit: usize| {
            let fits = wanted.len() < limit;
            let problem = format!("a text of more than {} bytes is compared with nothing", limit - 1);
            if fits { Ok(wanted.as_bytes()) } else { Err(SpecError::new(quoted.at.0, problem)) }
        };
        let is_chars = |shape: &Shape| matches!(self.text_kind(shape), Some(TextKind::String(_)));
        let (mut steps, space) = match text {
            Operand::Comm => {
                let mut comm = [0; COMM_BYTES];
                comm.iter_mut().zip(bytes(COMM_BYTES)?).for_each(|(to, from)| *to = *from);
                (vec![Step::CommIs(comm)], None)
            }
            Operand::Text { address, kind: TextKind::String(space) } => (address, Some(space)),
            Operand::Memory { address, offset, space, shape, .. } if is_chars(&shape) => {
                (plus(address, offset), Some(space))
            }
            Operand::Text { .. } => {
                return Err(SpecError::new(at.0, "addresses can be kept, but not compared with a text"));
            }
            _ => {
                let hint = format!("if it is the address of one: str({written})");
                return Err(SpecError::new(at.0, format!("'{written}' is no text")).hint(hint));
            }
        };
        if let Some(space) = space {
            let mut padded = [0; WANTED_BYTES];
            padded.iter_mut().zip(bytes(WANTED_BYTES)?).for_each(|(to, from)| *to = *from);
            steps.push(Step::TextIs { space, wanted: padded });
        }
        if operator == Binary::NotEqual {
            steps.push(Step::Unary(Unary::Not));
        }
        Ok(Operand::Number { steps, shape: None })
    }

    /// What a pointer points to.
    fn pointee(&self, operand: Operand, written: &Expr) -> Result<Operand, SpecError> {
        let shape = match &operand {
            Operand::Number { shape, .. } => shape.clone(),
            Operand::Memory { shape, .. } => Some(self.seen(shape)),
            _ => None,
        };
        let to = match shape {
            Some(Shape::Pointer(to)) if !matches!(self.seen(&to), Shape::Opaque(_)) => *to,
            Some(Shape::Int { .. } | Shape::Composite(_) | Shape::Array { .. }) => {
                return Err(SpecError::new(start(written), format!("'{written}' is no pointer")));
            }
            _ => {
                let problem = format!("what '{written}' points to is not known");
                let hint = format!("say it: (struct NAME *){written}, or *(u32 *)({written} + 8)");
                return Err(SpecError::new(start(written), problem).hint(hint));
            }
        };
        let address = self.loaded(operand, written)?;
        Ok(Operand::Memory { address, offset: 0, space: self.space, shape: to, bits: None })
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
                        return Err(wrong(format!("'{written}' is {}, no number", self.describe(&other))));
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
            Operand::Text { .. } => Err(wrong(format!("'{written}' is a text, where a number belongs"))),
            Operand::Quoted(_) => Err(wrong("a text in quotes can only be compared".to_owned())),
            Operand::Comm => Err(wrong("the name 'comm' can only be compared; every row has it anyway".to_owned())),
            Operand::Args => Err(wrong("'args' is no value: its members are, as 'args.NAME'".to_owned())),
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
            Shape::Type(_) => "of a type that is not known".to_owned(),
        }
    }
}

/// A number that one step puts.
fn plain(step: Step) -> Operand {
    Operand::Number { steps: vec![step], shape: None }
}

/// What is in a register holds what its type can; above that may be anything.
fn narrowed(mut steps: Vec<Step>, shape: Option<Shape>, types: Option<&Types>) -> Operand {
    let shape = match (shape, types) {
        (Some(shape), Some(types)) => Some(types.seen(&shape)),
        (shape, _) => shape,
    };
    if let Some(Shape::Int { size, signed, big_endian }) = shape {
        if size < 8 {
            steps.push(Step::Bits { shift: 0, width: 8 * size, signed });
        }
        match (big_endian, size) {
            (true, 2) => steps.push(Step::Unary(Unary::Swap16)),
            (true, 4) => steps.push(Step::Unary(Unary::Swap32)),
            (true, 8) => steps.push(Step::Unary(Unary::Swap64)),
            _ => {}
        }
    }
    Operand::Number { steps, shape }
}

/// An address some bytes further on.
fn plus(mut address: Vec<Step>, offset: i64) -> Vec<Step> {
    if offset != 0 {
        address.extend([Step::Number(offset), Step::Binary(Binary::Add)]);
    }
    address
}

fn in_space(kind: TextKind, space: Space) -> TextKind {
    match kind {
        TextKind::String(_) => TextKind::String(space),
        TextKind::SocketAddress(_) => TextKind::SocketAddress(space),
        TextKind::Ipv4(_) => TextKind::Ipv4(space),
        TextKind::Ipv6(_) => TextKind::Ipv6(space),
    }
}

/// An operation on numbers that are known now, as the kernel's program would do it.
fn folded(operator: Binary, a: i64, b: i64) -> i64 {
    let shift = (b & 63) as u32;
    match operator {
        Binary::Add => a.wrapping_add(b),
        Binary::Subtract => a.wrapping_sub(b),
        Binary::Multiply => a.wrapping_mul(b),
        Binary::Divide => {
            if b == 0 {
                0
            } else {
                a.wrapping_div(b)
            }
        }
        Binary::Remainder => {
            if b == 0 {
                0
            } else {
                a.wrapping_rem(b)
            }
        }
        Binary::And => i64::from(a != 0 && b != 0),
        Binary::Or => i64::from(a != 0 || b != 0),
        Binary::BitAnd => a & b,
        Binary::BitOr => a | b,
        Binary::BitXor => a ^ b,
        Binary::ShiftLeft => a.wrapping_shl(shift),
        Binary::ShiftRight => a.wrapping_shr(shift),
        Binary::Equal => i64::from(a == b),
        Binary::NotEqual => i64::from(a != b),
        Binary::Less => i64::from(a < b),
        Binary::LessOrEqual => i64::from(a <= b),
        Binary::Greater => i64::from(a > b),
        Binary::GreaterOrEqual => i64::from(a >= b),
    }
}

/// Holds code to what the kernel's program takes.
fn bounded(steps: Vec<Step>, written: &Expr) -> Result<Vec<Step>, SpecError> {
    if steps.len() > MAX_STEPS {
        let problem = format!("'{written}' takes {} steps, {MAX_STEPS} are possible", steps.len());
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
        let problem = format!("'{written}' holds {deepest} values at once, {MAX_DEPTH} are possible");
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
