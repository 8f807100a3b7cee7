//! Operators, and the functions that can be called.

use super::Names;
use super::Operand;
use super::limit_of_array;
use super::plus;
use super::start;
use crate::events::SpecError;
use crate::events::spec::At;
use crate::events::spec::Expr;
use crate::events::types::Shape;
use crate::probe::event::Binary;
use crate::probe::event::MAX_TEXT_LIMIT;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TEXT_LIMIT;
use crate::probe::event::TextKind;
use crate::probe::event::Unary;
use crate::probe::event::WANTED_BYTES;
use crate::probe::event::WANTED_CHUNK;

/// What the kernel keeps of a thread's name, its end included.
const COMM_BYTES: usize = 16;

impl Names<'_> {
    pub(super) fn call(&self, name: &str, of: &Expr, length: Option<u16>) -> Result<Operand, SpecError> {
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
            "str" | "bytes" => {
                let is_bytes = name == "bytes";
                let (address, space, size) = match operand {
                    Operand::Memory { address, offset, space, shape, bits: None }
                        if is_bytes && !matches!(self.seen(&shape), Shape::Pointer(_)) =>
                    {
                        (plus(address, offset), space, self.size(&shape))
                    }
                    Operand::Memory { address, offset, space, shape, bits: None }
                        if matches!(self.seen(&shape), Shape::Array { .. }) =>
                    {
                        (plus(address, offset), space, self.size(&shape))
                    }
                    Operand::Comm if !is_bytes => return Ok(Operand::Comm),
                    Operand::Constant(_) | Operand::Quoted(_) | Operand::Comm => {
                        return Err(SpecError::new(start(of), format!("'{of}' is not the address of a text")));
                    }
                    operand => (self.loaded(operand, of)?, self.space, None),
                };
                let own = size.filter(|size| *size > 0).and_then(|size| u16::try_from(size).ok());
                let kind = if is_bytes {
                    let limit = length.or(own.filter(|size| *size <= MAX_TEXT_LIMIT));
                    let Some(limit) = limit else {
                        return Err(SpecError::new(start(of), format!("the number of bytes at '{of}' is unknown"))
                            .hint(format!("bytes({of}, 16) keeps 16")));
                    };
                    TextKind::Bytes { space, limit }
                } else {
                    let of_array = size.map_or(TEXT_LIMIT, limit_of_array);
                    TextKind::String { space, limit: length.unwrap_or(of_array) }
                };
                Ok(Operand::Text { address, kind })
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
            Operand::Constant(_) => Err(SpecError::new(start(of), format!("'{of}' is not an address"))),
            operand => Ok((self.loaded(operand, of)?, self.space)),
        }
    }

    pub(super) fn unary(&self, operator: Unary, of: &Expr) -> Result<Operand, SpecError> {
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

    pub(super) fn binary(&self, operator: Binary, left: &Expr, right: &Expr, at: At) -> Result<Operand, SpecError> {
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        match (a, b) {
            (Operand::Quoted(wanted), other) => self.text_is(operator, other, right, &wanted, left, at),
            (other, Operand::Quoted(wanted)) => self.text_is(operator, other, left, &wanted, right, at),
            (Operand::Constant(a), Operand::Constant(b)) => Ok(Operand::Constant(folded(operator, a, b))),
            (a, b) => {
                self.has_known_width(operator, (&a, left), (&b, right))?;
                let mut steps = self.loaded(a, left)?;
                steps.extend(self.loaded(b, right)?);
                steps.push(Step::Binary(operator));
                Ok(Operand::Number { steps, shape: None })
            }
        }
    }

    /// Refuses to look for negative numbers in a register of which no type is known: an int leaves its upper half zero.
    fn has_known_width(
        &self,
        operator: Binary,
        (a, left): (&Operand, &Expr),
        (b, right): (&Operand, &Expr),
    ) -> Result<(), SpecError> {
        let is_register = |operand: &Operand| match operand {
            Operand::Number { steps, shape: None } => match steps.as_slice() {
                [Step::Argument(_)] => !self.arguments.are_sized,
                [Step::Returned] => true,
                _ => false,
            },
            _ => false,
        };
        let (register, constant) = match (a, b) {
            (register, Operand::Constant(constant)) if is_register(register) => (left, *constant),
            (Operand::Constant(constant), register) if is_register(register) => (right, *constant),
            _ => return Ok(()),
        };
        use Binary::Equal;
        use Binary::Greater;
        use Binary::GreaterOrEqual;
        use Binary::Less;
        use Binary::LessOrEqual;
        use Binary::NotEqual;
        let compares = matches!(operator, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual);
        let asks_for_sign = constant < 0 || (constant == 0 && !matches!(operator, Equal | NotEqual));
        let is_positive = constant == 0
            && match a {
                Operand::Constant(_) => operator == Less,
                _ => operator == Greater,
            };
        if !compares || !asks_for_sign || is_positive {
            return Ok(());
        }
        let problem = format!("'{register}' is a 64-bit register, of which a negative int fills only half");
        let hint = format!("write '(int){register}', or '(long){register}' if it has 64 bits");
        Err(SpecError::new(start(register), problem).hint(hint))
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
        if !matches!(operator, Binary::Equal | Binary::NotEqual) {
            return Err(SpecError::new(at.0, "texts can only be compared with '==' and '!='"));
        }
        let bytes = |limit: usize| {
            let fits = wanted.len() < limit;
            let problem = format!("a text of more than {} bytes can't be compared", limit - 1);
            if fits { Ok(wanted.as_bytes()) } else { Err(SpecError::new(quoted.at.0, problem)) }
        };
        let is_chars = |shape: &Shape| matches!(self.text_kind(shape), Some(TextKind::String { .. }));
        let (mut steps, space) = match text {
            Operand::Comm => {
                let mut comm = [0; COMM_BYTES];
                comm.iter_mut().zip(bytes(COMM_BYTES)?).for_each(|(to, from)| *to = *from);
                (vec![Step::CommIs(comm)], None)
            }
            Operand::Text { address, kind: TextKind::String { space, .. } } => (address, Some(space)),
            Operand::Memory { address, offset, space, shape, .. } if is_chars(&shape) => {
                (plus(address, offset), Some(space))
            }
            Operand::Text { .. } => {
                return Err(SpecError::new(at.0, "addresses can be kept, but not compared with a text"));
            }
            _ => {
                let hint = format!("if it is the address of one: str({written})");
                return Err(SpecError::new(start(written), format!("'{written}' is not a text")).hint(hint));
            }
        };
        if let Some(space) = space {
            steps.push(Step::TextIs { space, wanted: bytes(WANTED_BYTES - WANTED_CHUNK)?.to_vec() });
        }
        if operator == Binary::NotEqual {
            steps.push(Step::Unary(Unary::Not));
        }
        Ok(Operand::Number { steps, shape: None })
    }
}

/// An operation on numbers that are known now, as the kernel's program would do it.
pub(super) fn folded(operator: Binary, a: i64, b: i64) -> i64 {
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
