//! HTTP over what isn't TCP by 64-bit code: Unix sockets, Multipath TCP, and the calls of 32-bit code.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use super::counted;
use super::moved::BOTH;
use super::own_pid;
use super::run;
use super::servers::Script;
use super::unparsed;
use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::find;
use crate::common::skip;

/// Python's own server on a Unix socket; a port of 0 says that it listens.
fn python_on(path: &Path) -> String {
    format!(
        "
import http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'x' * (200000 if self.path == '/big' else 2)
        self.send_response(503 if self.path == '/fail' else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
server = Server('{}', Handler)
print(0, flush=True)
server.serve_forever()
",
        path.display()
    )
}

fn families(taken: &Taken, side: &str) -> BTreeMap<String, usize> {
    let mut families = BTreeMap::new();
    for row in taken.rows("http", &["http_side", "family"]).named("http_side", side).iter() {
        *families.entry(row.text("family").unwrap_or("none").to_owned()).or_default() += 1;
    }
    families
}

#[test]
#[ignore = "root: attaches probes"]
fn requests_over_unix_sockets_are_followed_at_both_ends() {
    let test = "requests_over_unix_sockets_are_followed_at_both_ends";
    let (Some(python), Some(_)) = (find("python3"), find("curl")) else {
        return skip(test, "python3 or curl is not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("served.sock");
    let server = Script::start(python, &python_on(&socket));
    let at = socket.display().to_string();
    for way in BOTH {
        let running = Recorder::new(&format!("-p {way}")).start();
        for _ in 0..3 {
            // One connection each for two requests, the second of which takes several calls.
            run("curl", &["-s", "--unix-socket", &at, "http://local/small", "http://local/big"]);
        }
        run("curl", &["-s", "--unix-socket", &at, "http://local/fail"]);
        let taken = running.finish();
        let expected = BTreeMap::from([(200, 6), (503, 1)]);
        assert_eq!(counted(&taken, Some(server.pid()), "server", "no"), expected, "{way}");
        assert_eq!(counted(&taken, None, "client", "no"), expected, "{way}");
        assert_eq!(taken.rows("http", &["http_path"]).named("http_path", "/big").count(), 6, "{way}");
        for side in ["server", "client"] {
            assert_eq!(families(&taken, side), BTreeMap::from([("unix".to_owned(), 7)]), "{way}");
        }
        assert_eq!(unparsed(&taken, server.pid()), BTreeMap::new(), "{way}");
        assert_eq!(taken.lost_by("http"), 0, "{way}");
    }
}

/// The kernel shows no end of a Unix socket, and gives its memory to the next one: what the last client left behind is not the next one's.
#[test]
#[ignore = "root: attaches probes"]
fn many_connections_over_unix_sockets_one_after_the_other_are_each_their_own() {
    const CONNECTIONS: i64 = 400;
    let test = "many_connections_over_unix_sockets_one_after_the_other_are_each_their_own";
    let Some(python) = find("python3") else { return skip(test, "python3 is not installed") };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("served.sock");
    let server = Script::start(python, &python_on(&socket));
    for way in BOTH {
        let running = Recorder::new(&format!("-p {way}")).start();
        for number in 0..CONNECTIONS {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(b"GET /small HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = vec![0; 4096];
            let mut have = 0;
            while !answer[..have].ends_with(b"\r\n\r\nxx") {
                have += stream.read(&mut answer[have..]).unwrap();
            }
            // Half of the clients go before they have seen the end.
            if number % 2 == 0 {
                assert_eq!(stream.read(&mut answer).unwrap(), 0);
            }
        }
        let taken = running.finish();
        let expected = BTreeMap::from([(200, CONNECTIONS)]);
        assert_eq!(counted(&taken, Some(server.pid()), "server", "no"), expected, "{way}");
        assert_eq!(counted(&taken, Some(own_pid()), "client", "no"), expected, "{way}");
        assert_eq!(unparsed(&taken, server.pid()), BTreeMap::new(), "{way}");
        assert_eq!(unparsed(&taken, own_pid()), BTreeMap::new(), "{way}");
        assert_eq!(taken.lost_by("http"), 0, "{way}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_unix_socket_that_closes_without_an_answer_leaves_its_request_unanswered() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("served.sock")).unwrap();
    for way in BOTH {
        let running = Recorder::new(&format!("-p {way}")).start();
        let mut client = UnixStream::connect(dir.path().join("served.sock")).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"GET /cut HTTP/1.1\r\nHost: local\r\n\r\n").unwrap();
        assert!(server.read(&mut [0; 1000]).unwrap() > 0);
        drop(server);
        assert_eq!(client.read(&mut [0; 1000]).unwrap(), 0);
        let taken = running.finish();
        let rows = taken.rows("http_unanswered", &["pid", "http_side", "http_path"]).with("pid", own_pid());
        let rows = rows.named("http_path", "/cut");
        for side in ["client", "server"] {
            assert_eq!(rows.named("http_side", side).count(), 1, "{way} {side}");
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn requests_over_multipath_tcp_are_followed_at_both_ends() {
    let test = "requests_over_multipath_tcp_are_followed_at_both_ends";
    let Some(python) = find("python3") else { return skip(test, "python3 is not installed") };
    let script = "
import http.client, http.server, socket, sys, threading
try: listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError: sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'x' * 100000
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = listener
server.server_bind(); server.server_activate()
threading.Thread(target=server.serve_forever, daemon=True).start()
port = listener.getsockname()[1]
for _ in range(4):
    client = http.client.HTTPConnection('127.0.0.1', port)
    client.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    client.sock.connect(('127.0.0.1', port))
    for _ in range(3):
        client.request('GET', '/parts')
        assert len(client.getresponse().read()) == 100000
    client.close()
";
    for way in BOTH {
        let running = Recorder::new(&format!("-p {way}")).start();
        let status = Command::new(&python).args(["-c", script]).env_remove("LD_LIBRARY_PATH").status().unwrap();
        let taken = running.finish();
        if status.code() == Some(3) {
            return skip(test, "this kernel has no Multipath TCP");
        }
        assert!(status.success());
        let expected = BTreeMap::from([(200, 12)]);
        assert_eq!(counted(&taken, None, "server", "no"), expected, "{way}");
        assert_eq!(counted(&taken, None, "client", "no"), expected, "{way}");
        assert_eq!(families(&taken, "client"), BTreeMap::from([("ipv4".to_owned(), 12)]), "{way}");
        assert_eq!(taken.lost_by("http"), 0, "{way}");
    }
}

/// What 32-bit code reads and writes is not looked at, and the report says of whom.
#[test]
#[ignore = "root: attaches probes"]
fn connections_of_32_bit_code_are_counted_with_their_cause() {
    let test = "connections_of_32_bit_code_are_counted_with_their_cause";
    if !cfg!(target_arch = "x86_64") {
        return skip(test, "int 0x80 is x86's");
    }
    let asker = Workload::compile("http/asks32.c", "ebrec-asks32", tempfile::tempdir().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for way in BOTH {
        let running = Recorder::new(&format!("-p {way}")).start();
        let mut command = Command::new(asker.path());
        let child = command.args([port.as_str(), "2"]).stdout(Stdio::piped()).spawn().unwrap();
        let pid = i64::from(child.id());
        // It asks over two connections, by calls of 32-bit code, where the kernel has them.
        for _ in 0..2 {
            let (mut server, _) = listener.accept().unwrap();
            let mut bytes = [0; 1000];
            if server.read(&mut bytes).unwrap() > 0 {
                server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            }
        }
        let said = child.wait_with_output().unwrap();
        let taken = running.finish();
        if said.stdout.starts_with(b"none") {
            return skip(test, "this kernel takes no calls of 32-bit code");
        }
        assert_eq!(String::from_utf8(said.stdout).unwrap(), "asked 2\n");
        assert_eq!(unparsed(&taken, pid), BTreeMap::from([("32-bit code".to_owned(), 2)]), "{way}");
        assert_eq!(counted(&taken, Some(own_pid()), "server", "no"), BTreeMap::from([(200, 2)]), "{way}");
    }
}
