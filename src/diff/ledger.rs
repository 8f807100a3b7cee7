//! What the quantities of the time ledger are called.

use crate::report::read::metrics;

/// How the ledger's metrics begin.
pub(super) const LEDGER: &str = "ledger.";
/// Time on a CPU, by process.
pub(super) const ON_CPU: &str = "ledger.on_cpu";
/// Time runnable but waiting for a CPU, by process.
pub(super) const RUNNABLE: &str = "ledger.runnable";
/// Time in an uninterruptible wait, by process and cause.
pub(super) const BLOCKED: &str = "ledger.blocked";
/// Time in an interruptible wait, by process and cause.
pub(super) const ASLEEP: &str = "ledger.asleep";

/// The ledger's names for the time of a metric whose sums are not compared, where the ledger has it.
pub(super) fn spent_in(metric: &str) -> &'static [&'static str] {
    match metric {
        metrics::ON_CPU | metrics::SLICE => &[ON_CPU],
        metrics::RUN_QUEUE => &[RUNNABLE],
        metrics::OFF_CPU => &[BLOCKED, ASLEEP],
        _ => &[],
    }
}
