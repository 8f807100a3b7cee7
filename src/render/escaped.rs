//! Text on its way to a terminal, line by line, without what a terminal would act on.

use std::io;
use std::io::Write;

use crate::text::sanitize;

/// Escapes all but line ends, as [`sanitize`] does; CR LF becomes LF.
pub struct Escaped<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Escaped<W> {
        Escaped { out, line: Vec::new() }
    }

    fn write_line(&mut self) -> io::Result<()> {
        let line = String::from_utf8_lossy(&self.line);
        self.out.write_all(sanitize(&line).as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) => {
                    self.line.extend_from_slice(end);
                    if self.line.ends_with(b"\r") {
                        self.line.pop();
                    }
                    self.write_line()?;
                    self.out.write_all(b"\n")?;
                }
                None => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    /// Writes what has no line feed yet, too.
    fn flush(&mut self) -> io::Result<()> {
        self.write_line()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;
    use std::io::Write;

    #[test]
    fn only_line_ends_reach_the_terminal_as_they_are() {
        let mut out = Vec::new();
        let mut escaped = Escaped::new(&mut out);
        // A letter of two bytes that comes in two parts.
        for part in ["a\x1b[2J,b\r".as_bytes(), b"\n\xc3", b"\xa4\rc"] {
            escaped.write_all(part).unwrap();
        }
        escaped.flush().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\\x1b[2J,b\nä\\x0dc");
    }
}
