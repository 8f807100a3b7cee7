"""Answers every byte after 20 ms."""
import socket
import sys
import time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection, _ = listener.accept()
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while byte := connection.recv(1):
    time.sleep(0.02)
    connection.send(byte)
