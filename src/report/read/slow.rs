//! Rows that can be slow, whatever their probe, by what the recording says of kinds and columns.

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;

use crate::recording::Counts;
use crate::recording::Longest;
use crate::recording::ProbeState;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::rows::Which;
use crate::report::table::cells::errno;
use crate::units;

/// Core columns that say what a row was; a probe's own begin with its name and come after them.
const TELLING: [&str; 11] =
    ["name", "op", "dev", "bytes", "state", "cause", "ret", "filename", "daddr", "dport", "waker_pid"];

/// Kinds, or rows of them by `op`, whose length is how long something lasted, which nobody waited for.
const LIVES: [(&str, &[&str]); 3] = [("file_short_lived", &[]), ("slice", &[]), ("tcp", &["close", "still open"])];

/// Whether a system call waits by design, where there is such a column.
const CLASS: &str = "syscall_class";

/// How long a thread that was woken waited for a CPU, where a kind has such a column.
const RUNNABLE: &str = "offcpu_runnable_ns";

/// What a column holds.
#[derive(Clone, Debug)]
struct Telling {
    name: String,
    title: String,
    unit: Option<String>,
}

/// A kind of rows of a probe with a threshold.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// The value of the column `kind`.
    pub(crate) name: String,
    probe: String,
    /// What the probe takes for slow, in nanoseconds.
    pub(crate) slow_ns: i64,
    columns: Vec<Telling>,
}

/// The kinds of the probes that stream what is slow.
pub(crate) fn kinds(source: &Source) -> Vec<Kind> {
    let meta = source.meta();
    let threshold = |probe: &ProbeState| probe.settings.get("slow_ns").and_then(serde_json::Value::as_i64);
    let kind = |kind: &crate::recording::KindMeta| {
        let probe = kind.probe.as_deref()?;
        let state = meta.probes.iter().find(|state| state.name == probe && !state.hooks.is_empty())?;
        let slow_ns = threshold(state).filter(|_| state.mode != "hist")?;
        let own = format!("{probe}_");
        let telling = |name: &str| TELLING.contains(&name) || (name.starts_with(&own) && !name.ends_with("_id"));
        let mut columns: Vec<Telling> = meta
            .columns
            .iter()
            .filter(|column| telling(&column.name))
            .map(|column| Telling { name: column.name.clone(), title: column.title.clone(), unit: column.unit.clone() })
            .collect();
        columns.sort_by_key(|column| TELLING.iter().position(|name| *name == column.name).unwrap_or(TELLING.len()));
        Some(Kind { name: kind.name.clone(), probe: probe.to_owned(), slow_ns, columns })
    };
    // A kind without rows says nothing, and a recording names the kinds of all probes.
    let wanted = |name: &str| !LIVES.contains(&(name, &[]));
    let has_rows = |name: &str| source.recording().kinds().iter().any(|(own, rows)| own == name && *rows > 0);
    meta.kinds.iter().filter(|kind| wanted(&kind.name) && has_rows(&kind.name)).filter_map(kind).collect()
}

/// One event that was slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlowEvent {
    /// How long it took, in nanoseconds.
    pub(crate) dur_ns: i64,
    /// When it ended, in nanoseconds since the window's start.
    pub(crate) at: i64,
    /// The place of its kind among those of the recording.
    pub(crate) place: usize,
    /// Its kind.
    pub(crate) kind: String,
    /// The probe that saw it.
    pub(crate) probe: String,
    /// Whose it was.
    pub(crate) which: Option<Which>,
    /// Its thread.
    pub(crate) tid: Option<i64>,
    /// Its command.
    pub(crate) comm: Option<String>,
    /// Where it ended.
    pub(crate) cpu: Option<i64>,
    /// The device that it was about.
    pub(crate) dev: Option<String>,
    /// Process and thread that ended it, where it is a wait that another ended.
    waker: Option<(i64, i64)>,
    /// How much of it, at its end, the thread could have run; `None` where all of it is such a wait.
    runnable_ns: Option<i64>,
    /// The kernel's and the program's stack.
    pub(crate) stacks: [Option<i64>; 2],
    /// What else its row says.
    facts: Vec<Fact>,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    column: String,
    title: String,
    text: String,
    pid: Option<i64>,
}

impl Ord for SlowEvent {
    fn cmp(&self, other: &SlowEvent) -> Ordering {
        let key = |event: &SlowEvent| (event.dur_ns, Reverse(event.at), event.place, event.tid);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for SlowEvent {
    fn partial_cmp(&self, other: &SlowEvent) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Kind {
    /// `block_io 10.0 ms`.
    pub(crate) fn threshold(&self) -> String {
        format!("{} {}", self.name, units::duration(self.slow_ns))
    }

    /// The slow rows of the kind that the filters let through.
    pub(crate) fn rows<'a>(&'a self, source: &'a Source) -> Rows<'a> {
        self.slow(source.rows(&self.name))
    }

    /// The same whatever the filters by process.
    pub(crate) fn rows_of_all_processes<'a>(&'a self, source: &'a Source) -> Rows<'a> {
        self.slow(source.rows_of_all_processes(&self.name))
    }

    /// Of the kind's rows those as long as its probe's threshold, since a raw recording has the fast ones too. A sleep that its thread
    /// chose, or that lasts until others have something to say, is not slow, nor is a life.
    fn slow<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let lives = LIVES.iter().find(|(kind, _)| *kind == self.name).map_or(&[][..], |(_, ops)| *ops);
        let rows = rows.at_least(self.slow_ns).without("state", &["idle", "sleeping"]).without(CLASS, &["wait"]);
        if lives.is_empty() { rows } else { rows.without("op", lives) }
    }

    /// Calls `visit` for every one of these rows, which are of the kind, or those that may be among the longest, and counts them.
    pub(crate) fn each<'a>(
        &'a self,
        mut rows: Rows<'a>,
        longest: Option<&Longest>,
        mut visit: impl FnMut(&KindRow<'_>),
    ) -> Result<Counts> {
        let columns = KindColumns::of(&mut rows, &self.columns);
        rows.longest(longest, |row| visit(&KindRow { row, columns: &columns }))
    }

    /// Whether any row of the kind has a stack.
    pub(crate) fn has_stacks(&self, source: &Source) -> bool {
        source.recording().has_values(&self.name, &["kstack_id", "ustack_id"])
    }

    /// The event that a row is.
    pub(crate) fn event(&self, place: usize, row: &KindRow<'_>) -> Option<SlowEvent> {
        let KindRow { row, columns } = row;
        let facts = self.columns.iter().zip(&columns.telling);
        let facts = facts.filter_map(|(column, (int, text))| column.fact(row.int(*int), row.text(*text)));
        Some(SlowEvent {
            dur_ns: row.dur()?,
            at: row.at()?,
            place,
            kind: self.name.clone(),
            probe: self.probe.clone(),
            which: row.which(),
            tid: row.int(columns.tid),
            comm: row.comm().map(str::to_owned),
            cpu: row.int(columns.cpu),
            dev: row.text(columns.dev).map(str::to_owned),
            waker: row.int(columns.waker_pid).zip(row.int(columns.waker_tid)),
            runnable_ns: row.int(columns.runnable),
            stacks: [row.int(columns.kernel), row.int(columns.user)],
            facts: facts.collect(),
        })
    }
}

/// The slowest events of one recording.
pub(crate) struct Found {
    /// The slowest first.
    pub(crate) events: Vec<SlowEvent>,
    /// How many there are.
    pub(crate) all: u64,
    /// How many sleeps there are beside them that last by design.
    pub(crate) by_design: u64,
}

/// Finds the slowest events of these kinds, at most so many.
pub(crate) fn slowest(source: &Source, kinds: &[Kind], most: usize) -> Result<Found> {
    let mut heap: BinaryHeap<Reverse<SlowEvent>> = BinaryHeap::new();
    let longest = Longest::new(most);
    let (mut all, mut by_design) = (0u64, 0u64);
    for (at, kind) in kinds.iter().enumerate() {
        let found = kind.each(kind.rows(source), longest.as_ref(), |row| {
            let Some(dur_ns) = row.row.dur() else { return };
            let full = heap.len() >= most;
            if full && heap.peek().is_none_or(|Reverse(least)| least.dur_ns >= dur_ns) {
                return;
            }
            heap.extend(kind.event(at, row).map(Reverse));
            if heap.len() > most {
                heap.pop();
            }
        })?;
        (all, by_design) = (all.saturating_add(found.passed), by_design.saturating_add(found.left_out));
    }
    let events = heap.into_sorted_vec().into_iter().map(|Reverse(event)| event).collect();
    Ok(Found { events, all, by_design })
}

/// The columns of a kind that are read.
struct KindColumns {
    cpu: IntColumn,
    tid: IntColumn,
    kernel: IntColumn,
    user: IntColumn,
    waker_pid: IntColumn,
    waker_tid: IntColumn,
    runnable: IntColumn,
    dev: TextColumn,
    /// A column is of numbers or of text; asked for as the other it is null.
    telling: Vec<(IntColumn, TextColumn)>,
}

impl KindColumns {
    fn of<'a>(rows: &mut Rows<'a>, telling: &'a [Telling]) -> KindColumns {
        KindColumns {
            cpu: rows.int("cpu"),
            tid: rows.int("tid"),
            kernel: rows.int("kstack_id"),
            user: rows.int("ustack_id"),
            waker_pid: rows.int("waker_pid"),
            waker_tid: rows.int("waker_tid"),
            runnable: rows.int(RUNNABLE),
            dev: rows.text("dev"),
            telling: telling.iter().map(|column| (rows.int(&column.name), rows.text(&column.name))).collect(),
        }
    }
}

/// One row of a kind.
pub(crate) struct KindRow<'a> {
    pub(crate) row: &'a Row<'a>,
    columns: &'a KindColumns,
}

impl KindRow<'_> {
    /// Its thread.
    pub(crate) fn tid(&self) -> Option<i64> {
        self.row.int(self.columns.tid)
    }

    /// Where it ended.
    pub(crate) fn cpu(&self) -> Option<i64> {
        self.row.int(self.columns.cpu)
    }

    /// The device that it was about.
    pub(crate) fn dev(&self) -> Option<&str> {
        self.row.text(self.columns.dev)
    }
}

impl Telling {
    fn fact(&self, number: Option<i64>, text: Option<&str>) -> Option<Fact> {
        let is_pid = self.name.ends_with("_pid");
        let text = match (number, text, self.unit.as_deref()) {
            (_, Some(text), _) if !text.is_empty() => text.to_owned(),
            // What a call gave back says something only when it is an error.
            (Some(ret), _, _) if self.name == "ret" => (ret < 0).then(|| errno(ret))?,
            (Some(ns), _, Some("ns")) => units::duration(ns),
            (Some(bytes), _, Some("bytes")) => units::bytes(bytes.unsigned_abs()),
            (Some(bytes), ..) if self.name == "bytes" => units::bytes(bytes.unsigned_abs()),
            (Some(number), ..) => number.to_string(),
            _ => return None,
        };
        let mut letters = self.title.chars();
        // In a sentence; a title that is an abbreviation stays as it is.
        let small = letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
        let capitals = self.title.chars().take(2).all(char::is_uppercase);
        let title = if capitals { self.title.clone() } else { small };
        Some(Fact { column: self.name.clone(), title, text, pid: number.filter(|_| is_pid) })
    }
}

impl SlowEvent {
    /// When it began, in nanoseconds since the window's start.
    pub(crate) fn begin(&self) -> i64 {
        self.at.saturating_sub(self.dur_ns)
    }

    /// Process and thread that ended it, where it is a wait that another ended.
    pub(crate) fn waker(&self) -> Option<(i64, i64)> {
        self.waker
    }

    /// When the waker called, in nanoseconds since the window's start. A wait for a CPU begins with that.
    pub(crate) fn woken_at(&self) -> i64 {
        self.runnable_ns.map_or(self.begin(), |runnable_ns| self.at.saturating_sub(runnable_ns).max(self.begin()))
    }

    /// `block io write`.
    pub(crate) fn what(&self) -> String {
        let more = self.facts.iter().filter(|fact| matches!(fact.column.as_str(), "op" | "name"));
        let words = std::iter::once(self.kind.replace('_', " ")).chain(more.map(|fact| fact.text.clone()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// `device vda; bytes 256 KiB; time in queue 15.6 ms`.
    pub(crate) fn facts(&self) -> String {
        // An error has a column of its own in some kinds.
        let twice = |fact: &Fact| {
            fact.column == "ret" && self.facts.iter().any(|other| other.column != "ret" && other.text == fact.text)
        };
        let facts = self.facts.iter().filter(|fact| !matches!(fact.column.as_str(), "op" | "name") && !twice(fact));
        let mut words: Vec<String> = facts.map(|fact| format!("{} {}", fact.title, fact.text)).collect();
        if let (Some(cpu), true) = (self.cpu, self.dev.is_none()) {
            words.insert(0, format!("CPU {cpu}"));
        }
        words.join("; ")
    }

    /// Gives the processes that the row names by number their names, and drops what then says the same twice.
    pub(crate) fn name_processes(&mut self, processes: &ProcessTable) {
        let named: Vec<(String, String)> = self
            .facts
            .iter()
            .filter_map(|fact| Some((fact.column.strip_suffix("_pid")?.to_owned(), fact.text.clone())))
            .collect();
        let comm_of = |stem: &str| {
            let column = format!("{stem}_comm");
            self.facts.iter().find(|fact| fact.column == column).map(|fact| fact.text.clone())
        };
        let comms: Vec<Option<String>> = named.iter().map(|(stem, _)| comm_of(stem)).collect();
        for fact in &mut self.facts {
            let stem = fact.column.strip_suffix("_pid");
            let at = stem.and_then(|stem| named.iter().position(|(own, _)| own == stem));
            if let (Some(pid), Some(at)) = (fact.pid, at) {
                fact.text = processes.call(pid, comms.get(at).and_then(Option::as_deref));
            }
        }
        let twice = |fact: &Fact| {
            let stem = fact.column.strip_suffix("_comm").or_else(|| fact.column.strip_suffix("_tid"));
            stem.is_some_and(|stem| named.iter().any(|(own, _)| own == stem))
        };
        self.facts.retain(|fact| !twice(fact));
    }
}
