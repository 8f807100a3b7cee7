import signal
import sys
import threading
import time
import urllib.request

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
asked = [0] * 4
waited = [0.0] * 4


def ask(own):
    while not ended:
        began = time.monotonic()
        question = urllib.request.Request(f"http://127.0.0.1:{sys.argv[-1]}/data.txt", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(question) as answer:
            answer.read()
        waited[own] += time.monotonic() - began
        asked[own] += 1


threads = [threading.Thread(target=ask, args=(own,)) for own in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(f"asked={sum(asked)} waited={sum(waited):.3f}")
