//! Expands the markers of the views' source: `$name` and `$name(arguments)`.

/// Writes `text` with each marker replaced by what `word` makes of its name and arguments; arguments are expanded first.
///
/// A dollar sign without a name stays. Arguments are separated by commas outside of parentheses and quotes.
pub(super) fn expand(text: &str, word: &dyn Fn(&str, &[String]) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let end = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        let (arguments, behind) = match name {
            "" => (Vec::new(), behind),
            _ => arguments(behind),
        };
        let expanded: Vec<String> = arguments.iter().map(|argument| expand(argument.trim(), word)).collect();
        match word(name, &expanded).filter(|_| !name.is_empty()) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('$');
                out.push_str(name);
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The arguments in parentheses at the beginning of a text, if there are any, and what follows them.
fn arguments(text: &str) -> (Vec<&str>, &str) {
    let Some(inner) = text.strip_prefix('(') else { return (Vec::new(), text) };
    let (mut depth, mut quoted, mut begin, mut found) = (0usize, false, 0usize, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' => {
                found.extend(inner.get(begin..at));
                return (found, inner.get(at + 1..).unwrap_or_default());
            }
            ',' if depth == 0 => {
                found.extend(inner.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    (Vec::new(), text)
}

/// Puts the arguments in place of `{0}`, `{1}` and so on.
pub(super) fn filled(pattern: &str, arguments: &[String]) -> String {
    let mut text = pattern.to_owned();
    for (at, argument) in arguments.iter().enumerate() {
        text = text.replace(&format!("{{{at}}}"), argument);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::expand;
    use super::filled;

    fn twice(text: &str) -> String {
        expand(text, &|name, arguments| match name {
            "twice" => Some(filled("{0}{0}", arguments)),
            "swap" => Some(filled("{1} {0}", arguments)),
            "unit" => Some("ns".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn markers_take_arguments_with_parentheses_commas_and_quotes() {
        assert_eq!(twice("a $unit, $swap(f(x, y), 'b), (')!"), "a ns, 'b), (' f(x, y)!");
        assert_eq!(twice("$twice($swap(1, $unit))"), "ns 1ns 1");
    }

    #[test]
    fn a_dollar_sign_of_another_meaning_stays() {
        assert_eq!(twice("'$.kernel' and '(a)+$' and $1 and $other"), "'$.kernel' and '(a)+$' and $1 and $other");
    }
}
