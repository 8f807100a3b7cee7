#!/usr/bin/env python3
"""Grafana's dashboard (grafana/ebrec.json) on Prometheus and VictoriaMetrics: every panel's query returns what the recording says.

    tests/dashboard.py

`ebrec export --push` sends recordings to both servers, which are started on free ports of the loopback interface. Every query of every
panel, with its variables filled in as Grafana does, is compared with `ebrec report --format json` of the same recording: counts, sums and
times are equal, percentiles within the width of the exported buckets. Then several recordings of two hosts, one with losses, are pushed by one
command and compared in the same way, each in its own window. A panel that names a metric or label which is not there fails. Grafana's
own types (PyPI's `grafana-foundation-sdk`) take the dashboard and leave nothing of it out.

What can't run here is printed as "skipped: NAME: REASON". The last line counts in the form of cargo's test runner.
"""

import contextlib
import copy
import functools
import itertools
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import engines
from engines import EBREC, ROOT, last_line

DASHBOARD = os.path.join(ROOT, "grafana", "ebrec.json")
FIXTURES = os.path.join(ROOT, "fixtures")
# The only fixture with HTTP and DNS.
WEB = os.path.join(FIXTURES, "web.parquet")
OTHER_HOST, LOSSES = "other", {("sched", "ring full"): 15, ("block", "map full"): 3}
GRAFANA = {"grafana_foundation_sdk": "grafana-foundation-sdk"}
PYARROW = {"pyarrow": f"pyarrow=={engines.stated('pyarrow')}"}
# Buckets of an export in each power of two, and the error of a recording's own.
WIDTH = 1 / 4 + 1 / 32
PATIENCE = 30
ALL = {"host": ".*", "process": ".*", "device": ".*", "interval": "1s"}


# ---- what runs inside the virtual environment

def read_by_grafana(path):
    """`dashboard.py --grafana FILE`: what Grafana's types make of a dashboard."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    with open(path) as file:
        print(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(json.load(file))))


def make_other_host(to):
    """`dashboard.py --make FILE`: a recording of another host, which lost events."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(WEB)
    for column, value in (("host", OTHER_HOST), ("run_id", "lossy")):
        at = table.schema.get_field_index(column)
        table = table.set_column(at, table.schema.field(column), pa.array([value] * len(table), pa.string()))
    # The checksum is of the footer that ebrec wrote.
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"ebrec.checksum"}
    machine = json.loads(metadata[b"ebrec.host"])
    metadata[b"ebrec.host"] = json.dumps(machine | {"hostname": OTHER_HOST}).encode()
    of_interval = table.filter(pc.equal(table["kind"], "metric"))
    ends = sorted(set(zip(of_interval["ts"].to_pylist(), of_interval["ts_sub_ns"].to_pylist())))
    lost = [
        {"kind": "lost", "host": OTHER_HOST, "run_id": "lossy", "ts": ends[at][0], "ts_sub_ns": ends[at][1], "dur_ns": 1000, "name": probe,
         "cause": cause, "cpu": 0, "count": part}
        for (probe, cause), count in LOSSES.items() for at, part in ((3, 1), (-1, count - 1))
    ]
    table = pa.concat_tables([table, pa.Table.from_pylist(lost, schema=table.schema)]).replace_schema_metadata(metadata)
    with pq.ParquetWriter(to, table.schema, compression="zstd") as writer:
        for kind in pc.unique(table["kind"]).to_pylist():
            writer.write_table(table.filter(pc.equal(table["kind"], kind)))


# ---- the servers

class Server:
    """A database on a free port, which ends with the block."""

    def __init__(self, name, directory):
        self.name = name
        with socket.socket() as own:
            own.bind(("127.0.0.1", 0))
            self.port = own.getsockname()[1]
        here = os.path.join(directory, name)
        os.mkdir(here)
        if name == "prometheus":
            config = os.path.join(here, "prometheus.yml")
            open(config, "w").close()
            command = [name, f"--config.file={config}", f"--storage.tsdb.path={here}/tsdb", "--storage.tsdb.retention.time=100y",
                       f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver"]
            self.ready, self.push = "/-/ready", "/api/v1/write"
        else:
            command = [name, f"-storageDataPath={here}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y"]
            self.ready, self.push = "/health", "/api/v1/import/prometheus"
        surroundings = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
        quiet = subprocess.DEVNULL
        self.child = subprocess.Popen(command, env=surroundings, stdin=quiet, stdout=quiet, stderr=quiet)

    def __enter__(self):
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                self.get(self.ready)
                return self
            if self.child.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"{self.name} does not answer")
            time.sleep(0.05)

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}"
        body = urllib.parse.urlencode(query).encode() if query else None
        with urllib.request.urlopen(url, body, timeout=PATIENCE) as answer:
            return answer.read()

    def ask(self, path, **query):
        try:
            return json.loads(self.get(path, **query))["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{self.name} refuses {query.get('query')}: {error.read().decode()}") from None

    def take(self, *files):
        """Pushes recordings by one command."""
        command = [EBREC, "export", "--push", f"http://127.0.0.1:{self.port}{self.push}", "--top", "0", *files]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"the push to {self.name} failed: {run.stderr.strip()}")
        if self.name != "prometheus":
            self.get("/internal/force_flush")

    def instant(self, query, at):
        result = self.ask("/api/v1/query", query=query, time=f"{at:.3f}", nocache=1)["result"]
        return by_labels((one["metric"], one["value"][1]) for one in result)

    def over_time(self, query, times):
        """The values of evenly spaced moments, by moment."""
        step = times[1] - times[0]
        result = self.ask("/api/v1/query_range", query=query, start=f"{times[0]:.3f}", end=f"{times[-1]:.3f}", step=f"{step:.3f}", nocache=1)["result"]
        found = {}
        for at in times:
            of_moment = ((one["metric"], value) for one in result for moment, value in one["values"] if abs(moment - at) < 0.0005)
            found[at] = by_labels(of_moment)
        return found

    def metrics(self):
        return set(self.ask("/api/v1/label/__name__/values"))


def by_labels(values):
    """Values that are there and not zero, by the labels that are not empty."""
    found = {frozenset((name, value) for name, value in labels.items() if name != "__name__"): float(number) for labels, number in values}
    return {labels: value for labels, value in found.items() if value and not math.isnan(value)}


# ---- what the recording says

class Recording:
    """A recording's own numbers, up to a moment in its window."""

    def __init__(self, path):
        self.path = path
        self.start, self.end, self.ends = moments(path)

    @functools.cached_property
    def declared(self):
        return {row["metric"] for row in self.tables(None, "timeline")["intervals"]}

    @functools.cache
    def tables(self, until, *words):
        command = ["report", *words] if until is None else ["report", *words, "--to", f"{until:.0f}ns"]
        return engines.tables(*command, self.path)

    @functools.cached_property
    def host(self):
        return self.tables(None, "--by", "host")["hosts"][0]["host"]

    def until(self, at):
        """The end of the last interval up to a moment, in nanoseconds since the start, and a little."""
        ns = (round(at * 1000) - self.start) * 1_000_000
        return None if at >= self.end else max(end for end in self.ends if end <= ns + 1_000_000) + 1_000_000

    def seconds(self, until):
        return self.tables(until, "--by", "host")["hosts"][0]["window_ns"] / 1e9

    def groups(self, until, metric, by, comm):
        """Rows of a metric by labels."""
        if metric not in self.declared:
            return
        words = ["hist", metric, *(word for column in by for word in ("--by", column)), *(["--comm", comm] if comm else [])]
        for row in self.tables(until, *words).get("groups") or []:
            labels = frozenset({("host", self.host)} | {(column, str(row[column])) for column in by if row.get(column) not in (None, "")})
            yield labels, row


@functools.cache
def recorded(path):
    """One for both servers, since `ebrec report` says the same twice."""
    return Recording(path)


def moments(path):
    """The first moment of an export in milliseconds since the epoch, its last in seconds, and the ends of intervals in nanoseconds since the start."""
    command = [EBREC, "export", "--to", "prometheus", "--top", "1", "--buckets", "1", path]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    times = [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("ebrec_recording_time")]
    return times[0], times[-1] / 1e3, sorted({row["time_ns"] for row in engines.tables("report", "timeline", path)["intervals"]})


# What a target shows: a function of a recording, the moment up to which it counts, and the chosen process; it gives values by labels
# and says whether these are percentiles.

def rate(metric, *by, of="count"):
    def expected(recording, until, comm):
        seconds, found = recording.seconds(until), {}
        for labels, row in recording.groups(until, metric, by, comm):
            value = row["count"] if of == "count" else next(row[name] / scale for name, scale in SUMS if name in row)
            found[labels] = value / seconds
        return found, False
    return expected


SUMS = (("sum_ns", 1e9), ("sum_bytes", 1), ("sum", 1))


def percentile(q, metric, *by):
    def expected(recording, until, comm):
        found = {}
        for labels, row in recording.groups(until, metric, by, comm):
            if row["count"]:
                found[labels] = row[f"p{round(q * 100)}_ns"] / 1e9
        return found, True
    return expected


def heaviest(number, inner):
    def expected(recording, until, comm):
        found, _ = inner(recording, until, comm)
        return dict(sorted(found.items(), key=lambda item: -item[1])[:number]), False
    return expected


def threads(states, *by):
    def expected(recording, until, comm):
        seconds, found = recording.seconds(until), {}
        for row in recording.tables(until, "threads", *(["--comm", comm] if comm else [])).get("states", []):
            if row["state"] in states:
                labels = frozenset({("host", recording.host)} | {(name, row[name]) for name in by if row[name]})
                found[labels] = found.get(labels, 0) + row["sum_ns"] / 1e9 / seconds
        return found, False
    return expected


def cpus(*by):
    def expected(recording, until, _):
        busy, every = {}, {}
        for row in recording.tables(until, "threads")["cpus"]:
            labels = frozenset({("host", recording.host)} | ({("cpu", str(row["cpu"]))} if "cpu" in by else set()))
            busy[labels] = busy.get(labels, 0) + row["busy_pct"]
            every[labels] = every.get(labels, 0) + row["busy_pct"] + row["idle_pct"] + row["unknown_pct"]
        return {labels: value / every[labels] for labels, value in busy.items()}, False
    return expected


def lost(*by):
    def expected(recording, until, _):
        seconds, found = recording.seconds(until), {}
        for row in recording.tables(until, "losses")["probes"]:
            labels = frozenset({("host", recording.host)} | {(name, row[name]) for name in by if row[name]})
            found[labels] = found.get(labels, 0) + row["lost"] / seconds
        return found, False
    return expected


def bpf(*by):
    def expected(recording, until, _):
        found = {}
        for row in recording.tables(until, "overhead")["programs"]:
            labels = frozenset({("host", recording.host)} | {(name, row[name]) for name in by})
            found[labels] = found.get(labels, 0) + (row["sum_ns"] / row["measured_ns"] if row["measured_ns"] else 0)
        return found, False
    return expected


def own_cpu(recording, until, _):
    ns = recording.tables(until, "overhead")["recorder"][0]["own_cpu_ns"]
    return {frozenset({("host", recording.host)}): ns / 1e9 / recording.seconds(until)}, False


def errors(recording, until, comm):
    failed, every = {}, {}
    for labels, row in recording.groups(until, "http.latency", ("http_side", "http_status"), comm):
        status = dict(labels)["http_status"]
        labels = frozenset(pair for pair in labels if pair[0] != "http_status")
        every[labels] = every.get(labels, 0) + row["count"]
        failed[labels] = failed.get(labels, 0) + row["count"] * (500 <= int(status) <= 599)
    return {labels: failed[labels] / count for labels, count in every.items() if count}, False


WAITING = ("runnable", "throttled", "uninterruptible", "stopped")
EXPECTED = {
    "CPUs busy": [cpus()],
    "Run-queue latency, highest p99": [percentile(0.99, "sched.runqueue_latency")],
    "Disk latency, highest p99": [percentile(0.99, "block.device_time")],
    "Events lost per second": [lost()],
    "CPUs that recording took": [bpf(), own_cpu],
    "Processes by CPU time": [heaviest(10, rate("sched.on_cpu", "comm", of="sum"))],
    "Processes by time waiting for a CPU": [heaviest(10, rate("sched.runqueue_latency", "comm", of="sum"))],
    "CPU time by process": [rate("sched.on_cpu", "comm", of="sum")],
    "CPUs busy, by CPU": [cpus("cpu")],
    "Run-queue latency": [percentile(q, "sched.runqueue_latency") for q in (0.5, 0.9, 0.99)],
    "Threads blocked or waiting for a CPU, by cause": [threads(WAITING, "state", "cause")],
    "Threads asleep, by cause": [threads(("interruptible",), "cause")],
    "Off-CPU time, p50 and p99 by state": [percentile(q, "offcpu.time", "state") for q in (0.5, 0.99)],
    "Context switches": [rate("sched.switches", "state")],
    "Processes started and ended": [rate("process.starts"), rate("process.exits")],
    "Page faults": [rate("memory.faults", "state")],
    "Disk latency by device": [percentile(q, "block.device_time", "dev") for q in (0.5, 0.99)],
    "Disk queue time by device": [percentile(q, "block.queue_time", "dev") for q in (0.5, 0.99)],
    "Disk requests": [rate("block.device_time", "dev", "op")],
    "Disk throughput": [rate("block.size", "dev", "op", of="sum")],
    "HTTP requests by status": [rate("http.latency", "http_side", "http_status")],
    "HTTP latency": [percentile(q, "http.latency", "http_side") for q in (0.5, 0.99)],
    "HTTP errors": [errors],
    "HTTP requests without an answer": [rate("http.unanswered", "http_side")],
    "TCP retransmits, resets and failed connects": [
        rate("tcp.retransmits", "comm"), rate("tcp.resets_received", "comm"), rate("tcp.failures", "comm", "cause"),
    ],
    "TCP round-trip time": [percentile(q, "tcp.rtt") for q in (0.5, 0.99)],
    "TCP throughput": [rate("tcp.sent", of="sum"), rate("tcp.received", of="sum")],
    "DNS queries": [rate("dns.latency", "comm")],
    "DNS latency": [percentile(q, "dns.latency") for q in (0.5, 0.99)],
    "DNS failures": [rate("dns.failures", "dns_rcode"), rate("dns.unanswered")],
    "Events lost": [lost("probe", "cause")],
    "CPU time of BPF programs": [bpf("program")],
    "CPU time of ebrec": [own_cpu],
}


# ---- the comparison

def queries(dashboard):
    """Each panel's title, number of the target, query, and whether it is drawn over time."""
    for panel in dashboard["panels"]:
        for number, target in enumerate(panel.get("targets", [])):
            yield panel["title"], number, target["expr"], target.get("range", False)


def filled(query, variables, seconds):
    """A query as Grafana sends it."""
    length = f"{math.ceil(seconds * 1000)}ms"
    values = variables | {"__range": length, "__rate_interval": length}
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)


def unlike(found, expected, is_percentile):
    for labels in found.keys() | expected.keys():
        there, ours = found.get(labels), expected.get(labels)
        error = 0 if ours is None else abs(ours) * WIDTH + 1e-9 if is_percentile else abs(ours) * 2e-3 + 1e-9
        if there is None or ours is None or abs(there - ours) > error:
            yield f"{dict(labels)}: {there} there, {ours} by ebrec"


def check(dashboard, server, recording, variables, comm=None, points=1):
    """What panels show otherwise than a recording, and how many values were compared."""
    problems, compared = [], 0
    there = server.metrics()
    # A range from before the first sample, as Grafana has it where a window is shorter than four intervals; not into the window before.
    seconds = recording.end - recording.start / 1e3 + 0.1
    end = recording.end
    times = [end - step for step in range(points - 1, -1, -1)]
    for title, number, query, is_drawn in queries(dashboard):
        what = f"{server.name}: {title}, query {number + 1}"
        missing = set(re.findall(r"\bebrec_\w+", query)) - there
        if missing:
            problems.append(f"{what}: no metric {', '.join(sorted(missing))}")
            continue
        try:
            expected = EXPECTED[title][number]
        except (KeyError, IndexError):
            problems.append(f"{what}: nothing to compare it with")
            continue
        asked = filled(query, variables, seconds)
        # Drawn ones are asked at one more moment, since a step takes two.
        found = server.over_time(asked, [end - points, *times]) if is_drawn else {end: server.instant(asked, end)}
        for at in times if is_drawn else [end]:
            ours, is_percentile = expected(recording, recording.until(at), comm)
            ours = {labels: value for labels, value in ours.items() if value}
            compared += len(ours)
            problems += [f"{what} at {at - end:.1f} s: {problem}" for problem in unlike(found[at], ours, is_percentile)]
    return problems, compared


def listed(dashboard, server, recording):
    """What the variables offer."""
    problems = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        metric, _, label = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["query"]["query"]).groups()
        window = {"start": recording.start // 1000 - 1, "end": recording.start // 1000 + 3600}
        series = server.ask("/api/v1/series", **{"match[]": f'{metric}{{host="{recording.host}"}}', **window})
        if not any(one.get(label) for one in series):
            problems.append(f"{server.name}: the variable {variable['name']} offers nothing")
    return problems


def one_recording(dashboard, server):
    server.take(WEB)
    recording = recorded(WEB)
    problems, compared = check(dashboard, server, recording, ALL, points=3)
    if compared < 250:
        problems.append(f"{server.name}: only {compared} values were compared")
    named = {"process": "web-client", "host": recording.host, "device": "vda"}
    more, again = check(dashboard, server, recording, ALL | named, comm="web-client") if not problems else ([], 0)
    # The disk is not that process's.
    problems += [one for one in more if "Disk" not in one] + listed(dashboard, server, recording)
    if not problems:
        problems += broken(dashboard, server, recording)
    return problems, f"{compared + again} values of {sum(1 for _ in queries(dashboard))} queries"


def broken(dashboard, server, recording):
    """Whether a wrong dashboard would be found out: other metrics, labels and quantiles in the place of those that it names."""
    for old, new in (("ebrec_tcp_rtt_seconds", "ebrec_tcp_rtt_milliseconds"), ("http_side", "side"), ("0.99", "0.5"), ("_count", "_sum")):
        wrong = copy.deepcopy(dashboard)
        for panel in wrong["panels"]:
            for target in panel.get("targets", []):
                target["expr"] = target["expr"].replace(old, new)
        if not check(wrong, server, recording, ALL)[0]:
            yield f"{server.name}: {new} in the place of {old} is not found out"


def several_recordings(dashboard, server, other):
    """One command pushes recordings of two hosts, those of a host not in the order of their times."""
    paths = [WEB, other, *(os.path.join(FIXTURES, f"{name}.parquet") for name in ("compile", "redis", "fio"))]
    server.take(*paths)
    problems, compared = [], 0
    for path in paths:
        recording = recorded(path)
        # What a recording lacks, such as HTTP, no panel may show in its window either.
        more, values = check(dashboard, server, recording, ALL | {"host": recording.host})
        problems += [f"{os.path.basename(path)}: {problem}" for problem in more]
        compared += values
    return problems, f"{compared} values of {len(paths)} recordings of two hosts"


def by_grafana(python, directory):
    """What of the dashboard Grafana's types do not know."""
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    run = subprocess.run([python, os.path.abspath(__file__), "--grafana", DASHBOARD], capture_output=True, text=True)
    if run.returncode:
        return [last_line(run.stderr)], ""
    return list(left_out(dashboard, json.loads(run.stdout), "")), f"{len(dashboard['panels'])} panels"


def left_out(ours, theirs, place):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                # Absent and empty are the same to Grafana.
                if value not in (None, [], {}, ""):
                    yield f"Grafana's types have no '{place}.{key}'"
            else:
                yield from left_out(value, theirs[key], f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{place}: {len(theirs)} of {len(ours)} are left"
        for at, (one, other) in enumerate(zip(ours, theirs)):
            yield from left_out(one, other, f"{place}[{at}]")
    elif ours != theirs:
        yield f"{place} is {theirs!r}, not {ours!r}"


def layout(dashboard):
    """Panels that overlap, share a number, or are drawn without a unit."""
    seen, cells = set(), set()
    for panel in dashboard["panels"]:
        if panel["id"] in seen:
            yield f"two panels have the number {panel['id']}"
        seen.add(panel["id"])
        at = panel["gridPos"]
        own = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        if own & cells or at["x"] + at["w"] > 24:
            yield f"the panel '{panel['title']}' lies over another"
        cells |= own
        if panel["type"] != "row" and not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"the panel '{panel['title']}' has no unit"


def main():
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    python, lacking = engines.environment({**GRAFANA, **PYARROW})
    checks = [("layout of the dashboard", None, lambda _: (list(layout(dashboard)), "no panels overlap"))]
    grafana = lacking.get("grafana_foundation_sdk")
    checks.append(("dashboard by Grafana's types", grafana, lambda directory: by_grafana(python, directory)))
    with tempfile.TemporaryDirectory() as directory:
        other = os.path.join(directory, "other.parquet")
        for name in ("prometheus", "victoria-metrics"):
            why = None if shutil.which(name) else f"no {name} here (tools/install-deps test)"

            def on_server(check, *more, name=name):
                with tempfile.TemporaryDirectory() as data, Server(name, data) as server:
                    return check(dashboard, server, *more)

            checks.append((f"panels on {name}", why, lambda _, run=on_server: run(one_recording)))

            def several(_, run=on_server):
                if not os.path.exists(other):
                    subprocess.run([python, os.path.abspath(__file__), "--make", other], check=True)
                return run(several_recordings, other)

            checks.append((f"several recordings on {name}", why or lacking.get("pyarrow"), several))
        return run_checks(checks, directory)


def run_checks(checks, directory):
    passed = failed = skipped = 0
    for name, why, run in checks:
        if why:
            print(f"skipped: {name}: {why}")
            skipped += 1
            continue
        begin = time.monotonic()
        try:
            problems, sentence = run(directory)
        except (RuntimeError, OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
            problems, sentence = [repr(error)], ""
        for problem in problems[:20]:
            print(f"FAILED {name}: {problem}")
        if not problems:
            print(f"ok {name}: {sentence} ({time.monotonic() - begin:.0f} s)")
        failed, passed = failed + bool(problems), passed + (not problems)
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; {skipped} ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--grafana"]:
        read_by_grafana(sys.argv[2])
    elif sys.argv[1:2] == ["--make"]:
        make_other_host(sys.argv[2])
    else:
        sys.exit(main())
