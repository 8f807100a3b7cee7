"""Connects to a port of this machine forty times a second, and counts refusals."""
import signal
import socket
import sys
import time

refused = 0
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
    except ConnectionRefusedError:
        refused += 1
    time.sleep(0.025)
print(f"refused={refused}")
