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
    if name == "diff" {
        roff.control("SH", ["JSON AND CSV"]);
        roff.text([roman("The form is that of ebrec-report(1). Values before and after are in the unit of the row.")]);
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
            "A report holds a bounded part of a recording in memory, at most 256 MiB, whatever the recording's size. What does not fit goes \
             through unnamed temporary files in the directory that TMPDIR names, or /tmp, and long tables are written row by row. Pictures \
             show the 100 heaviest series and the 10,000 heaviest stacks, and all others together. A timeline of very many intervals \
             joins neighbours, and says so. Where a view can't be bounded otherwise, it fails and names the options that narrow it.",
        )],
    ),
    (
        "diff",
        "COMPARISON",
        &[
            (
                "",
                "Every metric is compared by its labels: rate, time per second, bytes per second, p50, p90, p99 and p99.9; the wall-clock ledger by process \
                 and cause, without time that is idle by design; functions on and off the CPU, themselves (self) and with what they call (total). Function times \
                 are the shares of the samples of the CPU time that the ledger has. Names survive a restart: labels are commands, devices, \
                 routes, functions and system calls, never ids, ports or addresses. What differs in how the two sides were recorded is stated first.",
            ),
            (
                "",
                "With five or more recordings a side, an exact permutation test of log ratios tells changes from chance; with three or four, or very many, \
                 Welch's t test. Benjamini and Hochberg's procedure holds the false discovery rate over all quantities at 4 %, of which the \
                 ledger's have 2.4 % and all others 1.6 %. With fewer than three recordings a side, a block bootstrap over intervals is used; what two runs of one \
                 thing differ by is then assumed, not measured. Confidence intervals are at 95 % and include the error of histograms.",
            ),
            (
                "",
                "Changes of time come first, the largest first. Significant changes below 2 % or 1 ms/s of time, or 5 % of anything else, are counted and not listed.",
            ),
        ],
    ),
    (
        "diff",
        "EXPRESSIONS",
        &[
            (
                "",
                "An expression of --fail-if is METRIC{LABEL=VALUE,...}.STATISTIC, a comparison (>, >=, <, <=) and a bound. All groups of the metric that have the \
                 labels are added up; without braces, all groups. A value with spaces or punctuation goes in double quotes. The column quantity of the output has \
                 names in this form. Expressions are tested by themselves, adjusted for their own number, at 5 %.",
            ),
            ("time", "Time spent per second, such as 10ms or 10ms/s."),
            ("rate", "Occurrences per second, such as 100 or 100/s."),
            ("bytes", "Bytes per second, such as 1MiB/s."),
            ("p50, p90, p99, p99.9", "A percentile, in the unit of the metric."),
            ("length", "With the metric command: how long the recorded command took."),
            ("+20%, -5%, +2ms", "A bound with a sign is about the change."),
            ("5ms, 1000/s", "A bound without a sign is about the value after."),
            ("", "A name that neither side has is an error, and so is a bound in another unit."),
        ],
    ),
    (
        "record",
        "PROBES",
        &[
            ("", "The value of --probe is a list of items with commas between them, and the option may be repeated."),
            ("NAME", "Run this probe. A list of names without signs runs exactly those probes."),
            ("+NAME, -NAME", "Add a probe to the default set, or take it out."),
            ("all", "Run every probe; -NAME takes one out."),
            (
                "NAME:MODE",
                "hist keeps histograms and counters only, slow also streams every event at or over the probe's threshold, \
                 raw also streams every event. The default is the probe's own.",
            ),
            ("NAME:KEY=VALUE", "A setting of the probe, such as block:slow=5ms. ebrec probes NAME lists them."),
            (
                "",
                "A probe that is named and can't run is an error. One of the default set is left out with a warning, and the \
                 recording says why.",
            ),
        ],
    ),
    (
        "record",
        "EVENTS",
        &[
            (
                "",
                "A custom event is SORT:WHERE, then in parentheses what is kept of each hit, then between slashes a filter. Each counts its hits \
                 by process and interval in the kernel; it has a row for each hit if a value or a stack is kept. What the shell would act on stands in \
                 single quotes. ebrec probes -e EVENT shows where it would be put and which values it has.",
            ),
            ("kprobe:FUNCTION, kretprobe:FUNCTION", "A kernel function's entry, or its return."),
            (
                "fentry:FUNCTION, fexit:FUNCTION",
                "The same by BPF trampolines, which cost less and know the arguments at the exit, too. They need the function's type information, \
                 and on aarch64 Linux 6.4.",
            ),
            ("tracepoint:CATEGORY:NAME", "A trace point, with its fields by name. It needs the tracing file system."),
            ("rawtp:NAME", "A trace point with the arguments that the kernel passes, whose structs can be walked."),
            (
                "uprobe:FILE:FUNCTION, uretprobe:FILE:FUNCTION",
                "A function of a program or library, at its entry or return. FILE is a path, or the name of a library or program: libc, bash. With --pid it \
                 is what that process has mapped or sees, as in a container. Functions of C++ and Rust are named as in the source, with or without \
                 parameters: shop::price, \"shop::price(int)\". RETURNS says how returns are seen.",
            ),
            (
                "uprobe:FILE:0xADDRESS, uprobe:FILE:FUNCTION+OFFSET",
                "Any instruction of a program or library, also of one without symbols. ADDRESS is in the numbering of nm and objdump; OFFSET is in bytes.",
            ),
            (
                "usdt:FILE:PROVIDER:NAME",
                "A static probe (USDT). Arguments in registers, in memory and in variables that the file's symbols name can be read; floating-point \
                 numbers and variables of threads can't.",
            ),
            (
                "Nops of five bytes",
                "Linux 6.17 and newer replace a probed nop of five bytes by a call, which overwrites what a function keeps below its stack pointer. Where \
                 it keeps something there, ebrec probes the next instruction if every hit of the nop comes to it, and otherwise leaves the place out with \
                 a warning; an event with no other place is refused.",
            ),
            (
                "NAME=EVENT",
                "Calls the event NAME in rows, metrics and views: reads=tracepoint:syscalls:sys_enter_read. Without a name it is called by its text.",
            ),
            (
                "latency:FUNCTION, latency:FILE:FUNCTION",
                "The time from a function's entry to its return, as a histogram by process. Values and filter are taken at the return: \
                 duration and retval beside the arguments, which are those of the entry.",
            ),
            (
                "Globs",
                "* is any text and ? one character in the last name of WHERE, and in CATEGORY and PROVIDER: kprobe:tcp_*. Functions that can't be traced are left out. \
                 A name with blanks, parentheses or slashes stands in double quotes.",
            ),
            (
                "[NAME=]VALUE",
                "Keeps a number or text, six and three at most. Without NAME it is called by its last name.",
            ),
            ("hist(VALUE)", "The kernel keeps a histogram of a number."),
            ("by(VALUE)", "Counts and histograms are kept by this number or text, beside the process."),
            ("stack, ustack", "Keeps the kernel's stack, or the user's."),
            ("raw", "A row for each hit, though nothing is kept."),
            ("trampoline", "For uretprobe and latency of programs: see RETURNS."),
            (
                "Values",
                "arg0, arg1, and so on; retval; duration in nanoseconds; the arguments' names where the kernel's type information has them; a trace point's fields \
                 (also args.NAME); pid, tid, uid, cpu, time, comm. A field or argument goes before a word of the same name. Members of structs and what \
                 pointers lead to are reached as in C: sk->__sk_common.skc_dport, file->f_path.dentry->d_name.len, args[2], *(u32 *)(arg0 + 8), ((struct sock *)arg0)->sk_err. \
                 Numbers in network byte order are turned where their type says so. Constants of the kernel's enumerations have their names: TCP_LISTEN.",
            ),
            (
                "str(P), str(P, N)",
                "Text at an address, up to N bytes (1 to 4096, 1024 without N). A longer one ends in '…'. by(str(P)) tells texts apart by all of those \
                 bytes; a key of more than 1024 bytes is shown by its beginning and a hash. Arrays of characters are text by themselves.",
            ),
            ("bytes(P, N)", "N bytes (1 to 4096) at an address, in hexadecimal. Without N, all of an array or struct."),
            (
                "sockaddr(P), ip(X), ipv4(P), ipv6(P)",
                "A socket address, an address of IPv4 or IPv6. struct in6_addr is one by itself.",
            ),
            (
                "Memory that is not resident",
                "uprobe and usdt events fetch it on Linux 6.2 and newer, which takes the program the time that it would have taken anyway. \
                 tracepoint:syscalls:sys_enter_* read it when the call returns: the kernel has fetched it by then. Elsewhere the value is missing and \
                 counted as a loss.",
            ),
            (
                "(int)arg0",
                "A cast. Arguments of programs have no types here: arg0 is a register of 64 bits, in which a negative int is a large positive \
                 number. Comparing one with a negative number asks for a cast, to int or long.",
            ),
            ("ntohs(X), ntohl(X), ntohll(X)", "A number out of network byte order."),
            (
                "/FILTER/",
                "C's operators over signed 64-bit numbers, with durations and sizes: /duration > 1ms && size >= 4KiB/. Texts compare by == and != with \
                 one of up to 991 bytes in double quotes: /comm == \"nginx\"/, /str(arg1) == \"/etc/passwd\"/. A value that can't be read matches nothing.",
            ),
        ],
    ),
    (
        "record",
        "WINDOW",
        &[
            (
                "",
                "The kernel itself closes the window, so that it is as long as asked for on a machine that is overloaded, too. Reading what was \
                 gathered, detaching and writing come after it, and take longer on such a machine.",
            ),
            (
                "",
                "While the disk is slow, up to 32 MiB of rows wait in memory, 64 MiB with totals, processes and stacks. Events beyond that are lost, \
                 and counted by probe as 'writer too slow'; histograms and counters still count them.",
            ),
        ],
    ),
    (
        "record",
        "CONTAINERS",
        &[
            (
                "",
                "Recordings have the machine's process ids. In a privileged container with a PID namespace of its own, --pid and COMMAND take the ids \
                 that are seen there; /proc has to be of that namespace. Rows of kind process have both ids where they differ: pid and ns_pid.",
            ),
            (
                "",
                "From there the ledger of threads, page faults and open connections cover processes of that namespace only, and symbols of other \
                 processes are found by build id only. The namespace of users must be the machine's own: BPF asks for its capabilities there.",
            ),
        ],
    ),
    (
        "record",
        "RETURNS",
        &[
            (
                "",
                "ebrec sees a program's function return by breakpoints on the function's own return instructions, which it finds by decoding the \
                 machine code. The program's stack stays as it is, so exceptions, panics, longjmp and coroutines work as they do without ebrec. \
                 ebrec probes -e EVENT shows the exits of each function.",
            ),
            (
                "What is counted",
                "A latency runs from the entry of a call to its return instruction, whichever thread executes it. A call that an exception, longjmp or \
                 the end of its thread takes away has no latency. It is counted as the loss \"end not seen\" when the next call takes its place on \
                 the stack. Copies of a function that the compiler inlined are not seen.",
            ),
            (
                "Go",
                "Calls of Go functions are paired by goroutine, and stripped programs work too. The arguments and results of Go functions can't be \
                 captured by name; retval is the first result where that is an integer or a pointer.",
            ),
            (
                "What is refused",
                "ebrec refuses a function whose exits are not certain and names the reason: its code can't be decoded or contradicts its unwind table, \
                 it ends by a tail call into another file or through a pointer, it never returns, its first instruction is its return, it has \
                 more than 64 exits, or it is an indirect function. A glob leaves such functions out, and ebrec names the first of them.",
            ),
            (
                "trampoline",
                "Takes the returns by the kernel's return probe instead: uretprobe:FILE:FUNCTION(trampoline), latency:FILE:FUNCTION(trampoline). \
                 It takes functions whose exits are not certain. It can kill the program: the kernel overwrites the return address on the \
                 program's stack, and a C++ exception or a Rust panic that passes the function, or a coroutine that is switched away within \
                 it, aborts the process or makes it jump to a wrong address. The kernel also follows no more than 64 nested calls of a thread. \
                 Go programs are always refused.",
            ),
            (
                "Cost",
                "Each exit is one breakpoint more. Where a breakpoint that the kernel has to step over is expensive, as in virtual machines, it adds up to \
                 9 microseconds to a call on x86_64. ebrec wins that back where it can move the entry's breakpoint to an instruction that the \
                 kernel emulates. Use trampoline where the cost matters more than the risk.",
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
                "ebrec makes the recording in a directory below $TMPDIR (/tmp) and copies it when the window is over. If that fails, the recording stays in \
                 the directory, and the message names it. With COMMAND and -o -, COMMAND writes its output to stderr. ebrec does not write recordings to \
                 terminals, block devices and sockets.",
            ),
            (
                "FILE.partial, FILE.partial.footer",
                "The recording while it is written. The one followed by the other is a valid recording at every moment after \
                 the first second; ebrec report opens them, ebrec recover makes FILE of them. A FILE.partial without rows, which a recorder leaves \
                 when it is killed early, does not stand in the way of the next recording. FILE.partial.tmp is a merged copy in the making; \
                 ebrec recover removes it.",
            ),
            (
                "Full disks and limits",
                "If the disk is full, or the file reaches the limit on the size of files (ulimit -f), the recording ends with exit status 1, and ebrec recover \
                 saves what was written.",
            ),
        ],
    ),
    (
        "record",
        "SIGNALS",
        &[
            (
                "SIGINT, SIGTERM, SIGHUP",
                "The first ends the window, and ebrec writes the file. The second ends the process within a second, whatever it is doing, and leaves \
                 FILE.partial for ebrec recover. Before the window begins, the first signal calls the recording off.",
            ),
            (
                "With COMMAND",
                "The first signal goes to COMMAND (SIGINT from the terminal reaches it by itself), and the window ends when COMMAND does. The second ends the \
                 window; if the file is not finished within a second, it is left for ebrec recover.",
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
                "Recording needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) to attach its probes. Once they are attached, ebrec sets no_new_privs and keeps \
                 only these capabilities, as far as it had them:",
            ),
            (
                "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH",
                "Mappings of other users' processes, and symbols of files that only their owners can read.",
            ),
            ("CAP_SYSLOG", "Addresses of kernel functions."),
            (
                "CAP_SYS_NICE",
                "A CPU for the thread that empties the kernel's buffers, where there are too few for all.",
            ),
            ("CAP_CHECKPOINT_RESTORE", "Programs whose file was deleted. Linux before 5.9 asks for CAP_SYS_ADMIN."),
            (
                "CAP_SYS_ADMIN",
                "Measuring the time spent in BPF programs. Without it the recording does not have that figure.",
            ),
            (
                "CAP_BPF",
                "Before Linux 5.19, to read maps; with a probe that attaches to more while it records (http), on every kernel.",
            ),
            ("CAP_PERFMON", "With such a probe only."),
            (
                "CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN",
                "To write in a directory of another user. Under sudo the file belongs to who called it.",
            ),
            ("CAP_KILL", "To pass signals on to a COMMAND that runs as another user."),
            (
                "COMMAND",
                "Gets what it would get without ebrec: its limits, signals, descriptors and priority are not those of the recorder. Under sudo it runs as the \
                 caller without capabilities; run as root, it keeps root's. SIGPIPE has its default action, and no signal is blocked.",
            ),
        ],
    ),
    (
        "export",
        "FORMATS",
        &[
            (
                "folded",
                "A line for each stack, with nanoseconds: the process, then functions from the outermost in. For flamegraph.pl, inferno and speedscope.",
            ),
            (
                "pprof",
                "profile.proto, compressed. Samples have the labels process, comm, pid and thread. An inlined function is a line of its \
                 caller's location.",
            ),
            (
                "perf-script",
                "The text of perf script. The period of a sample is its weight in nanoseconds; times are of CLOCK_MONOTONIC.",
            ),
            (
                "firefox",
                "A processed profile for profiler.firefox.com, of CPU samples by thread. The 10,000 slowest events are markers. It is put together in memory, and a recording with very many stacks has to be exported in parts.",
            ),
            (
                "perfetto",
                "A trace for ui.perfetto.dev: CPU samples, the 20,000 slowest events as slices with flows from waker to woken, metrics as counters, \
                 and what the recording lacks in the slice named window. With sched:raw, threads have the kernel's own scheduling events; \
                 else counters show each state's share of an interval.",
            ),
            (
                "openmetrics, prometheus, otlp",
                "Every metric, with a sample at the end of each interval. OTLP is one request in JSON, cumulative, with explicit bounds; names are \
                 those of the semantic conventions where they have one, else the recording's own after ebrec.",
            ),
            (
                "jsonl, csv",
                "Rows kind by kind, with the columns of ebrec-recording(5). ts is text in UTC to the nanosecond, time_ns counts from the window's \
                 start. JSON leaves out what is null; CSV has the columns of all kinds that are exported.",
            ),
            (
                "",
                "By default a recording adds up the samples of a stack in an interval. perf-script, firefox and perfetto list them one by one \
                 and spread them evenly over the interval; a recording with cpu:raw has the time of each.",
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
            (
                "NAME_total",
                "A counter: zero at the start of the window, then what it had counted at the end of each interval.",
            ),
            (
                "NAME_bucket, NAME_sum, NAME_count",
                "A histogram, cumulative likewise. The label le is a bucket's upper bound; only bounds that hold something, or are \
                 the lower bound of one that does, are written, the same for all label sets of a metric. A quantile out of them \
                 is within one bucket of the recording's own, which is within 3.2 % of the value: a bucket is 25 % wide with 4 \
                 bounds in each power of two, 6.25 % with 16.",
            ),
            (
                "host, comm, op, dev…",
                "Labels: the host, and the columns that the metric is kept by, process ids only with --label-pids. Nothing that a row does not say is a label.",
            ),
            ("other", "The value of every label but host of what --top leaves over."),
        ],
    ),
    (
        "export",
        "PUSHING",
        &[
            (
                "",
                "A request that fails or is answered by 429 or 5xx is tried again after 0.5, 1 and 2 seconds; any other answer than \
                 success ends it. Samples that were taken before stay. Only plain HTTP is spoken.",
            ),
            (
                "",
                "Prometheus takes samples over remote write only with --web.enable-remote-write-receiver and not far older than its \
                 newest; for older recordings export openmetrics, make blocks of it with promtool and move them into its data \
                 directory.",
            ),
        ],
    ),
];

/// How each command is called, one line a form, in the order of [`pages`].
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
    (
        "export",
        &[
            "--to FORMAT [-o FILE] [--profile PROFILE] [--kind KIND]... [-n N] [--label-pids] [--buckets N] [FILTERS] RECORDING",
            "--push URL [-n N] [--label-pids] [--buckets N] [FILTERS] RECORDING",
        ],
    ),
    ("info", &["[--format FORMAT] [-o FILE] RECORDING"]),
    ("probes", &["[--format FORMAT] [-o FILE] [NAME]", "-e EVENT... [--pid PID]... [--format FORMAT] [-o FILE]"]),
    ("doctor", &["[--format FORMAT] [-o FILE]"]),
    ("recover", &["[-f] FILE"]),
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

/// The names that programs may rely on.
fn data(roff: &mut Roff) {
    let paragraph = |roff: &mut Roff, text: &str| {
        roff.control("PP", []);
        roff.text([roman(text)]);
    };
    roff.control("SH", ["JSON AND CSV"]);
    paragraph(
        roff,
        "With --format json, one object: version (1), view, title, subtitle, warnings, notes, facts (words for people), tables (by name, each a \
         list of rows), omitted (rows that --top left out, by table), histograms, timelines, heatmaps and bars (by name). With --format csv, one \
         table. Both have every row unless --top is given, but of the slowest \
         events the first 10 or 20.",
    );
    paragraph(
        roff,
        "Numbers are raw: names that end in _ns are nanoseconds, times among them since the start of the window; _bytes are bytes, \
         _pct hundredths, _hz per second; rows of different units have a field unit. What is not known is null, or empty in CSV. With \
         several recordings, rows begin with host. Fields are only ever added.",
    );
    for view in VIEWS {
        for table in tables(view) {
            fields(roff, &format!("{}: {}", view.name, table.name), &table);
        }
        match view.name {
            "processes" => paragraph(
                roff,
                "And for each metric that tells processes apart METRIC.count, METRIC.sum_ns or METRIC.sum_bytes, and of histograms \
                 METRIC.p50, METRIC.p99 and METRIC.max, which end in the unit likewise; ebrec info lists the metrics. A process \
                 without values of a metric lacks its fields in JSON.",
            ),
            "hist" => paragraph(
                roff,
                "With a metric, the table groups: the columns of --by, count, share_pct, sum, and of histograms p50, p90, p99, p99.9, \
                 p99.99 and max, the last ones with the metric's unit at their end, as in p99_ns.",
            ),
            _ => {}
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
        let what = if field.help.is_empty() { format!("{}.", capital(&field.title)) } else { field.help.clone() };
        roff.control("TP", []);
        roff.text([bold(field.name.clone().into_owned())]);
        roff.text([roman(what)]);
    }
}

fn exit_status(roff: &mut Roff, name: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    let mut statuses = vec![
        ("0", "Done, or the reader of stdout had seen enough."),
        ("1", "It failed; stderr has one line that says what, and a hint where there is one."),
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
