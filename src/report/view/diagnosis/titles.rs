//! What servers write into their arguments about what they do: PostgreSQL's sessions say that they wait for a lock of a table or row.
//!
//! A session that waits throughout the window leaves a CPU at most once in it, so that no stack shows where it waits.

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

/// A server whose sessions say what they do.
struct Server {
    /// How their titles begin.
    begin: &'static str,
    /// How the title of a session ends that waits for a lock.
    waits: &'static str,
    /// What the title of a session has that may hold locks and does nothing.
    holds: &'static str,
}

/// PostgreSQL, `update_process_title` (on by default): src/backend/storage/lmgr/proc.c, `ProcSleep`, and src/backend/tcop/postgres.c.
const SERVERS: [Server; 1] = [Server { begin: "postgres: ", waits: " waiting", holds: "idle in transaction" }];

/// Waits of a session that waits throughout: one that the window began in, and one that it ended in.
const MOST_WAITS: u64 = 2;

/// Sessions of one server that were waiting for a lock when the window began, and waited on to its end.
pub(super) fn locks(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for server in &SERVERS {
        let (mut waiting, mut holding) = (Vec::new(), Vec::new());
        let mut rows = scene.source.rows("process");
        let argv = rows.text("argv");
        rows.each(|row| {
            let Some(title) = row.text(argv).and_then(|argv| server.title(argv)) else { return };
            let Some(who) = row.which().and_then(|which| scene.known(which)) else { return };
            if title.ends_with(server.waits) {
                waiting.push(who);
            } else if title.contains(server.holds) {
                holding.push(who);
            }
        })?;
        waiting.retain(|who| has_waited(scene, who));
        found.extend(finding(scene, &waiting, &holding));
    }
    Ok(found)
}

/// Whether a session did nothing but wait in the window. PostgreSQL wakes it once by a timer, `deadlock_timeout`, to look for a deadlock; one
/// that another session woke may have had its lock, and what its title said before is no news of then.
fn has_waited(scene: &Scene<'_>, who: &Who) -> bool {
    let Some(group) = scene.groups.get(who) else { return false };
    let own = || scene.waits.targets.iter().filter(|(key, _)| Some(key.which) == who.which);
    if own().next().is_none() {
        return group.of_all(|sort, _| matches!(sort, Sort::OnCpu | Sort::ForCpu)).ns == 0;
    }
    let is_session = |pid: i64| scene.known_by_id(pid).is_some_and(|waker| waker.name == who.name);
    let woken = own().any(|(_, target)| target.wakers.keys().any(|waker| is_session(waker.pid)));
    let open = own().any(|(_, target)| target.open_ns > 0);
    let waits = own().fold(0u64, |sum, (_, target)| sum.saturating_add(target.count));
    open && !woken && waits <= MOST_WAITS
}

impl Server {
    /// The title of a session out of its arguments as a shell takes them.
    fn title<'a>(&self, argv: &'a str) -> Option<&'a str> {
        let title = argv.strip_prefix('\'')?.split('\'').next()?;
        title.strip_prefix(self.begin).map(str::trim_end)
    }
}

fn finding(scene: &Scene<'_>, waiting: &[Who], holding: &[Who]) -> Option<Finding> {
    let first = waiting.first()?;
    let slept = |who: &Who| scene.groups.get(who).map_or(0, |group| group.of_all(|sort, _| sort != Sort::OnCpu).ns);
    let ns = waiting.iter().map(slept).fold(0, u64::saturating_add);
    let longest = waiting.iter().map(slept).max().unwrap_or(0);
    let sessions = match waiting.len() {
        1 => format!("{} waited", scene.call(first)),
        number => format!("{} and {} more sessions waited", scene.call(first), units::count(number as u64 - 1)),
    };
    let mut text = format!(
        "{sessions} for a table or row lock from before the window to its end, as their titles say: {} in all",
        units::duration(whole(ns))
    );
    match holding {
        [] => {}
        [one] => text.push_str(&format!(". {} is idle in a transaction, which keeps its locks", scene.call(one))),
        some => text.push_str(&format!(
            ". {} sessions are idle in transactions, which keep their locks: {} first",
            units::count(some.len() as u64),
            some.first().map(|who| scene.call(who)).unwrap_or_default()
        )),
    }
    Some(Finding {
        weight: (longest as f64 / scene.span_ns()).min(1.0),
        text: format!("{text}."),
        victim: scene.owner(first),
        ns,
        percent: 100.0,
        count: waiting.len() as u64,
        culprit: holding.first().filter(|_| holding.len() == 1).map(|who| scene.owner(who)),
        ..Finding::default()
    })
}

#[cfg(test)]
mod tests {
    use super::SERVERS;

    #[test]
    fn the_title_of_a_session_is_its_first_argument() {
        let [postgres] = SERVERS;
        let title = |argv| postgres.title(argv);
        assert_eq!(
            title("'postgres: app shop 10.0.0.7(4711) UPDATE waiting' '' ''"),
            Some("app shop 10.0.0.7(4711) UPDATE waiting")
        );
        assert_eq!(title("'postgres: checkpointer '"), Some("checkpointer"));
        assert_eq!(title("postgres -D /var/lib/postgresql"), None);
        assert_eq!(title("'psql: app' ''"), None);
    }
}
