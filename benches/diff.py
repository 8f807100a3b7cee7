#!/usr/bin/env python3
"""How often `ebrec diff` reports what is not there, and how often it names what was planted, with real recordings.

    benches/diff.py EBREC DIR record [--seconds S] [--number N]      records into DIR (as root)
    benches/diff.py EBREC DIR steady [--seconds S] [--number N]      records redis under a steady load into DIR/steady (as root)
    benches/diff.py EBREC DIR judge [--trials N] [--side N]          compares what is in DIR

`record` makes N recordings of each of four workloads without the planted change and N with it, in turn, so that what the machine does
besides comes to both alike. `judge` draws sides without replacement: pairs of one steady workload, one and several recordings a side,
which should report nothing; and planted changes, where the first thing told should be the one that was planted.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# What the first sentence has to name.
PLANTED = {
    # By its own time where that of the process is not significant.
    "function": ["changes: ", "work()", "on CPU +"],
    "lock": ["changes: asleep in futex"],
    # Each query costs both programs time, and moves bytes, switches and calls.
    "query": ["redis-server", "changes: on CPU", "changes: query() and its callees on CPU", "changes: waiting for pipes and sockets"],
    "disk": ["changes: waiting for files and disks", "block.device_time"],
}
# Loads with a fixed rate run before all else, so that the rate does not depend on what else the machine does. A low nice value does not
# achieve that: since Linux 6.6 a running thread may finish its slice, of some milliseconds, before one that wakes.
FIRST = ["chrt", "--fifo", "1"]
# A load that takes all it gets would leave nothing to the recorder at such a priority.
HIGH = ["nice", "-n", "-40"]
# Seconds that no window takes.
LONG = "3600"


def build(directory):
    program = os.path.join(directory, "changes")
    subprocess.run(["cc", "-O1", "-g", "-pthread", "-o", program, f"{HERE}/load/changes.c"], check=True)
    return program


class Redis:
    def __init__(self, priority):
        self.priority = priority

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.at = tempfile.TemporaryDirectory()
        words = ["redis-server", "--port", self.port, "--save", "", "--bind", "127.0.0.1", "--dir", self.at.name]
        self.server = subprocess.Popen([*self.priority, *words], stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", int(self.port))) == 0:
                    return self
            time.sleep(0.02)
        raise SystemExit("redis-server does not answer")

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()
        self.at.cleanup()


def record(ebrec, file, seconds, filters, priority, load):
    """Records a load that runs for longer than the window."""
    running = subprocess.Popen([*priority, *load], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.2)
        words = [ebrec, "record", "-q", "--force", "-d", f"{seconds}s", "-o", file, *filters]
        subprocess.run(words, check=True)
        # A recorder takes seconds to start on a busy machine.
        if running.poll() is not None:
            raise SystemExit(f"the load of '{file}' ended before its window")
    finally:
        running.terminate()
        running.wait()


def record_planted(arguments):
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch, contextlib.ExitStack() as servers:
        program = build(scratch)
        last = {"disk": os.path.join(scratch, "file")}
        if "query" in arguments.planted:
            last["query"] = servers.enter_context(Redis(FIRST)).port
        for number, (name, planted) in itertools.product(range(arguments.number), itertools.product(arguments.planted, (0, 1))):
            at = os.path.join(arguments.directory, name, "after" if planted else "before")
            os.makedirs(at, exist_ok=True)
            load = [program, LONG, name, str(planted), last.get(name, "")]
            filters = ["--comm", "changes"]
            if name == "query":
                filters += ["--comm", "redis-server"]
            record(arguments.ebrec, os.path.join(at, f"{number:03}.parquet"), arguments.seconds, filters, FIRST, load)
        # What was made in it is ended and gone.
        if os.path.exists(last["disk"]):
            os.unlink(last["disk"])


def record_steady(arguments):
    at = os.path.join(arguments.directory, "steady")
    os.makedirs(at, exist_ok=True)
    for number in range(arguments.number):
        with Redis(HIGH) as redis:
            load = ["redis-benchmark", "-p", redis.port, "-c", "4", "-n", "100000000", "-t", "get", "-q"]
            filters = ["--comm", "redis-server", "--comm", "redis-benchmark"]
            record(arguments.ebrec, os.path.join(at, f"{number:03}.parquet"), arguments.seconds, filters, HIGH, load)


def compare(ebrec, before, after):
    """The JSON of a comparison, and the first sentence about a change."""
    with tempfile.TemporaryDirectory() as at:
        for side, files in (("before", before), ("after", after)):
            os.mkdir(os.path.join(at, side))
            for file in files:
                os.symlink(os.path.abspath(file), os.path.join(at, side, os.path.basename(file)))
        words = [ebrec, "diff", "-q", "--format", "json", os.path.join(at, "before"), os.path.join(at, "after")]
        document = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    told = [note for note in document["notes"] if note[:1].isdigit() and ". " in note[:5]]
    return document, told


def files(*path):
    at = os.path.join(*path)
    return sorted(os.path.join(at, name) for name in os.listdir(at)) if os.path.isdir(at) else []


def steady_pairs(arguments, pool, side, chance):
    """Both sides of each pair, one behind the other."""
    order = pool[:]
    chance.shuffle(order)
    if side == 1:
        return [order[2 * pair : 2 * pair + 2] for pair in range(min(arguments.trials, len(pool) // 2))]
    if len(pool) == 2 * side:
        # A draw would only repeat some of the ways to halve them: go through all, each with its mirror image once.
        halves = itertools.combinations(pool[1:], side - 1)
        return [[pool[0], *half, *(file for file in pool[1:] if file not in half)] for half in halves]
    return [chance.sample(pool, 2 * side) for _ in range(arguments.trials)]


def judge_steady(arguments, name, pool, side, chance):
    pairs = steady_pairs(arguments, pool, side, chance)
    trials, false, tested, seen = len(pairs), 0, 0, []
    for drawn in pairs:
        document, told = compare(arguments.ebrec, drawn[:side], drawn[side:])
        changes = document["tables"]["changes"]
        tested += len(document["tables"]["tested"])
        if changes:
            false += 1
            seen.append((told or [changes[0]["quantity"]])[0])
    print(f"{name}, {side} a side: {false} of {trials} pairs report anything; {tested / max(trials, 1):.0f} quantities each", flush=True)
    for what in seen[:6]:
        print(f"    {what}")


def judge(arguments):
    chance = random.Random(7)
    for name in ["steady", *PLANTED]:
        pool = files(arguments.directory, "steady") if name == "steady" else files(arguments.directory, name, "before")
        for side in (1, arguments.side):
            if len(pool) >= 2 * side:
                judge_steady(arguments, name, pool, side, chance)
    for name, wanted in PLANTED.items():
        before, after = (files(arguments.directory, name, side) for side in ("before", "after"))
        if min(len(before), len(after)) < arguments.side:
            continue
        found, missed = 0, []
        for _ in range(20):
            _, told = compare(arguments.ebrec, chance.sample(before, arguments.side), chance.sample(after, arguments.side))
            first = told[0] if told else "nothing"
            named = any(word in first for word in wanted) if name != "function" else all(word in first for word in wanted)
            found += named
            if not named:
                missed.append(first)
        print(f"planted {name}: named first in {found} of 20 trials; such as: {first}", flush=True)
        for what in missed[:4]:
            print(f"    not: {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ebrec")
    parser.add_argument("directory")
    parser.add_argument("what", choices=["record", "steady", "judge"])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--number", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--side", type=int, default=5)
    parser.add_argument("--planted", nargs="+", choices=PLANTED, default=list(PLANTED))
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    {"record": record_planted, "steady": record_steady, "judge": judge}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
