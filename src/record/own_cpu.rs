//! ebrec's own CPU time in three parts: until the window begins, within it, and from its end on.

use crate::host::usage;
use crate::recording::Rows;
use crate::recording::column;

/// The name in `cost` rows about ebrec itself.
pub(super) const OURSELVES: &str = "ebrec";

/// CPU time of ebrec's process, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnCpu {
    /// Until the window began: loading and attaching.
    pub(super) start_ns: u64,
    /// From then on until the part of the window that is kept; not counted as within it.
    pub(super) before_ns: u64,
    /// Within the window, as far as it was written.
    pub(super) window_ns: u64,
    /// All of it when the window ended.
    at_end_ns: Option<u64>,
}

impl OwnCpu {
    /// Before the window begins.
    pub(super) fn until_the_window() -> OwnCpu {
        OwnCpu { start_ns: usage::cpu_ns(), ..OwnCpu::default() }
    }

    /// The window is over.
    pub(super) fn end_window(&mut self) {
        self.at_end_ns = Some(usage::cpu_ns());
    }

    /// What the window has taken since the call before.
    pub(super) fn in_interval(&mut self) -> u64 {
        let now = self.at_end_ns.unwrap_or_else(usage::cpu_ns);
        let more = now.saturating_sub(self.start_ns + self.window_ns);
        self.window_ns += more;
        more
    }

    /// What finishing has taken so far.
    pub(super) fn finish_ns(&self) -> u64 {
        usage::cpu_ns().saturating_sub(self.start_ns + self.before_ns + self.window_ns)
    }
}

/// Writes CPU time outside of the window: `cpu_start` or `cpu_finish`, with the window's begin or end as its time.
pub(super) fn write(op: &str, at_ns: u64, ns: u64, rows: &mut Rows) {
    let mut row = rows.row("cost");
    row.at(at_ns).text(column::NAME, OURSELVES).text(column::OP, op);
    row.int(column::SUM, i64::try_from(ns).unwrap_or(i64::MAX));
}
