"""What the plants of the scenarios share: programs, control groups, networks, and evidence that the cause really happened.

A plant is a program that talks to `run` in lines. It prints `ready NAME=PID …` when its load runs, waits for a line on stdin, which
comes when the recording has ended, prints `evidence: …` for each fact it checked, and exits with 0. It prints `not planted: …` and exits
with 1 when the cause did not happen, and prints `skip: …` and exits with 77 when the machine lacks something. Whatever it
started or made is gone when it ends.
"""

import atexit
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 16384
MS_PRIVATE = 1 << 18
SKIPPED = 77

# The work directory, which `run` makes on a disk and removes.
WORK = os.environ.get("SCENARIO_WORK", "/nonexistent")
# What is costly to make and the same in several scenarios: kept until `run` ends.
SHARED = os.environ.get("SCENARIO_SHARED", WORK)
HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
SCENARIOS = os.path.dirname(os.path.abspath(__file__))

_undo = contextlib.ExitStack()
_outputs = {}


def _end(*_):
    sys.exit(1)


def _clean_up():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _undo.close()


def _children():
    """Every descendant of this process; with orphans, since this process inherits them."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/stat") as stat:
                    parents[int(entry)] = int(stat.read().rsplit(")", 1)[1].split()[1])
    found, more = set(), {os.getpid()}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return found


def _kill_children():
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        children = _children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not children:
            return
        time.sleep(0.01)


LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
signal.signal(signal.SIGTERM, _end)
signal.signal(signal.SIGINT, _end)
atexit.register(_clean_up)
_undo.callback(_kill_children)


# ---- what the plant says

def skip(reason):
    """Ends the plant: this machine can't have the cause."""
    print(f"skip: {reason}", flush=True)
    sys.exit(SKIPPED)


def need(*commands):
    """Skips the scenario where a command is missing."""
    for command in commands:
        if not shutil.which(command):
            skip(f"no '{command}' here")


def window(**processes):
    """Says that the load runs, and gives the seconds until the recording has ended. `processes` are those that `expected` names."""
    began = time.monotonic()
    names = " ".join(f"{name}={getattr(process, 'pid', process)}" for name, process in processes.items())
    print(f"ready {names}".rstrip(), flush=True)
    sys.stdin.readline()
    return time.monotonic() - began


def evidence(fact, value, at_least=None, at_most=None):
    """A fact that shows the cause, from something that isn't ebrec; the scenario doesn't count without it."""
    shown = f"{value:.3g}" if isinstance(value, float) else value
    bounds = [f"{word} {bound}" for word, bound in (("≥", at_least), ("≤", at_most)) if bound is not None]
    print(f"evidence: {fact}: {shown} (needs {', '.join(bounds)})", flush=True)
    if (at_least is not None and value < at_least) or (at_most is not None and value > at_most):
        print(f"not planted: {fact}: {shown}", flush=True)
        sys.exit(1)


def wait_for(what, check, seconds=10):
    """The first true value of `check`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            print(f"not planted: waited {seconds} s for {what}", flush=True)
            sys.exit(1)
        time.sleep(0.01)
    return found


# ---- programs

def _in_child():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def compile(source, name=None, flags=()):
    """Compiles a C program of this scenario; its command is the file's name."""
    need("cc")
    name = name or os.path.basename(source).removesuffix(".c")
    program = os.path.join(WORK, name)
    words = ["cc", "-O2", "-g", "-pthread", "-D_GNU_SOURCE", "-I", SCENARIOS, "-o", program, os.path.join(HERE, source), *flags]
    built = subprocess.run(words, capture_output=True, text=True)
    if built.returncode:
        skip(f"cc can't compile '{source}': {built.stderr.strip().splitlines()[-1:]}")
    return program


def start(words, group=None, before=None, **options):
    """Starts a program, in a control group if one is given. What it prints is kept for `counts`."""
    def prepare():
        _in_child()
        for joined in group if isinstance(group, (list, tuple)) else [group] if group else []:
            joined.join(os.getpid())
        if before:
            before()
    output = os.path.join(WORK, f"output-{len(_outputs)}")
    with open(output, "wb") as stdout:
        options = {"stdin": subprocess.DEVNULL, "stdout": stdout, "cwd": WORK, **options}
        process = subprocess.Popen([str(word) for word in words], preexec_fn=prepare, **options)
    _outputs[process.pid] = output
    return process


def python(script, *words, **options):
    """Starts a Python script of this scenario with the interpreter that runs the plant."""
    return start([os.path.realpath(sys.executable), os.path.join(HERE, script), *words], **options)


def printed(process):
    """What a process has printed until now."""
    with open(_outputs[process.pid]) as output:
        return output.read()


def counts(process):
    """Ends a process by SIGTERM and gives the `name=value` words of its last line, as numbers."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
    lines = printed(process).strip().splitlines()
    words = [word.partition("=") for word in (lines[-1] if lines else "").split()]
    return {name: float(value) for name, equals, value in words if equals}


def command(process):
    """A process's command, which changes when it runs another program."""
    with open(f"/proc/{process.pid}/comm") as comm:
        return comm.read().strip()


def switches(process):
    """How often a process's children have gone to sleep (voluntary_ctxt_switches)."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        pids = children.read().split()
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            total += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return total


def busy_share(process, since):
    """Seconds of CPU time of a process's threads, and seconds that they waited for a CPU, since an earlier result."""
    ran = waited = 0
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/schedstat") as stat:
            own = stat.read().split()
            ran, waited = ran + int(own[0]) / 1e9, waited + int(own[1]) / 1e9
    return (ran - since[0], waited - since[1]) if since else (ran, waited)


def cold_file(name, mebibytes):
    """A file of the work directory that the page cache doesn't have."""
    path = os.path.join(WORK, name)
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def free_port():
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    """Whether somebody listens on a TCP port, without connecting to it."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as rows:
            for row in rows.readlines()[1:]:
                words = row.split()
                if int(words[1].rsplit(":", 1)[1], 16) == port and words[3] == "0A":
                    return True
    return False


# ---- control groups

class Group:
    """A control group of one controller, of version 1 or 2."""

    def __init__(self, controller, name):
        self.version, root = self._find(controller)
        if self.version == 2:
            with contextlib.suppress(OSError), open(f"{root}/cgroup.subtree_control", "w") as enabled:
                enabled.write("+" + controller.replace("blkio", "io"))
        self.path = f"{root}/ebrec-{name}-{os.getpid()}"
        try:
            os.mkdir(self.path)
        except OSError as error:
            skip(f"can't make a cgroup: {error}")
        _undo.callback(self._remove)

    @staticmethod
    def _find(controller):
        """The version and the mount of the hierarchy that has a controller; version 2 calls `blkio` `io`."""
        with open("/proc/self/mounts") as mounts:
            rows = [row.split() for row in mounts]
        for _, place, kind, options, *_ in rows:
            if kind == "cgroup" and controller in options.split(","):
                return 1, place
            if kind == "cgroup2":
                with contextlib.suppress(OSError), open(f"{place}/cgroup.controllers") as available:
                    if controller.replace("blkio", "io") in available.read().split():
                        return 2, place
        skip(f"no cgroup controller '{controller}' here")

    def _remove(self):
        _kill_children()
        for _ in range(200):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)

    def set(self, v1, v2=None):
        """Writes a file of the group: `(name, value)` for either version; None leaves a version as it is."""
        if chosen := v1 if self.version == 1 else v2:
            name, value = chosen
            try:
                with open(f"{self.path}/{name}", "w") as file:
                    file.write(str(value))
            except OSError as error:
                skip(f"can't set '{name}' of a cgroup: {error}")

    def join(self, pid):
        with open(f"{self.path}/cgroup.procs", "w") as processes:
            processes.write(str(pid))

    def read(self, name):
        with open(f"{self.path}/{name}") as file:
            return file.read()

    def stat(self, name):
        """The numbers of a file of names and values."""
        return {line.split()[0]: int(line.split()[1]) for line in self.read(name).splitlines()}


# ---- networks, mounts, disks

def own_network():
    """Moves this process, and what it starts from now on, into a network of its own, which has a loopback device only."""
    need("ip")
    if LIBC.unshare(CLONE_NEWNET):
        skip(f"can't make a network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def own_mounts():
    """Moves this process, and what it starts from now on, into a mount namespace of its own."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        skip(f"can't make a mount namespace: {os.strerror(ctypes.get_errno())}")


def network_counters():
    """The counters of this process's network: `TcpExtListenOverflows` and the like."""
    counters = {}
    for table in ("/proc/self/net/netstat", "/proc/self/net/snmp"):
        with open(table) as file:
            lines = file.readlines()
        for names, values in zip(lines[::2], lines[1::2]):
            group = names.split(":")[0]
            for name, value in zip(names.split()[1:], values.split()[1:]):
                counters[group + name] = int(value)
    return counters


def vmstat():
    with open("/proc/vmstat") as file:
        return {line.split()[0]: int(line.split()[1]) for line in file}


def loop_disk(mebibytes, mount=True):
    """A disk on a file: its device, and where its ext4 file system is mounted."""
    need("losetup", "mkfs.ext4", "mount")
    image, place = os.path.join(WORK, "disk.img"), os.path.join(WORK, "disk")
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if made.returncode:
        skip(f"no loop device here: {made.stderr.strip()}")
    device = made.stdout.strip()
    _undo.callback(subprocess.run, ["losetup", "--detach", device], stderr=subprocess.DEVNULL)
    if not mount:
        return device, None
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", device], check=True)
    own_mounts()
    os.mkdir(place)
    subprocess.run(["mount", device, place], check=True)
    _undo.callback(_unmount, place)
    return device, place


def _unmount(place):
    _kill_children()
    for _ in range(100):
        if LIBC.umount2(place.encode(), 0) == 0 or ctypes.get_errno() in (errno.EINVAL, errno.ENOENT):
            return
        time.sleep(0.02)


def undo(action, *words):
    """Does something when the plant ends, before what was set up earlier is undone."""
    _undo.callback(action, *words)
