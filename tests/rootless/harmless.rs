//! No program of ours changes what it observes: neither the stack of a program nor anything else in it.

use std::fs;
use std::path::Path;

/// Files of bpf/ with their names and texts, headers too.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let rooms = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = rooms.flat_map(|room| fs::read_dir(room).unwrap()).map(|entry| entry.unwrap().path());
    let code = files.filter(|path| path.extension().is_some_and(|extension| extension == "c" || extension == "h"));
    let named =
        code.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()));
    named.collect()
}

/// Files in which a text stands.
fn with<'a>(sources: &'a [(String, String)], text: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> =
        sources.iter().filter(|(_, code)| code.contains(text)).map(|(name, _)| &**name).collect();
    found.sort_unstable();
    found
}

#[test]
fn only_events_have_return_probes_and_only_for_those_who_ask() {
    let sources = sources();
    assert!(sources.len() > 30, "{} files", sources.len());
    assert_eq!(with(&sources, "\"uretprobe"), ["events.bpf.c"]);
    let (_, events) = sources.iter().find(|(name, _)| name == "events.bpf.c").unwrap();
    // None of them is loaded by itself: PROGRAM puts a question mark before the section.
    assert_eq!(events.matches("\"uretprobe").count(), events.matches("PROGRAM(\"uretprobe").count());
    assert!(events.contains("SEC(\"?\" section)"));
}

#[test]
fn no_program_writes_to_what_it_observes() {
    let sources = sources();
    for helper in
        ["bpf_probe_write_user", "bpf_override_return", "bpf_send_signal", "bpf_copy_to_user", "bpf_set_retval"]
    {
        assert_eq!(with(&sources, helper), [""; 0], "{helper}");
    }
}
