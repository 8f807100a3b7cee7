//! Each header of bpf/ compiles alone: it includes what it uses, so that the order of includes never matters.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::skip::skip;

#[test]
fn every_header_compiles_alone() {
    let test = "every_header_compiles_alone";
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(libbpf) = libbpf_headers(root) else { return skip(test, "cargo does not say where libbpf-sys is") };
    // Programs include <bpf/bpf_helpers.h>, and the crate has the directory under another name.
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(libbpf, dir.path().join("bpf")).unwrap();
    let headers = headers(&root.join("bpf"));
    assert!(headers.len() > 40, "{headers:?}");
    let mut broken = Vec::new();
    for header in headers {
        let mut command = Command::new(&clang);
        command.args(["-target", "bpf", "-fsyntax-only", "-D__TARGET_ARCH_x86", "-mcpu=v3", "-Wall", "-Werror"]);
        // What a header defines for others is not used in it.
        command.args(["-Wno-unused-function", "-Wno-unused-const-variable", "-x", "c", "-I"]);
        command.arg(root.join("bpf/shared")).arg("-I").arg(dir.path()).arg(&header);
        let output = command.output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| line.contains("error:")).unwrap_or_default();
            broken.push(format!("{}: {first}", header.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The headers that libbpf-sys brings, where cargo unpacked it.
fn libbpf_headers(root: &Path) -> Option<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--offline", "--locked"]).current_dir(root);
    let metadata: serde_json::Value = serde_json::from_slice(&command.output().ok()?.stdout).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|package| package["name"] == "libbpf-sys")?;
    Some(Path::new(package["manifest_path"].as_str()?).parent()?.join("libbpf/src"))
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
