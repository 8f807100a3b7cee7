//! What becomes of one text: its parts that common systems have stay, the others get pseudonyms.

use std::net::IpAddr;

use super::kernel_threads::is_kernels;
use super::known::Known;
use super::known::split_number;
use super::pseudonyms::Pseudonyms;

/// Endings of files that stay, since they say what a file is and not whose.
const ENDINGS: [&str; 34] = [
    "a", "c", "cc", "cfg", "conf", "cpp", "csv", "db", "go", "h", "html", "java", "jar", "js", "json", "log", "md",
    "o", "parquet", "pid", "py", "pyc", "rb", "rs", "sh", "so", "sock", "sql", "sqlite", "tmp", "ts", "txt", "xml",
    "yaml",
];
/// The methods of HTTP that everybody uses (RFC 9110, section 9, and RFC 5789).
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// Labels of DNS names that name nobody.
const LABELS: [&str; 16] = [
    "",
    "arpa",
    "cluster",
    "com",
    "dev",
    "edu",
    "in-addr",
    "io",
    "ip6",
    "internal",
    "local",
    "localdomain",
    "localhost",
    "net",
    "org",
    "svc",
];
/// Endings of control groups that systemd makes.
const UNITS: [&str; 6] = [".service", ".slice", ".scope", ".socket", ".mount", ".timer"];
/// Names of frames and mappings that ebrec and the kernel give to what has none.
const PLACES: [&str; 11] = [
    "[kernel]",
    "[unknown]",
    "[truncated]",
    "[generated]",
    "[python]",
    "[vdso]",
    "[vsyscall]",
    "[stack]",
    "[heap]",
    "[idle]",
    "[anon]",
];

/// Bytes of a number that may be a line or a column of a source file, also of one that was packed into a line.
const LINE_BYTES: usize = 7;
/// Bytes of the number of a process in /proc (`PID_MAX_LIMIT` is 4,194,304).
const PID_BYTES: usize = 7;
/// Bytes of the number of a user or session in the name of a control group.
const SESSION_BYTES: usize = 5;
/// Bytes of a captured number that says nothing of anyone, such as the number of an error.
const NUMBER_BYTES: usize = 3;

/// The rules, with what they need.
pub(super) struct Texts {
    pub(super) known: Known,
    pub(super) names: Pseudonyms,
}

impl Texts {
    /// A program or thread: `kworker/0:1H-kblockd` stays as `nginx` does.
    pub(super) fn program(&self, text: &str) -> String {
        let name = text.strip_suffix(':').unwrap_or(text);
        if text.is_empty() || self.known.program(name) || is_kernels(text, |device| self.device(device) == device) {
            return text.to_owned();
        }
        self.numbered(text).unwrap_or_else(|| self.names.of("prog", text))
    }

    /// A known name with the number behind it replaced: `client-number-x2k7h9qd` for `client-4155550166`.
    fn numbered(&self, name: &str) -> Option<String> {
        let (stem, number) = split_number(name).filter(|(stem, _)| self.known.exactly(stem))?;
        let separator = name.get(stem.len()..).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        let separator = separator.and_then(|rest| rest.chars().next()).map(String::from).unwrap_or_default();
        Some(format!("{stem}{separator}{}", self.names.of("number", number)))
    }

    /// A path, part by part. Below a home directory, the name of its owner never stays.
    pub(super) fn path(&self, text: &str) -> String {
        if text.is_empty() || PLACES.contains(&text) {
            return text.to_owned();
        }
        if let Some(module) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return if self.known.part(module) {
                text.to_owned()
            } else {
                format!("[{}]", self.names.of("module", module))
            };
        }
        let (path, deleted) = text.strip_suffix(" (deleted)").map_or((text, ""), |path| (path, " (deleted)"));
        let parts: Vec<&str> = path.split('/').collect();
        let in_kernels = matches!(parts.as_slice(), ["", "proc" | "sys", ..]);
        let at_home = matches!(parts.as_slice(), ["", "home" | "Users", ..]);
        let last = parts.len() - 1;
        let mut out = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                out.push('/');
            }
            let number = in_kernels && is_number(part, PID_BYTES);
            match *part {
                user if at_home && index == 2 && !user.is_empty() => out.push_str(&self.names.of("user", user)),
                "" | "." | ".." => out.push_str(part),
                part if number || self.known.part(part) => out.push_str(part),
                part if index == last => out.push_str(&self.file(part)),
                part => out.push_str(&self.names.of("dir", part)),
            }
        }
        out + deleted
    }

    fn file(&self, name: &str) -> String {
        match name.rsplit_once('.') {
            Some((stem, ending)) if ENDINGS.contains(&ending) => format!("{}.{ending}", self.stem(stem)),
            _ => self.stem(name),
        }
    }

    fn stem(&self, stem: &str) -> String {
        self.numbered(stem).unwrap_or_else(|| self.names.of("file", stem))
    }

    /// Arguments as a shell takes them: the program's name stays by the rules of paths, and so do options of one letter.
    pub(super) fn arguments(&self, text: &str) -> String {
        let words = words(text);
        let redacted = words.iter().enumerate().map(|(index, word)| match word.as_str() {
            "" => "''".to_owned(),
            "…" | "-" | "--" => word.clone(),
            program if index == 0 && program.contains('/') => self.path(program),
            program if index == 0 => self.program(program),
            option if option.len() == 2 && option.starts_with('-') => option.to_owned(),
            word => self.names.of("arg", word),
        });
        redacted.collect::<Vec<_>>().join(" ")
    }

    /// An address; those that every machine has stay.
    pub(super) fn address(&self, text: &str) -> String {
        let bare = text.strip_prefix("::ffff:").unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) if is_every_machines(address) => text.to_owned(),
            Ok(_) => self.names.of("ip", text),
            Err(_) if text.is_empty() => String::new(),
            Err(_) if text.starts_with('/') => self.path(text),
            Err(_) => self.names.of("socket", text),
        }
    }

    /// A DNS name, label by label, so that names of one domain still show as such.
    pub(super) fn dns(&self, text: &str) -> String {
        let label = |label: &str| match LABELS.contains(&label.to_ascii_lowercase().as_str()) {
            true => label.to_owned(),
            false => self.names.of("name", &label.to_ascii_lowercase()),
        };
        text.split('.').map(label).collect::<Vec<_>>().join(".")
    }

    /// The path of a URL: what every service has and `{id}` stay. A number in it is somebody's, however short it is.
    pub(super) fn url(&self, text: &str) -> String {
        let (path, query) = text.find(['?', '#']).map_or((text, ""), |at| text.split_at(at));
        let part = |part: &str| match part {
            "" | "{id}" | "*" | "…" => part.to_owned(),
            part if self.known.exactly(part) => part.to_owned(),
            part => self.names.of("part", part),
        };
        let mut out = path.split('/').map(part).collect::<Vec<_>>().join("/");
        if let Some(begin) = query.chars().next() {
            out.push(begin);
            out.push_str(&self.names.of("query", query));
        }
        out
    }

    /// The method of a request.
    pub(super) fn method(&self, text: &str) -> String {
        if METHODS.contains(&text) { text.to_owned() } else { self.names.of("method", text) }
    }

    /// The path of a control group: units that systemd and container engines make for everybody stay.
    pub(super) fn cgroup(&self, text: &str) -> String {
        let part = |part: &str| {
            let ending = UNITS.into_iter().find(|ending| part.ends_with(ending)).unwrap_or("");
            let name = part.strip_suffix(ending).unwrap_or(part);
            let numbered = |before: &str| {
                name.strip_prefix(before).is_some_and(|number| number.is_empty() || is_number(number, SESSION_BYTES))
            };
            let of_user = ["user-", "user@", "session-", "user-runtime-dir@"].into_iter().any(numbered);
            match name {
                "" => part.to_owned(),
                name if of_user || self.known.part(name) => part.to_owned(),
                name => self.numbered(name).unwrap_or_else(|| self.names.of("unit", name)) + ending,
            }
        };
        text.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// A block device: the names that the kernel gives stay.
    pub(super) fn device(&self, text: &str) -> String {
        const KERNELS: [&str; 14] =
            ["sd", "vd", "xvd", "hd", "nvme", "dm-", "md", "loop", "zram", "sr", "mmcblk", "nbd", "ram", "rbd"];
        let short = |rest: &str| {
            rest.len() <= 8 && rest.bytes().all(|byte| byte.is_ascii_digit() || b"abcdefghnp".contains(&byte))
        };
        // Major and minor number: 12 and 20 bits.
        let numbers = text.split_once(':').is_some_and(|(major, minor)| is_number(major, 4) && is_number(minor, 7));
        let kernels = KERNELS.into_iter().any(|name| text.strip_prefix(name).is_some_and(short));
        if kernels || numbers { text.to_owned() } else { self.names.of("dev", text) }
    }

    /// A function's name: paths and URLs within it are replaced, and files that stand for a name that isn't known.
    ///
    /// Stacks have colons for the semicolons of a name, so a name with a path has them here too: equal names stay equal.
    pub(super) fn symbol(&self, text: &str) -> String {
        if let Some((module, offset)) = place_in_module(text) {
            return format!("{}+0x{offset}", self.path(module));
        }
        // Python's map for perf: `py::FUNCTION:FILE`.
        if let Some((function, file)) = text.strip_prefix("py::").and_then(|rest| rest.split_once(':')) {
            return format!("py::{function}:{}", self.path(file));
        }
        let with_colons = text.replace(';', ":");
        if !text.contains('/') && position(&with_colons) == text.len() {
            return text.to_owned();
        }
        let text = with_colons;
        let (name, position) = text.split_at(position(&text));
        // Node's: `JS:*function /srv/app/main.js:10:5`, with `node:fs` for its own files.
        if let Some((function, file)) = name.split_once(' ').filter(|_| !position.is_empty())
            && absolute(name).is_none()
        {
            let file = if file.starts_with("node:") { file.to_owned() } else { self.path(file) };
            return format!("{} {file}{position}", self.words(function));
        }
        match absolute(name) {
            // Spaces don't end a path.
            Some(at) => {
                let (function, file) = name.split_at(at);
                format!("{}{}{position}", self.words(function), self.path(file))
            }
            None => self.words(name) + position,
        }
    }

    /// Words of which some may be paths.
    fn words(&self, text: &str) -> String {
        if !text.contains('/') {
            return text.to_owned();
        }
        let mut out = String::new();
        let ends = |c: char| c.is_whitespace() || "()<>[]{},;'\"`".contains(c);
        for word in text.split_inclusive(ends) {
            let (word, end) = word
                .char_indices()
                .next_back()
                .filter(|(_, c)| ends(*c))
                .map_or((word, ""), |(at, _)| word.split_at(at));
            out.push_str(&self.word(word));
            out.push_str(end);
        }
        out
    }

    /// A word that may be a path: `src/main.js:10:5`, `Lcom/example/Main::main`, but not `operator/`.
    fn word(&self, word: &str) -> String {
        let Some(last) = word.rfind('/') else { return word.to_owned() };
        let (path, operator) = word.split_at(last);
        let is_operator = path.ends_with("operator") && !path.contains('/') && matches!(operator, "/" | "/=");
        if word == "/" || is_operator {
            return word.to_owned();
        }
        let end = word.get(last..).and_then(|name| name.find("::")).map_or(position(word), |at| last + at);
        let (path, rest) = word.split_at(end);
        self.path(path) + rest
    }

    /// What stands outside of quotes in a sentence: a path goes on to the end, or to what the sentence has behind it.
    pub(super) fn sentence(&self, text: &str) -> String {
        let Some(at) = absolute(text) else { return self.words(text) };
        let (before, path) = text.split_at(at);
        let last = path.rfind('/').unwrap_or(0);
        let end = [": ", "; "].into_iter().filter_map(|end| path.get(last..)?.find(end)).min();
        let (path, after) = path.split_at(end.map_or(path.len(), |end| last + end));
        format!("{}{}{after}", self.words(before), self.path(path))
    }

    /// The name of a custom event: those of the kernel's functions and tracepoints stay, without what is compared with.
    pub(super) fn event(&self, text: &str) -> String {
        const KERNELS: [&str; 7] = ["kprobe:", "kretprobe:", "fentry:", "fexit:", "tracepoint:", "rawtp:", "latency:"];
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.*".contains(&byte));
        // `latency:FILE:FUNCTION` is a program's.
        let of_file = text.strip_prefix("latency:").is_some_and(|rest| rest.contains(':'));
        let kernels = !of_file && KERNELS.into_iter().any(|hook| text.starts_with(hook));
        if plain && kernels { text.to_owned() } else { self.names.of("event", text) }
    }

    /// One of ebrec's BPF programs, such as `sched/sched_switch`. Those of custom events are `events/0 EVENT PROGRAM`.
    pub(super) fn bpf_program(&self, text: &str) -> String {
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/".contains(&byte));
        if plain(text) {
            return text.to_owned();
        }
        let parts = text.split_once(' ').and_then(|(object, rest)| Some((object, rest.rsplit_once(' ')?)));
        match parts {
            Some((object, (event, program))) if plain(object) && plain(program) => {
                format!("{object} {} {program}", self.event(event))
            }
            _ => self.names.of("program", text),
        }
    }

    /// A text that was captured; short numbers stay.
    pub(super) fn captured(&self, text: &str) -> String {
        let number = is_number(text.strip_prefix('-').unwrap_or(text), NUMBER_BYTES);
        if number || text.is_empty() { text.to_owned() } else { self.names.of("text", text) }
    }
}

/// The file and the offset of a frame that has no name: `libacme.so.1+0x1f2a`.
pub(super) fn place_in_module(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once("+0x").filter(|(_, offset)| offset.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a text is the name of a frame that has none.
pub(super) fn is_placeholder(text: &str) -> bool {
    text.is_empty() || PLACES.contains(&text)
}

/// Where the first path from the root begins. A slash within a word belongs to a relative path, or to `operator/`.
fn absolute(text: &str) -> Option<usize> {
    let begins = |before: Option<char>| before.is_none_or(|c| !c.is_alphanumeric() && !"._-/)]>".contains(c));
    text.match_indices('/')
        .map(|(at, _)| at)
        .find(|at| begins(text.get(..*at).and_then(|text| text.chars().next_back())))
}

/// Where `:LINE:COLUMN` or `:LINE` begins at the end of a text, or its end.
fn position(text: &str) -> usize {
    let number =
        |text: &str| text.rsplit_once(':').filter(|(_, line)| is_number(line, LINE_BYTES)).map(|(rest, _)| rest.len());
    let one = number(text).unwrap_or(text.len());
    text.get(..one).and_then(number).unwrap_or(one)
}

/// Whether a text is a number of at most so many digits.
fn is_number(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether every machine has or knows an address. Other multicast addresses are made of a machine's own, or chosen by its administrator.
fn is_every_machines(address: IpAddr) -> bool {
    let is_common_group = match address {
        // The local network control block (RFC 5771, section 4).
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        // The groups of all nodes and routers, and others by a short number (RFC 4291, section 2.7.1).
        IpAddr::V6(address) => matches!(address.segments(), [0xff01..=0xff05, 0, 0, 0, 0, 0, 0, 0..=0xff]),
    };
    address.is_loopback() || address.is_unspecified() || is_common_group
}

/// The words of a line as a shell takes them; what is quoted is unquoted.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, ' ') => words.extend(word.take()),
            (None, '\'') | (Some('\''), '\'') => {
                quote = if quote.is_none() { Some('\'') } else { None };
                word.get_or_insert_default();
            }
            // Outside of quotes a backslash stands before a quote.
            (None, '\\') => {
                word.get_or_insert_default();
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
