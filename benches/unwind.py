#!/usr/bin/env python3
"""What a stack costs, by its depth: samples and sleeps with stacks by unwind tables, by frame pointers, and by perf's two ways.

    benches/unwind.py [--rounds N] [--seconds S] [--depths 20,60]

As root. The load is one thread on the last CPU under a stack of so many frames, compiled with frame pointers, so that every tool finds all of them. It
works, and is sampled as often as ebrec can be asked to; or it sleeps for 150 us at a time, and each sleep has its stack taken. A round runs
the load alone and right after under the tool, for one tool after the other. What a sample takes is the part of its work that the load lost, by the
samples; what a sleep takes is what a process lost that has the CPU meanwhile, by the sleeps. Perf without stacks shows what the interrupt of a sample and the record of a switch cost by themselves.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import tools
import whole

HERTZ = 5000
DEPTH = os.path.join(tools.PLACE, "depth-with-frame-pointers")


def ebrec(name, probe, *more):
    command = lambda path: [tools.EBREC, "record", "-p", probe, *more, "--system-wide", "--force", "-o", path, "--", tools.MARKER]
    return tools.Tool(name, command, needs=tools.EBREC, caught=tools.ebrec_caught, peer=False)


def perf(name, event, *more):
    command = lambda path: ["perf", "record", "-C", str(whole.CPU), "-o", path, *event, *more, "--", tools.MARKER]
    return tools.Tool(name, command, needs="perf", caught=tools.perf_caught)


SAMPLES = ["-e", "cpu-clock", "-F", str(HERTZ)]
SWITCHES = ["-e", "sched:sched_switch"]
WORK = [
    ebrec("ebrec, unwind tables", f"cpu:hz={HERTZ}"),
    ebrec("ebrec, frame pointers", f"cpu:hz={HERTZ}", "--unwind-memory", "0"),
    perf("perf record, no stacks", SAMPLES),
    perf("perf record --call-graph fp", SAMPLES, "--call-graph", "fp"),
    perf("perf record --call-graph dwarf", SAMPLES, "--call-graph", "dwarf"),
]
SLEEP = [
    ebrec("ebrec, unwind tables", "offcpu"),
    ebrec("ebrec, frame pointers", "offcpu", "--unwind-memory", "0"),
    perf("perf record, no stacks", SWITCHES),
    perf("perf record --call-graph fp", SWITCHES, "--call-graph", "fp"),
    perf("perf record --call-graph dwarf", SWITCHES, "--call-graph", "dwarf"),
]


def build():
    whole.build(tools.PLACE)
    source = os.path.join(tools.ROOT, "benches", "load", "depth.c")
    subprocess.run(["cc", "-O2", "-fno-omit-frame-pointer", "-o", DEPTH, source], check=True)


def taken(what, alone, under):
    """Nanoseconds that one sample or one sleep cost."""
    lost = 1 - alone.ns / under.ns
    # The last number of a load that sleeps is that of its sleeps; the work is another process's, which has nearly all of the CPU.
    return lost * 1e9 / HERTZ if what == "work" else lost * under.ns / under.cpu


def measure(what, chosen, depths, rounds, ms, directory):
    cells = {tool.name: {depth: [] for depth in depths} for tool in chosen}
    files = {tool.name: [] for tool in chosen}
    for depth in depths:
        command = [DEPTH, str(whole.CPU), ms, str(depth), what]
        for number in range(rounds):
            for tool in chosen:
                print(f"{what}, {depth} frames: round {number + 1} of {rounds}, {tool.name}", file=sys.stderr)
                path = os.path.join(directory, "out")
                try:
                    alone = whole.load(command)
                    with whole.Run(tool, path) as run:
                        under = whole.load(command)
                except whole.Failed as error:
                    print(f"{tool.name}: {error}", file=sys.stderr)
                    continue
                cells[tool.name][depth].append(taken(what, alone, under))
                files[tool.name].append((run.caught.size, run.caught.lost or 0, run.peak))
    for tool in chosen:
        if not files[tool.name]:
            continue
        sizes, losses, peaks = zip(*files[tool.name])
        name = tool.name if tool.peer else f"**{tool.name}**"
        medians = " | ".join(f"{statistics.median(cells[tool.name][depth]):,.0f}" for depth in depths)
        print(f"| {name} | {medians} | {max(sizes) / 1024:,.0f} | {sum(losses):,} | {max(peaks) / (1 << 20):.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each load")
    parser.add_argument("--depths", type=lambda text: [int(part) for part in text.split(",")], default=[20, 60])
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: not root: nothing can be attached")
    build()
    whole.machine()
    with tempfile.TemporaryDirectory(dir=tools.PLACE) as directory:
        for what, title, chosen in (("work", f"a sample, at {HERTZ:,} a second", WORK), ("sleep", "a sleep of 150 us", SLEEP)):
            print(f"\n| {title} | " + " | ".join(f"ns at {depth} frames" for depth in options.depths) + " | largest file KiB | lost | RSS MiB |")
            print("|---|" + "---:|" * (len(options.depths) + 3), flush=True)
            measure(what, chosen, options.depths, options.rounds, str(int(options.seconds * 1000)), directory)


if __name__ == "__main__":
    main()
