//! Ids of processes: the machine's, by which the kernel's programs know them, and those of the PID namespace that this
//! process lives in, by which `/proc` and people there do.

use std::collections::HashMap;
use std::sync::RwLock;

/// Translates between the two; where they are the same it does nothing.
///
/// Ids are used again: what was heard last counts.
#[derive(Debug, Default)]
pub struct ProcessIds {
    /// `None`: this is the machine's own PID namespace.
    differ: Option<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    machine: HashMap<u32, u32>,
    here: HashMap<u32, u32>,
}

impl ProcessIds {
    /// Ids of the machine's own PID namespace.
    pub fn same() -> ProcessIds {
        ProcessIds { differ: None }
    }

    /// Ids of another namespace, of which nothing is known yet.
    pub fn other() -> ProcessIds {
        ProcessIds { differ: Some(RwLock::default()) }
    }

    /// Learns that the machine knows a process by one id and this namespace by another.
    pub fn learn(&self, machine: u32, here: u32) {
        let Some(Ok(mut known)) = self.differ.as_ref().map(RwLock::write) else { return };
        known.machine.insert(here, machine);
        known.here.insert(machine, here);
    }

    /// The machine's id of a process; `None` where there is no such process here.
    pub fn machine(&self, here: u32) -> Option<u32> {
        match &self.differ {
            None => Some(here),
            Some(known) => known.read().ok()?.machine.get(&here).copied(),
        }
    }

    /// The id here of a process, by which `/proc` has it; `None` for processes outside of this namespace.
    pub fn here(&self, machine: u32) -> Option<u32> {
        match &self.differ {
            None => Some(machine),
            Some(known) => known.read().ok()?.here.get(&machine).copied(),
        }
    }

    /// Whether the two differ.
    pub fn differ(&self) -> bool {
        self.differ.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessIds;

    #[test]
    fn in_the_machines_own_namespace_an_id_is_itself() {
        let ids = ProcessIds::same();
        assert_eq!((ids.machine(7), ids.here(7), ids.differ()), (Some(7), Some(7), false));
    }

    #[test]
    fn elsewhere_only_processes_that_were_heard_of_have_ids() {
        let ids = ProcessIds::other();
        ids.learn(4000, 1);
        assert_eq!((ids.machine(1), ids.here(4000)), (Some(4000), Some(1)));
        assert_eq!((ids.machine(4000), ids.here(1)), (None, None));
        ids.learn(5000, 1);
        assert_eq!(ids.machine(1), Some(5000));
    }
}
