//! Requests by route. Processes of one command are one: each request may come from another client.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Which;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times::Times;

/// About what a route takes in memory, and each process of it.
const ROUTE_BYTES: usize = 1024;
const PROCESS_BYTES: usize = 48;

/// A route in a table.
pub(super) struct RouteRow {
    pub(super) name: String,
    method: String,
    comm: String,
    /// If one process of the command asked or answered.
    pid: Option<i64>,
    processes: u64,
    side: String,
    times: Times,
    pub(super) failed: u64,
}

impl Columns<RouteRow> {
    /// Adds all but its name.
    pub(super) fn route(self) -> Columns<RouteRow> {
        self.column("method", "method", |row| some(&row.method))
            .column("comm", "command", |row| some(&row.comm))
            .column("pid", "pid", |row| Value::id(row.pid))
            .help("Its pid, if only one process of the command asked or answered.")
            .column("processes", "processes", |row| row.processes)
            .help("Processes of the command that asked or answered.")
            .column("side", "side", |row| some(&row.side))
            .help("Which end of the connection the process is.")
            .times(|row| &row.times)
    }
}

/// What a route is told from others by: its name, method, command and side.
pub(super) type Key<'a> = [&'a str; 4];

/// The requests of one route.
#[derive(Default)]
pub(super) struct Route {
    processes: BTreeSet<Which>,
    pub(super) times: Histogram,
    pub(super) failed: u64,
}

/// All routes of a recording, as many as fit into memory.
pub(super) struct Routes {
    all: BTreeMap<[Rc<str>; 4], Route>,
    limit: Limit,
}

impl Routes {
    pub(super) fn new() -> Routes {
        Routes { all: BTreeMap::new(), limit: Limit::new() }
    }

    /// The route, which this process asked for or answered; none where it does not fit into memory.
    pub(super) fn of(&mut self, key: Key<'_>, which: Option<Which>) -> Option<&mut Route> {
        let limit = &mut self.limit;
        let key = key.map(|part| limit.name(part));
        if !self.all.contains_key(&key) && !limit.take(ROUTE_BYTES) {
            return None;
        }
        let route = self.all.entry(key).or_default();
        if let Some(which) = which
            && !route.processes.contains(&which)
            && limit.take(PROCESS_BYTES)
        {
            route.processes.insert(which);
        }
        Some(route)
    }

    /// Adds a row for each.
    ///
    /// # Errors
    /// Not all fitted into memory.
    pub(super) fn put(self, source: &Source, table: &mut Ranking<RouteRow>) -> Result<()> {
        self.limit.check(source, "paths")?;
        for (key, route) in &self.all {
            let [name, method, comm, side] = key.each_ref().map(|part| part.to_string());
            let only = route.processes.first().filter(|_| route.processes.len() == 1);
            table.row(
                source,
                &RouteRow {
                    name,
                    method,
                    comm,
                    pid: only.map(|which| which.pid),
                    processes: route.processes.len() as u64,
                    side,
                    times: Times::of(&route.times),
                    failed: route.failed,
                },
            );
        }
        Ok(())
    }
}
