//! Which texts are replaced, and what they were: the rules of [`super::texts`] under the user's choice.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::rc::Rc;

use regex_lite::Regex;

use super::known::Known;
use super::pseudonyms::Pseudonyms;
use super::sensitive::Sensitive;
use super::texts::Texts;
use super::texts::is_placeholder;
use super::texts::place_in_module;
use crate::recording::Holds;

/// Bytes of texts of which the replacement is remembered: many times what a recording of an ordinary machine has.
const REMEMBERED_BYTES: usize = 16 << 20;
/// What a remembered text takes besides its bytes.
const ENTRY_BYTES: usize = 128;
/// Different texts that are told apart where they are counted.
const COUNTED: usize = 1 << 20;
/// Examples of what is replaced.
const EXAMPLES: usize = 3;
/// Characters of an example.
const EXAMPLE_CHARS: usize = 60;

/// What the pseudonym of a function begins with.
const FUNCTION: &str = "function";

/// The name of a function as the text of a stack has it, where semicolons stand between functions.
fn as_in_stacks(name: &str) -> Cow<'_, str> {
    if name.contains(';') { name.replace(';', ":").into() } else { name.into() }
}

/// The first quotation in a sentence, with what is before and behind it; one that does not end goes on to the end. The apostrophe of `can't` begins none.
fn quotation(text: &str) -> Option<(&str, &str, &str)> {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let begins = |at: &usize| !is_word(text.get(..*at).and_then(|before| before.chars().next_back()));
    let begin = text.match_indices('\'').map(|(at, _)| at).find(begins)?;
    let (before, rest) = (text.get(..begin)?, text.get(begin + 1..)?);
    let ends = |at: &usize| !is_word(rest.get(at + 1..).and_then(|after| after.chars().next()));
    let end = rest.match_indices('\'').map(|(at, _)| at).find(ends).unwrap_or(rest.len());
    Some((before, rest.get(..end)?, rest.get(end + 1..).unwrap_or("")))
}

/// What of one sort was found.
#[derive(Default)]
pub(super) struct Found {
    seen: HashSet<u64>,
    /// Different texts of which some part says something, at most [`COUNTED`].
    pub(super) texts: usize,
    /// Some of them, as they are and as they would be.
    pub(super) examples: Vec<(String, String)>,
}

/// Replaces texts.
pub(super) struct Redactor {
    texts: Texts,
    replaced: BTreeSet<Sensitive>,
    /// What is replaced in every text that is left, whatever it is.
    patterns: Vec<Regex>,
    remembered: HashMap<(Holds, Box<str>), Rc<str>>,
    remembered_bytes: usize,
    /// What the user typed of custom events, which sentences may repeat.
    events: Vec<String>,
    /// Functions of programs that no common system has, hashed; asked for by `--redact symbols`.
    own_functions: HashSet<u64>,
    hashes: RandomState,
    found: BTreeMap<Sensitive, Found>,
}

impl Redactor {
    /// Replaces what is sensitive of these sorts, and what a pattern matches.
    pub(super) fn new(replaced: BTreeSet<Sensitive>, patterns: Vec<Regex>) -> Result<Redactor, getrandom::Error> {
        Ok(Redactor {
            texts: Texts { known: Known::new(), names: Pseudonyms::new()? },
            replaced,
            patterns,
            remembered: HashMap::new(),
            remembered_bytes: 0,
            events: Vec::new(),
            own_functions: HashSet::new(),
            hashes: RandomState::new(),
            found: BTreeMap::new(),
        })
    }

    /// Whether texts of this sort are replaced.
    pub(super) fn replaces(&self, sort: Sensitive) -> bool {
        self.replaced.contains(&sort)
    }

    /// What was found of each sort, replaced or not.
    pub(super) fn found(&self) -> &BTreeMap<Sensitive, Found> {
        &self.found
    }

    /// Notes what the user called a custom event.
    pub(super) fn note_event(&mut self, text: &str) {
        if !text.is_empty() {
            self.events.push(text.to_owned());
            // One may be a part of another.
            self.events.sort_by_key(|text| Reverse(text.len()));
        }
    }

    /// Notes that a function is one of a program that no common system has. Generated code is always such a program's, and so is a function without a file.
    pub(super) fn note_function(&mut self, name: &str, module: &str) {
        if self.is_common(module) || is_placeholder(name) || place_in_module(name).is_some() {
            return;
        }
        let name = as_in_stacks(name);
        let hash = self.hashes.hash_one(&*name);
        if self.own_functions.insert(hash) {
            let pseudonym = self.texts.names.of(FUNCTION, &name);
            self.note(Sensitive::Symbols, &name, &pseudonym);
        }
    }

    /// Whether the build id of a module stays.
    pub(super) fn may_show_build_id(&mut self, id: &str, module: &str) -> bool {
        if self.is_common(module) {
            return true;
        }
        self.note(Sensitive::BuildIds, id, "");
        !self.replaces(Sensitive::BuildIds)
    }

    /// Whether a module is the kernel's, or a file that common systems have. Where programs are installed by hand, even `app/server.js` is somebody's.
    fn is_common(&self, module: &str) -> bool {
        const OF_ANY_PROGRAM: [&str; 5] = ["[generated]", "[python]", "[anon]", "[heap]", "[stack]"];
        let of_system = ["/usr/", "/lib", "/bin/", "/sbin/", "["].into_iter().any(|place| module.starts_with(place));
        let of_system = of_system && !module.starts_with("/usr/src/") && !OF_ANY_PROGRAM.contains(&module);
        of_system && self.texts.path(module) == module
    }

    /// The text as it may be given away.
    pub(super) fn text(&mut self, holds: Holds, text: &str) -> Rc<str> {
        if let Some(known) = self.remembered.get(&(holds, text.into())) {
            return Rc::clone(known);
        }
        let replacement: Rc<str> = match holds {
            Holds::Stack => {
                text.split(';').map(|frame| self.once(Holds::Symbol, frame)).collect::<Vec<_>>().join(";").into()
            }
            holds => self.once(holds, text).into(),
        };
        let bytes = text.len() + replacement.len() + ENTRY_BYTES;
        if self.remembered_bytes + bytes > REMEMBERED_BYTES {
            self.remembered.clear();
            self.remembered_bytes = 0;
        }
        self.remembered_bytes += bytes;
        self.remembered.insert((holds, text.into()), Rc::clone(&replacement));
        replacement
    }

    /// One text that is not remembered.
    fn once(&mut self, holds: Holds, text: &str) -> String {
        let by_rule = self.by_rule(holds, text);
        let sort = Sensitive::of(holds);
        // What is left of the name of a function are paths; functions themselves are noted with their modules.
        let noted = if holds == Holds::Symbol { Some(Sensitive::Paths) } else { sort };
        if let Some(sort) = noted.filter(|_| by_rule != text && !by_rule.starts_with(FUNCTION)) {
            self.note(sort, text, &by_rule);
        }
        let kept = sort.is_some_and(|sort| !self.replaces(sort));
        // Paths within the names of functions are paths.
        let kept = kept && !(holds == Holds::Symbol && self.replaces(Sensitive::Paths));
        self.patterns_replaced(if kept { text.to_owned() } else { by_rule })
    }

    fn by_rule(&self, holds: Holds, text: &str) -> String {
        match holds {
            Holds::Word | Holds::Key | Holds::BuildId | Holds::Stack => text.to_owned(),
            Holds::Host => self.texts.names.of("host", text),
            Holds::Program => self.texts.program(text),
            Holds::Path => self.texts.path(text),
            Holds::Arguments => self.texts.arguments(text),
            Holds::Address => self.texts.address(text),
            Holds::DnsName => self.texts.dns(text),
            Holds::Url => self.texts.url(text),
            Holds::Method => self.texts.method(text),
            Holds::Container if text.is_empty() => String::new(),
            Holds::Container => self.texts.names.of("container", text),
            Holds::Cgroup => self.texts.cgroup(text),
            Holds::Device => self.texts.device(text),
            Holds::Symbol if self.replaces(Sensitive::Symbols) && self.is_own_function(text) => {
                self.texts.names.of(FUNCTION, &as_in_stacks(text))
            }
            Holds::Symbol => self.texts.symbol(text),
            Holds::Event => self.texts.event(text),
            Holds::BpfProgram => self.texts.bpf_program(text),
            Holds::Captured | Holds::ByKind | Holds::Unknown => self.texts.captured(text),
        }
    }

    fn is_own_function(&self, name: &str) -> bool {
        self.own_functions.contains(&self.hashes.hash_one(&*as_in_stacks(name)))
    }

    /// A sentence of ebrec's that may quote names: what stands between quotes, paths, and custom events.
    pub(super) fn sentence(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for event in &self.events {
            if text.contains(event.as_str()) {
                text = text.replace(event.as_str(), &self.texts.event(event));
            }
        }
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, quoted, after)) = quotation(rest) {
            out.push_str(&self.texts.sentence(before));
            out.push('\'');
            // Pseudonyms of events stay what they are.
            let is_done = self.events.iter().any(|event| self.texts.event(event) == quoted);
            let quoted = if is_done { quoted.into() } else { self.text(Holds::Captured, quoted) };
            out.push_str(&quoted);
            out.push('\'');
            rest = after;
        }
        out.push_str(&self.texts.sentence(rest));
        self.patterns_replaced(out)
    }

    /// The text without what the user's patterns match.
    pub(super) fn patterns_replaced(&self, mut text: String) -> String {
        for pattern in &self.patterns {
            if pattern.is_match(&text) {
                let names = &self.texts.names;
                text = pattern
                    .replace_all(&text, |found: &regex_lite::Captures<'_>| names.of("redacted", &found[0]))
                    .into_owned();
            }
        }
        text
    }

    fn note(&mut self, sort: Sensitive, text: &str, replacement: &str) {
        let found = self.found.entry(sort).or_default();
        if found.seen.len() < COUNTED && found.seen.insert(self.hashes.hash_one(text)) {
            found.texts += 1;
            if found.examples.len() < EXAMPLES {
                let short = |text: &str| text.chars().take(EXAMPLE_CHARS).collect();
                found.examples.push((short(text), short(replacement)));
            }
        }
    }
}
