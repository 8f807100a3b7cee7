//! From the text of `-e` to its tree.

mod target;

use self::target::name;
use self::target::sort;
use self::target::target;
use super::SpecError;
use super::spec::At;
use super::spec::CType;
use super::spec::Expr;
use super::spec::Item;
use super::spec::Labelled;
use super::spec::Node;
use super::spec::OPERATORS;
use super::spec::Spec;
use super::spec::Target;
use super::token::Token;
use super::token::Word;
use super::token::quoted;
use super::token::tokens;
use crate::failure::did_you_mean;
use crate::probe::event::MAX_TEXT_LIMIT;
use crate::probe::event::Unary;
use crate::text::nearest;

/// Bytes of one specification.
const MAX_BYTES: usize = 4096;
/// How deep parentheses and operators may nest.
const MAX_NESTING: usize = 32;
/// What can be called in an expression, with what it gives.
pub(super) const CALLS: [&str; 9] = ["str", "bytes", "ip", "ipv4", "ipv6", "sockaddr", "ntohs", "ntohl", "ntohll"];
/// Integers that a cast can name: name, bytes, signed.
pub(super) const INTEGERS: [(&str, u8, bool); 34] = [
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("short", 2, true),
    ("unsigned short", 2, false),
    ("int", 4, true),
    ("unsigned", 4, false),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("unsigned long", 8, false),
    ("long long", 8, true),
    ("unsigned long long", 8, false),
    ("bool", 1, false),
    ("size_t", 8, false),
    ("ssize_t", 8, true),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("int8_t", 1, true),
    ("int16_t", 2, true),
    ("int32_t", 4, true),
    ("int64_t", 8, true),
    ("uint8_t", 1, false),
    ("uint16_t", 2, false),
    ("uint32_t", 4, false),
    ("uint64_t", 8, false),
    ("uintptr_t", 8, false),
    ("__u32", 4, false),
    ("__u64", 8, false),
];
const FORM: &str =
    "the form is SORT:WHERE(CAPTURES)/FILTER/, such as 'kprobe:vfs_read(count)/count > 4KiB/'; see 'man ebrec-record'";

/// Reads one specification; nothing in it is looked up.
///
/// # Errors
/// What is wrong with it, and at which byte.
pub fn parse(text: &str) -> Result<Spec, SpecError> {
    if text.len() > MAX_BYTES {
        return Err(SpecError::new(0, format!("an event of more than {MAX_BYTES} bytes")));
    }
    let (name, at) = name(text)?;
    let (sort, at) = sort(text, at)?;
    let (target, at) = target(sort, text, at)?;
    let rest = text.get(at..).unwrap_or_default();
    let begin = at + (rest.len() - rest.trim_start().len());
    let end = text.trim_end().len();
    let mut spec = Spec { name, sort, target, items: Vec::new(), filter: None };
    let mut at = begin;
    if text.get(at..).is_some_and(|rest| rest.starts_with('(')) {
        let close = closing(text, at).ok_or_else(|| SpecError::new(at, "a parenthesis is not closed"))?;
        let items = tokens(text, at + 1, close).and_then(|tokens| Parser::new(tokens, close).items());
        spec.items = items.map_err(|error| error.or_hint(|| quotes(text, &spec.target)))?;
        let rest = text.get(close + 1..).unwrap_or_default();
        at = close + 1 + (rest.len() - rest.trim_start().len());
    }
    if let Some(At(word)) = spec.trampoline().filter(|_| !spec.is_return_of_a_program()) {
        let error = SpecError::new(word, "'trampoline' applies to returns of programs' functions");
        return Err(error.hint("it is for 'uretprobe:FILE:FUNCTION' and 'latency:FILE:FUNCTION'"));
    }
    if at >= end {
        return Ok(spec);
    }
    if !text.get(at..).is_some_and(|rest| rest.starts_with('/')) {
        let error = SpecError::new(at, "expected a /filter/ or the end of the event");
        return Err(error.or_hint(|| quotes(text, &spec.target)).or_hint(|| Some(FORM.to_owned())));
    }
    // The last slash closes the filter, so that those before it divide.
    if end - 1 <= at || !text.get(..end).is_some_and(|text| text.ends_with('/')) {
        let mut error = SpecError::new(at, "the filter has no closing slash");
        if spec.items.is_empty() && text.get(at..).is_some_and(|rest| rest.contains("/(") || rest.contains("/ (")) {
            error = SpecError::new(at, "the filter comes before the captures: move it behind them");
        }
        return Err(error.hint(FORM));
    }
    let mut parser = Parser::new(tokens(text, at + 1, end - 1)?, end - 1);
    let filter = parser.expression()?;
    parser.finished("the filter")?;
    spec.filter = Some(filter);
    Ok(spec)
}

/// What to type if what follows a function's name is part of it, as the parameters of a function of C++ and blanks are.
pub(super) fn quotes(text: &str, target: &Target) -> Option<String> {
    let Target::File { function, .. } = target else { return None };
    let written = text.get(function.at.0..).filter(|written| !written.starts_with('"'))?;
    let mut end = function.text.len();
    // Up to the last parenthesis, or all of it.
    end += written.get(end..)?.rfind(')').map_or(written.len() - end, |close| close + 1);
    Some(format!("a name with blanks or parentheses stands in double quotes: \"{}\"", written.get(..end)?.trim()))
}

/// Where the parenthesis at `open` is closed; those in quotes don't count.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = open;
    while let Some(letter) = text.get(at..)?.chars().next() {
        match letter {
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            '"' => at += quoted(text.get(at..)?)?.1 - 1,
            _ => {}
        }
        at += letter.len_utf8();
    }
    None
}

/// Reads the words of one stretch of the text.
struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// Where the stretch ends.
    end: usize,
    nesting: usize,
}

impl Parser {
    fn new(tokens: Vec<Token>, end: usize) -> Parser {
        Parser { tokens, next: 0, end, nesting: 0 }
    }

    fn word(&self) -> Option<&Word> {
        self.tokens.get(self.next).map(|token| &token.word)
    }

    fn word_after(&self, count: usize) -> Option<&Word> {
        self.tokens.get(self.next + count).map(|token| &token.word)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.word(), Some(Word::Sign(word)) if *word == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.next += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Result<(), SpecError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> SpecError {
        let found = self.word().map_or("the end".to_owned(), Word::describe);
        SpecError::new(self.at(), format!("{wanted} belongs here, not {found}"))
    }

    fn finished(&self, what: &str) -> Result<(), SpecError> {
        match self.word() {
            None => Ok(()),
            Some(word) => Err(SpecError::new(self.at(), format!("{what} should end before {}", word.describe()))),
        }
    }

    fn items(&mut self) -> Result<Vec<Item>, SpecError> {
        let mut items = Vec::new();
        if self.word().is_none() {
            return Ok(items);
        }
        loop {
            items.push(self.item()?);
            if !self.take(",") {
                break;
            }
        }
        match self.word() {
            None => Ok(items),
            Some(_) => Err(self.unexpected("a comma or the closing parenthesis")),
        }
    }

    fn item(&mut self) -> Result<Item, SpecError> {
        let at = At(self.at());
        let alone = matches!(self.word_after(1), None | Some(Word::Sign(",")));
        let bare = match self.word() {
            Some(Word::Name(name)) if alone => match name.as_str() {
                "stack" => Some(Item::KernelStack),
                "ustack" => Some(Item::UserStack),
                "raw" => Some(Item::Raw),
                "trampoline" => Some(Item::Trampoline(at)),
                _ => None,
            },
            _ => None,
        };
        if let Some(item) = bare {
            self.next += 1;
            return Ok(item);
        }
        let label = match (self.word(), self.word_after(1)) {
            (Some(Word::Name(name)), Some(Word::Sign("="))) => Some(name.clone()),
            _ => None,
        };
        self.next += if label.is_some() { 2 } else { 0 };
        let call = match (self.word(), self.word_after(1)) {
            (Some(Word::Name(name)), Some(Word::Sign("("))) if name == "hist" || name == "by" => Some(name == "hist"),
            _ => None,
        };
        let Some(is_hist) = call else {
            return Ok(Item::Capture(Labelled { at, label, value: self.expression()? }));
        };
        self.next += 2;
        let value = self.expression()?;
        self.expect(")")?;
        let labelled = Labelled { at, label, value };
        Ok(if is_hist { Item::Hist(labelled) } else { Item::By(labelled) })
    }

    fn expression(&mut self) -> Result<Expr, SpecError> {
        self.binary(1)
    }

    fn binary(&mut self, lowest: u8) -> Result<Expr, SpecError> {
        let mut left = self.unary()?;
        let mut operators = 0;
        loop {
            let found = match self.word() {
                Some(Word::Sign(word)) => OPERATORS.iter().find(|known| known.1 == *word && known.2 >= lowest),
                _ => None,
            };
            let Some((operator, _, precedence)) = found else {
                if self.is("=") {
                    return Err(SpecError::new(self.at(), "'=' compares nothing: write '=='"));
                }
                return Ok(left);
            };
            // A long chain nests to the left.
            operators += 1;
            if operators > MAX_NESTING {
                return Err(SpecError::new(self.at(), "too many operators"));
            }
            let at = At(self.at());
            self.next += 1;
            let right = self.binary(precedence + 1)?;
            left = Expr { at, node: Node::Binary(*operator, Box::new(left), Box::new(right)) };
        }
    }

    fn unary(&mut self) -> Result<Expr, SpecError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(SpecError::new(self.at(), "this nests too deep"));
        }
        let expression = self.unary_at(At(self.at()));
        self.nesting -= 1;
        expression
    }

    fn unary_at(&mut self, at: At) -> Result<Expr, SpecError> {
        for (sign, operator) in [("!", Unary::Not), ("-", Unary::Negate), ("~", Unary::Invert)] {
            if self.take(sign) {
                let of = self.unary()?;
                let node = match (operator, &of.node) {
                    (Unary::Negate, Node::Number(number)) => Node::Number(number.wrapping_neg()),
                    _ => Node::Unary(operator, Box::new(of)),
                };
                return Ok(Expr { at, node });
            }
        }
        if self.take("*") {
            return Ok(Expr { at, node: Node::Deref(Box::new(self.unary()?)) });
        }
        if self.is("(")
            && let Some((to, words)) = self.cast()
        {
            self.next += words;
            return Ok(Expr { at, node: Node::Cast { to, of: Box::new(self.unary()?) } });
        }
        self.postfix()
    }

    /// A type in parentheses, and how many words it takes.
    fn cast(&self) -> Option<(CType, usize)> {
        let mut base = String::new();
        let mut words = 1;
        while let Some(Word::Name(name)) = self.word_after(words) {
            base = if base.is_empty() { name.clone() } else { format!("{base} {name}") };
            words += 1;
        }
        let composite = base.strip_prefix("struct ").or_else(|| base.strip_prefix("union "));
        let known = composite.is_some_and(|name| !name.contains(' ')) || INTEGERS.iter().any(|known| known.0 == base);
        let mut stars = 0u8;
        while matches!(self.word_after(words), Some(Word::Sign("*"))) {
            stars = stars.checked_add(1)?;
            words += 1;
        }
        let closed = matches!(self.word_after(words), Some(Word::Sign(")")));
        (known && closed).then_some((CType { base, stars }, words + 1))
    }

    fn postfix(&mut self) -> Result<Expr, SpecError> {
        let mut expression = self.primary()?;
        let mut links = 0;
        loop {
            links += 1;
            if links > MAX_NESTING {
                return Err(SpecError::new(self.at(), "this nests too deep"));
            }
            let arrow = self.is("->");
            if arrow || self.is(".") {
                self.next += 1;
                let at = At(self.at());
                let Some(Word::Name(name)) = self.word() else { return Err(self.unexpected("the name of a member")) };
                let name = name.clone();
                self.next += 1;
                expression = Expr { at, node: Node::Member { of: Box::new(expression), name, arrow } };
            } else if self.is("[") {
                let at = At(self.at());
                self.next += 1;
                let index = self.expression()?;
                self.expect("]")?;
                expression = Expr { at, node: Node::Index { of: Box::new(expression), index: Box::new(index) } };
            } else {
                return Ok(expression);
            }
        }
    }

    /// How many bytes a text is to have.
    fn length(&mut self, of: &str) -> Result<u16, SpecError> {
        let at = self.at();
        if !matches!(of, "str" | "bytes") {
            return Err(SpecError::new(at, format!("'{of}' takes one value")));
        }
        let Some(Word::Number(number)) = self.word() else { return Err(self.unexpected("a number of bytes")) };
        let length = u16::try_from(*number).ok().filter(|length| (1..=MAX_TEXT_LIMIT).contains(length));
        self.next += 1;
        length.ok_or_else(|| SpecError::new(at, format!("a text has 1 to {MAX_TEXT_LIMIT} bytes")))
    }

    fn primary(&mut self) -> Result<Expr, SpecError> {
        let at = At(self.at());
        let node = match self.word() {
            Some(Word::Number(number)) => Node::Number(*number),
            Some(Word::Text(text)) => Node::Text(text.clone()),
            Some(Word::Name(name)) => Node::Name(name.clone()),
            Some(Word::Sign("(")) => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        match node {
            Node::Name(name) if self.is("(") => {
                if matches!(name.as_str(), "hist" | "by") {
                    let problem = format!("'{name}(…)' is an item of its own, no value");
                    return Err(SpecError::new(at.0, problem).hint("as 'kprobe:vfs_read(hist(count))'"));
                }
                if !CALLS.contains(&name.as_str()) {
                    let near = nearest(&name, CALLS.into_iter().chain(["hist", "by"]));
                    let hint = did_you_mean(&near, &CALLS);
                    return Err(SpecError::new(at.0, format!("there is no function '{name}'")).hint(hint));
                }
                self.next += 1;
                let of = self.expression()?;
                let length = if self.take(",") { Some(self.length(&name)?) } else { None };
                self.expect(")")?;
                Ok(Expr { at, node: Node::Call { name, of: Box::new(of), length } })
            }
            node => Ok(Expr { at, node }),
        }
    }
}

#[cfg(test)]
#[path = "parse/tests.rs"]
mod tests;
