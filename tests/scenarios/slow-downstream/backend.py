"""Answers every line, 150 ms late, as an overloaded service does that itself waits elsewhere."""
import socketserver
import sys
import time


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            time.sleep(0.15)
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
