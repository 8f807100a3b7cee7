"""Archives as the kernel unpacks them at boot: Documentation/driver-api/early-userspace/buffer-format.rst, "newc"."""

import os


class Archive:
    def __init__(self, to):
        self.to = to
        self.number = 0

    def entry(self, name, mode, body=b""):
        self.number += 1
        path = name.encode() + b"\0"
        numbers = (self.number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path), 0)
        self.to.write(b"070701" + b"".join(b"%08X" % number for number in numbers) + path)
        self.to.write(b"\0" * (-(110 + len(path)) % 4) + body + b"\0" * (-len(body) % 4))

    def directory(self, name):
        self.entry(name, 0o40755)

    def file(self, name, body, mode=0o644):
        self.entry(name, 0o100000 | mode, body)

    def tree(self, name, path):
        """A directory of this machine, links followed."""
        self.directory(name)
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if entry.is_dir():
                self.tree(f"{name}/{entry.name}", entry.path)
            elif entry.is_file():
                with open(entry.path, "rb") as file:
                    self.file(f"{name}/{entry.name}", file.read(), 0o755 if os.access(entry.path, os.X_OK) else 0o644)

    def end(self):
        self.entry("TRAILER!!!", 0)
        self.to.write(b"\0" * (-self.to.tell() % 512))
