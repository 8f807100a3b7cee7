//! The thread that names the frames of stacks, and what the drain asks it through, without ever waiting for it.
//!
//! Naming reads programs, libraries and what processes say of themselves. All of that has bounds, but no bound holds for a file
//! system that does not answer. So answers may come late. A stack without an answer shortly after the end of the
//! window is written by file and offset alone. A thread that gets stuck is abandoned for another one, which avoids what the first is stuck in.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::live::Asked;
use super::live::Placed;
use super::live::Symbols;
use super::live::before_return;
use super::place::InFile;
use super::place::NO_TIME;
use super::place::Place;
use super::place::StackRows;
use super::place::SymbolRows;
use super::pool::Pool;
use super::python::Codes;
use super::turns::Turns;
use crate::bpf::python::PythonCode;
use crate::bpf::stacks::RawStack;
use crate::bpf::stacks::UserFrame;
use crate::host::priority;
use crate::host::process_ids::ProcessIds;
use crate::host::watch::Suspect;
use crate::host::watch::Watch;
use crate::probe::stacks::Program;
use crate::probe::stacks::Stacks;
use crate::recording::Batch;
use crate::recording::Rows;

/// Time for what is left at the end of the window.
pub const LAST_LOOK: Duration = Duration::from_secs(3);
/// How long a look at one thing may take while recording, and at the end of the window; and how many threads may get stuck.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_AT_THE_END: Duration = Duration::from_millis(500);
const MAX_STUCK: usize = 8;
/// How often that is looked at while waiting for the last answers.
const GLANCE: Duration = Duration::from_millis(50);
/// Frames that may wait for an answer: 8 MiB. A stack beyond is written by place alone.
const MAX_WAITING: usize = 256 << 10;
/// Those among them that may wait for the end of the window, since compilers may name them by then.
const MAX_HELD: usize = MAX_WAITING / 4;

/// What the thread is asked.
struct Request {
    asked: Vec<Asked>,
    programs: Vec<Program>,
    now_ns: u64,
    /// What was held back is written now.
    releases: bool,
    /// Rows that were written are written again when they are needed.
    forgets: bool,
    /// The window is over: nothing is held back from here on.
    is_last: bool,
}

impl Request {
    fn empty(now_ns: u64) -> Request {
        Request { asked: Vec::new(), programs: Vec::new(), now_ns, releases: false, forgets: false, is_last: false }
    }
}

/// What it answers.
struct Answer {
    /// The stacks that have their rows in the batches.
    ids: Vec<i32>,
    batches: Vec<Batch>,
}

/// A thread, which ends when nobody asks any more.
struct Worker {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    watch: Arc<Watch>,
}

impl Worker {
    fn start(
        inlines: bool,
        ids: Arc<ProcessIds>,
        codes: Arc<Mutex<Codes>>,
        (rows, needed): (Rows, Arc<AtomicI32>),
        last: Arc<AtomicI32>,
        avoided: HashSet<Suspect>,
    ) -> std::io::Result<Worker> {
        let (requests, asked) = channel::<Request>();
        let (answer, answers) = channel();
        let watch = Arc::new(Watch::avoiding(avoided));
        let watched = Arc::clone(&watch);
        thread::Builder::new().name("ebrec-symbols".to_owned()).spawn(move || {
            priority::ordinary();
            watched.begin();
            let symbols = Symbols::new(inlines, ids, codes, last, watched);
            Work::new(symbols, rows, needed, answer).run(&asked);
        })?;
        Ok(Worker { requests, answers, watch })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.watch.leave();
    }
}

/// What the thread works on.
struct Work {
    symbols: Symbols,
    rows: Rows,
    needed: Arc<AtomicI32>,
    turns: Turns,
    /// Stacks that take long: they wait until nothing else is asked.
    long: Vec<Placed>,
    /// Stacks in generated code whose names may be there when the window ends.
    held: Vec<Placed>,
    is_last: bool,
    latest_ns: u64,
    answer: Sender<Answer>,
}

impl Work {
    fn new(symbols: Symbols, rows: Rows, needed: Arc<AtomicI32>, answer: Sender<Answer>) -> Work {
        let (long, held) = (Vec::new(), Vec::new());
        Work { symbols, rows, needed, turns: Turns::default(), long, held, is_last: false, latest_ns: 0, answer }
    }

    /// Goes on until nobody asks any more, or nobody listens: another thread does the work then.
    fn run(mut self, asked: &Receiver<Request>) {
        loop {
            let request = if self.long.is_empty() { asked.recv().ok() } else { asked.try_recv().ok() };
            let answered = match request {
                Some(request) => self.name_soon(request),
                None => self.name_long(),
            };
            if answered.is_none() {
                return;
            }
        }
    }

    fn name_soon(&mut self, request: Request) -> Option<()> {
        let Request { asked, programs, now_ns, releases, forgets, is_last } = request;
        self.latest_ns = now_ns;
        if is_last {
            self.is_last = true;
            // The recording waits for it from here on.
            priority::sooner();
        }
        if self.is_last || releases || forgets {
            self.long.append(&mut self.held);
        }
        if forgets {
            let needed = self.needed.load(Ordering::Relaxed);
            self.long.retain(|stack| stack.id >= needed);
            self.is_last = true;
            while !self.long.is_empty() {
                self.name_long()?;
            }
            self.is_last = is_last;
            self.symbols.forget();
        }
        self.symbols.add_programs(programs);
        let needed = self.needed.load(Ordering::Relaxed);
        let asked: Vec<Asked> = asked.into_iter().filter(|asked| asked.id >= needed).collect();
        for (user, asked) in self.turns.in_order(asked, Asked::user) {
            let begun = Instant::now();
            let placed = self.symbols.place_all(&asked);
            let (long, soon) = placed.into_iter().partition(|one| self.symbols.takes_long(one));
            self.write(soon)?;
            self.long.extend::<Vec<Placed>>(long);
            self.turns.took(user, begun.elapsed());
        }
        Some(())
    }

    /// Names those of one user; `None` if there are none.
    fn name_long(&mut self) -> Option<()> {
        let mut parts = self.turns.in_order(std::mem::take(&mut self.long), |one| one.user).into_iter();
        let (user, mut stacks) = parts.next()?;
        self.long.extend(parts.flat_map(|(_, stacks)| stacks));
        let begun = Instant::now();
        self.symbols.name_generated(&mut stacks);
        let mut room = MAX_HELD.saturating_sub(self.held.iter().map(Placed::depth).sum());
        let (later, now) = stacks.into_iter().partition(|stack| {
            let is_held = !self.is_last && stack.depth() <= room && self.symbols.may_be_named(stack);
            room -= if is_held { stack.depth() } else { 0 };
            is_held
        });
        self.held.extend::<Vec<Placed>>(later);
        self.write(now)?;
        self.turns.took(user, begun.elapsed());
        Some(())
    }

    fn write(&mut self, stacks: Vec<Placed>) -> Option<()> {
        let ids = stacks.iter().map(|stack| stack.id).collect();
        self.symbols.write(stacks, self.latest_ns, &mut self.rows);
        self.answer.send(Answer { ids, batches: self.rows.take(1, true) }).ok()
    }
}

/// The drain's side.
pub struct Resolver {
    inlines: bool,
    ids: Arc<ProcessIds>,
    /// What Python programs have reported; of all threads, since it comes once.
    codes: Arc<Mutex<Codes>>,
    /// What each thread's rows begin as.
    empty: Rows,
    last: Arc<AtomicI32>,
    /// The lowest number of a stack that rows need.
    needed: Arc<AtomicI32>,
    worker: Worker,
    avoided: HashSet<Suspect>,
    pool: Pool,
    /// Stacks without an answer, by number.
    waiting: BTreeMap<i32, Asked>,
    frames_waiting: usize,
    /// Those that are written by place alone.
    by_place: SymbolRows,
    given_up: u64,
    is_last: bool,
}

impl Resolver {
    /// Starts the thread; `rows` are of the recording's schema and clock. `inlines`: functions that the compiler put into others
    /// are frames of their own. `ids`: what `/proc` calls processes.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(inlines: bool, ids: Arc<ProcessIds>, rows: Rows) -> std::io::Result<Resolver> {
        let last = Arc::new(AtomicI32::new(0));
        let codes = Arc::<Mutex<Codes>>::default();
        let (theirs, numbers) = (Arc::clone(&codes), Arc::clone(&last));
        let needed = Arc::new(AtomicI32::new(0));
        let work = (rows.empty(), Arc::clone(&needed));
        let worker = Worker::start(inlines, Arc::clone(&ids), theirs, work, numbers, HashSet::new())?;
        Ok(Resolver {
            inlines,
            ids,
            codes,
            empty: rows,
            by_place: SymbolRows::new(Arc::clone(&last)),
            last,
            needed,
            worker,
            avoided: HashSet::new(),
            pool: Pool::default(),
            waiting: BTreeMap::new(),
            frames_waiting: 0,
            given_up: 0,
            is_last: false,
        })
    }

    /// Asks for the rows of every stack that was asked for since the call before; `taken` is what the kernel's maps held.
    /// Stacks that would wait too long get theirs here.
    pub fn ask(&mut self, taken: Vec<(u64, RawStack)>, stacks: &mut Stacks, now_ns: u64, rows: &mut Rows) {
        let (asked, too_many): (Vec<Asked>, Vec<Asked>) =
            self.pool.take(taken, stacks).into_iter().partition(|asked| {
                let fits = self.frames_waiting + asked.depth() <= MAX_WAITING;
                if fits {
                    self.frames_waiting += asked.depth();
                    self.waiting.insert(asked.id, asked.clone());
                }
                fits
            });
        self.give_up(&too_many, now_ns, rows);
        let request = Request { asked, programs: stacks.take_programs(), ..Request::empty(now_ns) };
        if !request.asked.is_empty() || !request.programs.is_empty() {
            // A thread that has ended answers nothing: its stacks are written at the end.
            let _ = self.worker.requests.send(request);
        }
    }

    /// The rows that have come since the call before.
    pub fn answers(&mut self, now_ns: u64) -> Vec<Batch> {
        let answers: Vec<Answer> = self.worker.answers.try_iter().collect();
        self.leave_stuck(PATIENCE, now_ns);
        answers.into_iter().flat_map(|answer| self.accept(answer)).collect()
    }

    /// The rows that come by the deadline; all others are written by place alone.
    pub fn finish(&mut self, deadline: Instant, now_ns: u64, rows: &mut Rows) -> Vec<Batch> {
        let mut batches = Vec::new();
        self.is_last = true;
        let _ = self.worker.requests.send(Request { is_last: true, ..Request::empty(now_ns) });
        while !self.waiting.is_empty() && Instant::now() < deadline {
            let glance = GLANCE.min(deadline.saturating_duration_since(Instant::now()));
            match self.worker.answers.recv_timeout(glance) {
                Ok(answer) => batches.extend(self.accept(answer)),
                Err(RecvTimeoutError::Timeout) => self.leave_stuck(PATIENCE_AT_THE_END, now_ns),
                // It panicked over something that no bound foresees.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let rest: Vec<Asked> = std::mem::take(&mut self.waiting).into_values().collect();
        self.give_up(&rest, now_ns, rows);
        batches
    }

    /// Writes what was written again when it is needed again, in rows that refer to none before them. Stacks get new numbers too
    /// ([`Stacks::forget`]).
    ///
    /// No row needs the stacks below `needed` any more: those that wait are given up.
    pub fn forget(&mut self, needed: i32, now_ns: u64) {
        let waiting = self.waiting.split_off(&needed);
        for asked in std::mem::replace(&mut self.waiting, waiting).into_values() {
            self.frames_waiting = self.frames_waiting.saturating_sub(asked.depth());
        }
        self.needed.store(needed, Ordering::Relaxed);
        self.pool.forget();
        self.by_place.forget();
        // Only the numbers of the last generations are in use.
        if self.last.load(Ordering::Relaxed) > i32::MAX / 2 {
            self.last.store(0, Ordering::Relaxed);
        }
        let _ = self.worker.requests.send(Request { forgets: true, ..Request::empty(now_ns) });
    }

    /// Asks for the rows of stacks that were held back until now, as far as they can be named.
    pub fn release(&mut self, now_ns: u64) {
        let _ = self.worker.requests.send(Request { releases: true, ..Request::empty(now_ns) });
    }

    /// How many stacks wait for their rows of those up to a number, which was asked for last at some time.
    pub fn waiting(&self, last: i32) -> usize {
        self.waiting.range(..=last).count()
    }

    /// The highest number of a stack that waits for its row.
    pub fn last_waiting(&self) -> i32 {
        self.waiting.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// Notes code objects that stacks have, before those are asked for.
    pub fn add_codes(&mut self, codes: Vec<PythonCode>) {
        if !codes.is_empty() {
            self.codes.lock().unwrap_or_else(PoisonError::into_inner).add(codes);
        }
    }

    /// How many stacks were given up so far: they have no names, for want of time.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Leaves a thread behind that is stuck, and asks another one.
    fn leave_stuck(&mut self, patience: Duration, now_ns: u64) {
        if self.avoided.len() >= MAX_STUCK {
            return;
        }
        let Some(suspect) = self.worker.watch.stuck_in(patience) else { return };
        self.avoided.insert(suspect);
        let (ids, codes, last) = (Arc::clone(&self.ids), Arc::clone(&self.codes), Arc::clone(&self.last));
        let avoided = self.avoided.clone();
        // Without room for another thread this one stays, stuck or not.
        let work = (self.empty.empty(), Arc::clone(&self.needed));
        if let Ok(worker) = Worker::start(self.inlines, ids, codes, work, last, avoided) {
            self.worker = worker;
            let asked = self.waiting.values().cloned().collect();
            let request = Request { asked, is_last: self.is_last, ..Request::empty(now_ns) };
            let _ = self.worker.requests.send(request);
        }
    }

    fn accept(&mut self, answer: Answer) -> Vec<Batch> {
        for asked in answer.ids.iter().filter_map(|id| self.waiting.remove(id)) {
            self.frames_waiting = self.frames_waiting.saturating_sub(asked.depth());
        }
        answer.batches
    }

    /// Writes stacks by what the kernel said of them.
    fn give_up(&mut self, asked: &[Asked], now_ns: u64, rows: &mut Rows) {
        let mut stacks = StackRows::new();
        for one in asked {
            let places: Vec<Place> = match one.stack.as_deref() {
                Some(RawStack::User { frames, .. }) => {
                    frames.iter().enumerate().map(|(depth, frame)| by_place(before_return(depth, *frame))).collect()
                }
                Some(RawStack::Kernel(frames)) => frames.iter().map(|_| Place::Nowhere(NO_TIME)).collect(),
                None => Vec::new(),
            };
            let frames: Vec<_> =
                places.into_iter().map(|place| self.by_place.symbol(place, &InFile::default(), now_ns, rows)).collect();
            stacks.write(one.id, &frames, one.end(), now_ns, rows);
        }
        self.given_up += asked.len() as u64;
    }
}

fn by_place(frame: UserFrame) -> Place {
    match frame {
        UserFrame::InFile { build_id, offset } => Place::Unknown(build_id, offset, NO_TIME),
        UserFrame::At(_) => Place::Nowhere(NO_TIME),
        UserFrame::Python { .. } => Place::NoPython(NO_TIME),
    }
}

impl Asked {
    fn depth(&self) -> usize {
        self.stack.as_ref().map_or(0, |stack| stack.depth())
    }
}
