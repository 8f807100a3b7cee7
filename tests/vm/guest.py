"""One command under another kernel, in QEMU."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

import cpio
from kernels import Unavailable

INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "init")
TIMED_OUT = 124
NOT_BOOTED = 125
# QEMU's own, gone since 8.0, and the one that came after it.
SERVERS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")


class Guest:
    """What a guest is made of. `share`: it sees this machine's files, and what it writes stays its own."""

    def __init__(self, kernel, arch, busybox, share=False, payload=None, memory=2048, cpus=2, seconds=120, disk=1024, qemu=(), console=False):
        self.kernel, self.arch, self.busybox, self.share, self.payload = kernel, arch, busybox, share, payload
        self.memory, self.cpus, self.seconds, self.disk, self.qemu = memory, cpus, seconds, disk, list(qemu)
        self.console = console

    def release(self):
        return open(f"{self.kernel}/release").read().strip()

    def need(self):
        """Says what is missing to run it."""
        if not shutil.which(f"qemu-system-{self.arch}"):
            raise Unavailable(f"no qemu-system-{self.arch} here")

    def run(self, command, out=None, said=None):
        """The command's exit status; what it says goes to `said` (standard output), what it leaves in /out to the directory `out`."""
        with tempfile.TemporaryDirectory(prefix="ebrec-vm-") as work:
            self.initrd(f"{work}/initrd", command)
            for name in ("said", "out", "status", "console"):
                open(f"{work}/{name}", "w").close()
            with open(f"{work}/disk", "w") as disk:
                disk.truncate(self.disk << 20)
            format_disk(f"{work}/disk")
            with open(f"{work}/qemu", "w") as complaints:
                helper = self.serve_files(work, complaints)
                qemu = subprocess.Popen(self.command(work), stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints)
            try:
                timed_out = follow(qemu, f"{work}/said", said or sys.stdout.buffer, self.seconds)
            finally:
                for process in (qemu, helper):
                    if process and process.poll() is None:
                        process.send_signal(signal.SIGTERM)
                        process.wait()
            status = open(f"{work}/status").read().strip()
            if out and os.path.getsize(f"{work}/out"):
                os.makedirs(out, exist_ok=True)
                with tarfile.open(f"{work}/out") as archive:
                    archive.extractall(out)
            if self.console:
                sys.stderr.write(open(f"{work}/console", errors="replace").read())
            if status.isdigit():
                return int(status)
            why = f"no answer after {self.seconds} s" if timed_out else "the guest ended without a status"
            tail = open(f"{work}/qemu").read() + open(f"{work}/console", errors="replace").read()
            print(f"vm: {why}\n" + "\n".join(tail.splitlines()[-30:]), file=sys.stderr)
            return TIMED_OUT if timed_out else NOT_BOOTED

    def initrd(self, path, command):
        with open(path, "wb") as to:
            archive = cpio.Archive(to)
            for name in "bin sbin usr usr/bin usr/sbin proc sys dev tmp run etc payload out disk root boot".split():
                archive.directory(name)
            with open(self.busybox, "rb") as file:
                archive.file("bin/busybox", file.read(), 0o755)
            with open(INIT, "rb") as file:
                archive.file("init", file.read(), 0o755)
            archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
            archive.file("etc/group", b"root:x:0:\n")
            archive.file("etc/hosts", b"127.0.0.1 localhost\n")
            with open(f"{self.kernel}/config", "rb") as file:
                archive.file(f"boot/config-{self.release()}", file.read())
            archive.file("shared", self.sharing().encode())
            words = command[0] if len(command) == 1 else shlex.join(command)
            where = f"cd {shlex.quote(os.getcwd())}\n" if self.share else ""
            archive.file("command", f"{where}{words}\n".encode())
            if self.payload:
                archive.tree("payload", self.payload)
            archive.end()
            with open(f"{self.kernel}/modules.cpio", "rb") as modules:
                shutil.copyfileobj(modules, to)

    def command(self, work):
        # TCG, with one thread for all CPUs: KVM is seldom there on test machines, and TCG's threads are not stable on every QEMU.
        machine, console, tcg = ["-cpu", "max,la57=off"], "ttyS0", "tsc=nowatchdog no_timer_check"
        if self.arch == "aarch64":
            machine, console, tcg = ["-machine", "virt,gic-version=3", "-cpu", "cortex-a72"], "ttyAMA0", ""
        words = [f"qemu-system-{self.arch}", *machine, "-accel", "tcg,thread=single", "-m", str(self.memory), "-smp", str(self.cpus)]
        words += ["-nodefaults", "-display", "none", "-no-reboot", "-kernel", f"{self.kernel}/kernel", "-initrd", f"{work}/initrd"]
        words += ["-append", f"console={console} panic=-1 quiet mitigations=off nokaslr {tcg}"]
        words += ["-serial", f"file:{work}/console", "-device", "virtio-serial-pci"]
        for name in ("said", "out", "status"):
            words += ["-chardev", f"file,id={name},path={work}/{name}", "-device", f"virtserialport,chardev={name},name={name}"]
        words += ["-drive", f"file={work}/disk,format=raw,if=none,id=disk,cache=unsafe", "-device", "virtio-blk-pci,drive=disk"]
        if self.share:
            words += {
                "9p": ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"],
                "virtiofs": [
                    "-object", f"memory-backend-memfd,id=memory,size={self.memory}M,share=on", "-numa", "node,memdev=memory",
                    "-chardev", f"socket,id=files,path={work}/files", "-device", "vhost-user-fs-pci,chardev=files,tag=host",
                ],
            }[self.sharing()]
        return words + self.qemu

    def sharing(self):
        """How the guest sees this machine's files: some kernels have the one, some the other."""
        if not self.share:
            return ""
        with open(f"{self.kernel}/modules.cpio", "rb") as modules:
            return "9p" if b"modules/9pnet_virtio.ko\0" in modules.read() else "virtiofs"

    def serve_files(self, work, complaints):
        if self.sharing() != "virtiofs":
            return None
        server = next((path for path in SERVERS if os.path.exists(path)), None)
        if not server:
            raise Unavailable("this kernel has no 9p, and virtiofsd is not here")
        options = ["-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always"]
        if server != SERVERS[0]:
            options = ["--shared-dir=/", "--sandbox=chroot", "--cache=always"]
        words = [server, f"--socket-path={work}/files", *options]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints)
        end = time.monotonic() + 10
        while not os.path.exists(f"{work}/files") and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        return process


def format_disk(path):
    tool = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    subprocess.check_call([tool, "-q", "-F", "-t", "ext4", "-O", "^has_journal", path])


def follow(qemu, path, to, seconds):
    """Copies what the guest says until it ends or the time is over; whether it is."""
    end = time.monotonic() + seconds
    with open(path, "rb") as said:
        while True:
            running, late = qemu.poll() is None, time.monotonic() > end
            to.write(said.read())
            to.flush()
            if late or not running:
                return late and running
            time.sleep(0.05)
