//! Bundles that are shared: nothing that could identify someone is left anywhere in them, and the rest still says what it said.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use ebrec::probes;
use ebrec::recording::CORE_KINDS;
use ebrec::recording::CaptureMeta;
use ebrec::recording::ColumnType;
use ebrec::recording::EventMeta;
use ebrec::recording::Existing;
use ebrec::recording::Holds;
use ebrec::recording::Identity;
use ebrec::recording::KindMeta;
use ebrec::recording::Meta;
use ebrec::recording::MetricMeta;
use ebrec::recording::ProbeState;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;
use parquet::file::reader::FileReader;
use parquet::file::reader::SerializedFileReader;
use serde_json::json;
use zip::ZipArchive;

fn ebrec(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebrec")).args(arguments).current_dir(dir).env("COLUMNS", "100").output().unwrap()
}

fn worked(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Secrets as they are planted: numbered, so that one that survives is named.
#[derive(Default)]
struct Planted(Vec<String>);

impl Planted {
    fn next(&mut self) -> String {
        let secret = format!("zqsecret{:03}x", self.0.len());
        self.0.push(secret.clone());
        secret
    }

    /// A text of a sort with secrets where such texts have names.
    fn text(&mut self, holds: Holds, n: u64) -> Option<String> {
        let mut s = || self.next();
        Some(match holds {
            Holds::Word | Holds::Key | Holds::BuildId => return None,
            Holds::Path if n == 0 => format!("/home/{}/{}/{}.py", s(), s(), s()),
            Holds::Path if n == 1 => format!("/usr/lib/{}/lib{}.so.1", s(), s()),
            Holds::Path if n == 2 => format!("/var/lib/postgresql/{} (deleted)", s()),
            Holds::Path => format!("../{}/[{}]", s(), s()),
            Holds::Arguments if n == 0 => format!("/opt/{}/bin/python3 --password={} -p '{} {}'", s(), s(), s(), s()),
            Holds::Arguments if n == 1 => format!("postgres: {} {} 10.0.0.1(5) SELECT", s(), s()),
            Holds::Arguments => format!("'{} -x' {}'\\''{} …", s(), s(), s()),
            Holds::Address => {
                ["10.11.12.13".to_owned(), "2001:db8::7".to_owned(), format!("/run/{}.sock", s()), format!("@{}", s())]
                    [n as usize % 4]
                    .clone()
            }
            Holds::DnsName => format!("{}.{}.com", s(), s()),
            Holds::Url => format!("/v1/{}/{}?token={}", s(), s(), s()),
            Holds::Cgroup if n == 0 => format!("/system.slice/{}.service", s()),
            Holds::Cgroup => format!("/kubepods.slice/docker-{}.scope", s()),
            Holds::Symbol if n == 0 => format!("JS:*hot /srv/{}/{}.js:1:13", s(), s()),
            Holds::Symbol if n == 1 => format!("{}+0x1f2a", s()),
            Holds::Symbol if n == 2 => format!("JS:*hot /srv/{} dir {} end/{}.js:1:13", s(), s(), s()),
            Holds::Symbol => format!("file:///{}/{}.js", s(), s()),
            Holds::Stack => format!("main;{}+0x12;~fn /data/{}/x.js:3", s(), s()),
            Holds::BpfProgram if n == 0 => format!(
                "events/0 uprobe:/srv/{}/pay:{}(str(arg0))/str(arg0) == \"{}\"/ user_entries_sleepable",
                s(),
                s(),
                s()
            ),
            Holds::BpfProgram => format!("events/{n} latency:{}:f user_entries", s()),
            Holds::Event if n == 1 => format!("latency:{}:charge", s()),
            Holds::Event if n == 0 => format!("kprobe:tcp_sendmsg/comm == \"{}\"/", s()),
            Holds::Event => format!("uprobe:/home/{}/app:{}", s(), s()),
            Holds::Captured => format!("SELECT * FROM {} WHERE name = '{}'", s(), s()),
            Holds::Program if n == 0 => s(),
            Holds::Program if n == 1 => format!("kworker/{}/1", s()),
            Holds::Program if n == 2 => format!("kworker/{}", s()),
            Holds::Program => format!("worker/{}", s()),
            Holds::Host | Holds::Method | Holds::Container | Holds::Device | Holds::ByKind | Holds::Unknown => s(),
        })
    }
}

/// The metadata of a recording of all probes, with secrets wherever a user's words stand.
fn meta(planted: &mut Planted) -> Meta {
    let holds = |said: &[(&str, Holds)]| {
        said.iter().map(|(name, holds)| ((*name).to_owned(), *holds)).collect::<BTreeMap<_, _>>()
    };
    let mut meta = Meta {
        command: [
            "/root/ZQ/ebrec",
            "record",
            "-d",
            "5s",
            "-p",
            "+block:raw,http",
            "--comm",
            "COMM",
            "-e",
            "uprobe:/x/EVENT:f",
            "--",
            "./CMD",
            "--token=ARG",
        ]
        .map(|word| {
            let swap = |word: &str, name: &str, planted: &mut Planted| {
                if word.contains(name) { word.replace(name, &planted.next()) } else { word.to_owned() }
            };
            ["ZQ", "COMM", "EVENT", "CMD", "ARG"]
                .into_iter()
                .fold(word.to_owned(), |word, name| swap(&word, name, planted))
        })
        .to_vec(),
        window: Window {
            start_real_ns: 1_700_000_000_000_000_000,
            actual_ns: 4_000_000_000,
            interval_ns: 1_000_000_000,
            ..Window::default()
        },
        ..Meta::default()
    };
    meta.host.hostname = planted.next();
    let config = json!({
        "comms": [planted.next()], "cgroups": [format!("/{}", planted.next())], "containers": [planted.next()], "users": [planted.next(), 1000],
        "events": [format!("x={}:y", planted.next())], "command": [planted.next(), "--key", planted.next()], "interval_ns": 5, "follow": true,
        "later": { "own": planted.next() },
    });
    meta.config = config.as_object().unwrap().clone();
    meta.events.push(EventMeta {
        name: planted.next(),
        text: format!("latency:/srv/{}:f", planted.next()),
        captures: vec![CaptureMeta { column: "str_0".to_owned(), name: planted.next() }],
        hist: Some(planted.next()),
        by: Some(planted.next()),
        ..EventMeta::default()
    });
    for probe in probes::REGISTRY.iter().map(|probe| probe.info()) {
        meta.probes.push(ProbeState {
            name: probe.name.to_owned(),
            reason: Some(format!(
                "left out '{}': /opt/{} a {} b/x has no symbols; can't find '{}'",
                planted.next(),
                planted.next(),
                planted.next(),
                planted.next()
            )),
            hooks: vec!["tp_btf/sched_switch".to_owned(), format!("uprobe.multi/{}", planted.next())],
            ..ProbeState::default()
        });
        for kind in probe.kinds {
            meta.kinds.push(KindMeta {
                name: kind.name.to_owned(),
                probe: Some(probe.name.to_owned()),
                help: String::new(),
                holds: holds(probe.holds),
            });
        }
        for metric in probe.metrics {
            meta.metrics.push(MetricMeta {
                name: metric.name.to_owned(),
                probe: probe.name.to_owned(),
                kind: "counter".to_owned(),
                unit: "count".to_owned(),
                by: metric.by.iter().map(|column| (*column).to_owned()).collect(),
                ..MetricMeta::default()
            });
        }
    }
    meta.kinds.extend(CORE_KINDS.iter().map(|kind| KindMeta {
        name: kind.name.to_owned(),
        probe: None,
        help: String::new(),
        holds: holds(kind.holds),
    }));
    meta
}

/// Writes a recording in which every text of every kind that could name someone does, and says what was planted.
fn write(path: &Path) -> Planted {
    let mut planted = Planted::default();
    let meta = meta(&mut planted);
    let columns = probes::REGISTRY.iter().flat_map(|probe| probe.info().columns);
    let schema = Arc::new(Schema::new(columns));
    let identity = Identity { host: meta.host.hostname.clone(), run_id: "0a".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Replace).unwrap();
    let mut rows = Rows::new(Arc::clone(&schema), 0);
    let own = probes::REGISTRY.iter().flat_map(|probe| probe.info().kinds.iter().map(|kind| (kind.name, kind.columns)));
    let core = CORE_KINDS.iter().filter(|kind| kind.name != "recording").map(|kind| (kind.name, kind.columns));
    let fill = |row: &mut ebrec::recording::Row<'_>,
                name: &str,
                said: &BTreeMap<String, Holds>,
                n: u64,
                planted: &mut Planted| {
        let id = schema.id(name).unwrap_or_else(|| panic!("no column {name}"));
        match schema.column(id).unwrap().ty {
            ColumnType::Text(declared) => {
                if let Some(text) = planted.text(said.get(name).copied().unwrap_or(declared), n) {
                    row.text(id, &text);
                    return Some(text);
                }
                None
            }
            ColumnType::ListInt32 => None,
            _ => {
                row.int(id, 7);
                Some("7".to_owned())
            }
        }
    };
    for (kind, columns) in own.chain(core) {
        let said = &meta.kinds.iter().find(|known| known.name == kind).unwrap().holds;
        for n in 0..4 {
            let mut row = rows.row(kind);
            row.at(1_700_000_001_000_000_000);
            for name in columns.iter().filter(|name| **name != "key") {
                fill(&mut row, name, said, n, &mut planted);
            }
        }
    }
    for metric in &meta.metrics {
        let said: BTreeMap<String, Holds> = meta
            .kinds
            .iter()
            .filter(|kind| kind.probe.as_deref() == Some(&metric.probe))
            .flat_map(|kind| kind.holds.clone())
            .collect();
        for n in 0..2 {
            let mut row = rows.row("metric");
            row.at(1_700_000_002_000_000_000)
                .text(schema.id("metric").unwrap(), &metric.name)
                .int(schema.id("count").unwrap(), 1);
            let key: Vec<String> =
                metric.by.iter().filter_map(|name| fill(&mut row, name, &said, n, &mut planted)).collect();
            row.text(schema.id("key").unwrap(), &key.join(" "));
        }
    }
    writer.set_meta(&meta);
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish(Duration::from_secs(60)).unwrap();
    planted
}

/// A recording without rows, of the core columns alone.
fn empty(path: &Path) -> (Arc<Schema>, Writer, Rows) {
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "h".to_owned(), run_id: "0".to_owned() };
    let writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let rows = Rows::new(Arc::clone(&schema), 0);
    (schema, writer, rows)
}

/// Every byte of a bundle, unpacked: its files, and the pages of its recording, dictionaries included.
fn unpacked(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let mut parts = vec![("the bundle".to_owned(), fs::read(bundle).unwrap())];
    let mut zip = ZipArchive::new(File::open(bundle).unwrap()).unwrap();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let name = entry.name().unwrap().into_owned();
        if name.ends_with(".parquet") {
            let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
            for group in 0..reader.num_row_groups() {
                let group = reader.get_row_group(group).unwrap();
                for column in 0..group.num_columns() {
                    let mut pages = group.get_column_page_reader(column).unwrap();
                    while let Some(page) = pages.get_next_page().unwrap() {
                        parts.push((format!("a page of column {column}"), page.buffer().to_vec()));
                    }
                }
            }
        }
        parts.push((name, bytes));
    }
    parts
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

fn bundle(dir: &Path) -> PathBuf {
    dir.join("run.zip")
}

#[test]
fn nothing_planted_survives_anywhere_in_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let planted = write(&dir.path().join("run.parquet"));
    assert!(planted.0.len() >= 200, "{} planted", planted.0.len());
    worked(ebrec(&["share", "run.parquet"], dir.path()));
    let parts = unpacked(&bundle(dir.path()));
    let mut survived = BTreeSet::new();
    for (part, bytes) in &parts {
        // One look for all of them; then which.
        if contains(bytes, "zqsecret") {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            survived.extend(
                text.match_indices("zqsecret")
                    .map(|(at, _)| format!("{part}: {}", text.get(at..at + 12).unwrap_or_default())),
            );
        }
        for address in ["10.11.12.13", "2001:db8::7"] {
            assert!(!contains(bytes, address), "{address} in {part}");
        }
    }
    assert!(survived.is_empty(), "{survived:#?}");
    // What was planted is in the recording itself, so the search would find it.
    let names = String::from_utf8_lossy(&fs::read(dir.path().join("run.parquet")).unwrap()).into_owned();
    assert!(names.contains("zqsecret"));
}

#[test]
fn a_bundle_says_what_the_recording_says_in_pseudonyms() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.parquet");
    crate::synthetic::build::build("builder").write(&run);
    worked(ebrec(&["share", "run.parquet"], dir.path()));
    let (before, after) = (Recording::open(&run).unwrap(), Recording::open(&bundle(dir.path())).unwrap());
    let counts = |recording: &Recording| {
        recording.kinds().into_iter().filter(|(kind, _)| kind != "recording").collect::<Vec<_>>()
    };
    assert_eq!(counts(&before), counts(&after));
    assert_eq!(before.meta().metrics, after.meta().metrics);
    let numbers = |recording: &Recording| {
        let mut sums = BTreeMap::new();
        for (kind, _) in counts(recording) {
            let columns = ["pid", "dur_ns", "count", "sum", "bucket_lo", "ts", "ts_sub_ns"];
            for chunk in recording.scan(&kind, &columns).unwrap() {
                let chunk = chunk.unwrap();
                for row in 0..chunk.len() {
                    let time = chunk.times(5, 6).get(row).unwrap_or(0);
                    let numbers = (0..5).map(|column| chunk.int(column).get(row).unwrap_or(0));
                    let sum: &mut i64 = sums.entry(kind.clone()).or_default();
                    *sum =
                        numbers.fold(sum.wrapping_add(time), |sum, number| sum.wrapping_mul(31).wrapping_add(number));
                }
            }
        }
        sums
    };
    assert_eq!(numbers(&before), numbers(&after));
    let comms = |recording: &Recording| {
        let mut comms = BTreeSet::new();
        for chunk in recording.scan("exec", &["comm"]).unwrap() {
            let chunk = chunk.unwrap();
            comms.extend((0..chunk.len()).filter_map(|row| chunk.text(0).get(row).map(str::to_owned)));
        }
        comms
    };
    assert_eq!(comms(&before).len(), comms(&after).len(), "equal stays equal, and different stays different");
    let said = String::from_utf8(worked(ebrec(&["info", "run.zip"], dir.path())).stdout).unwrap();
    assert!(said.contains("replaced by pseudonyms"), "{said}");
}

#[test]
fn what_is_kept_and_what_else_goes_is_the_users_choice() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("run.parquet"));
    worked(ebrec(&["share", "--keep", "all", "run.parquet"], dir.path()));
    assert!(unpacked(&bundle(dir.path())).iter().any(|(_, bytes)| contains(bytes, "zqsecret")));
    fs::write(dir.path().join("patterns"), "# names of ours\nzqsecret\\d+x\n").unwrap();
    worked(ebrec(&["share", "--keep", "all", "--patterns", "patterns", "-o", "p.zip", "run.parquet"], dir.path()));
    let left: Vec<_> = unpacked(&dir.path().join("p.zip"))
        .into_iter()
        .filter(|(_, bytes)| contains(bytes, "zqsecret"))
        .map(|(part, _)| part)
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let refused = ebrec(&["share", "--keep", "everything", "run.parquet"], dir.path());
    assert_eq!(refused.status.code(), Some(2));
    fs::write(dir.path().join("patterns"), "(\n").unwrap();
    let refused = ebrec(&["share", "--patterns", "patterns", "-o", "q.zip", "run.parquet"], dir.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!dir.path().join("q.zip").exists());
}

#[test]
fn functions_of_ones_own_programs_go_when_that_is_asked_and_those_of_the_system_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.parquet");
    let (schema, mut writer, mut rows) = empty(&run);
    let id = |name: &str| schema.id(name).unwrap();
    for (number, name, module) in [
        (1, "charge_customer", "/srv/app/billing"),
        (2, "malloc", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        (3, "vfs_read", "[kernel]"),
    ] {
        rows.row("symbol")
            .at(0)
            .int(id("id"), number)
            .text(id("name"), name)
            .text(id("module"), module)
            .text(id("build_id"), "0123456789");
    }
    rows.row("stack")
        .at(0)
        .int(id("id"), 9)
        .list(id("frames"), &[3, 2, 1])
        .text(id("folded"), "charge_customer;malloc;vfs_read");
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    let kind = |name: &str, holds: Vec<(&str, Holds)>| KindMeta {
        name: name.to_owned(),
        holds: holds.into_iter().map(|(name, holds)| (name.to_owned(), holds)).collect(),
        ..KindMeta::default()
    };
    writer.set_meta(&Meta {
        kinds: vec![kind("symbol", vec![("name", Holds::Symbol)]), kind("stack", vec![])],
        ..Meta::default()
    });
    writer.finish(Duration::from_secs(60)).unwrap();
    worked(ebrec(&["share", "run.parquet"], dir.path()));
    let text =
        |file: &str| unpacked(&dir.path().join(file)).into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>();
    assert!(contains(&text("run.zip"), "charge_customer;malloc;vfs_read"));
    worked(ebrec(&["share", "--redact", "symbols,build-ids", "-o", "own.zip", "run.parquet"], dir.path()));
    let own = text("own.zip");
    assert!(!contains(&own, "charge_customer") && contains(&own, ";malloc;vfs_read"));
    assert!(contains(&own, "0123456789"), "libc's build id stays");
}

#[test]
fn a_recording_that_is_too_large_keeps_its_totals_and_its_slowest_events() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.parquet");
    let (schema, mut writer, mut rows) = empty(&run);
    let id = |name: &str| schema.id(name).unwrap();
    let mut noise = 1u64;
    for n in 0..200_000i64 {
        // Numbers that don't compress.
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = (noise >> 20).cast_signed();
        rows.row("syscall").at(n as u64 * 1000).int(id("dur_ns"), bytes & 0xff_ffff).int(id("bytes"), bytes);
    }
    rows.row("metric").at(0).text(id("metric"), "syscall.latency").int(id("sum"), 42);
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    let kind = |name: &str, probe: Option<&str>| KindMeta {
        name: name.to_owned(),
        probe: probe.map(str::to_owned),
        ..KindMeta::default()
    };
    writer.set_meta(&Meta { kinds: vec![kind("syscall", Some("syscall")), kind("metric", None)], ..Meta::default() });
    let whole = writer.finish(Duration::from_secs(60)).unwrap().bytes;
    assert!(whole > 1 << 20, "{whole}");
    for (size, bytes) in [("800KiB", 800 << 10), ("300KiB", 300 << 10), ("100KiB", 100 << 10)] {
        let said = worked(ebrec(&["share", "--max-size", size, "--force", "-o", "run.zip", "run.parquet"], dir.path()));
        assert!(bundle(dir.path()).metadata().unwrap().len() <= bytes, "{size}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("left out"), "{size}");
        let shared = Recording::open(&bundle(dir.path())).unwrap();
        assert_eq!(shared.rows("metric"), 1);
        let least = |recording: &Recording| {
            let chunks = recording.scan("syscall", &["dur_ns"]).unwrap().map(Result::unwrap);
            chunks
                .flat_map(|chunk| (0..chunk.len()).map(|row| chunk.int(0).get(row).unwrap()).collect::<Vec<_>>())
                .min()
        };
        let longer = Recording::open(&run).unwrap().scan("syscall", &["dur_ns"]).unwrap().map(Result::unwrap);
        let threshold = least(&shared).unwrap_or(i64::MAX);
        let expected: usize = longer
            .map(|chunk| (0..chunk.len()).filter(|row| chunk.int(0).get(*row).unwrap() >= threshold).count())
            .sum();
        assert_eq!(shared.rows("syscall"), expected as u64, "the slowest, all of them");
    }
    let shown = String::from_utf8(worked(ebrec(&["report", "losses", "run.zip"], dir.path())).stdout).unwrap();
    assert!(shown.contains("left out") && shown.contains("'syscall' rows"), "{shown}");
    let refused = ebrec(&["share", "--max-size", "5KiB", "-o", "s.zip", "run.parquet"], dir.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hint: allow more with --max-size"));
}

#[test]
fn what_could_identify_someone_is_listed_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("run.parquet"));
    let shown = String::from_utf8(worked(ebrec(&["share", "--show", "run.parquet"], dir.path())).stdout).unwrap();
    for kind in ["arguments", "paths", "programs", "addresses", "dns", "urls", "hosts", "containers", "captured"] {
        let line =
            shown.lines().find(|line| line.trim_start().starts_with(kind)).unwrap_or_else(|| panic!("{kind}: {shown}"));
        assert!(line.contains("pseudonyms"), "{line}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_bundle_never_replaces_a_file_unasked_and_finds_a_free_name() {
    let dir = tempfile::tempdir().unwrap();
    crate::synthetic::build::build("builder").write(&dir.path().join("run.parquet"));
    for name in ["run.zip", "run-2.zip", "run-3.zip"] {
        worked(ebrec(&["share", "run.parquet"], dir.path()));
        assert!(dir.path().join(name).exists(), "{name}");
    }
    let refused = ebrec(&["share", "-o", "run.zip", "run.parquet"], dir.path());
    assert_eq!(refused.status.code(), Some(1));
    worked(ebrec(&["share", "-o", "again.zip", "run.zip"], dir.path()));
}

#[test]
fn every_text_column_says_what_it_holds_and_every_kind_what_its_names_are() {
    for info in probes::REGISTRY.iter().map(|probe| probe.info()) {
        for column in info.columns {
            assert!(!matches!(column.ty, ColumnType::Text(Holds::Unknown | Holds::ByKind)), "{}", column.name);
        }
        let says = |column: &str| info.holds.iter().any(|(name, _)| *name == column);
        for kind in info.kinds.iter().filter(|kind| kind.columns.contains(&"name")) {
            assert!(says("name"), "{} does not say what 'name' holds in '{}'", info.name, kind.name);
        }
        for metric in info.metrics.iter().filter(|metric| metric.by.contains(&"name")) {
            assert!(says("name"), "{} does not say what 'name' holds in {}", info.name, metric.name);
        }
    }
    for kind in CORE_KINDS.iter().filter(|kind| kind.columns.contains(&"name")) {
        assert!(kind.holds.iter().any(|(name, _)| *name == "name"), "{}", kind.name);
    }
}

/// A recording with a row for each list of columns and texts, and what it says of itself.
fn write_rows(path: &Path, meta: Meta, said: &[(&str, &[(&str, &str)])]) {
    let columns = probes::REGISTRY.iter().flat_map(|probe| probe.info().columns);
    let schema = Arc::new(Schema::new(columns));
    let identity = Identity { host: "h".to_owned(), run_id: "0".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(Arc::clone(&schema), 0);
    for (kind, texts) in said {
        let kinds = CORE_KINDS.iter().map(|kind| kind.name).chain(["http"]);
        let mut row = rows.row(kinds.into_iter().find(|known| known == kind).unwrap());
        row.at(0);
        for (name, text) in *texts {
            row.text(schema.id(name).unwrap(), text);
        }
    }
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.set_meta(&meta);
    writer.finish(Duration::from_secs(60)).unwrap();
}

/// The texts of a column in a bundle, in the order of the rows.
fn texts(bundle: &Path, kind: &str, column: &str) -> Vec<String> {
    let recording = Recording::open(bundle).unwrap();
    let chunks = recording.scan(kind, &[column]).unwrap().map(Result::unwrap);
    chunks
        .flat_map(|chunk| {
            (0..chunk.len()).map(|row| chunk.text(0).get(row).unwrap_or("").to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

fn kind_meta(name: &str, holds: &[(&str, Holds)]) -> KindMeta {
    let holds = holds.iter().map(|(name, holds)| ((*name).to_owned(), *holds)).collect();
    KindMeta { name: name.to_owned(), holds, ..KindMeta::default() }
}

#[test]
fn the_text_of_a_custom_event_is_not_in_the_cost_of_an_older_recording() {
    let dir = tempfile::tempdir().unwrap();
    let event = r#"uprobe:/srv/acmepay:pay(str(arg0))/str(arg0) == "ssn 078-05-1120"/"#;
    let program = format!("events/0 {event} user_entries_sleepable");
    let meta = Meta {
        kinds: vec![kind_meta("cost", &[("name", Holds::Word)])],
        events: vec![EventMeta { name: event.to_owned(), text: event.to_owned(), ..EventMeta::default() }],
        ..Meta::default()
    };
    let names = [program.as_str(), "sched/sched_switch", "ebrec"];
    let rows = names.map(|name| [("name", name)]);
    let rows: Vec<(&str, &[(&str, &str)])> = rows.iter().map(|row| ("cost", row.as_slice())).collect();
    write_rows(&dir.path().join("run.parquet"), meta, &rows);
    worked(ebrec(&["share", "run.parquet"], dir.path()));
    let bundle = bundle(dir.path());
    for (part, bytes) in unpacked(&bundle) {
        for text in ["acmepay", "078-05", "pay(str"] {
            assert!(!contains(&bytes, text), "{text} in {part}");
        }
    }
    let shared = texts(&bundle, "cost", "name");
    let name = Recording::open(&bundle).unwrap().meta().events[0].name.clone();
    assert_eq!(shared[0], format!("events/0 {name} user_entries_sleepable"), "equal stays equal");
    assert_eq!(shared[1..], names[1..]);
}

#[test]
fn numbers_behind_known_names_go_and_versions_and_kernel_threads_stay() {
    let dir = tempfile::tempdir().unwrap();
    let meta = Meta { kinds: vec![kind_meta("process", &[]), kind_meta("http", &[])], ..Meta::default() };
    let gone = [
        ("process", "comm", "nginx-4155550188", "4155550188"),
        ("process", "comm", "client-41555501", "41555501"),
        ("process", "comm", "worker/ACMECORP", "ACMECORP"),
        ("process", "comm", "sh/HUNTER2", "HUNTER2"),
        ("process", "comm", "kworker/KW3", "KW3"),
        ("process", "filename", "/var/backup-4111111111111111", "4111111111111111"),
        ("process", "filename", "/var/log.2026.11.30.771122334455", "771122334455"),
        ("process", "filename", "/usr/lib/libssl.so.4155550166", "4155550166"),
        ("process", "unit_name", "nginx-4155550177.service", "4155550177"),
        ("http", "http_path", "/user/client-4155550155", "4155550155"),
        ("http", "http_path", "/user-4111111111111112/x", "4111111111111112"),
        ("http", "http_path", "/health/backup.20261130.4111111113", "4111111113"),
    ];
    let stays = [
        ("process", "comm", "kworker/0:1H"),
        ("process", "comm", "kworker/0:1H-kblockd"),
        ("process", "comm", "ksoftirqd/0"),
        ("process", "comm", "python3.11"),
        ("process", "comm", "nginx"),
        ("process", "filename", "/usr/lib/libssl.so.3"),
        ("process", "filename", "/usr/bin/python3.11"),
        ("process", "filename", "/var/log/log.1"),
        ("process", "unit_name", "session-12.scope"),
        ("http", "http_path", "/v1/health"),
        ("http", "http_path", "/{id}/"),
    ];
    let all = gone.iter().map(|(kind, column, text, _)| (*kind, *column, *text)).chain(stays);
    let rows: Vec<(&str, [(&str, &str); 1])> = all.map(|(kind, column, text)| (kind, [(column, text)])).collect();
    let rows: Vec<(&str, &[(&str, &str)])> = rows.iter().map(|(kind, row)| (*kind, row.as_slice())).collect();
    write_rows(&dir.path().join("run.parquet"), meta, &rows);
    worked(ebrec(&["share", "run.parquet"], dir.path()));
    let bundle = bundle(dir.path());
    for (part, bytes) in unpacked(&bundle) {
        for (.., secret) in gone {
            assert!(!contains(&bytes, secret) || secret == "KW3", "{secret} in {part}");
        }
    }
    for (kind, column, text) in stays {
        assert!(texts(&bundle, kind, column).iter().any(|shared| shared == text), "{text}");
    }
    for (kind, column, text, _) in gone {
        assert!(texts(&bundle, kind, column).iter().all(|shared| shared != text), "{text}");
    }
}

#[test]
fn a_bundle_names_its_own_recording_and_not_where_it_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("janesmith");
    fs::create_dir(&temporary).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/web.parquet");
    let share = Command::new(env!("CARGO_BIN_EXE_ebrec"))
        .args(["share", fixture, "-o", "run.zip"])
        .current_dir(dir.path())
        .env("TMPDIR", &temporary)
        .output();
    worked(share.unwrap());
    let parts = unpacked(&bundle(dir.path()));
    for (part, bytes) in &parts {
        for text in ["janesmith", ".tmp", "0.parquet"] {
            assert!(!contains(bytes, text) || part == "the bundle", "{text} in {part}");
        }
    }
    let summary = parts.iter().find(|(name, _)| name == "summary.md").unwrap();
    assert!(contains(&summary.1, " run.parquet'"), "hints have the bundle's name for it");
}

#[test]
fn functions_of_generated_code_are_ones_own_and_paths_in_names_have_no_words_left() {
    let dir = tempfile::tempdir().unwrap();
    let node = "JS:*fnSecret /srv/js dir middlesecret end/main.js:1:20";
    let java = "Lcom/acmesecret/Billing;::charge(Lcom/acmesecret/Money;)V";
    let python = "py::billsecret:/srv/my secret dir/app.py";
    let own = "chargesecret";
    let symbols = [
        (node, "[generated]"),
        ("JS:*anonsecret", "[generated]"),
        (java, "[generated]"),
        (python, "[generated]"),
        (own, "/srv/app/server.js"),
        ("JS:~next node:internal/process/task_queues:67:35", "[generated]"),
        ("std::operator/<char>", "/usr/lib/libstdc++.so.6"),
        ("malloc", "/usr/lib/libc.so.6"),
    ];
    let folded = symbols.map(|(name, _)| name.replace(';', ":")).join(";");
    let symbol_rows = symbols.map(|(name, module)| [("name", name), ("module", module)]);
    let stack = [("folded", folded.as_str())];
    let mut rows: Vec<(&str, &[(&str, &str)])> = symbol_rows.iter().map(|row| ("symbol", row.as_slice())).collect();
    rows.push(("stack", &stack));
    let events = vec![EventMeta { name: "kprobe:vfs_read".to_owned(), ..EventMeta::default() }];
    let hooks = vec!["uprobe.multi/hooksecret".to_owned(), "tp_btf/sched_switch".to_owned()];
    let meta = Meta {
        kinds: vec![kind_meta("symbol", &[("name", Holds::Symbol)]), kind_meta("stack", &[])],
        probes: vec![ProbeState { name: "events".to_owned(), hooks, ..ProbeState::default() }],
        events,
        ..Meta::default()
    };
    write_rows(&dir.path().join("run.parquet"), meta, &rows);

    worked(ebrec(&["share", "run.parquet"], dir.path()));
    for (part, bytes) in unpacked(&bundle(dir.path())) {
        for text in ["middlesecret", "acmesecret", "my secret", "hooksecret"] {
            assert!(!contains(&bytes, text), "{text} in {part}");
        }
    }
    let same = |bundle: &Path| {
        let names: Vec<String> = texts(bundle, "symbol", "name").iter().map(|name| name.replace(';', ":")).collect();
        assert_eq!(texts(bundle, "stack", "folded"), [names.join(";")], "equal stays equal");
        names
    };
    let names = same(&bundle(dir.path()));
    assert!(names[0].starts_with("JS:*fnSecret /srv/") && names[0].ends_with(".js:1:20"), "{}", names[0]);
    assert!(names[2].ends_with("V") && names[2].contains("::charge("), "{}", names[2]);
    let hooks = &Recording::open(&bundle(dir.path())).unwrap().meta().probes[0].hooks.clone();
    assert_eq!(hooks, &["uprobe.multi", "tp_btf/sched_switch"]);

    worked(ebrec(&["share", "--redact", "symbols,build-ids", "-o", "own.zip", "run.parquet"], dir.path()));
    let own = dir.path().join("own.zip");
    for (part, bytes) in unpacked(&own) {
        assert!(!contains(&bytes, "secret"), "in {part}");
    }
    let names = same(&own);
    assert!(names[..6].iter().all(|name| name.starts_with("function-")), "{names:?}");
    assert_eq!(names[6..], ["std::operator/<char>", "malloc"]);
}

#[test]
fn patterns_reach_every_text_of_the_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let mut meta = Meta {
        probes: vec![ProbeState {
            name: "sched".to_owned(),
            hooks: vec!["uprobe.multi/zqsql".to_owned()],
            ..ProbeState::default()
        }],
        ..Meta::default()
    };
    meta.host.kernel = "6.18.44-fc-v769".to_owned();
    meta.host.distro = "Debian GNU/Linux 12".to_owned();
    meta.host.virt = Some("acmevisor".to_owned());
    meta.window.ended = "acme-ended".to_owned();
    write_rows(&dir.path().join("run.parquet"), meta, &[("cpu_info", &[("name", "Acme CPU")])]);
    fs::write(dir.path().join("patterns"), "fc-v769\nDebian\nzqsql\n(?i)acme\n").unwrap();
    worked(ebrec(&["share", "--patterns", "patterns", "run.parquet"], dir.path()));
    for (part, bytes) in unpacked(&bundle(dir.path())) {
        for text in ["fc-v769", "Debian", "zqsql", "acme"] {
            assert!(!contains(&bytes, text), "{text} in {part}");
        }
    }
    let shared = Recording::open(&bundle(dir.path())).unwrap();
    assert!(shared.meta().host.kernel.starts_with("6.18.44-redacted-"), "{}", shared.meta().host.kernel);
}
