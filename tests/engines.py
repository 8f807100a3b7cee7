#!/usr/bin/env python3
"""Other engines read our recordings: DuckDB, Polars and pyarrow open every fixture with no flags and agree with ebrec.

    tests/engines.py [FILE…]      default: fixtures/*.parquet

DuckDB also runs every query of docs/sql.md and agrees with ebrec's own tables. The readers that docs/reading.md lists read one
recording, a directory, and recordings of two versions, one with a column more, as that page says; its programs print what ebrec
does (ClickHouse and Spark: tests/sql_views.py; Rust: the examples in the documentation).

The engines live in a virtual environment of their own in target/venv, made on the first run, in the versions that docs/reading.md
states. One check per engine and file; what can't run here is printed as "skipped: NAME: REASON". The last line counts in the form
of cargo's test runner.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
EBREC = os.environ.get("EBREC", os.path.join(TARGET, "debug", "ebrec"))
ENGINES = ("duckdb", "polars", "pyarrow")
# What docs/reading.md lists, by module or package of npm, but for those that tests/sql_views.py runs.
READERS = ("duckdb", "polars", "pandas", "pyarrow", "datafusion", "hyparquet")
COMPRESSORS = "hyparquet-compressors@1.1.2"
# Aggregates beside the rows by kind: a name, and the columns to sum for that kind.
SUMS = {
    "hist": ("count", "bucket_lo", "dur_ns"),
    "metric": ("count", "sum", "p99"),
    "lost": ("count",),
    "cost": ("count", "sum"),
    "exit": ("dur_ns", "exit_code"),
    "block_io": ("bytes", "dur_ns"),
}


def reading_page():
    with open(os.path.join(ROOT, "docs", "reading.md")) as page:
        return page.read()


def stated(reader):
    """The version of a reader that docs/reading.md states."""
    rows = re.findall(r"^\| ([\w (]*?\w)\)? \| ([\d.]+) \|", reading_page(), re.MULTILINE)
    versions = {name.lower().split("(")[-1]: version for name, version in rows}
    return versions["spark" if reader == "pyspark" else reader]


def environment(packages=None):
    """The Python of the virtual environment, and the modules it lacks, with the reason.

    `packages` says where each comes from: a package, perhaps with `==` and a version.
    """
    packages = packages or {engine: f"{engine}=={stated(engine)}" for engine in READERS if engine != "hyparquet"}
    home = os.path.join(TARGET, "venv")
    python = os.path.join(home, "bin", "python3")
    if not os.path.exists(python):
        made = subprocess.run([sys.executable, "-m", "venv", home], capture_output=True, text=True)
        if made.returncode:
            return None, dict.fromkeys(packages, f"no virtual environment: {last_line(made.stdout + made.stderr)}")
    lacking = {}
    for engine, package in packages.items():
        if imports(python, engine, package):
            continue
        # Spark comes as source, which is only copied.
        pip = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-binary", "pyspark",
             "--retries", "1", "--timeout", "20", package],
            capture_output=True, text=True,
        )
        if pip.returncode or not imports(python, engine, package):
            lacking[engine] = f"pip can't install it: {last_line(pip.stderr)}"
    return python, lacking


def imports(python, engine, package):
    """Whether a module is there, in the version that its package has to have."""
    name, _, version = package.partition("==")
    check = f"import {engine}, importlib.metadata as found; assert {version!r} in ('', found.version({name!r}))"
    return subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def node_modules():
    """The directory with hyparquet for Node, and why it is not there."""
    home = os.path.join(TARGET, "hyparquet")
    for program in ("node", "npm"):
        if not shutil.which(program):
            return home, f"no {program} here"
    version = stated("hyparquet")
    try:
        with open(os.path.join(home, "node_modules", "hyparquet", "package.json")) as package:
            there = json.load(package)["version"] == version
    except OSError:
        there = False
    if not there:
        os.makedirs(home, exist_ok=True)
        npm = subprocess.run(
            ["npm", "install", "--prefix", home, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error",
             f"hyparquet@{version}", COMPRESSORS], capture_output=True, text=True, timeout=120)
        if npm.returncode:
            return home, f"npm can't install it: {last_line(npm.stderr)}"
    # Modules are looked for beside the program.
    shutil.copy(os.path.join(ROOT, "tests", "hyparquet.mjs"), home)
    return home, None


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


# ---- one recording, a directory, two versions: `engines.py --reads READER ONE DIRECTORY` prints the rows of each

def later_version(old, directory):
    """What a later version may write: a column more, behind all others. Returns the older file and the newer one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    older, newer = (os.path.join(directory, name) for name in ("a-older.parquet", "b-newer.parquet"))
    table = pq.read_table(old)
    pq.write_table(table, older, compression="zstd")
    more = pa.array([7] * len(table), pa.int64())
    pq.write_table(table.append_column("later_thing_ns", more), newer, compression="zstd")
    return older, newer


def reads(reader, one, recordings, mixed):
    """Rows by kind of one recording, rows of a directory, rows and sum of the new column of two versions."""
    older, newer = (os.path.join(mixed, name) for name in ("a-older.parquet", "b-newer.parquet"))
    new = "later_thing_ns"
    if reader == "duckdb":
        import duckdb

        ask = lambda query: duckdb.connect().execute(query).fetchall()
        return (
            dict(ask(f"select kind, count(*) from '{one}' group by kind")),
            ask(f"select count(*) from '{recordings}/*.parquet'")[0][0],
            ask(f"select count(*), sum({new}) from read_parquet('{mixed}/*.parquet', union_by_name = true)")[0],
        )
    if reader == "polars":
        import polars as pl

        frame = pl.scan_parquet([newer, older], missing_columns="insert", extra_columns="ignore")
        return (
            dict(pl.scan_parquet(one).group_by("kind").len().collect().rows()),
            pl.scan_parquet(recordings + "/").select(pl.len()).collect().item(),
            frame.select(pl.len(), pl.col(new).sum()).collect().row(0),
        )
    if reader == "pandas":
        import pandas as pd
        import pyarrow.parquet as pq

        both = pd.read_parquet(mixed + "/", columns=[new], schema=pq.read_schema(newer))
        return (
            {kind: int(rows) for kind, rows in pd.read_parquet(one)["kind"].value_counts().items()},
            len(pd.read_parquet(recordings + "/", columns=["kind"])),
            (len(both), int(both[new].sum())),
        )
    if reader == "pyarrow":
        import pyarrow.compute as pc
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        kinds = ds.dataset(one).to_table(columns=["kind"]).group_by("kind").aggregate([([], "count_all")])
        both = ds.dataset(mixed + "/", schema=pq.read_schema(newer)).to_table(columns=[new])
        return (
            dict(zip(kinds["kind"].to_pylist(), kinds["count_all"].to_pylist())),
            ds.dataset(recordings + "/").count_rows(),
            (len(both), pc.sum(both[new]).as_py()),
        )
    from datafusion import SessionContext, col
    from datafusion import functions as f

    context = SessionContext()
    kinds = context.read_parquet(one).aggregate([col("kind")], [f.count(col("run_id")).alias("n")]).to_pylist()
    both = context.read_parquet(mixed + "/")
    return (
        {row["kind"]: row["n"] for row in kinds},
        context.read_parquet(recordings + "/").count(),
        (both.count(), both.aggregate([], [f.sum(col(new)).alias("n")]).to_pylist()[0]["n"]),
    )


def check_reads(python, reader, files, recordings, mixed):
    """What a reader finds otherwise than ebrec."""
    rows = [{row["kind"]: row["rows"] for row in tables("info", path)["kinds"]} for path in files]
    expected = [rows[0], sum(map(sum, (kinds.values() for kinds in rows))), [2 * sum(rows[0].values()), 7 * sum(rows[0].values())]]
    if reader == "hyparquet":
        home, why = node_modules()
        if why:
            return why, []
        command = ["node", os.path.join(home, "hyparquet.mjs"), files[0], recordings, mixed]
    else:
        command = [python, os.path.abspath(__file__), "--reads", reader, files[0], recordings, mixed]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return None, [last_line(run.stderr)]
    got = json.loads(run.stdout)
    names = ("one recording", "a directory", "two versions")
    return None, [f"{name}: {found}, not {right}" for name, found, right in zip(names, got, expected) if found != right]


# ---- the programs of docs/reading.md

def check_programs(python, directory):
    """Yields each program's name, why it was skipped, and what is wrong with what it prints."""
    runs = {"python": python, "javascript": "node", "r": "Rscript"}
    blocks = re.findall(r"```(\w+)\n(.*?)```", reading_page(), re.DOTALL)
    for number, (language, program) in enumerate(blocks, 1):
        if language not in runs:
            continue
        name = f"program {number} of docs/reading.md ({language})"
        if not shutil.which(runs[language]):
            yield name, f"no {runs[language]} here", []
            continue
        home = directory
        if language == "javascript":
            home, why = node_modules()
            if why:
                yield name, why, []
                continue
        path = os.path.join(home, f"program-{number}" + {"javascript": ".mjs"}.get(language, ""))
        with open(path, "w") as file:
            file.write(program)
        run = subprocess.run([runs[language], path], cwd=directory, capture_output=True, text=True)
        if run.returncode:
            yield name, None, [last_line(run.stderr)]
        else:
            yield name, None, wrong_output(run.stdout.split("\n"), "recordings/" in program, "footer" in program, directory)


def wrong_output(lines, of_many, of_footer, directory):
    lines = [line for line in lines if line]
    if of_footer:
        run = subprocess.run([EBREC, "info", os.path.join(directory, "run.parquet"), "--format", "json"], capture_output=True, text=True)
        facts = json.loads(run.stdout)["facts"]
        kernel, ns = lines[0].split()
        right = f" Linux {kernel} " in facts["host"] and facts["window"].startswith(f"{int(ns) / 1e6:.0f} ms ")
        return [] if right else [f"it prints {lines}, ebrec {facts['host']} and {facts['window']}"]
    paths = sorted(glob.glob(os.path.join(directory, "recordings", "*"))) if of_many else [os.path.join(directory, "run.parquet")]
    sums = {}
    for path in paths:
        for row in tables("report", "processes", path)["processes"]:
            sums[row["comm"]] = sums.get(row["comm"], 0) + (row.get("sched.on_cpu.sum_ns") or 0)
    top = sorted(sums.items(), key=lambda item: -item[1])[:3]
    got = [line.split() for line in lines]
    # A tenth of a millisecond is shown, and ebrec counts a process under its last name, a program under that of each interval.
    close = len(got) == 3 and all(
        name == process and abs(float(ms) * 1e6 - ns) <= 50_001 + ns / 1000 for (name, ms), (process, ns) in zip(got, top)
    )
    return [] if close else [f"it prints {lines}, ebrec {top}"]


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
    if python and not sys.argv[1:]:
        with tempfile.TemporaryDirectory() as directory:
            recordings, mixed = os.path.join(directory, "recordings"), os.path.join(directory, "mixed")
            os.mkdir(recordings)
            os.mkdir(mixed)
            for path in files:
                os.symlink(path, os.path.join(recordings, os.path.basename(path)))
            os.symlink(os.path.join(ROOT, "fixtures", "redis.parquet"), os.path.join(directory, "run.parquet"))
            made = None
            if "pyarrow" not in lacking:
                made = subprocess.run([python, os.path.abspath(__file__), "--later", files[0], mixed], capture_output=True, text=True)
            results = []
            for reader in READERS:
                why = lacking.get(reader) or lacking.get("pyarrow")
                problems = [last_line(made.stderr)] if made and made.returncode else []
                if not why and not problems:
                    why, problems = check_reads(python, reader, files, recordings, mixed)
                results.append((f"one, many and two versions by {reader}", why, problems))
            results += check_programs(python, directory) if not lacking else ()
        for name, why, problems in results:
            if why:
                print(f"skipped: {name}: {why}")
                skipped += 1
                continue
            print("\n".join(f"FAILED {name}: {problem}" for problem in problems) if problems else f"ok {name}")
            failed, passed = failed + bool(problems), passed + (not problems)
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
    elif sys.argv[1:2] == ["--later"]:
        later_version(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--reads"]:
        json.dump(reads(*sys.argv[2:6]), sys.stdout)
    else:
        sys.exit(main())
