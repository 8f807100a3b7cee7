//! Recordings made of rows that a test writes down, through the same writer as real ones.
//!
//! Times are nanoseconds since the window's start. The window starts at 2026-11-22 12:00:00 UTC.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::hist::bounds;
use ebrec::hist::bucket;
use ebrec::recording::Column;
use ebrec::recording::ColumnId;
use ebrec::recording::ColumnType;
use ebrec::recording::Existing;
use ebrec::recording::Holds;
use ebrec::recording::HostMeta;
use ebrec::recording::Identity;
use ebrec::recording::KindMeta;
use ebrec::recording::Meta;
use ebrec::recording::MetricMeta;
use ebrec::recording::ProbeOutcome;
use ebrec::recording::ProbeState;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MS: i64 = 1_000_000;
const START_REAL: i64 = 1_795_348_800 * SECOND;
const START_MONO: i64 = 5_000 * SECOND;

/// The columns that the probes add.
static PROBE_COLUMNS: &[Column] = &[
    column("process_cpu_ns", ColumnType::Int64),
    column("process_max_rss_bytes", ColumnType::Int64),
    column("sched_prev_pid", ColumnType::Int32),
    column("sched_prev_comm", ColumnType::Text(Holds::Program)),
    column("block_queue_ns", ColumnType::Int64),
    column("block_flags", ColumnType::Text(Holds::Word)),
    column("syscall_errno", ColumnType::Text(Holds::Word)),
    column("syscall_class", ColumnType::Text(Holds::Word)),
    column("http_status", ColumnType::Int16),
    column("http_side", ColumnType::Text(Holds::Word)),
    column("http_tls", ColumnType::Text(Holds::Word)),
    column("http_path", ColumnType::Text(Holds::Url)),
    column("tcp_side", ColumnType::Text(Holds::Word)),
    column("tcp_sent_bytes", ColumnType::Int64),
    column("tcp_received_bytes", ColumnType::Int64),
    column("tcp_rtt_ns", ColumnType::Int64),
    column("tcp_segments", ColumnType::Int32),
    column("dns_type", ColumnType::Text(Holds::Word)),
    column("dns_rcode", ColumnType::Text(Holds::Word)),
    column("files_mount", ColumnType::Text(Holds::Path)),
    column("files_error", ColumnType::Text(Holds::Word)),
    column("signals_sender", ColumnType::Text(Holds::Program)),
    column("signals_sender_pid", ColumnType::Int32),
    column("signals_outcome", ColumnType::Text(Holds::Word)),
    column("events_function", ColumnType::Text(Holds::Symbol)),
    column("events_by", ColumnType::Text(Holds::Captured)),
    column("memory_total_vm_bytes", ColumnType::Int64),
    column("memory_anon_rss_bytes", ColumnType::Int64),
    column("memory_file_rss_bytes", ColumnType::Int64),
    column("memory_shmem_rss_bytes", ColumnType::Int64),
    column("memory_swap_bytes", ColumnType::Int64),
    column("memory_pgtables_bytes", ColumnType::Int64),
    column("memory_oom_score_adj", ColumnType::Int32),
    column("memory_asker_pid", ColumnType::Int32),
    column("memory_asker_comm", ColumnType::Text(Holds::Program)),
    column("irq_number", ColumnType::Int32),
    column("irq_delay_ns", ColumnType::Int64),
    column("locks_address", ColumnType::Text(Holds::Word)),
];

const fn column(name: &'static str, ty: ColumnType) -> Column {
    Column { name, ty, title: name, unit: None, help: "" }
}

/// The value of one column of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Int(i64),
    Text(&'a str),
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Cell::Text(value)
    }
}

/// A recording that grows row by row.
pub(crate) struct Synthetic {
    schema: Arc<Schema>,
    rows: Rows,
    pub(crate) meta: Meta,
}

impl Synthetic {
    /// A machine of two CPUs, recorded for four seconds by probes that lost nothing.
    pub(crate) fn new(hostname: &str) -> Synthetic {
        let schema = Arc::new(Schema::new(PROBE_COLUMNS));
        let meta = Meta {
            version: "0.1.0".into(),
            command: ["ebrec", "record", "-d", "4s"].map(str::to_owned).to_vec(),
            window: Window {
                asked_ns: Some(4 * SECOND),
                start_real_ns: START_REAL,
                start_mono_ns: START_MONO,
                actual_ns: 4 * SECOND,
                ended: "duration".into(),
                interval_ns: SECOND,
                first_interval_ns: None,
            },
            host: HostMeta {
                hostname: hostname.into(),
                kernel: "6.18.0".into(),
                arch: "x86_64".into(),
                cpus: 2,
                memory_bytes: 8 << 30,
                distro: "Debian GNU/Linux 12".into(),
                virt: Some("kvm".into()),
            },
            ..Meta::default()
        };
        Synthetic { rows: Rows::new(Arc::clone(&schema), START_REAL - START_MONO), schema, meta }
    }

    /// A probe that ran, with the events that it saw.
    pub(crate) fn probe(&mut self, name: &str, mode: &str, events: u64) -> &mut Synthetic {
        self.meta.probes.push(ProbeState {
            name: name.into(),
            state: ProbeOutcome::Ran,
            mode: mode.into(),
            events,
            hooks: vec![format!("tp_btf/{name}_hook")],
            ..ProbeState::default()
        });
        self
    }

    /// Rows of a kind that a probe streams when they are slow, from a threshold in nanoseconds on.
    pub(crate) fn slow(&mut self, probe: &str, kind: &str, threshold: i64) -> &mut Synthetic {
        for state in self.meta.probes.iter_mut().filter(|state| state.name == probe) {
            state.settings.insert("slow_ns".into(), threshold.into());
        }
        let help = String::new();
        let holds = match kind {
            "dns" => Holds::DnsName,
            "event" => Holds::Event,
            _ => Holds::Word,
        };
        let mut holds = BTreeMap::from([("name".to_owned(), holds)]);
        if kind == "http" {
            holds.insert("op".to_owned(), Holds::Method);
        }
        self.meta.kinds.push(KindMeta { name: kind.into(), probe: Some(probe.into()), help, holds });
        self
    }

    /// A metric of a probe that was added before.
    pub(crate) fn metric(&mut self, name: &str, kind: &str, unit: &str, by: &[&str]) -> &mut Synthetic {
        self.meta.metrics.push(MetricMeta {
            name: name.into(),
            probe: name.split('.').next().unwrap_or_default().into(),
            kind: kind.into(),
            unit: unit.into(),
            help: String::new(),
            by: by.iter().map(|column| (*column).to_owned()).collect(),
            events: None,
        });
        self
    }

    /// One row.
    pub(crate) fn row(&mut self, kind: &'static str, at: i64, cells: &[(&str, Cell<'_>)]) -> &mut Synthetic {
        let ids: Vec<ColumnId> = cells.iter().map(|(name, _)| self.schema.id(name).unwrap()).collect();
        let mut row = self.rows.row(kind);
        row.at(u64::try_from(START_MONO + at).unwrap());
        for (id, (_, cell)) in ids.into_iter().zip(cells) {
            match cell {
                Cell::Int(value) => row.int(id, *value),
                Cell::Text(value) => row.text(id, value),
            };
        }
        self
    }

    /// A function of a program, by the number that stacks have for it.
    pub(crate) fn symbol(&mut self, id: i64, name: &str, module: &str) -> &mut Synthetic {
        self.row("symbol", 0, &[("id", Cell::Int(id)), ("name", Cell::Text(name)), ("module", Cell::Text(module))])
    }

    /// A stack by its number: its functions from the innermost out.
    pub(crate) fn stack(&mut self, id: i64, frames: &[i32]) -> &mut Synthetic {
        let columns = ["id", "frames"].map(|name| self.schema.id(name).unwrap());
        self.rows.row("stack").int(columns[0], id).list(columns[1], frames);
        self
    }

    /// Values of a histogram in the interval of one second that ends at `at`: a row per bucket, and the totals.
    pub(crate) fn values(&mut self, metric: &str, at: i64, by: &[(&str, Cell<'_>)], values: &[u64]) -> &mut Synthetic {
        let mut buckets = std::collections::BTreeMap::new();
        for value in values {
            *buckets.entry(bucket(*value)).or_insert(0) += 1;
        }
        for (bucket, count) in buckets {
            let (lo, hi) = bounds(bucket);
            let own = [
                ("bucket_lo", Cell::Int(lo.cast_signed())),
                ("bucket_hi", Cell::Int(hi.cast_signed())),
                ("count", Cell::Int(count)),
                ("metric", Cell::Text(metric)),
                ("dur_ns", Cell::Int(SECOND)),
            ];
            self.row("hist", at, &[&own, by].concat());
        }
        let [sum, min, max] =
            [values.iter().sum::<u64>(), *values.iter().min().unwrap(), *values.iter().max().unwrap()];
        self.totals(metric, at, by, values.len() as u64, sum, min, max)
    }

    /// A counter in the interval of one second that ends at `at`.
    pub(crate) fn counter(
        &mut self,
        metric: &str,
        at: i64,
        by: &[(&str, Cell<'_>)],
        count: u64,
        sum: u64,
    ) -> &mut Synthetic {
        self.totals(metric, at, by, count, sum, 0, 0)
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of a row")]
    fn totals(
        &mut self,
        metric: &str,
        at: i64,
        by: &[(&str, Cell<'_>)],
        count: u64,
        sum: u64,
        min: u64,
        max: u64,
    ) -> &mut Synthetic {
        let number = |value: u64| Cell::Int(value.cast_signed());
        let own = [
            ("count", number(count)),
            ("sum", number(sum)),
            ("min", number(min)),
            ("max", number(max)),
            ("metric", Cell::Text(metric)),
            ("dur_ns", Cell::Int(SECOND)),
        ];
        self.row("metric", at, &[&own, by].concat())
    }

    /// Writes it as a finished recording.
    pub(crate) fn write(mut self, path: &Path) {
        self.writer(path).finish(Duration::from_secs(10)).unwrap();
    }

    /// Writes it up to a checkpoint and leaves it there, as a kill would.
    pub(crate) fn write_partial(mut self, path: &Path) {
        self.writer(path).checkpoint().unwrap();
    }

    fn writer(&mut self, path: &Path) -> Writer {
        let identity = Identity { host: self.meta.host.hostname.clone(), run_id: "00000000-test".into() };
        let mut writer = Writer::create(path, Arc::clone(&self.schema), identity, Existing::Replace).unwrap();
        writer.set_meta(&self.meta);
        for batch in self.rows.take(0, true) {
            writer.write(batch).unwrap();
        }
        writer
    }
}
