//! The floors of the source tree: imports only go down, and the places that may print, end the process, know clap or be unsafe are few.
//!
//! The table below is the picture in ARCHITECTURE.md. A module that is not in it fails the test until it has a floor.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use cycles::Imports;
use source::SourceFile;

mod cycles;
mod source;

/// Each module of the crate's root and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("fuzzing", 7),
    ("main", 6),
    ("cli", 6),
    ("exit", 6),
    ("diff", 5),
    ("export", 5),
    ("share", 5),
    ("sql", 5),
    ("record", 4),
    ("report", 4),
    ("probes", 3),
    ("symbols", 3),
    ("events", 3),
    ("render", 3),
    ("exits", 1),
    ("unwind", 1),
    ("probe", 2),
    ("bpf", 2),
    ("host", 1),
    ("recording", 1),
    ("text", 0),
    ("demangle", 0),
    ("spill", 0),
    ("spinner", 0),
    ("steps", 0),
    ("output", 0),
    ("regular_file", 0),
    ("dispositions", 0),
    ("units", 0),
    ("glob", 0),
    ("hist", 0),
    ("failure", 0),
    ("names", 0),
    ("routes", 0),
];

/// The modules whose job it is to call the kernel without the compiler's help.
const MAY_BE_UNSAFE: &[&str] = &["bpf", "probes"];
/// The one file elsewhere that may be unsafe, since it has to run before main.
const BEFORE_MAIN: &str = "output/stdout.rs";
/// The modules that know the command line.
const MAY_USE_CLAP: &[&str] = &["cli", "main"];
/// The modules that talk to the terminal and end the process.
const MAY_PRINT: &[&str] = &["main", "exit", "cli"];

/// The rooms that meet files which strangers made, and what opens a file without asking what it is.
const MEET_STRANGERS: &[&str] = &["host", "symbols", "events", "probes", "record"];
const RAW_OPENS: &[&str] = &["File::open", "fs::read", "fs::read_to_string", "OpenOptions", "rustix::fs::open"];
/// The files of those rooms that open what nobody else can influence, besides the one place that asks: the kernel's tracefs and
/// type information, the terminal, /etc/passwd, and what ebrec made itself or the user named on a machine that only reads.
const OPEN_THEIR_OWN: &[&str] = &[
    "host/foreign.rs",
    "host/tracefs.rs",
    "host/processes.rs",
    "host/kernel.rs",
    "record/signals.rs",
    "events/kernel.rs",
    "events/points.rs",
    "events/types.rs",
    "record/child.rs",
    "record/scope.rs",
    "symbols/offline.rs",
];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Every Rust file of `src/`, with its text taken apart.
fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(!files.is_empty(), "no Rust file below {}", root.display());
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let relative = file.strip_prefix(&root).unwrap_or(&file).to_path_buf();
            SourceFile::new(&relative, &text)
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", directory.display())).path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with every finding at once, so that one run shows the whole damage.
fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

/// What is wrong with the imports of one file, by the table of floors.
fn import_findings(source: &SourceFile) -> Vec<String> {
    let Some(own) = source.module() else { return Vec::new() };
    let Some(own_floor) = floor(own) else {
        return vec![format!(
            "{}: the module '{own}' has no floor; give it one in FLOORS of tests/floors.rs and in ARCHITECTURE.md",
            source.path()
        )];
    };
    let mut findings = Vec::new();
    for import in source.imports() {
        let at = format!("{}:{}", source.path(), import.line);
        match floor(&import.module) {
            // The crate's own root items (macros, re-exports) have no floor; modules do.
            None if import.is_item() => {}
            None => findings.push(format!("{at}: '{}' has no floor; give it one in tests/floors.rs", import.module)),
            Some(_) if import.module == own => {}
            Some(theirs) if theirs < own_floor => {}
            // The program is its own crate: it calls the command line, which is the floor it stands on.
            Some(_) if own == "main" => {}
            // The command line and the exit statuses are two halves of one floor.
            Some(6) if own == "cli" && import.module == "exit" => {}
            Some(theirs) => findings.push(format!(
                "{at}: '{own}' (floor {own_floor}) imports '{}' (floor {theirs}); imports only go down",
                import.module
            )),
        }
    }
    findings
}

/// The places where a file outside `allowed` has one of `words` in its code, tests left out.
fn forbidden(sources: &[SourceFile], allowed: &[&str], words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.module().is_none_or(|module| !allowed.contains(&module))) {
        for (line, code) in source.code_outside_tests() {
            if let Some(word) = words.iter().find(|word| source::has_word(code, word)) {
                findings.push(format!("{}:{line}: {word}", source.path()));
            }
        }
    }
    findings
}

#[test]
fn imports_only_go_down() {
    let findings: Vec<_> = sources().iter().flat_map(import_findings).collect();
    assert_none(&findings, "imports between modules go from a higher floor to a lower one");
}

#[test]
fn no_file_needs_one_of_its_room_that_needs_it() {
    assert_none(&Imports::of(&sources()).cycles(), "imports within a room have no cycles");
}

#[test]
fn a_floor_is_of_a_module_that_exists() {
    let sources = sources();
    let exists = |module: &str| sources.iter().any(|source| source.module() == Some(module));
    let missing: Vec<String> =
        FLOORS.iter().filter(|(name, _)| !exists(name)).map(|(name, _)| (*name).to_owned()).collect();
    assert_none(&missing, "FLOORS has no module that is gone");
}

#[test]
fn a_cycle_is_found_in_paths_by_crate_and_by_super_and_not_in_tests() {
    let made = |path: &str, text: &str| SourceFile::new(Path::new(path), text);
    let back = made("bpf/rings.rs", "use super::scope::types;\n");
    let cycle = [made("bpf/scope.rs", "fn f() { crate::bpf::rings::options() }\n"), back];
    assert_eq!(Imports::of(&cycle).cycles().len(), 2);
    let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::bpf::rings::options;\n}\n";
    let back = made("bpf/rings.rs", "use super::scope::types;\n");
    assert_eq!(Imports::of(&[made("bpf/scope.rs", in_tests), back]).cycles(), Vec::<String>::new());
    let family = [made("bpf.rs", "use self::scope::types;\n"), made("bpf/scope.rs", "use super::Plain;\n")];
    assert_eq!(Imports::of(&family).cycles(), Vec::<String>::new());
}

#[test]
fn only_the_bpf_half_is_unsafe() {
    let mut findings = forbidden(&sources(), MAY_BE_UNSAFE, &["unsafe"]);
    findings.retain(|finding| !finding.starts_with(BEFORE_MAIN));
    assert_none(&findings, "'unsafe' stands only in src/bpf and src/probes, and for what runs before main");
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let findings: Vec<_> = sources()
        .iter()
        .flat_map(|source| {
            source
                .unsafe_without_reason()
                .into_iter()
                .map(|line| format!("{}:{line}", source.path()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none(&findings, "each 'unsafe' has a comment with 'SAFETY:' on its line or right above");
}

#[test]
fn the_command_line_parser_stays_in_the_command_line() {
    let findings = forbidden(&sources(), MAY_USE_CLAP, &["clap", "clap_complete", "clap_mangen"]);
    assert_none(&findings, "clap's types stay in cli; below it there are plain structs");
}

#[test]
fn only_the_top_prints_and_ends_the_process() {
    let words = ["println!", "print!", "eprintln!", "eprint!", "process::exit", "process::abort", "dbg!"];
    let findings = forbidden(&sources(), MAY_PRINT, &words);
    assert_none(&findings, "only main, exit and cli print or end the process");
}

#[test]
fn what_strangers_can_influence_is_opened_in_one_place() {
    let mut sources = sources();
    sources.retain(|source| {
        let is_test = source.path().ends_with("tests.rs") || source.path().ends_with("fixture.rs");
        let meets_strangers = source.module().is_some_and(|module| MEET_STRANGERS.contains(&module));
        meets_strangers && !is_test && !OPEN_THEIR_OWN.contains(&source.path())
    });
    assert!(sources.len() > 50, "only {} files", sources.len());
    let findings = forbidden(&sources, &[], RAW_OPENS);
    assert_none(&findings, "programs, /proc and all else that others can influence is opened by host::foreign");
}

fn findings_of(path: &str, text: &str) -> Vec<String> {
    import_findings(&SourceFile::new(Path::new(path), text))
}

#[test]
fn an_import_that_goes_up_is_found() {
    let findings = findings_of("recording/writer.rs", "use crate::host::Host;\nuse crate::record::run;\n");
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings[0].starts_with("recording/writer.rs:1: 'recording' (floor 1) imports 'host' (floor 1)"),
        "{findings:?}"
    );
    assert!(findings[1].contains(":2:"), "{findings:?}");
}

#[test]
fn a_path_in_the_middle_of_the_code_is_an_import_too() {
    let findings = findings_of("units.rs", "fn f() -> String {\n    crate::render::text(1)\n}\n");
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn a_module_may_import_its_own_children_and_what_is_below() {
    let text = "use crate::recording::schema::Column;\nuse crate::units::Unit;\nuse super::meta::Meta;\n";
    assert_eq!(findings_of("recording/writer.rs", text), Vec::<String>::new());
}

#[test]
fn a_grouped_import_is_taken_apart() {
    let findings = findings_of("text.rs", "use crate::{hist::Histogram, units::{Unit, parse}};\n");
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn a_climb_by_super_is_followed_to_the_module_it_reaches() {
    assert_eq!(findings_of("host.rs", "use super::record::run;\n").len(), 1);
    assert_eq!(findings_of("host/cgroup.rs", "use super::super::record::run;\n").len(), 1);
    assert_eq!(findings_of("host/cgroup.rs", "use super::record;\n"), Vec::<String>::new());
}

#[test]
fn an_unknown_module_asks_for_a_floor() {
    let findings = findings_of("gizmo.rs", "");
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("'gizmo' has no floor"), "{findings:?}");
    assert_eq!(findings_of("units.rs", "use crate::gizmo::Gizmo;\n").len(), 1);
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "// use crate::record::run;\n/* crate::record */\nlet s = \"crate::record::run unsafe\";\nlet c = '\"';\nlet r = r#\"crate::record\"#;\n";
    assert_eq!(findings_of("units.rs", text), Vec::<String>::new());
    let source = SourceFile::new(Path::new("units.rs"), text);
    assert_eq!(forbidden(&[source], &[], &["unsafe"]), Vec::<String>::new());
}

#[test]
fn a_forbidden_word_is_found_outside_tests_only() {
    let text = "fn f() { println!(\"x\"); }\n#[cfg(test)]\nmod tests {\n    fn g() { println!(\"y\"); }\n}\nfn h() { std::process::exit(1) }\n";
    let source = SourceFile::new(Path::new("units.rs"), text);
    let findings = forbidden(&[source], &[], &["println!", "process::exit"]);
    assert_eq!(findings, ["units.rs:1: println!", "units.rs:6: process::exit"]);
}

#[test]
fn an_unsafe_block_without_its_reason_is_found() {
    let text = "// SAFETY: the pointer is ours.\nlet a = unsafe { f() };\n\nlet b = unsafe { f() };\nlet c = unsafe { f() }; // SAFETY: so.\n";
    let source = SourceFile::new(Path::new("bpf.rs"), text);
    assert_eq!(source.unsafe_without_reason(), [4]);
}
