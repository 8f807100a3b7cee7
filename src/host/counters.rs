//! The kernel's counters of trouble, from the files of `/proc` and of cgroups: pure, so that any machine's text can be tried.
//!
//! A counter grows from the start of the machine, namespace or cgroup; what it grew by in a window is the reader's business.

use std::fmt;

/// A counter that is wanted out of a file, and what it is called in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Its word in the file.
    pub word: &'static str,
    /// What is measured: its unit, and how many of them one of the file's is.
    pub unit: Unit,
}

/// The unit of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Events, pages, packets.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds in the file, nanoseconds in the recording.
    Microseconds,
}

impl Unit {
    /// Its short name in a recording.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Nanoseconds | Unit::Microseconds => "ns",
        }
    }

    fn scaled(self, value: u64) -> u64 {
        match self {
            Unit::Microseconds => value.saturating_mul(1000),
            Unit::Bytes | Unit::Count | Unit::Nanoseconds => value,
        }
    }
}

/// A counter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What it is called: the name of its file or table, and its word there.
    pub name: Name,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: u64,
}

/// What a counter is called in a recording: `TcpExt.ListenOverflows`, `cpu.nr_throttled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    table: &'static str,
    word: &'static str,
}

impl Name {
    /// A word of a table.
    pub const fn new(table: &'static str, word: &'static str) -> Name {
        Name { table, word }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.word)
    }
}

const fn count(word: &'static str) -> Wanted {
    Wanted { word, unit: Unit::Count }
}

/// `cpu.stat` of a cgroup of either version; version 1 has `throttled_time` in nanoseconds.
pub const CPU_STAT: [Wanted; 4] = [
    count("nr_periods"),
    count("nr_throttled"),
    Wanted { word: "throttled_usec", unit: Unit::Microseconds },
    Wanted { word: "throttled_time", unit: Unit::Nanoseconds },
];

/// `memory.events` of a cgroup of version 2.
pub const MEMORY_EVENTS: [Wanted; 4] = [count("high"), count("max"), count("oom"), count("oom_kill")];

/// `pids.events` of a cgroup of either version.
pub const PIDS_EVENTS: [Wanted; 1] = [count("max")];

/// `/proc/vmstat`: swapping, page faults that read a disk, pages that are read back soon after they were given up, kills.
pub const VMSTAT: [Wanted; 8] = [
    count("pswpin"),
    count("pswpout"),
    count("pgmajfault"),
    count("workingset_refault_anon"),
    count("workingset_refault_file"),
    count("allocstall_normal"),
    count("allocstall_movable"),
    count("oom_kill"),
];

/// `/proc/PID/net/netstat` and `snmp`, by the table that a line belongs to: connections and packets that were lost, and why.
pub const NETWORK: [(&str, &[Wanted]); 5] = [
    (
        "TcpExt",
        &[
            count("ListenOverflows"),
            count("ListenDrops"),
            count("TCPReqQFullDrop"),
            count("TCPReqQFullDoCookies"),
            count("TCPBacklogDrop"),
            count("TCPRcvQDrop"),
            count("PruneCalled"),
            count("RcvPruned"),
            count("TCPRcvCollapsed"),
            count("TCPToZeroWindowAdv"),
            count("TCPWantZeroWindowAdv"),
            count("DelayedACKs"),
            count("TCPTimeouts"),
            count("TCPSynRetrans"),
            count("TCPLostRetransmit"),
            count("TCPAbortOnTimeout"),
            count("TCPAbortOnMemory"),
            count("TCPTimeWaitOverflow"),
            count("TCPMemoryPressures"),
        ],
    ),
    ("Tcp", &[count("RetransSegs"), count("OutSegs"), count("AttemptFails"), count("EstabResets")]),
    ("Udp", &[count("RcvbufErrors"), count("SndbufErrors"), count("MemErrors")]),
    ("Udp6", &[count("RcvbufErrors"), count("SndbufErrors")]),
    ("Ip", &[count("InDiscards"), count("OutDiscards"), count("OutNoRoutes"), count("ReasmFails")]),
];

/// Reads lines of a word and a number.
pub fn keyed(table: &'static str, text: &str, wanted: &[Wanted]) -> Vec<Counter> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(word, value)| counter(table, wanted, word, value))
        .collect()
}

/// Reads the tables of `/proc/net/netstat` and `snmp`: a line of words and one of numbers, both begun by the table's name.
pub fn tables(text: &str, wanted: &[(&'static str, &'static [Wanted])]) -> Vec<Counter> {
    let mut counters = Vec::new();
    let mut lines = text.lines();
    while let (Some(words), Some(values)) = (lines.next(), lines.next()) {
        let (Some((table, words)), Some((same, values))) = (words.split_once(':'), values.split_once(':')) else {
            continue;
        };
        let Some((table, wanted)) = wanted.iter().find(|(name, _)| *name == table && table == same) else { continue };
        let pairs = words.split_ascii_whitespace().zip(values.split_ascii_whitespace());
        counters.extend(pairs.filter_map(|(word, value)| counter(table, wanted, word, value)));
    }
    counters
}

fn counter(table: &'static str, wanted: &[Wanted], word: &str, value: &str) -> Option<Counter> {
    let Wanted { word, unit } = wanted.iter().find(|wanted| wanted.word == word)?;
    Some(Counter { name: Name::new(table, word), unit: *unit, value: unit.scaled(value.trim().parse().ok()?) })
}

/// Reads a pressure file: how long some threads, and all, were held up in all.
///
/// Source: `Documentation/accounting/psi.rst`.
pub fn pressure(table: &'static str, text: &str) -> Vec<Counter> {
    let total = |line: &str| line.rsplit_once("total=")?.1.trim().parse().ok();
    let of = |word: &'static str| {
        let line = text.lines().find(|line| line.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))?;
        let unit = Unit::Microseconds;
        Some(Counter { name: Name::new(table, word), unit, value: unit.scaled(total(line)?) })
    };
    ["some", "full"].into_iter().filter_map(of).collect()
}

/// Time that the hypervisor took from all CPUs, by `/proc/stat`; `ticks_per_second` is the user's clock tick.
pub fn steal(text: &str, ticks_per_second: u64) -> Option<Counter> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: u64 = line.split_ascii_whitespace().nth(7)?.parse().ok()?;
    let value = ticks.saturating_mul(1_000_000_000 / ticks_per_second.max(1));
    Some(Counter { name: Name::new("cpu", "steal"), unit: Unit::Nanoseconds, value })
}

/// Packets that the CPUs dropped since their backlog was full, and times that one had more than it could take at once, by
/// `/proc/net/softnet_stat`: a line of hexadecimal numbers for each CPU.
pub fn softnet(text: &str) -> Vec<Counter> {
    let sum = |place: usize| {
        let numbers =
            text.lines().filter_map(|line| u64::from_str_radix(line.split_ascii_whitespace().nth(place)?, 16).ok());
        numbers.fold(0, u64::saturating_add)
    };
    [("dropped", 1), ("time_squeeze", 2)]
        .map(|(word, place)| Counter { name: Name::new("softnet", word), unit: Unit::Count, value: sum(place) })
        .to_vec()
}

/// The CPU time that a cgroup may use in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// CPU time in each period, in nanoseconds.
    pub quota_ns: u64,
    /// The period, in nanoseconds.
    pub period_ns: u64,
}

impl Quota {
    /// Reads `cpu.max` of version 2; `None` where there is no limit.
    pub fn v2(text: &str) -> Option<Quota> {
        let (quota, period) = text.trim().split_once(' ')?;
        Quota::of(quota.parse().ok()?, period.trim().parse().ok()?)
    }

    /// Reads `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1; `None` where there is no limit, which is -1.
    pub fn v1(quota: &str, period: &str) -> Option<Quota> {
        Quota::of(quota.trim().parse().ok()?, period.trim().parse().ok()?)
    }

    fn of(quota_us: u64, period_us: u64) -> Option<Quota> {
        let ns = |us: u64| us.checked_mul(1000);
        Some(Quota { quota_ns: ns(quota_us)?, period_ns: ns(period_us)? })
    }
}

/// A socket, by the tables of `/proc/PID/net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its port.
    pub port: u16,
    /// The inode by which processes have it.
    pub inode: u64,
    /// Connections that wait to be accepted, or datagrams that it dropped.
    pub figure: u64,
}

/// Sockets that listen, of `/proc/PID/net/tcp`, with the connections that wait there: they come first in the file, so the rest of it is
/// not read.
///
/// Source: `Documentation/networking/proc_net_tcp.rst`; of a listening socket `rx_queue` is the length of its accept queue.
pub fn listeners(text: &str) -> Vec<Socket> {
    let listener = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        (*fields.get(3)? == LISTEN).then_some(())?;
        let waiting = fields.get(4)?.split_once(':')?.1;
        socket(&fields, u64::from_str_radix(waiting, 16).ok()?)
    };
    text.lines().skip(1).map_while(listener).collect()
}

/// Sockets of `/proc/PID/net/udp` that dropped datagrams, and how many.
pub fn dropping(text: &str) -> Vec<Socket> {
    let dropping = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        socket(&fields, fields.get(12)?.parse().ok()?).filter(|socket| socket.figure > 0)
    };
    text.lines().skip(1).filter_map(dropping).collect()
}

/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

fn socket(fields: &[&str], figure: u64) -> Option<Socket> {
    let port = fields.get(1)?.rsplit_once(':')?.1;
    Some(Socket { port: u16::from_str_radix(port, 16).ok()?, inode: fields.get(9)?.parse().ok()?, figure })
}

/// Connections in TIME_WAIT, by `/proc/PID/net/sockstat`.
pub fn time_wait(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests;
