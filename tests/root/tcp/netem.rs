//! A line between two namespaces that the kernel's own network emulator delays and drops from.

use super::line::address;
use crate::common::Namespace;

/// A pair of virtual devices, each with a delay; only what the first namespace sends is dropped.
pub(crate) struct Netem<'a> {
    sender: &'a Namespace,
}

impl<'a> Netem<'a> {
    /// Makes it, with an address of both families at each end. `None`: this kernel has no emulator, or no such devices.
    pub(crate) fn between(a: &'a Namespace, b: &Namespace, delay_ms: u32, loss_percent: u32) -> Option<Netem<'a>> {
        let made = |namespace: &Namespace, words: &str| {
            let mut words = words.split(' ');
            let output = namespace.command(words.next().unwrap()).args(words).output();
            output.is_ok_and(|output| output.status.success())
        };
        if !made(a, &format!("ip link add line type veth peer name line netns {}", b.pid())) {
            return None;
        }
        for (namespace, loss) in [(a, format!(" loss {loss_percent}%")), (b, String::new())] {
            // Packets as they are on a real line: else one that is dropped is dozens of segments.
            namespace.run("ip link set line gso_max_segs 1");
            if !made(namespace, &format!("tc qdisc add dev line root netem limit 10000 delay {delay_ms}ms{loss}")) {
                return None;
            }
        }
        address(a, b);
        Some(Netem { sender: a })
    }

    /// How many packets went missing.
    pub(crate) fn end(self) -> i64 {
        let said = self.sender.run("tc -s qdisc show dev line");
        let words: Vec<&str> = said.split([' ', ',', '(']).filter(|word| !word.is_empty()).collect();
        let dropped = words.windows(2).find(|pair| pair[0] == "dropped").unwrap()[1];
        dropped.parse().unwrap()
    }
}
