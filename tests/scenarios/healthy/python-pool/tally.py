"""Computes for 50 ms, notes that in a pool of four threads, and pauses for 50 ms; prints the number of rounds at its end."""

import concurrent.futures
import os
import signal
import time

rounds = 0


def note():
    global rounds
    rounds += 1


def end(*_):
    print(f"rounds={rounds}", flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
pool = concurrent.futures.ThreadPoolExecutor(4)
for _ in range(4):
    pool.submit(time.sleep, 0.2)
while True:
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    pool.submit(note)
    time.sleep(0.05)
