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

/// Returns words as a shell would take them, one space between two: what a shell interprets is in single quotes, so that
/// arguments with spaces stay apart.
pub fn shell_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, word) in words.enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_^{}[]".contains(byte) || *byte >= 0x80;
        if !word.is_empty() && word.iter().all(plain) {
            line.extend_from_slice(word);
            continue;
        }
        line.push(b'\'');
        for byte in word {
            match byte {
                b'\'' => line.extend_from_slice(b"'\\''"),
                byte => line.push(*byte),
            }
        }
        line.push(b'\'');
    }
    line
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

/// Cuts a command line to at most `w` cells: first the directories of its words, one after the other, then its end.
///
/// `python3 /srv/shop/current/web.py --port 80` becomes `python3 …/web.py --port 80`.
pub fn fit_command(s: &str, w: usize) -> String {
    let mut words: Vec<Cow<'_, str>> = s.split(' ').map(Cow::Borrowed).collect();
    let mut excess = width(s).saturating_sub(w);
    for word in &mut words {
        if excess == 0 {
            break;
        }
        if let Some((directory, name)) = word.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
            // An ellipsis takes the directory's place.
            excess = excess.saturating_sub(width(directory).saturating_sub(1));
            if width(directory) > 1 {
                *word = Cow::Owned(format!("…/{name}"));
            }
        }
    }
    fit(&words.join(" "), w)
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::prop_assert;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::fit;
    use super::fit_command;
    use super::is_unsafe;
    use super::nearest;
    use super::pad_left;
    use super::pad_right;
    use super::sanitize;
    use super::width;
    use super::wrap;

    #[test]
    fn a_command_that_is_too_long_keeps_the_names_of_program_and_script() {
        let command = "/usr/bin/python3 /srv/shop/current/web.py --port 80";
        assert_eq!(fit_command(command, 60), command);
        assert_eq!(fit_command(command, 50), "…/python3 /srv/shop/current/web.py --port 80");
        assert_eq!(fit_command(command, 28), "…/python3 …/web.py --port 80");
        assert_eq!(fit_command(command, 20), "…/python3 …/web.py …");
        assert_eq!(fit_command("awk / /etc/", 8), "awk / /…");
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in
            ["bash", "kworker/0:1", "a b", "grüße", "日本語", "C:\\x1b", "naïve\u{fffd}", "❤\u{fe0f}", "\u{e000}", "€"]
        {
            assert!(matches!(sanitize(name), Cow::Borrowed(same) if same == name), "{name:?}");
        }
    }

    #[test]
    fn what_a_terminal_acts_on_or_nobody_sees_is_shown_as_an_escape() {
        let cases = [
            ("red\x1b[31m", r"red\x1b[31m"),
            ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
            ("\x1b]8;;http://a\x1b\\link", r"\x1b]8;;http://a\x1b\link"),
            ("\x1b]52;c;aGk=\x1b\\", r"\x1b]52;c;aGk=\x1b\"),
            ("a\nb", r"a\x0ab"),
            ("real\rfake", r"real\x0dfake"),
            ("a\tb", r"a\x09b"),
            ("a\0b", r"a\x00b"),
            ("a\x08b", r"a\x08b"),
            ("a\x7fb", r"a\x7fb"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{9d}0;t\u{9c}", r"\u{9d}0;t\u{9c}"),
            ("\u{85}", r"\u{85}"),
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", r"\u{200e}\u{200f}\u{61c}"),
            ("ba\u{200b}sh", r"ba\u{200b}sh"),
            ("a\u{200d}b", r"a\u{200d}b"),
            ("\u{feff}bash", r"\u{feff}bash"),
            ("a\u{ad}b", r"a\u{ad}b"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("\u{3164}", r"\u{3164}"),
            ("a\u{ffff}", r"a\u{ffff}"),
        ];
        for (raw, shown) in cases {
            assert_eq!(sanitize(raw), shown);
        }
    }

    #[test]
    fn widths_are_those_of_terminal_cells() {
        assert_eq!((width("abc"), width("日本"), width("e\u{301}"), width("")), (3, 4, 1, 0));
        assert_eq!(
            (pad_left("日", 4), pad_right("日", 4), pad_left("abcd", 2)),
            ("  日".into(), "日  ".into(), "abcd".into())
        );
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis_by_cells() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!((fit("abc", 1), fit("abc", 0)), ("…".into(), "".into()));
    }

    #[test]
    fn prose_is_wrapped_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("日本語", 0), ["日", "本", "語"]);
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbours_and_a_strange_one_finds_none() {
        let names = ["process", "sched", "block", "block.queue_time", "block.device_time", "cpu", "offcpu"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("shced"), ["sched"]);
        assert_eq!(near("Block").first(), Some(&"block"));
        assert_eq!(near("blok").first(), Some(&"block"));
        assert_eq!(near("queue_time"), ["block.queue_time"]);
        assert_eq!(near("proc"), ["process"]);
        assert!(near("xyzzy").is_empty());
        assert!(near("").is_empty());
        assert!(near("b").len() <= 3);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left_and_a_second_time_changes_nothing(text in "\\PC*|[\\x00-\\u{ffff}]*") {
            let once = sanitize(&text);
            prop_assert!(!once.contains(is_unsafe));
            prop_assert_eq!(sanitize(&once), once.as_ref());
        }

        #[test]
        fn cut_and_wrapped_text_fits(text in ".*", w in 2usize..50) {
            let text = sanitize(&text);
            prop_assert!(width(&fit(&text, w)) <= w);
            for line in wrap(&text, w) {
                prop_assert!(width(&line) <= w);
            }
        }
    }
}
