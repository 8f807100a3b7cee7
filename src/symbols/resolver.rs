//! The thread that names the frames of stacks, and whoever asks it: the drain, which never waits for it.
//!
//! Naming reads programs, libraries and what processes say of themselves. All of that has bounds, but no bound holds for a file
//! system that does not answer. So the answers come when they come; what has not come shortly after the end of the window is
//! written by place alone; and a thread that gets stuck is left behind for another one, which avoids what the first is stuck in.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;
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
use super::watch::Suspect;
use super::watch::Watch;
use crate::bpf::python::PythonCode;
use crate::bpf::stacks::RawStack;
use crate::bpf::stacks::UserFrame;
use crate::host::priority;
use crate::host::process_ids::ProcessIds;
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
    /// The window is over: what was held back is written now.
    is_last: bool,
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
        rows: Rows,
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
            Work::new(symbols, rows, answer).run(&asked);
        })?;
        Ok(Worker { requests, answers, watch })
    }
}

/// What the thread works on.
struct Work {
    symbols: Symbols,
    rows: Rows,
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
    fn new(symbols: Symbols, rows: Rows, answer: Sender<Answer>) -> Work {
        let (long, held) = (Vec::new(), Vec::new());
        Work { symbols, rows, turns: Turns::default(), long, held, is_last: false, latest_ns: 0, answer }
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

    fn name_soon(&mut self, Request { asked, programs, now_ns, is_last }: Request) -> Option<()> {
        self.latest_ns = now_ns;
        self.is_last |= is_last;
        if self.is_last {
            self.long.append(&mut self.held);
        }
        self.symbols.heard(programs);
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
    /// What was heard of Python programs; of all threads, since it comes once.
    codes: Arc<Mutex<Codes>>,
    /// What each thread's rows begin as.
    empty: Rows,
    last: Arc<AtomicI32>,
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
        let worker = Worker::start(inlines, Arc::clone(&ids), theirs, rows.empty(), numbers, HashSet::new())?;
        Ok(Resolver {
            inlines,
            ids,
            codes,
            empty: rows,
            by_place: SymbolRows::new(Arc::clone(&last)),
            last,
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
        let request = Request { asked, programs: stacks.take_programs(), now_ns, is_last: false };
        if !request.asked.is_empty() || !request.programs.is_empty() {
            // A thread that has ended answers nothing: its stacks are written at the end.
            let _ = self.worker.requests.send(request);
        }
    }

    /// The rows that have come since the call before.
    pub fn answers(&mut self, now_ns: u64) -> Vec<Batch> {
        let answers: Vec<Answer> = self.worker.answers.try_iter().collect();
        self.leave_stuck(PATIENCE, now_ns);
        answers.into_iter().flat_map(|answer| self.heard(answer)).collect()
    }

    /// The rows that come by the deadline; all others are written by place alone.
    pub fn finish(&mut self, deadline: Instant, now_ns: u64, rows: &mut Rows) -> Vec<Batch> {
        let mut batches = Vec::new();
        self.is_last = true;
        let _ = self.worker.requests.send(Request { asked: Vec::new(), programs: Vec::new(), now_ns, is_last: true });
        while !self.waiting.is_empty() && Instant::now() < deadline {
            let glance = GLANCE.min(deadline.saturating_duration_since(Instant::now()));
            match self.worker.answers.recv_timeout(glance) {
                Ok(answer) => batches.extend(self.heard(answer)),
                Err(RecvTimeoutError::Timeout) => self.leave_stuck(PATIENCE_AT_THE_END, now_ns),
                // It panicked over something that no bound foresees.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let rest: Vec<Asked> = std::mem::take(&mut self.waiting).into_values().collect();
        self.give_up(&rest, now_ns, rows);
        batches
    }

    /// Notes code objects that stacks have, before those are asked for.
    pub fn heard_codes(&mut self, codes: Vec<PythonCode>) {
        if !codes.is_empty() {
            self.codes.lock().unwrap_or_else(PoisonError::into_inner).heard(codes);
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
        if let Ok(worker) = Worker::start(self.inlines, ids, codes, self.empty.empty(), last, avoided) {
            self.worker = worker;
            let asked = self.waiting.values().cloned().collect();
            let request = Request { asked, programs: Vec::new(), now_ns, is_last: self.is_last };
            let _ = self.worker.requests.send(request);
        }
    }

    fn heard(&mut self, answer: Answer) -> Vec<Batch> {
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
