"""Takes 10 KB of a connection twenty times a second, with a small buffer."""
import socket
import sys
import time

reader = socket.socket()
reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
reader.connect(("127.0.0.1", int(sys.argv[1])))
while True:
    reader.recv(10000)
    time.sleep(0.05)
