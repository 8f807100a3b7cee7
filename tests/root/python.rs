//! Stacks of Python programs beside those that the programs say they have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/python/stacks.py");
/// How long it stays in each of its stacks, on a CPU and asleep.
const MILLISECONDS: &str = "100";
/// The versions whose frames are known.
const VERSIONS: [&str; 4] = ["3.11", "3.12", "3.13", "3.14"];

/// A function, its file and its line.
type Frame = (String, String, i64);

/// The interpreters of a version on this machine.
fn interpreters(version: &str) -> Vec<PathBuf> {
    let name = format!("python{version}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|directory| directory.join(&name)).filter(|path| path.exists());
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let built = home.join(".pyenv/versions").read_dir().into_iter().flatten().flatten();
    let built = built.map(|entry| entry.path().join("bin").join(&name)).filter(|path| path.exists());
    // What pyenv puts into PATH are scripts that choose one.
    let is_program = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"));
    let found: BTreeSet<PathBuf> =
        installed.chain(built).filter(is_program).filter_map(|path| path.canonicalize().ok()).collect();
    found.into_iter().collect()
}

/// The stacks that the program said it had, without the innermost function's line: it goes on from there.
fn said(file: &Path) -> BTreeMap<String, Vec<Frame>> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str::<(String, Vec<Frame>)>(line).unwrap()).collect()
}

/// The frames of each stack of a recording that are Python's, the innermost first.
fn stacks(taken: &Taken) -> BTreeMap<i64, Vec<Frame>> {
    let mut symbols = BTreeMap::new();
    for row in taken.rows("symbol", &["id", "name", "module", "line"]).iter() {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let (module, line) = (text("module"), row.maybe("line"));
        // Native modules are files with a path, and the kernel's `[kernel]`, `[vdso]`, `[truncated]` and the like.
        let is_python = module.ends_with(".py") || module == "[python]" || !module.starts_with(['/', '[']);
        if line.is_some() || is_python && !module.is_empty() {
            symbols.insert(row.int("id"), (text("name"), module, line.unwrap_or(0)));
        }
    }
    let mut stacks = BTreeMap::new();
    for chunk in taken.recording.scan("stack", &["id", "frames"]).unwrap() {
        let chunk = chunk.unwrap();
        for row in 0..chunk.len() {
            let frames = chunk.list(1).get(row).unwrap_or_default().to_vec();
            let frames = frames.iter().filter_map(|id| symbols.get(&i64::from(*id)).cloned()).collect();
            stacks.insert(chunk.int(0).get(row).unwrap(), frames);
        }
    }
    stacks
}

/// How many of some rows have a stack that the program says it has, by the name that it gave the stack; and the others.
fn compared(
    taken: &Taken,
    kind: &str,
    said: &BTreeMap<String, Vec<Frame>>,
    stacks: &BTreeMap<i64, Vec<Frame>>,
) -> (BTreeMap<String, i64>, Vec<String>) {
    let (mut right, mut wrong) = (BTreeMap::<String, i64>::new(), Vec::new());
    for row in taken.rows(kind, &["ustack_id", "count"]).iter() {
        let Some(frames) = row.maybe("ustack_id").and_then(|id| stacks.get(&id)) else { continue };
        let Some(at) = frames.iter().position(|(name, ..)| said.contains_key(name)) else { continue };
        let (name, stack) = (&frames[at].0, &frames[at..]);
        let expected = &said[name];
        if stack[1..] == expected[1..] && stack[0].1 == expected[0].1 {
            *right.entry(name.clone()).or_default() += row.int("count");
        } else {
            wrong.push(format!("{name}: {stack:?}\n instead of {expected:?}"));
        }
    }
    (right, wrong)
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn frames_of_python_are_those_that_the_program_itself_has() {
    for version in VERSIONS {
        let interpreters = interpreters(version);
        if interpreters.is_empty() {
            skip(
                "frames_of_python_are_those_that_the_program_itself_has",
                &format!("there is no Python {version} here"),
            );
        }
        for interpreter in interpreters {
            check(&interpreter);
        }
    }
}

/// `python/fake.c`: what it does, what stands in a stack where its interpreter's loop is, and how stacks end.
const FAKES: [(&str, &str, Option<&str>); 6] = [
    ("plain", ";main;fake;work", None),
    ("cycle", ";fake;fake;fake;work", Some("stack too deep")),
    ("threads", ";main;_PyEval_EvalFrameDefault;work", None),
    ("nowhere", ";main;_PyEval_EvalFrameDefault;work", None),
    ("kernel", ";main;[python];work", None),
    ("endless", ";main;[python];work", None),
];

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn a_program_that_only_looks_like_python_misleads_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("fake").display().to_string();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/python/fake.c");
    let status = Command::new("cc").args(["-O1", "-pthread", "-rdynamic", "-o", &program, source]).status();
    assert!(status.unwrap().success(), "cc could not compile {source}");
    for (what, within, end) in FAKES {
        let (output, recorded) = Recorder::new("-p process,cpu").run(&[&program, what, "1000"]);
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let taken = Taken::open(&recorded.path().join("run.parquet"), recorded);
        let stacks = taken.rows("stack", &["id", "folded", "cause"]);
        let (mut all, mut expected) = (0, 0);
        for row in taken.rows("cpu_sample", &["ustack_id", "count", "process"]).named("process", "fake").iter() {
            let stack = stacks.with("id", row.maybe("ustack_id").unwrap_or_default());
            let Some(stack) = stack.iter().next() else { continue };
            let folded = stack.text("folded").unwrap_or_default();
            all += row.int("count");
            if folded.contains(within) && stack.text("cause") == end {
                expected += row.int("count");
            }
        }
        // The others are of the time before the tables were there, and of the program's start.
        assert!(expected * 10 >= all * 8 && all >= 20, "{what}: {expected} of {all}: {stacks:?}");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn a_script_that_lives_a_moment_has_the_names_of_its_functions() {
    let Some(interpreter) = interpreters("3.11").pop() else {
        return skip("a_script_that_lives_a_moment_has_the_names_of_its_functions", "there is no Python 3.11 here");
    };
    let script = "import json, re, asyncio\ndef shortly():\n    sum(one * one for one in range(600000))\nshortly()";
    let (output, recorded) = Recorder::new("-p process,cpu").run(&[&interpreter.display().to_string(), "-c", script]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&recorded.path().join("run.parquet"), recorded);
    let names: BTreeSet<String> =
        taken.rows("symbol", &["name"]).iter().filter_map(|row| row.text("name").map(str::to_owned)).collect();
    assert!(!names.contains("[python]"), "{names:?}");
    assert!(names.contains("shortly") && names.contains("shortly.<locals>.<genexpr>"), "{names:?}");
}

fn check(interpreter: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stacks").display().to_string();
    let interpreter = interpreter.display().to_string();
    // Twice as long as it takes: the machine may have more to do.
    let words = [interpreter.as_str(), SCRIPT, &file, MILLISECONDS];
    let (output, recorded) = Recorder::in_directory(dir.path(), "-p process,cpu,offcpu").run(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&recorded.path().join("run.parquet"), recorded);
    let (said, stacks) = (said(Path::new(&file)), stacks(&taken));
    for (kind, way, least) in [("cpu_sample", "work_", 3), ("stack_total", "rest_", 10)] {
        let (right, wrong) = compared(&taken, kind, &said, &stacks);
        assert!(wrong.is_empty(), "{interpreter}, {kind}: {}", wrong.join("\n"));
        for name in said.keys().filter(|name| name.starts_with(way)) {
            let seen = right.get(name).copied().unwrap_or_default();
            assert!(seen >= least, "{interpreter}, {kind}: {name} was seen {seen} times: {right:?}");
        }
    }
}
