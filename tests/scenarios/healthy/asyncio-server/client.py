import signal
import socket
import sys
import time

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
connection = socket.create_connection(("127.0.0.1", int(sys.argv[-1])))
requests = 0
while not ended:
    connection.sendall(b"hello?\n")
    connection.recv(100)
    requests += 1
    time.sleep(0.03)
print(f"requests={requests}")
