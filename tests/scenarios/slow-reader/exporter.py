"""Sends as fast as the connection takes it; says what share of its time it was blocked in send by its own clock."""
import signal
import socket
import sys
import time

blocked, began = 0, time.monotonic()


def end(*_):
    print(f"share={blocked / (time.monotonic() - began):.3f}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
connection, _ = listener.accept()
while True:
    before = time.monotonic()
    connection.send(bytes(4096))
    blocked += time.monotonic() - before
