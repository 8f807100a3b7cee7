//! The findings of many recordings in words: a cause once, with all hosts where it was found.

use crate::render::Document;
use crate::render::Table;
use crate::render::Value;
use crate::units;

/// Causes that are held; rarer ones are only counted.
const HELD: usize = 2000;
/// Hosts that a cause names besides the one where it weighs most.
const NAMED: usize = 2;

/// Causes by rule and victim.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Cause>,
    more: u64,
}

/// A cause on one host or more.
#[derive(Debug)]
struct Cause {
    /// The rule that found it, and the command that suffered.
    key: (String, String),
    resource: String,
    /// The weights of all recordings, added up.
    weight: f64,
    /// The recording where it weighs most: its weight, label, text and the command that shows more.
    heaviest: (f64, String, String, String),
    labels: Vec<String>,
    count: u64,
}

impl Findings {
    /// Adds the rows of a recording's table of findings.
    pub(super) fn add(&mut self, label: &str, document: &Document) {
        let Some(table) = document.table(Some("findings")) else { return };
        for row in &table.rows {
            let text = |name: &str| match cell(table, row, name) {
                Some(Value::Text(text)) => text.clone(),
                _ => String::new(),
            };
            let weight = if let Some(Value::Float(weight)) = cell(table, row, "weight") { *weight } else { 0.0 };
            let key = (text("rule"), text("comm"));
            let heaviest = (weight, label.to_owned(), text("text"), text("next"));
            let has_room = self.list.len() < HELD;
            match self.list.iter_mut().find(|cause| cause.key == key) {
                Some(cause) => cause.add(heaviest),
                None if has_room => {
                    let (resource, labels) = (text("resource"), vec![label.to_owned()]);
                    self.list.push(Cause { key, resource, weight, heaviest, labels, count: 1 });
                }
                None => self.more += 1,
            }
        }
    }

    /// The causes that weigh most over all recordings: what was short, and what is said of it.
    pub(super) fn sentences(mut self, most: usize) -> Vec<(String, String)> {
        self.list.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let more = self.more + self.list.len().saturating_sub(most) as u64;
        let mut sentences: Vec<(String, String)> =
            self.list.iter().take(most).map(|cause| (cause.resource.clone(), cause.words())).collect();
        if more > 0 {
            let text =
                format!("{} more causes of less weight; JSON has every finding in 'findings'", units::count(more));
            sentences.push(("more".to_owned(), text));
        }
        sentences
    }
}

impl Cause {
    fn add(&mut self, found: (f64, String, String, String)) {
        self.weight += found.0;
        // A command may suffer twice on one host.
        if self.labels.last() != Some(&found.1) {
            self.count += 1;
            if self.labels.len() <= NAMED {
                self.labels.push(found.1.clone());
            }
        }
        if found.0 > self.heaviest.0 {
            self.heaviest = found;
        }
    }

    /// `web1: … See 'ebrec report …'. Likewise on web2, web3 and 35 more.`
    fn words(&self) -> String {
        let (_, label, text, next) = &self.heaviest;
        let mut words = format!("{label}: {text} See '{next}'.");
        let others: Vec<&str> = self.labels.iter().map(String::as_str).filter(|own| own != label).take(NAMED).collect();
        match (self.count - 1).saturating_sub(others.len() as u64) {
            _ if others.is_empty() => {}
            0 => words.push_str(&format!(" Likewise on {}.", others.join(" and "))),
            more => words.push_str(&format!(" Likewise on {} and {} more.", others.join(", "), units::count(more))),
        }
        words
    }
}

fn cell<'a>(table: &Table, row: &'a [Value], name: &str) -> Option<&'a Value> {
    row.get(table.fields.iter().position(|field| field.name == name)?)
}

#[cfg(test)]
mod tests {
    use super::Findings;
    use crate::render::Document;
    use crate::render::Field;
    use crate::render::Table;
    use crate::render::Value;

    fn document(rows: &[(&str, &str, f64, &str)]) -> Document {
        let fields = ["rule", "comm", "weight", "text", "resource", "next"].map(|name| Field::new(name, name)).to_vec();
        let text = |text: &str| Value::from(text);
        let row = |(rule, comm, weight, words): &(&str, &str, f64, &str)| {
            vec![text(rule), text(comm), Value::Float(*weight), text(words), text("disk"), text("ebrec report block x")]
        };
        let table = Table { rows: rows.iter().map(row).collect(), ..Table::new("findings", "", fields) };
        let mut document = Document::default();
        document.push(table);
        document
    }

    #[test]
    fn a_cause_is_told_once_from_where_it_weighs_most() {
        let mut findings = Findings::default();
        for host in 0..5 {
            let weight = if host == 3 { 0.9 } else { 0.2 };
            findings.add(&format!("h{host}"), &document(&[("disk", "db", weight, &format!("Slow on {host}."))]));
        }
        findings.add("h9", &document(&[("lock", "app", 0.8, "Locked."), ("cpu", "x", 0.1, "Busy.")]));
        let sentences = findings.sentences(2);
        assert_eq!(sentences[0].1, "h3: Slow on 3. See 'ebrec report block x'. Likewise on h0, h1 and 2 more.");
        assert_eq!(sentences[1].1, "h9: Locked. See 'ebrec report block x'.");
        assert_eq!(sentences[2].1, "1 more causes of less weight; JSON has every finding in 'findings'");
    }
}
