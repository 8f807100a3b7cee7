//! Who the processes of a recording are: every one that a row describes, starts or ends, short-lived ones included.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::report::read::aggregate::Dim;
use crate::report::read::aside::Aside;
use crate::report::read::folding::Folding;
use crate::report::read::folding::RowPer;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::rows::Which;

/// What the recording says about a process. Times are nanoseconds since the window's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessInfo {
    /// Its id in its own PID namespace, where that is another.
    pub(crate) ns_pid: Option<i64>,
    /// Parent.
    pub(crate) ppid: Option<i64>,
    /// User.
    pub(crate) uid: Option<i64>,
    /// Command name, the last that was seen.
    pub(crate) comm: Option<Rc<str>>,
    /// Container id.
    pub(crate) container: Option<Rc<str>>,
    /// Unit of systemd.
    pub(crate) unit: Option<Rc<str>>,
    /// UID of the pod.
    pub(crate) pod: Option<Rc<str>>,
    /// When it was forked; `None` before the window.
    pub(crate) started: Option<i64>,
    /// When it ended; `None` after the window.
    pub(crate) ended: Option<i64>,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// How long it lived in all, where its end was seen.
    pub(crate) lifetime_ns: Option<i64>,
    /// CPU time that the kernel accounts to it, where its end was seen.
    pub(crate) cpu_ns: Option<i64>,
    /// Largest resident set in bytes, where its end was seen.
    pub(crate) max_rss: Option<i64>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// By itself, with this exit status.
    Status(i64),
    /// By this signal.
    Signal(String),
}

impl End {
    /// Reads the columns `exit_code` and `name` of an `exit` row.
    pub(crate) fn of(exit_code: Option<i64>, signal: Option<&str>) -> Option<End> {
        match (exit_code, signal) {
            (Some(status), _) => Some(End::Status(status)),
            (None, Some(signal)) => Some(End::Signal(signal.to_owned())),
            (None, None) => None,
        }
    }

    /// As a person writes it: `0`, `127`, `SIGKILL`.
    pub(crate) fn text(&self) -> String {
        match self {
            End::Status(status) => status.to_string(),
            End::Signal(signal) => signal.clone(),
        }
    }

    /// Whether it is not success.
    pub(crate) fn failed(&self) -> bool {
        self != &End::Status(0)
    }
}

/// Whose a row of a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The command.
    pub(crate) comm: Option<String>,
    /// The process.
    pub(crate) pid: Option<i64>,
}

/// The processes of one recording by process id and start.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessTable(BTreeMap<Which, ProcessInfo>);

impl ProcessTable {
    /// Reads them out of the rows `process`, `fork`, `exec` and `exit`, whatever the filters: names are needed for all.
    pub(crate) fn of(source: &Source) -> Result<ProcessTable> {
        ProcessTable::with(source, |_, _| {})
    }

    /// The same, with their arguments: they are long, and most views can do without them.
    pub(crate) fn with_arguments(source: &Source) -> Result<(ProcessTable, Aside<Which>)> {
        let mut arguments = Aside::default();
        let processes = ProcessTable::with(source, |which, argv| arguments.put(which, argv))?;
        Ok((processes, arguments))
    }

    fn with(source: &Source, mut arguments: impl FnMut(Which, &str)) -> Result<ProcessTable> {
        let mut processes = Census { processes: BTreeMap::new(), limit: Limit::new() };
        let mut rows = source.rows_of_all_times("process");
        let (origin, ns_pid) = (Origin::of(&mut rows), rows.int("ns_pid"));
        let (argv, container) = (rows.text("argv"), rows.text("container"));
        let (unit, pod) = (rows.text("unit_name"), rows.text("pod"));
        rows.each(|row| {
            let Some((info, limit)) = processes.entry(row.which()) else { return };
            origin.set(info, row);
            set(&mut info.ns_pid, row.int(ns_pid));
            set_text(limit, &mut info.comm, row.comm());
            set_text(limit, &mut info.container, row.text(container));
            set_text(limit, &mut info.unit, row.text(unit));
            set_text(limit, &mut info.pod, row.text(pod));
            if let (Some(which), Some(argv)) = (row.which(), row.text(argv)) {
                arguments(which, argv);
            }
        })?;
        let mut rows = source.rows_of_all_times("fork");
        let origin = Origin::of(&mut rows);
        rows.each(|row| {
            let Some((info, limit)) = processes.entry(row.which()) else { return };
            origin.set(info, row);
            // The child bears its parent's name until it runs a program of its own.
            if info.comm.is_none() {
                set_text(limit, &mut info.comm, row.comm());
            }
            set(&mut info.started, row.at());
        })?;
        let mut rows = source.rows_of_all_times("exec");
        let (origin, argv) = (Origin::of(&mut rows), rows.text("argv"));
        rows.each(|row| {
            let Some((info, limit)) = processes.entry(row.which()) else { return };
            origin.set(info, row);
            set_text(limit, &mut info.comm, row.comm());
            if let (Some(which), Some(argv)) = (row.which(), row.text(argv)) {
                arguments(which, argv);
            }
        })?;
        let mut rows = source.rows_of_all_times("exit");
        let (origin, exit_code, signal) = (Origin::of(&mut rows), rows.int("exit_code"), rows.text("name"));
        let (cpu_ns, max_rss) = (rows.int("process_cpu_ns"), rows.int("process_max_rss_bytes"));
        rows.each(|row| {
            let Some((info, limit)) = processes.entry(row.which()) else { return };
            origin.set(info, row);
            set_text(limit, &mut info.comm, row.comm());
            info.end = End::of(row.int(exit_code), row.text(signal));
            set(&mut info.ended, row.at());
            set(&mut info.lifetime_ns, row.dur());
            set(&mut info.cpu_ns, row.int(cpu_ns));
            set(&mut info.max_rss, row.int(max_rss));
        })?;
        processes.limit.check(source, "processes")?;
        Ok(ProcessTable(processes.processes))
    }

    /// One process.
    pub(crate) fn one(&self, which: &Which) -> Option<&ProcessInfo> {
        self.0.get(which)
    }

    /// The process that had an id, if only one had it.
    pub(crate) fn get(&self, pid: i64) -> Option<&ProcessInfo> {
        let mut all = self.having(pid).map(|(_, info)| info);
        all.next().filter(|_| all.next().is_none())
    }

    /// The process that had an id when another was started: a parent.
    pub(crate) fn at_start(&self, pid: i64, start_ns: Option<i64>) -> Option<Which> {
        self.having(pid).map(|(which, _)| *which).take_while(|which| which.start_ns <= start_ns).last()
    }

    /// All that had an id, by their starts.
    fn having(&self, pid: i64) -> impl Iterator<Item = (&Which, &ProcessInfo)> {
        self.0.range(Which { pid, start_ns: None }..=Which { pid, start_ns: Some(i64::MAX) })
    }

    /// The command name of the process that had an id, if only one had it.
    pub(crate) fn comm(&self, pid: i64) -> Option<&str> {
        self.get(pid)?.comm.as_deref()
    }

    /// The name of the process of a row, whatever its thread is called; the row's own where the process is not known.
    pub(crate) fn of_row<'a>(&'a self, row: &Row<'a>) -> Option<&'a str> {
        self.name(row.which()).or(row.comm())
    }

    /// The last name of a process. One whose start the recording does not know has to be the only one with its id.
    pub(crate) fn name(&self, which: Option<Which>) -> Option<&str> {
        let which = which?;
        self.one(&which).or_else(|| self.get(which.pid))?.comm.as_deref()
    }

    /// The name of a process that figures are broken down by: its last, or what it was called then.
    pub(crate) fn of_dims<'a>(&'a self, pid: &Dim, comm: &'a Dim) -> Option<&'a str> {
        self.name(pid.process()).or(comm.text())
    }

    /// The process that figures are broken down by.
    pub(crate) fn owner(&self, pid: &Dim, comm: &Dim) -> Owner {
        Owner { comm: self.of_dims(pid, comm).map(str::to_owned), pid: pid.int() }
    }

    /// The same, of several groups: the last name of the process, or the one that they came with.
    pub(crate) fn or_owner(&self, pid: &Dim, comm: Option<String>) -> Owner {
        Owner { comm: self.name(pid.process()).map(str::to_owned).or(comm), pid: pid.int() }
    }

    /// The process of a row.
    pub(crate) fn owner_of(&self, row: &Row<'_>) -> Owner {
        Owner { comm: self.of_row(row).map(str::to_owned), pid: row.pid() }
    }

    /// Which of them share rows of tables.
    pub(crate) fn folding(&self, per: RowPer) -> Folding {
        let lives = self.iter().filter_map(|(which, info)| Some((which, info.comm.clone()?, info.lifetime_ns)));
        Folding::of(lives, per)
    }

    /// All of them, by process id and start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Which, &ProcessInfo)> {
        self.0.iter().map(|(which, info)| (*which, info))
    }

    /// `make (4200)`, or `process 4200` when nothing names it, `comm` neither; process 0 is the kernel's idle thread.
    pub(crate) fn call(&self, pid: i64, comm: Option<&str>) -> String {
        match self.comm(pid).or(comm) {
            _ if pid == 0 => "idle".to_owned(),
            Some(comm) => format!("{comm} ({pid})"),
            None => format!("process {pid}"),
        }
    }
}

/// The columns that say whose child a process is, and whose it is.
pub(crate) struct Origin {
    /// Parent.
    pub(crate) ppid: IntColumn,
    /// User.
    pub(crate) uid: IntColumn,
    /// What its process is called.
    pub(crate) process: TextColumn,
}

impl Origin {
    /// Reads them.
    pub(crate) fn of(rows: &mut Rows<'_>) -> Origin {
        Origin { ppid: rows.int("ppid"), uid: rows.int("uid"), process: rows.text("process") }
    }

    fn set(&self, info: &mut ProcessInfo, row: &Row<'_>) {
        set(&mut info.ppid, row.int(self.ppid));
        set(&mut info.uid, row.int(self.uid));
    }
}

/// ProcessTable while they are counted.
struct Census {
    processes: BTreeMap<Which, ProcessInfo>,
    limit: Limit,
}

impl Census {
    /// The entry of a process, with the limit for its names; `None` without room for another.
    fn entry(&mut self, which: Option<Which>) -> Option<(&mut ProcessInfo, &mut Limit)> {
        match self.processes.entry(which?) {
            Entry::Occupied(known) => Some((known.into_mut(), &mut self.limit)),
            Entry::Vacant(new) => {
                let fits = self.limit.take(2 * size_of::<ProcessInfo>());
                fits.then(|| (new.insert(ProcessInfo::default()), &mut self.limit))
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
