import signal
import sqlite3
import sys
import time

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
database = sqlite3.connect(sys.argv[-1])
database.execute("pragma synchronous = off")
database.execute("create table rows(id int, value text)")
rows = 0
while not ended:
    for _ in range(50):
        database.execute("insert into rows values (?, ?)", (rows, "value"))
        rows += 1
    database.commit()
    time.sleep(0.1)
print(f"rows={rows}")
