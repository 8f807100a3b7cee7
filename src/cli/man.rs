//! The manual pages: options from clap, the rest by hand.

use clap_mangen::Man;
use clap_mangen::roff::Roff;
use clap_mangen::roff::bold;
use clap_mangen::roff::italic;
use clap_mangen::roff::roman;

use crate::cli::Terminal;
use crate::cli::command;
use crate::cli::examples;
use crate::cli::examples::Example;
use crate::render::Table;
use crate::report::VIEWS;
use crate::report::tables;
use crate::report::tables_by_host;
use crate::sql;

/// Every page as `(file name, text)`: `ebrec.1`, then one per command, in the order of the help, and the page of the format
/// where the probes are built in.
pub fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    // `ebrec help` shows what these pages hold.
    let mut ebrec = command(&Terminal::default()).mut_subcommand("help", |help| help.hide(true));
    ebrec.build();
    let shown: Vec<clap::Command> = ebrec.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    let names: Vec<String> = shown.iter().map(|sub| sub.get_name().to_owned()).collect();
    let mut pages = vec![("ebrec.1".to_owned(), page(ebrec, "", &names)?)];
    for (sub, name) in shown.into_iter().zip(&names) {
        pages.push((format!("ebrec-{name}.1"), page(sub, name, &names)?));
    }
    #[cfg(all(feature = "record", target_os = "linux"))]
    pages.push(("ebrec-recording.5".to_owned(), crate::cli::format_page::page().into_bytes()));
    Ok(pages)
}

/// One page; `name` is the command, empty for `ebrec` itself.
fn page(command: clap::Command, name: &str, commands: &[String]) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command).source(concat!("ebrec ", env!("CARGO_PKG_VERSION"))).manual("ebrec manual");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    synopsis(&mut out, name)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if name.is_empty() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    if name == "report" {
        views(&mut roff);
        data(&mut roff);
    }
    if name == "sql" {
        sql_views(&mut roff);
    }
    if name == "diff" {
        roff.control("SH", ["JSON AND CSV"]);
        roff.text([roman(
            "The format is that of ebrec-report(1). Values before and after are in the unit of the row.",
        )]);
        crate::diff::tables().iter().for_each(|table| fields(&mut roff, &format!("diff: {}", table.name), table));
    }
    examples(&mut roff, examples::of(name));
    for (command, heading, paragraphs) in SECTIONS {
        if *command == name {
            section(&mut roff, heading, paragraphs);
        }
    }
    exit_status(&mut roff, name);
    see_also(&mut roff, name, commands);
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// Sections by hand: command, heading, and tagged paragraphs. An empty tag is a plain paragraph.
type Section = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

static SECTIONS: &[Section] = &[
    (
        "",
        "ENVIRONMENT",
        &[
            ("NO_COLOR", "When set to anything, output has no colours unless --color always is given."),
            ("COLUMNS", "Width of text output, in place of the terminal's own."),
        ],
    ),
    (
        "report",
        "LARGE RECORDINGS",
        &[(
            "",
            "A report keeps at most 256 MiB of a recording in memory, whatever the recording's size. The rest goes through unnamed temporary \
             files in $TMPDIR, or /tmp, and long tables are written row by row. Pictures show the 100 heaviest series and the 10,000 \
             heaviest stacks, and the rest as one. A timeline with very many intervals joins neighbours, and says so. If a view can't be \
             bounded in any of these ways, it fails and names the options that narrow it.",
        )],
    ),
    (
        "report",
        "MANY RECORDINGS",
        &[
            (
                "",
                "A directory stands for all recordings in it and below it. Directories whose names begin with a dot or an underscore are \
                 skipped, and links to directories are not followed. A word that names no file and contains *, ? or [ is a pattern, in which \
                 ** matches any number of directories. The label of a recording is its host; if a host has several, the parts KEY=VALUE of \
                 their paths (date=2026-11-22/host=web1/run.parquet) or their file names distinguish them. A part host=NAME names the host \
                 of a recording that does not name its own.",
            ),
            (
                "",
                "ebrec reads more than eight recordings, and any number with --by host, one by one on all cores, at most eight at a time. \
                 Memory and open files do not grow with their number, except for a few hundred bytes of names each. Rankings cover all \
                 recordings, distributions and flame graphs are added up exactly, and a sentence that is true of several recordings appears \
                 once. Plots over time show the first recordings.",
            ),
            (
                "",
                "A host is an outlier in a figure if eight or more hosts have the figure and two conditions hold. Its modified z-score is at \
                 least 3.5 in either direction: 0.6745 times its distance from the median of all hosts, divided by the median of these \
                 distances (Iglewicz and Hoaglin, 1993). If that median is zero, the score is the distance divided by 1.2533 times the mean \
                 distance. And the figure is at least 1.5 times the median, or the median at least 1.5 times the figure.",
            ),
            (
                "",
                "A recording that can't be read is left out, and named on stderr and in left_out of JSON output. The exit status is 1 if the \
                 command line names that very file, and 0 if the file was found in a directory, by a pattern or in a list. If no recording \
                 can be read, there is no report, and the exit status is 1.",
            ),
        ],
    ),
    (
        "diff",
        "COMPARISON",
        &[
            (
                "",
                "diff compares every metric per set of labels: rate, time per second, bytes per second, p50, p90, p99 and p99.9. It compares \
                 the wall-clock ledger per process and cause, without time that is idle by design, and functions on and off the CPU, alone \
                 (self) and with the functions they call (total). A function's time is its share of the samples, applied to the CPU time in \
                 the ledger. The share itself is compared, too: where traffic differs between runs, it shows a slower function that time \
                 per second does not. Names survive a restart: labels are commands, devices, routes, functions and system calls, never ids, ports or \
                 addresses. Differences in how the two sides were recorded come first.",
            ),
            (
                "",
                "With five or more recordings a side, an exact permutation test of log ratios distinguishes changes from chance; with three \
                 or four, or very many, Welch's t test does. Benjamini and Hochberg's procedure holds the false discovery rate over all \
                 quantities at 4 %: 2.4 % for the ledger and 1.6 % for everything else. With fewer than three recordings a side, diff uses a \
                 block bootstrap over intervals; it then assumes, and does not measure, how much two runs of the same thing differ \
                 (by 10 % or 2 ms/s, whichever is more, and waits by more). \
                 Confidence intervals are at 95 % and include the error of histograms.",
            ),
            (
                "",
                "Changes of time come first, the largest at the top. Significant changes below 2 % or 1 ms/s of time, or below 5 % of \
                 anything else, are counted and not listed.",
            ),
        ],
    ),
    (
        "diff",
        "EXPRESSIONS",
        &[
            (
                "",
                "An expression of --fail-if is METRIC{LABEL=VALUE,...}.STATISTIC, a comparison (>, >=, <, <=) and a bound. It adds up all \
                 groups of the metric that have the labels, or all groups if there are no braces. Put a value with spaces or punctuation in \
                 double quotes. The column quantity of the output has names in this form. Expressions are tested at 5 %, adjusted for their \
                 own number only.",
            ),
            ("time", "Time spent per second, such as 10ms or 10ms/s."),
            ("share", "For functions: percent of the CPU time of their process, such as 30."),
            ("rate", "Occurrences per second, such as 100 or 100/s."),
            ("bytes", "Bytes per second, such as 1MiB/s."),
            ("p50, p90, p99, p99.9", "A percentile, in the unit of the metric."),
            ("length", "With the metric command: how long the recorded command took."),
            ("+20%, -5%, +2ms", "A bound with a sign applies to the change."),
            ("5ms, 1000/s", "A bound without a sign applies to the value after."),
            (
                "",
                "A name that neither side has is an error (exit status 2), as is a bound in the wrong unit. So is a metric that a recording of \
                 one side did not measure (exit status 1): it has not changed.",
            ),
        ],
    ),
    (
        "sql",
        "ENGINES",
        &[
            (
                "duckdb",
                "The script reads the files that the variable recordings names, by default *.parquet: set variable recordings = \
                 's3://bucket/*/*.parquet'. You can change it later, too.",
            ),
            (
                "clickhouse",
                "For clickhouse local and chDB. On a server, the function file reads below its user_files_path; replace it by s3(...) for a \
                 bucket.",
            ),
            (
                "spark",
                "Temporary views, for spark-sql -i. In PySpark, pass the statements to spark.sql one by one; each ends with a semicolon at \
                 the end of a line. Set the session's time zone to UTC.",
            ),
            (
                "trino",
                "A table over a directory of the Hive connector, and views in the current schema. The connector needs hive.timestamp-precision=MICROSECONDS.",
            ),
            (
                "",
                "Scripts for the default locations are installed in share/ebrec/sql. The numbers equal those of ebrec report: percentiles \
                 have the same definition, and a test compares every view with ebrec's own in DuckDB, ClickHouse and Spark.",
            ),
        ],
    ),
    (
        "record",
        "PROBES",
        &[
            ("", "The value of --probe is a comma-separated list of items. The option can be repeated."),
            ("NAME", "Run this probe. A list of names without signs runs exactly those probes."),
            ("+NAME, -NAME", "Add a probe to the default set, or take it out."),
            ("all", "Run every probe; -NAME takes one out."),
            (
                "NAME:MODE",
                "hist keeps histograms and counters only, slow also streams every event at or over the probe's threshold, \
                 raw also streams every event. The default is the probe's own.",
            ),
            (
                "NAME:KEY=VALUE",
                "A setting of the probe, such as block:slow=5ms or cpu:hz=999. ebrec probes NAME lists them.",
            ),
            (
                "",
                "A probe that you name and that can't run is an error. A probe of the default set that can't run is left out with a warning, \
                 and the recording says why.",
            ),
        ],
    ),
    (
        "record",
        "EVENTS",
        &[
            (
                "",
                "A custom event is SORT:WHERE, optionally followed by captures in parentheses and a filter between slashes. ebrec counts its \
                 hits per process and interval in the kernel, and writes a row for each hit if the event captures a value or a stack. Quote \
                 characters that the shell interprets. ebrec probes -e EVENT shows where an event attaches and which values it can capture.",
            ),
            ("kprobe:FUNCTION, kretprobe:FUNCTION", "A kernel function's entry, or its return."),
            (
                "fentry:FUNCTION, fexit:FUNCTION",
                "The same through BPF trampolines, which cost less and know the arguments at the return too. They need type information for \
                 the function, and Linux 6.4 on aarch64.",
            ),
            ("tracepoint:CATEGORY:NAME", "A tracepoint, with its fields by name. It needs tracefs."),
            (
                "rawtp:NAME",
                "A tracepoint with the arguments that the kernel passes to it. Their structs can be followed.",
            ),
            (
                "uprobe:FILE:FUNCTION, uretprobe:FILE:FUNCTION",
                "A function of a program or library, at its entry or return. FILE is a path, or the name of a library or program: libc, \
                 bash. With --pid, ebrec looks FILE up among what that process has mapped, and then in its mount namespace, as in a \
                 container. Name C++ and Rust functions as in the source, with or without parameters: shop::price, \"shop::price(int)\". \
                 RETURNS explains how ebrec sees returns.",
            ),
            (
                "uprobe:FILE:0xADDRESS, uprobe:FILE:FUNCTION+OFFSET",
                "Any instruction of a program or library, with or without symbols. ADDRESS is the one that nm and objdump print; OFFSET is \
                 in bytes.",
            ),
            (
                "usdt:FILE:PROVIDER:NAME",
                "A static probe (USDT). Arguments in registers, in memory and in variables that the file's symbols name can be read; \
                 floating-point numbers and thread-local variables can't.",
            ),
            (
                "Nops of five bytes",
                "Linux 6.17 and newer replace a probed nop of five bytes by a call, which overwrites what a function keeps below its stack \
                 pointer. Where a function keeps something there, ebrec probes the next instruction instead, if every hit of the nop reaches \
                 it. Otherwise it leaves the place out with a warning. An event with no other place is an error.",
            ),
            (
                "NAME=EVENT",
                "Names the event in rows, metrics and views: reads=tracepoint:syscalls:sys_enter_read. The default name is the event's text.",
            ),
            (
                "latency:FUNCTION, latency:FILE:FUNCTION",
                "The time from a function's entry to its return, as a histogram per process. Captures and the filter are evaluated at the \
                 return: they can use duration, retval and the arguments, which have their values from the entry.",
            ),
            (
                "Globs",
                "* matches any text and ? one character in CATEGORY, PROVIDER and the last name of WHERE: kprobe:tcp_*. Functions that can't \
                 be traced are left out. Put a name with spaces, parentheses or slashes in double quotes.",
            ),
            (
                "[NAME=]VALUE",
                "Captures a number or a text, at most six numbers and three texts. The default NAME is the last name in VALUE.",
            ),
            ("hist(VALUE)", "Keeps a histogram of a number, in the kernel."),
            ("by(VALUE)", "Splits counts and histograms by this number or text, in addition to the process."),
            ("stack, ustack", "Captures the kernel stack, or the user stack."),
            ("raw", "Writes a row for each hit, even if the event captures nothing."),
            ("trampoline", "For uretprobe, and latency of a program's function: see RETURNS."),
            (
                "Values",
                "arg0, arg1, and so on; retval; duration in nanoseconds; the arguments' names, if the kernel's type information has them; a \
                 tracepoint's fields (also args.NAME); pid, tid, uid, cpu, time, comm. A field or argument takes precedence over a built-in \
                 value of the same name. Struct members and pointers are followed as in C: sk->__sk_common.skc_dport, \
                 file->f_path.dentry->d_name.len, args[2], *(u32 *)(arg0 + 8), ((struct sock *)arg0)->sk_err. Numbers whose type says \
                 network byte order (__be16, __be32) are converted. Enumerators of the kernel can be used by name: TCP_LISTEN.",
            ),
            (
                "str(P), str(P, N)",
                "Text at an address, up to N bytes (1 to 4096, default 1024). Longer text is cut and ends in '…'. by(str(P)) distinguishes \
                 texts by all of those bytes; a key of more than 1024 bytes is shown as its beginning and a hash. An array of characters is \
                 text without str().",
            ),
            ("bytes(P, N)", "N bytes (1 to 4096) at an address, in hexadecimal. Without N, all of an array or struct."),
            (
                "sockaddr(P), ip(X), ipv4(P), ipv6(P)",
                "A socket address, or an IPv4 or IPv6 address. A struct in6_addr is an IPv6 address without ipv6().",
            ),
            (
                "Memory that is not resident",
                "On Linux 6.2 and newer, uprobe and usdt events fetch such memory, at the cost that the program would have paid on its own \
                 access. tracepoint:syscalls:sys_enter_* events read it when the call returns, since the kernel has fetched it by then. \
                 Otherwise the value is missing, and counted as a loss.",
            ),
            (
                "(int)arg0",
                "A cast. Arguments of programs have no types: arg0 is a 64-bit register, in which a negative int is a large positive number. \
                 Cast it to int or long to compare it with a negative number.",
            ),
            ("ntohs(X), ntohl(X), ntohll(X)", "Converts a number from network byte order."),
            (
                "/FILTER/",
                "C's operators on signed 64-bit numbers, with durations and sizes: /duration > 1ms && size >= 4KiB/. == and != also compare \
                 a text with a string of up to 991 bytes in double quotes: /comm == \"nginx\"/, /str(arg1) == \"/etc/passwd\"/. A value that \
                 can't be read matches nothing.",
            ),
        ],
    ),
    (
        "record",
        "WINDOW",
        &[
            (
                "",
                "The kernel closes the window, so it has the requested length on an overloaded machine too. ebrec then reads the remaining \
                 data, detaches its programs and finishes the file, which takes longer on such a machine.",
            ),
            (
                "",
                "While the disk is slow, up to 16 MiB of rows wait in memory, or 32 MiB including totals, processes and stacks. Events \
                 beyond that are lost, and counted per probe as 'writer too slow'; histograms and counters still include them.",
            ),
        ],
    ),
    (
        "record",
        "THE NEWEST SPAN",
        &[
            (
                "",
                "With --last, ebrec records until Ctrl-C, a trigger (--until) or the end of the window (--duration), and keeps the newest \
                 DURATION. The recording begins at the start of an interval, so it covers up to one interval (--interval) more. Its totals, \
                 stacks, processes, counters and losses are those of that span only. Processes that started earlier are still described. \
                 With --until, ebrec keeps the span before the trigger while --after lasts.",
            ),
            (
                "SIGUSR1",
                "Writes the kept span to the next free name of FILE-1.parquet, FILE-2.parquet and so on, beside FILE.parquet, and goes on. \
                 That file appears once its stacks have names, after at most three seconds. Signals that arrive while ebrec makes one are \
                 answered by one more recording.",
            ),
            (
                "Memory and disk",
                "FILE.partial holds the span and up to a quarter more (at least a second). Unused parts can double its size; freeing them \
                 takes three times the size for a moment. Rows wait in memory as without --last. Memory and disk use don't grow with the \
                 time that ebrec runs.",
            ),
            (
                "Limits",
                "Histograms and slow events count each event that ended in the span in full, even if it began earlier. The ledger of \
                 threads, their waits and off-CPU stacks are cut at the start of the span; for waits that began earlier, the cut is exact to \
                 an interval.",
            ),
        ],
    ),
    (
        "record",
        "TRIGGERS",
        &[
            (
                "",
                "--until ends the window when its expression becomes true, and --after adds some time. The recording says when the trigger \
                 fired, with which value and in which process; the summary of ebrec report shows it.",
            ),
            (
                "block.device_time > 100ms",
                "A value of a probe's events, compared with a duration, a size or a number. ebrec probes PROBE lists the values. The probe \
                 must be running (-p +http). If its mode would not stream such events, ebrec lowers its threshold or switches it to raw; the \
                 recording states the settings in force.",
            ),
            ("process.exit != 0", "The exit status of a process; 128 if a signal ended it."),
            ("memory.oom_kills", "An occurrence, which has no value."),
            (
                "psi.memory.full > 20%",
                "The share of the last second in which tasks were stalled: psi, then cpu, memory, io or irq, then some or full.",
            ),
            (
                "NAME",
                "A custom event, by the name that -e gives it (-e 'NAME=latency:vfs_fsync/duration > 1s/') or by its text. Each hit that \
                 passes the event's own filter fires the trigger, and becomes a row.",
            ),
            ("", "ebrec evaluates triggers in user space, at least every 50 ms. A lost event fires none."),
        ],
    ),
    (
        "record",
        "CONTAINERS",
        &[
            (
                "",
                "Recordings contain the machine's process ids. In a privileged container with its own PID namespace, --pid and COMMAND take \
                 the ids of that namespace, and /proc must belong to it. Rows of kind process have both ids if they differ: pid and ns_pid.",
            ),
            (
                "",
                "In such a container, the ledger of threads, page faults and open connections cover only the processes of that namespace, \
                 and ebrec finds symbols of other processes by build id only. The container must share the machine's user namespace, since \
                 the kernel checks capabilities for BPF there.",
            ),
        ],
    ),
    (
        "record",
        "RETURNS",
        &[
            (
                "",
                "To see a program's function return, ebrec sets breakpoints on the function's own return instructions, which it finds by \
                 decoding the machine code. The program's stack stays as it is, so exceptions, panics, longjmp and coroutines work as they \
                 do without ebrec. ebrec probes -e EVENT shows the exits of each function.",
            ),
            (
                "Counted calls",
                "A latency runs from the entry of a call to its return instruction, on whichever thread that executes. A call that ends by \
                 an exception, longjmp or the end of its thread has no latency. It is counted as the loss \"end not seen\" when the next \
                 call takes its place on the stack. Copies of a function that the compiler inlined are not seen.",
            ),
            (
                "Go",
                "ebrec pairs entries and returns of Go functions by goroutine, and handles stripped programs too. It can't capture arguments \
                 and results of Go functions by name; retval is the first result if that is an integer or a pointer.",
            ),
            (
                "Refused functions",
                "ebrec refuses a function whose exits are uncertain, and names the reason: its code can't be decoded or contradicts its \
                 unwind table, it ends in a tail call into another file or through a pointer, it never returns, its first instruction is its \
                 return, it has more than 64 exits, or it is an indirect function. A glob leaves such functions out, and ebrec names the \
                 first of them.",
            ),
            (
                "trampoline",
                "Uses the kernel's return probe instead: uretprobe:FILE:FUNCTION(trampoline), latency:FILE:FUNCTION(trampoline). This also \
                 works for functions whose exits are uncertain, but it can kill the program: the kernel overwrites the return address on the \
                 program's stack. If a C++ exception or a Rust panic passes the function, or a coroutine is switched away within it, the \
                 process aborts or jumps to a wrong address. The kernel follows at most 64 nested calls of a thread. Go programs are always \
                 refused.",
            ),
            (
                "Cost",
                "Each exit is one more breakpoint. Where stepping over a breakpoint is expensive, as in virtual machines, this adds up to 9 \
                 microseconds to a call on x86_64. ebrec saves as much where it can move the entry's breakpoint to an instruction that the \
                 kernel emulates. Use trampoline if the cost matters more than the risk.",
            ),
        ],
    ),
    (
        "record",
        "FILES",
        &[
            (
                "FILE",
                "The recording, a Parquet file of mode 0600 that belongs to the user who called sudo. Only a regular file is ever replaced. If FILE is a \
                 symbolic link, the link stays and the file that it points to is written.",
            ),
            (
                "-, /dev/stdout, a named pipe, a character device",
                "ebrec makes the recording in a directory below $TMPDIR (/tmp) and copies it when the window is over. If the copy fails, the \
                 recording stays in that directory, and the message names it. With COMMAND and -o -, COMMAND's output goes to stderr. ebrec \
                 does not write recordings to terminals, block devices or sockets.",
            ),
            (
                "FILE.partial, FILE.partial.footer",
                "The recording while ebrec writes it. From the first second on, the two files one after the other are a valid recording: \
                 ebrec report opens them, and ebrec recover makes FILE of them. A FILE.partial without rows, left by a recorder that was \
                 killed early, does not block the next recording. FILE.partial.tmp is an unfinished merged copy; ebrec recover removes it.",
            ),
            (
                "Full disks and limits",
                "If the disk is full, or the file reaches the limit on file sizes (ulimit -f), the recording ends with exit status 1, and \
                 ebrec recover saves what was written.",
            ),
        ],
    ),
    (
        "record",
        "SIGNALS",
        &[
            (
                "SIGINT, SIGTERM, SIGHUP",
                "The first signal ends the window, and ebrec writes the file; if the window is over, it changes nothing. The second ends ebrec within a \
                 second, whatever it is doing, and leaves FILE.partial for ebrec recover. Before the window begins, the first signal cancels the recording.",
            ),
            (
                "With COMMAND",
                "The first signal goes to COMMAND (SIGINT from the terminal reaches it by itself), and the window ends when COMMAND does. The second ends the \
                 window; if the file is not finished within a second, it is left for ebrec recover.",
            ),
            (
                "SIGUSR1",
                "With --last, writes the kept span to a recording, see THE NEWEST SPAN. Otherwise ends ebrec, as by default.",
            ),
            ("SIGHUP", "Ignored if it was ignored when ebrec started, as under nohup(1)."),
        ],
    ),
    (
        "record",
        "PRIVILEGES",
        &[
            (
                "",
                "Recording needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) to attach its probes. Once they are attached, ebrec sets \
                 no_new_privs and keeps only these capabilities, if it had them:",
            ),
            (
                "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH",
                "To read mappings of other users' processes, and symbols of files that only their owners can read.",
            ),
            ("CAP_SYSLOG", "To read addresses of kernel functions."),
            ("CAP_SYS_NICE", "To give the thread that empties the kernel's buffers priority on an overloaded machine."),
            (
                "CAP_CHECKPOINT_RESTORE",
                "To read programs whose file was deleted. Linux before 5.9 needs CAP_SYS_ADMIN.",
            ),
            (
                "CAP_SYS_ADMIN",
                "To measure the time spent in BPF programs. Without it, the recording lacks that figure.",
            ),
            (
                "CAP_BPF",
                "To read maps before Linux 5.19; on every kernel with a probe that attaches more programs while it records (http).",
            ),
            ("CAP_PERFMON", "To attach more programs while recording (http)."),
            (
                "CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN",
                "To write in a directory of another user. Under sudo, the file belongs to the user who called it.",
            ),
            ("CAP_KILL", "To pass signals on to a COMMAND that runs as another user."),
            (
                "COMMAND",
                "COMMAND runs as it would without ebrec: its limits, signals, descriptors and priority are not those of the recorder. Under \
                 sudo it runs as the user who called sudo, without capabilities; run as root, it keeps root's. SIGPIPE has its default \
                 action, and no signal is blocked.",
            ),
        ],
    ),
    (
        "export",
        "FORMATS",
        &[
            (
                "folded",
                "A line per stack, with its time in nanoseconds: the process, then functions from the outermost to the innermost. For \
                 flamegraph.pl, inferno and speedscope.",
            ),
            (
                "pprof",
                "Compressed profile.proto. Samples have the labels process, comm, pid and thread. An inlined function is a line of its \
                 caller's location.",
            ),
            (
                "perf-script",
                "The text of perf script. The period of a sample is its weight in nanoseconds; times are of CLOCK_MONOTONIC.",
            ),
            (
                "firefox",
                "A processed profile for profiler.firefox.com, with CPU samples by thread. The 10,000 slowest events are markers. ebrec \
                 builds it in memory; export a recording with very many stacks in parts.",
            ),
            (
                "perfetto",
                "A trace for ui.perfetto.dev: CPU samples, the 20,000 slowest events as slices with flows from waker to woken, metrics as \
                 counters, and, in the slice named window, what the recording lacks. With sched:raw, threads have the kernel's own \
                 scheduling events; otherwise counters show each state's share of an interval.",
            ),
            (
                "openmetrics, prometheus, otlp",
                "Every metric, with a sample at the end of each interval. OTLP output is one JSON request, cumulative, with explicit bounds; \
                 names follow the semantic conventions where these have one, and are otherwise ebrec. and the recording's own name.",
            ),
            (
                "jsonl, csv",
                "Rows, one kind after the other, with the columns of ebrec-recording(5). ts is text in UTC with nanoseconds, time_ns counts \
                 from the window's start. JSON omits nulls; CSV has the columns of all kinds that are exported.",
            ),
            (
                "",
                "By default, a recording adds up the samples of a stack per interval. perf-script, firefox and perfetto list samples one by \
                 one and spread them evenly over the interval; a recording with cpu:raw has the time of each.",
            ),
        ],
    ),
    (
        "export",
        "NAMES",
        &[
            (
                "",
                "A metric block.device_time in nanoseconds becomes ebrec_block_device_time_seconds; times are in seconds, sizes in bytes.",
            ),
            ("NAME_total", "A counter: zero at the start of the window, then its value at the end of each interval."),
            (
                "NAME_bucket, NAME_sum, NAME_count",
                "A histogram, also cumulative. The label le is a bucket's upper bound. Only bounds of buckets that hold something are \
                 written, with the lower bounds of those buckets, and the same ones for all label sets of a metric. A quantile computed from \
                 them is within one bucket of the recording's own, which is within 3.2 % of the value. A bucket is 25 % wide with 4 bounds \
                 per power of two, 6.25 % with 16.",
            ),
            (
                "host, comm, op, dev…",
                "Labels: the host and the columns that the metric is split by; process ids only with --label-pids. A missing value is no \
                 label.",
            ),
            (
                "other",
                "Replaces every label value except the host's in the sum of the label sets that --top leaves out.",
            ),
        ],
    ),
    (
        "export",
        "PUSHING",
        &[
            (
                "",
                "ebrec retries a request that fails or is answered by 429 or 5xx after 0.5, 1 and 2 seconds. Any other answer than success \
                 ends the export; samples that were accepted before stay. ebrec speaks plain HTTP only.",
            ),
            (
                "",
                "Prometheus accepts samples by remote write only with --web.enable-remote-write-receiver, and none that are much older than \
                 its newest. For older recordings, export openmetrics, convert it to blocks with promtool and move them into its data \
                 directory.",
            ),
        ],
    ),
];

/// How each command is called, one line per form, in the order of [`pages`].
static SYNOPSES: &[(&str, &[&str])] = &[
    ("", &["[OPTIONS] COMMAND"]),
    ("record", &["[-d DURATION] [-o FILE] [-p PROBES]... [-e EVENT]... [FILTERS] [-- COMMAND [ARGUMENT]...]"]),
    (
        "report",
        &[
            "[OPTIONS] FILE...",
            "VIEW [OPTIONS] FILE...",
            "hist [METRIC] [--by COLUMN]... [OPTIONS] FILE...",
            "heatmap [METRIC] [OPTIONS] FILE...",
            "timeline [METRIC]... [OPTIONS] FILE...",
        ],
    ),
    ("diff", &["[--fail-if EXPR]... [--strict] [-n N] [--format FORMAT] [-o FILE] [FILTERS] BEFORE AFTER"]),
    (
        "export",
        &[
            "--to FORMAT [-o FILE] [--profile PROFILE] [--kind KIND]... [-n N] [--label-pids] [--buckets N] [FILTERS] FILE...",
            "--push URL [-n N] [--label-pids] [--buckets N] [FILTERS] FILE...",
        ],
    ),
    (
        "share",
        &[
            "[-o BUNDLE] [-f] [--max-size SIZE] [--keep KIND]... [--redact KIND]... [--patterns FILE] RECORDING",
            "--show [--keep KIND]... [--redact KIND]... [--patterns FILE] RECORDING",
        ],
    ),
    ("info", &["[--format FORMAT] [-o FILE] RECORDING"]),
    ("probes", &["[--format FORMAT] [-o FILE] [NAME]", "-e EVENT... [--pid PID]... [--format FORMAT] [-o FILE]"]),
    ("doctor", &["[--format FORMAT] [-o FILE]"]),
    ("recover", &["[-f] FILE"]),
    ("sql", &["[--dialect DIALECT] [FILE|PATTERN]..."]),
    ("completions", &["SHELL"]),
];

fn synopsis(out: &mut Vec<u8>, name: &str) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let forms = SYNOPSES.iter().find(|(command, _)| *command == name).map_or([].as_slice(), |(_, forms)| forms);
    let program = if name.is_empty() { "ebrec".to_owned() } else { format!("ebrec {name}") };
    for (at, form) in forms.iter().enumerate() {
        if at > 0 {
            roff.control("br", []);
        }
        roff.text([bold(program.as_str()), roman(format!(" {form}"))]);
    }
    roff.to_writer(out)
}

fn section(roff: &mut Roff, heading: &str, paragraphs: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (tag, text) in paragraphs {
        if tag.is_empty() {
            roff.control("PP", []);
        } else {
            roff.control("TP", []);
            roff.text([bold(*tag)]);
        }
        roff.text([roman(*text)]);
    }
}

fn views(roff: &mut Roff) {
    roff.control("SH", ["VIEWS"]);
    for view in VIEWS {
        roff.control("TP", []);
        roff.text([bold(view.name)]);
        let drawn = if view.draws { " Draws." } else { "" };
        roff.text([roman(format!("{}.{drawn}", view.summary))]);
    }
}

/// The views for SQL engines.
fn sql_views(roff: &mut Roff) {
    roff.control("SH", ["VIEWS"]);
    roff.text([roman(
        "Every view has the columns host and run_id, except those over all recordings. Columns that end in _ns are nanoseconds, in _bytes \
         bytes; ts_ns, start_ns and end_ns count from 1970. pid and pid_start_ns together identify a process.",
    )]);
    roff.control("TP", []);
    roff.text([bold("ebrec")]);
    roff.text([roman("The rows of all recordings as ebrec-recording(5) describes them, with ts_ns, the exact time.")]);
    for view in sql::views() {
        roff.control("TP", []);
        roff.text([bold(view.name)]);
        roff.text([roman(view.help())]);
        roff.control("RS", []);
        roff.control("nf", []);
        roff.text([roman(view.example)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

/// The names that programs may rely on.
fn data(roff: &mut Roff) {
    let paragraph = |roff: &mut Roff, text: &str| {
        roff.control("PP", []);
        roff.text([roman(text)]);
    };
    roff.control("SH", ["JSON AND CSV"]);
    paragraph(
        roff,
        "--format json writes one object: version (1), view, title, subtitle, warnings, notes, left_out (recordings that could not be read), \
         facts (words for people), tables (by name, each a list of rows), omitted (by table, the number of rows that --top left out), \
         histograms, timelines, heatmaps and bars (by name). --format csv writes one table. Both include every row, but 10 or 20 \
         in rankings of the slowest events; --top sets another number.",
    );
    paragraph(
        roff,
        "Numbers are raw. Names that end in _ns are nanoseconds, and points in time count from the start of the window; _bytes are bytes, \
         _pct percent, _hz per second. A table whose rows differ in unit has a field unit. An unknown value is null, or empty in CSV. With \
         several recordings, rows begin with host. Later versions add fields and remove none.",
    );
    for table in tables_by_host().unwrap_or_default() {
        fields(roff, &format!("--by host: {}", table.name), &table);
    }
    for view in VIEWS {
        for table in tables(view) {
            fields(roff, &format!("{}: {}", view.name, table.name), &table);
        }
        match view.name {
            "processes" => paragraph(
                roff,
                "For each metric that is kept per process, the table also has METRIC.count, METRIC.sum_ns or METRIC.sum_bytes, and for \
                 histograms METRIC.p50, METRIC.p99 and METRIC.max, which end in the unit too; ebrec info lists the metrics. In JSON, a \
                 process without values of a metric lacks its fields.",
            ),
            "hist" => paragraph(
                roff,
                "With a metric, the table is named groups. It has the columns of --by, count, share_pct and sum, and for histograms p50, \
                 p90, p99, p99.9, p99.99 and max, which end in the metric's unit, as in p99_ns.",
            ),
            _ => {}
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a column is whose title says all: that of `p99.9` is `99.9th percentile.`
fn meaning(title: &str) -> String {
    let percentile = title.strip_prefix('p').filter(|number| number.parse::<f64>().is_ok());
    match (title, percentile) {
        (_, Some(number)) => format!("{number}th percentile."),
        ("max", _) => "Largest value.".to_owned(),
        ("pid", _) => "Process id.".to_owned(),
        ("tid", _) => "Thread id.".to_owned(),
        ("what", _) => "The event, in words.".to_owned(),
        _ => format!("{}.", capital(title)),
    }
}

fn examples(roff: &mut Roff, examples: &[Example]) {
    roff.control("SH", ["EXAMPLES"]);
    for Example { line, does } in examples {
        roff.control("TP", []);
        roff.text([bold(*line)]);
        roff.text([roman(format!("{does}."))]);
    }
}

/// The columns of a table.
fn fields(roff: &mut Roff, heading: &str, table: &Table) {
    roff.control("SS", [heading]);
    for field in &table.fields {
        let what = if field.help.is_empty() { meaning(&field.title) } else { field.help.clone() };
        roff.control("TP", []);
        roff.text([bold(field.name.clone().into_owned())]);
        roff.text([roman(what)]);
    }
}

fn exit_status(roff: &mut Roff, name: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    let mut statuses = vec![
        ("0", "Success, or the reader of stdout closed it early."),
        ("1", "Failure; one line on stderr says what failed, and a hint follows if there is one."),
        ("2", "The command line is wrong."),
    ];
    if name == "diff" {
        statuses.push(("4", "An expression of --fail-if holds."));
    }
    if name == "record" {
        statuses.push(("other", "The exit status of COMMAND, or 128 + N when signal N killed it."));
    }
    for (status, means) in statuses {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(means)]);
    }
}

fn see_also(roff: &mut Roff, name: &str, commands: &[String]) {
    roff.control("SH", ["SEE ALSO"]);
    let parent = (!name.is_empty()).then(|| "ebrec".to_owned());
    let others = commands.iter().filter(|other| *other != name).map(|other| format!("ebrec-{other}"));
    let mut inlines = Vec::new();
    for page in parent.into_iter().chain(others) {
        inlines.extend([italic(page), roman("(1), ")]);
    }
    inlines.extend([italic("ebrec-recording"), roman("(5)")]);
    roff.text(inlines);
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn every_command_has_a_synopsis_that_names_it() {
        let commands = pages().unwrap().into_iter().filter(|(name, _)| name.ends_with(".1"));
        for (name, page) in commands {
            let text = String::from_utf8(page).unwrap().replace("\\-", "-");
            let synopsis = text.split(".SH SYNOPSIS\n").nth(1).and_then(|rest| rest.split("\n.SH ").next()).unwrap();
            let called = name.trim_end_matches(".1").replacen('-', " ", 1);
            assert!(synopsis.contains(&called), "{name}: {synopsis:?}");
        }
    }
}
