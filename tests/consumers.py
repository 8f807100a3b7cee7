#!/usr/bin/env python3
"""Other tools read our exports: their own decoders take them and find the numbers of `ebrec report`.

    tests/consumers.py [FILE…]      default: fixtures/*.parquet

Perfetto's published schema decodes traces, OpenTelemetry's decodes OTLP and refuses unknown fields, speedscope's importers read
folded stacks and pprof profiles, and Python's own json and csv read rows. The packages live in target/venv and target/node, made on
the first run. What can't run here is printed as "skipped: NAME: REASON". The last line counts in the form of cargo's test runner.
"""

import collections
import csv
import glob
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile

import engines

PERFETTO = {"perfetto": "perfetto", "google.protobuf": "protobuf"}
OTLP = {"opentelemetry.proto": "opentelemetry-proto", "google.protobuf": "protobuf"}
NODE = os.path.join(engines.TARGET, "node")
SPEEDSCOPE = os.path.join(NODE, "node_modules", "speedscope")


def export(path, to, *more, out=None):
    """What an export writes; None where the recording has nothing of what is asked for."""
    words = [engines.EBREC, "export", "--to", to, *more, path] + (["-o", out] if out else [])
    run = subprocess.run(words, capture_output=True)
    if run.returncode and (b" has no " in run.stderr or b" holds no " in run.stderr):
        return None
    if run.returncode:
        raise RuntimeError(engines.last_line(run.stderr.decode()))
    return run.stdout


def functions(path, view="cpu"):
    """Self and total of every function that has a name of its own, by `ebrec report`."""
    found, twice = {}, set()
    for row in engines.tables("report", view, path)["functions"]:
        name = row["function"]
        twice |= {name} if name in found else set()
        found[name] = (row["self_ns"], row["total_ns"])
    return {name: pair for name, pair in found.items() if name not in twice}


def compare(found, expected, what):
    for name, pair in expected.items():
        if found.get(name) != pair:
            yield f"{what} of {name}: {found.get(name)} there, {pair} by ebrec"


# ---- what runs inside the virtual environment: `consumers.py --read perfetto|otlp FILE` prints one JSON object

def has_unknown(message):
    from google.protobuf.unknown_fields import UnknownFieldSet

    if len(UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.message_type:
            parts = value if field.is_repeated else [value]
            if any(has_unknown(part) for part in parts):
                return True
    return False


def read_perfetto(path):
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

    trace = schema.Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    problems = ["fields that the schema does not have"] if has_unknown(trace) else []
    tracks, names, frames, stacks = {}, {}, {}, {}
    open_slices, slices, flows, ended, counters = collections.Counter(), [], set(), set(), 0
    weights, samples, facts = collections.defaultdict(lambda: [0, 0]), 0, {}
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            tracks[packet.track_descriptor.uuid] = packet.track_descriptor
        for name in packet.interned_data.function_names:
            names[name.iid] = name.str.decode()
        for frame in packet.interned_data.frames:
            frames[frame.iid] = names[frame.function_name_id]
        for stack in packet.interned_data.callstacks:
            stacks[stack.iid] = [frames[iid] for iid in stack.frame_ids]
        if packet.HasField("perf_sample"):
            sample = packet.perf_sample
            samples += 1
            stack = stacks[sample.callstack_iid] if sample.callstack_iid else []
            for name in set(stack):
                weights[name][1] += sample.timebase_count
            if stack:
                weights[stack[-1]][0] += sample.timebase_count
        if packet.HasField("track_event"):
            event = packet.track_event
            if event.track_uuid not in tracks:
                problems.append(f"an event on the track {event.track_uuid}, which nothing describes")
            if event.type == schema.TrackEvent.TYPE_SLICE_BEGIN:
                open_slices[event.track_uuid] += 1
                slices.append(event.name)
                facts |= {one.name: one.string_value for one in event.debug_annotations if event.name == "window"}
            elif event.type == schema.TrackEvent.TYPE_SLICE_END:
                open_slices[event.track_uuid] -= 1
                if open_slices[event.track_uuid] < 0:
                    problems.append("a slice ends that did not begin")
            elif event.type == schema.TrackEvent.TYPE_COUNTER:
                counters += 1
            flows |= set(event.flow_ids)
            ended |= set(event.terminating_flow_ids)
    if any(open_slices.values()):
        problems.append("a slice that does not end")
    if flows != ended:
        problems.append(f"{len(flows)} flows begin and {len(ended)} end")
    return {
        "problems": problems, "samples": samples, "weights": weights, "slices": len(slices), "flows": len(flows),
        "counters": counters, "facts": facts,
        "threads": sum(track.HasField("thread") for track in tracks.values()),
    }


def read_otlp(path):
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as schema

    with open(path) as file:
        request = json_format.Parse(file.read(), schema.ExportMetricsServiceRequest())
    found = {}
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        histogram = metric.HasField("histogram")
        points = (metric.histogram if histogram else metric.sum).data_points
        last = max(point.time_unix_nano for point in points)
        count, total = 0, 0.0
        for point in points:
            if histogram and sum(point.bucket_counts) != point.count or \
                    histogram and len(point.bucket_counts) != len(point.explicit_bounds) + 1:
                sys.exit(f"{metric.name}: buckets and count disagree")
            if point.time_unix_nano == last:
                count += point.count if histogram else 0
                total += point.sum if histogram else point.as_double
        found[metric.name] = [metric.unit, count, total]
    resource = {one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes}
    return {"metrics": found, "resource": resource}


# ---- the checks: each gives problems, and a sentence for when there are none

def inside(python, reader, path):
    run = subprocess.run([python, os.path.abspath(__file__), "--read", reader, path], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(engines.last_line(run.stderr))
    return json.loads(run.stdout)


def check_perfetto(path, directory, python):
    out = os.path.join(directory, "run.pftrace")
    export(path, "perfetto", out=out)
    got = inside(python, "perfetto", out)
    problems = got["problems"]
    if got["samples"]:
        found = {name: tuple(pair) for name, pair in got["weights"].items()}
        problems += compare(found, functions(path), "time")
    slow = engines.tables("report", "slow", path, "--top", "20000").get("events", [])
    if got["slices"] != len(slow) + 1:
        problems.append(f"{got['slices'] - 1} slow events there, {len(slow)} by ebrec")
    if not {"host", "window", "complete"} <= set(got["facts"]) and "incomplete" not in got["facts"]:
        problems.append(f"losses are not stated: {got['facts']}")
    return problems, f"{got['threads']} threads, {got['samples']} samples, {got['slices']} slices, {got['flows']} flows, {got['counters']} values of counters"


def check_otlp(path, directory, python):
    out = os.path.join(directory, "run.json")
    export(path, "otlp", "--top", "0", out=out)
    got = inside(python, "otlp", out)
    problems = []
    bases = {"ns": ("s", 1e9), "bytes": ("By", 1), "count": ("1", 1)}
    own_names = {"dns.latency": "dns.lookup.duration", "http.latency": "http.server.request.duration"}
    document = json.loads(subprocess.run([engines.EBREC, "report", "hist", path, "--format", "json"], capture_output=True).stdout)
    for metric, plot in document["histograms"].items():
        [series] = plot["series"]
        name = own_names.get(metric, "ebrec." + metric)
        unit, base = bases[plot["unit"]]
        there = got["metrics"].get(name)
        count, total = series["count"], series["sum"]
        if not there or there[:2] != [unit, count] or abs(there[2] * base - total) > 1e-9 * total:
            problems.append(f"{name}: {there} there, {count} values of {total} {plot['unit']} by ebrec")
    if len(document["histograms"]) < 3:
        problems.append("hardly any histogram was compared")
    if not {"host.name", "host.arch", "os.type"} <= set(got["resource"]):
        problems.append(f"the resource says {got['resource']} only")
    return problems, f"{len(got['metrics'])} metrics, {len(document['histograms'])} histograms compared"


def check_speedscope(path, directory, _python):
    files = []
    for to, ending in (("folded", "txt"), ("pprof", "pb.gz")):
        out = os.path.join(directory, f"run.{ending}")
        if export(path, to, out=out) is None:
            return [], "no samples"
        files.append(out)
    script = os.path.join(engines.ROOT, "tests", "speedscope.mjs")
    run = subprocess.run(["node", script, SPEEDSCOPE, *files], capture_output=True, text=True)
    if run.returncode:
        return [engines.last_line(run.stderr)], ""
    problems, expected = [], functions(path)
    for read in json.loads(run.stdout):
        [profile] = read["profiles"]
        found = {name: (sums["self"], sums["total"]) for name, sums in profile["frames"].items()}
        # Speedscope counts a recursive function's time once for each call that is no recursion of itself.
        problems += compare(found, expected, os.path.basename(read["file"]))
    return problems, f"{len(expected)} functions in folded and pprof"


def check_rows(path, _directory, _python):
    rows = engines.ours(path)["rows"]
    columns, problems = {}, []
    lines = [json.loads(line) for line in export(path, "jsonl").splitlines()]
    records = list(csv.DictReader(io.StringIO(export(path, "csv").decode(), newline="")))
    for what, read in (("jsonl", lines), ("csv", records)):
        counted = dict(collections.Counter(row["kind"] for row in read))
        if counted != rows:
            problems.append(f"{what}: {counted} there, {rows} by ebrec")
        # A value is there as often, and the numbers add up, in both.
        for row in read:
            for name, value in row.items():
                if value not in (None, ""):
                    columns.setdefault((what, row["kind"], name), []).append(value)
    for (what, kind, name), values in columns.items():
        if what == "csv":
            other = columns.get(("jsonl", kind, name), [])
            plain = [json.dumps(one, separators=(",", ":")) if isinstance(one, list) else str(one) for one in other]
            if values != [one for one in plain if one != ""]:
                problems.append(f"{kind}.{name}: CSV and JSON differ")
    return problems, f"{sum(rows.values())} rows of {len(rows)} kinds, the same in both"


def node():
    """Why speedscope can't be run, if it can't."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "no node and npm here"
    if not os.path.exists(SPEEDSCOPE):
        words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", NODE, "speedscope@1"]
        run = subprocess.run(words, capture_output=True, text=True)
        if run.returncode:
            return f"npm can't install it: {engines.last_line(run.stdout + run.stderr)}"
    return None


def main():
    files = sys.argv[1:] or sorted(glob.glob(os.path.join(engines.ROOT, "fixtures", "*.parquet")))
    python, lacking = engines.environment({**PERFETTO, **OTLP})
    reasons = {name: [lacking[one] for one in packages if one in lacking] for name, packages in
               (("perfetto", PERFETTO), ("otlp", OTLP))}
    reasons["speedscope"] = [reason for reason in [node()] if reason]
    checks = {"perfetto": check_perfetto, "otlp": check_otlp, "speedscope": check_speedscope, "rows": check_rows}
    passed = failed = skipped = 0
    for path in files:
        for name, check in checks.items():
            what = f"{os.path.basename(path)} by {name}"
            if reasons.get(name):
                print(f"skipped: {what}: {reasons[name][0]}")
                skipped += 1
                continue
            try:
                with tempfile.TemporaryDirectory() as directory:
                    problems, sentence = check(path, directory, python)
            except (RuntimeError, KeyError, ValueError) as error:
                problems, sentence = [repr(error)], ""
            for problem in problems[:20]:
                print(f"FAILED {what}: {problem}")
            if not problems:
                print(f"ok {what}: {sentence}")
            failed, passed = failed + bool(problems), passed + (not problems)
    verdict = "FAILED" if failed else "ok"
    print(f"test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        json.dump({"perfetto": read_perfetto, "otlp": read_otlp}[sys.argv[2]](sys.argv[3]), sys.stdout)
    else:
        sys.exit(main())
