//! Names with `*` and `?`.

/// Whether a name is a pattern.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a pattern matches a whole name: `*` is any text, `?` one character.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last star stands, and up to where it has taken the name.
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(letter) if *letter == '?' || name.get(of) == Some(letter) => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                of = taken + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|letter| *letter == '*'))
}

/// The longest stretch of letters that every name that matches has.
pub(super) fn core(pattern: &str) -> &str {
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
