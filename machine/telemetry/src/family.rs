//! The model of metrics: families of samples, which know nothing of how they are written.

use machine_protocol::status::SHORTEST_NS;

/// How many bounds durations have: from 128 ns to 34 s, each twice the one before it.
const BOUNDS: usize = 29;

/// All samples of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// Its name, in Prometheus' style: with the unit, and `_total` if it counts.
    pub name: &'static str,
    pub kind: Kind,
    /// The unit in the code that OpenTelemetry asks for (UCUM): `s`, `1`, `{message}`.
    pub unit: &'static str,
    /// What it is, one sentence.
    pub help: &'static str,
    pub samples: Vec<Sample>,
}

/// What the numbers of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, until it begins anew.
    Counter,
    Gauge,
    /// Counters of durations.
    Histogram,
}

/// One number or histogram, with what it is of.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub labels: Vec<(&'static str, String)>,
    /// The revision of the slot with whose assignment its counters began anew; 0 for what counts since the start.
    pub revision: u64,
    pub value: Number,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Count(u64),
    Real(f64),
    Durations(Durations),
}

/// How many durations lie between which bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Durations {
    /// One more than there are bounds: the last counts what is longer than all of them.
    pub counts: Vec<u64>,
    /// All durations together, seconds.
    pub sum: f64,
}

impl Durations {
    /// From counts of doublings, as in a status.
    #[expect(clippy::cast_precision_loss, reason = "seconds are real numbers")]
    pub fn new(doublings: &[u64], sum_ns: u64) -> Self {
        let mut counts = doublings.to_vec();
        let longer = counts.split_off(counts.len().min(BOUNDS));
        counts.resize(BOUNDS, 0);
        counts.push(longer.iter().sum());
        Self { counts, sum: sum_ns as f64 / 1e9 }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Where the buckets of durations end, seconds; one that lies exactly at an end is counted in the next one.
#[expect(clippy::cast_precision_loss, reason = "seconds are real numbers")]
pub(crate) fn bounds() -> impl Iterator<Item = f64> {
    (0..BOUNDS).map(|doubling| (SHORTEST_NS << doubling) as f64 / 1e9)
}

impl Sample {
    pub fn new(value: Number) -> Self {
        Self { labels: Vec::new(), revision: 0, value }
    }

    /// The same with a label before those that it has.
    pub fn of(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.labels.insert(0, (label, value.into()));
        self
    }
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// How many exports to a collector were taken, and how many were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    /// Taken by the collector.
    pub sent: u64,
    /// Refused, or not answered.
    pub failed: u64,
}

impl From<Exports> for Family {
    fn from(exports: Exports) -> Self {
        let of = |outcome: &str, count: u64| Sample::new(count.into()).of("outcome", outcome);
        Self {
            name: "machine_exports_total",
            kind: Kind::Counter,
            unit: "{export}",
            help: "Times that the metrics were sent to a collector of OpenTelemetry.",
            samples: vec![of("sent", exports.sent), of("failed", exports.failed)],
        }
    }
}
