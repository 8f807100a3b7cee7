//! Names with `*` and `?`.

use std::str::Chars;

/// Whether a name is a pattern.
pub fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a pattern matches a whole name: `*` is any text, `?` one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    // Most of a hundred thousand names are told by their end.
    let end = pattern.rsplit('*').next().unwrap_or_default();
    if !end.contains('?') && !name.ends_with(end) {
        return false;
    }
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // What stands behind the last star, and the name from where that was tried.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let before = (pattern.clone(), name.clone());
        match (pattern.next(), name.next()) {
            (Some('*'), _) => {
                name = before.1.clone();
                star = Some((pattern.clone(), before.1));
            }
            (None, None) => return true,
            (Some(wanted), Some(letter)) if wanted == '?' || wanted == letter => {}
            // The star takes one more.
            _ => {
                let Some((behind, mut tried)) = star.take() else { return false };
                if tried.next().is_none() {
                    return false;
                }
                (pattern, name) = (behind.clone(), tried.clone());
                star = Some((behind, tried));
            }
        }
    }
}

/// The longest stretch of letters that every name that matches has.
pub fn core(pattern: &str) -> &str {
    // Behind the last `::`, and before parameters: there a compiler keeps a name as it was.
    let name = pattern.split(['(', '<']).next().unwrap_or_default();
    let last = name.rsplit("::").next().unwrap_or_default();
    let words = last.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.max_by_key(|word| word.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::core;
    use super::matches;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (pattern, name, expected) in [
            ("tcp_*", "tcp_sendmsg", true),
            ("tcp_*", "tcp", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*_send*", "tcp_sendmsg", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("abc", "abcd", false),
            ("f::*(int)", "f::g(int)", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_part_of_the_name_is_in_every_form_of_it() {
        assert_eq!(core("foo::bar*"), "bar");
        assert_eq!(core("foo::bar<int>::baz_*_x(int)"), "bar");
        assert_eq!(core("*"), "");
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_every_pattern_made_of_it(name in "[ab]{0,8}", from in 0usize..9, to in 0usize..9) {
            prop_assert_eq!(matches(&name, &name), true);
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            let pattern = format!("{}*{}", &name[..from], &name[to.max(from)..]);
            prop_assert!(matches(&pattern, &name));
        }

        #[test]
        fn any_pattern_is_answered(pattern in "[a*?]{0,12}", name in "a{0,20}") {
            matches(&pattern, &name);
        }
    }
}
