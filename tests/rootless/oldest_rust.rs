//! The oldest Rust that Cargo.toml names: no library asks for a newer one. Clippy holds our own code to it (`incompatible_msrv`).

use std::process::Command;

use serde_json::Value;

/// "1.89" and "1.89.0" as numbers.
fn version(text: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
    parts.resize(3, 0);
    parts
}

#[test]
fn no_library_needs_a_newer_rust_than_the_oldest_that_is_claimed() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &target]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let oldest = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    let asked = packages.iter().filter_map(|package| Some((package, version(package["rust_version"].as_str()?))));
    let newer = asked.filter(|(_, asked)| *asked > oldest);
    let newer: Vec<String> = newer.map(|(package, asked)| format!("{} needs {asked:?}", package["name"])).collect();
    assert!(packages.len() > 100 && newer.is_empty(), "newer than {oldest:?}: {}", newer.join(", "));
}
