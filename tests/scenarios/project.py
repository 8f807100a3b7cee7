"""A project in C that `make` takes a while to build."""

import os

import planting

LINES = "".join(f"\tx = x * {i + 3} + (x >> {i % 31}); if (x & {i + 1}) x ^= table[x % 64];\n" for i in range(60))


def write(files, functions):
    """Writes sources and a Makefile to the work directory, and gives its path."""
    planting.need("make", "cc")
    place = os.path.join(planting.WORK, "project")
    os.mkdir(place)
    objects = " ".join(f"unit{number}.o" for number in range(files))
    with open(f"{place}/Makefile", "w") as makefile:
        makefile.write(f"all: {objects}\n%.o: %.c\n\tcc -O2 -c -o $@ $<\n")
    for number in range(files):
        with open(f"{place}/unit{number}.c", "w") as source:
            source.write("#include <stdint.h>\nextern uint32_t table[64];\n")
            for function in range(functions):
                source.write(f"uint32_t unit{number}_{function}(uint32_t x)\n{{\n{LINES}\treturn x;\n}}\n")
    return place


def built(place):
    """How many files are compiled."""
    return sum(name.endswith(".o") for name in os.listdir(place))
