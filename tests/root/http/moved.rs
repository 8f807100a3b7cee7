//! The calls that move bytes, by programs that use each of them.

use std::collections::BTreeMap;
use std::process::Command;

use tempfile::tempdir;

use super::counted;
use super::servers::Nginx;
use super::unparsed;
use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::skip;

/// What `moves.c` did, and what the recording has of it.
struct Moved {
    server: i64,
    client: i64,
    taken: Taken,
}

impl Moved {
    /// Records `moves.c` with the probe as given; all of its requests have to be answered.
    fn record(probe: &str, how: &str, requests: i64) -> Moved {
        let program = Workload::compile("http/moves.c", "ebrec-moves", tempdir().unwrap());
        let running = Recorder::new(&format!("-p {probe}")).start();
        let said = program.run(&format!("{how} {requests}"));
        let taken = running.finish();
        assert_eq!(said[2], requests, "answers by {how}");
        Moved { server: said[0], client: said[1], taken }
    }

    fn counted(&self) -> [BTreeMap<i64, i64>; 2] {
        let of = |pid, side| counted(&self.taken, Some(pid), side, "no");
        [of(self.server, "server"), of(self.client, "client")]
    }

    fn unparsed(&self) -> [BTreeMap<String, i64>; 2] {
        [unparsed(&self.taken, self.server), unparsed(&self.taken, self.client)]
    }
}

fn all(requests: i64) -> BTreeMap<i64, i64> {
    BTreeMap::from([(200, requests)])
}

fn nothing() -> [BTreeMap<String, i64>; 2] {
    [BTreeMap::new(), BTreeMap::new()]
}

fn cause(cause: &str, count: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([(cause.to_owned(), count)])
}

/// By the sockets' tracepoints, where the kernel has them, and by system calls.
pub const BOTH: [&str; 2] = ["http:raw", "http:raw:syscalls=on"];

#[test]
#[ignore = "root: attaches probes"]
fn a_body_that_is_spliced_from_a_pipe_is_part_of_its_answer() {
    for probe in BOTH {
        let moved = Moved::record(probe, "splice-out", 50);
        assert_eq!(moved.counted(), [all(50), all(50)], "{probe}");
        assert_eq!(moved.unparsed(), nothing(), "{probe}");
        assert_eq!(moved.taken.lost_by("http"), 0, "{probe}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_body_that_is_spliced_into_a_pipe_is_part_of_its_request() {
    // Sockets do not tell of it: how far they were read does.
    for probe in BOTH {
        let moved = Moved::record(probe, "splice-in", 20);
        assert_eq!(moved.counted(), [all(20), all(20)], "{probe}");
        assert_eq!(moved.unparsed(), nothing(), "{probe}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn sendmmsg_and_recvmmsg_are_followed_by_their_first_message() {
    for probe in BOTH {
        let moved = Moved::record(probe, "many", 50);
        assert_eq!(moved.counted(), [all(50), all(50)], "{probe}");
        assert_eq!(moved.unparsed(), nothing(), "{probe}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_call_of_several_messages_is_counted_as_one_of_too_many_parts() {
    for probe in BOTH {
        let moved = Moved::record(probe, "several", 1);
        assert_eq!(moved.unparsed()[1], cause("too many parts in a call", 1), "{probe}");
        assert_eq!(moved.counted()[1], BTreeMap::new(), "{probe}");
    }
}

/// The server ends with the second message unread, which resets the connection, on every sixth run before the call returns.
#[test]
#[ignore = "root: attaches probes"]
fn a_connection_that_is_reset_during_its_first_call_is_counted() {
    let program = Workload::compile("http/moves.c", "ebrec-moves", tempdir().unwrap());
    for probe in BOTH {
        let running = Recorder::new(&format!("-p {probe}")).start();
        let clients: Vec<i64> = (0..200).map(|_| program.run("several 1")[1]).collect();
        let taken = running.finish();
        let seen = clients.iter().filter(|client| unparsed(&taken, **client) == cause("too many parts in a call", 1));
        assert_eq!(seen.count(), clients.len(), "{probe}");
    }
}

/// The server ends while the client's write waits for room: the write returns when the connection has been reset.
#[test]
#[ignore = "root: attaches probes"]
fn a_request_whose_connection_is_reset_while_it_is_sent_is_not_lost() {
    let program = Workload::compile("http/moves.c", "ebrec-moves", tempdir().unwrap());
    for probe in BOTH {
        let running = Recorder::new(&format!("-p {probe}")).start();
        let clients: Vec<i64> = (0..50).map(|_| program.run("reset 1")[1]).collect();
        let taken = running.finish();
        let unanswered = taken.metric("http.unanswered", &["pid", "http_side"]).named("http_side", "client");
        let of =
            |client: i64| unanswered.with("pid", client).sum("count") + unparsed(&taken, client).values().sum::<i64>();
        let lost = clients.iter().filter(|client| of(**client) != 1).count();
        assert_eq!(lost, 0, "{probe}: of {} requests; {:?}", clients.len(), taken.lost());
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_connection_through_io_uring_is_counted_as_such() {
    let test = "a_connection_through_io_uring_is_counted_as_such";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("ebrec-ring");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/http/ring.c");
    if !Command::new("cc").arg("-o").arg(&program).arg(source).status().unwrap().success() {
        return skip(test, "the C library's headers have no io_uring");
    }
    let running = Recorder::new("-p http").start();
    let mut child = Command::new(&program).arg(nginx.port.to_string()).spawn().unwrap();
    let code = child.wait().unwrap().code();
    let taken = running.finish();
    if code == Some(1) || taken.stderr.contains("has no 'tp_btf/io_uring_submit_req'") {
        return skip(test, "this kernel has no io_uring, or no tracepoint for it");
    }
    assert_eq!(code, Some(0));
    assert_eq!(unparsed(&taken, child.id().into()), BTreeMap::from([("io_uring".to_owned(), 1)]));
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "no"), BTreeMap::from([(200, 1)]));
}
