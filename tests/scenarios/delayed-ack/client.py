"""Writes each request in two parts, without TCP_NODELAY: the second part waits for the acknowledgement of the first."""
import signal
import socket
import sys
import time

times = []


def end(*_):
    print(f"requests={len(times)} mean={sum(times) / max(1, len(times)):.4f}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    before = time.monotonic()
    connection.send(bytes(100))
    connection.send(bytes(100))
    connection.recv(100)
    times.append(time.monotonic() - before)
