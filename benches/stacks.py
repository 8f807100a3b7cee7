#!/usr/bin/env python3
"""User stacks of the programs that people run: which are whole, and whose callers are true, beside `perf record --call-graph dwarf`.

    benches/stacks.py [--seconds S] [--ebrec PATH] [PROGRAM...]

As root. Each program has a load, and both tools record it in one window: samples of CPUs, and threads that leave them (`sched_switch` for perf,
one in 20 of which it keeps). A stack is whole that reaches the function that a process or thread begins with. A caller is true where perf saw that
function call the other one, in any of its stacks; it is counted by samples, over the frames that both tools can name. Where perf's own stacks are
mostly broken, as in generated code, there is no truth by it, and the column says so. Programs that are not installed are said, not left out silently.
"""

import argparse
import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Functions that processes and threads begin with.
ROOTS = re.compile(
    r"_start|main|__libc_start_main.*|__libc_start_call_main|start_thread|clone3?|__clone3?|thread_start|runtime\.(goexit|mcall|mstart|rt0_go|morestack)(\.abi0)?"
    r"|_dl_start.*|_start_c"
)

CPP = r"""
#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#define KEEP __attribute__((noinline))
static volatile double sink;
KEEP static void leaf(int times) { for (int i = 0; i < times; i++) sink += i * 0.5; }
template <int N> struct Deep { KEEP static double at(double x) { double room[N % 7 + 1] = {x}; double got = Deep<N - 1>::at(room[0] + N); sink += got; return got + room[N % 3 % (N % 7 + 1)]; } };
template <> struct Deep<0> { KEEP static double at(double x) { leaf(2000); if ((int)x % 3 == 0) throw std::runtime_error("thrown"); return x; } };
KEEP static void work(int turn) {
    std::map<std::string, std::vector<int>> all;
    for (int i = 0; i < 200; i++) all[std::to_string(i * turn % 97)].push_back(i);
    for (auto &one : all) std::sort(one.second.begin(), one.second.end(), [](int a, int b) { leaf(20); return a > b; });
    try { sink += Deep<40>::at(turn); } catch (const std::exception &) { leaf(500); }
    if (turn % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}
int main() { std::thread other([] { for (int i = 0;; i++) work(i); }); for (int i = 0;; i++) work(i); }
"""
C = r"""
#include <stdlib.h>
#include <time.h>
#define KEEP __attribute__((noinline))
static volatile double sink;
KEEP static void leaf(void) { for (int i = 0; i < 20000; i++) sink += i * 0.5; }
KEEP static void nap(void) { struct timespec t = {0, 1000000}; nanosleep(&t, 0); sink++; }
KEEP static int compare(const void *a, const void *b) { leaf(); return *(const int *)a - *(const int *)b; }
KEEP static void work(int n) { int v[8]; for (int i = 0; i < 8; i++) v[i] = i * 5 % 8; if (n) work(n - 1); else { qsort(v, 8, sizeof *v, compare); nap(); } sink += v[0]; }
int main(void) { for (;;) work(6); }
"""
RUST = r"""
use std::collections::BTreeMap;
#[inline(never)] fn leaf(x: f64) -> f64 { let mut s = x; for i in 0..5000 { s = std::hint::black_box(s + i as f64 * 0.5); } s }
#[inline(never)] fn deep(n: u32, x: f64) -> f64 { let r = if n == 0 { leaf(x) } else { deep(n - 1, x + 1.0) }; std::hint::black_box(r + 1.0) }
#[inline(never)] fn work(turn: u64) { let mut map = BTreeMap::new(); for i in 0..100u64 { map.insert(i * turn % 97, deep(12, i as f64)); }
    let mut all: Vec<_> = map.into_iter().collect(); all.sort_by(|a, b| leaf(a.1).total_cmp(&leaf(b.1)));
    if turn % 4 == 0 { std::thread::sleep(std::time::Duration::from_millis(1)); } }
fn main() { std::thread::spawn(|| for i in 1.. { work(i) }); for i in 1.. { work(i) } }
"""
PYTHON = "import time\ndef fib(n):\n  return n if n < 2 else fib(n-1) + fib(n-2)\nwhile True:\n  fib(20)\n  sorted(range(2000), key=lambda x: -x)\n  time.sleep(0.001)\n"
PERL = "sub fib { my $n = shift; $n < 2 ? $n : fib($n-1) + fib($n-2) } while (1) { fib(18); my @a = sort { $b <=> $a } map { $_ * 7 % 1000 } 1..2000; select(undef, undef, undef, 0.001) }"
NODE = "function fib(n) { return n < 2 ? n : fib(n-1) + fib(n-2) } const z = require('zlib'); function turn() { fib(24); z.deflateSync(Buffer.alloc(50000, 'ab')); JSON.parse(JSON.stringify([...Array(2000).keys()])); setTimeout(turn, 1) } turn()"
JAVA = """public class Load { static double sink; static int fib(int n) { return n < 2 ? n : fib(n-1) + fib(n-2); }
 public static void main(String[] a) throws Exception { while (true) { sink += fib(24); java.util.Arrays.sort(new Integer[]{3,2,1}, (x, y) -> { sink += fib(10); return x - y; }); Thread.sleep(1); } } }"""


class Missing(Exception):
    pass


def tool(name):
    found = shutil.which(name)
    if not found:
        raise Missing(f"there is no {name}")
    return found


def build(directory, name, text, command):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Missing(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ''}")


def start(command, **more):
    return [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)]


def compiled(name, text, suffix, *command):
    def load(directory):
        out = os.path.join(directory, name)
        build(directory, name + suffix, text, [tool(command[0]), *command[1:], "-o", out, name + suffix])
        return start([out])

    return load


def script(program, *words):
    return lambda directory: start([tool(program), *words])


def go(directory):
    out = os.path.join(directory, "chains")
    environment = dict(os.environ, GOCACHE=os.path.join(directory, "cache"), GO111MODULE="off", GOFLAGS="")
    source = os.path.join(REPOSITORY, "tests/root/stacks/chains.go")
    if subprocess.run([tool("go"), "build", "-o", out, source], env=environment).returncode:
        raise Missing("go failed")
    return start(["sh", "-c", f"while :; do {out}; done"], preexec_fn=os.setsid)


def java(*flags):
    def load(directory):
        build(directory, "Load.java", JAVA, [tool("javac"), "Load.java"])
        return start([tool("java"), *flags, "-cp", directory, "Load"])

    return load


def redis(directory):
    server = start([tool("redis-server"), "--port", "7391", "--save", "", "--dir", directory])
    time.sleep(1)
    return server + start([tool("redis-benchmark"), "-p", "7391", "-l", "-q", "-t", "set,get,lpush,zadd"])


def nginx(directory):
    with open(os.path.join(directory, "index.html"), "w") as file:
        file.write("x" * 5000)
    with open(os.path.join(directory, "nginx.conf"), "w") as file:
        file.write(f"worker_processes 1; daemon off; pid {directory}/pid; error_log /dev/null; user root;\nevents {{}}\n"
                   f"http {{ access_log off; gzip on; gzip_types *; server {{ listen 127.0.0.1:7392; root {directory}; }} }}\n")
    server = start([tool("nginx"), "-p", directory, "-c", os.path.join(directory, "nginx.conf")])
    time.sleep(1)
    ask = "import http.client\nwhile True:\n  c = http.client.HTTPConnection('127.0.0.1', 7392)\n  for i in range(500):\n    c.request('GET', '/index.html', headers={'Accept-Encoding': 'gzip'}); c.getresponse().read()\n"
    return server + start([tool("python3"), "-c", ask])


def postgres(directory):
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not places:
        raise Missing("there is no postgres")
    bin, data = places[-1], os.path.join(directory, "data")
    os.mkdir(data)
    shutil.chown(data, "postgres")
    os.chmod(directory, 0o755)
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*as_user, f"{bin}/initdb", "-D", data], check=True, **quiet)
    server = start([*as_user, f"{bin}/postgres", "-D", data, "-p", "7393", "-k", data])
    time.sleep(3)
    subprocess.run([*as_user, f"{bin}/pgbench", "-h", data, "-p", "7393", "-i", "-s", "1", "postgres"], check=True, **quiet)
    return server + start([*as_user, f"{bin}/pgbench", "-h", data, "-p", "7393", "-c", "2", "-T", "600", "postgres"])


def cc1plus(directory):
    with open(os.path.join(directory, "unit.cc"), "w") as file:
        file.write("#include <map>\n#include <regex>\n#include <string>\n#include <functional>\nint f(std::string s) { std::regex r(s); std::map<std::string, std::function<int()>> m; return m.size() + std::regex_match(s, r); }\n")
    tool("g++")
    return start(["sh", "-c", "while :; do g++ -O2 -c -o /dev/null unit.cc; done"], cwd=directory, preexec_fn=os.setsid)


# Name, the process's own name, load; what begins in the window has its load started after the recorders.
PROGRAMS = [
    ("C++ -O2", "cpp", compiled("cpp", CPP, ".cc", "g++", "-O2", "-pthread")),
    ("C++ templates, exceptions, -O2, clang", "cppclang", compiled("cppclang", CPP, ".cc", "clang++", "-O2", "-pthread")),
    ("Rust release", "rust", compiled("rust", RUST, ".rs", "rustc", "-O", "--edition", "2021")),
    ("python3.11 (Debian)", "python3.11", script("/usr/bin/python3.11", "-c", PYTHON)),
    ("redis", "redis-server", redis),
    ("nginx", "nginx", nginx),
    ("perl", "perl", script("/usr/bin/perl", "-e", PERL)),
    ("cc1plus", "cc1plus", cc1plus),
    ("postgres", "postgres", postgres),
    ("node", "node", script("node", "-e", NODE)),
    ("java", "java", java()),
    ("java, PreserveFramePointer", "java", java("-XX:+PreserveFramePointer")),
    ("musl", "musl", compiled("musl", C, ".c", "musl-gcc", "-O2")),
    ("musl, static", "muslstatic", compiled("muslstatic", C, ".c", "musl-gcc", "-O2", "-static")),
    ("static PIE", "staticpie", compiled("staticpie", C, ".c", "gcc", "-O2", "-static-pie")),
    ("Go", "chains", go),
    ("begins in the window", "late", compiled("late", C, ".c", "gcc", "-O2")),
    ("32 bits", "bits32", compiled("bits32", C, ".c", "gcc", "-O2", "-m32")),
]
LATE = "begins in the window"


def ebrec_stacks(path, file, kind, name):
    """(user frames from the outermost in, count) of each stack of the program's processes."""
    command = [path, "export", "--to", "jsonl", "--kind", f"stack,{kind}", file]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench: {done.stderr}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    stacks = {row["id"]: row.get("folded", "").split(";") for row in rows if row["kind"] == "stack"}
    for row in rows:
        if row["kind"] == kind and row.get("ustack_id") in stacks and (row.get("process") or row.get("comm") or "").startswith(name):
            yield stacks[row["ustack_id"]], row.get("count") or 1


def data(directory, event):
    return os.path.join(directory, event.replace(":", "-") + ".data")


def perf_stacks(file, name):
    """The same of perf's; user frames only."""
    command = ["perf", "script", "-i", file, "--no-inline", "-F", "comm,ip,sym,dso"]
    script = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    frames, wanted = None, False
    for line in script.stdout:
        if not line.strip():
            if frames and wanted:
                yield frames[::-1], 1
            frames = None
        elif frames is None:
            frames, wanted = [], line.strip().startswith(name)
        else:
            match = re.match(r"\s*[0-9a-f]+ (.*) \((.*?)\)$", line)
            if match and not match[2].startswith("[kernel") and not match[2].endswith(".ko"):
                frames.append(plain(match[1]))
    script.wait()


def plain(name):
    """A function's name without what the two tools write differently."""
    name = re.sub(r"@@?[A-Z].*$|\.(constprop|isra|part|cold|llvm)\.?\w*(\.\d+)*", "", name)
    name = re.sub(r"\[clone [^]]*\]|::h[0-9a-f]{16}$", "", name).strip()
    return re.sub(r"\s*\(.*$", "", name) if not name.startswith("(") else name


def is_whole(frames):
    # What a stripped program begins with has no name.
    return "[truncated]" not in frames and any(ROOTS.fullmatch(plain(frame)) for frame in frames[:3])


def pairs(frames):
    named = [plain(frame) for frame in frames]
    for caller, callee in zip(named, named[1:]):
        if "[" not in caller + callee and "+0x" not in caller + callee:
            yield caller, callee


def share(stacks):
    whole = sum(weight for frames, weight in stacks if is_whole(frames))
    return whole / all if (all := sum(weight for _, weight in stacks)) else None


def truth(ours, theirs):
    """The part of our callers that perf saw too, of functions that perf has at all."""
    known = collections.Counter(pair for frames, _ in theirs if is_whole(frames) for pair in pairs(frames))
    functions = {function for pair in known for function in pair}
    right = wrong = 0
    worst = collections.Counter()
    for frames, weight in ours:
        for pair in pairs(frames):
            if pair[0] in functions and pair[1] in functions:
                right, wrong = (right + weight, wrong) if pair in known else (right, wrong + weight)
                worst.update({} if pair in known else {pair: weight})
    return (right / (right + wrong) if right + wrong else None), worst


def figure(number):
    return "–" if number is None else f"{number:.3f}"


def measure(name, command, load, arguments, directory):
    late = name == LATE
    processes = [] if late else load(directory)
    try:
        time.sleep(0 if late else 2)
        recording = os.path.join(directory, "run.parquet")
        seconds = str(arguments.seconds)
        perf = lambda event, *how: subprocess.Popen(
            ["perf", "record", "-q", "-a", "--call-graph", "dwarf,32768", "-e", event, *how, "-o", data(directory, event), "--", "sleep", seconds],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        recorders = [
            subprocess.Popen([arguments.ebrec, "record", "-q", "-p", "process,cpu,offcpu", "--comm", command[:15], "-d", seconds, "-o", recording]),
            perf("cpu-clock", "-F", "99"),
            perf("sched:sched_switch", "-c", "20"),
        ]
        if late:
            time.sleep(1)
            processes = load(directory)
        for recorder in recorders:
            recorder.wait()
    finally:
        for process in processes:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
    row = [name]
    for kind, event in [("cpu_sample", "cpu-clock"), ("stack_total", "sched:sched_switch")]:
        ours = list(ebrec_stacks(arguments.ebrec, recording, kind, command[:15]))
        theirs = list(perf_stacks(data(directory, event), command[:15]))
        true, worst = truth(ours, theirs) if (share(theirs) or 0) > 0.5 else (None, {})
        row += [figure(share(ours)), figure(share(theirs)), figure(true)]
        if arguments.verbose:
            for pair, weight in collections.Counter(worst).most_common(5):
                print(f"  {kind}: perf saw no {pair[0]} > {pair[1]}: {weight}", file=sys.stderr)
            cut = collections.Counter()
            for frames, weight in ours:
                cut.update({} if is_whole(frames) else {" … ".join(frames[:3]): weight})
            for frame, weight in cut.most_common(5):
                print(f"  {kind}: not whole: {frame}: {weight}", file=sys.stderr)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--ebrec", default=os.path.join(REPOSITORY, "target/debug/ebrec"))
    parser.add_argument("--verbose", action="store_true", help="what is not whole or not true")
    parser.add_argument("programs", nargs="*", help="names of the table's first column, or parts of them")
    arguments = parser.parse_args()
    if not shutil.which("perf"):
        sys.exit("bench: there is no perf")
    print("| program | cpu whole | perf | callers true | offcpu whole | perf | callers true |")
    print("|-|-|-|-|-|-|-|", flush=True)
    for name, command, load in PROGRAMS:
        if arguments.programs and not any(part in name for part in arguments.programs):
            continue
        with tempfile.TemporaryDirectory() as directory:
            try:
                print("| " + " | ".join(measure(name, command, load, arguments, directory)) + " |", flush=True)
            except Missing as missing:
                print(f"| {name} | {missing} | | | | | |", flush=True)


if __name__ == "__main__":
    main()
