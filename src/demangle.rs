//! Names of functions as their source writes them, within bounds on size and on time.
//!
//! A symbol's name belongs to the author of the file. A few hundred bytes can stand for gigabytes of text, since a C++ or Rust
//! name may refer back to its own parts; and the parser of C++ names tries alternatives, some of which double the work at each
//! level of an expression. So text stops at [`MAX_NAME`], and names in which much may be tried are not parsed to full depth.

use std::fmt;
use std::fmt::Write;

use cpp_demangle::DemangleOptions;
use cpp_demangle::ParseOptions;
use cpp_demangle::Symbol;

/// Bytes of a name. What is longer is cut, and ends with `…`.
pub const MAX_NAME: usize = 1024;
/// What a cut name ends with.
const CUT: &str = "…";
/// Pieces that a name may be written in; ordinary ones take a few hundred.
const MAX_PIECES: usize = 16 << 10;
/// Levels to which a C++ name is parsed: enough for 99.9 % of the 139,000 names in the libraries of a desktop system.
const DEPTH: u32 = 48;
/// Levels where operators may nest. Each may double the work: the worst names that a search found take 25 ms to this depth,
/// and minutes to twice of it.
const DEPTH_OF_OPERATORS: u32 = 24;
/// Operators that can't double the work often enough to matter.
const FEW_OPERATORS: usize = 10;

/// The name as its source writes it, or as it is where that is not known; at most [`MAX_NAME`] bytes and the mark of a cut.
pub fn demangled(name: &str) -> String {
    let text = Bounded::default();
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return text.of(name, |text| write!(text, "{rust:#}"));
    }
    match parse(name) {
        Some(cpp) => text.of(name, |text| cpp.structured_demangle(text, &DemangleOptions::new())),
        None => bounded(name),
    }
}

/// The name without parameters and return type, as one would type it.
pub fn without_parameters(name: &str) -> String {
    let options = DemangleOptions::new().no_params().no_return_type();
    match parse(name) {
        Some(cpp) if rustc_demangle::try_demangle(name).is_err() => {
            Bounded::default().of(name, |text| cpp.structured_demangle(text, &options))
        }
        _ => demangled(name),
    }
}

/// A text of at most [`MAX_NAME`] bytes: itself, or its beginning and the mark of a cut.
pub fn bounded(text: &str) -> String {
    if text.len() <= MAX_NAME {
        return text.to_owned();
    }
    let end = (0..=MAX_NAME).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{CUT}", text.get(..end).unwrap_or_default())
}

fn parse(name: &str) -> Option<Symbol<&str>> {
    if !name.starts_with("_Z") {
        return None;
    }
    let depth = if may_try_much(name.as_bytes()) { DEPTH_OF_OPERATORS } else { DEPTH };
    Symbol::new_with_options(name, &ParseOptions::default().recursion_limit(depth)).ok()
}

/// A text that takes no more than it may hold.
#[derive(Default)]
struct Bounded {
    text: String,
    pieces: usize,
    is_cut: bool,
}

impl Bounded {
    /// What was written until it was too much; the name itself where nothing else is wrong with writing it.
    fn of(mut self, name: &str, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> String {
        let written = write(&mut self);
        match (written, self.is_cut) {
            (Ok(()), false) => self.text,
            (_, true) => self.text + CUT,
            (Err(_), false) => bounded(name),
        }
    }
}

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.pieces += 1;
        let left = MAX_NAME - self.text.len().min(MAX_NAME);
        self.is_cut |= piece.len() > left || self.pieces > MAX_PIECES;
        let end = (0..=piece.len().min(left)).rev().find(|end| piece.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(piece.get(..end).unwrap_or_default());
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Whether a C++ name may hold an expression with operators inside operators.
fn may_try_much(name: &[u8]) -> bool {
    let bare = without_identifiers(name);
    let pairs = || bare.windows(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    // An expression begins after these; an array's bound may be one, too.
    let begins = |pair: [u8; 2]| match pair {
        [b'X', _] => true,
        [b'D', kind] => b"TtOvB".contains(&kind),
        [b'A', bound] => !bound.is_ascii_digit(),
        pair => &pair == b"cv",
    };
    let is_operator = |pair: &[u8; 2]| OPERATORS.as_bytes().chunks(3).any(|one| one.starts_with(pair));
    pairs().any(begins) && pairs().filter(is_operator).count() > FEW_OPERATORS
}

/// The operators of expressions in the Itanium C++ ABI, §5.1.6.
const OPERATORS: &str = "nw na dl da ps ng ad de co pl mi ml dv rm an or eo aS pL mI mL dV rM aN oR eO ls rs lS rS eq ne lt gt le ge \
                         ss nt aa oo pp mm cm pm pt cl ix qu cv dc sc cc rc ti te st at sr sz az nx sZ sP sp tw tr tl il dt ds gs on \
                         dn fl fr fL fR DT Dt";

/// The bytes of a C++ name without those that are the text of an identifier for certain: `3foo` where no other number can be.
fn without_identifiers(name: &[u8]) -> Vec<u8> {
    let mut bare = Vec::new();
    let mut rest = name;
    let mut behind_identifier = false;
    while let Some(first) = rest.first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, text) = rest.split_at(digits);
        let length = str::from_utf8(number).ok().and_then(|number| number.parse::<usize>().ok());
        // The other numbers end with one of these, or come after one of those.
        let is_other =
            text.first().is_none_or(|next| matches!(next, b'E' | b'_')) || !(behind_identifier || may_begin(&bare));
        behind_identifier = false;
        rest = match length.and_then(|length| text.get(length..)) {
            Some(behind) if !is_other => {
                bare.push(b'.');
                behind_identifier = true;
                behind
            }
            _ if digits == 0 => {
                bare.push(*first);
                rest.get(1..).unwrap_or_default()
            }
            _ => {
                bare.extend(number);
                text
            }
        };
    }
    bare
}

/// Whether an identifier may come after these bytes, and nothing else that begins with a number.
fn may_begin(before: &[u8]) -> bool {
    match before.split_last() {
        // The end of a reference to an earlier part, as `S1_`, or of a number in the name of a local thing.
        Some((b'_', head)) => {
            let number =
                head.iter().rev().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'A'..=b'R' | b'U'..=b'Z'));
            let letter = head.len().checked_sub(number.count() + 1).and_then(|at| head.get(at));
            matches!(letter, Some(b'S' | b'T'))
        }
        Some((last, _)) => !b"STALCDdefgv".contains(last),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use proptest::prelude::Just;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::prop_oneof;
    use proptest::proptest;

    use super::MAX_NAME;
    use super::bounded;
    use super::demangled;
    use super::without_parameters;

    /// A name that stands for 2^`levels` times its text: each level names the one before twice.
    fn doubling(levels: u32) -> String {
        let number = |mut n: u32| {
            let mut digits = Vec::new();
            while n > 0 {
                n -= 1;
                digits.insert(0, char::from_digit(n % 36, 36).unwrap().to_ascii_uppercase());
                n /= 36;
                if n > 0 {
                    n += 1;
                }
            }
            digits.into_iter().collect::<String>()
        };
        let level = |level| format!("S_IS{0}_S{0}_E", number(level));
        format!("_Z4burn1PIiiE{}", (1..=levels).map(level).collect::<String>())
    }

    #[test]
    fn names_are_demangled_by_the_language_that_they_come_from() {
        assert_eq!(demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangled("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(without_parameters("_ZN3foo3barEi"), "foo::bar");
        assert_eq!((demangled("write"), demangled("_Zwhat")), ("write".to_owned(), "_Zwhat".to_owned()));
    }

    #[test]
    fn a_name_that_stands_for_megabytes_is_cut_and_says_so() {
        let name = demangled(&doubling(21));
        assert!(name.starts_with("burn(P<int, int>") && name.ends_with('…'), "{name}");
        assert!(name.len() <= MAX_NAME + '…'.len_utf8(), "{}", name.len());
        // Rust: a tuple of two references to the tuple before it, twenty times.
        let mut rust = "_RINvC1a1fTmmE".to_owned();
        for _ in 0..20 {
            let at = rust.rfind('T').unwrap() - 2;
            let back = if at < 62 {
                char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[at - 1]).to_string()
            } else {
                break;
            };
            rust.push_str(&format!("TB{back}_B{back}_E"));
        }
        assert!(demangled(&(rust + "E")).len() <= MAX_NAME + '…'.len_utf8());
        assert_eq!(bounded(&"é".repeat(600)).chars().filter(|letter| *letter == 'é').count(), MAX_NAME / 2);
    }

    #[test]
    fn a_name_in_which_much_could_be_tried_takes_no_time() {
        let bombs = [
            format!("_Zcv{}i{}v", "T_I".repeat(40), "E".repeat(40)),
            format!("_Z1aIX{}1aA1_{}isZ", "nw".repeat(60), "E".repeat(40)),
            format!("_Z{}fLDtDO", "StI".repeat(60)),
            format!("_ZptcvT_IDv{}Tkfp_S_", "nw".repeat(60)),
            format!("_ZZC1Dt{}", "nw".repeat(200)),
            // Numbers that look like lengths of identifiers, so that operators could hide in those.
            format!("_Z1aIX{}isZ", "Li99E".to_owned() + &"nw".repeat(60)),
            format!("_Z1aIX{}isZ", "C199nwnw".repeat(30)),
        ];
        for bomb in &bombs {
            let start = Instant::now();
            demangled(bomb);
            assert!(start.elapsed() < Duration::from_millis(500), "{:?}: {bomb}", start.elapsed());
        }
    }

    #[test]
    fn long_identifiers_are_no_operators() {
        let name = "_ZN4llvm14DAGCombinerXad13combineAnds5plminEPNS_9SelectionIXLi3EEEE";
        assert!(!super::may_try_much(name.as_bytes()));
        let deep = format!("_Z1f{}i{}", "11transplantXI".repeat(6), "E".repeat(6));
        assert!(demangled(&deep).starts_with("f(transplantX<"), "{}", demangled(&deep));
    }

    fn part() -> impl Strategy<Value = &'static str> {
        const PARTS: [&str; 40] = [
            "N", "E", "I", "J", "X", "L", "F", "v", "i", "1a", "3foo", "T_", "S_", "S0_", "St", "cv", "Dp", "DT", "sr",
            "P", "A1_", "A_", "M", "Z", "_", "Li0E", "L_Z", "C1", "Ul", "nw", "pl", "cl", "dc", "il", "Dv", "T_I",
            "S_I", "StI", "LZ", "U1a",
        ];
        (0..PARTS.len()).prop_map(|at| PARTS[at])
    }

    proptest! {
        #[test]
        fn any_repetition_of_parts_is_done_soon_and_bounded(
            before in proptest::collection::vec(part(), 0..3),
            again in proptest::collection::vec(part(), 1..3),
            behind in proptest::collection::vec(part(), 0..3),
            times in prop_oneof![Just(12_usize), Just(24), Just(60)],
            ends in any::<bool>(),
        ) {
            let ends = if ends { "E".repeat(times) } else { String::new() };
            let name = format!("_Z{}{}{ends}{}", before.concat(), again.concat().repeat(times), behind.concat());
            let start = Instant::now();
            let text = demangled(&name);
            prop_assert!(start.elapsed() < Duration::from_secs(1), "{:?}: {}", start.elapsed(), name);
            prop_assert!(text.len() <= MAX_NAME + '…'.len_utf8());
        }

        #[test]
        fn no_text_at_all_makes_it_panic(name in "(_Z|_R)?\\PC{0,80}") {
            demangled(&name);
        }
    }
}
