"""Connects and closes first, so that its ports stay in TIME_WAIT; counts connections that got no port."""
import errno
import signal
import socket
import sys
import time

failed = 0
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
    except OSError as error:
        failed += error.errno == errno.EADDRNOTAVAIL
        time.sleep(0.01)
print(f"failed={failed}")
