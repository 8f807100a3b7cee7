"""Twenty threads that connect, wait for the end, and begin again."""
import socket
import sys
import threading
import time


def connect():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2) as connection:
                connection.recv(1)
        except OSError:
            time.sleep(0.05)


for _ in range(20):
    threading.Thread(target=connect).start()
