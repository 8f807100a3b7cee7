//! Documents as one self-contained page: no network, no other file, and a browser is all that it needs.
//!
//! The page's data is JSON in an element that no browser runs; its script, the modules in `html/` joined into one, puts text into the
//! page as text. A content security policy forbids all else: scripts and styles are named by their hashes.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Serializer;
use serde_json::ser::CharEscape;
use serde_json::ser::Formatter;
use sha2::Digest;
use sha2::Sha256;

use crate::render::Document;
use crate::render::html::blocks::Blocks;
use crate::text::is_unsafe;
use crate::text::sanitize;

mod blocks;

const STYLE: &str = include_str!("html/style.css");

/// The modules of the page's script, each behind those that it imports.
const MODULES: [&str; 8] = [
    include_str!("html/dom.js"),
    include_str!("html/format.js"),
    include_str!("html/sums.js"),
    include_str!("html/table.js"),
    include_str!("html/timeline.js"),
    include_str!("html/flame.js"),
    include_str!("html/heat.js"),
    include_str!("html/page.js"),
];

/// Writes a document as a page of HTML.
///
/// # Errors
/// `out` refuses, or rows can't be read back.
pub fn write_html(document: &Document, out: &mut dyn io::Write) -> io::Result<()> {
    let script = script();
    let title = if document.title.is_empty() { &document.name } else { &document.title };
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let title = escape(title);
    let subtitle = match document.subtitle.as_str() {
        "" => String::new(),
        text => format!("<div class=\"subtitle\">{}</div>", escape(text)),
    };
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"ebrec {}\">\n\
         <title>{title} - ebrec</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><div><h1>{title}</h1>{subtitle}</div>\
         <button type=\"button\" id=\"theme\" aria-label=\"Switch between light and dark\"></button></header>\n\
         <main><noscript>This page needs JavaScript. 'ebrec report' shows the same without it.</noscript></main>\n\
         <script type=\"application/json\" id=\"data\">",
        env!("CARGO_PKG_VERSION"),
    )?;
    serde::Serialize::serialize(&Blocks(document), &mut Serializer::with_formatter(&mut *out, Inert))?;
    write!(out, "</script>\n<script type=\"module\">{script}</script>\n</body>\n</html>\n")
}

/// The modules as one: in one script they need no imports.
fn script() -> String {
    let lines = MODULES.iter().flat_map(|module| module.lines()).filter(|line| !line.starts_with("import "));
    let lines = lines.map(|line| line.strip_prefix("export ").unwrap_or(line));
    lines.fold(String::from("\n"), |script, line| script + line + "\n")
}

/// What names a script or a style in a content security policy.
fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// Text between tags.
fn escape(text: &str) -> String {
    sanitize(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON in which no string can end the element that it stands in, and every one shows what it holds: control characters and such
/// that reorder text are written as escapes that a reader sees, as on a terminal.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| matches!(c, '<' | '>' | '&') || is_unsafe(*c)) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            match c {
                '<' | '>' | '&' => write!(writer, "\\u{:04x}", c as u32)?,
                c => writer.write_all(shown(c).as_bytes())?,
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let letter = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return writer.write_all(b"\\\\"),
            CharEscape::Solidus => return writer.write_all(b"/"),
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{c}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => char::from(byte),
        };
        writer.write_all(shown(letter).as_bytes())
    }
}

/// A character as an escape that a reader sees, within a string of JSON.
fn shown(letter: char) -> String {
    sanitize(letter.encode_utf8(&mut [0; 4])).replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::script;
    use super::write_html;
    use crate::render::Block;
    use crate::render::Document;
    use crate::render::Field;
    use crate::render::Table;
    use crate::render::Value;

    fn page(document: &Document) -> String {
        let mut out = Vec::new();
        write_html(document, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The page's data.
    fn data(page: &str) -> serde_json::Value {
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    const HOSTILE: &str = "</script><script>alert(1)</script> \" ' & \u{202e} \x1b[2J \u{2028}\n<!--";

    #[test]
    fn hostile_text_is_inert_wherever_it_stands() {
        let mut document = Document::new("v", HOSTILE);
        document.subtitle = HOSTILE.to_owned();
        document.note(HOSTILE);
        document.warning(HOSTILE);
        document.push(Block::Pairs(vec![(HOSTILE.to_owned(), HOSTILE.to_owned())]));
        let mut table = Table::new(HOSTILE, HOSTILE, vec![Field::new("a", HOSTILE).help(HOSTILE)]);
        table.rows.push(vec![Value::from(HOSTILE)]);
        document.push(table);
        let page = page(&document);
        assert_eq!(page.matches("<script").count(), 2, "{page}");
        assert_eq!(page.matches("</script").count(), 2);
        assert!(
            !page.contains("alert(1)</") && !page.contains("<!--") && !page.contains(['\u{202e}', '\x1b', '\u{2028}'])
        );
        let data = data(&page);
        let shown = "</script><script>alert(1)</script> \" ' & \\u{202e} \\x1b[2J \\u{2028}\\x0a<!--";
        assert_eq!(data["blocks"][0]["text"], shown);
        assert_eq!(data["blocks"][3]["rows"][0][0][0], shown);
    }

    #[test]
    fn the_script_is_one_module_without_imports_in_which_no_name_is_declared_twice() {
        let script = script();
        assert!(!script.contains("\nimport ") && !script.contains("\nexport "));
        let declared = script.lines().filter_map(|line| {
            let rest = line.strip_prefix("const ").or_else(|| line.strip_prefix("function "))?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
        });
        let mut names: Vec<&str> = declared.filter(|name| !name.is_empty()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(all > 20 && names.len() == all);
    }

    #[test]
    fn the_script_writes_no_markup_and_asks_for_nothing() {
        let script = script();
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttp", "import("]
        {
            assert!(!script.contains(word), "{word}");
        }
    }
}
