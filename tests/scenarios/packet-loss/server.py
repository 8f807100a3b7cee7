"""Answers every 64 bytes of a connection."""
import socketserver
import sys


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        while asked := self.request.recv(64):
            self.request.sendall(asked)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
