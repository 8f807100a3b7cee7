//! Captured texts as people write them.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::probe::event::TextKind;

/// include/linux/socket.h
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A text out of what the kernel's side copied.
pub(super) fn readable(kind: TextKind, bytes: &[u8]) -> String {
    match kind {
        TextKind::String(_) => string(bytes),
        TextKind::Ipv4(_) => {
            bytes.first_chunk::<4>().map_or_else(String::new, |bytes| Ipv4Addr::from(*bytes).to_string())
        }
        TextKind::Ipv6(_) => {
            bytes.first_chunk::<16>().map_or_else(String::new, |bytes| Ipv6Addr::from(*bytes).to_string())
        }
        TextKind::SocketAddress(_) => socket_address(bytes).unwrap_or_default(),
    }
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
    use super::readable;
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
    fn a_string_ends_at_its_zero_or_with_its_room() {
        let kind = TextKind::String(Space::User);
        assert_eq!(readable(kind, b"abc\0def"), "abc");
        assert_eq!(readable(kind, b"abc"), "abc");
    }
}
