//! What a machine has done over time: a point a second, read from the counters by the clock's thread.
//!
//! Points are kept in levels: the first has a point a second for an hour, the next ones join many points to one, and
//! the last joins its own two by two whenever it is full. So nothing falls out, and the past has a bounded size.

use crate::core::histogram::percentiles_of;
use crate::core::machine::{Machine, Seen};
use machine_protocol::history::{Point, SlotPoint};
use machine_protocol::status::Status;
use std::collections::VecDeque;

/// How long a point is at least, milliseconds. Shorter than the second that is meant, for the clock is never exact.
const SPAN: u64 = 950;
/// How many points each level keeps, and how many of its oldest make one of the next.
const LEVELS: [(usize, usize); 2] = [(3600, 60), (1440, 10)];
/// How many points the last level keeps before it joins them two by two.
const LAST: usize = 1008;
/// The past of one machine.
#[derive(Debug, Default)]
pub(crate) struct Past {
    levels: [VecDeque<Point>; LEVELS.len() + 1],
    before: Before,
}

/// The counters at the last point.
#[derive(Debug, Default)]
struct Before {
    time_ms: u64,
    accepted: u64,
    processed: u64,
    errored: u64,
    discarded: u64,
    slots: Vec<SlotBefore>,
}

#[derive(Debug, Default)]
struct SlotBefore {
    revision: u64,
    ok: u64,
    errored: u64,
    /// The counts of its histogram.
    times: Vec<u64>,
}

impl Past {
    fn push(&mut self, point: Point) {
        let mut next = Some(point);
        for (level, (most, join)) in self.levels.iter_mut().zip(LEVELS) {
            let Some(point) = next.take() else { return };
            level.push_back(point);
            if level.len() >= most + join {
                next = level.drain(..join).reduce(joined);
            }
        }
        let (Some(point), Some(last)) = (next, self.levels.last_mut()) else { return };
        last.push_back(point);
        if last.len() > LAST {
            let mut points = std::mem::take(last).into_iter();
            while let Some(first) = points.next() {
                last.push_back(points.next().map_or_else(|| first.clone(), |second| joined(first.clone(), second)));
            }
        }
    }

    pub fn since(&self, since_ms: u64) -> Vec<Point> {
        let oldest_first = self.levels.iter().rev().flatten();
        oldest_first.filter(|point| point.time_ms > since_ms).cloned().collect()
    }
}

/// Two neighbours as one.
fn joined(first: Point, second: Point) -> Point {
    let slots = first.slots.len().max(second.slots.len());
    let of = |point: &Point, slot: usize| point.slots.get(slot).copied().unwrap_or_default();
    // Weighed with the messages that they stand for.
    let mean = |a: SlotPoint, b: SlotPoint| {
        let (m, n) = (u128::from(if a.p50_ns > 0 { a.ok } else { 0 }), u128::from(if b.p50_ns > 0 { b.ok } else { 0 }));
        let sum = m * u128::from(a.p50_ns) + n * u128::from(b.p50_ns);
        sum.checked_div(m + n).map_or(a.p50_ns.max(b.p50_ns), |mean| u64::try_from(mean).unwrap_or(u64::MAX))
    };
    let slots = (0..slots).map(|slot| {
        let (a, b) = (of(&first, slot), of(&second, slot));
        SlotPoint {
            ok: a.ok + b.ok,
            errored: a.errored + b.errored,
            p50_ns: mean(a, b),
            p99_ns: a.p99_ns.max(b.p99_ns),
        }
    });
    Point {
        time_ms: second.time_ms,
        span_ms: first.span_ms + second.span_ms,
        accepted: first.accepted + second.accepted,
        processed: first.processed + second.processed,
        errored: first.errored + second.errored,
        discarded: first.discarded + second.discarded,
        queue: first.queue.max(second.queue),
        looks: first.looks + second.looks,
        busy: first.busy + second.busy,
        blocked: first.blocked + second.blocked,
        slots: slots.collect(),
    }
}

/// Ends a point, if the last one was long enough ago. The clock does it, also while the machine stands.
pub(crate) fn note(machine: &Machine, past: &mut Past, now_ms: u64) {
    if past.before.time_ms == 0 {
        past.before.time_ms = now_ms;
        return;
    }
    let span_ms = now_ms.saturating_sub(past.before.time_ms);
    if span_ms < SPAN {
        return;
    }
    let status = machine.status();
    let before = std::mem::take(&mut past.before);
    let mut slots: Vec<SlotPoint> = Vec::with_capacity(status.slots.len());
    let mut after = Vec::with_capacity(status.slots.len());
    let plan = machine.plan();
    for (slot, now) in status.slots.iter().enumerate() {
        let old = before.slots.get(slot).filter(|old| old.revision == now.revision);
        let times = plan.function(slot).map(|function| function.times.counts()).unwrap_or_default();
        let (ok, errored, then) = old.map_or((0, 0, &[][..]), |old| (old.ok, old.errored, &old.times));
        let new: Vec<u64> = times
            .iter()
            .enumerate()
            .map(|(at, count)| count.saturating_sub(then.get(at).copied().unwrap_or_default()))
            .collect();
        let [p50_ns, p99_ns] = percentiles_of(&new, now.max_ns, [0.5, 0.99]);
        slots.push(SlotPoint {
            ok: now.ok.saturating_sub(ok),
            errored: now.errored.saturating_sub(errored),
            p50_ns,
            p99_ns,
        });
        after.push(SlotBefore { revision: now.revision, ok: now.ok, errored: now.errored, times });
    }
    // Slots that were never used take no place.
    let used = status.slots.iter().rposition(|slot| slot.revision > 0).map_or(0, |last| last + 1);
    slots.truncate(used);
    let point = point(&status, &before, (now_ms, span_ms), slots);
    let (Seen { looks, busy, blocked }, queue) = machine.take_seen();
    let queue = queue.max(status.queue_size);
    past.before = Before {
        time_ms: now_ms,
        accepted: status.accepted,
        processed: status.processed,
        errored: status.errored,
        discarded: status.discarded,
        slots: after,
    };
    past.push(Point { looks, busy, blocked, queue, ..point });
}

fn point(status: &Status, before: &Before, (time_ms, span_ms): (u64, u64), slots: Vec<SlotPoint>) -> Point {
    Point {
        time_ms,
        span_ms,
        accepted: status.accepted.saturating_sub(before.accepted),
        processed: status.processed.saturating_sub(before.processed),
        errored: status.errored.saturating_sub(before.errored),
        discarded: status.discarded.saturating_sub(before.discarded),
        slots,
        ..Point::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{LAST, LEVELS, Past, Point, SlotPoint, joined};

    fn second(time: u64) -> Point {
        let slot = SlotPoint { ok: 1, errored: 0, p50_ns: 100, p99_ns: time };
        Point { time_ms: time * 1000, span_ms: 1000, processed: 1, queue: time, slots: vec![slot], ..Point::default() }
    }

    #[test]
    fn nothing_is_lost_and_the_newest_hour_is_whole() {
        let mut past = Past::default();
        let seconds = 4_000_000;
        for time in 1..=seconds {
            past.push(second(time));
        }
        let points = past.since(0);
        assert_eq!(points.iter().map(|point| point.processed).sum::<u64>(), seconds);
        assert_eq!(points.iter().map(|point| point.span_ms).sum::<u64>(), seconds * 1000);
        let most: usize = LEVELS.iter().map(|(most, join)| most + join).sum::<usize>() + LAST;
        assert!(points.len() <= most, "{}", points.len());
        // Each one begins where the one before it ends.
        assert!(points.windows(2).all(|pair| pair[1].time_ms - pair[1].span_ms == pair[0].time_ms));
        let newest = past.since((seconds - 3600) * 1000);
        assert_eq!(newest.len(), 3600);
        assert!(newest.iter().all(|point| point.span_ms == 1000));
    }

    #[test]
    fn joined_points_keep_sums_and_extremes() {
        let both = joined(second(7), second(9));
        assert_eq!((both.time_ms, both.span_ms, both.processed, both.queue), (9000, 2000, 2, 9));
        assert_eq!(both.slots, [SlotPoint { ok: 2, errored: 0, p50_ns: 100, p99_ns: 9 }]);
        let rare = Point { slots: vec![SlotPoint { ok: 3, p50_ns: 500, ..SlotPoint::default() }], ..second(10) };
        assert_eq!(joined(second(9), rare).slots[0].p50_ns, 400);
    }
}
