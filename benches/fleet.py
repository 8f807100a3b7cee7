#!/usr/bin/env python3
"""What a report of a thousand hosts takes, beside DuckDB with the same questions.

    benches/fleet.py EBREC [--hosts N] [--dir DIR] [--rounds R]

Each host was recorded for a second; the recordings are synthetic (tests/rootless/synthetic/fleet.rs), and cargo's tests write them into DIR.
A round asks each question once, as a process of its own, so that starting counts as it does for a user. Printed are the medians
of time and peak memory, and whether the answers agree. DuckDB is PyPI's `duckdb`, in the Python that runs this.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# p99 is the middle of the bucket in which the value of that rank lies, as in src/hist.rs.
P99 = """
    WITH buckets AS (
        SELECT {group}, bucket_lo AS lo, bucket_hi AS hi, sum(count) AS count
        FROM read_parquet('{files}') WHERE kind = 'hist' {where} GROUP BY ALL
    ), ranked AS (
        SELECT *, sum(count) OVER (PARTITION BY {group} ORDER BY lo) AS upto, sum(count) OVER (PARTITION BY {group}) AS total
        FROM buckets
    )
    SELECT {group}, min(total), min_by((lo + hi - 1) / 2, lo) FROM ranked WHERE upto >= ceil(0.99 * total) GROUP BY ALL
"""
CPU = "SELECT host, sum(sum) FROM read_parquet('{files}') WHERE kind = 'metric' AND metric = 'sched.on_cpu' GROUP BY host"
SQL = {
    "percentiles of all metrics over all hosts": [P99.replace("{group}", "metric").replace("{where}", "")],
    "p99 of one metric by host": [
        P99.replace("{group}", "host").replace("{where}", "AND metric = 'block.device_time'"),
    ],
    "a row per host, p99 by host and metric, percentiles over all hosts": [
        CPU,
        P99.replace("{group}", "host, metric").replace("{where}", ""),
        P99.replace("{group}", "metric").replace("{where}", ""),
    ],
}
REPORTS = {
    "percentiles of all metrics over all hosts": ["--by", "host", "--format", "json"],
    "p99 of one metric by host": ["hist", "block.device_time", "--format", "json"],
    "a row per host, p99 by host and metric, percentiles over all hosts": ["--by", "host", "--format", "json"],
}


def measured(command):
    """Seconds, peak memory in MiB, and what was printed."""
    with tempfile.TemporaryFile() as out:
        begin = time.monotonic()
        child = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit status {child.returncode}")
        out.seek(0)
        return took, usage.ru_maxrss / 1024, out.read()


def ask_duckdb(files, question):
    """The child of a measurement: answers one question and prints it."""
    import duckdb

    connection = duckdb.connect()
    print(json.dumps([connection.execute(sql.replace("{files}", files)).fetchall() for sql in SQL[question]], default=float))


def agree(question, ours, theirs):
    """How many figures are compared, or what differs."""
    tables = json.loads(ours)["tables"]
    theirs = json.loads(theirs)
    if question.startswith("percentiles"):
        pairs = {row["metric"]: (row["count"], row["p99"]) for row in tables["fleet"]}
        expected = {metric: (count, p99) for metric, count, p99 in theirs[0]}
    elif question.startswith("p99"):
        pairs = {row["host"]: (row["count"], row["p99_ns"]) for row in tables["groups"]}
        expected = {host: (count, p99) for host, count, p99 in theirs[0]}
    else:
        pairs = {(row["host"], row["metric"]): (row["count"], row["p99"]) for row in tables["distributions"]}
        pairs.update({row["host"]: (row["cpu_ns"], 0) for row in tables["hosts"]})
        expected = {(host, metric): (count, p99) for host, metric, count, p99 in theirs[1]}
        expected.update({host: (ns, 0) for host, ns in theirs[0]})
    # A percentile beyond the largest value is that value; the middle of its bucket is within a thirty-second of it.
    close = lambda a, b: abs(a - b) <= max(1, b / 32)
    wrong = [key for key, value in expected.items() if key not in pairs or not all(map(close, pairs[key], value))]
    extra = [key for key in pairs if key not in expected]
    return f"{len(expected)} agree" if not wrong and not extra else f"{len(wrong)} of {len(expected)} differ, such as {(wrong + extra)[0]}"


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--duckdb":
        return ask_duckdb(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ebrec")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--dir", default=os.path.join(ROOT, "target", "bench", "fleet"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not os.path.isdir(args.dir):
        os.makedirs(args.dir)
        environment = {**os.environ, "EBREC_FLEET": os.path.abspath(args.dir), "EBREC_FLEET_HOSTS": str(args.hosts)}
        words = ["cargo", "test", "--quiet", "--test", "rootless", "--", "--exact", "many::a_fleet_for_benches_is_written"]
        subprocess.run(words, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    files = os.path.join(os.path.abspath(args.dir), "**", "*.parquet")
    print(f"{args.hosts} hosts, medians of {args.rounds} runs")
    print(f"{'question':68}  {'ebrec':>8}  {'MiB':>5}  {'DuckDB':>8}  {'MiB':>5}  figures")
    for question, words in REPORTS.items():
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(measured([args.ebrec, "report", *words, args.dir]))
            theirs.append(measured([sys.executable, os.path.abspath(__file__), "--duckdb", files, question]))
        middle = lambda runs, at: statistics.median(run[at] for run in runs)
        answer = agree(question, ours[-1][2], theirs[-1][2])
        print(
            f"{question:68}  {middle(ours, 0):6.2f} s  {middle(ours, 1):5.0f}"
            f"  {middle(theirs, 0):6.2f} s  {middle(theirs, 1):5.0f}  {answer}"
        )
    took, peak, _ = measured([args.ebrec, "report", args.dir])
    print(f"{'the summary, with findings and slowest events, as text':68}  {took:6.2f} s  {peak:5.0f}")


if __name__ == "__main__":
    main()
