#!/usr/bin/env python3
"""What a fleet of machines says together: percentiles, the slowest hosts, outliers and flame graph, over recordings on any storage that Spark reads.

    spark-submit fleet/fleet.py [--views sql/spark.sql] [--metric METRIC]... RECORDINGS OUT

RECORDINGS is a directory, URL or pattern of recordings; what is below a directory belongs to it, and parts of paths such as date=… and host=…
become columns that Spark prunes by. OUT is a directory to be made, with one Parquet table in each of its directories:

    percentiles   each metric over all hosts: hosts, recordings, n, p50, p90, p99, p999 (histograms added up, so as exact as for one host)
    hosts         each metric by host, with the host's rank by p99 and its distance from the other hosts
    outliers      those rows of hosts that are far from the others
    flame_graph   folded stacks of all hosts with their time, and on how many hosts they were
    page          what fits on a page of these, as text: `ebrec report OUT -o fleet.html` draws it

A host is an outlier in a metric if the logarithm of its p99 is more than 3.5 robust standard deviations (1.4826 times the median absolute deviation)
from the median of all hosts, and its p99 differs from theirs by more than a third; a robust deviation counts as 1/32 at least, the error of a percentile.
There have to be five hosts, each with 100 values.
"""

import argparse
import os

from pyspark.sql import SparkSession
from pyspark.sql import Window
from pyspark.sql import functions as f

HERE = os.path.dirname(os.path.abspath(__file__))
# The error of a percentile, as a logarithm's deviation.
LEAST_DEVIATION = 1 / 32

HOSTS = """
select host, metric, unit, n, total, p50, p90, p99, p999, hosts, rank, distance,
  hosts >= 5 and n >= 100 and abs(distance) > 3.5 and abs(deviation) > ln(4e0 / 3) as outlier
from (
  select d.*, d.deviation / greatest(1.4826e0 * d.mad, {least}e0) as distance
  from (
    select c.*, median(abs(c.deviation)) over (partition by c.metric) as mad
    from (
      select m.*, count(*) over (partition by m.metric) as hosts, row_number() over (partition by m.metric order by m.p99 desc, m.host) as rank,
        ln(greatest(m.p99, 1)) - median(ln(greatest(m.p99, 1))) over (partition by m.metric) as deviation
      from ebrec_host_metrics m
      where m.p99 is not null
    ) c
  ) d
)
"""

FLAME_GRAPH = """
select profile, stack, sum(ns) as ns, sum(n) as n, count(distinct host) as hosts
from ebrec_flame_graph
group by profile, stack
"""


# Rows of the page: hosts by metric, outliers, stacks by profile.
SLOWEST = 10
OUTLIERS = 1000
STACKS = 5000
# The form of the page, which `ebrec report` checks.
PAGE_VERSION = 1


def statements(script):
    """The statements of a script without its comments."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [text.strip() for text in "\n".join(lines).split(";\n") if text.strip()]


def create_views(spark, script, recordings):
    """Makes the views of `ebrec sql` over the recordings, in place of those that the script names."""
    reader = spark.read.option("mergeSchema", "true")
    # A pattern says itself how deep it goes.
    if not any(letter in recordings for letter in "*?[{"):
        reader = reader.option("pathGlobFilter", "*.parquet")
    reader.parquet(recordings).createOrReplaceTempView("ebrec_rows")
    for statement in statements(script):
        if "view ebrec_rows\n" not in statement:
            spark.sql(statement)


def tables(spark, metrics):
    """The tables by name, of all metrics or only of some."""
    chosen = "true"
    if metrics:
        chosen = "metric in ({})".format(", ".join("'" + metric.replace("\\", "\\\\").replace("'", "\\'") + "'" for metric in metrics))
    hosts = spark.sql(HOSTS.format(least=LEAST_DEVIATION)).where(chosen)
    return {
        "percentiles": spark.table("ebrec_fleet_metrics").where(chosen),
        "hosts": hosts,
        "outliers": hosts.where("outlier"),
        "flame_graph": spark.sql(FLAME_GRAPH),
    }


def page(spark, recordings, out):
    """What fits on a page of the tables that were written: a JSON object a line."""
    percentiles, hosts, outliers, flame_graph = (
        spark.read.parquet(f"{out}/{name}") for name in ("percentiles", "hosts", "outliers", "flame_graph")
    )

    def lines(name, table, *columns):
        return table.select(f.to_json(f.struct(f.lit(name).alias("table"), *columns)).alias("value"))

    def heaviest(table, number, order, *by):
        """The first rows of each group, and how many there are beyond."""
        numbered = table.withColumn("place", f.row_number().over(Window.partitionBy(*by).orderBy(*order)))
        return numbered.where(f.col("place") <= number), numbered.where(f.col("place") > number)

    figures = ("metric", "unit", "n", "total", "p50", "p90", "p99", "p999")
    of_host = ("host", "rank", "distance", *figures)
    far, not_far = heaviest(outliers, OUTLIERS, [f.abs("distance").desc(), "metric", "host"], f.lit(1))
    wide, narrow = heaviest(flame_graph, STACKS, [f.col("ns").desc(), "stack"], "profile")
    about = percentiles.agg(f.coalesce(f.max("hosts"), f.lit(0)).alias("hosts"), f.coalesce(f.max("recordings"), f.lit(0)).alias("recordings"))
    parts = [
        lines("fleet", about, f.lit(PAGE_VERSION).alias("version"), "hosts", "recordings", f.lit(recordings).alias("source")),
        lines("percentiles", percentiles.where("p50 is not null"), "hosts", "recordings", *figures),
        lines("hosts", hosts.where(f.col("rank") <= SLOWEST), *of_host),
        lines("outliers", far, *of_host),
        lines("flame_graph", wide, "profile", "stack", "ns", "hosts"),
    ]
    for name, rest in (("hosts", hosts.where(f.col("rank") > SLOWEST)), ("outliers", not_far), ("flame_graph", narrow)):
        parts.append(lines("omitted", rest.agg(f.count("*").alias("rows")), f.lit(name).alias("of"), "rows"))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionAll(part)
    return whole.coalesce(1)


def main():
    parser = argparse.ArgumentParser(description="Percentiles, slowest hosts, outliers and flame graph of a fleet")
    parser.add_argument("recordings", metavar="RECORDINGS")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--views", default=os.path.join(HERE, "..", "sql", "spark.sql"), help="the script that 'ebrec sql --dialect spark' prints")
    parser.add_argument("--metric", action="append", default=[], help="only this metric; can be repeated")
    arguments = parser.parse_args()
    # A host is a text, also where its name in a path looks like a number.
    settings = {"spark.sql.session.timeZone": "UTC", "spark.sql.sources.partitionColumnTypeInference.enabled": "false"}
    spark = SparkSession.builder.appName("ebrec fleet").config(map=settings).getOrCreate()
    with open(arguments.views) as script:
        create_views(spark, script.read(), arguments.recordings)
    out = arguments.out.rstrip("/")
    for name, table in tables(spark, arguments.metric).items():
        table.write.option("compression", "zstd").parquet(f"{out}/{name}")
    page(spark, arguments.recordings, out).write.text(f"{out}/page")
    spark.stop()


if __name__ == "__main__":
    main()
