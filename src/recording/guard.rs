//! The boundary to the decoder: what panics inside it is an error outside.

use std::cell::Cell;
use std::fmt::Display;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Once;

use crate::recording::error::one_line;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs the decoder; its errors and its panics come back as one line.
///
/// parquet and arrow check most of what they decode, but not all: some contradictions in a hostile file still end in an
/// assertion or an index out of bounds. Nothing that was touched by a decoder that panicked is used again.
pub(crate) fn guard<T, E: Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What is caught here is told as an error; the default hook would print a trace over it.
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    QUIET.set(outer);
    match result {
        Ok(result) => result.map_err(|error| one_line(&error.to_string())),
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            Err(one_line(text.unwrap_or("it cannot be decoded")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn a_panic_becomes_an_error_of_one_line() {
        let empty: Vec<u8> = Vec::new();
        let result = guard(|| -> Result<u8, String> { Ok(empty[0]) });
        assert_eq!(result, Err("index out of bounds: the len is 0 but the index is 0".to_owned()));
        let result = guard(|| -> Result<u8, String> { Err("two\nlines".to_owned()) });
        assert_eq!(result, Err("two lines".to_owned()));
    }
}
