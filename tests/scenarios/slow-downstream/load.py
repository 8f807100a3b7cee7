"""Three clients that ask the web service, one request after the other, with a pause of 50 ms."""
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
    print(f"requests={len(times)} mean={sum(times) / max(1, len(times)):.3f}", flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, end)
for _ in range(3):
    threading.Thread(target=ask, daemon=True).start()
while True:
    time.sleep(1000)
