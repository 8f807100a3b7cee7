//! What names of functions say about a thread: the table in `names.txt`, which is easy to extend.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::glob;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;

/// The table, part of the program.
static TABLE: &str = include_str!("names.txt");

/// Frames from the innermost out that are looked at: what stands further out says what a program does, not what it waits for.
const DEPTH: usize = 24;

/// What the kernel is called as a module.
const KERNEL: &str = "[kernel]";

/// What a function says about the thread that sleeps or runs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// It waits for a lock that another thread holds.
    Lock,
    /// It waits for work.
    Idle,
    /// It tries to get a lock, and runs meanwhile.
    Spin,
    /// It waits for a file system that another process or machine serves.
    Filesystem,
    /// It waits until a file system is thawed.
    Frozen,
    /// It waits for room in a pipe, socket or terminal.
    Full,
    /// It waits for room in the queue of connections that a server has not accepted yet.
    Queue,
    /// It runs tasks of the program's own scheduler, whose waits for one another don't show.
    Tasks,
    /// It works in the kernel on what its program hardly knows that it asks for.
    Costly,
    /// It fills the page cache, or makes room in it.
    Refill,
    /// It waits for a device, or for what the kernel writes to one on its behalf.
    Device,
    /// It waits for something inside the kernel that is no device.
    Kernel,
    /// It waits for a page that another program has to supply.
    Pages,
    /// Nothing, whatever lines further down match.
    Plain,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
struct Line {
    class: Class,
    module: &'static str,
    function: &'static str,
    words: &'static str,
}

/// The lines that match a function, by its place in memory, which it keeps.
type Matching = HashMap<*const Function, (Rc<Function>, Vec<Line>)>;

/// The table, taken apart.
pub(super) struct Names {
    lines: Vec<Line>,
    /// Those of all functions so far: the same ones are in thousands of stacks.
    matching: RefCell<Matching>,
}

impl Names {
    /// Reads the table.
    pub(super) fn read() -> Names {
        Names { lines: TABLE.lines().filter_map(line).collect(), matching: RefCell::default() }
    }

    /// The innermost frame that one of the classes names: which, what people call it, and the place of the frame.
    pub(super) fn first(&self, frames: &[&Frame], classes: &[Class]) -> Option<(Class, &'static str, usize)> {
        let named = frames.iter().enumerate().take(DEPTH).filter(|(_, frame)| frame.unnamed.is_none());
        for (at, frame) in named {
            let mut matching = self.matching.borrow_mut();
            let known = matching.entry(Rc::as_ptr(&frame.function));
            let (_, lines) = known.or_insert_with(|| (Rc::clone(&frame.function), self.matching(&frame.function)));
            let found = lines.iter().find(|line| line.class == Class::Plain || classes.contains(&line.class));
            if let Some(line) = found.filter(|line| line.class != Class::Plain) {
                return Some((line.class, line.words, at));
            }
        }
        None
    }

    /// The innermost function of the kernel that a class names, of names alone, and what people call it.
    pub(super) fn of_kernel<'f>(
        &self,
        functions: impl IntoIterator<Item = &'f str>,
        class: Class,
    ) -> Option<(&'f str, &'static str)> {
        let line = |function: &str| {
            let matches = |line: &&Line| glob::matches(line.module, KERNEL) && glob::matches(line.function, function);
            self.lines.iter().find(|line| line.class == class && matches(line))
        };
        functions.into_iter().take(DEPTH).find_map(|function| Some((function, line(function)?.words)))
    }

    fn matching(&self, function: &Function) -> Vec<Line> {
        let module = file_name(&function.module);
        let matches = |line: &&Line| glob::matches(line.module, module) && glob::matches(line.function, &function.text);
        self.lines.iter().filter(matches).copied().collect()
    }
}

/// The last part of a module's path.
pub(super) fn file_name(module: &str) -> &str {
    module.rsplit('/').next().unwrap_or(module)
}

/// A line; nothing of a comment, and of a line that is none.
fn line(text: &'static str) -> Option<Line> {
    let (class, rest) = text.split_once(' ')?;
    let class = match class {
        "lock" => Class::Lock,
        "idle" => Class::Idle,
        "spin" => Class::Spin,
        "filesystem" => Class::Filesystem,
        "frozen" => Class::Frozen,
        "full" => Class::Full,
        "queue" => Class::Queue,
        "tasks" => Class::Tasks,
        "costly" => Class::Costly,
        "refill" => Class::Refill,
        "device" => Class::Device,
        "kernel-wait" => Class::Kernel,
        "pages" => Class::Pages,
        "plain" => Class::Plain,
        _ => return None,
    };
    let (module, rest) = rest.trim_start().split_once(' ')?;
    let (function, words) = rest.trim_start().split_once(' ')?;
    Some(Line { class, module, function, words: words.trim() })
}

#[cfg(test)]
mod tests {
    use super::Class;
    use super::Names;
    use super::TABLE;
    use crate::report::read::profile::Function;
    use crate::report::read::profile::Stacks;

    /// What the table says of a stack, innermost frame first, each `module function`.
    fn of(frames: &[&str]) -> Option<(Class, &'static str)> {
        let function = |frame: &&str| {
            let (module, text) = frame.split_once(' ').unwrap();
            Function { text: text.into(), module: module.into() }
        };
        let stacks = Stacks::of_functions(&[frames.iter().map(function).collect()]);
        let frames: Vec<_> = stacks.frames(None, Some(0)).collect();
        Names::read().first(&frames, &[Class::Lock, Class::Idle]).map(|(class, words, _)| (class, words))
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(Names::read().lines.len(), lines.count());
    }

    #[test]
    fn a_condition_variable_is_no_lock_but_the_gil_on_one_is() {
        let wait = "/lib/libc.so.6 pthread_cond_timedwait";
        assert_eq!(of(&[wait, "/srv/app worker", "/srv/app main"]), None);
        assert_eq!(of(&[wait, "/usr/bin/python3.11 take_gil"]), Some((Class::Lock, "the GIL")));
        assert_eq!(of(&["/lib/libc.so.6 pthread_mutex_lock", "/srv/app f"]), Some((Class::Lock, "a mutex")));
    }

    #[test]
    fn a_scheduler_of_the_programs_own_is_known_by_the_functions_that_it_sleeps_in() {
        let of = |frames: &[&str]| {
            let function = |frame: &&str| Function { text: (*frame).into(), module: "/srv/app".into() };
            let stacks = Stacks::of_functions(&[frames.iter().map(function).collect()]);
            let frames: Vec<_> = stacks.frames(None, Some(0)).collect();
            Names::read().first(&frames, &[Class::Tasks]).map(|(_, words, _)| words)
        };
        let idle = ["runtime.futex", "runtime.stopm", "runtime.findrunnable", "runtime.schedule", "runtime.mcall"];
        assert_eq!(of(&idle), Some("goroutines"));
        assert_eq!(of(&["tokio::runtime::park::Inner::park"]), Some("tasks"));
        assert_eq!(of(&["pthread_cond_wait", "worker"]), None);
    }

    #[test]
    fn the_end_of_a_lock_is_no_spinning() {
        let of = |name: &str, module: &str| {
            let stacks = Stacks::of_functions(&[vec![Function { text: name.into(), module: module.into() }]]);
            let frames: Vec<_> = stacks.frames(None, Some(0)).collect();
            Names::read().first(&frames, &[Class::Spin]).is_some()
        };
        assert!(of("native_queued_spin_lock_slowpath", "[kernel]") && of("spin_acquire", "/srv/app"));
        assert!(!of("_raw_spin_unlock_irqrestore", "[kernel]") && !of("spin_unlock", "/srv/app"));
    }

    #[test]
    fn a_backend_of_postgresql_waits_for_a_lock_or_for_its_client() {
        let wait = ["/lib/libc.so.6 epoll_wait", "/usr/lib/postgresql/15/bin/postgres WaitEventSetWait"];
        let lock =
            ["/usr/lib/postgresql/15/bin/postgres ProcSleep", "/usr/lib/postgresql/15/bin/postgres PostgresMain"];
        let client = ["/usr/lib/postgresql/15/bin/postgres secure_read"];
        assert_eq!(of(&[&wait[..], &lock[..]].concat()), Some((Class::Lock, "a table or row lock")));
        assert_eq!(of(&[&wait[..], &client[..]].concat()), Some((Class::Idle, "a client")));
    }
}
