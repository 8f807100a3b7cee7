//! Process names, by process id, as they were last heard.

use std::collections::HashMap;

/// The names of the processes in scope. A process that has ended keeps its name until its id is used again, because
/// aggregates that name it are drained later than it ends.
#[derive(Debug, Default)]
pub struct Names {
    by_pid: HashMap<u32, Box<str>>,
}

impl Names {
    /// Notes that the process `pid` is now called `comm`.
    pub fn set(&mut self, pid: u32, comm: &str) {
        match self.by_pid.get_mut(&pid) {
            Some(known) if **known == *comm => {}
            Some(known) => *known = comm.into(),
            None => {
                self.by_pid.insert(pid, comm.into());
            }
        }
    }

    /// What the process `pid` was last called, if it was ever heard of.
    pub fn get(&self, pid: u32) -> Option<&str> {
        self.by_pid.get(&pid).map(|comm| &**comm)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn a_process_that_changes_its_name_is_called_by_the_last_one() {
        let mut names = Names::default();
        names.set(7, "sh");
        names.set(7, "true");
        assert_eq!(names.get(7), Some("true"));
        assert_eq!(names.get(8), None);
    }
}
