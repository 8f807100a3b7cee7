//! Counters of network namespaces: connections and packets that were lost, and the sockets whose accept queues were full.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::host::counters;
use crate::host::counters::Counter;
use crate::host::counters::NETWORK;
use crate::host::counters::Name;
use crate::host::counters::Socket;
use crate::host::counters::Unit;
use crate::host::descriptors;
use crate::host::foreign;
use crate::host::process_ids::ProcessIds;
use crate::host::processes;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;
use crate::record::counters::growth::Growth;

/// The kind of its rows.
const KIND: &str = "net_stat";
/// Namespaces that are read: each takes some 40 µs, and ten times that on a hundred CPUs.
const MOST_NAMESPACES: usize = 64;
/// Processes through which a namespace can be read: the first that is still there serves.
const MOST_WAYS: usize = 4;
/// Processes that are asked for their namespace in one round.
const MOST_ASKED: usize = 4096;
/// Bytes of a file that are read. Listening sockets come first in `/proc/PID/net/tcp`, 150 bytes each.
const FILE_BYTES: usize = 256 << 10;
/// Sockets of one sort that are named in one round.
const MOST_SOCKETS: usize = 4;
/// Processes and descriptors that are gone through for who listens.
const MOST_PROCESSES: usize = 4096;
const MOST_DESCRIPTORS: usize = 65_536;
/// Segments that a healthy network sends are no trouble: they are written beside those that were sent again.
const SENT: Name = Name::new("Tcp", "OutSegs");
const RESENT: Name = Name::new("Tcp", "RetransSegs");
/// Connections in TIME_WAIT too few for a row: ports are 28,232 by default.
const LEAST_TIME_WAIT: u64 = 1000;

/// A namespace.
struct Namespace {
    name: Arc<str>,
    /// Processes in it.
    ways: Vec<i32>,
    growth: Growth,
    /// Who has a socket, by inode; nobody who was found, too: looking takes long.
    owners: HashMap<u64, Option<i32>>,
    time_wait: u64,
}

/// The namespaces' counters as they were written last.
pub(super) struct Network {
    ids: Arc<ProcessIds>,
    /// By inode.
    namespaces: BTreeMap<u64, Namespace>,
    /// Processes whose namespace is known.
    known: HashSet<i32>,
    own: Option<u64>,
    left_out: HashSet<u64>,
    ports: Option<u64>,
}

impl Network {
    /// Looks for namespaces, and reads what their counters are.
    pub(super) fn begin(root: &Root, ids: Arc<ProcessIds>, now_ns: u64) -> Network {
        let mut network = Network {
            ids,
            namespaces: BTreeMap::new(),
            known: HashSet::new(),
            own: inode(root, "self"),
            left_out: HashSet::new(),
            ports: ephemeral_ports(root),
        };
        network.find(root, now_ns);
        network
    }

    /// What grew since.
    pub(super) fn read(&mut self, root: &Root, now_ns: u64) -> Vec<Fact> {
        let left_out = self.left_out.len();
        self.find(root, now_ns);
        let mut facts = Vec::new();
        for namespace in self.namespaces.values_mut() {
            namespace.read(root, &self.ids, now_ns, &mut facts);
        }
        if let (Some(ports), Some(own)) = (self.ports, self.own.and_then(|own| self.namespaces.get(&own)))
            && facts.iter().any(|fact| fact.metric == TIME_WAIT && fact.name.as_ref() == Some(&own.name))
        {
            facts.push(own.fact(Name::new("Tcp", "ephemeral_ports"), Value::Is(ports)));
        }
        if self.left_out.len() > left_out {
            let (metric, value) = (Name::new("net", "namespaces_left_out"), Value::Is(self.left_out.len() as u64));
            facts.push(Fact::new(KIND, metric, Unit::Count, value));
        }
        facts
    }

    /// Asks the processes that are new for their namespace.
    fn find(&mut self, root: &Root, now_ns: u64) {
        let pids = processes::pids(root);
        let alive: HashSet<i32> = pids.iter().copied().collect();
        self.known.retain(|pid| alive.contains(pid));
        let new: Vec<i32> = pids.into_iter().filter(|pid| !self.known.contains(pid)).take(MOST_ASKED).collect();
        for pid in new {
            self.known.insert(pid);
            let Some(inode) = inode(root, &pid.to_string()) else { continue };
            let room = self.namespaces.len() < MOST_NAMESPACES || self.own == Some(inode);
            if let Some(namespace) = self.namespaces.get_mut(&inode) {
                namespace.ways.retain(|way| alive.contains(way));
                if namespace.ways.len() < MOST_WAYS {
                    namespace.ways.push(pid);
                }
            } else if room {
                let name = if self.own == Some(inode) { "own".to_owned() } else { format!("net:[{inode}]") };
                // Others may have used it before a process in it was seen, so what it counted until now is not this window's.
                let Some(counters) = read(root, pid) else { continue };
                let growth = Growth::since(now_ns, &counters);
                let namespace =
                    Namespace { name: name.into(), ways: vec![pid], growth, owners: HashMap::new(), time_wait: 0 };
                self.namespaces.insert(inode, namespace);
            } else {
                self.left_out.insert(inode);
            }
        }
    }
}

/// Connections in TIME_WAIT.
const TIME_WAIT: Name = Name::new("Tcp", "time_wait");

impl Namespace {
    fn fact(&self, metric: Name, value: Value) -> Fact {
        Fact { name: Some(Arc::clone(&self.name)), ..Fact::new(KIND, metric, Unit::Count, value) }
    }

    fn read(&mut self, root: &Root, ids: &ProcessIds, now_ns: u64, facts: &mut Vec<Fact>) {
        let Some((pid, counters)) = self.ways.iter().find_map(|pid| Some((*pid, read(root, *pid)?))) else { return };
        let (sent, troubles): (Vec<&Counter>, Vec<&Counter>) = counters.iter().partition(|own| own.name == SENT);
        let mut grown = |counter: &&Counter| Some((counter.name, self.growth.of(counter, now_ns, 1)?));
        let mut all: Vec<(Name, Value)> = troubles.iter().filter_map(&mut grown).collect();
        if all.iter().any(|(name, _)| *name == RESENT) {
            all.extend(sent.iter().filter_map(&mut grown));
        }
        let grown = all;
        let has = |wanted: &[Name]| grown.iter().any(|(name, _)| wanted.contains(name));
        let (overflown, dropped) = (has(&OVERFLOWS), has(&DROPS));
        facts.extend(grown.into_iter().map(|(name, value)| self.fact(name, value)));
        if overflown {
            self.listeners(root, ids, pid, facts);
        }
        if dropped {
            let sockets = ["udp", "udp6"].into_iter().filter_map(|table| file(root, pid, table));
            let sockets: Vec<Socket> = sockets.flat_map(|text| counters::dropping(&text)).collect();
            self.sockets(root, ids, Name::new("Udp", "drops"), sockets, facts);
        }
        let time_wait = file(root, pid, "sockstat").and_then(|text| counters::time_wait(&text)).unwrap_or(0);
        if time_wait >= LEAST_TIME_WAIT && time_wait > self.time_wait {
            self.time_wait = time_wait;
            facts.push(self.fact(TIME_WAIT, Value::Is(time_wait)));
        }
    }

    /// The sockets that have connections waiting to be accepted.
    fn listeners(&mut self, root: &Root, ids: &ProcessIds, pid: i32, facts: &mut Vec<Fact>) {
        let texts = ["tcp", "tcp6"].into_iter().filter_map(|table| file(root, pid, table));
        let listeners: Vec<Socket> = texts.flat_map(|text| counters::listeners(&text)).collect();
        self.sockets(root, ids, Name::new("Tcp", "accept_queue"), listeners, facts);
    }

    /// The sockets with the largest figures, and who has them. A queue that is emptied slowly may be a little shorter than full when it is
    /// looked at, so those of half the largest figure count too.
    fn sockets(
        &mut self,
        root: &Root,
        ids: &ProcessIds,
        metric: Name,
        mut sockets: Vec<Socket>,
        facts: &mut Vec<Fact>,
    ) {
        let most = sockets.iter().map(|socket| socket.figure).max().unwrap_or(0);
        sockets.retain(|socket| socket.figure > 0 && socket.figure >= most / 2);
        sockets.sort_by_key(|socket| std::cmp::Reverse(socket.figure));
        sockets.truncate(MOST_SOCKETS);
        let is_new = |inode: &u64| !self.owners.contains_key(inode);
        let new: Vec<u64> = sockets.iter().map(|socket| socket.inode).filter(is_new).collect();
        if !new.is_empty() {
            let found = owners(root, &new);
            self.owners.extend(new.iter().map(|inode| (*inode, found.get(inode).copied())));
        }
        for socket in sockets {
            let pid = self.owners.get(&socket.inode).copied().flatten().and_then(|pid| u32::try_from(pid).ok());
            let fact = self.fact(metric, Value::Is(socket.figure));
            facts.push(Fact { port: Some(socket.port), pid: pid.and_then(|pid| ids.machine(pid)), ..fact });
        }
    }
}

/// The counters that grow when the receive buffer of a socket for datagrams is full.
const DROPS: [Name; 2] = [Name::new("Udp", "RcvbufErrors"), Name::new("Udp6", "RcvbufErrors")];

/// The counters that grow when an accept queue, or the queue of connections that are being made, is full.
const OVERFLOWS: [Name; 3] = [
    Name::new("TcpExt", "ListenOverflows"),
    Name::new("TcpExt", "TCPReqQFullDrop"),
    Name::new("TcpExt", "TCPReqQFullDoCookies"),
];

fn inode(root: &Root, process: &str) -> Option<u64> {
    let link = root.link(format!("/proc/{process}/ns/net"))?;
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// A file of a process's namespace. It is closed at once: an open one would keep the namespace alive.
pub(super) fn file(root: &Root, pid: i32, name: &str) -> Option<String> {
    let file = foreign::open(&root.path(format!("/proc/{pid}/net/{name}"))).ok()?;
    Some(String::from_utf8_lossy(&foreign::read_up_to(file, FILE_BYTES).ok()?).into_owned())
}

fn read(root: &Root, pid: i32) -> Option<Vec<Counter>> {
    let mut counters = counters::tables(&file(root, pid, "netstat")?, &NETWORK);
    counters.extend(counters::tables(&file(root, pid, "snmp")?, &NETWORK));
    counters.extend(counters::keyed("Udp6", &of_udp6(&file(root, pid, "snmp6").unwrap_or_default()), NETWORK[3].1));
    Some(counters)
}

/// The lines of `/proc/net/snmp6` about UDP, without the table's name before each word.
fn of_udp6(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("Udp6"));
    lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// How many ports a client can have at once with one other end, in the namespace of this process.
fn ephemeral_ports(root: &Root) -> Option<u64> {
    let text = root.text("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ends = text.split_ascii_whitespace().filter_map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()?, ends.next()?);
    Some(last.checked_sub(first)? + 1)
}

/// The first process that has each of some sockets.
fn owners(root: &Root, sockets: &[u64]) -> HashMap<u64, i32> {
    let mut owners = HashMap::new();
    let mut descriptors = 0;
    for pid in processes::pids(root).into_iter().take(MOST_PROCESSES) {
        let Ok(entries) = std::fs::read_dir(root.path(Path::new("/proc").join(pid.to_string()).join("fd"))) else {
            continue;
        };
        for entry in entries.flatten() {
            descriptors += 1;
            let target = std::fs::read_link(entry.path()).ok();
            let inode = target.as_deref().and_then(descriptors::socket);
            if let Some(inode) = inode.filter(|inode| sockets.contains(inode)) {
                owners.entry(inode).or_insert(pid);
            }
        }
        if descriptors > MOST_DESCRIPTORS || owners.len() == sockets.len() {
            break;
        }
    }
    owners
}
