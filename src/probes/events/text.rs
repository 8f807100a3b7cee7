//! Captured texts as people write them.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::probe::event::TextKind;

/// What stands behind a text that was longer.
const CUT: &str = "…";

/// include/linux/socket.h
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A text out of what the kernel's side copied.
pub(super) fn readable(kind: TextKind, bytes: &[u8]) -> String {
    match kind {
        TextKind::String { limit, .. } => String::from_utf8_lossy(&whole(bytes, limit)).into_owned(),
        TextKind::Bytes { limit, .. } => bytes.iter().take(limit.into()).map(|byte| format!("{byte:02x}")).collect(),
        TextKind::Ipv4(_) => {
            bytes.first_chunk::<4>().map_or_else(String::new, |bytes| Ipv4Addr::from(*bytes).to_string())
        }
        TextKind::Ipv6(_) => {
            bytes.first_chunk::<16>().map_or_else(String::new, |bytes| Ipv6Addr::from(*bytes).to_string())
        }
        TextKind::SocketAddress(_) => socket_address(bytes).unwrap_or_default(),
    }
}

/// What is kept of a string: all of it up to its zero, or as many bytes as the limit says and a mark that there are more.
pub(super) fn whole(bytes: &[u8], limit: u16) -> Cow<'_, [u8]> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = &bytes[..end];
    let limit = usize::from(limit);
    if end <= limit { Cow::Borrowed(text) } else { Cow::Owned([cut(text, limit), CUT.as_bytes()].concat()) }
}

/// A text that a key is: longer ones than are kept are told apart by their hash.
pub(super) fn key(kind: TextKind, bytes: &[u8], hash: u64) -> String {
    let kept = u16::try_from(bytes.len().saturating_sub(2)).unwrap_or(u16::MAX);
    let (kind, is_cut) = match kind {
        TextKind::String { space, limit } => {
            let limit = limit.min(kept);
            (TextKind::String { space, limit }, string(bytes).len() > limit.into())
        }
        TextKind::Bytes { space, limit } => (TextKind::Bytes { space, limit: limit.min(kept) }, limit > kept),
        other => (other, false),
    };
    let text = readable(kind, bytes);
    let mark = if text.ends_with(CUT) { "" } else { CUT };
    if is_cut { format!("{text}{mark}#{hash:016x}") } else { text }
}

/// So many bytes of a text, but no part of a character.
fn cut(text: &[u8], limit: usize) -> &[u8] {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (limit.saturating_sub(3)..=limit).rev().find(|at| !is_inside(*at)).unwrap_or(limit);
    text.get(..end).unwrap_or(text)
}

/// Up to the zero.
fn string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// `1.2.3.4:80`, `[::1]:80` with the scope where there is one, `unix:/path`.
fn socket_address(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = || Some(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
    match family {
        AF_INET => {
            let address = Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?);
            Some(SocketAddr::from((address, port()?)).to_string())
        }
        AF_INET6 => {
            let address = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            Some(SocketAddr::from((address, port()?)).to_string())
        }
        AF_UNIX => Some(format!("unix:{}", string(bytes.get(2..)?))),
        other => Some(format!("family {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::key;
    use super::readable;
    use super::whole;
    use crate::probe::event::Space;
    use crate::probe::event::TextKind;

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let of = Space::Kernel;
        assert_eq!(readable(TextKind::Ipv4(of), &[127, 0, 0, 1, 9]), "127.0.0.1");
        let mut six = [0; 16];
        six[15] = 1;
        assert_eq!(readable(TextKind::Ipv6(of), &six), "::1");
        let mut inet = vec![2, 0, 0, 80, 10, 0, 0, 1];
        inet.resize(64, 0xee);
        assert_eq!(readable(TextKind::SocketAddress(of), &inet), "10.0.0.1:80");
        let mut inet6 = vec![10, 0, 0x1f, 0x90, 0, 0, 0, 0];
        inet6.extend(six);
        inet6.resize(64, 0xee);
        assert_eq!(readable(TextKind::SocketAddress(of), &inet6), "[::1]:8080");
        assert_eq!(readable(TextKind::SocketAddress(of), b"\x01\0/run/x\0\xee\xee"), "unix:/run/x");
        assert_eq!(readable(TextKind::SocketAddress(of), &[16, 0]), "family 16");
        assert_eq!(readable(TextKind::SocketAddress(of), &[2]), "");
    }

    #[test]
    fn a_string_ends_at_its_zero_or_is_marked_as_cut() {
        let kind = |limit| TextKind::String { space: Space::User, limit };
        assert_eq!(readable(kind(3), b"abc\0def"), "abc");
        assert_eq!(readable(kind(2), b"abc\0"), "ab…");
        assert_eq!(readable(kind(2), "aä".as_bytes()), "a…", "no half characters");
        assert_eq!(&*whole(b"\xff\xfe\xfd\0", 2), b"\xff\xfe\xe2\x80\xa6");
    }

    #[test]
    fn bytes_are_hexadecimal() {
        assert_eq!(readable(TextKind::Bytes { space: Space::User, limit: 3 }, &[0, 0xab, 7, 9]), "00ab07");
    }

    #[test]
    fn keys_that_are_cut_are_told_apart() {
        let kind = TextKind::String { space: Space::User, limit: 4096 };
        assert_eq!(key(kind, b"ab\0\0\0\0", 1), "ab");
        assert_eq!(key(kind, b"abcde\0", 1), "abcd…#0000000000000001");
        let bytes = TextKind::Bytes { space: Space::User, limit: 5 };
        assert_eq!(key(bytes, &[1, 2, 3, 4, 5, 6], 2), "01020304…#0000000000000002");
        assert_eq!(key(bytes, &[1, 2, 3, 4, 5, 0, 0], 2), "0102030405");
    }
}
