import signal
import socket
import sys
import time

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
connection = socket.create_connection(("127.0.0.1", int(sys.argv[-1])))
asked = waited = 0
while not ended:
    began = time.monotonic()
    connection.sendall(b"GET session:7\r\n")
    connection.recv(100)
    waited += time.monotonic() - began
    asked += 1
    time.sleep(0.005)
print(f"asked={asked} waited={waited:.3f}")
