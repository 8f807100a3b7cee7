"""Asks memcached for a value a hundred times a second over one connection; says how many answers it got."""
import signal
import socket
import sys
import time

answers = 0
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while not ended:
    connection.sendall(b"get a\r\n")
    connection.recv(100)
    answers += 1
    time.sleep(0.01)
print(f"answers={answers}")
