"""Takes datagrams with a small buffer, and does something for 2 ms for each."""
import socket
import sys
import time

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
receiver.bind(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    receiver.recv(1500)
    time.sleep(0.002)
