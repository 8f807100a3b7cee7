"""Twenty connections that ask for a page twenty times a second each; says how many answers they got and the slowest."""
import http.client
import signal
import sys
import threading
import time

times = []


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    while True:
        before = time.monotonic()
        connection.request("GET", "/")
        connection.getresponse().read()
        times.append(time.monotonic() - before)
        time.sleep(0.05)


def end(*_):
    print(f"answers={len(times)}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
for _ in range(20):
    threading.Thread(target=ask, daemon=True).start()
while True:
    time.sleep(1000)
