#!/usr/bin/env python3
"""The SQL views answer what ebrec answers, in DuckDB, ClickHouse (chDB) and Spark; Trino's script is parsed (sqlglot).

    tests/sql_views.py [ENGINE…]      default: all four

Each engine runs the script that `ebrec sql` prints over the fixtures, of which one is made another host's and given losses, and
then every view and every example; and counts rows of two versions, one with a column more. In DuckDB the views also read one file of all recordings. DuckDB's rows are compared with `ebrec report --format json` and `ebrec export`, and those of the other
engines with DuckDB's, view by view. The engines live where tests/engines.py has them; what can't run here is printed as
"skipped: NAME: REASON". The last line counts in the form of cargo's test runner.
"""

import glob
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter

import engines
from engines import EBREC, ROOT, last_line, stated, tables

PACKAGES = {
    "duckdb": {module: f"{module}=={stated(module)}" for module in ("duckdb", "pyarrow")},
    "clickhouse": {"chdb": f"chdb=={stated('chdb')}"},
    "spark": {"pyspark": f"pyspark=={stated('pyspark')}"},
    "trino": {"sqlglot": "sqlglot"},
}
# Metrics that are compared by their keys, too.
BY_KEY = ("block.device_time", "sched.runqueue_latency", "process.lifetime", "offcpu.time")
# A JVM for a minute gains nothing from its second compiler.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
LOSSES = [("sched", "ring full", 0, 7), ("sched", "ring full", 1, 8), ("block", "map full", 1, 3)]


def script(dialect, *recordings):
    return subprocess.run([EBREC, "sql", "--dialect", dialect, *recordings], capture_output=True, text=True, check=True).stdout


def view_names(text):
    return re.findall(r"^create or replace (?:temporary )?view (ebrec_\w+) as\n(?!select \*)", text, re.MULTILINE)


def examples(text):
    return re.findall(r"^-- (select .*)$", text, re.MULTILINE)


# ---- what runs inside the virtual environment: `sql_views.py --run ENGINE DIRECTORY MIXED` prints {view: [columns, rows]}

def open_engine(engine, *recordings, keep=False):
    """The script, and a function that answers one query with columns and rows once the views are there; Spark may keep rows in memory."""
    text = script(engine, *recordings)
    if engine == "duckdb":
        import duckdb

        connection = duckdb.connect()
        connection.execute(text)

        def ask(query):
            cursor = connection.execute(query)
            return [column[0] for column in cursor.description], cursor.fetchall()
    elif engine == "clickhouse":
        from chdb import session

        server = session.Session()
        server.query(text)

        def ask(query):
            lines = str(server.query(query, "JSONCompactEachRowWithNames")).splitlines()
            columns, *rows = [json.loads(line) for line in lines if line]
            return columns, rows
    else:
        spark = spark_session()
        for statement in statements(text):
            spark.sql(statement)
        if keep:
            spark.sql("cache table ebrec_rows")

        def ask(query):
            frame = spark.sql(query)
            return frame.columns, [list(row) for row in frame.collect()]
    return text, ask


def spark_session():
    """A small Spark: without the settings for large data, a query over the fixtures takes a fraction of the time."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.extraJavaOptions": QUICK_JAVA,
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def statements(text):
    """The statements of a script without its comments."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip().strip(";")]


def run(engine, directory, mixed):
    _, ask = open_engine(engine, *sorted(glob.glob(os.path.join(mixed, "*.parquet"))))
    versions = ask("select count(*) as n, sum(later_thing_ns) as later from ebrec")[1][0]
    text, ask = open_engine(engine, directory, keep=True)
    answers = {view: ask(f"select * from {view}") for view in view_names(text)}
    for query in examples(text):
        # Every query takes Spark a second; it checks the names when it plans one.
        ask(f"explain {query}" if engine == "spark" else query)
    answers["rows"] = ask("select kind, count(*) as n from ebrec group by kind")
    found = {"answers": answers, "examples": len(examples(text)), "versions": list(versions)}
    if engine == "duckdb":
        found["files"] = files_by_footer(directory)
        # One file of all recordings, sorted by kind, as fleet/README.md keeps them.
        with tempfile.TemporaryDirectory() as compacted:
            ask(f"copy (select * exclude (ts_ns) from ebrec order by kind, run_id) to '{compacted}/day.parquet' (compression zstd)")
            _, again = open_engine(engine, os.path.join(compacted, "*.parquet"))
            found["unlike"] = [
                view for view, rows in answers.items()
                if view != "rows" and sorted(map(repr, again(f"select * from {view}")[1])) != sorted(map(repr, rows[1]))
            ]
    json.dump(found, sys.stdout)


def files_by_footer(directory):
    """Of each recording, its run and its window by the footer, which no view reads."""
    import pyarrow.parquet as pq

    found = {}
    for path in glob.glob(os.path.join(directory, "*.parquet")):
        window = json.loads(pq.read_metadata(path).metadata[b"ebrec.window"])
        run_id = pq.ParquetFile(path).read_row_group(0, columns=["run_id"])["run_id"][0].as_py()
        found[path] = (run_id, window["start_real_ns"], window["actual_ns"])
    return found


def parse_trino():
    import sqlglot

    parsed = sqlglot.parse(script("trino"), dialect="trino")
    kinds = [statement.key for statement in parsed if statement]
    if set(kinds) != {"create"} or len(kinds) != 2 + len(view_names(script("duckdb"))):
        sys.exit(f"{len(kinds)} statements of the kinds {sorted(set(kinds))}")


def renamed(table):
    """The same rows, in which a process had another name until the middle of the window: in some of its states only then."""
    import pyarrow as pa
    import pyarrow.compute as pc

    when = pc.cast(table["ts"], pa.int64())
    of_ledger = pc.equal(table["kind"], "ledger")
    middle = (pc.min(when.filter(of_ledger)).as_py() + pc.max(when.filter(of_ledger)).as_py()) // 2
    rows = table.select(["pid", "tid", "state", "cause"]).append_column("when", when).filter(of_ledger).to_pylist()
    last = {}
    for row in rows:
        key = (row["pid"], row["tid"], row["state"], row["cause"])
        last[key] = max(last.get(key, 0), row["when"])
    later = {key[0] for key, at in last.items() if at > middle}
    pid = next(key[0] for key, at in last.items() if at < middle and key[0] in later)
    kinds = pc.is_in(table["kind"], pa.array(["ledger", "wait", "cpu_sample", "stack_total"]))
    early = pc.and_(kinds, pc.less(when, middle))
    for column, whose in (("process", "pid"), ("comm", "tid"), ("waker_process", "waker_pid")):
        wanted = pc.fill_null(pc.and_(early, pc.equal(table[whose], pid)), False)
        at = table.schema.get_field_index(column)
        table = table.set_column(at, table.schema.field(column), pc.if_else(wanted, pa.scalar("earlier", pa.string()), pc.cast(table[column], pa.string())))
    return table


def make_lossy(fixture, to):
    """A recording of another host that lost events: a fixture with rows of kind 'lost' more, and a process that was renamed."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(fixture)
    for column, value in (("host", "other"), ("run_id", "lossy")):
        at = table.schema.get_field_index(column)
        table = table.set_column(at, table.schema.field(column), pa.array([value] * len(table), pa.string()))
    table = renamed(table)
    moment = pc.max(table["ts"]).as_py()
    lost = [
        {"kind": "lost", "host": "other", "run_id": "lossy", "ts": moment, "ts_sub_ns": 5, "dur_ns": 1000, "name": probe, "cause": cause,
         "cpu": cpu, "count": count}
        for probe, cause, cpu, count in LOSSES
    ]
    # The checksum is of the footer that ebrec wrote.
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"ebrec.checksum"}
    table = pa.concat_tables([table, pa.Table.from_pylist(lost, schema=table.schema)]).replace_schema_metadata(metadata)
    with pq.ParquetWriter(to, table.schema, compression="zstd") as writer:
        for kind in pc.unique(table["kind"]).to_pylist():
            writer.write_table(table.filter(pc.equal(table["kind"], kind)))


# ---- the comparison with ebrec

class Views:
    """The rows of one recording, by view."""

    def __init__(self, answers, run_id):
        self.answers, self.run_id = answers, run_id

    def rows(self, view):
        columns, rows = self.answers[view]
        rows = (dict(zip(columns, row)) for row in rows)
        return [row for row in rows if row.get("run_id") == self.run_id]


# How many rows each check compared: none at all would prove nothing.
COMPARED = Counter()


def unlike(what, ours, theirs):
    """The differences between two collections of tuples, ours being ebrec's."""
    ours, theirs = Counter(map(tuple, ours)), Counter(map(tuple, theirs))
    COMPARED[what] += sum(ours.values())
    problems = []
    if ours != theirs:
        few = lambda counter: ", ".join(map(str, list(counter)[:2]))
        problems.append(f"{what}: {len(ours - theirs)} rows of ebrec's are missing ({few(ours - theirs)}), "
                        f"{len(theirs - ours)} are not ebrec's ({few(theirs - ours)})")
    return problems


def document(path, *view):
    found = subprocess.run([EBREC, "report", *view, path, "--format", "json"], capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"'ebrec report {' '.join(view)}' failed: {last_line(found.stderr)}")
    return json.loads(found.stdout)


def check_processes(path, views):
    names = ("sched.on_cpu.sum_ns", "sched.runqueue_latency.sum_ns")
    rows = [row for row in tables("report", "processes", path)["processes"] if any(row.get(name) is not None for name in names)]
    ours = [(row["comm"], row["pid"], row["pid_start_ns"], *(row.get(name) or 0 for name in names)) for row in rows]
    theirs = [(row["process"], row["pid"], row["pid_start_ns"], row["cpu_ns"], row["runqueue_ns"]) for row in views.rows("ebrec_processes")]
    return unlike("processes", ours, theirs)


def check_metrics(path, views):
    series = {name: plot["series"][0] for name, plot in document(path, "hist")["histograms"].items()}
    ours = [
        (name, one["count"], one["sum"], one["min"], one["max"], *(one["percentiles"][q] for q in ("p50", "p90", "p99", "p99.9")))
        for name, one in series.items()
    ]
    theirs = [
        (row["metric"], row["n"], row["total"], row["smallest"], row["largest"], row["p50"], row["p90"], row["p99"], row["p999"])
        for row in views.rows("ebrec_metrics") if row["p50"] is not None
    ]
    return unlike("metrics", ours, theirs)


def check_by_key(path, views, metrics):
    problems = []
    for metric in metrics:
        by = [word for column in metric["by"].split() for word in ("--by", column)]
        rows = tables("report", "hist", metric["metric"], *by, path, "--top", "0").get("groups", [])
        end = "_ns" if metric["unit"] == "ns" else ""
        ours = [
            (" ".join(str(row[column]) for column in metric["by"].split() if row[column] is not None), row["count"],
             *(row[f"{value}{end}"] for value in ("sum", "p50", "p90", "p99", "p99.9", "max")))
            for row in rows if row["count"]
        ]
        theirs = [
            (row["key"], row["n"], row["total"], row["p50"], row["p90"], row["p99"], row["p999"], row["largest"])
            for row in views.rows("ebrec_metrics_by_key") if row["metric"] == metric["metric"] and row["n"]
        ]
        problems += unlike(f"{metric['metric']} by key", ours, theirs)
    return problems


def check_over_time(path, views, start_ns):
    rows = tables("report", "timeline", path)["intervals"]
    # A timeline also has intervals in which nothing happened.
    rows = [row for row in rows if row["count"] or row["sum"]]
    ours = [(row["metric"], row["time_ns"], row["count"], row["sum"], row["p50"], row["p99"], row["max"]) for row in rows]
    theirs = [
        (row["metric"], row["ts_ns"] - start_ns, row["n"], row["total"], row["p50"], row["p99"], row["largest"])
        for row in views.rows("ebrec_metrics_over_time")
    ]
    return unlike("metrics over time", ours, theirs)


def check_threads(path, views):
    found = tables("report", "threads", path)
    lives = {(row["pid"], row["tid"]): row["lived_ns"] for row in found["threads"]}
    # The report divides the time of a state and cause by what it was for, the view does not.
    sums = Counter()
    times = Counter()
    for row in found["states"]:
        key = (row["comm"], row["pid"], row["tid"], row["state"], row["cause"])
        sums[key] += row["sum_ns"]
        times[key] += row["count"]
    ours = [(*key, sums[key], times[key], lives[key[1], key[2]]) for key in sums]
    theirs = [
        (row["comm"], row["pid"], row["tid"], row["state"], row["cause"], row["ns"], row["times"], row["lived_ns"])
        for row in views.rows("ebrec_threads")
    ]
    return unlike("threads", ours, theirs)


def check_names(path, views):
    """A process has one name in all rows of a view, so that a query by name has all of its time."""
    problems = []
    for view in ("ebrec_threads", "ebrec_waits", "ebrec_samples"):
        names = {}
        for row in views.rows(view):
            names.setdefault((row["pid"], row["pid_start_ns"]), set()).add(row["process"])
        several = [f"{pid} is {sorted(map(str, found))}" for (pid, _), found in names.items() if len(found) > 1 or "earlier" in found]
        problems += [f"{view}: {text}" for text in several[:2]]
        COMPARED["names"] += len(names)
    return problems


def check_waits(path, views):
    rows = tables("report", "chains", path)["waits"]
    ours = [
        (row["process"], row["pid"], row["pid_start_ns"], row["waker_process"], row["waker_pid"], row["cause"], row["wait_on"], row["wait_by"],
         row["count"], row["sum_ns"], row["max_ns"])
        for row in rows
    ]
    theirs = [
        (row["process"], row["pid"], row["pid_start_ns"], row["waker_process"], row["waker_pid"], row["cause"], row["wait_on"], row["wait_by"],
         row["waits"], row["ns"], row["longest_ns"])
        for row in views.rows("ebrec_waits")
    ]
    return unlike("waits", ours, theirs)


def check_flame_graph(path, views):
    problems = []
    for profile in ("cpu", "offcpu"):
        command = [EBREC, "export", "--to", "folded", "--profile", profile, path]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        ours = [(stack, int(ns)) for stack, _, ns in (line.rpartition(" ") for line in lines)]
        sums = Counter()
        for row in views.rows("ebrec_flame_graph"):
            if row["profile"] == profile:
                sums[row["stack"]] += row["ns"]
        problems += unlike(f"flame graph of {profile}", ours, sums.items())
    return problems


def check_functions(path, views):
    problems = []
    for profile in ("cpu", "offcpu"):
        rows = tables("report", profile, path)["functions"]
        ours = [(row["function"], row["module"] or "", row["self_ns"], row["total_ns"]) for row in rows]
        theirs = [
            (row["function"], row["module"], row["self_ns"], row["total_ns"])
            for row in views.rows("ebrec_functions") if row["profile"] == profile
        ]
        problems += unlike(f"functions of {profile}", ours, theirs)
    return problems


def check_slow_events(path, views, start_ns):
    rows = tables("report", "slow", path, "--top", "1000")["events"]
    ours = [(row["kind"], row["dur_ns"], row["time_ns"], row["pid"], row["tid"], row["cpu"], row["dev"]) for row in rows]
    least = min((row["dur_ns"] for row in rows), default=math.inf)
    # A raw recording has the fast events, too, and queries without an answer are recorded however short: probes take longer ones for slow.
    info = tables("info", path)
    settings = {row["probe"]: re.search(r"\bslow_ns=(\d+)", row["settings"] or "") for row in info["probes"]}
    slow = {row["kind"]: int(settings[row["probe"]][1]) for row in info["kinds"] if settings.get(row["probe"])}
    theirs = [
        (row["kind"], row["dur_ns"], row["ts_ns"] - start_ns, row["pid"], row["tid"], row["cpu"], row["dev"])
        for row in views.rows("ebrec_slow_events") if row["dur_ns"] >= max(least, slow.get(row["kind"], 0))
    ]
    return unlike("slow events", ours, theirs)


def check_process_starts(path, views, start_ns):
    rows = tables("report", "exec", path)["runs"]
    names = ("pid", "pid_start_ns", "ppid", "comm", "status", "dur_ns", "cpu_ns", "max_rss_bytes", "executed")
    ours = [(row["time_ns"], row["argv"], *(row[name] for name in names)) for row in rows if row["time_ns"] is not None]
    theirs = [
        (row["start_ns"] - start_ns, row["argv"], *(row[name] for name in names)) for row in views.rows("ebrec_process_starts")
    ]
    return unlike("process starts", ours, theirs)


def check_losses(path, views):
    found = tables("report", "losses", path)
    ours = [(row["probe"], row["cause"], row["lost"]) for row in found["probes"] if row["lost"]]
    theirs = [(row["probe"], row["cause"], row["lost"]) for row in views.rows("ebrec_losses")]
    return unlike("losses", ours, theirs)


def check_cost(path, views):
    found = tables("report", "overhead", path)
    rows = views.rows("ebrec_cost")
    ours = [(row["program"], row["runs"], row["sum_ns"], row["measured_ns"]) for row in found["programs"]]
    theirs = [(row["program"], row["runs"], row["ns"], row["measured_ns"]) for row in rows if row["program"] != "ebrec"]
    problems = unlike("cost of programs", ours, theirs)
    own, recorder = found["own_cpu"][0], found["recorder"][0]
    ours = [
        ("cpu_start", own["start_ns"]), ("cpu", own["window_ns"]), ("cpu_finish", own["finish_ns"]),
        ("rss", recorder["rss_bytes"]), ("maps", recorder["map_bytes"]),
    ]
    theirs = [(row["what"], row["ns"] if row["what"].startswith("cpu") else row["bytes"]) for row in rows if row["program"] == "ebrec"]
    return problems + unlike("cost of the recorder", ours, theirs)


def check_compare(by_run, answers):
    """Each pair of recordings has what `report hist` says of either."""
    columns, rows = answers["ebrec_compare"]
    rows = [dict(zip(columns, row)) for row in rows]
    ours, theirs = [], []
    for before, (old, old_ns) in by_run.items():
        for after, (new, new_ns) in by_run.items():
            for metric in set(old) & set(new) if before != after else ():
                one, other = old[metric], new[metric]
                ours.append((before, after, metric, one["count"], other["count"], one["percentiles"]["p99"], other["percentiles"]["p99"],
                             round(one["count"] * 1e9 / old_ns, 6), round(other["count"] * 1e9 / new_ns, 6)))
    for row in rows:
        if row["before_p50"] is not None:
            theirs.append((row["before_run"], row["after_run"], row["metric"], row["before_n"], row["after_n"], row["before_p99"], row["after_p99"],
                           round(row["before_per_s"], 6), round(row["after_per_s"], 6)))
    return unlike("comparison", ours, theirs)


def check_fleet(by_run, answers):
    """The buckets of all recordings, and of those of each host, as JSON has them, added up and counted through here."""
    host_of = {run_id: "other" if run_id == "lossy" else "vm" for run_id in by_run}
    ours, ours_by_host = [], []
    for metric in {metric for series, _ in by_run.values() for metric in series}:
        ours.append((metric, *merged([series[metric] for series, _ in by_run.values() if metric in series])))
        for host in sorted(set(host_of.values())):
            parts = [series[metric] for run_id, (series, _) in by_run.items() if metric in series and host_of[run_id] == host]
            if parts:
                ours_by_host.append((metric, host, *merged(parts)))
    values = ("n", "total", "p50", "p90", "p99", "p999", "smallest", "largest")
    problems = []
    for what, view, names, expected in (
        ("percentiles over hosts", "ebrec_fleet_metrics", ("metric",), ours),
        ("percentiles of hosts", "ebrec_host_metrics", ("metric", "host"), ours_by_host),
    ):
        columns, rows = answers[view]
        rows = [dict(zip(columns, row)) for row in rows]
        theirs = [tuple(row[name] for name in names + values) for row in rows if row["p50"] is not None]
        problems += unlike(what, expected, theirs)
        if view == "ebrec_fleet_metrics" and max((row["hosts"], row["recordings"]) for row in rows) != (2, len(by_run)):
            problems.append(f"{what}: not of 2 hosts and all recordings")
    return problems


def merged(parts):
    """Count, sum, percentiles and extremes of several histograms together."""
    buckets = Counter()
    for bucket in (bucket for part in parts for bucket in part["buckets"]):
        buckets[bucket["lo"], bucket["hi"]] += bucket["count"]
    smallest, largest = min(part["min"] for part in parts), max(part["max"] for part in parts)
    percentiles = (percentile(buckets, q, smallest, largest) for q in (0.5, 0.9, 0.99, 0.999))
    return (sum(part["count"] for part in parts), sum(part["sum"] for part in parts), *percentiles, smallest, largest)


def percentile(buckets, q, smallest, largest):
    rank, up_to = math.ceil(q * sum(buckets.values())), 0
    for (lo, hi), count in sorted(buckets.items()):
        up_to += count
        if up_to >= rank:
            return max(min(lo + (hi - lo) // 2, largest), smallest)


def compare_with_ebrec(files, answers):
    """The problems of every view; `files` has the run and the window of each recording."""
    columns, rows = answers["ebrec_recordings"]
    recordings = [dict(zip(columns, row)) for row in rows]
    windows = [(row["run_id"], row["start_ns"], row["window_ns"]) for row in recordings]
    problems, by_run = unlike("recordings", files.values(), windows), {}
    for path, (run_id, start_ns, window_ns) in files.items():
        found, views = tables("info", path), Views(answers, run_id)
        metrics = [metric for metric in found["metrics"] if metric["metric"] in BY_KEY]
        checks = [
            check_processes(path, views), check_metrics(path, views), check_by_key(path, views, metrics),
            check_over_time(path, views, start_ns), check_threads(path, views), check_names(path, views), check_waits(path, views),
            check_slow_events(path, views, start_ns),
            check_process_starts(path, views, start_ns), check_losses(path, views), check_cost(path, views),
        ]
        if any(row["kind"] == "cpu_sample" for row in found["kinds"]):
            checks += [check_flame_graph(path, views), check_functions(path, views)]
        problems += [f"{os.path.basename(path)}: {problem}" for found in checks for problem in found]
        series = {name: plot["series"][0] for name, plot in document(path, "hist")["histograms"].items()}
        by_run[run_id] = (series, window_ns)
    problems += check_compare(by_run, answers) + check_fleet(by_run, answers)
    return problems + [f"{check}: ebrec has no rows to compare with" for check, rows in COMPARED.items() if not rows]


def compare_engines(mine, other):
    """Where an engine's rows are not DuckDB's."""
    problems = []
    for view, (columns, rows) in mine.items():
        theirs, others = other.get(view, ([], []))
        if columns != theirs:
            problems.append(f"{view} has the columns {theirs}")
            continue
        # Engines divide doubles alike but for the last digit.
        plain = lambda row: tuple(f"{value:.12g}" if isinstance(value, float) else value for value in row)
        problems += unlike(view, map(plain, rows), map(plain, others))
    return [problem.replace("ebrec's", "DuckDB's") for problem in problems]


def without_java():
    """Why Spark can't run, if it can't."""
    return "no Java here" if subprocess.run(["sh", "-c", "java -version"], capture_output=True).returncode else None


def main(wanted):
    passed = failed = skipped = 0

    def result(name, problems, detail):
        nonlocal passed, failed
        for problem in problems:
            print(f"FAILED {name}: {problem}")
        if not problems:
            print(f"ok {name}: {detail}")
        passed, failed = passed + (not problems), failed + bool(problems)

    python, first = None, None
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as mixed:
        for engine in wanted:
            python, lacking = engines.environment(PACKAGES["duckdb"] | PACKAGES[engine])
            why = next(iter(lacking.values()), None)
            if engine == "spark":
                why = why or without_java()
            if why:
                print(f"skipped: SQL views in {engine}: {why}")
                skipped += 1
                continue
            if not os.listdir(directory):
                *others, last = sorted(glob.glob(os.path.join(ROOT, "fixtures", "*.parquet")))
                for fixture in others:
                    os.symlink(fixture, os.path.join(directory, os.path.basename(fixture)))
                lossy = os.path.join(directory, "lossy.parquet")
                subprocess.run([python, os.path.abspath(__file__), "--lossy", last, lossy], check=True)
                subprocess.run([python, engines.__file__, "--later", others[0], mixed], check=True)
                rows = sum(row["rows"] for row in tables("info", others[0])["kinds"])
            done = subprocess.run([python, os.path.abspath(__file__), "--run", engine, directory, mixed], capture_output=True, text=True)
            if done.returncode:
                result(f"SQL views in {engine}", [last_line(done.stderr)], "")
            elif engine == "trino":
                result("SQL views for trino", [], "parsed")
            else:
                got = json.loads(done.stdout)
                detail = f"{len(got['answers'])} views, {got['examples']} examples"
                right = [2 * rows, 7 * rows]
                problems = [] if got["versions"] == right else [f"two versions: {got['versions']}, not {right}"]
                if engine == "duckdb":
                    first = got["answers"]
                    problems += [f"{view} of one compacted file differs" for view in got["unlike"]]
                    result("SQL views in duckdb beside ebrec", problems + compare_with_ebrec(got["files"], first), detail)
                elif first is None:
                    print(f"skipped: SQL views in {engine}: nothing of DuckDB's to compare with")
                    skipped += 1
                else:
                    result(f"SQL views in {engine} beside DuckDB", problems + compare_engines(first, got["answers"]), detail)
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; {skipped} ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        parse_trino() if sys.argv[2] == "trino" else run(*sys.argv[2:5])
    elif sys.argv[1:2] == ["--lossy"]:
        make_lossy(*sys.argv[2:4])
    else:
        sys.exit(main(sys.argv[1:] or list(PACKAGES)))
