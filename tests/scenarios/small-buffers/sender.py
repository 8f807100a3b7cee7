"""Sends bursts of datagrams, 3,000 a second."""
import socket
import sys
import time

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(30):
        sender.sendto(bytes(500), ("127.0.0.1", int(sys.argv[1])))
    time.sleep(0.01)
