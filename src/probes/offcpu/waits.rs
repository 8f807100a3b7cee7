//! What threads waited for and who ended it: the edges that the kernel adds up in an interval, and the waits that nobody has ended
//! when the window does.

use std::collections::HashMap;

use anyhow::Result;

use super::super::peers::address;
use super::super::sched;
use super::super::signed;
use super::types;
use crate::bpf::live::Live;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probes::offcpu::waits::futex::Lock;
use crate::probes::offcpu::waits::futex::Waited;
use crate::recording::column;

mod blocked;
mod futex;

/// The waits of one recording.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// What was still under way when the window ended.
    open: Vec<types::open_wait>,
    /// Whether the kernel reports sends and receives; without them, requests are unknown.
    sees_turns: bool,
    /// What the targets of processes are: by process, sort of target and what tells it from others.
    targets: HashMap<(u32, u8, u64), Known>,
}

/// Targets that are kept: four for each of a thousand processes. Of others there are no rows, and event files are called that.
const MOST_TARGETS: usize = 4096;

/// Threads that are asked where in the kernel they are blocked, 20 µs each.
const MOST_BLOCKED: usize = 64;

/// A target that was looked at.
#[derive(Debug, Clone, Copy)]
struct Known {
    on: &'static str,
}

impl Waits {
    /// The probe is attached.
    pub(super) fn attached(&mut self, sees_turns: bool) {
        self.sees_turns = sees_turns;
    }

    /// What targets are is written again when it is needed.
    pub(super) fn forget(&mut self) {
        self.targets.clear();
    }

    /// The window has ended: looks for the waits that are under way.
    pub(super) fn find_open(&mut self, live: &Live) -> Result<()> {
        let told = live.walk("offcpu_threads")?;
        self.open = told.chunks_exact(size_of::<types::open_wait>()).filter_map(crate::bpf::read).collect();
        Ok(())
    }

    /// Writes the waits of an interval, and of the last one those that it cut.
    pub(super) fn write(&mut self, live: &Live, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        for (even, odd) in [("edges_even", "edges_odd"), ("other_edges_even", "other_edges_odd")] {
            live.take_idle(even, odd, |key: types::edge_key, edge: types::edge| {
                self.edge(&key, &edge, None, interval, context);
            })?;
        }
        // The memory of those was not at hand when the window began, and they have not run since.
        let (before, within): (Vec<types::open_wait>, Vec<types::open_wait>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| {
                open.flags & types::wait_flags::WAIT_BEFORE_WINDOW.0 != 0
                    && u32::from(open.key.on) == types::wait_on::ON_FUTEX.0
            });
        let waited = |open: &types::open_wait| Waited { pid: open.key.pid, address: open.address, value: open.value };
        let locks = futex::locks(before.iter().map(waited).collect());
        let locked = before.iter().zip(locks).chain(within.iter().map(|open| (open, None)));
        let mut looks = MOST_BLOCKED;
        for (open, lock) in locked {
            let (key, edge) = cut(open, lock, interval.end_ns);
            let inside = if is_blocked(open) && looks > 0 {
                looks -= 1;
                blocked::inside(key.pid, key.tid)
            } else {
                None
            };
            self.edge(&key, &edge, inside.as_deref(), interval, context);
        }
        Ok(())
    }

    fn edge(
        &mut self,
        key: &types::edge_key,
        edge: &types::edge,
        inside: Option<&str>,
        interval: Interval,
        context: &mut Context<'_>,
    ) {
        let on = if key.tid == 0 { wait_on(key.on) } else { self.target(key, edge, interval, context) };
        let mut row = context.rows.row("wait");
        row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
        row.int(column::PID, key.pid.into()).text(column::WAIT_ON, on);
        row.text(column::CAUSE, sched::cause(key.cause.into()));
        if key.tid != 0 {
            row.int(column::TID, key.tid.into()).bytes(column::COMM, &edge.comm);
        }
        if key.target != 0 {
            row.int(column::WAIT_TARGET, key.target as i64);
        }
        row.int(column::COUNT, signed(edge.count))
            .int(column::SUM, signed(edge.sum))
            .int(column::MAX, signed(edge.max));
        if let Some(by) = wait_by(key.by, on) {
            row.text(column::WAIT_BY, by);
        }
        if key.waker_tid != 0 {
            row.int(column::WAKER_PID, key.waker_pid.into()).int(column::WAKER_TID, key.waker_tid.into());
        }
        row.int(column::WAIT_ACTIVE_NS, signed(edge.active)).int(column::WAIT_UNKNOWN_NS, signed(edge.unknown));
        if on == "futex" {
            row.int(column::WAIT_CONTENDED_NS, signed(edge.contended)).int(column::WAIT_HANDED_NS, signed(edge.handed));
        }
        if self.sees_turns && edge.judged > 0 && edge.judged >= edge.sum / 4 * 3 {
            row.int(column::WAIT_REQUEST_NS, signed(edge.request));
            row.int(column::WAIT_QUESTION_NS, signed(edge.question));
        }
        if let Some(owner) = futex::thread_of(key.pid, edge.owner, on == "kernel_lock") {
            row.int(column::WAIT_OWNER_TID, owner.into());
        }
        if let Some(inside) = inside {
            row.text(column::NAME, inside);
        }
    }

    /// What a target is called, and its row the first time that it is seen.
    fn target(
        &mut self,
        key: &types::edge_key,
        edge: &types::edge,
        interval: Interval,
        context: &mut Context<'_>,
    ) -> &'static str {
        let which = (key.pid, key.on, key.target);
        if let Some(known) = self.targets.get(&which) {
            return known.on;
        }
        if self.targets.len() >= MOST_TARGETS {
            return Target { on: wait_on(key.on), name: None, socket: None }.with_socket(key, edge).on;
        }
        let target = Target::find(key, edge);
        if target.is_told() {
            target.write(key, interval, context);
        }
        self.targets.insert(which, Known { on: target.on });
        target.on
    }
}

/// A wait that was under way when the window ended at `end_ns`, as an edge of its own, with the lock that it was for if only now that is
/// known.
fn cut(open: &types::open_wait, lock: Option<Lock>, end_ns: u64) -> (types::edge_key, types::edge) {
    let has = |flag: types::wait_flags| open.flags & flag.0 != 0;
    let (contended, handed) = (has(types::wait_flags::WAIT_CONTENDED), has(types::wait_flags::WAIT_HANDED));
    let until = if open.woken == 0 { end_ns } else { open.woken };
    let slept = until.saturating_sub(open.since);
    let mut edge = types::edge {
        count: 1,
        sum: slept,
        max: slept,
        active: open.active,
        unknown: open.unknown,
        handed: if handed { slept } else { 0 },
        judged: if has(types::wait_flags::WAIT_JUDGED) { slept } else { 0 },
        request: open.request,
        question: open.question,
        owner: open.owner,
        fd: open.fd,
        comm: open.comm,
        socket: open.socket,
        ..Default::default()
    };
    let mut key = open.key;
    if open.woken == 0 {
        key.by = types::wait_by::BY_NOBODY.0 as u8;
        edge.unknown = slept;
    }
    if let Some(lock) = lock {
        edge.owner = lock.owner;
    }
    if contended || lock.is_some() {
        edge.contended = slept;
    }
    (key, edge)
}

/// Whether a thread has waited for a file or a disk since before the window began: it left its CPU when nobody took its stack.
fn is_blocked(open: &types::open_wait) -> bool {
    use types::wait_on;
    let on = wait_on(open.key.on.into());
    let is_file = matches!(
        on,
        wait_on::ON_FILE | wait_on::ON_DISK | wait_on::ON_PAGE | wait_on::ON_KERNEL_LOCK | wait_on::ON_OTHER
    );
    is_file && open.woken == 0 && open.flags & types::wait_flags::WAIT_BEFORE_WINDOW.0 != 0
}

/// What a wait was for, as far as it can be told from outside of the kernel.
struct Target {
    on: &'static str,
    name: Option<String>,
    socket: Option<types::endpoint>,
}

impl Target {
    fn find(key: &types::edge_key, edge: &types::edge) -> Target {
        let mut target = Target { on: wait_on(key.on), name: None, socket: None }.with_socket(key, edge);
        match types::wait_on(key.on.into()) {
            types::wait_on::ON_EVENT_FILE => {
                target.name = name_of_descriptor(key.pid, edge.fd, None);
                if let Some(on) = target.name.as_deref().and_then(event_file) {
                    target.on = on;
                }
            }
            types::wait_on::ON_FILE | types::wait_on::ON_DISK | types::wait_on::ON_DEVICE => {
                target.name = name_of_descriptor(key.pid, edge.fd, Some(key.target));
            }
            _ => {}
        }
        target
    }

    fn with_socket(mut self, key: &types::edge_key, edge: &types::edge) -> Target {
        if types::wait_on(key.on.into()) == types::wait_on::ON_SOCKET {
            self.socket = Some(edge.socket);
            self.on = protocol(&edge.socket);
        }
        self
    }

    fn is_told(&self) -> bool {
        self.name.is_some() || self.socket.is_some_and(|socket| socket.flow.local_port != 0)
    }

    fn write(&self, key: &types::edge_key, interval: Interval, context: &mut Context<'_>) {
        let mut row = context.rows.row("wait_target");
        row.at(interval.end_ns).int(column::PID, key.pid.into());
        row.text(column::WAIT_ON, self.on).int(column::WAIT_TARGET, key.target as i64);
        if let Some(name) = &self.name {
            row.text(column::WAIT_NAME, name);
        }
        // On this machine the peer is who ends the wait: in every one that was looked at.
        if self.socket.is_some() && key.waker_pid != 0 && key.waker_pid != key.pid {
            row.int(column::WAIT_PEER_PID, key.waker_pid.into());
        }
        if let Some(types::endpoint { flow, state, .. }) = self.socket
            && flow.local_port != 0
        {
            let [local, remote] = [&flow.local, &flow.remote].map(|one| address(one.high, one.low));
            row.text(column::SADDR, &local.to_string()).int(column::SPORT, flow.local_port.into());
            if u32::from(state) == types::tcp_state::TCP_LISTEN.0 {
                row.text(column::STATE, "listen");
            } else {
                row.text(column::DADDR, &remote.to_string()).int(column::DPORT, flow.remote_port.into());
            }
        }
    }
}

/// What /proc says is behind a descriptor, if that still leads to the inode; `fd` is one more than its number, or 0.
fn name_of_descriptor(pid: u32, fd: u32, inode: Option<u64>) -> Option<String> {
    let link = format!("/proc/{pid}/fd/{}", fd.checked_sub(1)?);
    let name = std::fs::read_link(&link).ok()?;
    let is_same = inode.is_none_or(|inode| blocked::inode(pid, fd - 1).is_none_or(|found| found == inode));
    is_same.then(|| name.to_string_lossy().into_owned())
}

/// The sort of file that an event file is, by what /proc calls it.
fn event_file(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("anon_inode:")?;
    Some(match name.trim_matches(['[', ']']) {
        "eventfd" => "eventfd",
        "timerfd" => "timerfd",
        "eventpoll" => "epoll",
        "io_uring" => "io_uring",
        "signalfd" => "signal",
        "pidfd" => "child",
        _ => return None,
    })
}

fn protocol(socket: &types::endpoint) -> &'static str {
    const AF_UNIX: u16 = 1;
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    const IPPROTO_TCP: u16 = 6;
    const IPPROTO_UDP: u16 = 17;
    match (socket.family, socket.protocol) {
        (AF_UNIX, _) => "unix",
        (AF_INET | AF_INET6, IPPROTO_TCP) => "tcp",
        (AF_INET | AF_INET6, IPPROTO_UDP) => "udp",
        _ => "socket",
    }
}

fn wait_on(on: u8) -> &'static str {
    match types::wait_on(on.into()) {
        types::wait_on::ON_FUTEX => "futex",
        types::wait_on::ON_PIPE => "pipe",
        types::wait_on::ON_SOCKET => "socket",
        types::wait_on::ON_EVENT_FILE => "event file",
        types::wait_on::ON_EPOLL => "epoll",
        types::wait_on::ON_POLL => "poll",
        types::wait_on::ON_FILE => "file",
        types::wait_on::ON_DEVICE => "device",
        types::wait_on::ON_CHILD => "child",
        types::wait_on::ON_TIMER => "timer",
        types::wait_on::ON_SIGNAL => "signal",
        types::wait_on::ON_PAGE => "page",
        types::wait_on::ON_KERNEL_LOCK => "kernel_lock",
        types::wait_on::ON_DISK => "disk",
        types::wait_on::ON_IO_URING => "io_uring",
        types::wait_on::ON_SEMAPHORE => "semaphore",
        _ => "other",
    }
}

fn wait_by(by: u8, on: &str) -> Option<&'static str> {
    match types::wait_by(by.into()) {
        types::wait_by::BY_THREAD => Some("thread"),
        types::wait_by::BY_INTERRUPT if on == "timerfd" => Some("timer"),
        types::wait_by::BY_INTERRUPT => Some("interrupt"),
        types::wait_by::BY_TIMER => Some("timer"),
        types::wait_by::BY_NOBODY => Some("nobody"),
        _ => None,
    }
}
