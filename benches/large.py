#!/usr/bin/env python3
"""What reading a large recording costs, beside DuckDB with the same questions. As root, unless a recording is given.

    benches/large.py [--seconds S] [--rounds N] [--only WORD] [FILE]

Without FILE it records a storm of system calls for so many seconds, every call as a row, and keeps the recording in
target/bench/large.parquet. DuckDB is its Python package (`pip install duckdb`); only the time of its query counts, not that of
starting Python and importing it, while ebrec's is that of the whole process. Both have all CPUs. Each row is the median of
N rounds, ebrec and DuckDB in turns. Bytes are those that the process asked the kernel for.

Exit status 1 where the answers differ, or a view takes more than 256 MiB.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import namedtuple

from tools import EBREC, PLACE, ROOT

MOST_MIB = 256
Run = namedtuple("Run", "seconds mib read text")

# What the views `slow` and `syscalls` say of single calls, and other questions whose rows are many.
SLOW = """
select count(*) filter (syscall_class is distinct from 'wait'), count(*) filter (syscall_class = 'wait')
from '{file}' where kind = 'syscall' and dur_ns >= {slow_ns};
select dur_ns, tid, name, comm, cpu, ret, kstack_id, ustack_id
from '{file}' where kind = 'syscall' and dur_ns >= {slow_ns} and syscall_class is distinct from 'wait'
order by dur_ns desc limit 10"""
SLOW_PID = SLOW.replace("where kind", "where pid = {pid} and kind")
SYSCALLS = """
select count(*) filter (syscall_class is distinct from 'wait') from '{file}' where kind = 'syscall';
select name, coalesce(syscall_class, '') = 'wait', sum("count")
from '{file}' where kind = 'metric' and metric = 'syscall.latency' group by 1, 2;
select dur_ns, tid, name, comm, ret from '{file}'
where kind = 'syscall' and syscall_class is distinct from 'wait' order by dur_ns desc limit 20"""

# What the file says of itself, and the process with most calls.
FACTS = """
select decode(value) from parquet_kv_metadata('{file}') where decode(key) = 'ebrec.probes';
select pid, count(*), sum(count(*)) over () from '{file}' where kind = 'syscall' group by pid order by 2 desc limit 1"""

DUCKDB = """
import json, sys, time
import duckdb
begin = time.perf_counter()
connection = duckdb.connect()
answers = [connection.execute(query).fetchall() for query in sys.argv[1].split(";")]
print(json.dumps([time.perf_counter() - begin, answers], default=str))
"""


def run(command):
    """Runs it, and asks the kernel what it took; of a process that ended and was not waited for, /proc still says what it read."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text = child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.perf_counter() - begin
    with open(f"/proc/{child.pid}/io") as io:
        read = int(io.readline().split()[1])
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)}: status {child.returncode}: {errors.strip()}")
    return Run(seconds, usage.ru_maxrss / 1024, read, text)


def median(runs):
    return Run(statistics.median(run.seconds for run in runs), max(run.mib for run in runs), runs[-1].read, runs[-1].text)


def record(path, seconds):
    """Every call of processes that do nothing else, one for each CPU."""
    os.makedirs(PLACE, exist_ok=True)
    load = os.path.join(PLACE, "syscalls")
    subprocess.run(["cc", "-O2", "-o", load, os.path.join(ROOT, "benches/load/syscalls.c")], check=True)
    storm = [[load, str(cpu), str(seconds * 1000)] for cpu in os.sched_getaffinity(0)]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in storm]
    command = [EBREC, "record", "-p", "syscall:raw", "-d", f"{seconds}s", "--buffer", "256MiB", "--force", "-o", path]
    subprocess.run(command, check=True)
    for child in children:
        child.wait()


def ask(name, arguments, query, check, path, plan):
    """Measures one view beside its equal in SQL; returns what is wrong."""
    ours, theirs = [], []
    for _ in range(plan.rounds):
        ours.append(run([EBREC, "report", *arguments, path]))
        theirs.append(run([plan.python, "-c", DUCKDB, query]))
    own, other = median(ours), median(theirs)
    seconds = statistics.median(json.loads(run.text)[0] for run in theirs)
    print(f"{name:30} {own.seconds:8.2f} {seconds:8.2f} {own.mib:8.0f} {other.mib:8.0f} {own.read >> 20:8} {other.read >> 20:8}")
    return check(json.loads(own.text), json.loads(other.text)[1])


def differ(what, own, other):
    return [] if own == other else [f"{what}: {str(own)[:200]} and {str(other)[:200]}"]


def check_slow(own, other):
    """The longest calls, and how many are slow and how many idle by the notes."""
    slow, idle = other[0][0]
    notes = " ".join(own["notes"])
    wrong = [] if f"{slow:,} events at" in notes else [f"{slow:,} slow calls are not in '{notes}'"]
    if idle and f"{idle:,} more events are idle" not in notes:
        wrong.append(f"{idle:,} idle calls are not in '{notes}'")
    return wrong + differ("slowest", [row["dur_ns"] for row in own["tables"]["events"]], [row[0] for row in other[1]])


def check_syscalls(own, other):
    """The number of each call that is shown, the longest of them, and how many there are beside those."""
    tables = own["tables"]
    counts = {(name, waits): count for name, waits, count in other[1]}
    wrong = [] if tables["calls"] else ["no calls are shown"]
    for row in tables["calls"]:
        wrong += differ(row["name"], row["count"], counts.get((row["name"], row["class"] == "wait")))
    slowest = tables["slowest"]
    wrong += differ("slowest", [row["dur_ns"] for row in slowest], [row[0] for row in other[2]])
    return wrong + differ("calls of which each is a row", len(slowest) + own["omitted"].get("slowest", 0), other[0][0][0])


def views():
    """The names of all views, by the help."""
    text = run([EBREC, "report", "--help"]).text
    return re.findall(r"^  ([a-z]+)  ", text.partition("\nViews:\n")[2].partition("\n\n")[0], re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--python", default=sys.executable, help="a Python that has DuckDB")
    parser.add_argument("file", nargs="?")
    plan = parser.parse_args()
    path = plan.file or os.path.join(PLACE, "large.parquet")
    if not os.path.exists(path):
        record(path, plan.seconds)
    answers = run([plan.python, "-c", DUCKDB, FACTS.format(file=path)]).text
    ((probes,),), ((pid, _, calls),) = json.loads(answers)[1]
    settings = next(probe["settings"] for probe in json.loads(probes) if probe["name"] == "syscall")
    facts = {"file": path, "slow_ns": settings["slow_ns"], "pid": pid}
    print(f"{path}: {int(calls):,} calls in {os.path.getsize(path) / 2**20:.0f} MiB; medians of {plan.rounds}")
    print(f"{'':30} {'s':>17} {'MiB of memory':>17} {'MiB read':>17}")
    print(f"{'':30} " + f"{'ebrec':>8} {'DuckDB':>8} " * 3)
    wrong = []
    for name, arguments, query, check in [
        ("slow", ["slow", "--format", "json"], SLOW, check_slow),
        ("slow --pid", ["slow", "--format", "json", "--pid", str(pid)], SLOW_PID, check_slow),
        ("syscalls --top 20", ["syscalls", "--format", "json", "--top", "20"], SYSCALLS, check_syscalls),
    ]:
        if plan.only in name:
            found = ask(name, arguments, query.format(**facts), check, path, plan)
            wrong += [f"{name}: {one}" for one in found]
    for view in views():
        if plan.only in view:
            own = median([run([EBREC, "report", view, path]) for _ in range(plan.rounds)])
            print(f"{view:30} {own.seconds:8.2f} {'':8} {own.mib:8.0f} {'':8} {own.read >> 20:8}")
            if own.mib > MOST_MIB:
                wrong.append(f"{view}: {own.mib:.0f} MiB")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
