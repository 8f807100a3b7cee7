"""ebrec for aarch64, built here: one static program, so that a guest needs nothing else."""

import glob
import os
import shutil
import subprocess

from kernels import Unavailable

TRIPLE = "aarch64-unknown-linux-gnu"
# What ebrec links with, as the distribution builds it for aarch64.
LIBRARIES = ("libelf-dev", "zlib1g-dev")


def build(store, root):
    """The program's path."""
    for tool in ("aarch64-linux-gnu-gcc", "qemu-system-aarch64"):
        if not shutil.which(tool):
            raise Unavailable(f"no {tool} here")
    if shutil.which("rustup"):
        subprocess.run(["rustup", "-q", "target", "add", TRIPLE], capture_output=True)
    libraries = sysroot(store)
    shape = TRIPLE.replace("-", "_")
    env = dict(os.environ)
    env[f"CARGO_TARGET_{shape.upper()}_LINKER"] = "aarch64-linux-gnu-gcc"
    env[f"CARGO_TARGET_{shape.upper()}_RUSTFLAGS"] = "-C target-feature=+crt-static"
    env[f"LIBBPF_SYS_LIBRARY_PATH_{shape}"] = libraries + "/usr/lib/aarch64-linux-gnu"
    env["LIBBPF_SYS_EXTRA_CFLAGS"] = f"-I{libraries}/usr/include"
    # In a directory of its own: these settings would have the ordinary build begin anew.
    kept = os.path.join(store.directory, "cross")
    features = "libbpf-sys/static-libelf,libbpf-sys/static-zlib"
    words = ["cargo", "build", "--target", TRIPLE, "--features", features, "--target-dir", kept]
    if subprocess.run(words, cwd=root, env=env).returncode:
        raise Unavailable("it does not build for aarch64 here")
    return os.path.join(kept, TRIPLE, "debug/ebrec")


def sysroot(store):
    """A directory with the headers and static libraries."""
    to = os.path.join(store.directory, "aarch64")
    if not glob.glob(f"{to}/usr/lib/*/libelf.a"):
        store.prepare()
        for name in LIBRARIES:
            package = store.download(name, "arm64")
            if not package:
                raise Unavailable(f"no package {name} for aarch64")
            subprocess.check_call(["dpkg-deb", "-x", package, to])
    return to


def payload(to, program, files):
    """A directory with the program, less its debug information, and scripts."""
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(to)
    subprocess.check_call(["aarch64-linux-gnu-strip", "-o", f"{to}/ebrec", program])
    for file in files:
        shutil.copy(file, to)
    return to
