//! What the summary says of memory: nothing, unless it was short.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::table::cells::whole;
use crate::units;

/// Commands that are named as killed.
const KILLED: usize = 3;
/// About what a command takes in memory, and each process of it.
const COMMAND_BYTES: usize = 128;

/// The processes of one command that were killed: the largest had `bytes`.
#[derive(Default)]
struct Killed {
    pid: Option<i64>,
    count: u64,
    bytes: Option<u64>,
}

/// `5 killed because memory ran out: worker (4 processes, largest 900 MiB), make (4200, 16.0 MiB)`.
fn kills(source: &Source) -> Result<Option<(String, String)>> {
    let mut all = 0u64;
    let mut by: BTreeMap<Rc<str>, Killed> = BTreeMap::new();
    let mut limit = Limit::new();
    let mut rows = source.rows("oom");
    let anon_rss = rows.int("memory_anon_rss_bytes");
    rows.each(|row| {
        let comm = limit.name(row.comm().unwrap_or("?"));
        if !by.contains_key(&comm) && !limit.take(COMMAND_BYTES) {
            return;
        }
        all += 1;
        let killed = by.entry(comm).or_default();
        killed.count += 1;
        killed.pid = killed.pid.or(row.pid());
        killed.bytes = killed.bytes.max(row.int(anon_rss).and_then(|bytes| u64::try_from(bytes).ok()));
    })?;
    limit.check(source, "commands")?;
    let mut by: Vec<(Rc<str>, Killed)> = by.into_iter().collect();
    by.sort_by_key(|(_, killed)| Reverse(killed.count));
    let words = by.iter().take(KILLED).map(|(comm, killed)| {
        let size = |prefix: &str| killed.bytes.map(|bytes| format!(", {prefix}{}", units::bytes(bytes)));
        match killed.count {
            1 => format!("{comm} ({}{})", killed.pid.unwrap_or(0), size("").unwrap_or_default()),
            several => format!("{comm} ({} processes{})", units::count(several), size("largest ").unwrap_or_default()),
        }
    });
    let words: Vec<String> = words.collect();
    let more = if by.len() > KILLED { ", …" } else { "" };
    let text = format!("{} killed because memory ran out: {}{more}", units::count(all), words.join(", "));
    Ok((all > 0).then(|| ("OOM kills".to_owned(), text)))
}

/// Lines on OOM kills and on stalls.
pub(super) fn lines(source: &Source) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    lines.extend(kills(source)?);
    let kinds = [(metrics::RECLAIM, "to free memory"), (metrics::COMPACTION, "to compact memory")];
    let tally = Tally::of(source, &[], |name| kinds.iter().any(|(metric, _)| *metric == name))?;
    let mut stalls: Vec<String> = Vec::new();
    for (metric, what) in kinds.iter().filter(|(metric, _)| tally.has(metric)) {
        let times = tally.total(metric)?;
        let longest = times.max().map_or_else(String::new, |ns| format!(", longest {}", units::duration(whole(ns))));
        let (time, number) = (units::duration(whole(sum(&times))), count(&times));
        let noun = if number == 1 { "stall" } else { "stalls" };
        stalls.push(format!("{time} in {} {noun} {what}{longest}", units::count(number)));
    }
    if !stalls.is_empty() {
        lines.push(("memory".to_owned(), stalls.join("; ")));
    }
    Ok(lines)
}
