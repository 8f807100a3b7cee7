//! What a report keeps in memory of one recording: a bounded amount, whatever a stranger's file holds.

use std::collections::HashSet;
use std::rc::Rc;

use anyhow::Result;

use crate::failure::Failure;
use crate::report::read::input::Source;

/// Bytes that one pass over a recording may keep; several passes have theirs at a time, and all are to be 256 MiB.
const MOST: usize = 48 << 20;

/// The room that is left, and the names that were kept so far, each once.
#[derive(Debug)]
pub(crate) struct Limit {
    left: Option<usize>,
    names: HashSet<Rc<str>>,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit::new()
    }
}

impl Limit {
    /// Starts with all the room there is.
    pub(crate) fn new() -> Limit {
        Limit::of(MOST)
    }

    /// Starts with room for so many bytes.
    pub(crate) fn of(bytes: usize) -> Limit {
        Limit { left: Some(bytes), names: HashSet::new() }
    }

    /// Takes room for one thing of about `bytes`; once there is too little, there is none for anything.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        self.left.is_some()
    }

    /// Gives back what was taken for one thing that is no longer kept.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_add(bytes));
    }

    /// Keeps a name; without room it is empty.
    pub(crate) fn name(&mut self, name: &str) -> Rc<str> {
        if let Some(known) = self.names.get(name) {
            return Rc::clone(known);
        }
        // The text, its two counters, and its place in the set.
        let kept: Rc<str> = if self.take(name.len() + 48) { Rc::from(name) } else { Rc::from("") };
        self.names.insert(Rc::clone(&kept));
        kept
    }

    /// Fails when something found no room, since what was kept is then not all.
    pub(crate) fn check(&self, source: &Source, what: &str) -> Result<()> {
        if self.left.is_some() {
            return Ok(());
        }
        let path = source.recording().path().display();
        let failure = Failure::run(format!("'{path}' holds more {what} than fit into memory"));
        Err(failure.hint("narrow it with --from and --to, or to one process with --pid").into())
    }
}

#[cfg(test)]
mod tests {
    use super::Limit;
    use super::MOST;
    use std::rc::Rc;

    #[test]
    fn a_name_is_kept_once() {
        let mut limit = Limit::new();
        assert!(Rc::ptr_eq(&limit.name("a"), &limit.name("a")));
    }

    #[test]
    fn what_does_not_fit_stays_out_and_so_does_all_that_follows() {
        let mut limit = Limit::new();
        assert!(limit.take(MOST - 100) && !limit.take(200) && !limit.take(1));
        assert_eq!(&*limit.name("late"), "");
    }
}
