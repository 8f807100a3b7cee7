//! Events beside other tools on the same work: perf's and bpftrace's counts, funclatency's times, probes that Debian's programs
//! have, and how many functions a pattern takes.

use std::fmt::Write as _;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use super::target::Target;
use super::target::counts;
use super::target::is_whole;
use super::target::kernel_functions;
use super::target::total;
use crate::common::Recorder;
use crate::common::Running;
use crate::common::find;
use crate::common::has;
use crate::common::skip;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

fn recording(event: &str) -> Running {
    Recorder::new("-p events -e").word(event).start()
}

/// What a command prints, both outputs together; none if it fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.env_remove("LD_LIBRARY_PATH").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    println!("{text}");
    output.status.success().then_some(text)
}

/// The number behind `key` in what a tool said.
fn number_behind(text: &str, key: &str) -> Option<i64> {
    let rest = text.split(key).nth(1)?.trim_start();
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_trace_point_is_hit_as_often_as_perf_counts() {
    let test = "a_trace_point_is_hit_as_often_as_perf_counts";
    let target = Target::build();
    let running = recording("tracepoint:syscalls:sys_enter_clock_nanosleep/comm==\"target\"/");
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x,", "-e", "syscalls:sys_enter_clock_nanosleep", "--"])
        .arg(target.path())
        .args(["sleep", "1", "250"]);
    let text = has("perf").then(|| said(&mut perf)).flatten();
    let taken = running.finish();
    let Some(text) = text else { return skip(test, "no perf that can count tracepoints here") };
    is_whole(&taken);
    let line = text.lines().find(|line| line.contains("sys_enter_clock_nanosleep")).unwrap();
    let theirs: i64 = line.split(',').next().unwrap().parse().unwrap();
    println!("perf stat: {theirs}, ebrec: {}", total(&taken));
    assert_eq!((total(&taken), theirs), (250, 250));
}

/// bpftrace as it runs on new kernels, too: with debugfs where it looks for it, and for 0.17 a limit that can be set.
fn bpftrace(program: &str, of: &str, dir: &Path) -> Option<String> {
    if !has("bpftrace") || !has("unshare") {
        return None;
    }
    let memlock = dir.join("memlock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/memlock.c");
    assert!(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&memlock).arg(source).status().unwrap().success());
    let mount =
        "mount -t debugfs none /sys/kernel/debug 2>/dev/null; LD_PRELOAD=\"$1\" exec bpftrace -q -e \"$2\" -c \"$3\"";
    said(Command::new("unshare").args(["-m", "sh", "-c", mount, "sh"]).arg(&memlock).args([program, of]))
}

#[test]
#[ignore = "root: attaches probes"]
fn a_function_is_hit_as_often_as_bpftrace_counts() {
    let test = "a_function_is_hit_as_often_as_bpftrace_counts";
    let target = Target::build();
    let file = target.path();
    let file = file.to_str().unwrap();
    for (event, theirs, arguments, hits) in [
        ("uprobe:FILE:call", "uprobe:FILE:call { @n = count(); }", "threads 8 5000", 40_000),
        (
            "uretprobe:FILE:called/retval%2==0/",
            "uretprobe:FILE:called /retval % 2 == 0/ { @n = count(); }",
            "calls 301",
            151,
        ),
        ("usdt:FILE:ebrec:fired", "usdt:FILE:ebrec:fired { @n = count(); }", "usdt 400", 400),
        (
            "tracepoint:syscalls:sys_enter_clock_nanosleep/comm==\"target\"/",
            "tracepoint:syscalls:sys_enter_clock_nanosleep /comm == \"target\"/ { @n = count(); }",
            "sleep 1 120",
            120,
        ),
    ] {
        let running = recording(&event.replace("FILE", file));
        let text = bpftrace(&theirs.replace("FILE", file), &format!("{file} {arguments}"), target.dir());
        let taken = running.finish();
        let Some(text) = text else { return skip(test, "no bpftrace that works here") };
        is_whole(&taken);
        let theirs = number_behind(&text, "@n:").unwrap_or_default();
        println!("{event}: bpftrace {theirs}, ebrec {}", total(&taken));
        assert_eq!((total(&taken), theirs), (hits, hits), "{event}");
    }
}

/// Debian's Python, if it has static probes.
fn python() -> Option<String> {
    let path = std::fs::canonicalize("/usr/bin/python3").ok()?;
    let program = std::fs::read(&path).ok()?;
    let note = b"stapsdt\0";
    program.windows(note.len()).any(|bytes| bytes == note).then(|| path.to_str().unwrap().to_owned())
}

#[test]
#[ignore = "root: attaches probes"]
fn static_probes_of_a_packaged_program_give_what_it_did() {
    let test = "static_probes_of_a_packaged_program_give_what_it_did";
    let Some(python) = python() else { return skip(test, "no /usr/bin/python3 with static probes") };
    let program = "import gc, sys\ngc.collect(); gc.disable()\nfor n in range(40):\n for _ in range(n):\n  x = []; x.append(x)\n\
                   \x20x = None; sys.audit('ebrec.test'); print(gc.collect())";
    let mut command = Command::new(&python);
    command.args(["-I", "-S", "-c", program]);

    let running = recording(&format!("usdt:{python}:python:gc__done(arg0)"));
    let text = said(&mut command).unwrap();
    let taken = running.finish();
    is_whole(&taken);
    let collected: Vec<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(collected, (0..40).collect::<Vec<_>>());
    let kept: Vec<i64> = taken.rows("event", &["arg_0"]).iter().map(|row| row.int("arg_0")).collect();
    assert!(kept.windows(40).any(|some| some == collected), "{kept:?}");

    // The same of every process that has it, by text: Python's own name of what it does.
    let running = recording(&format!("usdt:{python}:python:audit(by(str(arg0)))/str(arg0)==\"ebrec.test\"/"));
    said(&mut command).unwrap();
    let taken = running.finish();
    is_whole(&taken);
    assert_eq!(counts(&taken, "events_by").into_iter().collect::<Vec<_>>(), [("ebrec.test".to_owned(), 40)]);
}

/// The last of funclatency's buckets, which has everything longer, too.
const LAST: u32 = 24;

#[test]
#[ignore = "root: attaches probes"]
fn calls_take_what_funclatency_says() {
    let test = "calls_take_what_funclatency_says";
    if !has("stdbuf") {
        return skip(test, "no stdbuf");
    }
    let Some(funclatency) = find("funclatency") else { return skip(test, "no funclatency of libbpf-tools") };
    let target = Target::build();
    let file = target.path();
    let place = format!("{}:slept", file.to_str().unwrap());
    let mut peer = Command::new("stdbuf")
        .arg("-oL")
        .arg(funclatency)
        .arg(&place)
        .env_remove("LD_LIBRARY_PATH")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(peer.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    if !text.contains("Tracing") {
        peer.wait().unwrap();
        return skip(test, "funclatency can't trace functions of programs here");
    }
    let running = recording(&format!("latency:{place}"));
    let measured: Vec<i64> =
        [1, 3, 12, 25].iter().flat_map(|ms| target.run(&format!("sleep {ms} 15")).into_iter().take(15)).collect();
    kill_process(Pid::from_child(&peer), Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    peer.wait().unwrap();
    let taken = running.finish();
    is_whole(&taken);
    println!("{text}");
    // Powers of two, as funclatency's.
    let mut theirs = [0i64; 64];
    for line in text.lines().filter(|line| line.contains("->")) {
        let numbers: Vec<i64> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
        theirs[numbers[0].max(1).ilog2() as usize] += numbers[2];
    }
    let mut ours = [0i64; 64];
    let histogram = taken.histogram("events.latency", &[], |_| true);
    for bucket in histogram.buckets() {
        ours[bucket.lo.max(1).ilog2().min(LAST) as usize] += bucket.count as i64;
    }
    println!("ebrec {ours:?}\nfunclatency {theirs:?}\nmeasured {measured:?}");
    assert_eq!((ours.iter().sum::<i64>(), theirs.iter().sum::<i64>()), (60, 60));
    // Some nanoseconds apart, a call may be in the neighbouring bucket of theirs; and now and then a thread waits in between.
    let apart: i64 = ours.iter().zip(&theirs).map(|(one, other)| (one - other).abs()).sum::<i64>() / 2;
    assert!(apart <= 3, "{apart} of 60 are in other buckets");
}

/// Time until the probes were live, as it says it.
fn live_after(said: &str) -> &str {
    said.lines().find(|line| line.contains("all probes live")).unwrap()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_pattern_takes_a_thousand_functions_of_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("many.c"), dir.path().join("many"));
    let mut text = "static volatile long sink;\n".to_owned();
    for number in 0..1000 {
        writeln!(text, "__attribute__((noinline)) void f_{number}(int x) {{ sink += x + {number}; }}").unwrap();
    }
    let names: Vec<String> = (0..1000).map(|number| format!("f_{number}")).collect();
    writeln!(text, "static void (*const all[])(int) = {{ {} }};", names.join(", ")).unwrap();
    text += "int main(void) { for (int i = 0; i < 1000; i++) for (int n = 0; n < i % 5; n++) all[i](n); return 0; }\n";
    std::fs::write(&source, text).unwrap();
    assert!(Command::new("cc").arg("-O1").arg("-o").args([&program, &source]).status().unwrap().success());

    let running = recording(&format!("uprobe:{}:f_*", program.to_str().unwrap()));
    let live = live_after(&running.stderr()).to_owned();
    said(&mut Command::new(&program)).unwrap();
    let taken = running.finish();
    is_whole(&taken);
    println!("1,000 functions of a program: {live}");
    assert_eq!(total(&taken), 2000);
    let counts = counts(&taken, "events_function");
    if counts.keys().all(String::is_empty) {
        return skip(
            "a_pattern_takes_a_thousand_functions_of_a_program",
            "before Linux 5.15 an attachment has no cookie",
        );
    }
    let expected = (0..1000i64).filter(|number| number % 5 > 0).map(|number| (format!("f_{number}"), number % 5));
    assert_eq!(counts, expected.collect());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_pattern_takes_a_thousand_functions_of_the_kernel() {
    let test = "a_pattern_takes_a_thousand_functions_of_the_kernel";
    if !kernel_functions(test) {
        return;
    }
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    // Without CONFIG_FPROBE the rest is there and refuses.
    if !symbols.lines().any(|line| line.ends_with(" register_fprobe_ips")) {
        return skip(test, "this kernel attaches to one function after the other");
    }
    let target = Target::build();
    let running = recording("kprobe:*_show");
    let said = running.stderr();
    target.run("sleep 1 1");
    // Two files of sysfs that one function shows each.
    let cat = "for i in 1 2 3 4 5 6 7; do read line </sys/devices/system/cpu/online; done";
    assert!(Command::new("sh").args(["-c", cat]).status().unwrap().success());
    let taken = running.finish();
    is_whole(&taken);
    assert!(total(&taken) >= 7, "{:?}", counts(&taken, "events_function"));
    let functions = 1 + number_behind(&said, " and ").unwrap_or_default();
    println!("{functions} functions of the kernel: {}", live_after(&said));
    if functions < 1000 {
        skip(test, &format!("this kernel has {functions} functions *_show"));
    }
}
