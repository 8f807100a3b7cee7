//! Programs of an ordinary user that make trouble for a tool that names their functions: each recording ends on time, stays small,
//! is readable, and says what it left out.

mod sources;

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::common::Recorder;
use crate::common::Running;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;
use tempfile::TempDir;

/// An ordinary user: nobody.
const USER: u32 = 65534;
/// The window of each recording, and the time that its end may take: the look at what is left, and writing the file on a
/// machine that does other things, too.
const WINDOW: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_secs(8);
/// What a recording may keep resident.
const MAX_RESIDENT: u64 = 150 << 20;

/// A directory in which anyone may make files.
fn open_directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    dir
}

fn hostile() -> Workload {
    Workload::compile("symbols/hostile.c", "hostile", open_directory())
}

/// A program of the ordinary user that spins until it is dropped.
struct Spinner(Child);

impl Spinner {
    fn start(program: &Path, words: &[&str]) -> Spinner {
        Spinner::start_as(USER, program, words)
    }

    fn start_as(user: u32, program: &Path, words: &[&str]) -> Spinner {
        let mut command = Command::new(program);
        command.args(words).uid(user).gid(user).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "'{}' {words:?} did not start", program.display());
        Spinner(child)
    }

    fn pid(&self) -> i64 {
        self.0.id().into()
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Records a window of the machine; fails when it takes too long or too much.
fn record(options: &str) -> Taken {
    let started = Recorder::new(&format!("-d 2s {options}")).start();
    let begun = Instant::now();
    let resident = peak_of(&started);
    let took = begun.elapsed();
    let taken = started.finished(0);
    assert!(took < WINDOW + MARGIN, "it took {took:?}: {}", taken.stderr);
    assert!(resident < MAX_RESIDENT, "{} MiB were resident", resident >> 20);
    taken
}

/// Waits for its end and gives the most that was resident at a time.
fn peak_of(running: &Running) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { return peak };
        peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the functions of a process's samples are called, and why others have no name.
fn names_of(taken: &Taken, pid: i64) -> Vec<String> {
    let samples = taken.rows("cpu_sample", &["pid", "ustack_id"]).with("pid", pid);
    let stacks = taken.rows("stack", &["id", "folded"]);
    let ids: Vec<i64> = samples.iter().filter_map(|row| row.maybe("ustack_id")).collect();
    assert!(!ids.is_empty(), "no sample of process {pid}");
    let folded = stacks.iter().filter(|row| ids.contains(&row.int("id")));
    folded.map(|row| row.text("folded").unwrap_or_default().to_owned()).collect()
}

/// The report reads it.
fn report(taken: &Taken) -> String {
    let output = Command::new(EBREC).args(["report", "cpu"]).arg(taken.recording.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_perf_map_that_is_a_fifo_or_a_device_stops_nothing_and_others_have_their_names() {
    let hostile = hostile();
    let trouble = [Spinner::start(&hostile.path(), &["fifo"]), Spinner::start(&hostile.path(), &["device"])];
    let named = Spinner::start(&hostile.path(), &["named", "a_jit_function"]);
    let plain = Spinner::start(&hostile.path(), &["plain"]);
    let taken = record("-p process,cpu");
    for spinner in &trouble {
        // Between two calls of the generated code a sample may find the program's own.
        let stacks = names_of(&taken, spinner.pid());
        assert!(stacks.iter().any(|stack| stack.ends_with("[unknown]")), "{stacks:?}");
        assert!(!stacks.iter().any(|stack| stack.contains("jit")), "{stacks:?}");
    }
    assert!(names_of(&taken, named.pid()).iter().any(|stack| stack.ends_with("a_jit_function")));
    assert!(names_of(&taken, plain.pid()).iter().any(|stack| stack.ends_with("plain_function")));
    // Its lines wrap where the numbers before leave no space.
    let text = report(&taken);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line.contains("% generated code"), "{text}");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_perf_map_that_another_user_made_names_nothing() {
    let hostile = hostile();
    let spinner = Spinner::start(&hostile.path(), &["fifo"]);
    let map = PathBuf::from(format!("/tmp/perf-{}.map", spinner.0.id()));
    std::fs::remove_file(&map).unwrap();
    std::fs::write(&map, "600000000000 1000 forged\n").unwrap();
    std::os::unix::fs::chown(&map, Some(1234), Some(1234)).unwrap();
    let names = names_of(&record("-p process,cpu"), spinner.pid());
    // Between two calls of the generated code a sample may find the program's own.
    assert!(names.iter().any(|stack| stack.ends_with("[unknown]")), "{names:?}");
    assert!(!names.iter().any(|stack| stack.contains("forged")), "{names:?}");
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn four_names_of_one_large_perf_map_are_read_as_one() {
    let hostile = hostile();
    let map = hostile.dir().join("map");
    let line = format!("700000000000 10 {}\n", "a_function_with_a_rather_long_name_".repeat(30));
    std::fs::write(&map, line.repeat((64 << 20) / line.len() - 1) + "600000000000 1000 the_last_line\n").unwrap();
    std::os::unix::fs::chown(&map, Some(USER), Some(USER)).unwrap();
    // In one file system with /tmp, or there can be no second name.
    let spinners: Vec<Spinner> =
        (0..4).map(|_| Spinner::start(&hostile.path(), &["shared", map.to_str().unwrap()])).collect();
    let taken = record("-p process,cpu");
    for spinner in &spinners {
        let names = names_of(&taken, spinner.pid());
        assert!(names.iter().any(|stack| stack.ends_with("the_last_line")), "{names:?}");
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_process_of_60_000_mappings_takes_neither_time_nor_memory() {
    let hostile = hostile();
    let many = Spinner::start(&hostile.path(), &["mappings", "60000"]);
    let plain = Spinner::start(&hostile.path(), &["plain"]);
    let taken = record("-p process,cpu");
    assert!(!names_of(&taken, many.pid()).is_empty());
    assert!(names_of(&taken, plain.pid()).iter().any(|stack| stack.ends_with("plain_function")));
}

/// Gives a program's file as many symbol tables as an ELF file can have, each of all its symbols.
fn add_symbol_tables(program: &Path) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(program).unwrap();
    let mut bytes = std::fs::read(program).unwrap();
    let number =
        |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
    let (place, count) = (number(40, 8), number(60, 2));
    let sections = bytes[place..place + 64 * count].to_vec();
    let table = sections.chunks_exact(64).find(|section| section[4] == 2).expect("a symbol table").to_vec();
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    let end = bytes.len() as u64;
    let more = 65_000 - count;
    file.write_all_at(&[sections, table.repeat(more)].concat(), end).unwrap();
    file.write_all_at(&end.to_le_bytes(), 40).unwrap();
    file.write_all_at(&65_000u16.to_le_bytes(), 60).unwrap();
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn files_that_are_made_for_trouble_stop_nothing() {
    let hostile = hostile();
    let tables = hostile.named("tables");
    add_symbol_tables(&tables);
    let (replaced, directory) = (hostile.named("replaced"), hostile.named("directory"));
    let spinners = [&tables, &replaced, &directory].map(|program| Spinner::start(program, &["plain"]));
    std::fs::remove_file(&replaced).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &replaced, fifo, rustix::fs::Mode::from_raw_mode(0o666), 0).unwrap();
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    let taken = record("-p process,cpu");
    for spinner in &spinners {
        // The kernel has the file that is mapped, whatever stands at its path by now.
        let names = names_of(&taken, spinner.pid());
        assert!(names.iter().any(|stack| stack.ends_with("plain_function")), "{names:?}");
    }
}

/// Compiles a program with this build id that spins in `work_of_{who}`.
fn with_build_id(directory: &Path, who: &str, owner: u32) -> PathBuf {
    let (source, program) = (directory.join(format!("{who}.c")), directory.join(who));
    // Of equal lengths all: the places of the functions in both files are the same.
    let text = format!(
        "#include <poll.h>\n#include <stdio.h>\n\
         __attribute__((noinline)) void work_of_{who}(void) {{ for (volatile long n = 0; n < 1 << 20; n++) ; }}\n\
         int main(void) {{ struct pollfd input = {{ .fd = 0, .events = POLLIN }}; puts(\"ready\"); fflush(stdout);\n\
         while (poll(&input, 1, 0) == 0) work_of_{who}(); return 0; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let id = "-Wl,--build-id=0x1122334455667788990011223344556677889900";
    let flags = ["-O1", "-fno-omit-frame-pointer", id, "-o"];
    assert!(Command::new("cc").args(flags).arg(&program).arg(&source).status().unwrap().success());
    std::os::unix::fs::chown(&program, Some(owner), Some(owner)).unwrap();
    program
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_strangers_file_with_the_build_id_of_another_names_only_that_strangers_functions() {
    let directory = open_directory();
    let [forged, roots, others] = [("forger", USER), ("system", 0), ("honest", 1234)]
        .map(|(who, uid)| (with_build_id(directory.path(), who, uid), uid));
    let start = |(program, uid): &(PathBuf, u32)| Spinner::start_as(*uid, program, &[]);
    // The forger alone for a while, so that its file is the first with that build id.
    let forger = start(&forged);
    let started = Recorder::new("-d 4s -p process,cpu").start();
    std::thread::sleep(Duration::from_millis(1500));
    let honest = [start(&roots), start(&others), start(&(roots.0.clone(), 1234))];
    let taken = started.finished(0);
    let is_of = |pid, who: &str| {
        let names = names_of(&taken, pid);
        assert!(names.iter().any(|stack| stack.contains(&format!("work_of_{who}"))), "{who}: {names:?}");
        let others = ["forger", "system", "honest"].into_iter().filter(|other| *other != who);
        let wrong = others.map(|other| format!("work_of_{other}"));
        assert!(wrong.into_iter().all(|name| !names.iter().any(|stack| stack.contains(&name))), "{who}: {names:?}");
    };
    assert!(names_of(&taken, forger.pid()).iter().any(|stack| stack.contains("work_of_forger")));
    is_of(honest[0].pid(), "system");
    // What only root can write stands for everyone with that build id; the user's own copy came after it or was not needed.
    let names = [honest[1].pid(), honest[2].pid()].map(|pid| names_of(&taken, pid)).concat();
    assert!(!names.iter().any(|stack| stack.contains("forger")), "{names:?}");
}

/// A program whose working function has this symbol.
fn with_symbol(symbol: &str) -> Workload {
    let dir = open_directory();
    let source = dir.path().join("bomb.c");
    let text = format!(
        "#include <poll.h>\n#include <stdio.h>\nvoid burn(void) __asm__(\"{symbol}\");\n\
         __attribute__((noinline)) void burn(void) {{ for (volatile long n = 0; n < 1 << 20; n++) ; }}\n\
         int main(void) {{ struct pollfd input = {{ .fd = 0, .events = POLLIN }}; puts(\"ready\"); fflush(stdout);\n\
         while (poll(&input, 1, 0) == 0) burn(); return 0; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    Workload::compile(source.to_str().unwrap(), "bomb", dir)
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn symbols_that_stand_for_megabytes_or_for_minutes_cost_neither() {
    let doubled: String =
        ["S_", "S0_", "S1_", "S2_", "S3_", "S4_", "S5_", "S6_", "S7_", "S8_", "S9_", "SA_", "SB_", "SC_", "SD_", "SE_"]
            .windows(2)
            .map(|pair| format!("S_I{0}{0}E", pair[1]))
            .collect();
    let bombs = [
        format!("_Z4burn1PIiiE{doubled}"),
        format!("_Zcv{}i{}v", "T_I".repeat(100), "E".repeat(100)),
        format!("_Z4burnIX{}1aA1_{}isZ", "nw".repeat(150), "E".repeat(100)),
        format!("burn_{}", "x".repeat(20_000)),
    ];
    let programs: Vec<Workload> = bombs.iter().map(|bomb| with_symbol(bomb)).collect();
    let spinners: Vec<Spinner> = programs.iter().map(|program| Spinner::start(&program.path(), &[])).collect();
    let taken = record("-p process,cpu");
    for (spinner, bomb) in spinners.iter().zip(&bombs) {
        assert!(!names_of(&taken, spinner.pid()).is_empty(), "{bomb}");
    }
    let symbols = taken.rows("symbol", &["name"]);
    let longest = symbols.iter().filter_map(|row| row.text("name")).max_by_key(|name| name.len()).unwrap();
    assert!(longest.len() <= 1024 + '…'.len_utf8() && longest.ends_with('…'), "{longest}");
    report(&taken);
}

#[test]
#[ignore = "root: attaches BPF programs"]
fn a_program_that_lives_for_less_than_a_second_is_named_whatever_probes_run() {
    let workload = Workload::compile("symbols/brief.c", "brief", tempfile::tempdir().unwrap());
    let program = workload.path().display().to_string();
    // As the command itself, and as a process that another command starts.
    for words in [vec![program.clone()], vec!["sh".to_owned(), "-c".to_owned(), format!("{program}; {program}; true")]]
    {
        for probes in ["-p cpu", "-p cpu,process:hist", "-p cpu,process"] {
            let (output, dir) = Recorder::new(probes).run(&words);
            assert!(output.status.success(), "{output:?}");
            let taken = Taken::open(&dir.path().join("run.parquet"), dir);
            let samples = taken.rows("cpu_sample", &["comm", "ustack_id", "count"]).named("comm", "brief");
            let stacks = taken.rows("stack", &["id", "folded"]);
            let named = samples.keep(|sample| {
                let stack = stacks.with("id", sample.maybe("ustack_id").unwrap_or_default());
                stack.iter().any(|stack| stack.text("folded").unwrap_or_default().contains("a_brief_function"))
            });
            let (named, all) = (named.sum("count"), samples.sum("count"));
            assert!(all > 10 && named * 10 >= all * 8, "{probes} {words:?}: {named} of {all} samples are named");
        }
    }
}
