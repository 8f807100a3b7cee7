//! The expressions of `--fail-if`: a metric, the groups of it that are meant, a statistic, and a bound.
//!
//! ```text
//! METRIC[{LABEL=VALUE,…}].STATISTIC > BOUND
//! block.device_time{dev=vda}.p99 > +20%
//! ```
//!
//! A bound with a sign is about the change, in hundredths of the value before (`+20%`, `-5%`) or in the unit of the statistic (`+2ms`); one
//! without a sign is about the value after (`5ms`, `1000/s`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::diff::ledger::spent_in;
use crate::diff::quantity::Labels;
use crate::diff::quantity::Name;
use crate::diff::quantity::Statistic;
use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::text::nearest;
use crate::units::Unit;
use crate::units::duration;
use crate::units::parse_duration;
use crate::units::parse_size;

/// Which numbers an expression is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selection {
    /// The metric, and the labels that its groups have to have.
    pub(super) name: Name,
    /// Which number of them, all together.
    pub(super) statistic: Statistic,
}

impl Selection {
    /// Whether a group of a metric counts.
    pub(super) fn selects(&self, name: &Name) -> bool {
        self.name.metric == name.metric
            && self.name.labels.iter().all(|(column, value)| name.label(column) == Some(&**value))
    }
}

/// One expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    /// As it was written.
    pub(super) text: String,
    pub(super) selection: Selection,
    comparison: Comparison,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// Of the change in hundredths.
    Percent(f64),
    /// Of the change in the statistic's unit.
    Change(f64, Measure),
    /// Of the value after.
    Value(f64, Measure),
}

/// What a bound was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Plain,
    Time,
    Size,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// It has not the shape, or names no statistic; the names of metrics are checked against recordings.
    pub(super) fn parse(text: &str) -> Result<Expression, Failure> {
        let mut rest = Rest { all: text, left: text.trim() };
        let metric = rest.until(&['{', '>', '<', ' ', '}', '='])?;
        let labels = if rest.eat("{") { rest.labels()? } else { Vec::new() };
        let (metric, statistic) = if labels.is_empty() && !rest.left.starts_with('.') {
            split_statistic(metric, text)?
        } else {
            let name = rest.until(&['>', '<', ' '])?;
            (metric, statistic_of(name.trim_start_matches('.'), text)?)
        };
        let comparison = rest.comparison()?;
        let bound = bound(rest.left.trim(), text)?;
        let fits = match (bound, statistic) {
            (Bound::Percent(_), _) | (_, Statistic::Percentile(_)) => true,
            (Bound::Change(_, measure) | Bound::Value(_, measure), Statistic::Time | Statistic::Length) => {
                measure == Measure::Time
            }
            (Bound::Change(_, measure) | Bound::Value(_, measure), Statistic::Rate | Statistic::Share) => {
                measure == Measure::Plain
            }
            (Bound::Change(_, measure) | Bound::Value(_, measure), Statistic::Bytes) => measure == Measure::Size,
        };
        if !fits {
            let units = match statistic {
                Statistic::Time => "'10ms' or '10ms/s', time per second",
                Statistic::Length => "'10ms'",
                Statistic::Rate => "'100' or '100/s'",
                Statistic::Share => "'30', percent of the process's CPU time",
                _ => "'1MiB' or '1MiB/s'",
            };
            let message = format!("the bound of '{text}' is not in the unit of its statistic");
            return Err(Failure::usage(message).hint(format!("'{}' takes a bound such as {units}", statistic.name())));
        }
        let name = Name { metric: metric.into(), labels };
        Ok(Expression { text: text.to_owned(), selection: Selection { name, statistic }, comparison, bound })
    }

    /// Whether a change exceeds the bound, whatever chance has to do with it.
    pub(super) fn holds(&self, before: f64, after: f64) -> bool {
        let (value, bound) = match self.bound {
            // Something out of nothing is more than any part of it.
            Bound::Percent(bound) if before <= 0.0 => (if after > 0.0 { f64::INFINITY } else { 0.0 }, bound),
            Bound::Percent(bound) => (100.0 * (after / before - 1.0), bound),
            Bound::Change(bound, _) => (after - before, bound),
            Bound::Value(bound, _) => (after, bound),
        };
        match self.comparison {
            Comparison::Above => value > bound,
            Comparison::AtLeast => value >= bound,
            Comparison::Below => value < bound,
            Comparison::AtMost => value <= bound,
        }
    }

    /// Checks the unit of a bound on a percentile once the metric's unit is known.
    ///
    /// # Errors
    /// It is another.
    pub(super) fn check_unit(&self, unit: Unit) -> Result<(), Failure> {
        let (Bound::Change(_, measure) | Bound::Value(_, measure)) = self.bound else { return Ok(()) };
        let wanted = match unit {
            Unit::Nanoseconds => Measure::Time,
            Unit::Bytes => Measure::Size,
            _ => Measure::Plain,
        };
        if wanted == measure || self.selection.statistic.is_per_second() {
            return Ok(());
        }
        let message = format!("the bound of '{}' is not in the unit of '{}'", self.text, self.selection.name.metric);
        Err(Failure::usage(message).hint(format!("its values are {}", in_words(unit))))
    }
}

fn in_words(unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => format!("times, such as {}", duration(5_000_000).replace(' ', "")),
        Unit::Bytes => "sizes, such as 4KiB".to_owned(),
        _ => "plain numbers".to_owned(),
    }
}

/// Says that no metric or label of the recordings is called so, with the nearest that is.
pub(super) fn unknown(expression: &Expression, names: &BTreeMap<Name, BTreeSet<Statistic>>) -> Failure {
    let wanted = &expression.selection.name;
    if !names.keys().any(|name| name.metric == wanted.metric) {
        let some = names.iter().filter(|(_, statistics)| !statistics.is_empty());
        let mut metrics: Vec<&str> = some.map(|(name, _)| &*name.metric).collect();
        metrics.sort_unstable();
        metrics.dedup();
        let near = nearest(&wanted.metric, metrics.iter().copied());
        let message = format!("neither side has the metric '{}' of '{}'", wanted.metric, expression.text);
        return Failure::usage(message).hint(did_you_mean(&near, &metrics));
    }
    let groups: Vec<&Name> = names.keys().filter(|name| name.metric == wanted.metric).collect();
    for (column, value) in &wanted.labels {
        let mut columns: Vec<&str> = groups.iter().flat_map(|name| &name.labels).map(|(column, _)| &**column).collect();
        columns.sort_unstable();
        columns.dedup();
        if !columns.contains(&&**column) {
            let near = nearest(column, columns.iter().copied());
            let message = format!("'{}' has no label '{column}'", wanted.metric);
            return Failure::usage(message).hint(did_you_mean(&near, &columns));
        }
        let mut values: Vec<&str> = groups.iter().filter_map(|name| name.label(column)).collect();
        values.sort_unstable();
        values.dedup();
        if !values.contains(&&**value) {
            let near = nearest(value, values.iter().copied());
            let message = format!("neither side has '{}' with {column}={value}", wanted.metric);
            return Failure::usage(message).hint(did_you_mean(&near, &values));
        }
    }
    let selected = names.iter().filter(|(name, _)| expression.selection.selects(name));
    let had: BTreeSet<Statistic> = selected.flat_map(|(_, statistics)| statistics).copied().collect();
    lacks(expression, &had)
}

/// Says that a metric has not the statistic of an expression, and what has it.
fn lacks(expression: &Expression, had: &BTreeSet<Statistic>) -> Failure {
    let Selection { name: wanted, statistic } = &expression.selection;
    if had.contains(statistic) {
        return Failure::usage(format!("'{wanted}' has too few values for '{}'", statistic.name()));
    }
    let elsewhere: Vec<String> = match statistic {
        Statistic::Time => spent_in(&wanted.metric).iter().map(|name| format!("'{name}.time'")).collect(),
        _ => Vec::new(),
    };
    let names: Vec<&str> = had.iter().map(|statistic| statistic.name()).collect();
    let failure = Failure::usage(format!("'{wanted}' has no statistic '{}'", statistic.name()));
    match (elsewhere.is_empty(), names.is_empty()) {
        (false, _) => failure.hint(format!("the ledger has that time: {}", elsewhere.join(", "))),
        (_, false) => failure.hint(format!("it has {}", names.join(", "))),
        _ => failure.hint("this metric is not compared"),
    }
}

/// The end of a metric's name may be a statistic.
fn split_statistic<'t>(metric: &'t str, text: &str) -> Result<(&'t str, Statistic), Failure> {
    // `p99.9` has a point of its own.
    let split = metric.strip_suffix(".p99.9").map(|metric| (metric, "p99.9")).or_else(|| metric.rsplit_once('.'));
    let Some((metric, name)) = split else { return Err(shape(text)) };
    Ok((metric, statistic_of(name, text)?))
}

fn statistic_of(name: &str, text: &str) -> Result<Statistic, Failure> {
    let known = Statistic::NAMED.into_iter().find(|statistic| statistic.name() == name);
    known.ok_or_else(|| {
        let names = Statistic::NAMED.map(Statistic::name);
        let near = nearest(name, names.into_iter());
        Failure::usage(format!("'{name}' in '{text}' is not a statistic")).hint(did_you_mean(&near, &names))
    })
}

fn shape(text: &str) -> Failure {
    let example = "an expression looks like 'block.device_time{dev=vda}.p99 > +20%'";
    Failure::usage(format!("'{text}' is not an expression")).hint(example)
}

fn bound(bound: &str, text: &str) -> Result<Bound, Failure> {
    let wrong = || {
        let message = format!("'{bound}' in '{text}' is not a bound");
        Failure::usage(message).hint("a bound is a change such as '+20%' or '+2ms', or a value such as '5ms'")
    };
    let (sign, number) = match (bound.strip_prefix('+'), bound.strip_prefix('-')) {
        (Some(number), _) => (1.0, number),
        (_, Some(number)) => (-1.0, number),
        _ => (1.0, bound),
    };
    let is_change = number.len() < bound.len();
    if let Some(percent) = number.strip_suffix('%') {
        return match percent.trim().parse::<f64>() {
            Ok(percent) if percent.is_finite() => Ok(Bound::Percent(sign * percent)),
            _ => Err(wrong()),
        };
    }
    let amount = number.strip_suffix("/s").unwrap_or(number);
    let (value, measure) = if let Ok(plain) = amount.parse::<f64>() {
        (plain, Measure::Plain)
    } else if let Ok(time) = parse_duration(amount) {
        (time.as_nanos() as f64, Measure::Time)
    } else {
        (parse_size(amount).map_err(|_| wrong())? as f64, Measure::Size)
    };
    if !value.is_finite() {
        return Err(wrong());
    }
    Ok(if is_change { Bound::Change(sign * value, measure) } else { Bound::Value(value, measure) })
}

/// What is left of an expression.
struct Rest<'t> {
    all: &'t str,
    left: &'t str,
}

impl<'t> Rest<'t> {
    fn eat(&mut self, token: &str) -> bool {
        let eaten = self.left.trim_start().strip_prefix(token);
        self.left = eaten.unwrap_or(self.left);
        eaten.is_some()
    }

    /// A word up to one of the letters; it may not be empty.
    fn until(&mut self, ends: &[char]) -> Result<&'t str, Failure> {
        let left = self.left.trim_start();
        let (word, left) = left.split_at(left.find(ends).unwrap_or(left.len()));
        self.left = left;
        if word.is_empty() { Err(shape(self.all)) } else { Ok(word) }
    }

    fn labels(&mut self) -> Result<Labels, Failure> {
        let mut labels = Vec::new();
        loop {
            let column = self.until(&['=', ',', '}', ' '])?;
            if !self.eat("=") {
                return Err(shape(self.all));
            }
            let value = if self.eat("\"") { self.quoted()? } else { self.until(&[',', '}'])?.trim_end().to_owned() };
            labels.push((column.into(), value.into()));
            if self.eat("}") {
                return Ok(labels);
            }
            if !self.eat(",") {
                return Err(shape(self.all));
            }
        }
    }

    /// A value in quotes, where a backslash makes the next letter plain.
    fn quoted(&mut self) -> Result<String, Failure> {
        let (mut value, mut letters) = (String::new(), self.left.char_indices());
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.left = self.left.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                letter => value.push(letter),
            }
        }
        Err(shape(self.all))
    }

    fn comparison(&mut self) -> Result<Comparison, Failure> {
        let known = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ];
        known
            .into_iter()
            .find(|(token, _)| self.eat(token))
            .map(|(_, comparison)| comparison)
            .ok_or_else(|| shape(self.all))
    }
}

#[cfg(test)]
mod tests {
    use super::Expression;
    use super::Statistic;

    fn parse(text: &str) -> Expression {
        Expression::parse(text).unwrap()
    }

    #[test]
    fn an_expression_is_a_metric_with_labels_a_statistic_and_a_bound() {
        let expression = parse("block.device_time{dev=vda, op=\"a \\\"b\\\"\"}.p99.9 > +20%");
        assert_eq!(expression.selection.name.to_string(), "block.device_time{dev=vda, op=\"a \\\"b\\\"\"}");
        assert_eq!(expression.selection.statistic, Statistic::Percentile(999));
        assert!(expression.holds(100.0, 121.0) && !expression.holds(100.0, 119.0));
        let plain = parse("  sched.switches.rate<-5% ");
        assert_eq!(
            (plain.selection.name.to_string().as_str(), plain.selection.statistic),
            ("sched.switches", Statistic::Rate)
        );
        assert!(plain.holds(100.0, 94.0) && !plain.holds(100.0, 96.0));
        assert_eq!(parse("a.b.p99.9 >= 5ms").selection.name.to_string(), "a.b");
    }

    #[test]
    fn a_sign_makes_a_bound_one_of_the_change() {
        assert!(parse("a.b.p50 > +2ms").holds(1e6, 3.1e6) && !parse("a.b.p50 > +2ms").holds(1e6, 2.9e6));
        assert!(parse("a.b.p50 > 2ms").holds(1e6, 2.1e6) && !parse("a.b.p50 > 2ms").holds(3e6, 1.9e6));
        assert!(parse("a.b.time > +10ms/s").holds(0.0, 1.1e7));
        assert!(parse("a.b.bytes > 1MiB/s").holds(0.0, 1.1e6) && parse("a.b.rate > 100/s").holds(0.0, 101.0));
        assert!(parse("a.b.rate > +20%").holds(0.0, 1.0) && !parse("a.b.rate > +20%").holds(0.0, 0.0));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_shape() {
        for text in
            ["", "a", "a.b > +20%", "a.b.p99", "a.b.p99 > ", "a.b{c}.p99 > 1", "a.b{c=d.p99 > 1", "a.b{c=\"d}.p99 > 1"]
        {
            let refused = Expression::parse(text).unwrap_err();
            assert!(refused.hint.is_some(), "{text}: {refused}");
        }
        assert_eq!(
            Expression::parse("a.b.p98 > +20%").unwrap_err().hint.as_deref(),
            Some("did you mean one of 'p90', 'p99'?")
        );
        assert!(Expression::parse("a.b.rate > +2ms").unwrap_err().message.contains("unit"));
        assert!(Expression::parse("a.b.p99 > +much").unwrap_err().message.contains("is not a bound"));
    }
}
