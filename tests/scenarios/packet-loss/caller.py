"""Four connections that ask and wait for the answer, without a pause; says how long the slowest took."""
import signal
import socket
import sys
import threading
import time

times = []


def ask():
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    while True:
        before = time.monotonic()
        connection.sendall(bytes(64))
        connection.recv(64)
        times.append(time.monotonic() - before)
        time.sleep(0.005)


def end(*_):
    print(f"requests={len(times)} worst={max(times, default=0):.3f}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()
while True:
    time.sleep(1000)
