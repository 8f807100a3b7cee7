"""Eight clients that ask one byte at a time."""
import socket
import sys
import threading


def ask():
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    while True:
        connection.send(b"?")
        connection.recv(1)


threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
