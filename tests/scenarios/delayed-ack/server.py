"""Answers requests of 200 bytes."""
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection, _ = listener.accept()
while True:
    got = 0
    while got < 200:
        got += len(connection.recv(200 - got))
    connection.send(b"answer")
