#!/usr/bin/env python3
"""What the probe `http` takes from a web server: requests a second of nginx under wrk with the probe, beside those without.

    benches/http.py EBREC [--rounds N] [--seconds S]

As root. nginx has one worker, on the last CPU, which answers from memory; wrk is on the others, on 16 connections that
stay open. Both are recorded, so each request is seen twice. A round runs without and with the probe in turns, and the ratio is
taken within it; the table shows each round and the median.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CPUS = sorted(os.sched_getaffinity(0))
CONFIG = """daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {at}/a; proxy_temp_path {at}/b;
fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello, this is a page of some length"; }} }} }}
"""


def rate(port, seconds):
    command = ["taskset", "-c", ",".join(map(str, CPUS[:-1] or CPUS)), "wrk", "-t1", "-c16", f"-d{seconds}s"]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1))


def recorded(ebrec, port, seconds, at):
    command = [ebrec, "record", "-v", "--force", "-d", "1h", "-p", "http", "-o", f"{at}/run.parquet"]
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in recorder.stderr:
        if "all probes live" in line:
            break
    try:
        return rate(port, seconds)
    finally:
        recorder.send_signal(2)
        recorder.communicate(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ebrec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as at:
        with open(f"{at}/nginx.conf", "w") as file:
            file.write(CONFIG.format(at=at, port=port))
        server = ["taskset", "-c", str(CPUS[-1]), "nginx", "-p", at, "-c", f"{at}/nginx.conf"]
        nginx = subprocess.Popen(server, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            ratios = []
            print(f"{'round':>5} {'without':>10} {'with':>10} {'ratio':>6}")
            for number in range(options.rounds):
                without = rate(port, options.seconds)
                seen = recorded(options.ebrec, port, options.seconds, at)
                ratios.append(seen / without)
                print(f"{number + 1:>5} {without:>10.0f} {seen:>10.0f} {ratios[-1]:>6.3f}", flush=True)
            print(f"median ratio: {statistics.median(ratios):.3f}")
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    sys.exit(main())
