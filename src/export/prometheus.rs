//! Prometheus' text format, each sample with its time in milliseconds.

use std::io::Result;
use std::io::Write;

use crate::export::family::Family;
use crate::export::family::Metrics;
use crate::export::family::Series;
use crate::export::names::Plain;
use crate::export::names::Quoted;

/// Writes all of it.
pub(super) fn write(metrics: &Metrics, out: &mut dyn Write) -> Result<()> {
    for family in &metrics.families {
        head(family, out)?;
        for series in &family.series {
            samples(family, series, &metrics.times, out)?;
        }
    }
    Ok(())
}

/// What stands before a family's samples.
fn head(family: &Family, out: &mut dyn Write) -> Result<()> {
    let (suffix, kind) = if family.bounds.is_some() { ("", "histogram") } else { ("_total", "counter") };
    if !family.help.is_empty() {
        writeln!(out, "# HELP {}{suffix} {}", family.name, Plain(&family.help))?;
    }
    writeln!(out, "# TYPE {}{suffix} {kind}", family.name)
}

/// The samples of one label set, each of its series in the order of time.
pub(super) fn samples(family: &Family, series: &Series, times: &[i64], out: &mut dyn Write) -> Result<()> {
    let labels: Vec<String> =
        series.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", Quoted(value))).collect();
    let labels = labels.join(",");
    family.lines(series, times.len(), |line| {
        let le = line.le.map(|le| format!(",le=\"{le}\"")).unwrap_or_default();
        for (value, time) in line.values.iter().zip(times) {
            writeln!(out, "{}{}{{{labels}{le}}} {value} {time}", family.name, line.suffix)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::export::family::example;

    #[test]
    fn samples_of_a_series_come_together_with_times_in_milliseconds() {
        let mut out = Vec::new();
        write(&example(), &mut out).unwrap();
        let expected = r#"# HELP ebrec_a_seconds A "wait".
# TYPE ebrec_a_seconds histogram
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="0.000001023"} 0 1999
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="0.000001023"} 2 3000
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="+Inf"} 0 1999
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="+Inf"} 2 3000
ebrec_a_seconds_sum{comm="x\"y",host="h"} 0 1999
ebrec_a_seconds_sum{comm="x\"y",host="h"} 0.0000015 3000
ebrec_a_seconds_count{comm="x\"y",host="h"} 0 1999
ebrec_a_seconds_count{comm="x\"y",host="h"} 2 3000
# TYPE ebrec_b_total counter
ebrec_b_total{host="h"} 0 1999
ebrec_b_total{host="h"} 3 3000
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
