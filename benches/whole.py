#!/usr/bin/env python3
"""What recording costs, ours beside perf, bcc's tools and bpftrace in one run. `make bench` calls it, as root.

    benches/whole.py [--rounds N] [--seconds S] [--only WORD]

Where the kernel has no kprobes, in a guest whose clock counts instructions: its nanoseconds are those, whatever the host does.

    EBREC=target/release/ebrec tests/vm/run 6.12 --cpus 1 --qemu '-icount shift=0' --seconds 900 -- \\
        python3 benches/whole.py --rounds 1 --seconds 0.3 --only 'of the kernel'

The load is pinned to the last CPU and counts its own events. Each round runs it without a tool and right after with the tool, for one
tool after the other in turns: ratios are taken within such a pair, so that what else the machine does weighs on both, and the
tables show medians over the rounds. What a tool adds to an event is taken from the load's CPU time, which holds what runs in its
context and nothing that it waited for. A tool's own CPU is what the kernel accounts to its process, less that of a run of
the same length without the load; its memory is the largest resident set from exec to end.
"""

import argparse
import json
import os
import pty
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple

import pollers
import tools
from tools import PLACE, Caught

CPU = max(os.sched_getaffinity(0))
DEFAULT_SET = "ebrec, the default set"
SPAN = 5  # seconds of a recording of the default set
LIMIT = 60  # seconds after which a tool that is not live, or does not end, is given up


class Failed(Exception):
    """A tool did not do what it is measured for."""


class Run:
    """A tool at work: started by entering, ended by leaving."""

    def __init__(self, tool, path):
        self.tool, self.path = tool, path
        self.text = ""
        self.peak = self.cpu = 0
        self.caught = Caught()

    def __enter__(self):
        command = self.tool.command(self.path)
        env = dict(os.environ, **self.tool.env)
        if self.tool.terminal:
            # A program that prints with stdio says nothing into a pipe before it ends.
            self.source, out = pty.openpty()
        else:
            self.source, out = os.pipe()
        self.errors = tempfile.TemporaryFile("w+")
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=self.errors, env=env)
        os.close(out)
        self.watch = threading.Thread(target=self.watch_memory, daemon=True)
        self.watch.start()
        self.wait_until_live()
        # What it prints from now on is not read by us, but must not block it.
        self.drain = threading.Thread(target=self.read_all, daemon=True)
        self.drain.start()
        return self

    def wait_until_live(self):
        deadline = time.monotonic() + LIMIT
        while not re.search(self.tool.live, self.text, re.M):
            ready, _, _ = select.select([self.source], [], [], max(0, deadline - time.monotonic()))
            chunk = self.read() if ready else b""
            if not chunk:
                self.process.kill()
                self.process.wait()
                raise Failed(f"it was never live: {last_line(self.text + self.stderr())}")
            self.text += chunk.decode(errors="replace")
        said = re.search(r"^live (\d+)", self.text, re.M)
        self.live = int(said[1]) if said else time.monotonic_ns()

    def read(self):
        try:
            return os.read(self.source, 65536)
        except OSError:  # the other end of a terminal is gone
            return b""

    def read_all(self):
        while self.read():
            pass

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def watch_memory(self):
        # The resident set's high-water mark restarts at exec, unlike that of getrusage.
        while True:
            try:
                with open(f"/proc/{self.process.pid}/status") as status:
                    found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            except OSError:
                return
            if not found:
                return
            self.peak = max(self.peak, int(found[1]) << 10)
            time.sleep(0.02)

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        if self.tool.terminal:
            self.process.send_signal(signal.SIGINT)
        killer = threading.Timer(LIMIT, self.process.kill)
        killer.start()
        _, status, usage = os.wait4(self.process.pid, 0)
        killer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.watch.join()
        os.close(self.source) if not self.drain.is_alive() else self.drain.join(5)
        self.cpu = usage.ru_utime + usage.ru_stime
        if kind is None:
            text = self.stderr()
            if self.process.returncode not in (0, -signal.SIGINT, 130):
                raise Failed(f"status {self.process.returncode}: {last_line(text)}")
            self.caught = self.tool.caught(self.path, text)
        self.errors.close()


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


Load = namedtuple("Load", "ns cpu events")


def load(command):
    """Runs a load; its nanoseconds and CPU nanoseconds for each event, and the events."""
    events, ns, cpu = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    return Load(ns / events, cpu / events, events)


def measure(name, what, command, idle, chosen, rounds, directory):
    """One table: a load alone and under each tool."""
    alive = []
    for tool in chosen:
        reason = tool.lacking()
        if not reason:
            try:
                with Run(tool, os.path.join(directory, "first")):
                    pass
            except Failed as error:
                reason = str(error)
        if reason:
            print(f"skipped: {tool.name}: {reason}", file=sys.stderr)
        else:
            alive.append(tool)
    results = {tool.name: [] for tool in alive}
    bare = []
    for number in range(rounds):
        turn = number % max(1, len(alive))
        for tool in alive[turn:] + alive[:turn]:
            print(f"{name}: round {number + 1} of {rounds}, {tool.name}", file=sys.stderr)
            path = os.path.join(directory, "out")
            try:
                with Run(tool, path) as quiet:
                    time.sleep(idle)
                alone = load(command)
                with Run(tool, path) as busy:
                    under = load(command)
            except Failed as error:
                print(f"{tool.name}: {error}", file=sys.stderr)
                continue
            bare.append(alone)
            results[tool.name].append(figures(alone, under, quiet, busy))
    if not bare:
        return
    alone, of_cpu = (statistics.median(getattr(one, which) for one in bare) for which in ("ns", "cpu"))
    print(f"\n### {name}\n\n{what} Alone: {alone:,.0f} ns each, {of_cpu:,.0f} ns of CPU; medians of {rounds} rounds.\n")
    table(alive, results)


def figures(alone, under, quiet, busy):
    caught, still = busy.caught, quiet.caught
    rows = (caught.rows or 0) - (still.rows or 0)
    streams = rows > under.events / 10  # else its rows are aggregates
    own = max(0.0, busy.cpu - quiet.cpu) * 1e9
    return {
        "throughput": alone.ns / under.ns,
        "added": under.cpu - alone.cpu,
        "cpu": own / under.events,
        "per_row": own / rows if streams else None,
        "bytes": (caught.size - still.size) / rows if streams and caught.size else None,
        "rows": rows / under.events if caught.rows is not None else None,
        "lost": caught.lost,
        "peak": busy.peak,
        "start": (busy.live - busy.started) / 1e6,
    }


COLUMNS = [
    ("throughput", "throughput", "{:.1%}"),
    ("added", "added ns", "{:,.0f}"),
    ("cpu", "tool's CPU ns", "{:,.0f}"),
    ("rows", "rows", "{:.2f}"),
    ("per_row", "CPU ns per row", "{:,.0f}"),
    ("bytes", "bytes per row", "{:.1f}"),
    ("lost", "lost", "{:,.0f}"),
    ("peak", "RSS MiB", "{:,.1f}"),
    ("start", "live after ms", "{:,.0f}"),
]


def table(alive, results):
    print("| tool | " + " | ".join(title for _, title, _ in COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for tool in alive:
        cells = []
        for key, _, form in COLUMNS:
            values = [result[key] for result in results[tool.name] if result[key] is not None]
            value = statistics.median(values) if values else None
            if key == "peak" and value is not None:
                value /= 1 << 20
            cells.append("–" if value is None else form.format(value))
        name = tool.name if tool.peer else f"**{tool.name}**"
        print(f"| {name} | " + " | ".join(cells) + " |")


def report_time(directory, rounds):
    """How long `ebrec report` takes on recordings of some sizes."""
    ours = tools.ebrec("ebrec, sched and process raw", "sched:raw,process:raw")
    if ours.lacking():
        print(f"skipped: report: {ours.lacking()}", file=sys.stderr)
        return
    print("\n### report\n\nFrom process start to end, output to /dev/null.\n")
    print("| recording | rows | median ms | slowest ms |\n|---|---:|---:|---:|")
    for hand_overs in (20_000, 200_000):
        path = os.path.join(directory, f"report-{hand_overs}.parquet")
        try:
            with Run(ours, path) as run:
                load([os.path.join(PLACE, "pingpong"), str(CPU), "rounds", str(hand_overs)])
        except Failed as error:
            print(f"skipped: report: {error}", file=sys.stderr)
            return
        times = []
        for _ in range(max(rounds, 5)):
            started = time.monotonic_ns()
            process = subprocess.Popen([tools.EBREC, "report", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.wait()
            times.append((time.monotonic_ns() - started) / 1e6)
            if process.returncode:
                print(f"skipped: report: status {process.returncode}", file=sys.stderr)
                return
        size = os.path.getsize(path) / (1 << 20)
        print(f"| {size:.2f} MiB | {run.caught.rows or 0:,} | {statistics.median(times):.1f} | {max(times):.1f} |")


def default_set(directory):
    """What the default set takes of a machine that does nothing else, and of one whose CPUs are busy and switch as they can."""
    ours = tools.ebrec(DEFAULT_SET)
    cpus = str(os.cpu_count())
    busy = ["stress-ng", "--quiet", "--cpu", cpus, "--switch", cpus]
    print(f"\n### the default set\n\n{SPAN} s each, as the recordings say of themselves.\n")
    print("| machine | BPF programs, of one CPU | ebrec, of one CPU | RSS MiB | file KiB | live after ms | lost |")
    print("|---|" + "---:|" * 6)
    for name, command in (("idle", None), (f"`{' '.join(busy)}`", busy)):
        reason = ours.lacking()
        if not reason and command and not shutil.which(command[0]):
            reason = f"'{command[0]}' is not installed"
        if reason:
            print(f"skipped: the default set, {name}: {reason}", file=sys.stderr)
            continue
        path = os.path.join(directory, "default.parquet")
        load = command and subprocess.Popen(command)
        try:
            with Run(ours, path) as run:
                time.sleep(SPAN)
            said = subprocess.run([tools.EBREC, "report", "overhead", path, "--format", "json"], capture_output=True, text=True, check=True)
        except Failed as error:
            print(f"skipped: the default set, {name}: {error}", file=sys.stderr)
            continue
        finally:
            if load:
                load.terminate()
                load.wait()
        cost = json.loads(said.stdout)["tables"]["recorder"][0]
        numbers = f"{cost['bpf_cpu_pct']:.1f} % | {cost['own_cpu_pct']:.1f} % | {cost['rss_bytes'] / (1 << 20):.0f} | {cost['file_bytes'] / 1024:,.0f}"
        print(f"| {name} | {numbers} | {(run.live - run.started) / 1e6:.0f} | {run.caught.lost or 0:,} |")


def build(directory):
    """Compiles the loads; a program that is newer than its source is kept."""
    os.makedirs(directory, exist_ok=True)
    sources = os.path.join(tools.ROOT, "benches", "load")
    for source in sorted(os.listdir(sources)):
        shared = source == "memlock.c"
        name = source[:-2] + (".so" if shared else "")
        out, source = os.path.join(directory, name), os.path.join(sources, source)
        if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
            flags = ["-shared", "-fPIC"] if shared else []
            subprocess.run(["cc", "-O2", "-Wall", *flags, "-o", out, source], check=True)


def machine():
    with open("/proc/cpuinfo") as text:
        model = re.search(r"model name\s*:\s*(.*)", text.read())
    versions = []
    for command in (["perf", "--version"], ["bpftrace", "--version"], [tools.EBREC, "--version"]):
        if shutil.which(command[0]):
            versions.append(last_line(subprocess.run(command, capture_output=True, text=True).stdout))
    uname = os.uname()
    print(f"Linux {uname.release}, {uname.machine}, {os.cpu_count()} CPUs ({model[1] if model else 'unknown'}); {', '.join(versions)}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each load")
    parser.add_argument("--only", default="", help="tables and tools whose name has this word")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: not root: nothing can be attached\nhint: make bench")
    build(PLACE)
    ms = str(int(options.seconds * 1000))
    switches = [
        tools.ebrec("ebrec sched", "sched"),
        tools.ebrec("ebrec sched:raw", "sched:raw"),
        tools.ebrec(DEFAULT_SET),
        tools.bcc("bcc runqlat", "runqlat"),
        tools.bcc("bcc runqlat by process", "runqlat", "-P"),
        tools.bpftrace("bpftrace, histogram by thread", tools.RUNQLAT),
        tools.perf("perf record, switch", "sched:sched_switch"),
        tools.perf("perf record, switch and wakeup", "sched:sched_switch", "sched:sched_wakeup"),
    ]
    spawns = [
        tools.ebrec("ebrec process", "process"),
        tools.ebrec(DEFAULT_SET),
        tools.bcc("bcc execsnoop", "execsnoop"),
        tools.bpftrace("bpftrace, exec and exit", tools.EXECSNOOP),
        tools.perf("perf record, fork, exec and exit", *(f"sched:sched_process_{what}" for what in ("fork", "exec", "exit"))),
    ]
    calls = [
        tools.empty_pair("an empty pair of programs"),
        tools.empty_pair("a pair that reads the clock", "clock"),
        tools.ebrec("ebrec syscall", "syscall"),
        tools.ebrec("ebrec syscall:raw", "syscall:raw"),
        tools.bcc("bcc syscount -L", "syscount", "-L"),
        tools.bpftrace("bpftrace, count by process and call", tools.SYSCOUNT),
        tools.bpftrace("bpftrace, histogram by process and call", tools.SYSHIST),
        tools.perf("perf record, raw_syscalls", "raw_syscalls:sys_enter", "raw_syscalls:sys_exit"),
    ]
    functions = [
        tools.ebrec("ebrec -e uprobe", "events", f"uprobe:{tools.EMPTY}"),
        tools.bpftrace("bpftrace uprobe, count by process", tools.CALLS),
        tools.ebrec("ebrec -e uprobe, hist of an argument", "events", f"uprobe:{tools.EMPTY}(hist(arg0))"),
        tools.bpftrace("bpftrace uprobe, hist of an argument by process", tools.CALL_VALUES),
        tools.ebrec("ebrec -e latency", "events", f"latency:{tools.EMPTY}"),
        tools.ebrec("ebrec -e latency by trampoline", "events", f"latency:{tools.EMPTY}(trampoline)"),
        tools.bpftrace("bpftrace uprobe and uretprobe, hist by process", tools.CALL_TIMES),
    ]
    points = [
        tools.ebrec("ebrec -e tracepoint", "events", f"tracepoint:{tools.POINT}"),
        tools.bpftrace("bpftrace tracepoint, count by process", tools.POINTS),
        tools.ebrec("ebrec -e tracepoint, rows", "events", f"tracepoint:{tools.POINT}(__syscall_nr)"),
        tools.bpftrace("bpftrace tracepoint, printf", tools.POINT_ROWS),
        tools.perf("perf record, tracepoint", tools.POINT),
    ]
    kernel = [
        tools.ebrec("ebrec -e kprobe", "events", f"kprobe:{tools.CALL}"),
        tools.bpftrace("bpftrace kprobe, count by process", tools.KERNEL_CALLS),
        tools.ebrec("ebrec -e fentry", "events", f"fentry:{tools.CALL}"),
        tools.bpftrace("bpftrace kfunc, count by process", tools.KERNEL_TYPED),
        tools.ebrec("ebrec -e kprobe, several by a pattern", "events", f"kprobe:{tools.CALL_AND_MORE}"),
        tools.bpftrace("bpftrace kprobe, several by a pattern, count by process and function", tools.KERNEL_SEVERAL),
        tools.ebrec("ebrec -e latency of the kernel's", "events", f"latency:{tools.CALL}"),
        tools.bpftrace("bpftrace kprobe and kretprobe, hist by process", tools.KERNEL_TIMES),
    ]
    machine()
    with tempfile.TemporaryDirectory(dir=PLACE) as directory:
        for name, what, program, chosen in (
            ("context switches", "Two processes hand a byte to and fro on one CPU; an event is a switch.", "pingpong", switches),
            ("system calls", "One process calls getppid again and again; an event is a call.", "syscalls", calls),
            ("events: a function", "One process calls an empty function again and again; an event is a call.", "functions", functions),
            ("events: a trace point", "One process calls getppid again and again; an event is a call.", "syscalls", points),
            ("events: a function of the kernel", "One process calls getppid again and again; an event is a call.", "syscalls", kernel),
            ("processes", "One process starts /bin/true again and again; an event is a process.", "spawn", spawns),
        ):
            wanted = [tool for tool in chosen if options.only in tool.name or options.only in name]
            if wanted:
                command = [os.path.join(PLACE, program), str(CPU), ms]
                measure(name, what, command, options.seconds, wanted, options.rounds, directory)
        if options.only in "the default set":
            default_set(directory)
        if options.only in "polling /proc":
            pollers.measure([100, 1000, 5000], 10, 1, "", directory)
        if options.only in "report":
            report_time(directory, options.rounds)


if __name__ == "__main__":
    main()
