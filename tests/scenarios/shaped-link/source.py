"""Sends as fast as the connection takes it."""
import socket
import sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    connection.sendall(bytes(65536))
