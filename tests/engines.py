#!/usr/bin/env python3
"""Other engines read our recordings: DuckDB, Polars and pyarrow open every fixture with no flags and agree with ebrec.

    tests/engines.py [FILE…]      default: fixtures/*.parquet

DuckDB also runs every query of docs/sql.md and agrees with ebrec's own tables, and all engines read recordings of two
versions, one with a column more, as docs/sql.md says.

The engines live in a virtual environment of their own in target/venv, made on the first run. One check per engine and
file; what can't run here is printed as "skipped: NAME: REASON". The last line counts in the form of cargo's test runner.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
EBREC = os.environ.get("EBREC", os.path.join(TARGET, "debug", "ebrec"))
ENGINES = ("duckdb", "polars", "pyarrow")
# Aggregates beside the rows by kind: a name, and the columns to sum for that kind.
SUMS = {
    "hist": ("count", "bucket_lo", "dur_ns"),
    "metric": ("count", "sum", "p99"),
    "lost": ("count",),
    "cost": ("count", "sum"),
    "exit": ("dur_ns", "exit_code"),
    "block_io": ("bytes", "dur_ns"),
}


def environment(packages=None):
    """The Python of the virtual environment, and the modules it lacks, with the reason; `packages` says where each comes from."""
    packages = packages or {engine: engine for engine in ENGINES}
    home = os.path.join(TARGET, "venv")
    python = os.path.join(home, "bin", "python3")
    if not os.path.exists(python):
        made = subprocess.run([sys.executable, "-m", "venv", home], capture_output=True, text=True)
        if made.returncode:
            return None, dict.fromkeys(packages, f"no virtual environment: {last_line(made.stdout + made.stderr)}")
    lacking = {}
    for engine, package in packages.items():
        if imports(python, engine):
            continue
        pip = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
             "--retries", "1", "--timeout", "20", package],
            capture_output=True, text=True,
        )
        if pip.returncode or not imports(python, engine):
            lacking[engine] = f"pip can't install it: {last_line(pip.stderr)}"
    return python, lacking


def imports(python, engine):
    return subprocess.run([python, "-c", f"import {engine}"], capture_output=True).returncode == 0


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


def tables(*arguments):
    """The tables of one of ebrec's documents."""
    run = subprocess.run([EBREC, *arguments, "--format", "json"], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"'ebrec {arguments[0]}' failed: {last_line(run.stderr)}")
    return json.loads(run.stdout)["tables"]


def ours(path):
    """What ebrec itself counts: rows by kind, and of each histogram how many values it holds and the largest."""
    rows = {row["kind"]: row["rows"] for row in tables("info", path)["kinds"]}
    metrics = tables("report", "hist", path, "--top", "0").get("metrics", [])
    return {"rows": rows, "metrics": {row["metric"]: [row["count"], row["max"]] for row in metrics}}


# ---- what runs inside the virtual environment: `engines.py --read ENGINE FILE` prints one JSON object

def read_duckdb(path):
    import duckdb

    query = duckdb.connect()
    query.execute("CREATE VIEW r AS SELECT * FROM '%s'" % path.replace("'", "''"))
    rows = dict(query.execute("SELECT kind, count(*) FROM r GROUP BY kind").fetchall())
    sums = {}
    for kind, columns in SUMS.items():
        for column in columns:
            total = query.execute(f'SELECT sum({column}) FROM r WHERE kind = ?', [kind]).fetchone()[0]
            sums[f"{kind}.{column}"] = total
    # A metric's buckets hold its values, its totals the exact largest; counters have no buckets.
    metrics = query.execute("""
        SELECT metric, sum(count) FILTER (kind = 'hist') AS held, max(max) FILTER (kind = 'metric') FROM r
        GROUP BY metric HAVING held IS NOT NULL""").fetchall()
    span = query.execute("SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM r").fetchone()
    return rows, sums, {name: list(rest) for name, *rest in metrics}, list(span)


def read_polars(path):
    import polars as pl

    frame = pl.scan_parquet(path)
    grouped = frame.group_by("kind").len().collect()
    rows = dict(zip(grouped["kind"].to_list(), grouped["len"].to_list()))
    sums = {}
    for kind, columns in SUMS.items():
        of_kind = frame.filter(pl.col("kind") == kind)
        for column in columns:
            # Without rows Polars says 0 where SQL says null.
            got = of_kind.select(pl.col(column).sum(), pl.col(column).count().alias("values")).collect().row(0)
            sums[f"{kind}.{column}"] = got[0] if got[1] else None
    buckets = frame.filter(pl.col("kind") == "hist").group_by("metric").agg(pl.col("count").sum()).collect()
    largest = dict(frame.filter(pl.col("kind") == "metric").group_by("metric").agg(pl.col("max").max()).collect().rows())
    metrics = {name: [count, largest.get(name)] for name, count in buckets.rows()}
    low, high = frame.select(pl.col("ts").min().alias("a"), pl.col("ts").max().alias("b")).collect().with_columns(
        pl.all().dt.epoch("us")).row(0)
    return rows, sums, metrics, [low, high]


def read_pyarrow(path):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    grouped = table.group_by("kind").aggregate([([], "count_all")])
    rows = dict(zip(grouped["kind"].to_pylist(), grouped["count_all"].to_pylist()))
    sums = {}
    for kind, columns in SUMS.items():
        of_kind = table.filter(pc.equal(table["kind"], kind))
        for column in columns:
            sums[f"{kind}.{column}"] = pc.sum(of_kind[column]).as_py()
    buckets = table.filter(pc.equal(table["kind"], "hist")).group_by("metric").aggregate([("count", "sum")])
    totals = table.filter(pc.equal(table["kind"], "metric")).group_by("metric").aggregate([("max", "max")])
    largest = dict(zip(totals["metric"].to_pylist(), totals["max_max"].to_pylist()))
    metrics = {
        name: [count, largest.get(name)]
        for name, count in zip(buckets["metric"].to_pylist(), buckets["count_sum"].to_pylist())
    }
    span = pc.min_max(table["ts"].cast("int64")).as_py()
    metadata = pq.read_metadata(path).metadata or {}
    if b"ebrec.format" not in metadata:
        raise RuntimeError("the footer has no key 'ebrec.format'")
    return rows, sums, metrics, [span["min"], span["max"]]


def read(engine, path):
    readers = {"duckdb": read_duckdb, "polars": read_polars, "pyarrow": read_pyarrow}
    rows, sums, metrics, span = readers[engine](path)
    json.dump({"rows": rows, "sums": sums, "metrics": metrics, "span": span}, sys.stdout, default=float)


# ---- docs/sql.md: `engines.py --sql FILE…` prints the rows of each query

def queries():
    """The queries of docs/sql.md by their first lines."""
    with open(os.path.join(ROOT, "docs", "sql.md")) as page:
        blocks = re.findall(r"```sql\n-- (.*?)\n(.*?)```", page.read(), re.DOTALL)
    return dict(blocks)


def run_queries(files):
    import duckdb

    answers = {}
    for name, query in queries().items():
        of_many = "recordings/*.parquet" in query
        for path in [os.path.join(os.path.dirname(files[0]), "*.parquet")] if of_many else files:
            path = path.replace("'", "''")
            asked = query.replace("recordings/*.parquet", path).replace("run.parquet", path)
            answers.setdefault(name, []).append(duckdb.connect().execute(asked).fetchall())
    json.dump(answers, sys.stdout, default=str)


def check_queries(python, files):
    """Runs the queries over all fixtures; where they answer nothing, or otherwise than ebrec does."""
    run = subprocess.run([python, os.path.abspath(__file__), "--sql", *files], capture_output=True, text=True)
    if run.returncode:
        return [last_line(run.stderr)]
    answers = json.loads(run.stdout)
    # A recording may have lost nothing.
    problems = [f"'{name}' has no rows" for name, rows in answers.items() if not any(rows) and name != "losses"]
    for at, path in enumerate(files):
        name = os.path.basename(path)
        cpu = {row["pid"]: row.get("sched.on_cpu.sum_ns") for row in tables("report", "processes", path)["processes"]}
        for process, pid, seconds in answers["top processes by cpu"][at]:
            if not process or abs(seconds * 1e9 - (cpu.get(pid) or 0)) > 1:
                problems.append(f"{name}: {seconds} s of CPU for {process} ({pid}), {cpu.get(pid)} ns by ebrec")
        by = ("--by", "dev", "--by", "op")
        groups = tables("report", "hist", "block.device_time", *by, path)["groups"]
        p99 = {(row["dev"], row["op"]): row["p99_ns"] for row in groups if row["count"]}
        for dev, op, _, ms in answers["p99 by key"][at]:
            # ebrec keeps within the smallest and the largest value, which is within the bucket.
            if abs(ms * 1e6 / p99[dev, op] - 1) > 1 / 16:
                problems.append(f"{name}: p99 of {dev} {op} is {ms} ms, {p99[dev, op]} ns by ebrec")
        started = {row["kind"]: row["rows"] for row in tables("info", path)["kinds"]}["exec"]
        if len(answers["process starts"][at]) < started:
            problems.append(f"{name}: {len(answers['process starts'][at])} starts of {started}")
    return problems


# ---- recordings of two versions: `engines.py --mixed ENGINE OLD DIRECTORY` counts the rows of both

def later_version(old, directory):
    """What a later version may write: a column more, behind all others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(old)
    pq.write_table(table, os.path.join(directory, "a-older.parquet"))
    more = pa.array([7] * len(table), pa.int64())
    pq.write_table(table.append_column("later_thing_ns", more), os.path.join(directory, "b-newer.parquet"))
    return 2 * len(table), 7 * len(table)


def read_mixed(engine, old, directory):
    expected = later_version(old, directory)
    older, newer = (os.path.join(directory, name) for name in ("a-older.parquet", "b-newer.parquet"))
    if engine == "duckdb":
        import duckdb

        files = os.path.join(directory, "*.parquet")
        got = duckdb.connect().execute(
            f"SELECT count(*), sum(later_thing_ns) FROM read_parquet('{files}', union_by_name = true)").fetchone()
    elif engine == "polars":
        import polars as pl

        frame = pl.scan_parquet([newer, older], missing_columns="insert", extra_columns="ignore")
        got = frame.select(pl.len(), pl.col("later_thing_ns").sum()).collect().row(0)
    else:
        import pyarrow.compute as pc
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        table = ds.dataset([older, newer], schema=pq.read_schema(newer)).to_table(columns=["later_thing_ns"])
        got = (len(table), pc.sum(table["later_thing_ns"]).as_py())
    if tuple(got) != expected:
        sys.exit(f"{tuple(got)} rows and sum of the new column, not {expected}")


# ---- the comparison

def differences(a, b, what):
    found = []
    for key in sorted(set(a) | set(b)):
        left, right = a.get(key), b.get(key)
        if left == right:
            continue
        # Engines add doubles in different orders.
        if isinstance(left, float) and isinstance(right, (int, float)) and abs(left - right) <= 1e-9 * abs(left):
            continue
        found.append(f"{what} {key}: {left} here, {right} there")
    return found


def check(python, engine, path, expected, first):
    """Reads one file by one engine; the differences to our own counts and to the first engine's sums."""
    run = subprocess.run([python, os.path.abspath(__file__), "--read", engine, path], capture_output=True, text=True)
    if run.returncode:
        return None, [last_line(run.stderr)]
    got = json.loads(run.stdout)
    problems = differences(got["rows"], expected["rows"], "rows of")
    problems += differences(got["metrics"], expected["metrics"], "count and largest of")
    if first is not None:
        problems += differences(got["sums"], first["sums"], "sum of")
        problems += differences(dict(enumerate(got["span"])), dict(enumerate(first["span"])), "end of time")
    return got, problems


def main():
    files = sys.argv[1:] or sorted(glob.glob(os.path.join(ROOT, "fixtures", "*.parquet")))
    passed = failed = skipped = 0
    if not files:
        print("skipped: engines: no recording in fixtures/")
        skipped += 1
    elif not os.path.exists(EBREC):
        print(f"FAILED engines: no program at {EBREC}")
        failed += 1
        files = []
    python, lacking = environment() if files else (None, {})
    for path in files:
        name = os.path.basename(path)
        try:
            expected = ours(path)
        except (RuntimeError, KeyError, ValueError) as error:
            print(f"FAILED {name} by ebrec: {error!r}")
            failed += 1
            continue
        first = None
        for engine in ENGINES:
            if engine in lacking:
                print(f"skipped: {name} by {engine}: {lacking[engine]}")
                skipped += 1
                continue
            got, problems = check(python, engine, path, expected, first)
            first = first or got
            for problem in problems:
                print(f"FAILED {name} by {engine}: {problem}")
            if problems:
                failed += 1
            else:
                print(f"ok {name} by {engine}: {sum(expected['rows'].values())} rows, {len(expected['metrics'])} histograms")
                passed += 1
    for engine in ENGINES if python else ():
        if {engine, "pyarrow"} & set(lacking):
            print(f"skipped: two versions by {engine}: {lacking.get(engine) or lacking['pyarrow']}")
            skipped += 1
            continue
        with tempfile.TemporaryDirectory() as directory:
            ask = [python, os.path.abspath(__file__), "--mixed", engine, files[0], directory]
            run = subprocess.run(ask, capture_output=True, text=True)
        print(f"FAILED two versions by {engine}: {last_line(run.stderr)}" if run.returncode else f"ok two versions by {engine}")
        failed, passed = failed + (run.returncode != 0), passed + (run.returncode == 0)
    if python and "duckdb" not in lacking and not sys.argv[1:]:
        problems = check_queries(python, files)
        for problem in problems:
            print(f"FAILED docs/sql.md: {problem}")
        if not problems:
            print(f"ok docs/sql.md: {len(queries())} queries")
        failed, passed = failed + bool(problems), passed + (not problems)
    verdict = "FAILED" if failed else "ok"
    print(f"test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["--sql"]:
        run_queries(sys.argv[2:])
    elif sys.argv[1:2] == ["--mixed"]:
        read_mixed(*sys.argv[2:5])
    else:
        sys.exit(main())
