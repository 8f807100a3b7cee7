"""Twenty connections that ask for a page twenty times a second each, in turn; says how many answers they got.

One thread does it all: twenty that wake at the same time would wait for one another, for the interpreter's lock.
"""
import http.client
import itertools
import signal
import sys
import time

answers = 0


def end(*_):
    print(f"answers={answers}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
connections = [http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])) for _ in range(20)]
for connection in itertools.cycle(connections):
    connection.request("GET", "/")
    connection.getresponse().read()
    answers += 1
    time.sleep(0.05 / len(connections))
