"""The tools that are measured: how each is started, how one sees that it is live, how it is ended, what it says it caught."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Callable, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
PLACE = os.path.join(TARGET, "bench")
EBREC = os.environ.get("EBREC", os.path.join(TARGET, "release", "ebrec"))
MARKER = os.path.join(PLACE, "marker")
# bpftrace 0.17 looks for tracefs below debugfs, which not every machine mounts: a mount of its own harms nobody.
PRIVATE_DEBUGFS = ["unshare", "-m", "sh", "-c", 'mount -t debugfs none /sys/kernel/debug 2>/dev/null; exec "$@"', "sh"]
MEMLOCK = os.path.join(PLACE, "memlock.so")


@dataclass
class Caught:
    """What a tool says it has: rows (or samples), events lost, bytes in its file."""

    rows: Optional[int] = None
    lost: Optional[int] = None
    size: Optional[int] = None


@dataclass
class Tool:
    """One tool with one job. `command` gets the output file's path; a command with MARKER in it ends when the marker does."""

    name: str
    command: Callable[[str], list]
    needs: str
    live: str = r"^live "
    caught: Callable[[str, str], Caught] = lambda path, text: Caught()
    env: dict = field(default_factory=dict)
    terminal: bool = False
    peer: bool = True

    def lacking(self):
        """Why it can't be measured here, or None."""
        if shutil.which(self.needs):
            return None
        return f"'{self.needs}' is not installed"


def find(*names):
    """The first of several names under which distributions have a program."""
    return next((name for name in names if shutil.which(name)), names[0])


def ebrec(name, probes=None, *events):
    """Without probes it has its default set."""

    def command(path):
        chosen = ["-p", probes] if probes else []
        chosen += [part for event in events for part in ("-e", event)]
        return [EBREC, "record", *chosen, "--system-wide", "--force", "-o", path, "--", MARKER]

    return Tool(name, command, needs=EBREC, caught=ebrec_caught, peer=False)


def number(text):
    return int(text.replace(",", ""))


def ebrec_caught(path, text):
    """From the summary on stderr: "run.parquet: 1.2 MiB, 1,234 rows, 1,200 events in 2.00 s (…), nothing lost"."""
    rows = re.search(r"([\d,]+) rows", text)
    lost = re.search(r"([\d,]+) LOST", text)
    return Caught(number(rows[1]) if rows else None, number(lost[1]) if lost else 0, os.path.getsize(path))


def perf(name, *events):
    def command(path):
        chosen = [part for event in events for part in ("-e", event)]
        return ["perf", "record", "-a", "-o", path, *chosen, "--", MARKER]

    return Tool(name, command, needs="perf", caught=perf_caught)


def perf_caught(path, text):
    stats = subprocess.run(["perf", "report", "--stats", "-i", path], capture_output=True, text=True).stdout
    whole, *by_event = re.split(r"^.* stats:$", stats.partition("Aggregated stats:")[2], flags=re.M)
    rows = re.search(r"SAMPLE events:\s+(\d+)", whole)
    # The number of records in the whole; in each event's own statistics, what those records add up to.
    lost = sum(int(found[1]) for part in by_event for found in re.finditer(r"LOST_SAMPLES events:\s+(\d+)", part))
    return Caught(int(rows[1]) if rows else None, lost, os.path.getsize(path))


def bpftrace(name, program):
    def command(path):
        return [*PRIVATE_DEBUGFS, "bpftrace", "-q", "-e", program, "-c", MARKER]

    env = {"LD_PRELOAD": MEMLOCK}
    return Tool(name, command, needs="bpftrace", env=env)


def bcc(name, program, *arguments):
    """bcc's compiled tools end on Ctrl-C and say on the terminal when they are live."""
    found = find(program, f"bpf-{program}")
    return Tool(name, lambda path: [found, *arguments], needs=found, live=r"Tracing|PCOMM|COMM", terminal=True)


def empty_pair(name, *words):
    """The floor of any tracer of system calls: what the kernel itself asks for being traced."""
    program = os.path.join(PLACE, "empty")
    return Tool(name, lambda path: [program, *words, MARKER], needs=program)


RUNQLAT = """
tracepoint:sched:sched_wakeup , tracepoint:sched:sched_wakeup_new { @q[args->pid] = nsecs; }
tracepoint:sched:sched_switch {
  if (args->prev_state == 0) { @q[args->prev_pid] = nsecs; }
  $since = @q[args->next_pid];
  if ($since) { @us[args->next_pid] = hist((nsecs - $since) / 1000); }
  delete(@q[args->next_pid]);
}"""

EXECSNOOP = """
tracepoint:syscalls:sys_enter_execve { printf("%d ", pid); join(args->argv); }
tracepoint:sched:sched_process_exit { @exits = count(); }"""

SYSCOUNT = """
tracepoint:raw_syscalls:sys_enter { @calls[pid, args->id] = count(); }"""

SYSHIST = """
tracepoint:raw_syscalls:sys_enter { @begin[tid] = nsecs; }
tracepoint:raw_syscalls:sys_exit /@begin[tid]/ {
  @us[pid, args->id] = hist((nsecs - @begin[tid]) / 1000);
  delete(@begin[tid]);
}"""

EMPTY = f"{PLACE}/functions:empty"

CALLS = f"""
uprobe:{EMPTY} {{ @calls[pid] = count(); }}"""

CALL_VALUES = f"""
uprobe:{EMPTY} {{ @values[pid] = hist(arg0); }}"""

CALL_TIMES = f"""
uprobe:{EMPTY} {{ @begin[tid] = nsecs; }}
uretprobe:{EMPTY} /@begin[tid]/ {{
  @ns[pid] = hist(nsecs - @begin[tid]);
  delete(@begin[tid]);
}}"""

POINT = "syscalls:sys_enter_getppid"

POINTS = f"""
tracepoint:{POINT} {{ @hits[pid] = count(); }}"""

POINT_ROWS = f"""
tracepoint:{POINT} {{ printf("%llu %d %d %s %d\\n", nsecs, pid, tid, comm, args->__syscall_nr); }}"""

# What the load `syscalls` calls, and with a pattern one more like it.
CALL = {"x86_64": "__do_sys_", "aarch64": "__arm64_sys_"}.get(platform.machine(), "sys_") + "getppid"
CALL_AND_MORE = CALL.replace("ppid", "p*id")

KERNEL_CALLS = f"""
kprobe:{CALL} {{ @calls[pid] = count(); }}"""

KERNEL_TYPED = f"""
kfunc:{CALL} {{ @calls[pid] = count(); }}"""

KERNEL_SEVERAL = f"""
kprobe:{CALL_AND_MORE} {{ @calls[pid, func] = count(); }}"""

KERNEL_TIMES = f"""
kprobe:{CALL} {{ @begin[tid] = nsecs; }}
kretprobe:{CALL} /@begin[tid]/ {{
  @ns[pid] = hist(nsecs - @begin[tid]);
  delete(@begin[tid]);
}}"""
