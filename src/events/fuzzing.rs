//! What the fuzz target of `-e` calls.

use super::code::Arguments;
use super::code::Content;
use super::code::Field;
use super::code::Names;
use super::parse;
use super::spec::Item;
use super::types::Parameter;
use super::types::Shape;
use super::types::Types;
use crate::probe::event::Space;

thread_local! {
    /// The kernel's types, where it tells them.
    static TYPES: Option<Types> = Types::read(None).ok();
}

/// Parses a text; what is accepted means the same when it is written out, and becomes code within its bounds or is refused.
pub(crate) fn check(text: &str) {
    let spec = match parse(text) {
        Ok(spec) => spec,
        Err(error) => {
            assert!(error.at <= text.len(), "an error beyond the end of '{text}'");
            _ = error.failure(text);
            return;
        }
    };
    let values = spec.items.iter().filter_map(|item| match item {
        Item::Capture(labelled) | Item::Hist(labelled) | Item::By(labelled) => Some(&labelled.value),
        _ => None,
    });
    TYPES.with(|types| {
        for types in [None, types.as_ref()] {
            let names = names(types);
            for expression in values.clone().chain(&spec.filter) {
                let again = parse(&format!("kprobe:f/{expression}/")).map(|spec| spec.filter);
                assert_eq!(again.ok().flatten().as_ref(), Some(expression), "'{expression}' of '{text}'");
                _ = names.number(expression);
                _ = names.filter(expression);
                _ = names.value(expression);
            }
        }
    });
}

/// A function of a number, a task and a port, at a point with fields.
fn names(types: Option<&Types>) -> Names<'_> {
    let int = |size, big_endian: bool| Shape::Int { size, signed: !big_endian, big_endian };
    let task = types.and_then(|types| types.composite("task_struct", true)).map_or(int(1, false), Shape::Composite);
    let parameter = |name: &str, shape| Parameter { name: name.to_owned(), shape, type_name: String::new() };
    let field =
        |name: &str, offset, content| Field { name: name.to_owned(), type_name: "char".to_owned(), offset, content };
    Names {
        types,
        space: Space::ByAddress,
        arguments: Arguments {
            known: vec![
                parameter("count", int(4, false)),
                parameter("task", Shape::Pointer(Box::new(task))),
                parameter("port", int(2, true)),
            ],
            count: 3,
            ..Arguments::none("'f' has 3 arguments")
        },
        fields: vec![
            field("sector", 16, Content::Here(int(8, false))),
            field("cmd", 60, Content::Elsewhere),
            field("rest", 64, Content::Behind),
        ],
        returned: Ok(Some(int(4, false))),
        duration: true,
    }
}
