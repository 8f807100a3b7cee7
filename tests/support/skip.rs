//! Skipping a test aloud: the reason reaches `make test`'s list and its count, whichever runner hides a test's output.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that the test `name` can't run here and why; the test then returns.
///
/// The line `NAME: REASON` is appended to the file that the environment names in `EBREC_SKIPS` (`tests/run` sets it,
/// counts the lines and lists them) and printed in any case.
#[allow(dead_code, reason = "each test binary uses what it needs of this file")]
pub fn skip(name: &str, reason: &str) {
    println!("skipped: {name}: {reason}");
    let Some(path) = std::env::var_os("EBREC_SKIPS") else { return };
    let line = format!("{name}: {}\n", reason.replace('\n', " "));
    let appended =
        OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = appended {
        panic!("can't append to EBREC_SKIPS: {error}");
    }
}
