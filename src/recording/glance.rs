//! What a recording is of, without decoding all of its footer: enough to distinguish recordings.

use std::path::Path;

use crate::recording::FORMAT;
use crate::recording::Meta;
use crate::recording::checksum;
use crate::recording::names::is_partial;
use crate::recording::packed::STDIN;
use crate::recording::reader::open_file;
use crate::recording::reader::read_footer;
use crate::recording::thrift::Cursor;
use crate::recording::thrift::Fault;

/// The field of a footer that has the pairs.
const PAIRS: i16 = 5;
const LIST: u8 = 9;

/// Looks at the host and the window of a finished recording that is not packed; the other fields keep their defaults.
///
/// `None` for all else, and where anything is unusual: opening the recording says what.
pub(crate) fn glance(path: &Path) -> Option<Meta> {
    if path == Path::new(STDIN) || is_partial(path) {
        return None;
    }
    let footer = read_footer(path, &open_file(path).ok()?).ok()?;
    checksum::verify(&footer.bytes).ok()?;
    let pairs = pairs(&footer.bytes).ok()?;
    let wanted = pairs.into_iter().filter(|(key, _)| ["ebrec.format", "ebrec.host", "ebrec.window"].contains(key));
    let meta = Meta::from_pairs(wanted).ok()?;
    (1..=FORMAT).contains(&meta.format).then_some(meta)
}

/// The pairs of a footer.
fn pairs(footer: &[u8]) -> Result<Vec<(&str, &str)>, Fault> {
    let mut cursor = Cursor::new(footer);
    let mut last = 0;
    let mut pairs = Vec::new();
    while let Some(field) = cursor.field(&mut last)? {
        if (field.id, field.ty) != (PAIRS, LIST) {
            cursor.skip(field.ty)?;
            continue;
        }
        let (_, len) = cursor.list()?;
        for _ in 0..len {
            let (mut key, mut value) = ("", "");
            let mut last = 0;
            while let Some(field) = cursor.field(&mut last)? {
                match field.id {
                    1 => key = text(cursor.binary()?)?,
                    2 => value = text(cursor.binary()?)?,
                    _ => cursor.skip(field.ty)?,
                }
            }
            pairs.push((key, value));
        }
    }
    Ok(pairs)
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes).map_err(|_| Fault::Invalid)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::glance;
    use crate::recording::Recording;

    #[test]
    fn a_glance_sees_what_the_open_recording_says() {
        for name in ["compile", "fio", "redis", "storm"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.parquet"));
            let (seen, whole) = (glance(&path).unwrap(), Recording::open(&path).unwrap());
            assert_eq!((&seen.host, &seen.window), (&whole.meta().host, &whole.meta().window), "{name}");
        }
    }

    #[test]
    fn a_glance_at_what_is_no_recording_sees_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.parquet");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fio.parquet");
        let whole = std::fs::read(fixture).unwrap();
        for length in [0, 4, 11, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(glance(&path), None, "{length} bytes");
        }
        let mut damaged = whole.clone();
        let at = damaged.len() - 1000;
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(glance(&path), None);
        assert_eq!(glance(&dir.path().join("gone.parquet")), None);
    }
}
