//! What becomes of one text: its parts that common systems have stay, the others get pseudonyms.

use std::net::IpAddr;

use super::known::Known;
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

/// The rules, with what they need.
pub(super) struct Texts {
    pub(super) known: Known,
    pub(super) names: Pseudonyms,
}

impl Texts {
    /// A program or thread: `kworker/0:1H-kblockd` stays as `nginx` does.
    pub(super) fn program(&self, text: &str) -> String {
        let (name, rest) = text.split_once(['/', ':', ' ']).unwrap_or((text, ""));
        // Behind the name of a kernel thread stand its CPU and its work queue.
        let is_kernels = text.contains('/') && !rest.contains('/') && self.known.program(name);
        if text.is_empty() || self.known.program(text) || is_kernels {
            return text.to_owned();
        }
        match text.strip_suffix(':').filter(|name| self.known.program(name)) {
            Some(_) => text.to_owned(),
            None => self.names.of("prog", text),
        }
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
        let in_kernels = matches!(parts.as_slice(), ["", "proc" | "sys" | "dev", ..]);
        let at_home = matches!(parts.as_slice(), ["", "home" | "Users", ..]);
        let last = parts.len() - 1;
        let mut out = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                out.push('/');
            }
            let number =
                in_kernels && !part.is_empty() && part.len() <= 10 && part.bytes().all(|byte| byte.is_ascii_digit());
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
            Some((stem, ending)) if ENDINGS.contains(&ending) => format!("{}.{ending}", self.names.of("file", stem)),
            _ => self.names.of("file", name),
        }
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
            Ok(address) if address.is_loopback() || address.is_unspecified() || address.is_multicast() => {
                text.to_owned()
            }
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

    /// The path of a URL: what every service has and `{id}` stay.
    pub(super) fn url(&self, text: &str) -> String {
        let (path, query) = text.find(['?', '#']).map_or((text, ""), |at| text.split_at(at));
        let part = |part: &str| match part {
            "" | "{id}" | "*" | "…" => part.to_owned(),
            part if self.known.part(part) => part.to_owned(),
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
                let number = name.strip_prefix(before).unwrap_or("x");
                number.bytes().all(|byte| byte.is_ascii_digit())
            };
            let of_user = ["user-", "user@", "session-", "user-runtime-dir@"].into_iter().any(numbered);
            match name {
                "" => part.to_owned(),
                name if of_user || self.known.part(name) => part.to_owned(),
                name => self.names.of("unit", name) + ending,
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
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        let kernels = KERNELS.into_iter().any(|name| text.strip_prefix(name).is_some_and(short));
        if kernels || is_number { text.to_owned() } else { self.names.of("dev", text) }
    }

    /// A function's name: paths and URLs within it are replaced, and files that stand for a name that isn't known.
    pub(super) fn symbol(&self, text: &str) -> String {
        if let Some((module, offset)) = text.rsplit_once("+0x")
            && offset.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return format!("{}+0x{offset}", self.path(module));
        }
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
            out.push_str(&self.place(word));
            out.push_str(end);
        }
        out
    }

    /// A word that may be a place in a source file: `/srv/app/main.js:10:5`, `file:///srv/app/main.js`.
    fn place(&self, word: &str) -> String {
        if let Some((scheme, rest)) = word.split_once("://") {
            return format!("{scheme}://{}", self.place_in_file(rest));
        }
        if word.contains('/') && word.len() > 1 { self.place_in_file(word) } else { word.to_owned() }
    }

    fn place_in_file(&self, word: &str) -> String {
        let path = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':');
        let line = word.get(path.len()..).filter(|rest| rest.starts_with(':')).unwrap_or("");
        self.path(word.strip_suffix(line).unwrap_or(word)) + line
    }

    /// The name of a custom event: those of the kernel's functions and tracepoints stay, without what is compared with.
    pub(super) fn event(&self, text: &str) -> String {
        const KERNELS: [&str; 7] = ["kprobe:", "kretprobe:", "fentry:", "fexit:", "tracepoint:", "rawtp:", "latency:"];
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.*".contains(&byte));
        let kernels = KERNELS.into_iter().any(|hook| text.starts_with(hook));
        if plain && kernels { text.to_owned() } else { self.names.of("event", text) }
    }

    /// A text that was captured; short numbers stay.
    pub(super) fn captured(&self, text: &str) -> String {
        let number = text.len() <= 7 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if number { text.to_owned() } else { self.names.of("text", text) }
    }
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
