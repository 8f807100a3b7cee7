//! What the names in expressions stand for.

use super::Content;
use super::Names;
use super::Operand;
use crate::events::SpecError;
use crate::events::spec::At;
use crate::events::types::Shape;
use crate::events::types::Types;
use crate::failure::did_you_mean;
use crate::probe::event::Binary;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::Unary;
use crate::probe::event::Who;
use crate::text::nearest;

/// What is known of the running thread.
const WHO: [(&str, Who); 5] =
    [("pid", Who::Pid), ("tid", Who::Tid), ("uid", Who::Uid), ("cpu", Who::Cpu), ("time", Who::Time)];

impl Names<'_> {
    pub(super) fn name(&self, name: &str, at: At) -> Result<Operand, SpecError> {
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
                let hint = "use 'latency:' to measure it";
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
    pub(super) fn own(&self, name: &str) -> Option<Operand> {
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

    pub(super) fn own_names(&self) -> Vec<String> {
        let parameters = self.arguments.known.iter().map(|known| known.name.clone());
        self.fields.iter().map(|field| field.name.clone()).chain(parameters).filter(|name| !name.is_empty()).collect()
    }

    fn argument(&self, place: u8, at: At) -> Result<Operand, SpecError> {
        if place >= self.arguments.count {
            return Err(SpecError::new(at.0, format!("there is no arg{place} here: {}", self.arguments.limit)));
        }
        if let Some(Some(why)) = self.arguments.unreadable.get(usize::from(place)) {
            return Err(SpecError::new(at.0, format!("arg{place} can't be read: {why}")));
        }
        let shape = self.arguments.known.get(usize::from(place)).map(|known| known.shape.clone());
        if let Some(Shape::Composite(_) | Shape::Array { .. }) = shape {
            return Err(SpecError::new(at.0, format!("arg{place} is a struct that is passed by value")));
        }
        Ok(narrowed(vec![Step::Argument(place)], shape, self.types))
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
