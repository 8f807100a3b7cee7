//! Functions that are taken at their own exits, in a program whose calls end in every way in which calls end.

use std::collections::BTreeMap;
use std::process::Command;
use std::process::Stdio;

use super::target::Target;
use super::target::counts;
use super::tells_places;
use crate::common::Recorder;
use crate::common::Running;
use crate::common::Taken;

const END_UNSEEN: &str = "events: end not seen";

/// How many calls of a function began, and how many returned.
type Calls = (i64, i64);

/// `frames.cpp` and what a recording is to have of it.
struct Frames {
    target: Target,
}

impl Frames {
    fn build() -> Frames {
        Frames { target: Target::compiled("c++", "frames.cpp") }
    }

    fn recording(&self, events: &[&str]) -> Running {
        let file = self.target.path();
        let recorder = events.iter().fold(Recorder::new("-p events"), |recorder, event| {
            recorder.word("-e").word(&event.replace("FILE", file.to_str().unwrap()))
        });
        recorder.start()
    }

    /// Its status, and the calls of left(), deep() and jumped().
    fn run(&self, arguments: &str) -> (Option<i32>, Vec<Calls>) {
        let mut command = Command::new(self.target.path());
        let output = command.args(arguments.split(' ')).env_remove("LD_LIBRARY_PATH").stdin(Stdio::null()).output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
        (output.status.code(), numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    /// Records entries and calls of a function while the program runs: (entries, returns), what was lost, and what the program says.
    fn compared(&self, function: &str, which: usize, arguments: &str) -> (Calls, BTreeMap<String, i64>, Calls) {
        let entered = format!("uprobe:FILE:{function}");
        let timed = format!("latency:FILE:{function}");
        let running = self.recording(&[&entered, &timed]);
        let (status, calls) = self.run(arguments);
        let taken = running.finish();
        assert_eq!(status, Some(42), "it lives through '{arguments}'");
        let seen = counts(&taken, "name");
        let of = |sort: &str| seen.iter().filter(|(name, _)| name.starts_with(sort)).map(|(_, count)| count).sum();
        let histogram = taken.histogram("events.latency", &[], |_| true).count() as i64;
        assert_eq!(histogram, of("latency"), "each return has a latency");
        ((of("uprobe"), of("latency")), taken.lost(), calls[which])
    }
}

/// What is lost, as nothing but calls whose ends were not seen.
fn unseen(lost: &BTreeMap<String, i64>) -> i64 {
    assert!(lost.keys().all(|cause| cause == END_UNSEEN), "{lost:?}");
    lost.get(END_UNSEEN).copied().unwrap_or_default()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_program_lives_and_its_calls_are_counted_however_they_end() {
    let frames = Frames::build();
    for (arguments, open) in [
        // Each dead frame is found by the next call in its place; after the last one there is none.
        ("exceptions 400", 1),
        ("longjmp 300", 0),
        ("signals 100", 0),
        // Dropped when the process ends, or becomes another program.
        ("fork 20", 20),
        ("exec 10", 10),
        ("coroutines 128", 0),
    ] {
        let (seen, lost, calls) = frames.compared("left", 0, arguments);
        assert_eq!(seen, calls, "{arguments}");
        assert_eq!(unseen(&lost), calls.0 - calls.1 - open, "{arguments}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn threads_that_end_within_calls_leave_the_others_exact() {
    let (seen, lost, calls) = Frames::build().compared("left", 0, "threads 8 500");
    assert_eq!((seen, calls), ((4008, 4000), (4008, 4000)));
    // Stacks of threads are used again, or not.
    assert!(unseen(&lost) <= 8, "{lost:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn an_exception_through_a_deep_recursion_ends_all_of_its_calls() {
    let (seen, lost, calls) = Frames::build().compared("deep", 1, "recurse 150 40");
    assert_eq!((seen, calls), ((40 * 151, 20 * 151), (40 * 151, 20 * 151)));
    // All but those of the last exception, behind which nothing is called.
    assert_eq!(unseen(&lost), 19 * 151);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_function_that_ends_in_another_returns_from_there_and_only_for_its_own_callers() {
    let frames = Frames::build();
    let running = frames.recording(&["latency:FILE:jumped(arg0,retval)", "uretprobe:FILE:jumped(retval)"]);
    let (status, calls) = frames.run("tail 1000");
    let taken = running.finish();
    assert_eq!((status, calls[2]), (Some(42), (1000, 750)));
    let rows = |sort: &str| {
        let rows = taken.rows("event", &["name", "arg_0", "arg_1"]);
        let of_sort = rows.iter().filter(|row| row.text("name").unwrap().starts_with(sort));
        of_sort.map(|row| (row.int("arg_0"), row.maybe("arg_1"))).collect::<Vec<_>>()
    };
    let returned = || (0..1000).filter(|number| number % 4 != 3);
    assert_eq!(rows("latency"), returned().map(|number| (number, Some(number + 1))).collect::<Vec<_>>());
    assert_eq!(rows("uretprobe"), returned().map(|number| (number + 1, None)).collect::<Vec<_>>());
}

#[test]
#[ignore = "root: attaches probes"]
fn all_of_it_at_once_is_exact() {
    let (seen, lost, calls) = Frames::build().compared("left", 0, "mixed 1000");
    assert_eq!(seen, calls);
    let abandoned = calls.0 - calls.1;
    // Of 20 children each ended in a call, and 10 ran another program in one. Frames of the 8 threads, and one at the end of each way to
    // end calls, are open where nothing was called again.
    assert!((abandoned - 30 - 8 - 7..=abandoned - 30).contains(&unseen(&lost)), "{lost:?} of {abandoned}");
}

#[test]
#[ignore = "root: attaches probes"]
fn several_functions_are_told_apart_where_calls_are_within_calls() {
    if !tells_places() {
        return super::skip("several_functions_are_told_apart", "before Linux 5.15 an attachment has no cookie");
    }
    let frames = Frames::build();
    let running = frames.recording(&["latency:FILE:*e*"]);
    let (status, calls) = frames.run("mixed 100");
    let taken: Taken = running.finish();
    let seen = counts(&taken, "events_function");
    assert_eq!(status, Some(42));
    let of = |name: &str| seen.get(name).copied().unwrap_or_default();
    assert_eq!((of("left"), of("deep"), of("jumped")), (calls[0].1, calls[1].1, calls[2].1), "{seen:?}");
}
