//! How long something took: exponential buckets, four to a doubling, from 1 ns.

use machine_protocol::status::SHORTEST_NS;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PER_DOUBLING: u32 = 4;
const BUCKETS: usize = 40 * PER_DOUBLING as usize;

/// Counts of durations; any thread adds. A percentile is at most 19 % above the true one.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
    /// Of all durations, nanoseconds.
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { buckets, max: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(1);
    let doubling = nanos.ilog2();
    // The two bits below the highest one: which quarter of the doubling.
    let quarter = if doubling >= 2 { (nanos >> (doubling - 2)) & 3 } else { (nanos << (2 - doubling)) & 3 };
    let index = u64::from(doubling * PER_DOUBLING) + quarter;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The end of a bucket, nanoseconds.
fn upper(bucket: usize) -> u64 {
    let (doubling, quarter) = (bucket / PER_DOUBLING as usize, bucket % PER_DOUBLING as usize);
    let next = (5 + quarter as u64) << doubling;
    next / 4
}

impl Histogram {
    pub fn add(&self, nanos: u64) {
        if let Some(count) = self.buckets.get(bucket(nanos)) {
            // Relaxed: counts carry nothing but themselves.
            count.fetch_add(1, Relaxed);
        }
        self.max.fetch_max(nanos, Relaxed);
        self.sum.fetch_add(nanos, Relaxed);
    }

    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// All durations together, nanoseconds.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }

    /// How many durations are shorter than [`SHORTEST_NS`], and how many lie in each doubling of it after that; without
    /// the zeros at the end.
    pub fn doublings(&self) -> Vec<u64> {
        let sum = |buckets: &[AtomicU64]| buckets.iter().map(|count| count.load(Relaxed)).sum();
        let first = (SHORTEST_NS.ilog2() * PER_DOUBLING) as usize;
        let (short, long) = self.buckets.split_at(first.min(self.buckets.len()));
        let mut all: Vec<u64> = vec![sum(short)];
        all.extend(long.chunks(PER_DOUBLING as usize).map(sum));
        all.truncate(all.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
        all
    }

    /// How many durations are in each bucket.
    pub fn counts(&self) -> Vec<u64> {
        self.buckets.iter().map(|count| count.load(Relaxed)).collect()
    }

    /// The durations below which these shares of all lie, nanoseconds; 0 if there are none.
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [u64; N] {
        percentiles_of(&self.counts(), self.max(), shares)
    }
}

/// The durations below which these shares of all that are counted lie, nanoseconds, and none above `max`; 0 if there
/// are none.
pub(crate) fn percentiles_of<const N: usize>(counts: &[u64], max: u64, shares: [f64; N]) -> [u64; N] {
    let total: u64 = counts.iter().sum();
    shares.map(|share| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let at = counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        at.map_or(0, |at| upper(at).min(max))
    })
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket, upper};

    #[test]
    fn each_duration_is_below_the_end_of_its_bucket_and_above_the_one_before() {
        for nanos in (1..5_000).chain([1_000_000, 123_456_789, u64::MAX >> 30]) {
            let at = bucket(nanos);
            assert!(nanos <= upper(at).max(1), "{nanos} in bucket {at} to {}", upper(at));
            assert!(at == 0 || nanos >= upper(at - 1), "{nanos} in bucket {at}, before it {}", upper(at - 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_a_bucket() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|nanos| histogram.add(nanos * 100));
        let [p50, p99] = histogram.percentiles([0.5, 0.99]);
        assert!((50_000..=60_000).contains(&p50), "{p50}");
        assert!((99_000..=100_000).contains(&p99), "{p99}");
        assert_eq!(Histogram::default().percentiles([0.5]), [0]);
    }

    #[test]
    fn doublings_are_counted_from_the_shortest_that_is_told_apart() {
        let histogram = Histogram::default();
        assert_eq!((histogram.doublings(), histogram.sum()), (vec![], 0));
        for nanos in [0, 1, 127, 128, 255, 256, 1023, 1024] {
            histogram.add(nanos);
        }
        assert_eq!(histogram.doublings(), [3, 2, 1, 1, 1]);
        assert_eq!(histogram.sum(), 127 + 128 + 255 + 256 + 1023 + 1024 + 1);
        histogram.add(u64::MAX >> 8);
        assert_eq!(histogram.doublings().len(), 34);
    }
}
