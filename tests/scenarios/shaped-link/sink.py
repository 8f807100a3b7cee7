"""Takes what comes at once; says what share of its time it waited in recv, by its own clock."""
import signal
import socket
import sys
import time

waited = 0.0


def end(*_):
    print(f"share={waited / (time.monotonic() - began):.3f}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection, _ = listener.accept()
began = time.monotonic()
connection.recv(65536)
print("began", flush=True)
while True:
    before = time.monotonic()
    connection.recv(65536)
    waited += time.monotonic() - before
