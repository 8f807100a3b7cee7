//! Each header of bpf/ compiles alone: it includes what it uses, so that the order of includes never matters.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn every_header_compiles_alone() {
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // What build.rs heard from libbpf-sys.
    let libbpf = env!("EBREC_LIBBPF_HEADERS");
    assert!(Path::new(libbpf).join("bpf/bpf_helpers.h").exists(), "{libbpf}");
    let headers = headers(&root.join("bpf"));
    assert!(headers.len() > 40, "{headers:?}");
    let mut broken = Vec::new();
    for header in headers {
        let mut command = Command::new(&clang);
        command.args(["-target", "bpf", "-fsyntax-only", "-D__TARGET_ARCH_x86", "-mcpu=v3", "-Wall", "-Werror"]);
        // What a header defines for others is not used in it.
        command.args(["-Wno-unused-function", "-Wno-unused-const-variable", "-x", "c", "-I"]);
        command.arg(root.join("bpf/shared")).args(["-I", libbpf]).arg(&header);
        let output = command.output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| line.contains("error:")).unwrap_or_default();
            broken.push(format!("{}: {first}", header.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Those of every room.
fn headers(bpf: &Path) -> Vec<PathBuf> {
    let entries = |directory: &Path| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let rooms = entries(bpf).into_iter().filter(|path| path.is_dir());
    let mut headers: Vec<PathBuf> = rooms.flat_map(|room| entries(&room)).collect();
    headers.retain(|path| path.extension().is_some_and(|ending| ending == "h"));
    headers.sort();
    headers
}
