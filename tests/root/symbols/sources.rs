//! Names of functions, wherever their symbols are: in the file, packed into it, or in a cache; of 32 and of 64 bits.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::find;
use crate::common::skip;

const BUILD_ID: &str = "5eed0123456789abcdef0123456789abcdef0123";

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The program in a directory, built for so many bits.
fn build(dir: &Path, bits: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/root/symbols/sources.c");
    let program = dir.join("sources");
    let options = ["-O1", "-nostdlib", "-static", "-fno-stack-protector", "-fcf-protection=none"];
    let build_id = format!("-Wl,--build-id=0x{BUILD_ID}");
    run(Command::new("cc").arg(bits).args(options).arg(build_id).arg("-o").arg(&program).arg(source));
    program
}

/// The shares of a program's samples in each of these functions, while it runs as the command.
fn shares<W: AsRef<OsStr>, const N: usize>(recorder: Recorder, words: &[W], functions: [&str; N]) -> [f64; N] {
    let process = Path::new(&words[0]).file_name().unwrap().to_str().unwrap();
    let (output, dir) = recorder.run(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let samples = taken.rows("cpu_sample", &["process", "ustack_id", "count"]).named("process", process);
    let stacks = taken.rows("stack", &["id", "folded"]);
    let all = samples.sum("count");
    assert!(all > 30, "{all} samples");
    functions.map(|name| {
        let own = samples.keep(|sample| {
            let stack = stacks.with("id", sample.maybe("ustack_id").unwrap_or_default());
            stack.iter().any(|stack| stack.text("folded").unwrap_or_default().ends_with(name))
        });
        own.sum("count") as f64 / all as f64
    })
}

fn shares_of_sources(recorder: Recorder, program: &Path) -> [f64; 2] {
    shares(recorder, &[program], ["spun_in_c", "spun_in_assembly"])
}

fn assert_named([c, assembly]: [f64; 2], what: &str) {
    assert!(c + assembly > 0.9 && c > 0.1 && assembly > 0.1, "{what}: {c:.3} in C, {assembly:.3} in assembly");
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn functions_have_names_in_programs_of_32_and_of_64_bits_also_without_a_size() {
    for bits in ["-m64", "-m32"] {
        let dir = tempfile::tempdir().unwrap();
        let program = build(dir.path(), bits);
        assert_named(shares_of_sources(Recorder::in_memory("-p process,cpu"), &program), bits);
    }
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn functions_of_a_stripped_program_have_the_names_that_it_has_packed_or_that_a_cache_has() {
    const TEST: &str = "functions_of_a_stripped_program_have_the_names_that_it_has_packed_or_that_a_cache_has";
    if let Some(missing) = ["objcopy", "strip", "xz"].into_iter().find(|program| find(program).is_none()) {
        return skip(TEST, &format!("there is no {missing}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let program = build(dir.path(), "-m64");
    let whole = dir.path().join("whole");
    std::fs::copy(&program, &whole).unwrap();
    run(Command::new("strip").arg(&program));
    let unnamed = shares_of_sources(Recorder::in_memory("-p process,cpu"), &program);
    assert_eq!(unnamed, [0.0, 0.0], "it has names still");

    let cache = dir.path().join("cache");
    let entry = cache.join(BUILD_ID);
    std::fs::create_dir_all(&entry).unwrap();
    run(Command::new("objcopy").arg("--only-keep-debug").arg(&whole).arg(entry.join("debuginfo")));
    let recorder = || Recorder::in_memory("-p process,cpu").env("DEBUGINFOD_CACHE_PATH", cache.to_str().unwrap());
    assert_named(shares_of_sources(recorder(), &program), "a cache");
    // Someone else's is not taken.
    std::os::unix::fs::chown(entry.join("debuginfo"), Some(1234), None).unwrap();
    assert_eq!(shares_of_sources(recorder(), &program), [0.0, 0.0]);

    run(Command::new("xz").arg(&whole));
    let section = format!(".gnu_debugdata={}", whole.with_extension("xz").display());
    run(Command::new("objcopy").arg("--add-section").arg(section).arg(&program));
    assert_named(shares_of_sources(Recorder::in_memory("-p process,cpu"), &program), "packed");
}

#[test]
#[ignore = "root: attaches BPF programs"]
#[cfg(target_arch = "x86_64")]
fn generated_code_has_the_name_that_its_compiler_writes_when_the_process_ends() {
    let workload = Workload::compile("symbols/late.c", "late", tempfile::tempdir().unwrap());
    let program = workload.path().display().to_string();
    let directory = workload.dir().display().to_string();
    for words in [vec![&*program, "dump", &directory], vec![&program, "map"]] {
        let [named] = shares(Recorder::in_memory("-p process,cpu"), &words, ["a_function_named_late"]);
        assert!(named > 0.9, "{words:?}: {named}");
    }
}
