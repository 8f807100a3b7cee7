//! A Rust file taken apart as far as the floors need it: code without comments and string contents, and the paths into the crate.

use std::path::Path;

/// One file: its path below `src/`, its lines, and the same lines with comments and the contents of strings blanked out.
pub(crate) struct SourceFile {
    path: String,
    original: Vec<String>,
    code: Vec<String>,
    in_tests: Vec<bool>,
}

/// A path that leads into a module of the crate's root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The line that holds it, counted from 1.
    pub(crate) line: usize,
    /// The first name after `crate::`, or what a chain of `super::` reaches there.
    pub(crate) module: String,
}

impl Import {
    /// Whether the name can't be a module: types, constants and macros are written otherwise than modules.
    pub(crate) fn is_item(&self) -> bool {
        self.module.ends_with('!') || self.module.starts_with(char::is_uppercase)
    }
}

impl SourceFile {
    /// Takes apart the text of the file at `path`, relative to `src/`.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let blanked = blank(text);
        let code: Vec<String> = blanked.lines().map(str::to_owned).collect();
        Self {
            path: path.to_string_lossy().replace('\\', "/"),
            original: text.lines().map(str::to_owned).collect(),
            in_tests: test_lines(&code),
            code,
        }
    }

    /// The path below `src/`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The module of the crate's root that the file belongs to; none for `lib.rs`, which only lists them.
    pub(crate) fn module(&self) -> Option<&str> {
        let first = self.path.split('/').next().unwrap_or_default();
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (name != "lib").then_some(name)
    }

    /// The numbered lines of code that are not in a `#[cfg(test)]` module, which a file named `tests.rs` is as a whole.
    pub(crate) fn code_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("/tests.rs");
        self.code
            .iter()
            .zip(&self.in_tests)
            .enumerate()
            .filter(move |(_, (_, test))| !**test && !is_test)
            .map(|(n, (code, _))| (n + 1, code.as_str()))
    }

    /// The lines with an `unsafe` block, function or impl that no SAFETY comment explains.
    pub(crate) fn unsafe_without_reason(&self) -> Vec<usize> {
        (0..self.code.len())
            .filter(|n| has_word(&self.code[*n], "unsafe") && !self.explained(*n))
            .map(|n| n + 1)
            .collect()
    }

    /// A SAFETY comment on the line itself, or in the comment and attribute lines and the start of the statement right above.
    fn explained(&self, line: usize) -> bool {
        let tells = |n: usize| self.original[n].contains("SAFETY:") || self.original[n].contains("# Safety");
        if tells(line) {
            return true;
        }
        for above in (0..line).rev() {
            if tells(above) {
                return true;
            }
            let code = self.code[above].trim();
            let ends_statement = code.ends_with([';', '}', '{']);
            if self.original[above].trim().is_empty() || ends_statement {
                return false;
            }
        }
        false
    }

    /// Every path into the crate: `crate::…` and `ebrec::…` anywhere, and `super::…` as far as it leaves the own module.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let text = self.code.join("\n");
        let mut imports = Vec::new();
        for (at, prefix) in path_starts(&text) {
            let line = text[..at].matches('\n').count() + 1;
            // A test module inside the file is one step further from the root.
            let in_tests = self.in_tests.get(line - 1).copied().unwrap_or(false);
            let depth = self.path.matches('/').count() + usize::from(in_tests);
            let (supers, rest) = climb(&text[at..]);
            if prefix == SUPER && supers <= depth {
                continue;
            }
            let rest = if prefix == SUPER { rest } else { &text[at + prefix.len()..] };
            imports.extend(heads(rest).into_iter().map(|module| Import { line, module }));
        }
        imports
    }
}

const SUPER: &str = "super::";

/// Where a path into the crate begins, in order, and with which word.
fn path_starts(text: &str) -> Vec<(usize, &'static str)> {
    // `self::super::`, `$crate::` and longer names are other things; the second `super::` of a chain belongs to the first.
    let begins = |at: usize| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '$'))
    };
    let mut starts: Vec<_> = ["crate::", "ebrec::", SUPER]
        .into_iter()
        .flat_map(|word| text.match_indices(word).map(move |(at, _)| (at, word)))
        .filter(|(at, _)| begins(*at))
        .collect();
    starts.sort();
    starts
}

/// How many `super::` a path begins with, and what follows them.
fn climb(mut rest: &str) -> (usize, &str) {
    let mut supers = 0;
    while let Some(shorter) = rest.strip_prefix("super::") {
        supers += 1;
        rest = shorter;
    }
    (supers, rest)
}

/// The first names of what follows `crate::`: one, or one per branch of a group.
fn heads(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![head(rest)] };
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

/// The name at the start of a path; a macro keeps its `!`.
fn head(path: &str) -> String {
    let path = path.trim_start();
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
    let bang = if path[end..].starts_with('!') { "!" } else { "" };
    format!("{}{bang}", &path[..end])
}

/// Whether `code` has `word` with no name's letter before or after it.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(letter) && (word.ends_with('!') || !after.is_some_and(letter))
    })
}

/// Which lines belong to a `#[cfg(test)]` item: from the attribute to the brace that closes it.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut n = 0;
    while n < code.len() {
        if !code[n].trim_start().starts_with("#[cfg(test)]") {
            n += 1;
            continue;
        }
        let mut depth = 0i32;
        let mut opened = false;
        while n < code.len() {
            marks[n] = true;
            for c in code[n].chars() {
                depth += i32::from(c == '{') - i32::from(c == '}');
                opened |= c == '{';
            }
            n += 1;
            let without_body = !opened && code[n - 1].trim_end().ends_with(';');
            if (opened && depth <= 0) || without_body {
                break;
            }
        }
    }
    marks
}

/// The text with comments and the contents of strings and characters replaced by spaces, line by line the same length in lines.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut n = 0;
    while n < chars.len() {
        let rest = &chars[n..];
        let end = if rest.starts_with(&['/', '/']) {
            n + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
        } else if rest.starts_with(&['/', '*']) {
            n + block_comment(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !after_name(&chars, n)) {
            n + length
        } else if rest[0] == '"' {
            n + quoted(rest)
        } else if let Some(length) = character(rest) {
            n + length
        } else {
            out.push(rest[0]);
            n += 1;
            continue;
        };
        out.extend(chars[n..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        n = end;
    }
    out
}

fn after_name(chars: &[char], n: usize) -> bool {
    n > 0 && (chars[n - 1].is_alphanumeric() || chars[n - 1] == '_')
}

/// The length of a block comment, nested ones included.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut n = 0;
    while n < rest.len() {
        if rest[n..].starts_with(&['/', '*']) {
            depth += 1;
            n += 2;
        } else if rest[n..].starts_with(&['*', '/']) {
            depth -= 1;
            n += 2;
            if depth == 0 {
                return n;
            }
        } else {
            n += 1;
        }
    }
    rest.len()
}

/// The length of `r"…"`, `r#"…"#` and their byte and C forms, if one begins here.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    if prefix == 0 || rest[prefix - 1] != 'r' {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = open + 1;
    let length = rest[body..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(rest.len(), |length| body + length + close.len()))
}

/// The length of an ordinary string.
fn quoted(rest: &[char]) -> usize {
    let mut n = 1;
    while n < rest.len() {
        match rest[n] {
            '\\' => n += 2,
            '"' => return n + 1,
            _ => n += 1,
        }
    }
    rest.len()
}

/// The length of a character literal, if one begins here; a lifetime is none.
fn character(rest: &[char]) -> Option<usize> {
    if rest[0] != '\'' {
        return None;
    }
    if rest.get(1) == Some(&'\\') {
        return rest.iter().skip(3).position(|c| *c == '\'').map(|n| n + 4);
    }
    (rest.get(2) == Some(&'\'')).then_some(3)
}
