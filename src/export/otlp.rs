//! Metrics as OpenTelemetry's OTLP in JSON: one `ExportMetricsServiceRequest`, as collectors take it at `/v1/metrics` and from files.
//!
//! Counters are cumulative sums, histograms have explicit bounds and are cumulative too: from the window's start to the end of each
//! interval. Numbers of 64 bits are text, as protobuf's JSON asks for. Names are those of the semantic conventions where these have a
//! name for the same thing, else the recording's own behind `ebrec.`.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeSeq;

use crate::export::family::Family;
use crate::export::family::Metrics;
use crate::export::family::Series;
use crate::export::names;
use crate::report::read::input::Source;
use crate::units::Unit;

const NS_PER_MS: i64 = 1_000_000;
/// AGGREGATION_TEMPORALITY_CUMULATIVE.
const CUMULATIVE: u8 = 2;

/// Metrics of the recording that the semantic conventions name.
const METRICS: [(&str, &str); 2] =
    [("dns.latency", "dns.lookup.duration"), ("http.latency", "http.server.request.duration")];
/// Columns that the semantic conventions name.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("pid", "process.pid"),
    ("ppid", "process.parent_pid"),
    ("comm", "process.executable.name"),
    ("dev", "system.device"),
    ("cpu", "cpu.logical_number"),
    ("container", "container.id"),
    ("http_status", "http.response.status_code"),
    ("daddr", "network.peer.address"),
    ("dport", "network.peer.port"),
];

/// Writes the request, a metric at a time.
pub(super) fn write(source: &Source, metrics: &Metrics, out: &mut dyn Write) -> Result<()> {
    let scope =
        ScopeMetrics { scope: Scope { name: "ebrec", version: env!("CARGO_PKG_VERSION") }, metrics: All(metrics) };
    let resource = Resource { attributes: resource(source) };
    let request = Request { resource_metrics: [ResourceMetrics { resource, scope_metrics: [scope] }] };
    serde_json::to_writer(&mut *out, &request).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// The machine.
fn resource(source: &Source) -> Vec<Attribute> {
    let host = &source.meta().host;
    // The conventions' names of architectures.
    let arch = match host.arch.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let texts = [
        ("service.name", "ebrec"),
        ("host.name", &host.hostname),
        ("host.arch", arch),
        ("os.type", "linux"),
        ("os.description", &host.distro),
        ("os.version", &host.kernel),
    ];
    texts.iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| Attribute::of(key, text)).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_metrics: [ResourceMetrics<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetrics<'a> {
    resource: Resource,
    scope_metrics: [ScopeMetrics<'a>; 1],
}

#[derive(Serialize)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct ScopeMetrics<'a> {
    scope: Scope,
    metrics: All<'a>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Clone, Serialize)]
struct Attribute {
    key: String,
    value: Value,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    string_value: String,
}

impl Attribute {
    fn of(key: &str, value: &str) -> Attribute {
        Attribute { key: key.to_owned(), value: Value { string_value: value.to_owned() } }
    }

    /// A label of a series; the host is the resource's.
    fn label((name, value): &(String, String)) -> Option<Attribute> {
        let known = ATTRIBUTES.iter().find(|(own, _)| own == name).map(|(_, key)| (*key).to_owned());
        (name != "host").then(|| Attribute::of(&known.unwrap_or_else(|| format!("ebrec.{name}")), value))
    }
}

/// All metrics, each put together when its turn comes.
struct All<'a>(&'a Metrics);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let All(metrics) = self;
        let mut all = serializer.serialize_seq(None)?;
        let times: Vec<i64> = metrics.times.iter().map(|ms| ms.saturating_mul(NS_PER_MS)).collect();
        for family in &metrics.families {
            all.serialize_element(&Metric::of(family, &times))?;
        }
        all.end()
    }
}

#[derive(Serialize)]
struct Metric<'a> {
    name: String,
    description: &'a str,
    unit: &'static str,
    #[serde(flatten)]
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Data {
    #[serde(rename_all = "camelCase")]
    Sum { aggregation_temporality: u8, is_monotonic: bool, data_points: Vec<NumberPoint> },
    #[serde(rename_all = "camelCase")]
    Histogram { aggregation_temporality: u8, data_points: Vec<HistogramPoint> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NumberPoint {
    attributes: Vec<Attribute>,
    start_time_unix_nano: String,
    time_unix_nano: String,
    as_double: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistogramPoint {
    attributes: Vec<Attribute>,
    start_time_unix_nano: String,
    time_unix_nano: String,
    count: String,
    sum: f64,
    bucket_counts: Vec<String>,
    explicit_bounds: Vec<f64>,
}

impl<'a> Metric<'a> {
    fn of(family: &'a Family, times: &[i64]) -> Metric<'a> {
        let known = METRICS.iter().find(|(own, _)| *own == family.metric).map(|(_, name)| (*name).to_owned());
        let name = known.unwrap_or_else(|| format!("ebrec.{}", family.metric));
        let unit = match family.unit {
            Unit::Nanoseconds => "s",
            Unit::Bytes => "By",
            _ => "1",
        };
        let aggregation_temporality = CUMULATIVE;
        let data = match &family.bounds {
            None => {
                let data_points = family.series.iter().flat_map(|series| sums(family, series, times)).collect();
                Data::Sum { aggregation_temporality, is_monotonic: true, data_points }
            }
            Some(bounds) => {
                let points = family.series.iter().flat_map(|series| histograms(family, bounds, series, times));
                Data::Histogram { aggregation_temporality, data_points: points.collect() }
            }
        };
        Metric { name, description: &family.help, unit, data }
    }
}

/// The points of a counter: one at the end of each interval.
fn sums(family: &Family, series: &Series, times: &[i64]) -> Vec<NumberPoint> {
    let attributes: Vec<Attribute> = series.labels.iter().filter_map(Attribute::label).collect();
    let values = series.totals(times.len(), |(count, sum)| family.amount(count, sum));
    let start = times.first().copied().unwrap_or(0).to_string();
    let point = |(time, value): (&i64, f64)| NumberPoint {
        attributes: attributes.clone(),
        start_time_unix_nano: start.clone(),
        time_unix_nano: time.to_string(),
        as_double: value,
    };
    times.iter().zip(values).skip(1).map(point).collect()
}

/// The points of a histogram, likewise.
fn histograms(family: &Family, bounds: &[u64], series: &Series, times: &[i64]) -> Vec<HistogramPoint> {
    let attributes: Vec<Attribute> = series.labels.iter().filter_map(Attribute::label).collect();
    let sums = series.totals(times.len(), |(_, sum)| names::value(sum, family.unit));
    let start = times.first().copied().unwrap_or(0).to_string();
    let explicit_bounds: Vec<f64> = bounds.iter().map(|bound| names::value(*bound, family.unit)).collect();
    let mut held: BTreeMap<u64, u64> = bounds.iter().map(|bound| (*bound, 0)).collect();
    let mut points = Vec::new();
    for (place, (time, sum)) in times.iter().zip(sums).enumerate() {
        let place = place as u32;
        for ((_, bound), count) in series.buckets.range((place, 0)..=(place, u64::MAX)) {
            let sum = held.entry(*bound).or_default();
            *sum = sum.saturating_add(*count);
        }
        if place == 0 {
            continue;
        }
        let count = held.values().fold(0u64, |sum, count| sum.saturating_add(*count));
        // Nothing is above the last bound.
        let bucket_counts = held.values().chain([&0]).map(u64::to_string).collect();
        points.push(HistogramPoint {
            attributes: attributes.clone(),
            start_time_unix_nano: start.clone(),
            time_unix_nano: time.to_string(),
            count: count.to_string(),
            sum,
            bucket_counts,
            explicit_bounds: explicit_bounds.clone(),
        });
    }
    points
}
