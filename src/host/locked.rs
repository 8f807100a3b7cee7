//! Files of `/proc/PID` that the kernel reads from the process's memory: `cmdline`, `environ` and `maps`.
//!
//! It waits for the lock on the process's mappings. A process holds that while a file system maps a file for it, which takes for ever where the
//! server does not answer. So threads of their own read these files. One that gets stuck is left behind, and another one goes on without
//! the process that it is stuck in.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::host::foreign;
use crate::host::watch::Suspect;
use crate::host::watch::Watch;

/// Open files that wait to be read.
const MAX_WAITING: usize = 32;
/// How long the first process that takes long may take, and each that comes after it: where one is stuck, there are others.
const PATIENCE: Duration = Duration::from_millis(250);
const LESS_PATIENCE: Duration = Duration::from_millis(50);
/// Threads that may get stuck; beyond that nothing is read. So all of it takes two seconds at most, and eight if no thread gets a CPU.
const MAX_STUCK: usize = 32;
/// How often it is looked whether the thread is stuck.
const GLANCE: Duration = Duration::from_millis(10);
/// Bytes that are read at once.
const PART: usize = 4096;

/// Reads such files, in any number, and remembers in which processes it got stuck.
#[derive(Debug)]
pub struct Reader {
    most: usize,
    read_file: ReadFile,
    worker: Option<Worker>,
    /// What is not read yet, by the asker's number.
    waiting: BTreeMap<usize, (u32, Arc<File>)>,
    read: Vec<(usize, Option<Vec<u8>>)>,
    avoided: HashSet<Suspect>,
}

/// Reads up to so many bytes of a file.
type ReadFile = fn(&File, usize) -> io::Result<Vec<u8>>;

/// A thread that reads.
#[derive(Debug)]
struct Worker {
    requests: Sender<(usize, u32, Arc<File>)>,
    answers: Receiver<(usize, Option<Vec<u8>>)>,
    watch: Arc<Watch>,
}

impl Reader {
    /// Reads up to `most` bytes of each file.
    pub fn new(most: usize) -> Reader {
        Reader::with(most, read)
    }

    fn with(most: usize, read_file: ReadFile) -> Reader {
        let (worker, waiting, read) = (None, BTreeMap::new(), Vec::new());
        Reader { most, read_file, worker, waiting, read, avoided: HashSet::new() }
    }

    /// Has a file of a process read; the answer carries the number. Waits while too many others wait.
    pub fn ask(&mut self, number: usize, pid: u32, file: File) {
        self.waiting.insert(number, (pid, Arc::new(file)));
        match &self.worker {
            Some(worker) => worker.ask(&self.waiting, number..=number),
            None => self.start(),
        }
        while self.waiting.len() >= MAX_WAITING {
            self.await_one();
        }
    }

    /// What was asked for since the last call: the bytes by number, `None` where they did not come in time. They are empty
    /// where the process has gone.
    pub fn finish(&mut self) -> Vec<(usize, Option<Vec<u8>>)> {
        while !self.waiting.is_empty() {
            self.await_one();
        }
        std::mem::take(&mut self.read)
    }

    /// Starts a thread on all that waits; without one nothing is read.
    fn start(&mut self) {
        self.worker = match self.avoided.len() < MAX_STUCK {
            true => Worker::start(self.avoided.clone(), self.most, self.read_file).ok(),
            false => None,
        };
        match &self.worker {
            Some(worker) => worker.ask(&self.waiting, 0..=usize::MAX),
            None => self.give_up(|_| true),
        }
    }

    fn await_one(&mut self) {
        let Some(worker) = &self.worker else { return self.give_up(|_| true) };
        match worker.answers.recv_timeout(GLANCE) {
            Ok((number, bytes)) if self.waiting.remove(&number).is_some() => self.read.push((number, bytes)),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => self.leave_stuck(),
            Err(RecvTimeoutError::Disconnected) => self.start(),
        }
    }

    fn leave_stuck(&mut self) {
        let patience = if self.avoided.is_empty() { PATIENCE } else { LESS_PATIENCE };
        let Some(suspect) = self.worker.as_ref().and_then(|worker| worker.watch.stuck_in(patience)) else { return };
        self.give_up(|pid| Suspect::Process(pid) == suspect);
        self.avoided.insert(suspect);
        self.start();
    }

    /// Leaves the files of some processes unread.
    fn give_up(&mut self, of: impl Fn(u32) -> bool) {
        let asked = std::mem::take(&mut self.waiting);
        let (given_up, waiting): (BTreeMap<_, _>, _) = asked.into_iter().partition(|(_, (pid, _))| of(*pid));
        self.waiting = waiting;
        self.read.extend(given_up.into_keys().map(|number| (number, None)));
    }
}

impl Worker {
    fn start(avoided: HashSet<Suspect>, most: usize, read_file: ReadFile) -> io::Result<Worker> {
        let (requests, asked) = channel::<(usize, u32, Arc<File>)>();
        let (answer, answers) = channel();
        let watch = Arc::new(Watch::avoiding(avoided));
        let watched = Arc::clone(&watch);
        thread::Builder::new().name("ebrec-locked".to_owned()).spawn(move || {
            watched.begin();
            for (number, pid, file) in asked {
                let bytes = watched.look(Suspect::Process(pid), || Some(read_file(&file, most).unwrap_or_default()));
                if answer.send((number, bytes)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { requests, answers, watch })
    }

    fn ask(&self, waiting: &BTreeMap<usize, (u32, Arc<File>)>, numbers: RangeInclusive<usize>) {
        for (number, (pid, file)) in waiting.range(numbers) {
            // A thread that has ended is noticed where its answers are awaited.
            let _ = self.requests.send((*number, *pid, Arc::clone(file)));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.watch.leave();
    }
}

/// Reads one such file of a process; `None` where that can't be done, or not in time.
pub fn read_one(pid: u32, path: &Path, most: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(most);
    reader.ask(0, pid, foreign::open(path).ok()?);
    reader.finish().into_iter().find_map(|(_, bytes)| bytes)
}

/// Reads from the beginning, whatever another thread has read of it: one that is left behind may go on.
fn read(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut part) = (Vec::new(), [0; PART]);
    while bytes.len() < most {
        let room = PART.min(most - bytes.len());
        match file.read_at(part.get_mut(..room).unwrap_or_default(), bytes.len() as u64)? {
            0 => break,
            read => bytes.extend_from_slice(part.get(..read).unwrap_or_default()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::io::Write;
    use std::time::Duration;
    use std::time::Instant;

    use super::MAX_STUCK;
    use super::Reader;
    use super::read_one;

    #[test]
    fn files_are_read_from_the_beginning_up_to_a_bound() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'x'; 9000]).unwrap();
        let mut reader = Reader::new(8999);
        for number in 0..100 {
            reader.ask(number, 7, file.try_clone().unwrap());
        }
        let mut read = reader.finish();
        read.sort();
        assert_eq!(read.len(), 100);
        for (number, (own, bytes)) in read.into_iter().enumerate() {
            assert_eq!((own, bytes.unwrap().len()), (number, 8999));
        }
        assert_eq!(reader.finish(), []);
        let own = std::process::id();
        let maps = read_one(own, format!("/proc/{own}/maps").as_ref(), 1 << 20).unwrap();
        assert!(String::from_utf8(maps).unwrap().contains("[stack]"));
    }

    /// The read of a file that is empty never ends.
    fn read_or_hang(file: &File, most: usize) -> io::Result<Vec<u8>> {
        while file.metadata()?.len() == 0 {
            std::thread::park();
        }
        super::read(file, most)
    }

    #[test]
    fn a_process_that_holds_its_lock_costs_its_own_files_and_no_others() {
        let (mut full, empty) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        full.write_all(b"x").unwrap();
        let mut reader = Reader::with(9, read_or_hang);
        let since = Instant::now();
        for number in 0..200_u32 {
            let file = if number % 50 == 7 { &empty } else { &full };
            reader.ask(number as usize, number, file.try_clone().unwrap());
        }
        let mut read = reader.finish();
        read.sort();
        assert_eq!(read.len(), 200);
        for (number, bytes) in read {
            assert_eq!(bytes, (number % 50 != 7).then(|| b"x".to_vec()), "{number}");
        }
        // It is known by now.
        reader.ask(7, 7, full.try_clone().unwrap());
        assert_eq!(reader.finish(), [(7, None)]);
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }

    #[test]
    fn many_processes_that_hold_their_locks_do_not_add_up() {
        let empty = tempfile::tempfile().unwrap();
        let mut reader = Reader::with(9, read_or_hang);
        let since = Instant::now();
        let asked = 10 * u32::try_from(MAX_STUCK).unwrap();
        for number in 0..asked {
            reader.ask(number as usize, number, empty.try_clone().unwrap());
        }
        let read = reader.finish();
        assert_eq!(read.len(), asked as usize);
        assert!(read.iter().all(|(_, bytes)| bytes.is_none()));
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    }
}
