import signal
import sqlite3
import sys
import time

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
database = sqlite3.connect(sys.argv[-1], timeout=30, isolation_level=None)
database.execute("pragma synchronous = off")
began = time.monotonic()
waited = 0
while not ended:
    before = time.monotonic()
    database.execute("begin immediate")
    waited += time.monotonic() - before
    database.execute("update hits set count = count + 1")
    until = time.monotonic() + 0.06
    while time.monotonic() < until:
        pass
    database.execute("commit")
    time.sleep(0.002)
print(f"waited={waited / (time.monotonic() - began):.3f}")
