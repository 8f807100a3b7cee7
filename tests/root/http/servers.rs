//! Servers that keep their own account: nginx with an access log, and small ones in Python and node.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;

use crate::common::find;
use crate::common::wait_for;

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx with one worker: the routes /small, /fail (503), /big (300,000 bytes), /limited (the same at 200 kB/s, in half a second) and /text
/// (chunked when gzip is accepted), in cleartext and with TLS.
pub struct Nginx {
    child: Child,
    dir: TempDir,
    pub port: u16,
    pub tls_port: u16,
}

impl Nginx {
    /// `None` where nginx or openssl is not installed.
    pub fn start() -> Option<Nginx> {
        let (nginx, openssl) = (find("nginx")?, find("openssl")?);
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        fs::create_dir(at.join("www")).unwrap();
        let noise: Vec<u8> = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(at.join("www/big"), &noise).unwrap();
        fs::write(at.join("www/limited"), &noise).unwrap();
        fs::write(at.join("www/text.txt"), "plain words, ".repeat(5000)).unwrap();
        let made = Command::new(openssl)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(at)
            .env_remove("LD_LIBRARY_PATH")
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let (port, tls_port) = (free_port(), free_port());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};\n", at.display()))
            .concat();
        let config = format!(
            "user root; daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes 1; events {{}}
             http {{ {temporary} log_format own '$status $request_time $ssl_protocol'; access_log {at}/access.log own;
             sendfile on; keepalive_requests 100000; gzip on; gzip_min_length 1; gzip_types text/plain;
             types {{ text/plain txt; }}
             server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
             ssl_conf_command Options KTLS; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem; root {at}/www;
             location = /small {{ return 200 hi; }} location = /fail {{ return 503; }}
             location = /limited {{ limit_rate 200k; }} }} }}",
            at = at.display()
        );
        fs::write(at.join("nginx.conf"), config).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf")).env_remove("LD_LIBRARY_PATH");
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for("nginx to listen", || TcpStream::connect(("127.0.0.1", tls_port)).ok());
        Some(Nginx { child, dir, port, tls_port })
    }

    /// The worker, which serves.
    pub fn worker(&self) -> i64 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        wait_for("the worker", || fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok())
    }

    fn log(&self) -> Vec<(i64, f64)> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let line = |line: &str| {
            let mut words = line.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        log.lines().filter_map(line).collect()
    }

    /// How many requests it has logged, by status, once there are `all`.
    pub fn logged(&self, all: usize) -> BTreeMap<i64, i64> {
        wait_for("nginx to log all requests", || (self.log().len() >= all).then_some(()));
        let mut counts = BTreeMap::new();
        for (status, _) in self.log() {
            *counts.entry(status).or_default() += 1;
        }
        counts
    }

    /// The times that it has logged, in milliseconds.
    pub fn times(&self) -> Vec<f64> {
        self.log().into_iter().map(|(_, seconds)| seconds * 1e3).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Not SIGKILL: the master takes its worker along.
        let _ = kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A server that is a script, and says its port in its first line.
pub struct Script {
    child: Child,
    _dir: TempDir,
    pub port: u16,
}

impl Script {
    pub fn start(interpreter: PathBuf, script: &str) -> Script {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("served.txt"), "words\n".repeat(1000)).unwrap();
        let mut command = Command::new(interpreter);
        command.args([if script.contains("require(") { "-e" } else { "-c" }, script]).current_dir(dir.path());
        command.env_remove("LD_LIBRARY_PATH").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Script { child, _dir: dir, port: line.trim().parse().unwrap() }
    }

    pub fn pid(&self) -> i64 {
        self.child.id().into()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Python's own file server, which sleeps 200 ms on one route, and as many as it is told on another.
pub const PYTHON: &str = "
import http.server, time, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith('/slow/report'):
            time.sleep(0.2)
            self.path = '/served.txt'
        if self.path.startswith('/sleeps/'):
            time.sleep(int(self.path.split('/')[2]) / 1000)
            self.path = '/served.txt'
        super().do_GET()
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
";

/// node, which answers in chunks and with its header in the same call.
pub const NODE: &str = "
const http = require('http');
const server = http.createServer((request, response) => {
  response.statusCode = request.url === '/teapot' ? 418 : 200;
  if (request.url === '/chunks') { response.write('a'.repeat(1000)); setTimeout(() => response.end('end'), 5); }
  else response.end('hello');
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";
