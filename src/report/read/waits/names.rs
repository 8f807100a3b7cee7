//! What the targets of waits are called: the `wait_target` rows.

use std::net::IpAddr;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::waits::Key;
use crate::report::read::waits::Waits;

/// About what a name takes in memory beside its text.
const NAME_BYTES: usize = 80;

/// What a target is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// `/var/lib/data`, `tcp 127.0.0.1:5432`, `tcp port 80`.
    pub(crate) text: Rc<str>,
    /// The process at the other end, where that is on this machine.
    pub(crate) peer_pid: Option<i64>,
    /// A socket that takes connections.
    pub(crate) listens: bool,
}

/// Gives the targets their names.
pub(super) fn read(source: &Source, waits: &mut Waits, limit: &mut Limit) -> Result<()> {
    // A target may be named in another part of the window than the one that is shown.
    let mut rows = source.rows_of_all_times("wait_target");
    let (on, target, name) = (rows.text("wait_on"), rows.int("wait_target"), rows.text("wait_name"));
    let (state, peer) = (rows.text("state"), rows.int("wait_peer_pid"));
    let (sport, daddr, dport) = (rows.int("sport"), rows.text("daddr"), rows.int("dport"));
    rows.each(|row| {
        let (Some(which), Some(on)) = (row.which(), row.text(on)) else { return };
        let key = Key { which, on: Rc::from(on), target: row.int(target) };
        let Some(found) = waits.targets.get_mut(&key) else { return };
        let listens = row.text(state) == Some("listen");
        let text = match (row.text(name), row.text(daddr), row.int(dport)) {
            (Some(name), _, _) => name.to_owned(),
            (None, Some(address), Some(port)) => format!("{on} {}", end(address, port)),
            _ => match row.int(sport) {
                Some(port) => format!("{on} port {port}"),
                None => return,
            },
        };
        if limit.take(NAME_BYTES + text.len()) {
            found.name = Some(Name { text: Rc::from(text), peer_pid: row.int(peer), listens });
        }
    })
}

/// `127.0.0.1:5432`, `[::1]:80`.
fn end(address: &str, port: i64) -> String {
    match address.parse() {
        Ok(IpAddr::V6(_)) => format!("[{address}]:{port}"),
        _ => format!("{address}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn an_end_of_a_connection_is_written_as_in_a_url() {
        assert_eq!(end("127.0.0.1", 5432), "127.0.0.1:5432");
        assert_eq!(end("::1", 80), "[::1]:80");
        assert_eq!(end("ip-1", 80), "ip-1:80", "after `ebrec share`");
    }
}
