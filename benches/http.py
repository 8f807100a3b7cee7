#!/usr/bin/env python3
"""What the probe `http` takes from a web server: requests a second of nginx under wrk with the probe, beside those without.

    benches/http.py EBREC [--rounds N] [--seconds S] [--server] [--files]

As root. nginx has one worker, on the last CPU, which answers from memory, or with --files in its default configuration: from a file, with a line in its
access log. wrk is on the others, on 16 connections that stay open. Both are recorded, so each request is seen twice; with --server only nginx, as if the clients were elsewhere. A round runs without and with the probe in turns, and the ratios are
taken within it; the table shows each round and the medians. On a machine that does other things besides, the second ratio is
the one to go by: CPU time of nginx and wrk for a request, without and with the probe, which is what bounds the throughput.
"""

import argparse
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CPUS = sorted(os.sched_getaffinity(0))
CONFIG = """daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{ worker_connections 512; }}
http {{ {log} keepalive_requests 100000000; client_body_temp_path {at}/a; proxy_temp_path {at}/b;
fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
server {{ listen 127.0.0.1:{port}; {page} }} }}
"""
FROM_MEMORY = {"log": "access_log off;", "page": 'location / { return 200 "hello, this is a page of some length"; }'}
# What nginx has in its own configuration, and the size of its welcome page.
FROM_FILES = {"log": "access_log {at}/access.log; sendfile on; tcp_nopush on;", "page": "root {at}/pages;"}
PAGE = b"<p>a page of some length</p>\n" * 21


class Load:
    """wrk against nginx: requests a second, and microseconds of CPU time for each, of both."""

    def __init__(self, nginx, port, seconds):
        self.stat = f"/proc/{nginx.pid}/stat"
        clients = ",".join(map(str, CPUS[:-1] or CPUS))
        wrk = ["taskset", "-c", clients, "wrk", "-t1", "-c16", f"-d{seconds}s"]
        self.command = [*wrk, f"http://127.0.0.1:{port}/"]

    def cpu(self):
        with open(self.stat) as file:
            ticks = file.read().rsplit(")", 1)[1].split()[11:13]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") + children.ru_utime + children.ru_stime

    def run(self):
        before = self.cpu()
        out = subprocess.run(self.command, capture_output=True, text=True, check=True).stdout
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1)), (self.cpu() - before) * 1e6 / requests


def recorded(ebrec, load, at, scope):
    command = [ebrec, "record", "-v", "--force", "-d", "1h", "-p", "http", "-o", f"{at}/run.parquet", *scope]
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in recorder.stderr:
        if "all probes live" in line:
            break
    try:
        return load.run()
    finally:
        recorder.send_signal(2)
        recorder.communicate(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ebrec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--server", action="store_true", help="record nginx only, as if the clients were elsewhere")
    parser.add_argument("--files", action="store_true", help="nginx sends a file and writes its access log")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as at:
        with open(f"{at}/nginx.conf", "w") as file:
            parts = {name: part.replace("{at}", at) for name, part in (FROM_FILES if options.files else FROM_MEMORY).items()}
            file.write(CONFIG.format(at=at, port=port, **parts))
        os.mkdir(f"{at}/pages")
        with open(f"{at}/pages/index.html", "wb") as file:
            file.write(PAGE)
        server = ["taskset", "-c", str(CPUS[-1]), "nginx", "-p", at, "-c", f"{at}/nginx.conf"]
        nginx = subprocess.Popen(server, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            load = Load(nginx, port, options.seconds)
            scope = ["--pid", str(nginx.pid)] if options.server else []
            rates, costs = [], []
            print(f"{'':>5} {'requests a second':^21} {'':>6}   {'CPU us a request':^15}")
            print(f"{'round':>5} {'without':>10} {'with':>10} {'ratio':>6}   {'without':>7} {'with':>7} {'ratio':>6}")
            for number in range(options.rounds):
                (rate, cost), (seen_rate, seen_cost) = load.run(), recorded(options.ebrec, load, at, scope)
                rates.append(seen_rate / rate)
                costs.append(cost / seen_cost)
                throughput = f"{rate:>10.0f} {seen_rate:>10.0f} {rates[-1]:>6.3f}"
                print(f"{number + 1:>5} {throughput}   {cost:>7.2f} {seen_cost:>7.2f} {costs[-1]:>6.3f}", flush=True)
            print(f"median ratios: throughput {statistics.median(rates):.3f}, CPU time {statistics.median(costs):.3f}")
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    sys.exit(main())
