//! What to record, as plain data: the command line fills it, [`crate::record::record`] carries it out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::events::spec::Written;
use crate::probe::Mode;

/// Everything one recording is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlan {
    /// Length of the window; `None` is 10 s, or until `command` ends when there is one.
    pub window: Option<Duration>,
    /// How much of the window is kept: the newest so long; `None`: all.
    pub last: Option<Duration>,
    /// The trigger that ends the window, as it was written.
    pub until: Option<String>,
    /// How long the window goes on after the trigger has fired.
    pub after: Duration,
    /// The file to write; `None` is `run.parquet` or the next free `run-N.parquet`.
    pub output: Option<PathBuf>,
    /// Whether an existing `output` is replaced.
    pub force: bool,
    /// Which probes run, and how.
    pub probes: ProbeSelection,
    /// Custom events.
    pub events: Vec<Written>,
    /// Which processes are recorded.
    pub filters: Filters,
    /// The command to run inside the window; empty when there is none.
    pub command: Vec<OsString>,
    /// With a command: record the whole machine and not only the command and its descendants.
    pub system_wide: bool,
    /// How often histograms and counters are read out of the kernel; `None` adapts to the length of the window.
    pub interval: Option<Duration>,
    /// Most bytes of the finished file; the window ends before it would be larger.
    pub max_size: Option<u64>,
    /// Whether rows of events are thinned, so that the window is whole, before it is ended for the size.
    pub thin_to_size: bool,
    /// What recording may cost, in millionths of one CPU; probes are thinned to hold it.
    pub max_overhead_ppm: Option<u32>,
    /// Total size of the ring buffers of all CPUs, in bytes.
    pub buffer_bytes: u64,
    /// Kernel memory for the unwind tables of programs, in bytes; 0: user stacks are followed by frame pointers alone.
    pub unwind_bytes: u64,
    /// Whether functions that the compiler inlined are frames of stacks, which reads debug information.
    pub inlines: bool,
    /// Whether the caller prints the findings when the window is over.
    pub report: bool,
    /// How much is said on stderr.
    pub verbosity: Verbosity,
    /// Columns of the terminal that standard error is, if it is one.
    pub columns: Option<usize>,
}

/// The window without `-d` and without a command.
const DEFAULT_WINDOW: Duration = Duration::from_secs(10);

impl RecordPlan {
    /// How long the window is; `None` where the command, or who records, ends it.
    pub fn length(&self) -> Option<Duration> {
        self.window.or((self.command.is_empty() && self.last.is_none()).then_some(DEFAULT_WINDOW))
    }
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings, and progress on a terminal.
    #[default]
    Normal,
    /// Also what was loaded and attached.
    Verbose,
    /// Also what libbpf says.
    Debug,
}

/// The probes of a recording: a starting set and the changes to it, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSelection {
    /// The set that the requests change.
    pub base: ProbeBase,
    /// Probes named by the user: added to the base set, or set up otherwise than by default when the set holds them already.
    pub requests: Vec<ProbeRequest>,
    /// Names of probes taken out of the base set.
    pub removed: Vec<String>,
}

/// The set of probes that a selection starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeBase {
    /// The probes that run when none is named: `+http,-cpu`, or no `-p` at all.
    #[default]
    Default,
    /// Only the probes that are named: `block,sched:raw`.
    Listed,
    /// Every probe: `all`, `all,-cpu`.
    All,
}

impl ProbeSelection {
    /// Bytes of all ring buffers, unless the user says: more where rows of every event may come. The default set fills a small part of them
    /// even beside storms of forks and switches, and they are resident as long as the window lasts.
    pub fn buffer_bytes(&self, has_events: bool) -> u64 {
        let streams = |request: &ProbeRequest| {
            request.mode == Some(Mode::Raw) || request.settings.iter().any(|(key, _)| key == Mode::Slow.name())
        };
        if has_events || self.base == ProbeBase::All || self.requests.iter().any(streams) { 32 << 20 } else { 16 << 20 }
    }
}

/// One probe as the user asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// The probe's name, not yet checked against the registry.
    pub name: String,
    /// The mode asked for; `None` is the probe's own default.
    pub mode: Option<Mode>,
    /// Settings as `(key, value)`, not yet checked against the probe: `block:slow=5ms` gives `("slow", "5ms")`.
    pub settings: Vec<(String, String)>,
}

/// Which processes a recording takes in; lists that are empty let everything pass, lists that are not must all match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Process ids.
    pub pids: Vec<u32>,
    /// Exact command names, as the kernel shortens them (15 bytes).
    pub comms: Vec<String>,
    /// Control groups, by path below the cgroup mount or by absolute path.
    pub cgroups: Vec<String>,
    /// Containers, by id or unambiguous start of it.
    pub containers: Vec<String>,
    /// Users.
    pub users: Vec<User>,
    /// Whether what matches takes its later descendants with it.
    pub follow: bool,
}

impl Default for Filters {
    fn default() -> Filters {
        Filters {
            pids: Vec::new(),
            comms: Vec::new(),
            cgroups: Vec::new(),
            containers: Vec::new(),
            users: Vec::new(),
            follow: true,
        }
    }
}

/// A user as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name, to be looked up on the recorded machine.
    Name(String),
}
