//! Recordings that come compressed, in a bundle or through a pipe say what the file itself says; what unpacks to too much is refused.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::synthetic::build;

/// A directory with a recording, and its bytes.
fn recording() -> (TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.parquet");
    build::build("builder").write(&run);
    let bytes = fs::read(&run).unwrap();
    (dir, run, bytes)
}

fn ebrec(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebrec"));
    command.args(arguments).env("COLUMNS", "100").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], file: &Path) -> Output {
    ebrec(arguments).arg(file).output().unwrap()
}

/// What it printed; it must have worked.
fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a file that is refused: with exit status 1, and in a line that names it.
fn refusal(file: &Path) -> String {
    let output = run(&["report"], file);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&file.display().to_string()), "{stderr}");
    stderr
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bundle(path: &Path, files: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_packed_recording_says_what_the_file_says() {
    let (dir, run_file, bytes) = recording();
    let whole = printed(run(&["report", "--format", "json"], &run_file));
    let dir = dir.path();
    let gz = dir.join("a.parquet.gz");
    fs::write(&gz, gzip(&bytes)).unwrap();
    let zst = dir.join("b.parquet.zst");
    fs::write(&zst, zstd::encode_all(bytes.as_slice(), 3).unwrap()).unwrap();
    let zip = dir.join("c.zip");
    bundle(&zip, &[("README.md", b"hello"), ("run/run.parquet", &bytes)]);
    for packed in [&gz, &zst, &zip] {
        assert_eq!(printed(run(&["report", "--format", "json"], packed)), whole, "{}", packed.display());
        for command in [&["info"][..], &["export", "--to", "openmetrics"]] {
            assert_eq!(printed(run(command, packed)).lines().count(), printed(run(command, &run_file)).lines().count());
        }
    }
    fs::remove_file(&run_file).unwrap();
    let all = printed(run(&["report", "processes", "--format", "csv"], dir));
    assert!(["(a.parquet)", "(b.parquet)", "(c)"].iter().all(|label| all.contains(label)), "{all}");
}

#[test]
fn standard_input_is_a_file_or_a_pipe() {
    let (_dir, run_file, bytes) = recording();
    let whole = printed(run(&["report", "--format", "json"], &run_file));
    let file = ebrec(&["report", "--format", "json", "-"]).stdin(File::open(&run_file).unwrap()).output().unwrap();
    assert_eq!(printed(file), whole);
    for bytes in [gzip(&bytes), bytes] {
        let mut child = ebrec(&["report", "--format", "json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
        assert_eq!(printed(child.wait_with_output().unwrap()), whole);
        feeder.join().unwrap();
    }
    let nothing = ebrec(&["report", "-"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1));
}

#[test]
fn what_unpacks_to_too_much_is_refused_before_it_fills_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let gz = dir.path().join("bomb.parquet.gz");
    let mut bomb = GzEncoder::new(File::create(&gz).unwrap(), Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| bomb.write_all(&zeros).unwrap());
    bomb.finish().unwrap();
    let bytes = vec![0; 64 << 20];
    let zst = dir.path().join("bomb.parquet.zst");
    fs::write(&zst, zstd::encode_all(bytes.as_slice(), 1).unwrap()).unwrap();
    let zip = dir.path().join("bomb.zip");
    bundle(&zip, &[("run.parquet", &bytes)]);
    for bomb in [&gz, &zst, &zip] {
        let refusal = refusal(bomb);
        assert!(refusal.contains("unpacks to more than 16 MiB") && refusal.contains("hint:"), "{refusal}");
    }
}

#[test]
fn damaged_and_foreign_packages_are_refused_in_a_line() {
    let (dir, _, bytes) = recording();
    let dir = dir.path();
    let packed = gzip(&bytes);
    let cut = dir.join("cut.gz");
    fs::write(&cut, &packed[..packed.len() / 2]).unwrap();
    assert!(refusal(&cut).contains("is corrupt: it doesn't unpack"));
    let other = dir.join("other.gz");
    fs::write(&other, gzip(b"hello")).unwrap();
    assert!(refusal(&other).contains("is not a recording"));
    let empty = dir.join("empty.zip");
    bundle(&empty, &[("README.md", b"hello")]);
    assert!(refusal(&empty).contains("no file in it ends in '.parquet'"));
    let two = dir.join("two.zip");
    bundle(&two, &[("a.parquet", &bytes), ("b\u{1b}[31m.parquet", &bytes)]);
    let refused = refusal(&two);
    assert!(refused.contains("it has several") && !refused.contains('\u{1b}'), "{refused}");
    let many = dir.join("many.zip");
    let names: Vec<String> = (0..2000).map(|n| format!("{n}.txt")).collect();
    bundle(&many, &names.iter().map(|name| (name.as_str(), &b""[..])).collect::<Vec<_>>());
    assert!(refusal(&many).contains("more than 1024 files"));
    let zip = fs::read(&two).unwrap();
    let broken = dir.join("broken.zip");
    fs::write(&broken, &zip[..zip.len() - 30]).unwrap();
    refusal(&broken);
}
