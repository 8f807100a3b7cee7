//! The parsers of the probes `http` and `dns` without a kernel: bpf/ compiled as ordinary C (tests/native), messages in, what the
//! probe would say out. Likewise the two copies of a program of `tcp`.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

/// The calls of a conversation, and the requests that are seen in it.
type Conversation<'a> = (&'a [(Step, &'a [u8])], &'a [&'a str]);

/// What one call moves, by the numbers of `enum step` in tests/native/http.c.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read = 0,
    Write = 1,
    ReadVector = 2,
    WriteVector = 3,
    ReceiveMessage = 4,
    SendMessage = 5,
    SendFile = 6,
    SslRead = 7,
    SslWrite = 8,
    Datagram = 9,
    Close = 10,
}

/// Compiles a parser, once for each test; `None` without a compiler, which the test then says.
fn parser(name: &str, test: &str) -> Option<PathBuf> {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let program = DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap()).path().join(format!("{name}-{test}"));
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86" };
    let native = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native");
    let mut command = Command::new(&clang);
    command.args(["-O1", "-g", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-attributes"]);
    // Traps need no library of the compiler's.
    command.args(["-fsanitize=undefined", "-fsanitize-trap=all", &format!("-D__TARGET_ARCH_{arch}")]);
    command.arg("-I").arg(native.join("include")).arg("-I").arg(native.join("../../bpf/shared"));
    command.arg("-o").arg(&program).arg(native.join("machine.c")).arg(native.join(format!("{name}.c")));
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
        Err(error) => {
            crate::skip::skip(test, &format!("'{clang}' does not run: {error}"));
            None
        }
    }
}

fn run(program: &Path, input: &[u8]) -> Vec<String> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Calls with their bytes, as tests/native/http.c reads them; vectors of `piece` bytes.
fn steps(calls: &[(Step, &[u8])], piece: usize) -> Vec<u8> {
    let mut input = Vec::new();
    for (step, bytes) in calls {
        input.extend([*step as u8, (piece - 1) as u8]);
        input.extend((bytes.len() as u16).to_le_bytes());
        input.extend(*bytes);
    }
    input
}

const GET: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] = b"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: 1\r\n\r\n";
const LONG: &[u8] = b"GET /0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789 HTTP/1.1\r\n\r\n";

#[test]
fn of_two_copies_of_a_program_one_handles_each_event_or_the_loss_is_counted() {
    let Some(twice) = parser("twice", "of_two_copies_of_a_program_one_handles_each_event_or_the_loss_is_counted")
    else {
        return;
    };
    let said = [
        "interrupts while copies work: left out, all handled",
        "interrupts at every instruction: left out, some lost and all of those counted",
        "a kernel that leaves nothing out: all handled",
    ];
    assert_eq!(run(&twice, b""), said);
}

#[test]
fn conversations_of_every_framing_are_followed() {
    use Step::Close;
    use Step::Datagram;
    use Step::Read;
    use Step::SendFile;
    use Step::Write;
    let Some(http) = parser("http", "conversations_of_every_framing_are_followed") else { return };
    let cases: &[Conversation<'_>] = &[
        (&[(Read, GET), (Write, OK)], &["answered GET 200 server 43 /a?b"]),
        (&[(Write, GET), (Read, OK)], &["answered GET 200 client 43 /a?b"]),
        (&[(Step::SslRead, GET), (Step::SslWrite, OK)], &["answered GET 200 server+tls 43 /a?b"]),
        (
            &[(Read, CHUNKED), (Write, b"HTTP/1.1 201 Made\r\ncontent-length:0\r\n\r\n")],
            &["answered POST 201 server 39 /up"],
        ),
        // The header is written, the file's bytes are sent from the kernel.
        (
            &[(Read, GET), (Write, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"), (SendFile, b"......")],
            &["answered GET 200 server 44 /a?b"],
        ),
        // What a body holds is not looked at.
        (
            &[(Read, b"PUT /x HTTP/1.1\r\nContent-Length: 31\r\n\r\n"), (Read, GET), (Write, OK)],
            &["answered PUT 200 server 43 /x"],
        ),
        (
            &[(Read, GET), (Write, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n")],
            &["answered GET 204 server 19 /a?b"],
        ),
        (
            &[(Read, b"HEAD / HTTP/1.1\r\n\r\n"), (Write, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")],
            &["answered HEAD 200 server 40 /"],
        ),
        // Without a length an answer lasts until the connection ends.
        (
            &[(Read, GET), (Write, b"HTTP/1.0 200 OK\r\n\r\nabc"), (Write, b"def"), (Close, b"")],
            &["answered GET 200 server 25 /a?b"],
        ),
        (&[(Read, GET), (Read, GET), (Close, b"")], &["unanswered GET 0 server 0 /a?b"; 2]),
        (
            &[(Read, GET), (Write, b"HTTP/1.1 101 Switching\r\n\r\n")],
            &["answered GET 101 server 26 /a?b", "unparsed upgraded 1"],
        ),
        (&[(Read, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], &["unparsed http2 1"]),
        (&[(Read, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00")], &["unparsed tls 1"]),
        (&[(Datagram, b"\xc3\x00\x00\x00\x01\x08")], &["unparsed quic 1"]),
        (&[(Read, GET), (Write, b"HTTP/1.1 2x0 OK\r\n\r\n")], &["unparsed out-of-step 2"]),
        // Any token is a method: what comes after it counts, too.
        (
            &[(Read, b"PROPFIND /d HTTP/1.1\r\nDepth: 1\r\n\r\n"), (Write, OK), (Read, GET), (Write, OK)],
            &["answered PROPFIND 200 server 43 /d", "answered GET 200 server 43 /a?b"],
        ),
        (&[(Read, b"M-SEARCH * HTTP/1.1\r\n\r\n"), (Write, OK)], &["answered M-SEARCH 200 server 43 *"]),
        (
            &[(Read, b"VERSION-CONTR"), (Read, b"OL /v HTTP/1.1\r\n\r\n"), (Write, OK)],
            &["answered VERSION-CONTROL 200 server 43 /v"],
        ),
        (
            &[(Read, b"ABCDEFGHIJKLMNOP /16 HTTP/1.1\r\n\r\n"), (Write, OK)],
            &["answered ABCDEFGHIJKLMNOP 200 server 43 /16"],
        ),
        (&[(Read, b"ABCDEFGHIJKLMNOPQ /17 HTTP/1.1\r\n\r\n"), (Write, OK)], &[]),
        (&[(Read, b"SET /key value\r\n"), (Write, b"+OK\r\n")], &[]),
        (&[(Read, b"SSH-2.0-OpenSSH_9.2\r\n")], &[]),
        (&[(Read, b"GET-RICH quick HTTP/1.1\r\n\r\n")], &[]),
        (&[(Read, b"GET /x HTTP/2.0\r\n\r\n")], &[]),
    ];
    for (calls, expected) in cases {
        assert_eq!(run(&http, &steps(calls, 7)), *expected, "{calls:?}");
    }
}

#[test]
fn wherever_a_message_is_cut_the_requests_are_the_same() {
    let Some(http) = parser("http", "wherever_a_message_is_cut_the_requests_are_the_same") else { return };
    let chunked_answer = b"HTTP/1.1 200 OK\r\nX: y\r\nTRANSFER-ENCODING: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let requests = [GET, CHUNKED, LONG, b"DELETE /d HTTP/1.1\nContent-Length: 3\n\nabc"].concat();
    let answers = [OK, chunked_answer, b"HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n", OK].concat();
    let expected = run(&http, &steps(&[(Step::Read, &requests), (Step::Write, &answers)], 256));
    assert_eq!(expected.len(), 4, "{expected:?}");
    for cut in 0..requests.len().max(answers.len()) {
        let (first, last) = requests.split_at(cut.min(requests.len()));
        let (begin, end) = answers.split_at(cut.min(answers.len()));
        let cut_once = [(Step::Read, first), (Step::Read, last), (Step::Write, begin), (Step::Write, end)];
        assert_eq!(run(&http, &steps(&cut_once, 256)), expected, "cut at {cut}");
    }
    for size in 1..80 {
        let parts = |step, bytes: &'static [u8]| bytes.chunks(size).map(move |part| (step, part)).collect::<Vec<_>>();
        let (requests, answers) = (requests.clone().leak(), answers.clone().leak());
        let small = [parts(Step::Read, requests), parts(Step::Write, answers)].concat();
        assert_eq!(run(&http, &steps(&small, 256)), expected, "calls of {size} bytes");
        let vectors = [(Step::ReadVector, &*requests), (Step::SendMessage, &*answers)];
        if size > 4 {
            assert_eq!(run(&http, &steps(&vectors, size)), expected, "vectors of {size} bytes");
        }
    }
}

/// A request or an answer, and its bytes.
#[derive(Clone, Debug)]
struct Message {
    bytes: Vec<u8>,
}

fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let content = || vec(prop_oneof![any::<u8>(), select(b"\r\nGET / HTTP/1.1\r\n".to_vec())], 0..400);
    let name = || select(vec!["Content-Length", "content-length", "CONTENT-LENGTH"]);
    let plain = (name(), content()).prop_map(|(name, content)| (format!("{name}: {}\r\n", content.len()), content));
    let chunked = vec(content(), 0..4).prop_map(|chunks| {
        let mut bytes = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        ("Transfer-Encoding: chunked\r\n".to_owned(), bytes)
    });
    prop_oneof![plain, chunked]
}

fn message(first: impl Strategy<Value = String>) -> impl Strategy<Value = Message> {
    let other = "[A-Za-z-]{1,20}: [ -~]{0,150}\r\n";
    (first, vec(other, 0..6), body()).prop_map(|(first, mut lines, (framing, body))| {
        let at = lines.len() / 2;
        lines.retain(|line| {
            !line.to_lowercase().starts_with("content-length:") && !line.to_lowercase().starts_with("transfer-")
        });
        lines.insert(at.min(lines.len()), framing);
        Message { bytes: [format!("{first}\r\n{}\r\n", lines.concat()).into_bytes(), body].concat() }
    })
}

fn requests() -> impl Strategy<Value = Message> {
    message(
        (
            prop_oneof![
                select(vec![
                    "GET",
                    "POST",
                    "PUT",
                    "DELETE",
                    "PATCH",
                    "OPTIONS",
                    "TRACE",
                    "PROPFIND",
                    "VERSION-CONTROL"
                ])
                .prop_map(str::to_owned),
                "[A-Z-]{2,16}"
                    .prop_filter("whose answers have bodies", |name| !["HEAD", "CONNECT"].contains(&name.as_str())),
            ],
            "/[!-~]{0,62}",
        )
            .prop_map(|(method, path)| format!("{method} {path} HTTP/1.1")),
    )
}

fn answers() -> impl Strategy<Value = Message> {
    let status = (200..600_u16).prop_filter("without a body", |status| ![204, 304].contains(status));
    message((status, "[ -~]{0,20}").prop_map(|(status, reason)| format!("HTTP/1.1 {status} {reason}")))
}

/// What the crate `httparse` makes of a message: method and path, or status.
fn reference(message: &Message) -> String {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    if message.bytes.starts_with(b"HTTP") {
        let mut answer = httparse::Response::new(&mut headers);
        assert!(answer.parse(&message.bytes).unwrap().is_complete());
        return answer.code.unwrap().to_string();
    }
    let mut request = httparse::Request::new(&mut headers);
    assert!(request.parse(&message.bytes).unwrap().is_complete());
    format!("{} {}", request.method.unwrap(), request.path.unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Pipelined, in calls of any sizes, of any kind: the same requests as a parser that has the whole message.
    #[test]
    fn requests_are_those_that_another_parser_finds(
        pairs in vec((requests(), answers()), 1..6),
        sizes in vec(1..700_usize, 1..20),
        kinds in select(vec![(Step::Read, Step::Write), (Step::ReadVector, Step::WriteVector), (Step::ReceiveMessage, Step::SendMessage), (Step::SslRead, Step::SslWrite)]),
    ) {
        let Some(http) = compiled() else { return Ok(()) };
        let mut input = Vec::new();
        let mut expected = Vec::new();
        let mut sizes = sizes.iter().cycle();
        for (step, messages) in [
            (kinds.0, pairs.iter().map(|pair| &pair.0).collect::<Vec<_>>()),
            (kinds.1, pairs.iter().map(|pair| &pair.1).collect()),
        ] {
            let stream: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
            let mut rest = stream.as_slice();
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                input.extend(steps(&[(step, part)], 100));
                rest = after;
            }
        }
        for (request, answer) in &pairs {
            let side = if kinds.0 == Step::SslRead { "server+tls" } else { "server" };
            let request = reference(request);
            let (method, path) = request.split_once(' ').unwrap();
            let path = path.replace('%', "%25");
            expected.push(format!("answered {method} {} {side} {} {path}", reference(answer), answer.bytes.len()));
        }
        prop_assert_eq!(run(http, &input), expected);
    }
}

/// The parser of `requests_are_those_that_another_parser_finds`, whose cases share it.
fn compiled() -> Option<&'static Path> {
    static COMPILED: OnceLock<Option<PathBuf>> = OnceLock::new();
    COMPILED.get_or_init(|| parser("http", "requests_are_those_that_another_parser_finds")).as_deref()
}

#[test]
fn inputs_that_were_found_by_fuzzing_are_harmless() {
    for name in ["http", "dns"] {
        let Some(program) = parser(name, "inputs_that_were_found_by_fuzzing_are_harmless") else { return };
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(name);
        let files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            // It asserts what holds for every input, and ends with a signal where that does not.
            println!("{}: {:?}", file.display(), run(&program, &std::fs::read(&file).unwrap()));
        }
    }
}

/// A packet for tests/native/dns.c: flags, and a datagram of IPv4 between these ports.
fn packet(flags: u8, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    let (here, there) = ([127, 0, 0, 1], [10, 0, 0, 53]);
    let (source, destination) = if flags & 1 == 1 { (there, here) } else { (here, there) };
    bytes.extend([source, destination].concat());
    for number in [from, to, payload.len() as u16 + 8, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(payload);
    framed(flags, &bytes)
}

fn framed(flags: u8, bytes: &[u8]) -> Vec<u8> {
    [&[flags], (bytes.len() as u16).to_le_bytes().as_slice(), bytes].concat()
}

const RECEIVED: u8 = 1;
const ETHERNET: u8 = 4;

#[test]
fn queries_meet_their_answers_and_garbage_is_neither() {
    let Some(dns) = parser("dns", "queries_meet_their_answers_and_garbage_is_neither") else { return };
    let question = b"\x03wWw\x07example\x03org\0\0\x1c\0\x01";
    let query = [b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0".as_slice(), question].concat();
    let answer = [b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0".as_slice(), question].concat();
    let hex: String = question.iter().map(|byte| format!("{byte:02x}")).collect();
    let asked = packet(0, 4000, 53, &query);
    let last = "tcp id 0000 code 0 port 0 ";
    let told = |packets: &[Vec<u8>]| run(&dns, &packets.concat());
    let answered = format!("answered id 1234 code 3 port 4000 {hex}");
    assert_eq!(told(&[asked.clone(), packet(RECEIVED, 53, 4000, &answer)]), [answered.as_str(), last]);
    assert_eq!(told(&[packet(ETHERNET, 4000, 53, &query), packet(RECEIVED, 53, 4000, &answer)]), [&answered, last]);
    // Another port, another id, or an answer before its query.
    assert_eq!(told(&[asked.clone(), packet(RECEIVED, 53, 4001, &answer)]), [last]);
    assert_eq!(told(&[asked.clone(), packet(RECEIVED, 53, 4000, &[b"\x99", &answer[1..]].concat())]), [last]);
    assert_eq!(told(&[packet(RECEIVED, 53, 4000, &answer), asked.clone()]), [last]);
    let again = told(&[asked.clone(), asked.clone()]);
    assert_eq!(again, [&format!("unanswered id 1234 code 0 port 4000 {hex}"), last]);
    // A question that ends nowhere is as long as it is: its name is that of all its bytes.
    let endless = [&query[..12], &[0x3f; 300]].concat();
    let end = format!("answered id 1234 code 3 port 4000 {}", "3f".repeat(259));
    assert_eq!(told(&[packet(0, 4000, 53, &endless), packet(RECEIVED, 53, 4000, &answer)]), [&end, last]);
    // Cut anywhere, it is not a query, or one of what is there.
    for length in 0..asked.len() - 3 {
        let cut = told(&[framed(0, &asked[3..3 + length]), packet(RECEIVED, 53, 4000, &answer)]);
        assert_eq!(cut.len(), if length < 40 { 1 } else { 2 }, "{length} bytes: {cut:?}");
    }
    // A later fragment has no ports; what only looks like one is none.
    let mut fragment = asked;
    fragment[3 + 7] = 1;
    assert_eq!(told(&[fragment, packet(RECEIVED, 53, 4000, &answer)]), [last]);
}

/// What a call on a connection by TCP moved, for tests/native/dns.c.
fn call(flags: u8, bytes: &[u8]) -> Vec<u8> {
    framed(0x10 | flags, bytes)
}

const VECTORS: u8 = 0x20;

#[test]
fn queries_by_tcp_meet_their_answers_wherever_calls_divide_them() {
    let Some(dns) = parser("dns", "queries_by_tcp_meet_their_answers_wherever_calls_divide_them") else { return };
    let question = b"\x03wWw\x07example\x03org\0\0\x1c\0\x01";
    let behind_length = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let query = behind_length(&[b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0".as_slice(), question].concat());
    let header = b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0".as_slice();
    let answer = behind_length(&[header, question].concat());
    let long = behind_length(&[header, question, &[7; 3000]].concat());
    let hex: String = question.iter().map(|byte| format!("{byte:02x}")).collect();
    let (answered, last) = (format!("tcp answered id 1234 code 3 port 4000 {hex}"), "tcp id 0000 code 0 port 0 ");
    let told =
        |calls: &[Vec<u8>]| run(&dns, &calls.concat()).into_iter().filter(|line| line != last).collect::<Vec<_>>();
    for (answer, vectors) in [(&answer, 0), (&long, 0), (&answer, VECTORS), (&long, VECTORS)] {
        // Two of each, so that what follows a message is seen, too: divided at every place that could matter.
        let (queries, answers) = (query.repeat(2), answer.repeat(2));
        for at in (1..queries.len().min(120)).chain([queries.len()]) {
            let mut calls = Vec::new();
            for (id, (asks, hears)) in queries.chunks(query.len()).zip(answers.chunks(answer.len())).enumerate() {
                let (mut asks, mut hears) = (asks.to_vec(), hears.to_vec());
                (asks[2], hears[2]) = (id as u8, id as u8);
                calls.extend(asks.chunks(at).map(|part| call(vectors, part)));
                calls.extend(hears.chunks(at * 7).map(|part| call(vectors | RECEIVED, part)));
            }
            let expected = [0, 1].map(|id| answered.replace("1234", &format!("{id:02x}34")));
            assert_eq!(told(&calls), expected, "calls of {at} bytes");
        }
    }
    // Several messages in one call, in either direction.
    let mut other = query.clone();
    other[2] = 0x99;
    let mut other_answer = long.clone();
    other_answer[2] = 0x99;
    let calls = [call(0, &[query.clone(), other].concat()), call(RECEIVED, &[other_answer, answer.clone()].concat())];
    assert_eq!(told(&calls), [answered.replace("1234", "9934"), answered.clone()]);
    // By UDP it would be another query.
    assert_eq!(told(&[packet(0, 4000, 53, &query[2..]), call(RECEIVED, &answer)]), [""; 0]);
    // Too short for a header, or an answer where a query should be: nothing is read from there on.
    assert_eq!(told(&[call(0, b"\0\x03abc"), call(0, &query), call(RECEIVED, &answer)]), [""; 0]);
    assert_eq!(told(&[call(0, &answer), call(0, &query), call(RECEIVED, &answer)]), [""; 0]);
}
