"""docs/kernels.md: which hooks each kernel has, and what its verifier made of each program."""

import os
import re

HEAD = """# Kernels

Written by `make vm` (tests/vm), with {version}: every probe, on each of these kernels, recorded a workload of known numbers.
"""


class Seen:
    """What `ebrec record -vv` said under one kernel."""

    def __init__(self, release, arch, said):
        self.release, self.arch = release, arch
        self.hooks, self.instructions = [], {}
        with open(os.path.join(os.path.dirname(said), "version")) as version:
            self.version = version.readline().strip()
        for line in open(said):
            if match := re.fullmatch(r"(\w+): attached to (.*)\n", line):
                self.hooks += [(match[1], hook) for hook in match[2].split(", ")]
            elif match := re.fullmatch(r"(\w+/\w+): (\d+) instructions verified\n", line):
                self.instructions[match[1]] = int(match[2])

    def title(self):
        version = re.match(r"\d+\.\d+", self.release)[0]
        flavour = "" if "-cloud-" in self.release else " rt" if "-rt-" in self.release else " generic"
        return f"{version}{flavour}" if self.arch == "x86_64" else f"{version}{flavour} arm64"


def write(path, seen):
    hooks = list(dict.fromkeys(hook for one in reversed(seen) for hook in one.hooks))
    probes = list(dict.fromkeys(probe for probe, _ in hooks))
    hooks.sort(key=lambda hook: probes.index(hook[0]))
    programs = list(dict.fromkeys(name for one in reversed(seen) for name in one.instructions))
    with open(path, "w") as to:
        to.write(HEAD.format(version=", ".join(sorted({one.version for one in seen}))) + "\n")
        to.write("".join(f"- {one.title()}: Debian's {one.release}, {one.arch}\n" for one in seen))
        to.write("\n## Hooks\n\nWhere a hook is not there the probe does without it, and the recording says so.\n\n")
        grid(to, ["probe", "hook"], seen, [([probe, f"`{hook}`"], ["yes" if (probe, hook) in one.hooks else "-" for one in seen]) for probe, hook in hooks])
        to.write("\n## Instructions that the verifier looked at\n\nThe limit is 1,000,000 for each program. Kernels before 5.16 do not tell.\n\n")
        counts = [(name, [one.instructions.get(name, 0) for one in seen]) for name in programs]
        counts.append(("all", [sum(one.instructions.values()) for one in seen]))
        grid(to, ["program"], seen, [([f"`{name}`" if name != "all" else name], [f"{n:,}" if n else "-" for n in row]) for name, row in counts])


def grid(to, first, seen, rows):
    titles = [one.title() for one in seen]
    to.write("| " + " | ".join(first + titles) + " |\n")
    to.write("|" + "---|" * len(first) + "--:|" * len(titles) + "\n")
    for names, cells in rows:
        to.write("| " + " | ".join(names + cells) + " |\n")
