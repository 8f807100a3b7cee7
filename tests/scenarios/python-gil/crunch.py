"""Eight threads that compute without a pause."""
import threading


def crunch():
    while True:
        sum(number * number for number in range(1000))


for _ in range(8):
    threading.Thread(target=crunch).start()
