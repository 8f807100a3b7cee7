"""A web service: for every request it asks the backend."""
import http.server
import socket
import sys
import threading

local = threading.local()


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not hasattr(local, "backend"):
            local.backend = socket.create_connection(("127.0.0.1", int(sys.argv[2]))).makefile("rwb")
        local.backend.write(b"question\n")
        local.backend.flush()
        answer = local.backend.readline()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
