"""A name server on 127.0.0.1:53 that answers every query with one address, 1.5 s late."""
import select
import socket
import struct
import time

DELAY = 1.5
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("listening", flush=True)
waiting = []
while True:
    left = waiting[0][0] - time.monotonic() if waiting else None
    if select.select([server], [], [], None if left is None else max(0, left))[0]:
        query, client = server.recvfrom(512)
        waiting.append((time.monotonic() + DELAY, query, client))
    while waiting and waiting[0][0] <= time.monotonic():
        _, query, client = waiting.pop(0)
        end = query.index(0, 12) + 5
        wants_address = query[end - 4:end - 2] == b"\0\1"
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1" if wants_address else b""
        server.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, bool(answer), 0, 0) + query[12:end] + answer, client)
