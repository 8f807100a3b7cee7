//! A service of three programs whose runs differ a little each time, as real ones do; and one change that can be planted in it.

use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// `work()` takes 10 % longer.
    Function,
    /// Each write takes 1 ms longer in the disk.
    Disk,
    /// A lock is held 20 % longer.
    Lock,
    /// Each request asks the database once more.
    Query,
}

/// Numbers that look random and are the same in every run of the test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Close to normal: a sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.below(1 << 20) as f64 / f64::from(1 << 20)).sum::<f64>() - 6.0
    }

    /// A factor around one.
    fn factor(&mut self, deviation: f64) -> f64 {
        (deviation * self.normal()).exp()
    }
}

/// A run of the service; process ids and the machine's mood are those of the run.
pub(crate) fn service(run: u64, planted: Planted) -> Synthetic {
    service_on(run, planted, 1.0)
}

/// The same where nothing differs between runs by more than a part; 1 is a machine that does other things besides.
pub(crate) fn service_on(run: u64, planted: Planted, most: f64) -> Synthetic {
    let mut random = Random::new(run);
    let mut made = Synthetic::new("server");
    for probe in ["process", "sched", "cpu", "offcpu", "block", "syscall"] {
        made.probe(probe, "hist", 1000);
    }
    made.metric("block.device_time", "histogram", "ns", &["dev", "op", "pid", "comm"]);
    made.metric("syscall.latency", "histogram", "ns", &["pid", "comm", "name", "syscall_class"]);
    let pid = 1000 + i64::try_from(random.below(30_000)).unwrap();
    for (at, comm) in ["app", "redis-server", "writer", "make"].into_iter().enumerate() {
        let who = [("pid", Cell::Int(pid + at as i64)), ("comm", Cell::Text(comm)), ("ppid", Cell::Int(1))];
        made.row("process", 0, &who);
    }
    for (id, name) in
        [(1, "main"), (2, "handle"), (3, "work"), (4, "parse"), (5, "critical"), (6, "pthread_mutex_lock")]
    {
        made.symbol(id, name, "app");
    }
    made.stack(1, &[3, 2, 1]).stack(2, &[4, 2, 1]).stack(3, &[6, 5, 2, 1]);
    let is = |what| if planted == what { 1.0 } else { 0.0 };
    let queries = 3.0 + is(Planted::Query);
    // (process, state, cause, milliseconds a second, how much runs differ)
    let states = [
        (0, "on_cpu", "", 300.0 + 27.0 * is(Planted::Function) + 2.0 * is(Planted::Query), 0.01),
        (0, "runnable", "", 12.0, 0.4),
        (0, "interruptible", "futex", 200.0 * (1.0 + 0.2 * is(Planted::Lock)), 0.03),
        (0, "interruptible", "socket", 30.0 * queries, 0.04),
        (0, "interruptible", "poll", 2000.0, 0.1),
        (1, "on_cpu", "", 20.0 * queries, 0.03),
        (1, "runnable", "", 4.0, 0.4),
        (1, "interruptible", "poll", 800.0, 0.1),
        (2, "on_cpu", "", 15.0, 0.04),
        (2, "uninterruptible", "fsync", 250.0 + 100.0 * is(Planted::Disk), 0.05),
        (3, "on_cpu", "", 80.0, 0.5),
        (3, "uninterruptible", "file read", 9.0, 0.7),
    ];
    let mood = random.factor(0.01);
    for (process, state, cause, ms, deviation) in states {
        let level = ms * mood * random.factor(f64::min(deviation, most));
        for second in 1..=4 {
            let spent = (level * random.factor(0.02) * MS as f64) as i64;
            let own =
                [("state", Cell::Text(state)), ("sum", Cell::Int(spent)), ("count", Cell::Int(spent / (2 * MS) + 1))];
            let who =
                [("pid", Cell::Int(pid + process)), ("tid", Cell::Int(pid + process)), ("dur_ns", Cell::Int(SECOND))];
            let why = [("cause", Cell::Text(cause))];
            made.row("ledger", second * SECOND, &[&own[..], &who, if cause.is_empty() { &[] } else { &why }].concat());
        }
    }
    functions(&mut made, &mut random, pid, planted, mood);
    disk(&mut made, &mut random, pid + 2, planted);
    calls(&mut made, &mut random, pid, queries);
    made
}

/// A run of a server under traffic that differs by a quarter between runs; `work()` has two fifths of its CPU time, and takes a tenth longer if
/// it is slower. It has as many samples as four busy CPUs have in half a minute.
pub(crate) fn traffic(run: u64, is_slower: bool) -> Synthetic {
    served(run, is_slower, true)
}

/// A run of the same server of which only the CPUs were sampled, under the same traffic each time: its functions are all that shows where its time
/// went. The others take a little longer, too, as with colder caches.
pub(crate) fn sampled(run: u64, is_slower: bool) -> Synthetic {
    served(run, is_slower, false)
}

fn served(run: u64, is_slower: bool, has_ledger: bool) -> Synthetic {
    const SAMPLES: u64 = 2_500;
    let mut random = Random::new(run);
    let mut made = Synthetic::new("server");
    for probe in ["process", "cpu"].iter().chain(has_ledger.then_some(&"sched")) {
        made.probe(probe, "hist", 1000);
    }
    let pid = 1000 + i64::try_from(random.below(30_000)).unwrap();
    made.row("process", 0, &[("pid", Cell::Int(pid)), ("comm", Cell::Text("app")), ("ppid", Cell::Int(1))]);
    for (id, name) in [(1, "main"), (2, "handle"), (3, "work"), (4, "parse"), (5, "render"), (6, "log")] {
        made.symbol(id, name, "app");
    }
    // Of a thousand of its CPU time.
    let other = if is_slower && !has_ledger { 102 } else { 100 };
    let parts =
        [(1, 3, if is_slower { 440 } else { 400 }), (2, 4, 5 * other / 2), (3, 5, 5 * other / 2), (4, 6, other)];
    parts.iter().for_each(|(stack, function, _)| {
        made.stack(*stack, &[*function, 2, 1]);
    });
    let all: u64 = parts.iter().map(|(.., part)| part).sum();
    let requests = random.factor(0.25);
    for second in 1..=4 {
        let who = [("pid", Cell::Int(pid)), ("tid", Cell::Int(pid)), ("dur_ns", Cell::Int(SECOND))];
        let spent = (2.0 * requests * all as f64 * MS as f64 * random.factor(0.02)) as i64;
        let own = [("state", Cell::Text("on_cpu")), ("sum", Cell::Int(spent)), ("count", Cell::Int(1000))];
        if has_ledger {
            made.row("ledger", second * SECOND, &[&own[..], &who].concat());
        }
        let mut samples = [0; 4];
        for _ in 0..if has_ledger { SAMPLES } else { SAMPLES * all / 1000 } {
            let mut at = random.below(all);
            for ((.., part), samples) in parts.iter().zip(&mut samples) {
                if at < *part {
                    *samples += 1;
                    break;
                }
                at -= part;
            }
        }
        for ((stack, ..), samples) in parts.iter().zip(samples) {
            let own =
                [("ustack_id", Cell::Int(*stack)), ("count", Cell::Int(samples)), ("sum", Cell::Int(samples * MS))];
            made.row("cpu_sample", second * SECOND, &[&own[..], &who].concat());
        }
    }
    made
}

/// A run of an idle server that wakes up for its timers, with so many milliseconds a second of a CPU.
pub(crate) fn idle(run: u64, ms: i64) -> Synthetic {
    let mut made = Synthetic::new("server");
    made.probe("process", "hist", 1000).probe("sched", "hist", 1000);
    let pid = 1000 + i64::try_from(run).unwrap();
    made.row("process", 0, &[("pid", Cell::Int(pid)), ("comm", Cell::Text("app")), ("ppid", Cell::Int(1))]);
    for second in 1..=4 {
        let own = [
            ("pid", Cell::Int(pid)),
            ("tid", Cell::Int(pid)),
            ("dur_ns", Cell::Int(SECOND)),
            ("state", Cell::Text("on_cpu")),
            ("sum", Cell::Int(ms * MS + second * MS / 20)),
            ("count", Cell::Int(10)),
        ];
        made.row("ledger", second * SECOND, &own);
    }
    made
}

fn functions(made: &mut Synthetic, random: &mut Random, pid: i64, planted: Planted, mood: f64) {
    let slower = if planted == Planted::Function { 27.0 } else { 0.0 };
    let held = if planted == Planted::Lock { 240.0 } else { 200.0 } * mood;
    for second in 1..=4 {
        let (mut work, mut parse) = (0, 0);
        for _ in 0..30 {
            let in_work = (random.below(1000) as f64) < 1000.0 * (270.0 + slower) / (300.0 + slower);
            (work, parse) = (work + i64::from(in_work), parse + i64::from(!in_work));
        }
        for (stack, samples) in [(1, work), (2, parse)] {
            let own =
                [("ustack_id", Cell::Int(stack)), ("count", Cell::Int(samples)), ("sum", Cell::Int(samples * 10 * MS))];
            made.row(
                "cpu_sample",
                second * SECOND,
                &[&own[..], &[("pid", Cell::Int(pid)), ("dur_ns", Cell::Int(SECOND))]].concat(),
            );
        }
        let own = [
            ("metric", Cell::Text("offcpu.time")),
            ("ustack_id", Cell::Int(3)),
            ("state", Cell::Text("sleeping")),
            ("name", Cell::Text("futex")),
            ("count", Cell::Int(100)),
            ("sum", Cell::Int((held * random.factor(0.04) * MS as f64) as i64)),
            ("pid", Cell::Int(pid)),
            ("dur_ns", Cell::Int(SECOND)),
        ];
        made.row("stack_total", second * SECOND, &own);
    }
}

fn disk(made: &mut Synthetic, random: &mut Random, pid: i64, planted: Planted) {
    let more = if planted == Planted::Disk { 1_000_000 } else { 0 };
    let level = 2_000_000.0 * random.factor(0.05);
    let by = [("dev", "vda".into()), ("op", "write".into()), ("pid", Cell::Int(pid)), ("comm", "writer".into())];
    for second in 1..=4 {
        let writes: Vec<u64> = (0..100).map(|_| (level * random.factor(0.3)) as u64 + more).collect();
        made.values("block.device_time", second * SECOND, &by, &writes);
    }
}

fn calls(made: &mut Synthetic, random: &mut Random, pid: i64, queries: f64) {
    for (process, comm, name, rate) in [
        (0, "app", "recvfrom", 40.0 * queries),
        (0, "app", "futex", 100.0),
        (0, "app", "openat", 7.0),
        (1, "redis-server", "read", 40.0 * queries),
        (2, "writer", "fsync", 100.0),
        (3, "make", "read", 25.0),
    ] {
        let who = [("pid", Cell::Int(pid + process)), ("comm", Cell::Text(comm)), ("name", Cell::Text(name))];
        for second in 1..=4 {
            let number = (rate * random.factor(0.05)) as usize + 1;
            let took: Vec<u64> = (0..number).map(|_| (20_000.0 * random.factor(0.5)) as u64).collect();
            made.values("syscall.latency", second * SECOND, &who, &took);
        }
    }
}
