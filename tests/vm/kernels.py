"""Kernels of the distribution, as QEMU wants them.

`Kernels(dir).get("6.1", "x86_64")` gives a directory with the kernel's image and the modules that a guest needs. A series alone is
Debian's kernel for clouds, which is the smallest; "6.1-rt" is the one with PREEMPT_RT, "6.1-generic" the one for any machine. Packages come from
the Debian mirror of this machine's own apt sources, by an apt state of their own below `dir`: the machine's apt is not touched, and
root is not needed. What was got once is kept.
"""

import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib

import cpio

# What stands in a package's name between the version and the architecture.
FLAVOURS = {"cloud": "-cloud", "rt": "-rt", "generic": ""}
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# In the order in which they are loaded, after what they depend on.
MODULES = """virtio_pci virtio_console virtio_blk 9p 9pnet_virtio virtiofs overlay ext4 crc32c_generic veth dummy tun sch_netem sch_ingress loop
null_blk ipv6 af_packet tcp_diag""".split()
# Lists of packages are asked for anew after a day.
LISTS_SECONDS = 24 * 3600


class Unavailable(Exception):
    """A kernel can't be had here; says why."""


class Kernels:
    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.apt = os.path.join(self.directory, "apt")

    def get(self, series, arch):
        """The directory of the newest kernel of a series: `kernel`, `modules.cpio`, `release`, `config`."""
        packages = self.packages(series, arch)
        name = os.path.basename(packages[0]).split("_")[0].removeprefix("linux-image-").removeprefix("linux-binary-")
        ready = os.path.join(self.directory, "kernels", name)
        if not is_ready(ready):
            unpack(packages, ready)
        return ready

    def busybox(self, arch):
        """A static busybox, for the guest's first steps."""
        here = shutil.which("busybox")
        if arch == "x86_64" and here and "statically" in said("file", "-L", here):
            return here
        to = os.path.join(self.directory, f"busybox-{arch}")
        if not os.path.exists(to):
            package = self.download("busybox-static", DEBIAN[arch])
            if not package:
                raise Unavailable(f"no package busybox-static for {arch}")
            with tempfile.TemporaryDirectory(dir=self.directory) as out:
                subprocess.check_call(["dpkg-deb", "-x", package, out])
                found = glob.glob(out + "/**/bin/busybox", recursive=True)
                shutil.copy(found[0], to)
        return to

    def packages(self, series, arch):
        """The package files of the newest kernel of a series that can be had whole."""
        self.prepare()
        debian = DEBIAN[arch]
        series, _, flavour = series.partition("-")
        flavour = flavour or "cloud"
        if flavour not in FLAVOURS:
            raise Unavailable(f"no such kernels as '{flavour}': {', '.join(FLAVOURS)}")
        wanted = "" if series == "newest" else series + "."
        names = said("apt-cache", "pkgnames", "linux-image-" + wanted, env=self.env()).split()
        shape = re.compile(r"linux-image-(\d+)\.(\d+)\.(\d+)[^-]*(?:-\d+)?" + FLAVOURS[flavour] + f"-{debian}(:{debian})?")
        found = {}
        for name in names:
            match = shape.fullmatch(name)
            if match and "unsigned" not in name:
                version = [int(number) for number in match.groups()[:3]]
                found[name.split(":")[0]] = version + [int(number) for number in re.findall(r"\d+", name)]
        for name in sorted(found, key=found.get, reverse=True):
            packages = self.whole(name, debian)
            if packages:
                return packages
        raise Unavailable(f"the mirror has no {flavour} kernel {series} for {debian}")

    def whole(self, name, debian):
        """Since 6.19 a kernel is three packages; mirrors drop some before the others."""
        shown = said("apt-cache", "show", f"{name}:{debian}", env=self.env())
        if not re.search(r"^Depends:.*linux-binary-", shown, re.M):
            package = self.download(name, debian)
            return [package] if package else None
        parts = [self.download(name.replace("linux-image-", f"linux-{part}-"), debian) for part in ("binary", "modules", "base")]
        return [part for part in parts if part] if parts[0] and parts[1] else None

    def download(self, name, debian):
        """The package's file, or None."""
        to = os.path.join(self.directory, "packages")
        os.makedirs(to, exist_ok=True)
        kept = glob.glob(f"{to}/{name}_*_{debian}.deb")
        if not kept:
            subprocess.run(["apt-get", "-qq", "download", f"{name}:{debian}"], cwd=to, env=self.env(), capture_output=True)
            kept = glob.glob(f"{to}/{name}_*_{debian}.deb")
        return kept[0] if kept else None

    def env(self):
        return dict(os.environ, APT_CONFIG=os.path.join(self.apt, "apt.conf"), LC_ALL="C")

    def prepare(self):
        """The apt state, with lists of this day."""
        if not shutil.which("apt-get") or not os.path.exists(KEYRING):
            raise Unavailable("kernels come as Debian's packages, and apt-get or Debian's keys are not here")
        mirror = os.environ.get("EBREC_VM_MIRROR") or debian_mirror()
        if not mirror:
            raise Unavailable("no Debian mirror in this machine's apt sources; EBREC_VM_MIRROR names one")
        for part in ("lists/partial", "cache/archives/partial", "state"):
            os.makedirs(os.path.join(self.apt, part), exist_ok=True)
        open(os.path.join(self.apt, "state/status"), "a").close()
        both, arm = f"signed-by={KEYRING} arch=amd64,arm64", f"signed-by={KEYRING} arch=arm64"
        sources = "".join(f"deb [{options}] {mirror}/{suite} main\n" for options, suite in (
            (both, "debian-security bullseye-security"),
            (both, "debian-security bookworm-security"),
            (both, "debian-security trixie-security"),
            (both, "debian trixie-backports"),
            # Only for a busybox.
            (arm, "debian bookworm"),
        ))
        config = f"""Dir::State "{self.apt}"; Dir::State::Lists "{self.apt}/lists"; Dir::State::status "{self.apt}/state/status";
Dir::Cache "{self.apt}/cache"; Dir::Etc::sourcelist "{self.apt}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null"; APT::Architecture "amd64"; APT::Architectures {{ "amd64"; "arm64"; }};
Acquire::Languages "none"; APT::Sandbox::User "root";
"""
        with open(os.path.join(self.apt, "apt.conf"), "w") as file:
            file.write(config)
        listed = os.path.join(self.apt, "sources.list")
        stamp = os.path.join(self.apt, "updated")
        same = os.path.exists(listed) and open(listed).read() == sources
        if same and os.path.exists(stamp) and os.path.getmtime(stamp) + LISTS_SECONDS > os.path.getmtime(touch(self.apt + "/now")):
            return
        with open(listed, "w") as file:
            file.write(sources)
        if subprocess.run(["apt-get", "-qq", "update"], env=self.env(), capture_output=True).returncode == 0:
            touch(stamp)


def touch(path):
    with open(path, "a"):
        os.utime(path)
    return path


def said(*command, env=None):
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def debian_mirror():
    """The host part of the first Debian archive that this machine's apt knows."""
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*")) + ["/etc/apt/sources.list"]:
        if os.path.exists(path):
            match = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(https?://\S+?)/debian/?(?:\s|$)", open(path).read(), re.M)
            if match:
                return match[1]
    return None


def inflate(data):
    """What a kernel or a module is packed with."""
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    for magic, tool in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4")):
        if data[:4] == magic:
            if not shutil.which(tool):
                raise Unavailable(f"no {tool} here, with which this kernel is packed")
            return subprocess.run([tool, "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    return data


def image(data):
    """What QEMU starts soonest: the unpacked ELF file on x86_64 (by its PVH note), the unpacked image on aarch64."""
    if data[0x202:0x206] == b"HdrS":  # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length
        start = ((data[0x1F1] or 4) + 1) * 512
        offset, length = struct.unpack_from("<II", data, 0x248)
        # The last four bytes are the length when unpacked, which is gzip's own end too.
        end = start + offset + length
        gzip = data[start + offset : start + offset + 2] == b"\x1f\x8b"
        return inflate(data[start + offset : end if gzip else end - 4])
    if data[4:8] == b"zimg":  # include/linux/pe.h: an EFI image that unpacks itself
        offset, length = struct.unpack_from("<II", data, 8)
        return inflate(data[offset : offset + length])
    return inflate(data)


def is_ready(ready):
    """Whether a kernel was unpacked there, with the modules that are asked for now."""
    try:
        with open(f"{ready}/asked") as asked:
            return asked.read().split() == MODULES
    except OSError:
        return False


def unpack(packages, ready):
    os.makedirs(os.path.dirname(ready), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(ready)) as out:
        for package in packages:
            subprocess.check_call(["dpkg-deb", "-x", package, out])
        def find(*patterns):
            return [path for pattern in patterns for path in sorted(glob.glob(out + pattern, recursive=True))]
        kernel = find("/boot/vmlinu[xz]-*", "/**/lib/modules/*/vmlinuz")[0]
        release = re.search(r"(?:vmlinu[xz]-|/modules/)([^/]+)", kernel)[1]
        os.makedirs(ready, exist_ok=True)
        with open(kernel, "rb") as file, open(f"{ready}/kernel", "wb") as to:
            to.write(image(file.read()))
        for config in find("/boot/config-*", "/**/lib/modules/*/config")[:1]:
            shutil.copy(config, f"{ready}/config")
        there = {}
        for path in find("/**/*.ko", "/**/*.ko.*"):
            there[re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(path)).replace("-", "_")] = path
        loaded = {}

        def load(name):
            name = name.replace("-", "_")
            if name in loaded or name not in there:
                return
            with open(there[name], "rb") as file:
                module = inflate(file.read())
            before = re.search(rb"\0depends=([^\0]*)\0", module)
            wanted = before[1].decode().split(",") if before else []
            for soft in re.findall(rb"\0softdep=pre: ([^\0]*)\0", module):
                wanted += soft.decode().split()
            for one in wanted:
                load(one)
            loaded[name] = module

        for name in MODULES:
            load(name)
        with open(f"{ready}/modules.cpio", "wb") as to:
            archive = cpio.Archive(to)
            archive.directory("modules")
            for name, module in loaded.items():
                archive.file(f"modules/{name}.ko", module)
            archive.file("modules/order", "".join(f"{name}\n" for name in loaded).encode())
            archive.end()
        with open(f"{ready}/release", "w") as to:
            to.write(release + "\n")
        # Last: it says that the rest is there, and for which modules.
        with open(f"{ready}/asked", "w") as to:
            to.write(" ".join(MODULES) + "\n")
