//! What in a recording could identify someone, for the one who is about to share it.

use super::redactor::Redactor;
use super::sensitive::Sensitive;
use crate::recording::Recording;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;

/// A table of the sorts of text, and one with examples of each.
pub(super) fn document(recording: &Recording, redactor: &Redactor) -> Document {
    let mut document = Document::new("share", "What could identify someone");
    document.subtitle = recording.path().display().to_string();
    let fields = vec![
        Field::new("name", "sort"),
        Field::new("what", "what").prose(),
        Field::new("texts", "texts").help("Number of different texts that could identify someone."),
        Field::new("becomes", "becomes").help("How the bundle shows them; --keep and --redact change it."),
    ];
    let mut sorts = Table::new("sorts", "", fields);
    let mut examples = Table::new(
        "examples",
        "Examples",
        vec![
            Field::new("name", "sort"),
            Field::new("text", "text").at_least(30),
            Field::new("becomes", "becomes").at_least(30).help("Pseudonyms differ in each bundle."),
        ],
    );
    for sort in Sensitive::ALL {
        let found = redactor.found().get(&sort);
        let texts = found.map_or(0, |found| i64::try_from(found.texts).unwrap_or(i64::MAX));
        let becomes = match (texts, redactor.replaces(sort)) {
            (0, _) => "",
            (_, true) if sort == Sensitive::BuildIds => "left out",
            (_, true) => "pseudonyms",
            (_, false) => "kept",
        };
        sorts.rows.push(vec![sort.name().into(), sort.help().into(), Value::Int(texts), becomes.into()]);
        for (text, pseudonym) in found.iter().flat_map(|found| &found.examples) {
            let becomes = match (redactor.replaces(sort), pseudonym.as_str()) {
                (false, _) => "kept",
                (true, "") => "left out",
                (true, pseudonym) => pseudonym,
            };
            examples.rows.push(vec![sort.name().into(), text.as_str().into(), becomes.into()]);
        }
    }
    document.push(sorts);
    document.push(examples);
    document
}
