//! Strings for terminals: untrusted ones made safe, display widths, nearest names.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

/// Shows what a terminal would act on, or a reader could not see, as an escape: `\x1b`, `\u{202e}`.
///
/// Names, arguments and paths out of the kernel or a file are anyone's. Control characters (C0, DEL, C1: escape sequences, line feeds)
/// could repaint the screen, bidirectional overrides reorder it, and zero-width ones make two names look like one.
pub fn sanitize(s: &str) -> Cow<'_, str> {
    if !s.contains(is_unsafe) {
        return Cow::Borrowed(s);
    }
    let mut out = String::with_capacity(s.len() + 16);
    for c in s.chars() {
        if !is_unsafe(c) {
            out.push(c);
        } else if (c as u32) < 0x80 {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\x{:02x}", c as u32);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
    Cow::Owned(out)
}

/// Returns whether a character acts on the terminal or cannot be seen; variation selectors, which modify what is seen, may stay.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e00ff}')
}

/// Returns the number of terminal cells that sanitised text takes; wide (CJK) characters take two, combining ones none.
pub fn width(s: &str) -> usize {
    s.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cuts `s` to at most `w` cells; what is cut ends in `…`.
pub fn fit(s: &str, w: usize) -> String {
    if width(s) <= w {
        return s.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in s.chars() {
        used += c.width().unwrap_or(0);
        // One cell is kept for the ellipsis.
        if used + 1 > w {
            break;
        }
        out.push(c);
    }
    if w > 0 {
        out.push('…');
    }
    out
}

/// Puts spaces before `s` until it takes `w` cells; longer text stays as it is.
pub fn pad_left(s: &str, w: usize) -> String {
    format!("{}{s}", " ".repeat(w.saturating_sub(width(s))))
}

/// Puts spaces after `s` until it takes `w` cells; longer text stays as it is.
pub fn pad_right(s: &str, w: usize) -> String {
    format!("{s}{}", " ".repeat(w.saturating_sub(width(s))))
}

/// Breaks `s` at spaces into lines of at most `w` cells (one at least); longer words are cut where the line ends.
pub fn wrap(s: &str, w: usize) -> Vec<String> {
    let w = w.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in s.split(' ').filter(|word| !word.is_empty()) {
        let cells = width(word);
        if used > 0 && used + 1 + cells > w {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let cells = c.width().unwrap_or(0);
            if used + cells > w {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += cells;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Returns up to three candidates that `name` was probably meant to be, the nearest first.
///
/// Near is a few typing errors for the length of the name, or one being the start of the other; letter case does not matter.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let errors = strsim::osa_distance(&wanted, &lower);
            let length = wanted.chars().count().max(lower.chars().count());
            let prefix = wanted.len() >= 2 && (lower.starts_with(&wanted) || wanted.starts_with(&lower));
            let part = wanted.len() >= 3 && lower.contains(&wanted);
            (errors <= length.div_ceil(3).min(4) && errors < length || prefix || part).then_some((errors, candidate))
        })
        .collect();
    near.sort_by_key(|n| n.0);
    near.dedup_by_key(|n| n.1);
    near.into_iter().take(3).map(|n| n.1).collect()
}
