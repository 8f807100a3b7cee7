"""Asks a web server for a page some times a second over one connection; says how many it got."""
import http.client
import signal
import sys
import time

answers = 0
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
while not ended:
    connection.request("GET", sys.argv[3] if len(sys.argv) > 3 else "/")
    connection.getresponse().read()
    answers += 1
    time.sleep(1 / float(sys.argv[2]))
print(f"answers={answers}")
