//! What requests' methods are called: those of RFC 9110 and 5789 by their numbers, any other by the name that it came with.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

use super::types;
use crate::bpf::live::Live;

/// What a method is called for whose name the kernel's side had no room.
const OTHER: &str = "other";

/// The names of the methods that have none of the fixed numbers.
#[derive(Debug, Default)]
pub(super) struct Methods(HashMap<u32, String>);

impl Methods {
    /// Learns the methods that came since.
    pub(super) fn learn(&mut self, live: &Live) -> Result<()> {
        let map = live.map("methods")?;
        for key in map.keys() {
            let number = key.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
            if self.0.contains_key(&number) {
                continue;
            }
            let value = map.lookup(&key, MapFlags::ANY)?;
            if let Some(name) = value.and_then(|value| crate::bpf::read::<types::method_name>(&value)) {
                self.0.insert(number, text(&name.text).into_owned());
            }
        }
        Ok(())
    }

    /// The name of a method.
    pub(super) fn name(&self, number: u32) -> &str {
        fixed(number).or_else(|| self.0.get(&number).map(String::as_str)).unwrap_or(OTHER)
    }
}

/// The name of a record's method, which stands behind its path where the number does not tell it.
pub(super) fn of_record(number: u32, path: &[u8]) -> Cow<'_, str> {
    let behind = |path: &'_ [u8]| path.len().checked_sub(size_of::<types::method_name>());
    match fixed(number) {
        Some(name) => Cow::Borrowed(name),
        None if number < types::http_method::METHOD_NAMED.0 => Cow::Borrowed(OTHER),
        None => behind(path).and_then(|at| path.get(at..)).map_or(Cow::Borrowed(OTHER), text),
    }
}

/// A name out of the room that it does not fill.
fn text(room: &[u8]) -> Cow<'_, str> {
    let end = room.iter().position(|byte| *byte == 0).unwrap_or(room.len());
    String::from_utf8_lossy(room.get(..end).unwrap_or_default())
}

fn fixed(number: u32) -> Option<&'static str> {
    Some(match types::http_method(number) {
        types::http_method::METHOD_GET => "GET",
        types::http_method::METHOD_HEAD => "HEAD",
        types::http_method::METHOD_POST => "POST",
        types::http_method::METHOD_PUT => "PUT",
        types::http_method::METHOD_DELETE => "DELETE",
        types::http_method::METHOD_CONNECT => "CONNECT",
        types::http_method::METHOD_OPTIONS => "OPTIONS",
        types::http_method::METHOD_TRACE => "TRACE",
        types::http_method::METHOD_PATCH => "PATCH",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Methods;
    use super::of_record;

    #[test]
    fn a_record_has_the_name_that_its_number_does_not_tell() {
        let mut path = [0; 80];
        path[..2].copy_from_slice(b"/x");
        path[64..72].copy_from_slice(b"PROPFIND");
        assert_eq!(of_record(1, &path), "GET");
        assert_eq!(of_record(10, &path), "other");
        assert_eq!(of_record(77, &path), "PROPFIND");
        path[64..].copy_from_slice(b"ABCDEFGHIJKLMNOP");
        assert_eq!(of_record(255, &path), "ABCDEFGHIJKLMNOP");
    }

    #[test]
    fn a_number_that_was_not_learned_is_other() {
        assert_eq!(Methods::default().name(3), "POST");
        assert_eq!(Methods::default().name(99), "other");
    }
}
