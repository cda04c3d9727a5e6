//! Metrics as `ExportMetricsServiceRequest` of [OTLP 1](https://opentelemetry.io/docs/specs/otlp/).
//!
//! Counters are cumulative, not deltas: what one export loses, the next one has.

use crate::family::{Durations, Family, Kind, Number, Sample, bounds};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::collections::BTreeMap;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

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

/// The request with these metrics at this time, nanoseconds since 1970.
pub(super) fn request(
    families: &[Family],
    resource: &[(String, String)],
    begun: &mut Begun,
    now: u64,
) -> ExportMetricsServiceRequest {
    let filled = families.iter().filter(|family| !family.samples.is_empty());
    let metrics = filled.map(|family| metric(family, begun, now)).collect();
    begun.last = now;
    let attributes = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    let scope = InstrumentationScope {
        name: "machine".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn metric(family: &Family, begun: &mut Begun, now: u64) -> Metric {
    let samples = family.samples.iter();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: samples.map(|sample| number(sample, begun.of(sample), now)).collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: samples.map(|sample| number(sample, 0, now)).collect() }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: samples.map(|sample| distribution(sample, begun.of(sample), now)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(sample: &Sample, start: u64, now: u64) -> NumberDataPoint {
    let value = match &sample.value {
        Number::Count(count) => number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX)),
        Number::Real(number) => number_data_point::Value::AsDouble(*number),
        Number::Durations(durations) => number_data_point::Value::AsDouble(durations.sum),
    };
    NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn distribution(sample: &Sample, start: u64, now: u64) -> HistogramDataPoint {
    let none = Durations::default();
    let durations = if let Number::Durations(durations) = &sample.value { durations } else { &none };
    HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: durations.count(),
        sum: Some(durations.sum),
        bucket_counts: durations.counts.clone(),
        explicit_bounds: bounds().collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::float_cmp, reason = "a test ends where it fails; bounds are exact")]

    use super::*;

    fn family(kind: Kind, sample: Sample) -> Family {
        Family { name: "name", kind, unit: "1", help: "Help.", samples: vec![sample] }
    }

    /// The data of the only metric.
    fn data(family: &Family, begun: &mut Begun, now: u64) -> Option<Data> {
        let mut request = request(std::slice::from_ref(family), &[], begun, now);
        request.resource_metrics.pop()?.scope_metrics.pop()?.metrics.pop()?.data
    }

    #[test]
    fn a_counter_is_a_cumulative_sum_and_a_gauge_has_no_start() {
        let sample = Sample::new(7.into()).of("outcome", "ok");
        let Some(Data::Sum(sum)) = data(&family(Kind::Counter, sample), &mut Begun::new(5), 7) else {
            unreachable!("a counter is a sum")
        };
        assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (CUMULATIVE, true));
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 7));
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
        assert_eq!(point.attributes, [attribute("outcome", "ok")]);
        let Some(Data::Gauge(gauge)) = data(&family(Kind::Gauge, Sample::new(0.5.into())), &mut Begun::new(5), 7)
        else {
            unreachable!("a gauge is a gauge")
        };
        let point = &gauge.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (0, 7));
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(0.5)));
    }

    #[test]
    fn durations_have_one_bucket_more_than_bounds() {
        let durations = Durations::new(&[1, 0, 2], 1_500_000_000);
        let sample = Sample::new(Number::Durations(durations));
        let Some(Data::Histogram(histogram)) = data(&family(Kind::Histogram, sample), &mut Begun::new(0), 1) else {
            unreachable!("durations are a histogram")
        };
        let point = &histogram.data_points[0];
        assert_eq!((point.bucket_counts.len(), point.explicit_bounds.len()), (30, 29));
        assert_eq!((point.count, point.sum, point.bucket_counts[2]), (3, Some(1.5), 2));
        assert_eq!((point.explicit_bounds[0], point.explicit_bounds[28]), (1.28e-7, 34.359_738_368));
    }

    #[test]
    fn what_is_longer_than_all_bounds_is_in_the_last_bucket() {
        let longest = Durations::new(&[1; 34], 0);
        assert_eq!((longest.counts.len(), longest.counts.last(), longest.count()), (30, Some(&5), 34));
    }

    #[test]
    fn a_slot_that_is_assigned_again_counts_from_the_last_export_on() {
        let mut begun = Begun::new(10);
        let slot = |revision| {
            let sample = Sample { revision, ..Sample::new(1.into()) };
            family(Kind::Counter, sample.of("slot", "f0").of("machine", "main"))
        };
        let mut start = |revision, now| match data(&slot(revision), &mut begun, now) {
            Some(Data::Sum(sum)) => sum.data_points[0].start_time_unix_nano,
            _ => 0,
        };
        assert_eq!([start(1, 20), start(1, 30), start(2, 40), start(2, 50)], [10, 10, 30, 30]);
    }
}
