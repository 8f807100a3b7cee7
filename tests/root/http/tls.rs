//! TLS: what goes through libssl, of each sort and age.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;

use super::counted;
use super::run;
use super::servers::Nginx;
use super::unparsed;
use crate::common::Recorder;
use crate::common::find;
use crate::common::skip;

#[test]
#[ignore = "root: attaches probes"]
fn requests_with_tls_are_seen_in_libssl_and_told_from_cleartext() {
    let test = "requests_with_tls_are_seen_in_libssl_and_told_from_cleartext";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let (Some(_), Some(python)) = (find("curl"), system_python()) else {
        return skip(test, "curl or the system's python3 is not installed");
    };
    let running = Recorder::new("-p http:raw").start();
    let base = format!("https://127.0.0.1:{}", nginx.tls_port);
    for _ in 0..5 {
        run("curl", &["-sk", "--http1.1", &format!("{base}/small"), &format!("{base}/big"), &format!("{base}/fail")]);
    }
    let script = format!(
        "import http.client, ssl
connection = http.client.HTTPSConnection('127.0.0.1', {}, context=ssl._create_unverified_context())
for _ in range(50):
    connection.request('GET', '/small'); connection.getresponse().read()
connection.request('POST', '/small', body=b'x' * 40000); connection.getresponse().read()
",
        nginx.tls_port
    );
    run(&python, &["-c", &script]);
    let logged = nginx.logged(66);
    let taken = running.finish();
    assert_eq!(logged, BTreeMap::from([(200, 61), (503, 5)]));
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "yes"), logged);
    assert_eq!(counted(&taken, None, "client", "yes"), logged);
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "no"), BTreeMap::new());
    assert_eq!(unparsed(&taken, nginx.worker()), BTreeMap::new());
    let served = taken.rows("http", &["pid", "http_tls", "http_path", "sport"]).with("pid", nginx.worker());
    assert_eq!(served.named("http_path", "/big").with("sport", nginx.tls_port.into()).count(), 5);
}

/// The distribution's own, which is linked with the distribution's libssl.
fn system_python() -> Option<String> {
    std::path::Path::new("/usr/bin/python3").exists().then(|| "/usr/bin/python3".to_owned())
}

#[test]
#[ignore = "root: attaches probes"]
fn a_file_that_the_kernel_encrypts_is_an_answer_like_others() {
    let test = "a_file_that_the_kernel_encrypts_is_an_answer_like_others";
    let kinds = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default();
    if !kinds.split_whitespace().any(|kind| kind == "tls") {
        return skip(test, "this kernel has no TLS of its own, which SSL_sendfile needs");
    }
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    if find("curl").is_none() {
        return skip(test, "curl is not installed");
    }
    let running = Recorder::new("-p http").start();
    let base = format!("https://127.0.0.1:{}", nginx.tls_port);
    for _ in 0..5 {
        // The second request finds out whether the end of the first answer was found.
        run("curl", &["-sk", "--http1.1", &format!("{base}/big"), &format!("{base}/small")]);
    }
    let logged = nginx.logged(10);
    let taken = running.finish();
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "yes"), logged);
    assert_eq!(unparsed(&taken, nginx.worker()), BTreeMap::new());
}

/// OpenSSL 1.1 as this version of a package brings it along; where it lies once pip has fetched it.
const OLD: &str = "psycopg2-binary==2.9.5";

/// Asks /small by functions of OpenSSL 1.1, without the package's Python half, when it is told to: the port, the directory
/// with the libraries, and how many times.
const OLD_CLIENT: &str = "
import ctypes, glob, socket, sys
port, at, times = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ctypes.CDLL(glob.glob(at + '/libcrypto-*.so.1.1')[0], ctypes.RTLD_GLOBAL)
ssl = ctypes.CDLL(glob.glob(at + '/libssl-*.so.1.1')[0])
print('loaded', flush=True)
sys.stdin.readline()
for name in ('TLS_client_method', 'SSL_CTX_new', 'SSL_new'): getattr(ssl, name).restype = ctypes.c_void_p
connection = socket.create_connection(('127.0.0.1', port))
own = ctypes.c_void_p(ssl.SSL_new(ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))))
ssl.SSL_set_fd(own, connection.fileno())
assert ssl.SSL_connect(own) == 1
text, moved = ctypes.create_string_buffer(4096), ctypes.c_size_t()
for number in range(times):
    request = b'GET /small HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n'
    if number % 2:
        assert ssl.SSL_write(own, request, len(request)) == len(request)
        assert ssl.SSL_read(own, text, 4096) > 0
    else:
        assert ssl.SSL_write_ex(own, request, ctypes.c_size_t(len(request)), ctypes.byref(moved)) == 1
        assert ssl.SSL_read_ex(own, text, ctypes.c_size_t(4096), ctypes.byref(moved)) == 1
    assert text.raw.startswith(b'HTTP/1.1 200'), text.raw[:50]
ssl.SSL_free(own)
";

#[test]
#[ignore = "root: attaches probes"]
fn openssl_1_1_is_followed_like_openssl_3() {
    let test = "openssl_1_1_is_followed_like_openssl_3";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let Some(python) = find("python3") else { return skip(test, "python3 is not installed") };
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let fetch = ["-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--target", at];
    let choice =
        ["--python-version", "311", "--platform", "manylinux2014_x86_64", "--timeout", "20", "--retries", "1", OLD];
    let fetched = Command::new(&python).args(fetch).args(choice).env_remove("LD_LIBRARY_PATH").output().unwrap();
    if !fetched.status.success() {
        return skip(test, &format!("pip can't fetch {OLD}: {}", String::from_utf8_lossy(&fetched.stderr)));
    }
    let libraries = dir.path().join("psycopg2_binary.libs");
    let mut asking = Command::new(python);
    asking.args(["-c", OLD_CLIENT, &nginx.tls_port.to_string()]).arg(&libraries).arg("20");
    asking.env_remove("LD_LIBRARY_PATH").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut asking = asking.spawn().unwrap();
    // A copy that lies where no distribution puts it is found in the process that has it mapped.
    let mut line = String::new();
    BufReader::new(asking.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "loaded\n");
    let running = Recorder::new("-p http").start();
    drop(asking.stdin.take());
    assert!(asking.wait().unwrap().success());
    let taken = running.finish();
    assert_eq!(counted(&taken, Some(asking.id().into()), "client", "yes"), BTreeMap::from([(200, 20)]));
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "yes"), BTreeMap::from([(200, 20)]));
    assert_eq!(unparsed(&taken, asking.id().into()), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn coroutines_that_switch_within_libssl_live_and_have_all_their_requests() {
    let test = "coroutines_that_switch_within_libssl_live_and_have_all_their_requests";
    let Some(nginx) = Nginx::start() else { return skip(test, "nginx or openssl is not installed") };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("coroutines");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/http/coroutines.c");
    let mut compiler = Command::new("cc");
    compiler.arg("-O1").arg("-o").arg(&program).arg(source).args(["-lssl", "-lcrypto"]).env_remove("LD_LIBRARY_PATH");
    if !compiler.stderr(Stdio::null()).status().unwrap().success() {
        return skip(test, "libssl-dev is not installed");
    }
    let running = Recorder::new("-p http:raw").start();
    let mut command = Command::new(&program);
    command.args([&*nginx.tls_port.to_string(), "200"]).env_remove("LD_LIBRARY_PATH").stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = i64::from(child.id());
    let output = child.wait_with_output().unwrap();
    let logged = nginx.logged(400);
    let taken = running.finish();
    assert_eq!(output.status.code(), Some(42), "it lives");
    let switches: i64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(switches > 100, "{switches} switches within SSL_read");
    assert_eq!(logged, BTreeMap::from([(200, 400)]));
    assert_eq!(counted(&taken, Some(pid), "client", "yes"), logged);
    assert_eq!(counted(&taken, Some(nginx.worker()), "server", "yes"), logged);
    assert_eq!(unparsed(&taken, pid), BTreeMap::new());
    // Each port belongs to one connection, whichever coroutine ran when its bytes were moved.
    let rows = taken.rows("http", &["pid", "sport", "dport"]).with("pid", pid);
    let mut by_port: BTreeMap<i64, i64> = BTreeMap::new();
    for row in rows.iter() {
        assert_eq!(row.maybe("dport").unwrap_or(nginx.tls_port.into()), i64::from(nginx.tls_port));
        *by_port.entry(row.maybe("sport").unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(by_port.into_values().collect::<Vec<_>>(), [200, 200]);
}
