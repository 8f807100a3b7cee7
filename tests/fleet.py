#!/usr/bin/env python3
"""The fleet job (fleet/fleet.py) on a cluster of two Spark workers: its numbers are ebrec's.

    tests/fleet.py [--keep DIRECTORY]      the directory gets the job's page

Twelve hosts are made of one fixture, one of them with waits for a CPU that are eight times as long, in directories by date and host.
The job has to find that host and no other, and its percentiles, ranks and flame graph have to be what ebrec says of the same files.
What can't run here is printed as "skipped: NAME: REASON". The last line counts in the form of cargo's test runner.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import engines
import sql_views
from engines import EBREC, ROOT, last_line

HOSTS = 12
SLOW, SLOW_METRIC, TIMES = "07", "sched.runqueue_latency", 8
FIXTURE = os.path.join(ROOT, "fixtures", "redis.parquet")


# ---- what runs inside the virtual environment

def make(directory):
    """`fleet.py --make DIRECTORY`: the recordings."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(FIXTURE)
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"ebrec.checksum"}
    slow = pc.fill_null(pc.equal(table["metric"], SLOW_METRIC), False)
    for number in range(HOSTS):
        host = f"{number:02}"
        own = table
        changed = {"host": pa.array([host] * len(own)), "run_id": pa.array([f"run-{host}"] * len(own))}
        if host == SLOW:
            for column in ("bucket_lo", "bucket_hi", "sum", "min", "max", "p50", "p99"):
                changed[column] = pc.if_else(slow, pc.multiply(own[column], TIMES), own[column])
        for column, values in changed.items():
            at = own.schema.get_field_index(column)
            own = own.set_column(at, own.schema.field(column), values)
        home = os.path.join(directory, "date=2026-11-29", f"host={host}")
        os.makedirs(home)
        with pq.ParquetWriter(os.path.join(home, "run.parquet"), table.schema.with_metadata(metadata), compression="zstd") as writer:
            for kind in pc.unique(own["kind"]).to_pylist():
                writer.write_table(own.filter(pc.equal(own["kind"], kind)).replace_schema_metadata(metadata))


def show(directory):
    """`fleet.py --show DIRECTORY`: the job's tables as JSON."""
    import pyarrow.parquet as pq

    names = ("percentiles", "hosts", "outliers", "flame_graph")
    json.dump({name: pq.read_table(os.path.join(directory, name)).to_pylist() for name in names}, sys.stdout)


# ---- the comparison

def series(path):
    return {name: plot["series"][0] for name, plot in sql_views.document(path, "hist")["histograms"].items()}


def compare(recordings, found):
    """What the job says otherwise than ebrec."""
    by_host = {}
    for number in range(HOSTS):
        host = f"{number:02}"
        by_host[host] = series(os.path.join(recordings, "date=2026-11-29", f"host={host}", "run.parquet"))
    metrics = list(by_host["00"])
    values = ("p50", "p90", "p99", "p999")
    ours = []
    for metric in metrics:
        n, total, *percentiles, _, _ = sql_views.merged([one[metric] for one in by_host.values()])
        ours.append((metric, HOSTS, HOSTS, n, total, *percentiles))
    theirs = [
        (row["metric"], row["hosts"], row["recordings"], row["n"], row["total"], *(row[name] for name in values))
        for row in found["percentiles"] if row["p50"] is not None
    ]
    problems = sql_views.unlike("percentiles", ours, theirs)
    ours = []
    for metric in metrics:
        slowest = sorted(by_host, key=lambda host: (-by_host[host][metric]["percentiles"]["p99"], host))
        for rank, host in enumerate(slowest, 1):
            one = by_host[host][metric]
            ours.append((host, metric, one["count"], *(one["percentiles"][q] for q in ("p50", "p90", "p99", "p99.9")), rank))
    theirs = [(row["host"], row["metric"], row["n"], *(row[name] for name in values), row["rank"]) for row in found["hosts"]]
    problems += sql_views.unlike("hosts", ours, theirs)
    problems += sql_views.unlike("outliers", [(SLOW, SLOW_METRIC)], [(row["host"], row["metric"]) for row in found["outliers"]])
    for profile in ("cpu", "offcpu"):
        command = [EBREC, "export", "--to", "folded", "--profile", profile, FIXTURE]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        ours = [(stack, HOSTS * int(ns), HOSTS) for stack, _, ns in (line.rpartition(" ") for line in lines)]
        theirs = [(row["stack"], row["ns"], row["hosts"]) for row in found["flame_graph"] if row["profile"] == profile]
        problems += sql_views.unlike(f"flame graph of {profile}", ours, theirs)
    return problems


def compare_page(out, found):
    """What `ebrec report` shows of the job's page otherwise than the job's tables have it."""
    document = json.loads(subprocess.run([EBREC, "report", out, "--format", "json"], capture_output=True, text=True, check=True).stdout)
    tables, problems = document["tables"], []
    values = ("p50", "p90", "p99", "p999")
    key = lambda row, *names: tuple(row[name] for name in names) + tuple(row[name] for name in values)
    theirs = [key(row, "metric", "hosts", "recordings", "n") for row in found["percentiles"] if row["p50"] is not None]
    ours = [key(row, "metric", "hosts", "recordings", "count") for row in tables["fleet"]]
    problems += sql_views.unlike("percentiles on the page", ours, theirs)
    for name, rows in (("hosts", [row for row in found["hosts"] if row["rank"] <= 10]), ("outliers", found["outliers"])):
        ours = [key(row, "host", "metric", "rank", "count") for row in tables[name]]
        problems += sql_views.unlike(f"{name} on the page", ours, [key(row, "host", "metric", "rank", "n") for row in rows])
    if document["omitted"].get("hosts") != len(found["hosts"]) - len(tables["hosts"]):
        problems.append(f"the page says that {document['omitted']} rows are left out")
    if document["subtitle"].split(" in ")[0] != f"{HOSTS} recordings of {HOSTS} hosts":
        problems.append(f"the page is of {document['subtitle']}")
    page = subprocess.run([EBREC, "report", os.path.join(out, "page"), "--format", "html"], capture_output=True, text=True, check=True).stdout
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    flames = list(flames_of(data))
    for title, profile in (("CPU time of all hosts", "cpu"), ("Time asleep of all hosts", "offcpu")):
        if not any(flame.get("title") == title for flame in flames):
            problems.append(f"the page has no flame graph of {profile}")
    return problems


def flames_of(part):
    """The flame graphs somewhere in a page's data."""
    if isinstance(part, dict):
        if part.get("kind") == "flame":
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from flames_of(inner)


def job(python, recordings, out):
    """Runs the job as one would on a cluster: two workers, each a process with one core."""
    home = subprocess.run([python, "-c", "import pyspark; print(*pyspark.__path__)"], capture_output=True, text=True, check=True).stdout.strip()
    settings = {
        "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.sql.adaptive.enabled": "false", "spark.executor.memory": "512m",
        "spark.driver.extraJavaOptions": sql_views.QUICK_JAVA, "spark.executor.extraJavaOptions": sql_views.QUICK_JAVA,
    }
    words = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    command = [os.path.join(home, "bin", "spark-submit"), "--master", "local-cluster[2,1,1024]", *words,
               os.path.join(ROOT, "fleet", "fleet.py"), recordings, out]
    surroundings = os.environ | {"SPARK_HOME": home, "PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
    # Workers keep what they were given below the directory that Spark was started in.
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, cwd=os.path.dirname(out))


def main():
    python, lacking = engines.environment(sql_views.PACKAGES["spark"] | {"pyarrow": f"pyarrow=={engines.stated('pyarrow')}"})
    why = next(iter(lacking.values()), None) or sql_views.without_java()
    if why:
        print(f"skipped: fleet job: {why}\ntest result: ok. 0 passed; 0 failed; 1 ignored")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        recordings, out = os.path.join(directory, "recordings"), os.path.join(directory, "out")
        os.mkdir(recordings)
        subprocess.run([python, os.path.abspath(__file__), "--make", recordings], check=True)
        done = job(python, recordings, out)
        if done.returncode:
            problems = [f"spark-submit ended with status {done.returncode}: {last_line(done.stderr)}"]
        else:
            shown = subprocess.run([python, os.path.abspath(__file__), "--show", out], capture_output=True, text=True, check=True)
            found = json.loads(shown.stdout)
            problems = compare(recordings, found) + compare_page(out, found)
            if "--keep" in sys.argv:
                shutil.copytree(os.path.join(out, "page"), sys.argv[sys.argv.index("--keep") + 1])
    for problem in problems:
        print(f"FAILED fleet job: {problem}")
    if not problems:
        print(f"ok fleet job: {HOSTS} hosts on two workers")
    print(f"test result: {'FAILED. 0 passed; 1 failed' if problems else 'ok. 1 passed; 0 failed'}; 0 ignored")
    return 1 if problems else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2])
    elif sys.argv[1:2] == ["--show"]:
        show(sys.argv[2])
    else:
        sys.exit(main())
