//! Metrics as `ExportMetricsServiceRequest` of OTLP 1, in its JSON form.
//!
//! In that form 64-bit integers are texts, and enums numbers. What is left out has its type's default.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use crate::metrics::family::{Durations, Family, Kind, Number, Sample, bounds};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Counters are told since they began, not since the last export: what one export loses, the next one has.
const CUMULATIVE: u32 = 2;

/// When counters began, nanoseconds since 1970.
#[derive(Debug)]
pub(super) struct Begun {
    process: u64,
    /// When the last request was made.
    last: u64,
    /// The revision of each slot, by machine and slot, and since when it counts.
    slots: BTreeMap<(String, String), (u64, u64)>,
}

impl Begun {
    pub fn new(process: u64) -> Self {
        Self { process, last: process, slots: BTreeMap::new() }
    }

    /// Since when a sample counts. A slot's counters begin anew with its assignment, which was after the last request if
    /// the revision is another one than it was then.
    fn of(&mut self, sample: &Sample) -> u64 {
        if sample.revision == 0 {
            return self.process;
        }
        let label = |name: &str| {
            sample.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let slot = self.slots.entry((label("machine"), label("slot"))).or_insert((sample.revision, self.last));
        if slot.0 != sample.revision {
            *slot = (sample.revision, self.last);
        }
        slot.1
    }
}

/// The request that tells these metrics at this time, nanoseconds since 1970.
pub(super) fn request(families: &[Family], resource: &[(String, String)], begun: &mut Begun, now: u64) -> Vec<u8> {
    let filled = families.iter().filter(|family| !family.samples.is_empty());
    let metrics: Vec<Value> = filled.map(|family| metric(family, begun, now)).collect();
    begun.last = now;
    let attributes: Vec<Value> = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    let scope = json!({"name": "machine", "version": env!("CARGO_PKG_VERSION")});
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": attributes},
        "scopeMetrics": [{"scope": scope, "metrics": metrics}],
    }]});
    // A value of JSON can always be written.
    serde_json::to_vec(&request).unwrap_or_default()
}

fn metric(family: &Family, begun: &mut Begun, now: u64) -> Value {
    let points: Vec<Value> = family.samples.iter().map(|sample| point(family.kind, sample, begun, now)).collect();
    let (data, rest) = match family.kind {
        Kind::Counter => {
            ("sum", json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true}))
        }
        Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        Kind::Histogram => ("histogram", json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE})),
    };
    json!({"name": family.name, "description": family.help, "unit": family.unit, data: rest})
}

fn point(kind: Kind, sample: &Sample, begun: &mut Begun, now: u64) -> Value {
    let attributes: Vec<Value> = sample.labels.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut point = json!({"attributes": attributes, "timeUnixNano": now.to_string()});
    let Some(fields) = point.as_object_mut() else { return point };
    let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if kind != Kind::Gauge {
        set("startTimeUnixNano", json!(begun.of(sample).to_string()));
    }
    match &sample.value {
        Number::Count(count) => set("asInt", json!(count.to_string())),
        Number::Real(number) => set("asDouble", json!(number)),
        Number::Durations(durations) => distribution(durations, set),
    }
    point
}

fn distribution(durations: &Durations, mut set: impl FnMut(&str, Value)) {
    set("count", json!(durations.count().to_string()));
    set("sum", json!(durations.sum));
    set("bucketCounts", durations.counts.iter().map(u64::to_string).collect());
    set("explicitBounds", bounds().collect());
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use super::{Begun, request};
    use crate::metrics::family::{Durations, Family, Kind, Number, Sample};
    use serde_json::{Value, json};

    fn family(kind: Kind, sample: Sample) -> Family {
        Family { name: "it", kind, unit: "s", help: "It.", samples: vec![sample] }
    }

    fn data(family: &Family, begun: &mut Begun, now: u64) -> Value {
        let bytes = request(std::slice::from_ref(family), &[("service.name".into(), "ä".into())], begun, now);
        let mut value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        assert_eq!(value["resourceMetrics"][0]["resource"]["attributes"][0]["value"]["stringValue"], "ä");
        value["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0].take()
    }

    #[test]
    fn counts_are_texts_and_enums_are_numbers() {
        let counter = family(Kind::Counter, Sample::new(u64::MAX.into()).of("machine", "main"));
        assert_eq!(
            data(&counter, &mut Begun::new(5), 7),
            json!({"name": "it", "unit": "s", "description": "It.", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                    "attributes": [{"key": "machine", "value": {"stringValue": "main"}}],
                    "startTimeUnixNano": "5", "timeUnixNano": "7", "asInt": "18446744073709551615",
                }],
            }})
        );
        let gauge = family(Kind::Gauge, Sample::new(0.5.into()));
        let point = json!({"attributes": [], "timeUnixNano": "7", "asDouble": 0.5});
        assert_eq!(data(&gauge, &mut Begun::new(5), 7)["gauge"], json!({ "dataPoints": [point] }));
    }

    #[test]
    fn durations_have_one_bucket_more_than_bounds() {
        let durations = Durations::new(&[1, 0, 2], 1_500_000_000);
        let metric = data(&family(Kind::Histogram, Sample::new(Number::Durations(durations))), &mut Begun::new(0), 1);
        let point = &metric["histogram"]["dataPoints"][0];
        let length = |of: &str| point[of].as_array().map_or(0, Vec::len);
        assert_eq!((length("bucketCounts"), length("explicitBounds")), (30, 29));
        assert_eq!(
            (&point["count"], &point["sum"], &point["bucketCounts"][2]),
            (&json!("3"), &json!(1.5), &json!("2"))
        );
        assert_eq!(
            (&point["explicitBounds"][0], &point["explicitBounds"][28]),
            (&json!(1.28e-7), &json!(34.359_738_368))
        );
    }

    #[test]
    fn what_is_longer_than_all_bounds_is_in_the_last_bucket() {
        let longest = Durations::new(&[1; 34], 0);
        assert_eq!((longest.counts.len(), longest.counts.last(), longest.count()), (30, Some(&5), 34));
    }

    #[test]
    fn a_slot_that_is_assigned_anew_counts_from_the_last_export_on() {
        let mut begun = Begun::new(10);
        let slot = |revision| {
            let sample = Sample { revision, ..Sample::new(1.into()) };
            family(Kind::Counter, sample.of("slot", "f0").of("machine", "main"))
        };
        let mut start =
            |revision, now| data(&slot(revision), &mut begun, now)["sum"]["dataPoints"][0]["startTimeUnixNano"].take();
        assert_eq!([start(1, 20), start(1, 30), start(2, 40), start(2, 50)], ["10", "10", "30", "30"]);
    }
}
