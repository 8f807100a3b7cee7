# A client that asks a proxy, that a server whose threads take turns with a lock in which they rest: `hops.py ROLE PORTS…`. A server
# writes a line with its port once it listens.
import socket
import sys
import threading
import time


def serve(handle):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


def each_request(connection, answer):
    while request := connection.recv(100):
        connection.sendall(answer(request))


def server():
    lock = threading.Lock()

    def answer(request):
        with lock:
            time.sleep(0.05)
        return request

    serve(lambda connection: each_request(connection, answer))


def proxy(port):
    def handle(connection):
        above = socket.create_connection(("127.0.0.1", port))

        def answer(request):
            above.sendall(request)
            return above.recv(100)

        each_request(connection, answer)

    serve(handle)


def client(port):
    def ask():
        connection = socket.create_connection(("127.0.0.1", port))
        while True:
            connection.sendall(b"request")
            connection.recv(100)

    for _ in range(3):
        threading.Thread(target=ask).start()
    print("asking", flush=True)


{"server": server, "proxy": proxy, "client": client}[sys.argv[1]](*map(int, sys.argv[2:]))
