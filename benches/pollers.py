#!/usr/bin/env python3
"""Polling /proc beside recording events: what each costs, and what each sees of processes that live for 1 to 5 ms and of waits of 100 ms.

    benches/pollers.py [--processes 100,1000,5000] [--seconds S] [--rounds N]

As root. `load/crowd.c` is the machine's load: so many processes that sleep, 50 children a second with 1 to 5 ms of CPU time each, and one
process that waits for 100 ms at a time in a pipe. It counts its own children and waits. The pollers are pidstat, every second, and
`load/poll.c`, which reads two files of each process and prints nothing, every second and every 10 ms. ebrec records its default set.
CPU time is what the kernel accounts to the tool's process, over the time that it was to run. Of ebrec it has what its recording says of the
window, with the time in BPF programs, which others spend; what it takes before and after that, to attach and to write the file, stands beside it.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import namedtuple

import tools

CHILDREN_PER_SECOND = 50
# Seconds that a tool goes on after the load, so that it sees all of it.
MORE = 3

# CPU seconds while it runs, and to start and to end beside that.
Seen = namedtuple("Seen", "cpu more resolution children waits")


class Crowd:
    """The load, with all of its sleepers asleep; it begins with `run`."""

    def __init__(self, processes, seconds):
        command = [os.path.join(tools.PLACE, "crowd"), str(processes), str(int(seconds * 1000)), str(CHILDREN_PER_SECOND)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid, self.late = map(int, self.process.stdout.readline().split()[1:])

    def run(self):
        """Runs to the end; how many children and waits there were."""
        children, waits = self.process.communicate("go\n")[0].split()
        return int(children), int(waits)


def end(process):
    """CPU seconds of a process and of those that it waited for, once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: '{process.args[0]}' ended with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def pidstat(crowd, seconds, directory):
    with tempfile.TemporaryFile("w+", dir=directory) as out:
        rounds = int(seconds + MORE)
        process = subprocess.Popen(["pidstat", "-p", "ALL", "-u", "1", str(rounds)], stdout=out, env=dict(os.environ, LC_ALL="C"))
        counted = crowd.run()
        cpu = end(process)
        out.seek(0)
        # Time, user, PID, five percentages, CPU, command; of its average at the end the time is a word.
        children = {words[-8] for words in map(str.split, out) if words[-1:] == ["crowd-short"] and words[0] != "Average:"}
    return Seen(cpu, 0, "1 s", len(children), 0), counted


def poller(period):
    def run(crowd, seconds, directory):
        command = [os.path.join(tools.PLACE, "poll"), str(period), str(int((seconds + MORE) * 1000)), str(crowd.pid), str(crowd.late)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        counted = crowd.run()
        rounds, cpu, children, waits = map(int, process.stdout.read().split())
        end(process)
        return Seen(cpu / 1e9, 0, f"{(seconds + MORE) * 1000 / rounds:,.0f} ms", children, waits), counted

    return run


def ebrec(crowd, seconds, directory):
    path = os.path.join(directory, "run.parquet")
    command = [tools.EBREC, "record", "-v", "--force", "-o", path, "-d", f"{seconds + MORE}s"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "all probes live" in line:
            break
    counted = crowd.run()
    process.stderr.read()
    cpu = end(process)
    said = subprocess.run([tools.EBREC, "report", "overhead", path, "--format", "json"], capture_output=True, text=True, check=True)
    cost = json.loads(said.stdout)["tables"]["recorder"][0]
    programs, own = cost["bpf_cpu_pct"] / 100 * (seconds + MORE), cost["own_cpu_ns"] / 1e9
    children = sum(row["ppid"] == crowd.pid and row["comm"] == "crowd-short" for row in rows(path, "exit"))
    waits = sum(row["comm"] == "crowd-late" and row["dur_ns"] >= 50_000_000 for row in rows(path, "off_cpu"))
    return Seen(own + programs, cpu - own, "each event", children, waits), counted


def rows(path, kind):
    export = subprocess.run([tools.EBREC, "export", "--to", "jsonl", "--kind", kind, path], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in export.stdout.splitlines()]


TOOLS = [
    ("pidstat, every second", "pidstat", pidstat),
    ("a poller, every second", os.path.join(tools.PLACE, "poll"), poller(1000)),
    ("a poller, every 10 ms", os.path.join(tools.PLACE, "poll"), poller(10)),
    ("**ebrec**, the default set", tools.EBREC, ebrec),
]


def measure(sizes, seconds, rounds, only, directory):
    """Prints the table."""
    print("\n### polling /proc\n")
    print(f"{CHILDREN_PER_SECOND} children a second that run for 1 to 5 ms, and waits of 100 ms, for {seconds} s; medians of {rounds} rounds.\n")
    print("| processes | tool | CPU, of one | to start and end | resolution | short-lived processes seen | waits seen |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for processes in sizes:
        for name, needs, run in TOOLS:
            if only not in name:
                continue
            if not shutil.which(needs):
                print(f"skipped: polling /proc, {name}: '{needs}' is not installed", file=sys.stderr)
                continue
            results = []
            for _ in range(rounds):
                seen, (children, waits) = run(Crowd(processes, seconds), seconds, directory)
                results.append(Seen(seen.cpu / (seconds + MORE), seen.more, seen.resolution, seen.children / children, seen.waits / waits))
            cpu, more, children, waits = (statistics.median(getattr(one, field) for one in results) for field in ("cpu", "more", "children", "waits"))
            start = f"{more * 1000:,.0f} ms" if more else "–"
            print(f"| {processes:,} | {name} | {cpu:.1%} | {start} | {results[0].resolution} | {children:.0%} | {waits:.0%} |", flush=True)


def main():
    import whole

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="100,1000,5000", help="how many sleep, separated by commas")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="tools whose name has this word")
    options = parser.parse_args()
    if not re.fullmatch(r"\d+(,\d+)*", options.processes):
        parser.error(f"--processes: numbers separated by commas, not '{options.processes}'")
    if os.geteuid() != 0:
        sys.exit("bench: not root: nothing can be attached\nhint: make bench")
    whole.build(tools.PLACE)
    whole.machine()
    with tempfile.TemporaryDirectory(dir=tools.PLACE) as directory:
        measure([int(size) for size in options.processes.split(",")], options.seconds, options.rounds, options.only, directory)


if __name__ == "__main__":
    main()
