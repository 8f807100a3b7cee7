"""What must be in the recording of `work`: its own numbers, which are not ours."""

import csv
import io
import os
import subprocess

# What ebrec says of fentry and fexit where the kernel has none.
NO_TRAMPOLINES = "trampoline"


def all(reader, got):
    """(check, what is wrong or None) for a recording; `reader` is an ebrec that runs here."""

    def rows(view, table=None, of="run"):
        path = os.path.join(got, of + ".parquet")
        words = [reader, "report", view, "--format", "csv", "--top", "0", path] + (["--table", table] if table else [])
        said = subprocess.run(words, capture_output=True, text=True)
        if said.returncode:
            raise RuntimeError(said.stderr.strip())
        return list(csv.DictReader(io.StringIO(said.stdout)))

    def total(view, column, table=None, **wanted):
        return sum(int(row[column] or 0) for row in rows(view, table) if matches(row, wanted))

    def equal(what, expected):
        # What was lost is counted: with it, it must be enough.
        lost = sum(int(row["lost"]) for row in rows("losses"))
        return lambda: None if expected - lost <= what() <= expected else f"{what()}, not {expected} (lost: {lost})"

    def at_least(what, expected):
        return lambda: None if what() >= expected else f"{what()}, less than {expected}"

    def empty(name):
        text = open(os.path.join(got, name)).read()
        return lambda: text.strip() or None

    def everything_ran():
        said = open(os.path.join(got, "said")).read()
        left_out = [line for line in said.splitlines() if "left out" in line]
        return "; ".join(left_out) or None

    def nothing_lost():
        # In 7.3 bpf_trace_run2() no longer keeps preemption off, only the thread on its CPU: a program may be preempted where its trace
        # point can, and the kernel leaves it out for whoever comes there meanwhile.
        lost = [row for row in rows("losses") if int(row["lost"]) and not row["cause"].endswith("interrupted itself")]
        return f"lost: {lost}" if lost else None

    def hits(of, *sorts):
        """Each of these events is hit by every process that ended."""
        counted = {}
        for row in rows("events", of=of):
            # An event is called by its text, with its filter.
            name = row["name"].split("/")[0]
            at = name, row["function"] or name.rsplit(":", 1)[1]
            counted[at] = counted.get(at, 0) + int(row["count"])
        wrong = {sort: counted.get(sort) for sort in sorts if counted.get(sort) != 50}
        return f"not 50: {wrong} of {counted}" if wrong else None

    def by_trampoline():
        if open(os.path.join(got, "typed.status")).read().strip() == "0":
            return hits("typed", ("fentry:exit_files", "exit_files"), ("fexit:exit_files", "exit_files"))
        said = open(os.path.join(got, "typed.said")).read()
        return None if NO_TRAMPOLINES in said else said.strip()

    def is_before_5_15():
        version = open(os.path.join(got, "kernel")).read().split(".")
        return (int(version[0]), int(version[1])) < (5, 15)

    def by_kprobe():
        names = ["kprobe:exit_files", "kretprobe:exit_files", "latency:exit_files", "rawtp:sched_process_exit"]
        sorts = [(name, name.split(":")[1]) for name in names] + [("tracepoint:sched:sched_process_exit", "sched_process_exit")]
        # Before 5.15 an attachment has no cookie, which tells of which function a hit is.
        several = [("kprobe:exit_f*s", "exit_files"), ("kprobe:exit_f*s", "exit_fs")]
        return hits("events", *sorts, *([] if is_before_5_15() else several))

    client = dict(side="client", method="GET", status="200")
    server = dict(client, side="server")
    for check, problem in (
        ("every probe is attached", everything_ran),
        ("the kernel complains of nothing", empty("complaints")),
        ("nothing is lost but by preemption", nothing_lost),
        ("programs that ran are counted", equal(lambda: len([r for r in rows("exec") if r["filename"] == "/bin/true"]), 50)),
        ("the shell's waits for them have their cause", at_least(lambda: total("threads", "count", "states", comm="sh", cause="child"), 50)),
        ("writes to a file are counted", equal(lambda: total("files", "count", op="write", mount="/disk"), 100)),
        ("their bytes are counted", equal(lambda: total("files", "moved_bytes", op="write", mount="/disk"), 409600)),
        ("syncs are counted", equal(lambda: total("files", "count", op="fsync", mount="/disk"), 1)),
        ("the disk wrote them", at_least(lambda: total("block", "bytes", dev="vda", op="write"), 409600)),
        ("requests of clients are counted", equal(lambda: total("http", "count", **client), 10)),
        ("requests of servers are counted", equal(lambda: total("http", "count", **server), 10)),
        ("connections are counted", equal(lambda: total("tcp", "connections", side="connect", port="8080"), 10)),
        ("a process that a signal ended is told", equal(lambda: len([r for r in rows("signals") if r["name"] == "SIGTERM"]), 1)),
        ("system calls are counted", at_least(lambda: total("syscalls", "count", name="execve"), 50)),
        ("sleeps have their length", at_least(lambda: total("offcpu", "sum_ns", state="sleeping"), 300_000_000)),
        ("sleeps have their system call", at_least(lambda: total("offcpu", "count", state="sleeping", name="wait4"), 50)),
        ("samples have functions", at_least(lambda: len(rows("cpu")), 10)),
        ("events of each sort are hit as often as processes end", by_kprobe),
        ("events by a trampoline are, too, or are refused", by_trampoline),
        ("interrupts are counted", at_least(lambda: len(rows("irq")), 1)),
    ):
        try:
            yield check, problem()
        except (RuntimeError, KeyError, OSError, ValueError) as error:
            yield check, repr(error)


def matches(row, wanted):
    return not any(row[name] != value for name, value in wanted.items())
