"""Answers every request when the next second begins: there is no news before."""
import http.server
import sys
import threading
import time

news = threading.Condition()


def tell():
    while True:
        time.sleep(1)
        with news:
            news.notify_all()


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with news:
            news.wait()
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"news")

    def log_message(self, *_):
        pass


threading.Thread(target=tell, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
