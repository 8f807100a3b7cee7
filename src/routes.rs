//! Routes: what many paths of a web server have in common, so that requests can be kept by it.

/// Bytes of a path that a recording keeps; bpf/http/conn.h has the same number.
const PATH_BYTES: usize = 80;

/// What stands for a part of a path that only names one thing of many.
const ID: &str = "{id}";
/// From this length on a part of hexadecimal digits is the name of a thing: 32 bits of a hash, a UUID.
const LEAST_HEX: usize = 8;

/// The route of a path: numbers, UUIDs and hashes between its slashes become `{id}`, a query is left out, and so is the last
/// part of a path that was cut off at 80 bytes. The kernel folds alike: bpf/http/route.h.
pub fn fold(path: &str) -> String {
    let end = path.find(['?', '#']);
    let cut = end.is_none() && path.len() >= PATH_BYTES;
    let parts = path.get(..end.unwrap_or(path.len())).unwrap_or(path).split('/');
    let mut folded: Vec<&str> = parts.map(|part| if is_id(part.as_bytes()) { ID } else { part }).collect();
    if let Some(last) = folded.last_mut().filter(|_| cut) {
        *last = "…";
    }
    folded.join("/")
}

fn is_id(part: &[u8]) -> bool {
    let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
    let hex = part.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    digits > 0 && (digits == part.len() || (hex && part.len() >= LEAST_HEX))
}

#[cfg(test)]
mod tests {
    use super::PATH_BYTES;
    use super::fold;

    #[test]
    fn what_names_one_thing_of_many_is_folded() {
        assert_eq!(fold("/users/1234/orders"), "/users/{id}/orders");
        assert_eq!(fold("/o/550e8400-e29b-41d4-a716-446655440000"), "/o/{id}");
        assert_eq!(fold("/blob/DEADBEEF00/raw?x=1"), "/blob/{id}/raw");
        assert_eq!(fold("/7"), "/{id}");
    }

    #[test]
    fn what_names_a_route_stays() {
        for path in ["/", "", "*", "/v1/report", "/facade/decade", "/a1b2", "/2.html", "//", "/api/", "host:443"] {
            assert_eq!(fold(path), path);
        }
    }

    #[test]
    fn a_path_that_was_cut_off_loses_the_part_that_may_not_be_whole() {
        let path = format!("/long/{}", "x".repeat(PATH_BYTES - 6));
        assert_eq!(fold(&path), "/long/…");
    }
}
