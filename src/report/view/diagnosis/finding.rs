//! A finding: one cause, who suffered, who is behind it, and what to type next.

use crate::render::Value;
use crate::report::read::processes::Owner;
use crate::report::table::cells::nanos;
use crate::report::table::columns::Columns;

/// One cause that a rule found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report::view) struct Finding {
    /// The rule that found it; set by [`super::findings`].
    pub(in crate::report::view) rule: &'static str,
    /// What people read in front of it.
    pub(in crate::report::view) resource: &'static str,
    /// How much it matters, from 0 to 1: the cause's part of all lost time, times the part of the window in which the victim was affected.
    pub(super) weight: f64,
    /// One to four sentences.
    pub(in crate::report::view) text: String,
    /// Who suffered.
    pub(super) victim: Owner,
    /// How long its threads waited, added up, in nanoseconds.
    pub(super) ns: u64,
    /// The same in hundredths of the time in which they were not idle.
    pub(super) percent: f64,
    /// How often.
    pub(super) count: u64,
    /// Who is behind it.
    pub(super) culprit: Option<Owner>,
    /// Everybody whom the text blames for having had what the victim waited for.
    pub(super) blamed: Vec<Owner>,
    /// How much of the contended resource it had, in hundredths.
    pub(super) culprit_percent: Option<f64>,
    /// What it says and of what program, without the process and the figures: findings of several processes that agree in it are one.
    pub(super) alike: Option<Alike>,
    /// Those who suffered from the same.
    pub(super) others: Vec<Owner>,
    /// The view that shows more, where that is not the rule's.
    pub(super) view: Option<&'static str>,
    /// The command that shows more.
    pub(in crate::report::view) next: String,
}

/// What findings have in common that differ in nothing but the process and the figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alike {
    /// The program: its command and script.
    pub(super) program: String,
    /// What it waited for, or did, and where.
    pub(super) what: String,
}

/// The columns of a finding.
pub(in crate::report::view) fn columns() -> Columns<Finding> {
    Columns::<Finding>::new()
        .column("rule", "rule", |finding| finding.rule)
        .help("The rule that found the cause. Names are stable.")
        .column("resource", "resource", |finding| finding.resource)
        .help("What was short or slow, in one or two words.")
        .column("weight", "weight", |finding| finding.weight)
        .help("Share of the victim's lost time that the cause explains, times the share of the window in which the victim lost time: 0 to 1.")
        .comm(|finding| &finding.victim)
        .help("Command of the process that lost most.")
        .pid(|finding| &finding.victim)
        .help("Its pid, if it is one process; short-lived processes are grouped by command.")
        .column("waited_ns", "time", |finding| nanos(finding.ns))
        .help("Time that its threads waited, added up.")
        .column("busy_pct", "of busy time", |finding| Value::Percent(finding.percent))
        .help("The same as a share of the time in which its threads were not idle.")
        .column("count", "waits", |finding| finding.count)
        .column("by_comm", "caused by", |finding| finding.culprit.as_ref().and_then(|culprit| culprit.comm.clone()))
        .help("Command of the process behind it.")
        .column("by_pid", "its pid", |finding| Value::id(finding.culprit.as_ref().and_then(|culprit| culprit.pid)))
        .column("by_pct", "of all use", |finding| finding.culprit_percent.map(Value::Percent))
        .help("Share of the resource that this process used: of a disk's time, or of the CPU time in use.")
        .column("text", "in words", |finding| finding.text.clone())
        .column("next", "next", |finding| finding.next.clone())
        .help("The command that shows more.")
}
