"""A name server on 127.0.0.1:53 that knows backend.internal only, and takes 50 ms for each query."""
import signal
import socket
import struct
import sys
import time

counts = {"known": 0, "unknown": 0}


def end(*_):
    print(" ".join(f"{name}={count}" for name, count in counts.items()), flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("listening", flush=True)
while True:
    query, client = server.recvfrom(512)
    time.sleep(0.05)
    end_of_name = query.index(0, 12) + 5
    known = query[12:end_of_name - 4] == b"\x07backend\x08internal\0"
    counts["known" if known else "unknown"] += 1
    answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1" if known else b""
    flags = 0x8180 if known else 0x8183
    server.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, bool(answer), 0, 0) + query[12:end_of_name] + answer, client)
