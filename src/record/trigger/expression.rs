//! The language of `--until`: a value and what it is compared with, or the name of something that happens.

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::probe::ProbeInfo;
use crate::probe::watch::Watch;
use crate::text;
use crate::units::Unit;
use crate::units::parse_duration;
use crate::units::parse_size;

/// What pressure there is of, and of what part of the tasks: `psi.memory.full`.
const RESOURCES: [&str; 4] = ["cpu", "memory", "io", "irq"];
const LINES: [&str; 2] = ["some", "full"];
const PRESSURE: &str = "psi";

/// A trigger's expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    /// As it was written.
    pub(super) text: String,
    /// What it is about.
    pub(super) subject: Subject,
    /// What a value is compared with; `None`: that it happens is enough.
    pub(super) comparison: Option<Comparison>,
}

/// What a trigger is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Rows of a probe.
    Row(Watch),
    /// Hits of a custom event.
    CustomEvent(String),
    /// The share of the last second in which tasks were stalled: the file below `/proc/pressure`, and its line.
    Pressure(&'static str, &'static str),
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    /// How it is compared.
    pub(super) operator: Operator,
    /// With what, in the value's unit.
    pub(super) value: i64,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub(super) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// As they are written; those that begin like another come first.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Comparison {
    /// Whether a value is as it has to be.
    pub(super) fn holds(self, value: i64) -> bool {
        match self.operator {
            Operator::Less => value < self.value,
            Operator::LessOrEqual => value <= self.value,
            Operator::Greater => value > self.value,
            Operator::GreaterOrEqual => value >= self.value,
            Operator::Equal => value == self.value,
            Operator::NotEqual => value != self.value,
        }
    }

    /// The least value for which it can hold, or one below that.
    pub(super) fn least(self) -> i64 {
        match self.operator {
            Operator::Greater | Operator::GreaterOrEqual | Operator::Equal => self.value,
            Operator::Less | Operator::LessOrEqual | Operator::NotEqual => i64::MIN,
        }
    }
}

/// What a trigger can be about.
#[derive(Clone, Copy)]
pub(super) struct Vocabulary<'a> {
    /// The probes.
    pub(super) probes: &'a [&'static ProbeInfo],
    /// The names of custom events.
    pub(super) own: &'a [String],
}

impl Vocabulary<'_> {
    /// Reads an expression.
    ///
    /// # Errors
    /// A name that there is not, a comparison that makes no sense, a value in another unit.
    pub(super) fn read(&self, text: &str) -> Result<Expression, Failure> {
        let text = text.trim();
        // First, since the name of an event may be its text, which may have comparisons.
        if self.own.iter().any(|name| name == text) {
            let subject = Subject::CustomEvent(text.to_owned());
            return Ok(Expression { text: text.to_owned(), subject, comparison: None });
        }
        let at = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (name, rest) = text.split_at(at);
        let name = name.trim();
        let subject = self.subject(name)?;
        let unit = match &subject {
            Subject::Row(watch) => watch.value.map(|value| value.unit),
            Subject::Pressure(..) => Some(Unit::Percent),
            Subject::CustomEvent(_) => None,
        };
        let comparison = match unit {
            Some(unit) => Some(comparison(name, rest, unit)?),
            None if rest.is_empty() => None,
            None => {
                let problem = format!("'{name}' has no value to compare");
                return Err(Failure::usage(problem).hint(format!("wait until it happens: --until '{name}'")));
            }
        };
        Ok(Expression { text: text.to_owned(), subject, comparison })
    }

    fn subject(&self, name: &str) -> Result<Subject, Failure> {
        let watches = || self.probes.iter().flat_map(|info| info.watches);
        if let Some(watch) = watches().find(|watch| watch.name == name) {
            return Ok(Subject::Row(*watch));
        }
        if self.own.iter().any(|own| own == name) {
            return Ok(Subject::CustomEvent(name.to_owned()));
        }
        let pressures = || RESOURCES.iter().flat_map(|resource| LINES.iter().map(move |line| (*resource, *line)));
        let called = |(resource, line): (&str, &str)| format!("{PRESSURE}.{resource}.{line}");
        if let Some((resource, line)) = pressures().find(|pressure| called(*pressure) == name) {
            return Ok(Subject::Pressure(resource, line));
        }
        let all: Vec<String> = watches()
            .map(|watch| watch.name.to_owned())
            .chain(pressures().map(called))
            .chain(self.own.iter().cloned())
            .collect();
        let near = text::nearest(name, all.iter().map(String::as_str));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let problem = match name {
            "" => "a trigger begins with the name of a value or of an event".to_owned(),
            name => format!("'{name}' can't be a trigger"),
        };
        Err(Failure::usage(problem).hint(did_you_mean(&near, &all)))
    }
}

fn comparison(name: &str, rest: &str, unit: Unit) -> Result<Comparison, Failure> {
    let example = match unit {
        Unit::Nanoseconds => format!("{name} > 100ms"),
        Unit::Bytes => format!("{name} > 1MiB"),
        Unit::Percent => format!("{name} > 20%"),
        _ => format!("{name} >= 1"),
    };
    let hint = |failure: Failure| failure.hint(format!("as in --until '{example}'"));
    let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)) else {
        return Err(hint(Failure::usage(format!("'{name}' has to be compared with something"))));
    };
    let value = rest.get(sign.len()..).unwrap_or_default().trim();
    let wrong = |what: &str| hint(Failure::usage(format!("'{name}' is compared with {what}, not with '{value}'")));
    let value = match unit {
        Unit::Nanoseconds => parse_duration(value)
            .ok()
            .and_then(|time| i64::try_from(time.as_nanos()).ok())
            .ok_or_else(|| wrong("a duration"))?,
        Unit::Bytes => {
            parse_size(value).ok().and_then(|bytes| i64::try_from(bytes).ok()).ok_or_else(|| wrong("a size"))?
        }
        Unit::Percent => {
            let percent = value.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
            percent
                .filter(|percent| (0..=100).contains(percent))
                .ok_or_else(|| wrong("a percentage from 0% to 100%"))?
        }
        _ => value.parse().map_err(|_| wrong("a whole number"))?,
    };
    Ok(Comparison { operator: *operator, value })
}

#[cfg(test)]
mod tests {
    use super::Comparison;
    use super::Operator;
    use super::Subject;
    use super::Vocabulary;
    use crate::probe::ProbeInfo;
    use crate::probes::REGISTRY;

    fn read(text: &str) -> Result<(Subject, Option<Comparison>), (String, String)> {
        let probes: Vec<&'static ProbeInfo> = REGISTRY.iter().map(|probe| probe.info()).collect();
        let own = ["slow_read".to_owned(), "latency:vfs_read/duration > 1ms/".to_owned()];
        let vocabulary = Vocabulary { probes: &probes, own: &own };
        let read = vocabulary.read(text).map(|expression| (expression.subject, expression.comparison));
        read.map_err(|failure| (failure.message, failure.hint.unwrap_or_default()))
    }

    fn compared(text: &str) -> (Operator, i64) {
        let Comparison { operator, value } = read(text).unwrap().1.unwrap();
        (operator, value)
    }

    #[test]
    fn values_are_read_in_the_unit_of_what_they_are_compared_with() {
        assert_eq!(compared("block.device_time > 100ms"), (Operator::Greater, 100_000_000));
        assert_eq!(compared("block.device_time>=1.5s"), (Operator::GreaterOrEqual, 1_500_000_000));
        assert_eq!(compared("http.status >= 500"), (Operator::GreaterOrEqual, 500));
        assert_eq!(compared("process.exit != 0"), (Operator::NotEqual, 0));
        assert_eq!(compared(" process.exit=1 "), (Operator::Equal, 1));
        assert_eq!(compared("psi.memory.full > 20%"), (Operator::Greater, 20));
        assert_eq!(read("psi.io.some <= 5 %").unwrap().0, Subject::Pressure("io", "some"));
    }

    #[test]
    fn something_that_happens_needs_no_comparison_and_takes_none() {
        assert!(matches!(read("memory.oom_kills"), Ok((Subject::Row(_), None))));
        assert!(matches!(read("slow_read"), Ok((Subject::CustomEvent(_), None))));
        assert!(matches!(read("latency:vfs_read/duration > 1ms/"), Ok((Subject::CustomEvent(_), None))));
        assert!(read("slow_read > 5").unwrap_err().0.contains("no value"));
        assert!(read("block.device_time").unwrap_err().1.contains("block.device_time > 100ms"));
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_would_be() {
        let (message, hint) = read("block.devicetime > 1ms").unwrap_err();
        assert!(message.contains("'block.devicetime'") && hint.contains("'block.device_time'"), "{message} {hint}");
        for (text, what) in [
            ("block.device_time > 100", "a duration"),
            ("block.device_time > 20%", "a duration"),
            ("http.status >= high", "a whole number"),
            ("psi.cpu.some > 20", "a percentage"),
            ("psi.cpu.some > 120%", "a percentage"),
            ("process.exit !", "something"),
            ("> 5", "begins with"),
            ("", "begins with"),
        ] {
            let (message, hint) = read(text).unwrap_err();
            assert!(message.contains(what) && !hint.is_empty(), "{text}: {message}");
        }
    }

    #[test]
    fn comparisons_hold_as_they_are_written() {
        let holds = |operator| [4, 5, 6].map(|value| Comparison { operator, value: 5 }.holds(value));
        assert_eq!(holds(Operator::Less), [true, false, false]);
        assert_eq!(holds(Operator::LessOrEqual), [true, true, false]);
        assert_eq!(holds(Operator::Greater), [false, false, true]);
        assert_eq!(holds(Operator::GreaterOrEqual), [false, true, true]);
        assert_eq!(holds(Operator::Equal), [false, true, false]);
        assert_eq!(holds(Operator::NotEqual), [true, false, true]);
    }
}
