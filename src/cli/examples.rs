//! Examples of every command, for `--help` and the manual.

/// A command line and what it does.
pub(super) struct Example {
    pub(super) line: &'static str,
    pub(super) does: &'static str,
}

const fn example(line: &'static str, does: &'static str) -> Example {
    Example { line, does }
}

/// The examples of a subcommand; those of `ebrec` itself are under the empty name.
pub(super) fn of(command: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The examples as they stand at the end of `--help`.
pub(super) fn help(command: &str) -> String {
    let mut text = String::from("Examples:");
    for Example { line, does } in of(command) {
        text.push_str(&format!("\n  {line}\n      {does}"));
    }
    text
}

static EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            example("sudo ebrec record -d 30s", "Record 30 seconds of the whole machine into run.parquet"),
            example("ebrec report run.parquet", "Show what happened, who did it, what was slow, and what was lost"),
            example("sudo ebrec record -- make -j8", "Record one command and all its children, from start to end"),
        ],
    ),
    (
        "record",
        &[
            example("sudo ebrec record -d 30s", "Record 30 seconds of the whole machine into run.parquet"),
            example(
                "sudo ebrec record -o build.parquet -- make -j8",
                "Record a build from start to end, run as you and not as root",
            ),
            example(
                "sudo ebrec record -p block:raw,process --comm postgres",
                "Record every disk I/O of the processes named postgres",
            ),
            example(
                "sudo ebrec record -p +block:slow=1ms -d 1m",
                "Run the default probes, and stream each disk I/O of 1 ms or more",
            ),
            example(
                "sudo ebrec record --last 10s --until 'block.device_time > 100ms' --after 2s",
                "Wait for a slow disk request, and keep the 10 seconds before it and the 2 after it",
            ),
            example("sudo ebrec record -e latency:vfs_read", "Time a kernel function, per process"),
            example(
                "sudo ebrec record -e 'uprobe:libc:getaddrinfo(str(arg0))' -p process",
                "Record every host name that is looked up, and by which process",
            ),
            example(
                "sudo ebrec record -e 'tracepoint:block:block_rq_issue(hist(bytes), by(rwbs))/bytes > 64KiB/'",
                "Record the sizes of large disk requests, by operation",
            ),
        ],
    ),
    (
        "report",
        &[
            example("ebrec report run.parquet", "Print the summary"),
            example(
                "ebrec report processes --tree run.parquet",
                "Show every process under its parent, short-lived ones included",
            ),
            example("ebrec report -o run.html run.parquet", "Write one page to explore in a browser"),
            example("ebrec report hist run.parquet", "Show every distribution on one line"),
            example(
                "ebrec report hist sched.runqueue_latency --by comm run.parquet",
                "Show how long each command waited for a CPU",
            ),
            example(
                "ebrec report slow -n 5 run.parquet",
                "Show the five slowest events, with what happened around each",
            ),
            example("ebrec report heatmap block.device_time -o disk.svg run.parquet", "Plot disk latencies over time"),
            example(
                "ebrec report timeline sched block --comm postgres run.parquet",
                "Show postgres's CPU and disk use, second by second",
            ),
            example(
                "ebrec report block --from 2s --to 5s -o block.svg run.parquet",
                "Plot the disk latencies of three seconds",
            ),
            example(
                "ebrec report --by host 'recordings/date=2026-11-*'",
                "Show a row per host, the hosts that differ, and percentiles of all hosts together",
            ),
            example(
                "find /bucket -name '*.parquet' -print0 | ebrec report --files-from -",
                "Summarise the recordings of a list",
            ),
            example(
                "ebrec report exec --top 0 --format csv recordings/",
                "List every process start on many hosts, for a spreadsheet",
            ),
        ],
    ),
    (
        "diff",
        &[
            example("ebrec diff before.parquet after.parquet", "Compare two recordings"),
            example(
                "ebrec diff before/ after/",
                "Compare two directories of at least three recordings each, to distinguish changes from chance",
            ),
            example(
                "ebrec diff 'old-*.parquet' 'new-*.parquet' -o diff.md",
                "Compare by patterns, and write Markdown for a pull request",
            ),
            example(
                "ebrec diff before/ after/ --fail-if 'block.device_time{dev=vda}.p99 > +20%' --fail-if 'ledger.on_cpu{comm=app}.time > +5%'",
                "Fail a CI job if the disk or the program got slower",
            ),
        ],
    ),
    (
        "export",
        &[
            example(
                "ebrec export --to openmetrics -o metrics/ recordings/",
                "Write the metrics of each recording to its own file in the directory metrics",
            ),
            example(
                "ebrec export --to pprof run.parquet -o run.pb.gz",
                "Profile with pprof: go tool pprof -http=: run.pb.gz",
            ),
            example(
                "ebrec export --to folded --profile offcpu run.parquet | flamegraph.pl --countname ns > offcpu.svg",
                "Draw a flame graph of the time asleep",
            ),
            example(
                "ebrec export --to firefox run.parquet -o run.json.gz",
                "Write a profile for profiler.firefox.com, with slow events as markers",
            ),
            example(
                "ebrec export --to openmetrics run.parquet -o run.om",
                "Import into Prometheus: promtool tsdb create-blocks-from openmetrics run.om data/",
            ),
            example(
                "ebrec export --to prometheus run.parquet | curl --data-binary @- http://localhost:8428/api/v1/import/prometheus",
                "Import into VictoriaMetrics",
            ),
            example(
                "ebrec export --push http://localhost:9090/api/v1/write run.parquet",
                "Push to a Prometheus that accepts remote writes",
            ),
        ],
    ),
    (
        "info",
        &[
            example("ebrec info run.parquet", "Show host, window, probes, losses and columns"),
            example("ebrec info --format json run.parquet", "Print the same for a program to read"),
        ],
    ),
    (
        "probes",
        &[
            example("ebrec probes", "List every probe and whether it can run here"),
            example("ebrec probes block", "Show what the block probe measures, its columns and settings"),
            example("ebrec probes -e 'kprobe:tcp_*'", "Show which functions a custom event attaches to"),
            example(
                "ebrec probes -e usdt:/usr/bin/python3:python:gc__start",
                "Show how many arguments a USDT probe has",
            ),
        ],
    ),
    ("doctor", &[example("ebrec doctor", "Show what this machine allows, and the fix for what is missing")]),
    (
        "share",
        &[
            example(
                "ebrec share run.parquet",
                "Make run.zip for a bug tracker, with pseudonyms for what identifies someone",
            ),
            example("ebrec share --show run.parquet", "List what could identify someone, before anything is written"),
            example("ebrec share --redact symbols,build-ids run.parquet", "Also hide the names of your own functions"),
            example(
                "ebrec share --keep paths,programs --max-size 100MiB run.parquet",
                "Keep paths and programs, for a colleague",
            ),
        ],
    ),
    ("recover", &[example("ebrec recover run.parquet", "Make run.parquet from run.parquet.partial after a kill -9")]),
    (
        "sql",
        &[
            example(
                "ebrec sql recordings/ > views.sql && duckdb -init views.sql",
                "Query all recordings below a directory",
            ),
            example(
                "{ ebrec sql run.parquet; echo 'from ebrec_processes order by cpu_ns desc limit 10;'; } | duckdb",
                "Show the ten processes with the most CPU time",
            ),
            example(
                "{ ebrec sql --dialect clickhouse run.parquet; echo 'select * from ebrec_losses;'; } | clickhouse local --multiquery",
                "Show what is missing",
            ),
            example(
                "spark-sql -i <(ebrec sql --dialect spark 's3a://bucket/date=2026-11-29/host=*/*.parquet')",
                "Query a day of a fleet",
            ),
            example(
                "ebrec sql --dialect trino s3://bucket/recordings/ | trino --catalog hive --schema default",
                "Create the views in a catalog",
            ),
        ],
    ),
    (
        "completions",
        &[
            example("ebrec completions bash > ~/.local/share/bash-completion/completions/ebrec", "For bash"),
            example("ebrec completions fish > ~/.config/fish/completions/ebrec.fish", "For fish"),
            example("ebrec completions zsh > ~/.zfunc/_ebrec", "For zsh, with ~/.zfunc in $fpath"),
        ],
    ),
    ("man", &[example("ebrec man man/", "Write ebrec.1 and a page per command into man/")]),
];
