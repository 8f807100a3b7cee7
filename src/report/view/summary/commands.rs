//! The processes that matter, by command: CPU time, waiting for a CPU, disk I/O and starts in one table.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Which;
use crate::report::table::cells::bytes;
use crate::report::table::cells::nanos;
use crate::report::table::cells::share;
use crate::report::table::columns::Columns;

/// About what a command takes in memory, and each process of it.
const COMMAND_BYTES: usize = 160;
const PROCESS_BYTES: usize = 40;

/// All processes of one command.
#[derive(Default)]
struct Command {
    processes: BTreeSet<Which>,
    starts: u64,
    cpu_ns: u64,
    wait_ns: u64,
    io: u64,
    io_bytes: u64,
    io_ns: u64,
}

impl Command {
    fn figures(&self) -> [u64; 4] {
        [self.cpu_ns, self.wait_ns, self.io_ns, self.starts]
    }
}

const METRICS: [&str; 4] = [metrics::ON_CPU, metrics::RUN_QUEUE, metrics::BLOCK_SIZE, metrics::BLOCK_DEVICE];

/// A command in the table; what was not recorded is not zero.
pub(super) struct CommandRow {
    name: String,
    /// Where the command has one process only.
    pid: Option<i64>,
    processes: u64,
    starts: u64,
    cpu_ns: Option<u64>,
    span_ns: i64,
    wait_ns: Option<u64>,
    io: Option<u64>,
    io_bytes: Option<u64>,
    io_ns: Option<u64>,
}

pub(super) fn columns() -> Columns<CommandRow> {
    Columns::<CommandRow>::new()
        .column("comm", "command", |row| row.name.clone())
        .column("pid", "pid", |row| Value::id(row.pid))
        .help("Pid, if the command has only one process.")
        .column("processes", "processes", |row| row.processes)
        .help("Processes of this command that did anything in the window.")
        .column("starts", "starts", |row| row.starts)
        .help("Processes of this command that started in the window.")
        .column("cpu_ns", "CPU time", |row| row.cpu_ns.map(nanos))
        .column("cpu_pct", "of a CPU", |row| row.cpu_ns.map(|ns| share(ns as f64, row.span_ns as f64)))
        .help("CPU time as a share of one CPU.")
        .column("runqueue_ns", "waited", |row| row.wait_ns.map(nanos))
        .help("Time that its threads waited for a CPU, added up.")
        .column("io", "I/O", |row| row.io)
        .help("Disk requests.")
        .column("io_bytes", "I/O size", |row| row.io_bytes.map(bytes))
        .column("io_ns", "I/O time", |row| row.io_ns.map(nanos))
        .help("Time of its disk requests in the device, added up.")
}

/// A row per command, those that matter most, by CPU time; and how many were left out.
///
/// A command matters by its largest share of anything: all CPU time, all waiting, all I/O time, all starts.
pub(super) fn rows(source: &Source, processes: &ProcessTable, most: usize) -> Result<(Vec<CommandRow>, u64)> {
    let (commands, measured) = commands(source, processes)?;
    let mut totals = [0u64; 4];
    for command in commands.values() {
        for (total, own) in totals.iter_mut().zip(command.figures()) {
            *total = total.saturating_add(own);
        }
    }
    let weight = |command: &Command| {
        let shares = command.figures().into_iter().zip(totals).map(|(own, total)| own as f64 / total.max(1) as f64);
        shares.fold(0.0, f64::max)
    };
    let mut ranked: Vec<(&String, &Command)> = commands.iter().filter(|(_, command)| weight(command) > 0.0).collect();
    ranked.sort_by(|a, b| weight(b.1).total_cmp(&weight(a.1)));
    let left_out = ranked.len().saturating_sub(most) as u64;
    ranked.truncate(most);
    ranked.sort_by_key(|(_, command)| std::cmp::Reverse((command.cpu_ns, command.io_ns, command.starts)));
    let rows = ranked.into_iter().map(|(name, command)| row(source, name, command, measured));
    Ok((rows.collect(), left_out))
}

/// Which of [`METRICS`] the recording has: what was not recorded is not zero.
type Measured = [bool; 4];

fn commands(source: &Source, processes: &ProcessTable) -> Result<(BTreeMap<String, Command>, Measured)> {
    let tally = Tally::totals_of(source, &["pid", "comm"], |name| METRICS.contains(&name))?;
    let mut commands: BTreeMap<String, Command> = BTreeMap::new();
    let mut limit = Limit::new();
    tally.each(|dims, by| {
        let process = dims.first().and_then(Dim::process);
        // The process's own name, so that its threads' names do not scatter it.
        let own = processes.name(process).or_else(|| dims.get(1).and_then(Dim::text)).unwrap_or("?");
        if !commands.contains_key(own) && !limit.take(COMMAND_BYTES + own.len()) {
            return;
        }
        let command = commands.entry(own.to_owned()).or_default();
        if process.is_some_and(|process| command.processes.insert(process)) {
            limit.take(PROCESS_BYTES);
        }
        for (metric, histogram) in by.iter() {
            match metric {
                metrics::ON_CPU => command.cpu_ns = command.cpu_ns.saturating_add(sum(histogram)),
                metrics::RUN_QUEUE => command.wait_ns = command.wait_ns.saturating_add(sum(histogram)),
                metrics::BLOCK_DEVICE => command.io_ns = command.io_ns.saturating_add(sum(histogram)),
                _ => {
                    command.io = command.io.saturating_add(count(histogram));
                    command.io_bytes = command.io_bytes.saturating_add(sum(histogram));
                }
            }
        }
    })?;
    limit.check(source, "commands")?;
    for (which, info) in processes.iter() {
        let in_time = info.started.is_some_and(|at| at >= source.begin_ns() && at < source.end_ns());
        let Some(comm) = info.comm.as_deref().filter(|comm| in_time && source.shows(which.pid, Some(comm), None, None))
        else {
            continue;
        };
        let command = commands.entry(comm.to_owned()).or_default();
        command.starts += 1;
        command.processes.insert(which);
    }
    Ok((commands, METRICS.map(|metric| tally.has(metric))))
}

fn row(source: &Source, name: &str, command: &Command, measured: Measured) -> CommandRow {
    let only = command.processes.first().filter(|_| command.processes.len() == 1);
    let [cpu, wait, size, device] = measured;
    CommandRow {
        name: name.to_owned(),
        pid: only.map(|which| which.pid),
        processes: command.processes.len() as u64,
        starts: command.starts,
        cpu_ns: cpu.then_some(command.cpu_ns),
        span_ns: source.span_ns(),
        wait_ns: wait.then_some(command.wait_ns),
        io: size.then_some(command.io),
        io_bytes: size.then_some(command.io_bytes),
        io_ns: device.then_some(command.io_ns),
    }
}
