//! Requests by route. Processes of one command are one: each request may come from another client.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Field;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::input::Which;
use crate::report::read::limit::Limit;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

/// About what a route takes in memory, and each process of it.
const ROUTE_BYTES: usize = 1024;
const PROCESS_BYTES: usize = 48;

/// The columns of a table of routes, whose first is `name`; those of [`Routes::put`] before the failed.
pub(super) fn fields(name: Field) -> Vec<Field> {
    let mut fields = vec![
        name,
        Field::new("method", "method"),
        Field::new("comm", "command"),
        Field::new("pid", "pid").help("If one process of the command asked or answered."),
        Field::new("processes", "processes").help("Processes of the command that asked or answered."),
        Field::new("side", "side").help("Which end of the connection the process is."),
    ];
    fields.extend(times::fields());
    fields
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

    /// Adds a row for each; `with_failed` adds the number of failed requests.
    ///
    /// # Errors
    /// Not all fitted into memory.
    pub(super) fn put(self, source: &Source, with_failed: bool, table: &mut Ranking) -> Result<()> {
        self.limit.check(source, "paths")?;
        let text = |text: &str| Value::from((!text.is_empty()).then_some(text));
        for ([name, method, comm, side], route) in &self.all {
            let only = route.processes.first().filter(|_| route.processes.len() == 1);
            let mut cells = vec![text(name), text(method), text(comm), Value::id(only.map(|which| which.pid))];
            cells.extend([Value::Int(whole(route.processes.len() as u64)), text(side)]);
            cells.extend(times::cells(&route.times));
            cells.extend(with_failed.then(|| Value::Int(whole(route.failed))));
            table.row(source, cells);
        }
        Ok(())
    }
}
