//! Profiles of programs whose functions and sleeps are known: shares, names of every sort, and bcc's offcputime beside ours.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::find;
use crate::common::kernel::Held;
use crate::common::recorder::EBREC;
use crate::common::skip;
use crate::common::wait_for;
use tempfile::TempDir;

/// How far a share may be off, in percent of the whole.
const POINTS: f64 = 2.0;

/// `stacks/work.c`, compiled.
struct Work {
    dir: TempDir,
}

impl Work {
    fn build() -> Work {
        Work::build_with(&[])
    }

    fn build_with(more: &[&str]) -> Work {
        let work = Work { dir: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/stacks/work.c");
        let flags = ["-O2", "-g", "-fno-omit-frame-pointer", "-Wl,--build-id", "-o"];
        let status = Command::new("cc").args(more).args(flags).arg(work.program()).arg(source).status();
        assert!(status.unwrap().success(), "cc could not compile {source}");
        work
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn words(&self, what: &str, number: u32) -> [String; 3] {
        [self.program().to_str().unwrap().to_owned(), what.to_owned(), number.to_string()]
    }

    fn spawn(&self, what: &str, number: u32) -> Child {
        let [program, words @ ..] = self.words(what, number);
        let mut command = Command::new(program);
        command.args(words).env_remove("LD_LIBRARY_PATH").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }
}

/// A function in the view `cpu` or `offcpu`.
#[derive(Debug)]
struct Function {
    name: String,
    module: String,
    own: i64,
    total: i64,
}

/// The functions of the view `cpu`, heaviest first.
fn functions(file: &Path, more: &[&str]) -> Vec<Function> {
    functions_of("cpu", file, more)
}

fn functions_of(view: &str, file: &Path, more: &[&str]) -> Vec<Function> {
    let mut report = Command::new(EBREC);
    report.args(["report", view, "--format", "csv", "--table", "functions", "--top", "0"]).args(more).arg(file);
    let output = report.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let function = |line: &str| {
        let [name, module, own, _, total, _, _] = line.split(',').collect::<Vec<_>>().try_into().ok()?;
        let number = |text: &str| text.parse().ok();
        Some(Function { name: name.to_owned(), module: module.to_owned(), own: number(own)?, total: number(total)? })
    };
    text.lines().filter_map(function).collect()
}

/// What part of the CPU time was in a function and what it called, in percent.
fn share(functions: &[Function], name: &str) -> f64 {
    let all: i64 = functions.iter().map(|function| function.own).sum();
    let of: i64 = functions.iter().filter(|function| function.name == name).map(|function| function.total).sum();
    100.0 * of as f64 / all as f64
}

fn line_of(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_program_that_is_seventy_percent_in_one_function_is_seen_so() {
    let work = Work::build();
    let (output, dir) = Recorder::in_memory("-p process,cpu").run(&work.words("spin", 4000));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let truth: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [heavy, light] = truth[..] else { panic!("it said '{text}'") };
    let functions = functions(&dir.path().join("run.parquet"), &[]);
    for (name, ns) in [("heavy", heavy), ("light", light)] {
        let (seen, true_share) = (share(&functions, name), 100.0 * ns / (heavy + light));
        assert!((seen - true_share).abs() <= POINTS, "{name}: {seen} %, in truth {true_share} %: {functions:?}");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn raw_samples_are_one_row_each_and_as_many_as_the_counter_says() {
    let work = Work::build();
    let (output, dir) = Recorder::in_memory("-p process,cpu:raw").run(&work.words("spin", 2000));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let rows = taken.rows("cpu_sample", &["count", "pid", "ustack_id"]);
    assert_eq!(rows.sum("count"), i64::try_from(rows.count()).unwrap());
    assert_eq!(taken.metric("cpu.samples", &["pid"]).sum("count") - taken.lost_by("cpu"), rows.sum("count"));
    // 2 s at 99 a second; the machine below may hold a virtual CPU for a while.
    assert!((150..=210).contains(&rows.count()), "{} samples of 2 s", rows.count());
    let with_stack = rows.keep(|row| row.maybe("ustack_id").is_some()).count();
    assert!(with_stack * 10 >= rows.count() * 9, "{with_stack} of {} have a user stack", rows.count());
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn samples_are_as_many_as_asked_for_and_stand_for_the_cpu_time_between_two() {
    let work = Work::build();
    let (output, dir) = Recorder::in_memory("-p process,cpu:hz=997").run(&work.words("spin", 2000));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let rows = taken.rows("cpu_sample", &["count", "sum", "process"]).named("process", "work");
    let (samples, seconds) = (rows.sum("count"), rows.sum("sum") as f64 / 1e9);
    // 2 s of one CPU, less what the machine below took.
    assert!((1500..=2110).contains(&samples), "{samples} samples of 2 s at 997 Hz");
    assert!((seconds - samples as f64 / 997.0).abs() < 0.01, "{samples} samples stand for {seconds} s");
    let profile = Command::new(EBREC).args(["export", "--to", "pprof"]).arg(taken.recording.path()).output().unwrap();
    assert!(profile.status.success(), "{}", String::from_utf8_lossy(&profile.stderr));
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn functions_of_a_process_that_has_ended_have_names() {
    let work = Work::build();
    // Nothing is looked up before the end of the window, when it is long gone.
    let running = Recorder::in_memory("-p process,cpu --interval 1h").start();
    let child = work.spawn("spin", 500);
    let pid = child.id().to_string();
    end(child);
    let taken = running.finish();
    let functions = functions(taken.recording.path(), &["--pid", &pid]);
    assert!(share(&functions, "heavy") > 50.0, "{functions:?}");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn functions_of_a_stripped_program_get_their_names_from_the_debug_dir() {
    if find("objcopy").is_none() || find("strip").is_none() {
        return skip(
            "functions_of_a_stripped_program_get_their_names_from_the_debug_dir",
            "there is no objcopy or strip",
        );
    }
    let work = Work::build();
    let debug = work.dir.path().join("debug");
    std::fs::create_dir(&debug).unwrap();
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("objcopy").arg("--only-keep-debug").arg(work.program()).arg(debug.join("work.debug")));
    run(Command::new("strip").arg(work.program()));
    let (output, dir) = Recorder::in_memory("-p process,cpu").run(&work.words("spin", 500));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = dir.path().join("run.parquet");
    let before = functions(&file, &[]);
    assert!(before.iter().any(|function| function.name.starts_with("work+0x")), "{before:?}");
    assert!(share(&before, "heavy") == 0.0, "{before:?}");
    let after = functions(&file, &["--debug-dir", debug.to_str().unwrap()]);
    assert!(share(&after, "heavy") > 50.0, "{after:?}");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn code_that_is_made_at_run_time_has_the_name_of_its_map() {
    let work = Work::build();
    let running = Recorder::in_memory("-p process,cpu").start();
    let mut child = work.spawn("generated", 500);
    assert_eq!(line_of(&mut child), "done");
    let taken = running.finish();
    let functions = functions(taken.recording.path(), &["--pid", &child.id().to_string()]);
    end(child);
    assert!(share(&functions, "made at run time") > 80.0, "{functions:?}");
    let made = functions.iter().find(|function| function.name == "made at run time").unwrap();
    assert_eq!(made.module, "[generated]");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn inlined_functions_are_frames_when_they_are_asked_for() {
    let work = Work::build();
    for (options, expected) in [("-p process,cpu", 0.0), ("-p process,cpu --inlines", 90.0)] {
        let (output, dir) = Recorder::in_memory(options).run(&work.words("inlined", 500));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let functions = functions(&dir.path().join("run.parquet"), &[]);
        let (inner, outer) = (share(&functions, "inner (inlined)"), share(&functions, "outer"));
        assert!(outer > 90.0 && (inner > 0.0) == (expected > 0.0) && inner >= expected, "{options}: {functions:?}");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn time_asleep_is_what_the_sleeper_and_offcputime_say() {
    const NAME: &str = "time_asleep_is_what_the_sleeper_and_offcputime_say";
    let work = Work::build();
    let mut child = work.spawn("nap", 50);
    let pid = child.id();
    let running = Recorder::in_memory(&format!("-p offcpu --pid {pid}")).start();
    let theirs = find("offcputime").map(|program| {
        let mut command = Command::new(program);
        command.args(["--pid", &pid.to_string(), "5"]).env_remove("LD_LIBRARY_PATH");
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    });
    let live = theirs.and_then(|mut theirs| {
        let ended = wait_for("offcputime to be live", || {
            let ended = theirs.try_wait().unwrap().is_some();
            (ended || !Held::by(theirs.id()).links.is_empty()).then_some(ended)
        });
        (!ended).then_some(theirs)
    });
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let slept: i64 = line_of(&mut child).parse().unwrap();
    let taken = running.finish();
    let ours = taken.metric("offcpu.time", &["pid"]).with("pid", pid.into()).sum("sum");
    let by_stack = taken.rows("stack_total", &["pid", "sum", "kstack_id"]).with("pid", pid.into());
    assert_eq!(by_stack.sum("sum"), ours);
    assert!(ours <= slept && ours * 100 >= slept * 97, "{ours} ns asleep, in truth {slept}");
    let Some(theirs) = live else { return skip(NAME, "offcputime is not there or can't run; the rest was checked") };
    let output = theirs.wait_with_output().unwrap();
    end(child);
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: i64 = text.lines().filter_map(|line| line.trim().parse::<i64>().ok()).sum::<i64>() * 1000;
    // It rounds each sleep down to microseconds, and counts it too when the thread only has to leave its CPU to another. A sleep of 20 ms whose
    // end the kernel does not show it lacks; that ours is not too much, the sleeper said above.
    assert!((theirs - ours) * 50 <= ours, "{ours} ns asleep, by offcputime {theirs}: {text}");
    assert!((ours - theirs) * 20 <= ours, "{ours} ns asleep, by offcputime {theirs}: {text}");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn the_same_addresses_after_an_exec_are_functions_of_the_new_program() {
    const COUNT: u32 = 100;
    let (first, other) = (Work::build(), Work::build_with(&["-DASLEEP=other_nap"]));
    let next = other.program().to_str().unwrap().to_owned();
    let words = [&first.words("replace", COUNT)[..], &[next]].concat();
    let (output, dir) = Recorder::in_memory("-p process,offcpu").run(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let functions = functions_of("offcpu", &dir.path().join("run.parquet"), &[]);
    for name in ["first_nap", "other_nap"] {
        let asleep: i64 = functions.iter().filter(|one| one.name == name).map(|one| one.total).sum();
        let least = i64::from(COUNT) * 1_000_000 * 9 / 10;
        assert!(asleep >= least, "{asleep} ns in {name}, {COUNT} times 1 ms in truth: {functions:?}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn thousands_of_different_stacks_in_a_second_are_all_kept() {
    const DIFFERENT: usize = 4096;
    let workload = Workload::compile("stacks/many.c", "many", tempfile::tempdir().unwrap());
    let program = workload.path().display().to_string();
    let (output, dir) = Recorder::new("-p offcpu").run(&[program.as_str(), "4", "8000"]);
    assert!(output.status.success(), "{output:?}");
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    assert_eq!(taken.lost_by("offcpu"), 0, "{:?}", taken.lost());
    let stacks = taken.rows("stack", &["id", "folded"]);
    let own = stacks.keep(|row| row.text("folded").is_some_and(|folded| folded.matches(";further").count() > 10));
    assert!(own.count() >= DIFFERENT, "{} of {DIFFERENT} stacks", own.count());
}

/// What `stacks/callers.c` calls, from main on.
const CALLERS: &str = "main;recursive;recursive;recursive;recursive;varied;aligned;sorted;";
const WITHIN_LIBC: &str = ";compare;signalled;";
const INNERMOST: &str = ";handler;innermost";

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn callers_of_code_without_frame_pointers_are_those_that_called() {
    let workload = Workload::compile("stacks/callers.c", "callers", tempfile::tempdir().unwrap());
    let program = workload.path().display().to_string();
    for (words, kind) in [(vec![program.clone()], "cpu_sample"), (vec![program, "asleep".to_owned()], "stack_total")] {
        let (output, dir) = Recorder::new("-p process,cpu,offcpu").run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let taken = Taken::open(&dir.path().join("run.parquet"), dir);
        let stacks = taken.rows("stack", &["id", "folded", "cause"]);
        let (mut all, mut whole) = (0, 0);
        for row in taken.rows(kind, &["comm", "process", "ustack_id", "count"]).named("process", "callers").iter() {
            let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
            let Some(stack) = stack.iter().next() else { continue };
            let folded = stack.text("folded").unwrap_or_default();
            all += row.int("count");
            match stack.text("cause") {
                Some(_) => assert!(folded.starts_with("[truncated]"), "{folded}"),
                None => whole += row.int("count"),
            }
            if folded.contains(INNERMOST) {
                let is_cut = folded.starts_with("[truncated];");
                assert!(is_cut || folded.contains(CALLERS) && folded.contains(WITHIN_LIBC), "{folded}");
            }
        }
        assert!(whole * 100 >= all * 95 && all > 50, "{whole} of {all} stacks are whole in {kind}");
    }
}

/// The stacks of a command's samples, innermost function last, with the number of samples and what cut them short.
fn sampled(words: &[String]) -> Vec<(String, i64, Option<String>)> {
    let (output, dir) = Recorder::in_memory("-p process,cpu").run(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let stacks = taken.rows("stack", &["id", "folded", "cause"]);
    let samples = taken.rows("cpu_sample", &["ustack_id", "count"]);
    let stack = |id| {
        let stack = stacks.with("id", id);
        let row = stack.iter().next()?;
        Some((row.text("folded").unwrap_or_default().to_owned(), row.text("cause").map(str::to_owned)))
    };
    let found = samples.iter().filter_map(|row| {
        let (folded, cause) = stack(row.maybe("ustack_id")?)?;
        Some((folded, row.int("count"), cause))
    });
    found.collect()
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn code_that_tables_describe_badly_or_not_at_all_has_no_false_callers() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/stacks/undescribed.c");
    let (part, program) = (path("part.o"), path("undescribed"));
    let compile = |words: &[&str]| {
        let status = Command::new("cc").args(["-O2", "-g"]).args(words).status();
        assert!(status.unwrap().success(), "cc could not compile {source}");
    };
    let only_debug = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    compile(&[&["-c", "-DPART", "-o", &part, source][..], &only_debug].concat());
    compile(&["-o", &program, source, &part]);
    let of = |what: &str| sampled(&[program.clone(), what.to_owned()]);
    let most = |stacks: &[(String, i64, Option<String>)], is: &dyn Fn(&str) -> bool| {
        let all: i64 = stacks.iter().map(|(_, count, _)| count).sum();
        let these: i64 = stacks.iter().filter(|(folded, ..)| is(folded)).map(|(_, count, _)| count).sum();
        assert!(all > 20 && these * 10 >= all * 8, "{these} of {all}: {stacks:?}");
    };

    let lost = of("lost");
    most(&lost, &|folded| folded.ends_with("outer;lost_register;innermost"));
    assert!(lost.iter().all(|(folded, ..)| !folded.contains("never_called")), "{lost:?}");

    let bare = of("bare");
    most(&bare, &|folded| folded.ends_with(";bare"));
    let is_right = |folded: &str| ["[truncated];bare", "inner;bare"].iter().any(|end| folded.ends_with(end));
    assert!(bare.iter().all(|(folded, ..)| !folded.ends_with("bare") || is_right(folded)), "{bare:?}");

    most(&of("label"), &|folded| folded.ends_with(";local_label"));

    let part = of("part");
    most(&part, &|folded| folded.ends_with("main;part_outer;part_inner;innermost"));
    let whole = part.iter().filter(|(_, _, cause)| cause.is_none()).map(|(_, count, _)| count).sum::<i64>();
    assert!(whole > 20, "{part:?}");
}

/// Compilers write their output to a file again and again, and file systems give it the inode that was just freed.
#[test]
#[ignore = "root: attaches BPF programs"]
fn a_file_that_is_written_again_under_the_same_inode_is_another_program() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/stacks/callers.c");
    for id in ["-Wl,--build-id", "-Wl,--build-id=none"] {
        // The second is laid out differently.
        for (name, more) in [("one", "-O1"), ("two", "-O2")] {
            let status = Command::new("cc").args([more, id, "-o", &path(name), source]).status();
            assert!(status.unwrap().success(), "cc could not compile {source}");
        }
        let run = path("run");
        std::fs::copy(path("one"), &run).unwrap();
        let before = std::fs::metadata(&run).unwrap().ino();
        let script = format!("{run}; cat {} >{run}; {run}", path("two"));
        let stacks = sampled(&["sh".to_owned(), "-c".to_owned(), script]);
        assert_eq!(std::fs::metadata(&run).unwrap().ino(), before);
        let (mut all, mut right) = (0, 0);
        for (folded, count, _) in
            stacks.iter().filter(|(folded, ..)| folded.contains("innermost") || folded.contains("run+"))
        {
            all += count;
            right += if folded.contains(CALLERS) && folded.contains(WITHIN_LIBC) { *count } else { 0 };
            assert!(!folded.contains("run+0x"), "{id}: {folded}");
        }
        assert!(right * 100 >= all * 90 && all > 100, "{id}: {right} of {all}: {stacks:?}");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_stack_within_execve_is_of_no_program_with_the_memory_of_another() {
    const COUNT: u32 = 2000;
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/stacks/execs.c");
    let build = |name: &str, more: &[&str]| {
        let program = dir.path().join(name);
        let flags = ["-O2", "-static", "-no-pie", "-Wl,--build-id", "-o"];
        let status = Command::new("cc").args(more).args(flags).arg(&program).arg(source).status();
        assert!(status.unwrap().success(), "cc could not compile {source}");
        program.to_str().unwrap().to_owned()
    };
    let (one, other) = (build("execs", &[]), build("padded", &["-DPADDING"]));
    let (output, dir) = Recorder::in_memory("-p process,cpu,offcpu").run(&[one, COUNT.to_string(), other]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let stacks = taken.rows("stack", &["id", "folded", "cause"]);
    let (mut all, mut named, mut within) = (0, 0, 0);
    for kind in ["cpu_sample", "stack_total"] {
        for row in taken.rows(kind, &["comm", "ustack_id", "count"]).iter() {
            if !matches!(row.text("comm"), Some("execs" | "padded")) {
                continue;
            }
            let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
            let Some(stack) = stack.iter().next() else { continue };
            let folded = stack.text("folded").unwrap_or_default();
            all += row.int("count");
            within += if stack.text("cause") == Some("within execve") { row.int("count") } else { 0 };
            named += if folded.ends_with("innermost") { row.int("count") } else { 0 };
            let is_false = |frame: &str| frame == "[unknown]" || frame == "padding" || frame.contains("+0x");
            assert!(!folded.split(';').any(is_false), "{kind}: {folded}");
        }
    }
    assert!(
        named * 5 > all && within > 0,
        "{named} of {all} stacks have the program's functions, {within} are within execve"
    );
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_library_in_the_place_of_another_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = |name: &str| format!("{}/tests/root/stacks/{name}.c", env!("CARGO_MANIFEST_DIR"));
    for id in ["-Wl,--build-id", "-Wl,--build-id=none"] {
        let build = |name: &str, source: String, more: &[&str]| {
            let built = dir.path().join(name).to_str().unwrap().to_owned();
            let status = Command::new("cc").args(["-O2", "-o", &built, &source]).args(more).status();
            assert!(status.unwrap().success(), "cc could not compile {source}");
            built
        };
        let library = |name: &str, more: &[&str]| {
            let names = [format!("-DINNER={name}_inner"), format!("-DOUTER={name}_outer")];
            let flags = [&["-shared", "-fPIC", id, &names[0], &names[1]], more].concat();
            build(&format!("{name}.so"), source("plugin"), &flags)
        };
        let (first, other) = (library("first", &[]), library("other", &["-DDEEP"]));
        let program = build("plugins", source("plugins"), &[]);
        // Each change costs the stacks of a moment, which a build that is not optimised needs for reading the mappings.
        let words = [program.as_str(), "40", "first_outer", &first, "other_outer", &other].map(str::to_owned);
        let (output, run) = Recorder::in_memory("-p process,cpu").run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("0 of "), "the libraries were at several addresses: {said}");
        let taken = Taken::open(&run.path().join("run.parquet"), run);
        let stacks = taken.rows("stack", &["id", "folded"]);
        let (mut all, mut right) = (0, 0);
        for row in taken.rows("cpu_sample", &["process", "ustack_id", "count"]).named("process", "plugins").iter() {
            let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
            let Some(stack) = stack.iter().next() else { continue };
            let folded = stack.text("folded").unwrap_or_default();
            let has = |what: &str| folded.contains(what);
            all += row.int("count");
            let chains = ["main;first_turn;first_outer;first_inner", "main;second_turn;other_outer;other_inner"];
            right += if chains.iter().any(|chain| has(chain)) { row.int("count") } else { 0 };
            assert!(!(has("first_turn") && has("other_") || has("second_turn") && has("first_")), "{id}: {folded}");
            // The kernel's own code in the process has no file; it has no name once the process has ended.
            let in_files = folded.replace("clock_gettime;[unknown]", "clock_gettime");
            assert!(!in_files.split(';').any(|frame| frame == "[unknown]"), "{id}: {folded}");
        }
        assert!(right * 100 >= all * 90 && all > 100, "{id}: {right} of {all} stacks are right");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn stacks_are_whole_where_many_processes_have_many_libraries() {
    use std::os::unix::process::CommandExt;
    const PROCESSES: usize = 80;
    const LIBRARIES: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let source = |name: &str| format!("{}/tests/root/stacks/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let build = |name: &str, source: String, more: &[&str]| {
        let built = path(name);
        let status = Command::new("cc").args(["-O2", "-o", &built, &source]).args(more).status();
        assert!(status.unwrap().success(), "cc could not compile {source}");
        built
    };
    let libraries = (0..LIBRARIES).map(|number| {
        let names = [format!("-DINNER=inner_{number}"), format!("-DOUTER=outer_{number}")];
        let flags = ["-shared", "-fPIC", "-Wl,--build-id", &names[0], &names[1]];
        build(&format!("lib{number}.so"), source("plugin"), &flags)
    });
    let libraries: Vec<String> = libraries.collect();
    let program = build("family", source("family"), &[]);
    let mut command = Command::new(program);
    command.arg(PROCESSES.to_string()).args(libraries).process_group(0);
    let mut family = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(line_of(&mut family), "ready");
    let sleep = ["sleep".to_owned(), "3".to_owned()];
    let (output, run) = Recorder::in_memory("-p process,offcpu --system-wide").run(&sleep);
    end(family);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&run.path().join("run.parquet"), run);
    let stacks = taken.rows("stack", &["id", "folded", "cause"]);
    let (mut all, mut whole) = (0, 0);
    for row in taken.rows("stack_total", &["process", "ustack_id", "count"]).named("process", "family").iter() {
        let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
        let Some(stack) = stack.iter().next() else { continue };
        let is_whole = stack.text("folded").is_some_and(|folded| folded.contains("main;live;rest;"));
        all += row.int("count");
        whole += if is_whole && stack.text("cause").is_none() { row.int("count") } else { 0 };
    }
    println!("{whole} of {all} stacks are whole");
    assert!(whole * 100 >= all * 90 && all > 1000, "{whole} of {all} stacks are whole");
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn callers_in_go_are_those_that_its_runtime_has() {
    const NAME: &str = "callers_in_go_are_those_that_its_runtime_has";
    let Some(go) = find("go") else { return skip(NAME, "there is no go") };
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/stacks/chains.go");
    for (flags, kind) in [("", "cpu_sample"), ("-s", "cpu_sample"), ("", "stack_total")] {
        let program = dir.path().join("chains");
        let mut build = Command::new(&go);
        build.args(["build", "-ldflags", flags, "-o"]).arg(&program).arg(source);
        build.env("GOCACHE", dir.path().join("cache")).env("GO111MODULE", "off").env("GOFLAGS", "");
        assert!(build.status().unwrap().success(), "go could not compile {source}");
        let mut words = vec![program.to_str().unwrap().to_owned()];
        words.extend((kind == "stack_total").then(|| "asleep".to_owned()));
        let (output, run) = Recorder::in_memory("-p process,cpu,offcpu").run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let truth: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(truth.len(), 5, "{said}");
        let taken = Taken::open(&run.path().join("run.parquet"), run);
        let stacks = taken.rows("stack", &["id", "folded", "cause"]);
        let (mut all, mut whole, mut right, mut without) = (0, 0, 0, 0);
        for row in taken.rows(kind, &["process", "ustack_id", "count"]).named("process", "chains").iter() {
            let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
            let Some(stack) = stack.iter().next() else { continue };
            // What assembly has of two calling conventions is one function to its caller.
            let folded = stack.text("folded").unwrap_or_default().replace(".abi0", "");
            let count = row.int("count");
            all += count;
            let is_whole = stack.text("cause").is_none();
            whole += if is_whole { count } else { 0 };
            without += if stack.text("cause") == Some("no unwind information") { count } else { 0 };
            // Without symbols the names are to be found in Go's own table, and here not yet.
            let Some(at) = folded.find("main.burn;").or(folded.ends_with("main.burn").then(|| folded.len() - 9)) else {
                continue;
            };
            let chain = &folded[..at + 9];
            let said = truth.iter().find(|(name, _)| chain.contains(&format!(";main.{name};")));
            assert!(!is_whole || said.is_some_and(|(_, chain_said)| *chain_said == chain), "{kind}: {folded}");
            right += if is_whole { count } else { 0 };
        }
        println!("{kind}, {flags}: {whole} of {all} stacks are whole, {without} lack information");
        assert!(whole * 100 >= all * 95 && all > 100, "{kind}, {flags}: {whole} of {all} stacks are whole");
        // Of thousands, not of some hundred samples: a moment within an instruction sequence of the runtime's is worth one.
        let is_known = kind == "cpu_sample" || without * 1000 <= all;
        assert!(is_known, "{kind}: {without} of {all} stacks end in code without unwind information");
        assert!(!flags.is_empty() || right * 10 > all, "{kind}: {right} of {all} stacks have a chain");
    }
}
