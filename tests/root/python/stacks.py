"""Says what its own stacks are, and stays in each for a while: on a CPU (`work`) and asleep (`rest`).

Each line of the file that the first argument names is one stack as `sys._getframe` has it: what stands at its end, then
function, file and line from the innermost out.
"""

import asyncio
import ctypes
import functools
import json
import os
import re
import sys
import threading
import time

MILLISECONDS = int(sys.argv[2])
STACKS = open(sys.argv[1], "w", encoding="utf-8")
LOCK = threading.Lock()


def say(name):
    frames, frame = [], sys._getframe(1)
    while frame:
        code = frame.f_code
        frames.append([code.co_qualname, code.co_filename, frame.f_lineno])
        frame = frame.f_back
    with LOCK:
        print(json.dumps([name, frames]), file=STACKS, flush=True)


def stay(name):
    # A function of its own for each name and each way to stay: whichever stack has it must be the one that it was called in.
    text = (
        f"def work_{name}():\n"
        f"    say('work_{name}')\n"
        "    end = time.thread_time_ns() + MILLISECONDS * 1000000\n"
        "    number = 0\n"
        "    while time.thread_time_ns() < end:\n"
        "        for one in range(200):\n"
        "            number += one * one\n"
        f"def rest_{name}():\n"
        f"    say('rest_{name}')\n"
        "    for _ in range(20):\n"
        "        time.sleep(MILLISECONDS / 20000)\n"
        f"def stay_{name}():\n"
        f"    work_{name}()\n"
        f"    rest_{name}()\n"
    )
    exec(compile(text, f"<made {name}>", "exec"), globals())
    return globals().pop(f"stay_{name}")


def recurse(depth):
    if depth:
        recurse(depth - 1)
    else:
        stay("recursion")()


def generate(name, depth):
    if depth:
        yield from generate(name, depth - 1)
    else:
        stay(name)()
    yield depth


def short():
    yield 1


async def wait(depth):
    if depth:
        await wait(depth - 1)
    else:
        await asyncio.sleep(0.001)
        stay("coroutine")()


async def gather():
    await asyncio.gather(wait(3), asyncio.sleep(0.002))


class Thing:
    def __init__(self, what):
        self.what = what
        stay("init")()

    @property
    def length(self):
        stay("property")()
        return 1

    def __enter__(self):
        stay("enter")()

    def __exit__(self, *_):
        stay("exit")()

    def __getattr__(self, name):
        if name == "missing":
            stay("getattr")()
        return 1

    def __del__(self):
        stay("deleted")()

    def __lt__(self, other):
        once("compared")
        return True

    class Inner:
        @staticmethod
        def where():
            return (lambda: stay("лямбда")())()


SEEN = set()


def once(name):
    if name not in SEEN:
        SEEN.add(name)
        stay(name)()
    return 0


def raises():
    try:
        try:
            raise ValueError
        except ValueError:
            stay("handler")()
            raise
    finally:
        stay("finally")()


def callback(first, second):
    return once("native")


def threads():
    def top(name):
        recurse_in_thread(name, 5)

    def recurse_in_thread(name, depth):
        if depth:
            return recurse_in_thread(name, depth - 1)
        return stay(name)()

    names = [f"thread{number}" for number in range(3)]
    running = [threading.Thread(target=top, args=(name,)) for name in names]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def fork():
    child = os.fork()
    if not child:
        stay("forked")()
        os._exit(0)
    os.waitpid(child, 0)


def main():
    fork()
    recurse(30)
    list(generate("generator", 4))
    for again in range(100):
        for _ in generate("iterated", 2) if again == 99 else short():
            pass
    asyncio.run(gather())
    for _ in range(2000):
        # So often that the interpreter adapts to them.
        functools.reduce(lambda one, other: one, (1, 2, 3))
    thing = Thing(1)
    for again in range(200):
        Many(again)
    thing.length
    with thing:
        pass
    thing.missing
    sorted([thing, thing])
    Thing.Inner.where()
    del thing
    sorted([3, 1, 2], key=lambda one: once("key"))
    functools.reduce(lambda one, other: once("reduce"), (1, 2, 3))
    list(map(lambda one: [once("mapped") for _ in (1,)], (1, 2)))
    re.sub("a", lambda _: str(once("substituted")), "aaa")
    json.dumps(object(), default=lambda _: once("default"))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    ctypes.CDLL(None).qsort(numbers, 3, 4, compare(callback))
    try:
        raises()
    except ValueError:
        pass
    exec("class Body:\n    once('body')\n")
    threads()


class Many:
    def __init__(self, number):
        if number == 199:
            stay("adapted")()


# The recorder knows nothing of the program when it begins.
for _ in range(2):
    SEEN.clear()
    main()
