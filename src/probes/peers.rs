//! Addresses as the kernel half keeps them, as text, and peers by the numbers that metrics carry.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;

/// An address out of its two words, as they are on the wire: one of IPv4 where the IPv6 address means one.
pub(super) fn address(high: u64, low: u64) -> IpAddr {
    let [high, low] = [high, low].map(u64::to_ne_bytes);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    Ipv6Addr::from(bytes).to_canonical()
}

/// The column `family`.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// What numbers mean. The kernel's map is emptied once per interval, and a number that is used again is told again; the
/// values of one interval may have numbers that were told just before it.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    now: HashMap<u64, T>,
    before: HashMap<u64, T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered { now: HashMap::new(), before: HashMap::new() }
    }
}

impl<T> Numbered<T> {
    /// An interval has ended.
    pub(super) fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    pub(super) fn insert(&mut self, number: u64, value: T) {
        self.now.insert(number, value);
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        self.now.get(&number).or_else(|| self.before.get(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::Numbered;
    use super::address;
    use super::family;

    fn words(bytes: [u8; 16]) -> (u64, u64) {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        (word(0), word(8))
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() {
        let (high, low) = words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
        let one = address(high, low);
        assert_eq!((one.to_string().as_str(), family(one)), ("127.0.0.1", "ipv4"));
        let (high, low) = words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let one = address(high, low);
        assert_eq!((one.to_string().as_str(), family(one)), ("::1", "ipv6"));
    }

    #[test]
    fn a_number_is_known_for_the_interval_that_follows_and_not_forever() {
        let mut peers = Numbered::default();
        peers.insert(7, "a");
        peers.turn();
        assert_eq!(peers.get(7), Some(&"a"));
        peers.turn();
        assert_eq!(peers.get(7), None);
    }
}
