//! What a query asks for, out of the bytes of the message (RFC 1035, 4.1.2), and the names of types and codes.

use std::fmt::Write;

/// The name in the form of RFC 1035, 5.1, and the type; a name that is cut off ends in '…'.
pub(super) fn read(question: &[u8]) -> (String, Option<u16>) {
    let mut name = String::new();
    let mut rest = question;
    loop {
        match rest.split_first() {
            Some((0, after)) => {
                let kind = after.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
                return (if name.is_empty() { ".".to_owned() } else { name }, kind);
            }
            Some((length, after)) if after.len() >= usize::from(*length) && *length < 64 => {
                let (label, after) = after.split_at(usize::from(*length));
                if !name.is_empty() {
                    name.push('.');
                }
                label.iter().for_each(|byte| push(&mut name, *byte));
                rest = after;
            }
            _ => {
                name.push('…');
                return (name, None);
            }
        }
    }
}

fn push(name: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => name.extend(['\\', char::from(byte)]),
        b'!'..=b'~' => name.push(char::from(byte.to_ascii_lowercase())),
        // A string takes what is written to it.
        _ => _ = write!(name, "\\{byte:03}"),
    }
}

/// The name of a type of record, of those in use (IANA, DNS Parameters).
pub(super) fn type_name(kind: u16) -> String {
    let name = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        52 => "TLSA",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        257 => "CAA",
        _ => return format!("TYPE{kind}"),
    };
    name.to_owned()
}

/// The name of an answer's code (RFC 1035, 4.1.1 and RFC 2136, 2.2).
pub(super) fn code_name(code: u32) -> String {
    let names = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    let name = usize::try_from(code).ok().and_then(|code| names.get(code));
    name.map_or_else(|| format!("RCODE{code}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::code_name;
    use super::read;
    use super::type_name;

    #[test]
    fn a_name_is_its_labels_joined_and_in_lower_case() {
        assert_eq!(read(b"\x03wWw\x07example\x03org\0\0\x1c\0\x01"), ("www.example.org".to_owned(), Some(28)));
        assert_eq!(read(b"\0\0\x02\0\x01"), (".".to_owned(), Some(2)));
    }

    #[test]
    fn bytes_that_are_no_letters_are_escaped_and_do_not_reach_a_terminal() {
        assert_eq!(read(b"\x04a.\x1bb\0\0\x01"), ("a\\.\\027b".to_owned(), Some(1)));
    }

    #[test]
    fn a_question_that_lies_about_its_length_ends_where_it_ends() {
        assert_eq!(read(b"\x3fabc"), ("…".to_owned(), None));
        assert_eq!(read(b"\xc0\x0c"), ("…".to_owned(), None));
        assert_eq!(read(b""), ("…".to_owned(), None));
        assert_eq!(read(b"\x01a\0\x01"), ("a".to_owned(), None));
    }

    #[test]
    fn what_has_no_name_is_called_by_its_number() {
        assert_eq!((type_name(1), type_name(9999)), ("A".to_owned(), "TYPE9999".to_owned()));
        assert_eq!((code_name(3), code_name(12)), ("NXDOMAIN".to_owned(), "RCODE12".to_owned()));
    }
}
