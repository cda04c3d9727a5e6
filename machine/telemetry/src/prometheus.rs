//! Metrics in the text format of Prometheus, version 0.0.4.

use crate::family::{Durations, Exports, Family, Kind, Number, Sample, bounds};
use crate::table;
use machine_protocol::status::Status;
use std::fmt::Write;

/// The counters of machines. Each comes with the name of its process, which becomes a label unless it is empty;
/// `exports` are those of this process, if it exports.
#[must_use]
pub fn text(machines: &[(String, Status)], exports: Option<Exports>) -> String {
    let mut families = table::families(machines);
    families.extend(exports.map(Family::from));
    let mut text = String::new();
    for family in &families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
        for sample in &family.samples {
            write_sample(&mut text, family, sample);
        }
    }
    text
}

fn write_sample(text: &mut String, family: &Family, sample: &Sample) {
    let name = family.name;
    // Writing to a string cannot fail.
    let _ = match &sample.value {
        Number::Count(count) => writeln!(text, "{name}{} {count}", labels(sample, None)),
        Number::Real(number) => writeln!(text, "{name}{} {number}", labels(sample, None)),
        Number::Durations(durations) => write_durations(text, name, sample, durations),
    };
}

/// Each bucket has what is in all shorter ones, too.
fn write_durations(text: &mut String, name: &str, sample: &Sample, durations: &Durations) -> std::fmt::Result {
    let mut below = 0;
    for (bound, count) in bounds().zip(&durations.counts) {
        below += count;
        writeln!(text, "{name}_bucket{} {below}", labels(sample, Some(&bound.to_string())))?;
    }
    let count = durations.count();
    writeln!(text, "{name}_bucket{} {count}", labels(sample, Some("+Inf")))?;
    writeln!(text, "{name}_sum{} {}", labels(sample, None), durations.sum)?;
    writeln!(text, "{name}_count{} {count}", labels(sample, None))
}

fn labels(sample: &Sample, le: Option<&str>) -> String {
    let own = sample.labels.iter().map(|(label, value)| (*label, value.as_str()));
    let all: Vec<String> =
        own.chain(le.map(|le| ("le", le))).map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

/// In a label's value, three characters are written with a backslash.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
