//! What is said of many recordings in words: a line once for all of which it is true.

use crate::render::Document;
use crate::units;

/// Different lines that are held; more are only counted.
const HELD: usize = 200;
/// Recordings that a line names.
const NAMED: usize = 3;

/// Notes and warnings of many recordings.
#[derive(Debug, Default)]
pub(super) struct Lines {
    list: Vec<Line>,
    /// Lines that were not held.
    more: u64,
}

/// A line of one recording or more.
#[derive(Debug)]
struct Line {
    /// The line with a sign for each number.
    shape: String,
    /// As the first recording has it.
    text: String,
    is_warning: bool,
    /// The first recordings that have it.
    labels: Vec<String>,
    count: u64,
    /// Whether the others differ in their numbers.
    varies: bool,
}

impl Lines {
    /// Adds a line of a recording.
    pub(super) fn add(&mut self, label: &str, text: String, is_warning: bool) {
        let shape = shape(&text);
        let has_room = self.list.len() < HELD;
        match self.list.iter_mut().find(|line| line.is_warning == is_warning && line.shape == shape) {
            Some(line) => {
                line.count += 1;
                line.varies |= line.text != text;
                if line.labels.len() < NAMED {
                    line.labels.push(label.to_owned());
                }
            }
            None if has_room => {
                let labels = vec![label.to_owned()];
                self.list.push(Line { shape, text, is_warning, labels, count: 1, varies: false });
            }
            None => self.more += 1,
        }
    }

    /// Drops a line that not all recordings have.
    pub(super) fn only_of_all(&mut self, text: &str, recordings: u64) {
        self.list.retain(|line| line.text != text || line.count == recordings);
    }

    /// Puts the lines into a document, at most so many: the warnings first, then by how many recordings they are of.
    pub(super) fn add_to(mut self, document: &mut Document, recordings: u64, most: usize) {
        self.list.sort_by_key(|line| (!line.is_warning, std::cmp::Reverse(line.count)));
        let more = self.more + self.list.len().saturating_sub(most) as u64;
        for line in self.list.into_iter().take(most) {
            let text = line.words(recordings);
            if line.is_warning { document.warning(text) } else { document.note(text) }
        }
        if more > 0 {
            document.note(format!(
                "{} more such lines are of single recordings: report one to see its",
                units::count(more)
            ));
        }
    }
}

impl Line {
    fn words(&self, recordings: u64) -> String {
        let Line { text, count, .. } = self;
        let first = self.labels.first().map(String::as_str).unwrap_or_default();
        let others = |named: u64| match count - named {
            1 => "1 other".to_owned(),
            others => format!("{} others", units::count(others)),
        };
        match (self.varies, *count) {
            (false, count) if count == recordings => text.clone(),
            (_, 1) => format!("{first}: {text}"),
            (false, count) if count <= NAMED as u64 => format!("{}: {text}", self.labels.join(", ")),
            (false, _) => format!("{} and {}: {text}", self.labels.join(", "), others(NAMED as u64)),
            (true, _) => format!("{first}: {text}; the same applies to {}, with other numbers", others(1)),
        }
    }
}

/// A text with one sign in place of each number.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut in_number = false;
    for letter in text.chars() {
        let is_number = letter.is_ascii_digit() || in_number && matches!(letter, '.' | ',');
        if !is_number {
            shape.push(letter);
        } else if !in_number {
            shape.push('#');
        }
        in_number = is_number;
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use super::shape;
    use crate::render::Block;
    use crate::render::Document;

    fn added(lines: Lines, recordings: u64, most: usize) -> Vec<String> {
        let mut document = Document::default();
        lines.add_to(&mut document, recordings, most);
        let line = |block| match block {
            Block::Warning(text) => format!("warning: {text}"),
            Block::Note(text) => text,
            other => panic!("{other:?}"),
        };
        document.blocks.into_iter().map(line).collect()
    }

    #[test]
    fn numbers_have_one_shape() {
        assert_eq!(shape("12 of 1,234 events (0.97%)"), "# of # events (#%)");
    }

    #[test]
    fn a_line_says_of_whom_it_is_true() {
        let mut lines = Lines::default();
        for host in 0..6 {
            let host = format!("h{host}");
            lines.add(&host, "complete".to_owned(), false);
            if *host < *"h5" {
                lines.add(&host, "no probe".to_owned(), false);
            }
            if *host < *"h2" {
                lines.add(&host, "few".to_owned(), false);
            }
            lines.add(&host, format!("lost {host}1"), true);
        }
        lines.add("h9", "alone".to_owned(), false);
        let expected = [
            "warning: h0: lost h01; the same applies to 5 others, with other numbers",
            "complete",
            "h0, h1, h2 and 2 others: no probe",
            "h0, h1: few",
            "h9: alone",
        ];
        assert_eq!(added(lines, 6, 10), expected);
    }

    #[test]
    fn lines_are_bounded_and_the_rest_is_counted() {
        let mut lines = Lines::default();
        for letter in 'a'..='z' {
            lines.add("h", letter.to_string(), letter == 'z');
        }
        let added = added(lines, 9, 2);
        assert_eq!(
            added,
            ["warning: h: z", "h: a", "24 more such lines are of single recordings: report one to see its"]
        );
    }

    #[test]
    fn what_is_not_true_of_all_can_be_dropped() {
        let mut lines = Lines::default();
        lines.add("a", "no match".to_owned(), true);
        lines.only_of_all("no match", 2);
        assert!(added(lines, 2, 9).is_empty());
    }
}
