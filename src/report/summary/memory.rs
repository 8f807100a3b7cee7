//! What the summary says of memory: nothing, unless it was short.

use anyhow::Result;

use crate::report::metrics;
use crate::report::paper::whole;
use crate::report::source::Source;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::sum;
use crate::units;

/// Lines on OOM kills and on stalls.
pub(super) fn lines(source: &Source) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    let mut kills = 0u64;
    let mut victims: Vec<String> = Vec::new();
    source.rows("oom", &["memory_anon_rss_bytes"], &[], |row| {
        kills += 1;
        if victims.len() < 3 {
            let size = row.int(0).and_then(|bytes| u64::try_from(bytes).ok());
            let size = size.map(|bytes| format!(", {}", units::bytes(bytes))).unwrap_or_default();
            victims.push(format!("{} ({}{size})", row.comm().unwrap_or("?"), row.pid().unwrap_or(0)));
        }
    })?;
    if kills > 0 {
        let more = if kills > victims.len() as u64 { ", …" } else { "" };
        let text = format!("{} killed because memory ran out: {}{more}", units::count(kills), victims.join(", "));
        lines.push(("OOM kills".to_owned(), text));
    }
    let kinds = [(metrics::RECLAIM, "to free memory"), (metrics::COMPACTION, "to move memory together")];
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
