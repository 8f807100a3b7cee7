//! A network that is slow and loses packets.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Stdio;

use crate::common::Namespace;
use crate::common::Workload;

/// A line between two namespaces, by which packets come late and some never.
pub(crate) struct Line {
    _program: Workload,
    relay: Child,
    said: BufReader<ChildStdout>,
}

impl Line {
    /// Makes it, with an address of both families at each end.
    pub(crate) fn between(a: &Namespace, b: &Namespace, delay_ms: u32, drop_every: u32) -> Line {
        let program = Workload::compile("common/relay.c", "relay", tempfile::tempdir().unwrap());
        let mut command = program.command("");
        command.args([a.path(), b.path()]).args([delay_ms.to_string(), drop_every.to_string()]);
        let mut relay = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(relay.stdout.take().unwrap());
        let mut ready = String::new();
        said.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        address(a, b);
        Line { _program: program, relay, said }
    }

    /// How many packets went missing.
    pub(crate) fn end(mut self) -> i64 {
        drop(self.relay.stdin.take());
        let mut dropped = String::new();
        self.said.read_line(&mut dropped).unwrap();
        assert!(self.relay.wait().unwrap().success());
        dropped.trim().parse().unwrap()
    }
}

/// Addresses of both families for the device `line` of two namespaces, host 1 and host 2.
pub(crate) fn address(a: &Namespace, b: &Namespace) {
    for (namespace, host) in [(a, 1), (b, 2)] {
        namespace.run(&format!("ip addr add 10.99.0.{host}/24 dev line"));
        namespace.run(&format!("ip addr add fd99::{host}/64 dev line nodad"));
        namespace.run("ip link set line up");
    }
}
