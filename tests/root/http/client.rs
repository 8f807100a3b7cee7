//! A client that knows what it asked for: HTTP/1.1 over one connection, in whatever pieces a test wants.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

/// A connection.
pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Asks and reads the answer; gives its status.
    pub fn ask(&mut self, method: &str, path: &str, more: &str) -> i64 {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{more}\r\n").as_bytes());
        self.answer(method == "HEAD")
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn skip(&mut self, bytes: usize) {
        let mut body = vec![0; bytes];
        self.reader.read_exact(&mut body).unwrap();
    }

    /// Reads an answer whole; gives its status.
    pub fn answer(&mut self, no_body: bool) -> i64 {
        let status = self.line().split(' ').nth(1).unwrap_or("0").parse().unwrap();
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = Some(number.parse().unwrap());
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        if no_body {
            return status;
        }
        while chunked {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            self.skip(size + 2);
            chunked = size > 0;
        }
        self.skip(length.unwrap_or(0));
        status
    }
}
