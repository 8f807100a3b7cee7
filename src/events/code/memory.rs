//! Members, elements and what pointers lead to.

use super::Names;
use super::Operand;
use super::start;
use crate::events::SpecError;
use crate::events::parse::INTEGERS;
use crate::events::spec::At;
use crate::events::spec::CType;
use crate::events::spec::Expr;
use crate::events::types::Shape;
use crate::failure::did_you_mean;
use crate::probe::event::Binary;
use crate::probe::event::Step;
use crate::text::nearest;

impl Names<'_> {
    pub(super) fn member(&self, of: &Expr, name: &str, arrow: bool, at: At) -> Result<Operand, SpecError> {
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
            let (what, sign) = if is_pointer { ("a pointer", "->") } else { ("not a pointer", ".") };
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

    pub(super) fn index(&self, of: &Expr, index: &Expr, at: At) -> Result<Operand, SpecError> {
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
            return Err(SpecError::new(at.0, format!("'{of}' is not an array")));
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

    /// What a pointer points to.
    pub(super) fn pointee(&self, operand: Operand, written: &Expr) -> Result<Operand, SpecError> {
        let shape = match &operand {
            Operand::Number { shape, .. } => shape.clone(),
            Operand::Memory { shape, .. } => Some(self.seen(shape)),
            _ => None,
        };
        let to = match shape {
            Some(Shape::Pointer(to)) if !matches!(self.seen(&to), Shape::Opaque(_)) => *to,
            Some(Shape::Int { .. } | Shape::Composite(_) | Shape::Array { .. }) => {
                return Err(SpecError::new(start(written), format!("'{written}' is not a pointer")));
            }
            _ => {
                let problem = format!("the type that '{written}' points to is unknown");
                let hint = format!("cast it: (struct NAME *){written}, or *(u32 *)({written} + 8)");
                return Err(SpecError::new(start(written), problem).hint(hint));
            }
        };
        let address = self.loaded(operand, written)?;
        Ok(Operand::Memory { address, offset: 0, space: self.space, shape: to, bits: None })
    }

    pub(super) fn cast(&self, to: &CType, of: &Expr, at: At) -> Result<Operand, SpecError> {
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
            return Err(SpecError::new(at.0, "this kernel has no type information, so there are no structs"));
        };
        types.composite(name, is_struct).map(Shape::Composite).ok_or_else(|| {
            let all = types.composites(is_struct);
            let near = nearest(name, all.iter().map(String::as_str));
            let error = SpecError::new(at.0, format!("the kernel has no '{written}'"));
            if near.is_empty() { error } else { error.hint(did_you_mean(&near, &[])) }
        })
    }
}
