"""Listens with a short queue and takes a connection every 100 ms."""
import socket
import sys
import time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1)
while True:
    connection, _ = listener.accept()
    time.sleep(0.1)
    connection.close()
