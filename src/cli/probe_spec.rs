//! The language of `-p`: `block:raw,sched:slow=5ms,process`, `+http,-cpu`, `all`.
//!
//! ```text
//! spec    = item *("," item)
//! item    = "all" / name *(":" setting) / "+" name *(":" setting) / "-" name
//! setting = "hist" / "slow" / "raw" / key "=" value
//! ```
//!
//! Only the shape is checked here. Whether a probe, key or value exists is for the registry, when the recording starts.

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::probe::Mode;
use crate::record::plan::ProbeBase;
use crate::record::plan::ProbeRequest;
use crate::record::plan::ProbeSelection;
use crate::text::nearest;

const FORMS: &str = "forms: 'block,sched:raw', 'block:slow=5ms', '+http,-cpu', 'all'";

/// Reads the values of every `-p`, in order, as one selection.
pub(crate) fn parse(specs: &[String]) -> Result<ProbeSelection, Failure> {
    let mut items = Vec::new();
    for spec in specs {
        if spec.split(',').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())) {
            let hint = format!("to record these processes: ebrec record --pid {spec}");
            return Err(Failure::usage(format!("'{spec}' names no probe")).hint(hint));
        }
        items.extend(split(spec)?);
    }
    select(items)
}

/// One item with where it stands, for messages.
struct Item<'a> {
    spec: &'a str,
    at: usize,
    sign: Sign,
    request: ProbeRequest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Plus,
    Minus,
}

fn split(spec: &str) -> Result<Vec<Item<'_>>, Failure> {
    let mut items = Vec::new();
    let mut at = 0;
    for text in spec.split(',') {
        items.push(item(spec, at, text)?);
        at += text.len() + 1;
    }
    Ok(items)
}

fn item<'a>(spec: &'a str, at: usize, text: &str) -> Result<Item<'a>, Failure> {
    let (sign, body) = match text.strip_prefix('+') {
        Some(body) => (Sign::Plus, body),
        None => match text.strip_prefix('-') {
            Some(body) => (Sign::Minus, body),
            None => (Sign::Plain, text),
        },
    };
    let mut at_part = at + (text.len() - body.len());
    let mut parts = body.split(':');
    let name = parts.next().unwrap_or_default();
    word(spec, at_part, name, "probe name")?;
    let mut request = ProbeRequest { name: name.to_owned(), mode: None, settings: Vec::new() };
    at_part += name.len() + 1;
    let mut stated = None;
    for part in parts {
        if let Some((key, value)) = part.split_once('=') {
            word(spec, at_part, key, "setting")?;
            if value.is_empty() {
                return Err(wrong(spec, at_part + key.len() + 1, &format!("setting '{key}' has no value")));
            }
            if request.settings.iter().any(|(earlier, _)| earlier == key) {
                return Err(wrong(spec, at_part, &format!("setting '{key}' is given twice")));
            }
            request.settings.push((key.to_owned(), value.to_owned()));
        } else {
            word(spec, at_part, part, "mode")?;
            let Some(mode) = Mode::parse(part) else {
                let names = Mode::ALL.map(Mode::name);
                let near = nearest(part, names.into_iter());
                return Err(wrong(spec, at_part, &format!("unknown mode '{part}'")).hint(did_you_mean(&near, &names)));
            };
            if stated.replace(mode).is_some() {
                return Err(wrong(spec, at_part, &format!("a second mode '{part}' for probe '{name}'")));
            }
        }
        at_part += part.len() + 1;
    }
    // A threshold says that slow events are wanted, unless a mode is named beside it.
    let threshold = request.settings.iter().any(|(key, _)| key == Mode::Slow.name());
    request.mode = stated.or(threshold.then_some(Mode::Slow));
    Ok(Item { spec, at, sign, request })
}

fn select(items: Vec<Item<'_>>) -> Result<ProbeSelection, Failure> {
    let mut selection = ProbeSelection::default();
    let all = items.iter().any(|item| item.sign == Sign::Plain && item.request.name == "all");
    let plain = items.iter().any(|item| item.sign == Sign::Plain && item.request.name != "all");
    let changes = items.iter().any(|item| item.sign != Sign::Plain);
    if all {
        selection.base = ProbeBase::All;
    } else if plain {
        selection.base = ProbeBase::Listed;
    }
    for Item { spec, at, sign, request } in items {
        let name = &request.name;
        let set_up = request.mode.is_some() || !request.settings.is_empty();
        if name == "all" {
            if sign != Sign::Plain || set_up {
                return Err(wrong(spec, at, "'all' takes neither a sign nor settings"));
            }
            continue;
        }
        if sign == Sign::Plain && changes && !all {
            return Err(wrong(spec, at, &format!("'{name}' is mixed with changes to the default set"))
                .hint(format!("write '+{name}' to add to the default set, or list every probe without a sign")));
        }
        if selection.removed.contains(name) || selection.requests.iter().any(|earlier| &earlier.name == name) {
            return Err(wrong(spec, at, &format!("probe '{name}' is given twice")));
        }
        if sign != Sign::Minus {
            selection.requests.push(request);
        } else if set_up {
            return Err(wrong(spec, at, &format!("'-{name}' takes a probe out, so it has no settings")));
        } else {
            selection.removed.push(request.name);
        }
    }
    Ok(selection)
}

/// Names are lower-case letters, digits and `_`, starting with a letter.
fn word(spec: &str, at: usize, text: &str, what: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(wrong(spec, at, &format!("a {what} is missing")));
    }
    let odd = text.char_indices().find(|&(index, letter)| match letter {
        'a'..='z' => false,
        '0'..='9' | '_' => index == 0,
        _ => true,
    });
    match odd {
        None => Ok(()),
        Some((index, letter)) => Err(wrong(spec, at + index, &format!("'{letter}' can't stand here in a {what}"))),
    }
}

/// The message for what is wrong at byte `at`; people count characters, and from 1.
fn wrong(spec: &str, at: usize, what: &str) -> Failure {
    let position = spec.char_indices().take_while(|&(index, _)| index < at).count() + 1;
    Failure::usage(format!("{what}, at character {position} of '-p {spec}'")).hint(FORMS)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::probe::Mode;
    use crate::record::plan::ProbeBase;
    use crate::record::plan::ProbeRequest;
    use crate::record::plan::ProbeSelection;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::proptest;

    fn one(spec: &str) -> ProbeSelection {
        parse(&[spec.to_owned()]).unwrap()
    }

    fn wrong(spec: &str) -> String {
        parse(&[spec.to_owned()]).unwrap_err().message
    }

    fn request(name: &str, mode: Option<Mode>, settings: &[(&str, &str)]) -> ProbeRequest {
        let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        ProbeRequest { name: name.to_owned(), mode, settings }
    }

    #[test]
    fn a_list_holds_exactly_the_probes_it_names() {
        assert_eq!(
            one("block:raw,sched:slow=5ms,process"),
            ProbeSelection {
                base: ProbeBase::Listed,
                requests: vec![
                    request("block", Some(Mode::Raw), &[]),
                    request("sched", Some(Mode::Slow), &[("slow", "5ms")]),
                    request("process", None, &[]),
                ],
                removed: vec![],
            }
        );
    }

    #[test]
    fn signs_change_the_default_set() {
        let selection = one("+http:route=on,-cpu");
        assert_eq!(selection.base, ProbeBase::Default);
        assert_eq!(selection.requests, [request("http", None, &[("route", "on")])]);
        assert_eq!(selection.removed, ["cpu"]);
    }

    #[test]
    fn several_options_are_one_selection() {
        let selection = parse(&["block".to_owned(), "sched:hist".to_owned()]).unwrap();
        assert_eq!(selection.requests, [request("block", None, &[]), request("sched", Some(Mode::Hist), &[])]);
        assert_eq!(parse(&[]).unwrap(), ProbeSelection::default());
    }

    #[test]
    fn all_takes_exceptions_and_settings_of_single_probes() {
        let selection = one("all,-cpu,block:raw");
        assert_eq!(selection.base, ProbeBase::All);
        assert_eq!(selection.requests, [request("block", Some(Mode::Raw), &[])]);
        assert_eq!(selection.removed, ["cpu"]);
    }

    #[test]
    fn a_named_mode_wins_over_the_one_that_a_threshold_implies() {
        assert_eq!(one("block:raw:slow=1s").requests[0].mode, Some(Mode::Raw));
        assert_eq!(one("block:slow=1s:raw").requests[0].mode, Some(Mode::Raw));
    }

    #[test]
    fn mistakes_name_the_place() {
        assert_eq!(wrong(""), "a probe name is missing, at character 1 of '-p '");
        assert_eq!(wrong("block,,sched"), "a probe name is missing, at character 7 of '-p block,,sched'");
        assert_eq!(wrong("block:"), "a mode is missing, at character 7 of '-p block:'");
        assert_eq!(wrong("block:slow="), "setting 'slow' has no value, at character 12 of '-p block:slow='");
        assert_eq!(wrong("block:fast"), "unknown mode 'fast', at character 7 of '-p block:fast'");
        assert_eq!(
            wrong("block:raw:hist"),
            "a second mode 'hist' for probe 'block', at character 11 of '-p block:raw:hist'"
        );
        assert_eq!(wrong("block,block"), "probe 'block' is given twice, at character 7 of '-p block,block'");
        assert_eq!(wrong("Block"), "'B' can't stand here in a probe name, at character 1 of '-p Block'");
        assert_eq!(wrong("ä,b"), "'ä' can't stand here in a probe name, at character 1 of '-p ä,b'");
        assert_eq!(
            wrong("-cpu:raw"),
            "'-cpu' takes a probe out, so it has no settings, at character 1 of '-p -cpu:raw'"
        );
        assert_eq!(
            wrong("block,+http"),
            "'block' is mixed with changes to the default set, at character 1 of '-p block,+http'"
        );
        assert_eq!(wrong("-all"), "'all' takes neither a sign nor settings, at character 1 of '-p -all'");
    }

    proptest! {
        #[test]
        fn no_input_panics(spec in any::<String>()) {
            let _ = parse(&[spec]);
        }

        #[test]
        fn what_is_accepted_names_every_probe_once(spec in "[-+]?[a-c](:raw)?(,[-+]?[a-c](:k=v)?){0,3}") {
            if let Ok(selection) = parse(&[spec]) {
                let mut names: Vec<&str> = selection.requests.iter().map(|r| r.name.as_str()).collect();
                names.extend(selection.removed.iter().map(String::as_str));
                let count = names.len();
                names.sort_unstable();
                names.dedup();
                prop_assert!(names.len() == count);
            }
        }
    }
}
