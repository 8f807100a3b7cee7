//! What a recording says of itself, as it may be given away.

use serde_json::Map;
use serde_json::Value;

use super::redactor::Redactor;
use super::sensitive::Sensitive;
use crate::recording::Holds;
use crate::recording::Meta;
use crate::recording::MetaError;

/// What may stand in the setting of a probe.
const WORDS: [&str; 10] = ["", "default", "all", "raw", "hist", "slow", "stacks", "on", "off", "thin"];
/// Units of durations, sizes and rates.
const UNITS: [&str; 17] =
    ["", "ns", "us", "ms", "s", "m", "min", "h", "d", "B", "KB", "KiB", "MB", "MiB", "GB", "GiB", "hz"];
/// Digits of a word that names nobody.
const MOST_DIGITS: usize = 6;
/// Options and settings whose values are names, whatever they look like.
const NAMING: [&str; 8] = ["-o", "--output", "-e", "--event", "--comm", "--cgroup", "--container", "--uid"];
const NAMING_SETTINGS: [&str; 5] = ["comms", "cgroups", "containers", "users", "events"];

/// Words of a command line of ebrec's that are not names: options, numbers with units, lists of probes with their settings.
struct OwnWords<'a> {
    probes: Vec<&'a str>,
}

impl OwnWords<'_> {
    fn has(&self, word: &str) -> bool {
        let option = word.strip_prefix('-').is_some_and(|rest| {
            let name = rest.strip_prefix('-').unwrap_or(rest);
            name.len() <= 20
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                && (rest.starts_with('-') || name.len() <= 2)
        });
        option || self.has_value(word)
    }

    /// Whether a word is the value of an option that names nobody.
    fn has_value(&self, word: &str) -> bool {
        let part = |part: &str| {
            let part = part.strip_prefix(['+', '-']).unwrap_or(part);
            let number = part.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let numeric = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let unit = part.get(number.len()..).unwrap_or_default();
            WORDS.contains(&part) || self.probes.contains(&part) || (numeric && UNITS.contains(&unit))
        };
        // Many digits may be a telephone number, however they are written.
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        digits <= MOST_DIGITS && word.split([',', ':', '=']).all(part)
    }
}

/// Redacts the metadata, and states what was.
pub(super) fn redact(mut meta: Meta, redactor: &mut Redactor) -> Meta {
    let probes: Vec<String> = meta.probes.iter().map(|probe| probe.name.clone()).collect();
    let own = OwnWords { probes: probes.iter().map(String::as_str).collect() };
    for event in &meta.events {
        redactor.note_event(&event.text);
        redactor.note_event(&event.name);
    }
    meta.host.hostname = redactor.text(Holds::Host, &meta.host.hostname).to_string();
    meta.command = command(&meta.command, &own, redactor);
    let config = std::mem::take(&mut meta.config);
    meta.config = config
        .into_iter()
        .map(|(name, found)| {
            let found = setting(&name, found, &own, redactor);
            (name, found)
        })
        .collect();
    for probe in &mut meta.probes {
        probe.reason = probe.reason.take().map(|reason| redactor.sentence(&reason));
        // Without custom events, all hooks are ebrec's own.
        if !meta.events.is_empty() && (redactor.replaces(Sensitive::Captured) || redactor.replaces(Sensitive::Symbols))
        {
            probe.hooks.iter_mut().for_each(without_function);
        }
        let settings: Map<String, Value> = std::mem::take(&mut probe.settings);
        probe.settings = settings
            .into_iter()
            .map(|(name, found)| {
                let found = setting(&name, found, &own, redactor);
                (name, found)
            })
            .collect();
    }
    for event in &mut meta.events {
        event.name = redactor.text(Holds::Event, &event.name).to_string();
        event.text = redactor.text(Holds::Event, &event.text).to_string();
        let label = |label: &str, redactor: &mut Redactor| match label.strip_prefix("arg").unwrap_or("x").parse::<u8>()
        {
            Ok(_) => label.to_owned(),
            Err(_) if label == "duration" => label.to_owned(),
            Err(_) => redactor.text(Holds::Captured, label).to_string(),
        };
        event.hist = event.hist.take().map(|hist| label(&hist, redactor));
        event.by = event.by.take().map(|by| label(&by, redactor));
        for capture in &mut event.captures {
            capture.name = label(&capture.name, redactor);
        }
    }
    if let Some(trigger) = &mut meta.trigger {
        if trigger.custom {
            trigger.expression = redactor.text(Holds::Event, &trigger.expression).to_string();
        }
        if let Some(fired) = &mut trigger.fired {
            fired.process = fired.process.take().map(|process| redactor.text(Holds::Program, &process).to_string());
        }
    }
    let replaced: Vec<&str> =
        Sensitive::ALL.into_iter().filter(|sort| redactor.replaces(*sort)).map(Sensitive::help).collect();
    if !replaced.is_empty() {
        meta.redaction.push(format!("replaced by pseudonyms: {}", replaced.join("; ")));
    }
    meta
}

/// Leaves of a hook in a program what it is, and drops the program's function: `uprobe.multi/charge`.
fn without_function(hook: &mut String) {
    let Some((sort, place)) = hook.split_once('/') else { return };
    let of_program = ["uprobe", "uretprobe", "usdt"].into_iter().any(|of_program| sort.starts_with(of_program));
    let plain = place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:. -".contains(&byte));
    if of_program || !plain {
        hook.truncate(sort.len());
    }
}

/// Replaces what the user's patterns match in every text of the metadata, whatever it says, except for the names that connect it with the rows.
///
/// # Errors
/// Never for metadata that this library wrote.
pub(super) fn patterns_replaced(meta: &Meta, redactor: &Redactor) -> Result<Meta, MetaError> {
    let pairs = meta.to_pairs().into_iter().map(|(key, text)| {
        // Keys of values that are words of ebrec's.
        let own: &[&str] = match key.as_str() {
            "ebrec.format" | "ebrec.metrics" | "ebrec.kinds" | "ebrec.columns" => return (key, text),
            "ebrec.probes" => &["name", "state", "mode"],
            "ebrec.trigger" => &["unit"],
            "ebrec.events" => &["column"],
            _ => &[],
        };
        let text = match serde_json::from_str::<Value>(&text) {
            Ok(value @ (Value::Array(_) | Value::Object(_))) => in_strings(value, own, redactor).to_string(),
            Ok(Value::Number(_)) => text,
            _ => redactor.patterns_replaced(text),
        };
        (key, text)
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    Meta::from_pairs(pairs.iter().map(|(key, text)| (key.as_str(), text.as_str())))
}

fn in_strings(value: Value, own: &[&str], redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(redactor.patterns_replaced(text)),
        Value::Array(values) => values.into_iter().map(|value| in_strings(value, own, redactor)).collect(),
        Value::Object(values) => {
            let replaced = values.into_iter().map(|(name, value)| {
                let value = if own.contains(&name.as_str()) { value } else { in_strings(value, own, redactor) };
                (name, value)
            });
            Value::Object(replaced.collect())
        }
        other => other,
    }
}

/// A command line of ebrec's: behind `--` is another program's.
fn command(words: &[String], own: &OwnWords<'_>, redactor: &mut Redactor) -> Vec<String> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (ours, theirs) = words.split_at(end);
    let mut redacted: Vec<String> = Vec::new();
    for (index, word) in ours.iter().enumerate() {
        redacted.push(match word.as_str() {
            program if index == 0 => redactor.text(Holds::Path, program).to_string(),
            command if index == 1 && command == "record" => command.to_owned(),
            word => {
                let names = ours.get(index - 1).is_some_and(|option| NAMING.contains(&option.as_str()));
                if own.has(word) && !names { word.to_owned() } else { argument(word, redactor) }
            }
        });
    }
    for (index, word) in theirs.iter().enumerate() {
        redacted.push(match index {
            0 => word.clone(),
            1 if word.contains('/') => redactor.text(Holds::Path, word).to_string(),
            1 => redactor.text(Holds::Program, word).to_string(),
            _ => argument(word, redactor),
        });
    }
    redacted
}

/// One argument: the rules are for lines, whose first word is a program.
fn argument(word: &str, redactor: &mut Redactor) -> String {
    let line =
        String::from_utf8(crate::text::shell_words(["-".as_bytes(), word.as_bytes()].into_iter())).unwrap_or_default();
    let redacted = redactor.text(Holds::Arguments, &line);
    redacted.strip_prefix("- ").unwrap_or(&redacted).to_owned()
}

/// The value of an option.
fn setting(name: &str, value: Value, own: &OwnWords<'_>, redactor: &mut Redactor) -> Value {
    match value {
        Value::Array(words) if name == "command" => {
            let mut line = vec!["--".to_owned()];
            line.extend(words.iter().map(|word| word.as_str().unwrap_or_default().to_owned()));
            command(&line, own, redactor).into_iter().skip(1).map(Value::String).collect()
        }
        Value::String(text) if own.has_value(&text) && !NAMING_SETTINGS.contains(&name) => Value::String(text),
        Value::String(text) => {
            let holds = match name {
                "comms" => Holds::Program,
                "cgroups" => Holds::Cgroup,
                "containers" => Holds::Container,
                "events" => Holds::Event,
                _ => Holds::Captured,
            };
            Value::String(redactor.text(holds, &text).to_string())
        }
        Value::Array(values) => values.into_iter().map(|value| setting(name, value, own, redactor)).collect(),
        Value::Object(values) => Value::Object(
            values
                .into_iter()
                .map(|(name, value)| {
                    let value = setting(&name, value, own, redactor);
                    (name, value)
                })
                .collect(),
        ),
        other => other,
    }
}
