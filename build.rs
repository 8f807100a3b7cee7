//! Compiles every `bpf/*/*.bpf.c` into a skeleton in `OUT_DIR` and records the git revision.
//!
//! It names no probe: a new `bpf/<name>/<name>.bpf.c` becomes `OUT_DIR/<name>.bpf.o` and `<name>.skel.rs` by being there. Without the feature
//! `record` only the revision is recorded, so that the report-only build needs neither clang nor libbpf.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    record_revision();
    #[cfg(feature = "record")]
    bpf::build();
}

/// Sets `EBREC_GIT` to the short revision of the checkout, or `unknown` outside one.
fn record_revision() {
    println!("cargo::rustc-env=EBREC_GIT={}", revision().unwrap_or_else(|| "unknown".to_owned()));
}

fn revision() -> Option<String> {
    let manifest = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    // A source archive unpacked somewhere inside another repository has no revision of its own.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&manifest).canonicalize().ok()? {
        return None;
    }
    // The log of HEAD grows with each commit and each checkout. A path that does not exist would rerun this every time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(feature = "record")]
mod bpf {
    use std::collections::BTreeSet;
    use std::env;
    use std::fs;
    use std::path::Path;
    use std::path::PathBuf;
    use std::process::Command;
    use std::process::Stdio;

    use libbpf_cargo::SkeletonBuilder;

    /// Where the C sources are, below the manifest.
    const SOURCES: &str = "bpf";

    pub(super) fn build() {
        println!("cargo::rerun-if-changed={SOURCES}");
        println!("cargo::rerun-if-env-changed=CLANG");
        // For the test that compiles each header alone: libbpf-sys says where libbpf's headers are.
        println!("cargo::rustc-env=EBREC_LIBBPF_HEADERS={}", env::var("DEP_BPF_INCLUDE").unwrap_or_default());
        let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
        let clang = env::var("CLANG").ok().filter(|clang| !clang.is_empty()).unwrap_or_else(|| "clang".to_owned());
        let sources = sources();
        if !sources.is_empty() && !runs(&clang) {
            missing(&clang);
            return;
        }
        let mut named = BTreeSet::new();
        for (name, source) in sources {
            let skeleton = out.join(format!("{name}.skel.rs"));
            let built = SkeletonBuilder::new()
                .source(&source)
                .clang(&clang)
                .clang_args(arguments())
                .obj(out.join(format!("{name}.bpf.o")))
                .build_and_generate(&skeleton);
            if let Err(error) = built {
                report(&source, &error.root_cause().to_string());
            }
            named.extend(names(&out.join(format!("{name}.bpf.o"))));
        }
        let lines: String = named.into_iter().flat_map(|name| [name, "\n".to_owned()]).collect();
        if let Err(error) = fs::write(out.join("names.txt"), lines) {
            println!("cargo::error=can't write the names of types: {error}");
        }
    }

    /// Every name in an object, the types that it asks the kernel for among them, without what tells flavours of one
    /// type apart (`___`).
    fn names(object: &Path) -> BTreeSet<String> {
        let bytes = fs::read(object).unwrap_or_default();
        let texts = bytes.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
        let names =
            texts.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        names.map(|name| name.split_once("___").map_or(name, |(name, _)| name).to_owned()).collect()
    }

    /// The names and paths of the sources, in a stable order.
    fn sources() -> Vec<(String, PathBuf)> {
        let entries = |directory: &Path| {
            fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
        };
        let mut sources: Vec<_> = entries(Path::new(SOURCES))
            .flat_map(|room| entries(&room).collect::<Vec<_>>())
            .filter_map(|path| Some((path.file_name()?.to_str()?.strip_suffix(".bpf.c")?.to_owned(), path)))
            .collect();
        sources.sort();
        sources
    }

    fn arguments() -> Vec<String> {
        // The architecture of the target, not of the machine that builds: it names the registers in bpf_tracing.h.
        let arch = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("x86_64") => "x86",
            Ok("aarch64") => "arm64",
            Ok(other) => other,
            Err(_) => "x86",
        }
        .to_owned();
        [
            "-I",
            "bpf/shared",
            &format!("-D__TARGET_ARCH_{arch}"),
            // Instruction set 3 (32-bit arithmetic and jumps) is in Linux since 5.1; compilers differ in their default.
            "-mcpu=v3",
            "-Wall",
            "-Werror",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn runs(clang: &str) -> bool {
        let status = Command::new(clang).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn missing(clang: &str) {
        println!(
            "cargo::error='{clang}' does not run; it compiles the programs in bpf/ (CLANG names another compiler)"
        );
        println!(
            "cargo::error=hint: install it: apt-get install clang | dnf install clang | pacman -S clang | zypper install clang | apk add clang"
        );
        println!("cargo::error=hint: only to read recordings: cargo build --no-default-features needs no clang");
    }

    /// Shows what the compiler said, without the calls that led to it.
    fn report(source: &Path, error: &str) {
        println!("cargo::error=can't compile '{}'", source.display());
        for line in error.lines().filter(|line| !line.trim().is_empty()) {
            println!("cargo::error={line}");
        }
    }
}
