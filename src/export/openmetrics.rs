//! OpenMetrics 1.0 text: families one after the other, the points of a label set in the order of time, `# EOF` at the end.

use std::io::Result;
use std::io::Write;

use crate::export::family::Family;
use crate::export::family::Metrics;
use crate::export::family::Series;
use crate::export::names;
use crate::export::names::Quoted;

/// Writes all of it.
pub(super) fn write(metrics: &Metrics, out: &mut dyn Write) -> Result<()> {
    for family in &metrics.families {
        let kind = if family.bounds.is_some() { "histogram" } else { "counter" };
        writeln!(out, "# TYPE {} {kind}", family.name)?;
        if let Some(unit) = names::base_unit(family.unit) {
            writeln!(out, "# UNIT {} {unit}", family.name)?;
        }
        if !family.help.is_empty() {
            writeln!(out, "# HELP {} {}", family.name, Quoted(&family.help))?;
        }
        for series in &family.series {
            points(family, series, &metrics.times, out)?;
        }
    }
    writeln!(out, "# EOF")
}

/// One label set: at each time all of its samples, since a point of a histogram must not be torn apart.
fn points(family: &Family, series: &Series, times: &[i64], out: &mut dyn Write) -> Result<()> {
    let mut lines = Vec::new();
    family.lines(series, times.len(), |line| {
        let mut labels: Vec<String> =
            series.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", Quoted(value))).collect();
        labels.extend(line.le.map(|le| format!("le=\"{le}\"")));
        lines.push((format!("{}{}{{{}}}", family.name, line.suffix, labels.join(",")), line.values.clone()));
        Ok::<(), std::io::Error>(())
    })?;
    for (place, time) in times.iter().enumerate() {
        for (name, values) in &lines {
            let value = values.get(place).copied().unwrap_or_default();
            writeln!(out, "{name} {value} {}.{:03}", time.div_euclid(1000), time.rem_euclid(1000))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::export::family::example;

    #[test]
    fn points_of_a_label_set_come_in_the_order_of_time_each_whole() {
        let mut out = Vec::new();
        write(&example(), &mut out).unwrap();
        let expected = r#"# TYPE ebrec_a_seconds histogram
# UNIT ebrec_a_seconds seconds
# HELP ebrec_a_seconds A \"wait\".
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="0.000001023"} 0 1.999
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="+Inf"} 0 1.999
ebrec_a_seconds_sum{comm="x\"y",host="h"} 0 1.999
ebrec_a_seconds_count{comm="x\"y",host="h"} 0 1.999
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="0.000001023"} 2 3.000
ebrec_a_seconds_bucket{comm="x\"y",host="h",le="+Inf"} 2 3.000
ebrec_a_seconds_sum{comm="x\"y",host="h"} 0.0000015 3.000
ebrec_a_seconds_count{comm="x\"y",host="h"} 2 3.000
# TYPE ebrec_b counter
ebrec_b_total{host="h"} 0 1.999
ebrec_b_total{host="h"} 3 3.000
# EOF
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
