//! Who the processes of a recording are: every one that a row describes, starts or ends, short-lived ones included.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::aside::Aside;
use crate::report::read::input::Row;
use crate::report::read::input::Source;
use crate::report::read::input::Which;
use crate::report::read::limit::Limit;

/// A process as far as the recording knows it. Times are nanoseconds since the window's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Person {
    /// Its id in its own PID namespace, where that is another.
    pub(in crate::report) ns_pid: Option<i64>,
    /// Parent.
    pub(in crate::report) ppid: Option<i64>,
    /// User.
    pub(in crate::report) uid: Option<i64>,
    /// Command name, the last that was seen.
    pub(in crate::report) comm: Option<Rc<str>>,
    /// Container id.
    pub(in crate::report) container: Option<Rc<str>>,
    /// When it was forked; `None` before the window.
    pub(in crate::report) started: Option<i64>,
    /// When it ended; `None` after the window.
    pub(in crate::report) ended: Option<i64>,
    /// How it ended.
    pub(in crate::report) end: Option<End>,
    /// How long it lived in all, where its end was seen.
    pub(in crate::report) lifetime_ns: Option<i64>,
    /// CPU time that the kernel accounts to it, where its end was seen.
    pub(in crate::report) cpu_ns: Option<i64>,
    /// Largest resident set in bytes, where its end was seen.
    pub(in crate::report) max_rss: Option<i64>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::report) enum End {
    /// By itself, with this exit status.
    Status(i64),
    /// By this signal.
    Signal(String),
}

impl End {
    /// Reads the columns `exit_code` and `name` of an `exit` row.
    pub(in crate::report) fn of(exit_code: Option<i64>, signal: Option<&str>) -> Option<End> {
        match (exit_code, signal) {
            (Some(status), _) => Some(End::Status(status)),
            (None, Some(signal)) => Some(End::Signal(signal.to_owned())),
            (None, None) => None,
        }
    }

    /// As a person writes it: `0`, `127`, `SIGKILL`.
    pub(in crate::report) fn text(&self) -> String {
        match self {
            End::Status(status) => status.to_string(),
            End::Signal(signal) => signal.clone(),
        }
    }

    /// Whether it is not success.
    pub(in crate::report) fn failed(&self) -> bool {
        self != &End::Status(0)
    }
}

/// The processes of one recording by process id and start.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct People(BTreeMap<Which, Person>);

impl People {
    /// Reads them out of the rows `process`, `fork`, `exec` and `exit`, whatever the filters: names are needed for all.
    pub(in crate::report) fn of(source: &Source) -> Result<People> {
        People::with(source, |_, _| {})
    }

    /// The same, with their arguments: they are long, and most views can do without them.
    pub(in crate::report) fn with_arguments(source: &Source) -> Result<(People, Aside<Which>)> {
        let mut arguments = Aside::default();
        let people = People::with(source, |which, argv| arguments.put(which, argv))?;
        Ok((people, arguments))
    }

    fn with(source: &Source, mut arguments: impl FnMut(Which, &str)) -> Result<People> {
        let mut people = Census { people: BTreeMap::new(), limit: Limit::new() };
        source.rows_of_all_times("process", &["ppid", "uid", "ns_pid"], &["argv", "container"], |row| {
            let Some((person, limit)) = people.person(row.which()) else { return };
            set(&mut person.ppid, row.int(0));
            set(&mut person.uid, row.int(1));
            set(&mut person.ns_pid, row.int(2));
            set_text(limit, &mut person.comm, row.comm());
            set_text(limit, &mut person.container, row.text(1));
            if let (Some(which), Some(argv)) = (row.which(), row.text(0)) {
                arguments(which, argv);
            }
        })?;
        source.rows_of_all_times("fork", &["ppid", "uid"], &[], |row| {
            let Some((person, limit)) = people.person(row.which()) else { return };
            set(&mut person.ppid, row.int(0));
            set(&mut person.uid, row.int(1));
            // The child bears its parent's name until it runs a program of its own.
            if person.comm.is_none() {
                set_text(limit, &mut person.comm, row.comm());
            }
            set(&mut person.started, row.at());
        })?;
        source.rows_of_all_times("exec", &["ppid", "uid"], &["argv"], |row| {
            let Some((person, limit)) = people.person(row.which()) else { return };
            set(&mut person.ppid, row.int(0));
            set(&mut person.uid, row.int(1));
            set_text(limit, &mut person.comm, row.comm());
            if let (Some(which), Some(argv)) = (row.which(), row.text(0)) {
                arguments(which, argv);
            }
        })?;
        let figures = ["ppid", "uid", "exit_code", "process_cpu_ns", "process_max_rss_bytes"];
        source.rows_of_all_times("exit", &figures, &["name"], |row| {
            let Some((person, limit)) = people.person(row.which()) else { return };
            set(&mut person.ppid, row.int(0));
            set(&mut person.uid, row.int(1));
            set_text(limit, &mut person.comm, row.comm());
            person.end = End::of(row.int(2), row.text(0));
            set(&mut person.ended, row.at());
            set(&mut person.lifetime_ns, row.dur());
            set(&mut person.cpu_ns, row.int(3));
            set(&mut person.max_rss, row.int(4));
        })?;
        people.limit.check(source, "processes")?;
        Ok(People(people.people))
    }

    /// One process.
    pub(in crate::report) fn one(&self, which: &Which) -> Option<&Person> {
        self.0.get(which)
    }

    /// The process that had an id, if only one had it.
    pub(in crate::report) fn get(&self, pid: i64) -> Option<&Person> {
        let mut all = self.having(pid).map(|(_, person)| person);
        all.next().filter(|_| all.next().is_none())
    }

    /// The process that had an id when another was started: a parent.
    pub(in crate::report) fn at_start(&self, pid: i64, start_ns: Option<i64>) -> Option<Which> {
        self.having(pid).map(|(which, _)| *which).take_while(|which| which.start_ns <= start_ns).last()
    }

    /// All that had an id, by their starts.
    fn having(&self, pid: i64) -> impl Iterator<Item = (&Which, &Person)> {
        self.0.range(Which { pid, start_ns: None }..=Which { pid, start_ns: Some(i64::MAX) })
    }

    /// The command name of the process that had an id, if only one had it.
    pub(in crate::report) fn comm(&self, pid: i64) -> Option<&str> {
        self.get(pid)?.comm.as_deref()
    }

    /// The name of the process of a row, which the row has itself or its process id leads to.
    pub(in crate::report) fn of_row<'a>(&'a self, row: &Row<'a>) -> Option<&'a str> {
        row.comm().or_else(|| self.one(&row.which()?)?.comm.as_deref())
    }

    /// The last name of a process. One whose start the recording does not know has to be the only one with its id.
    pub(in crate::report) fn name(&self, which: Option<Which>) -> Option<&str> {
        let which = which?;
        self.one(&which).or_else(|| self.get(which.pid))?.comm.as_deref()
    }

    /// The name of a process that figures are broken down by: its last, or what it was called then.
    pub(in crate::report) fn of_dims<'a>(&'a self, pid: &Dim, comm: &'a Dim) -> Option<&'a str> {
        self.name(pid.process()).or(comm.text())
    }

    /// What tables of single events begin with: when it ended, how long it took, what it was, whose it was.
    pub(in crate::report) fn event_cells(&self, row: &Row<'_>, what: Option<&str>) -> Vec<Value> {
        let (at, comm) = (row.at().map_or(Value::Null, Value::Time), self.of_row(row));
        vec![at, Value::nanos(row.dur()), Value::from(what), Value::from(comm), Value::id(row.pid())]
    }

    /// All of them, by process id and start.
    pub(in crate::report) fn iter(&self) -> impl Iterator<Item = (Which, &Person)> {
        self.0.iter().map(|(which, person)| (*which, person))
    }

    /// `make (4200)`, or `process 4200` when nothing names it; process 0 is the kernel's idle thread.
    pub(in crate::report) fn call(&self, pid: i64, comm: Option<&str>) -> String {
        match comm.or_else(|| self.comm(pid)) {
            _ if pid == 0 => "idle".to_owned(),
            Some(comm) => format!("{comm} ({pid})"),
            None => format!("process {pid}"),
        }
    }
}

/// People while they are counted.
struct Census {
    people: BTreeMap<Which, Person>,
    limit: Limit,
}

impl Census {
    /// The entry of a process, with the limit for its names; `None` without room for another.
    fn person(&mut self, which: Option<Which>) -> Option<(&mut Person, &mut Limit)> {
        match self.people.entry(which?) {
            Entry::Occupied(known) => Some((known.into_mut(), &mut self.limit)),
            Entry::Vacant(new) => {
                let fits = self.limit.take(2 * size_of::<Person>());
                fits.then(|| (new.insert(Person::default()), &mut self.limit))
            }
        }
    }
}

fn set(field: &mut Option<i64>, value: Option<i64>) {
    if value.is_some() {
        *field = value;
    }
}

fn set_text(limit: &mut Limit, field: &mut Option<Rc<str>>, value: Option<&str>) {
    if let Some(value) = value
        && field.as_deref() != Some(value)
    {
        *field = Some(limit.name(value));
    }
}
