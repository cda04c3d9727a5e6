//! The curves of the last minutes.

use super::state::rounded;
use machine_protocol::history::{History, Point};
use serde::Serialize;

/// How far back the curves go, milliseconds.
pub const PAST_MS: u64 = 300_000;
/// How many points a curve has.
const POINTS: u64 = 150;

/// A list of numbers, oldest first, evenly spaced, `None` where nothing is known.
pub type Curve = Vec<Option<f64>>;

/// What has happened to a machine. Rates are a second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curves {
    /// How long the curves are.
    pub seconds: u64,
    /// Messages accepted.
    #[serde(rename = "in")]
    pub accepted: Curve,
    /// Messages processed.
    pub out: Curve,
    /// Messages with errors.
    pub errors: Curve,
    /// Messages that waited, at most.
    pub queue: Curve,
    /// One entry a slot.
    pub slots: Vec<SlotCurves>,
}

/// What has happened in a slot. Rates are a second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SlotCurves {
    /// Messages that its function was called on.
    pub rate: Curve,
    /// Messages that it failed on.
    pub errors: Curve,
    /// 99 % of the timed calls were faster, nanoseconds.
    pub p99: Curve,
}

/// The curves of a history; only its last minutes are looked at.
pub fn curves(history: &History) -> Curves {
    let end = history.points.last().map_or(0, |point| point.time_ms);
    let step = PAST_MS / POINTS;
    let slots = history.points.iter().map(|point| point.slots.len()).max().unwrap_or_default();
    let mut pieces: Vec<Vec<&Point>> = vec![Vec::new(); usize::try_from(POINTS).unwrap_or_default()];
    for point in &history.points {
        // Counted from the end, where the newest is.
        let back = end.saturating_sub(point.time_ms) / step;
        let place = POINTS.checked_sub(back + 1).and_then(|at| usize::try_from(at).ok());
        if let Some(piece) = place.and_then(|at| pieces.get_mut(at)) {
            piece.push(point);
        }
    }
    let curve = |value: &dyn Fn(&[&Point]) -> f64| -> Curve {
        pieces.iter().map(|piece| (!piece.is_empty()).then(|| rounded(value(piece)))).collect()
    };
    let of_slot = |slot: usize| SlotCurves {
        rate: curve(&|piece| per_second(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.ok + slot.errored))),
        errors: curve(&|piece| per_second(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.errored))),
        p99: curve(&|piece| most(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.p99_ns))),
    };
    Curves {
        seconds: PAST_MS / 1000,
        accepted: curve(&|piece| per_second(piece, |point| point.accepted)),
        out: curve(&|piece| per_second(piece, |point| point.processed)),
        errors: curve(&|piece| per_second(piece, |point| point.errored)),
        queue: curve(&|piece| most(piece, |point| point.queue)),
        slots: (0..slots).map(of_slot).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn per_second(piece: &[&Point], count: impl Fn(&Point) -> u64) -> f64 {
    let span: u64 = piece.iter().map(|point| point.span_ms).sum();
    let all: u64 = piece.iter().map(|point| count(point)).sum();
    if span == 0 { 0.0 } else { all as f64 * 1e3 / span as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn most(piece: &[&Point], count: impl Fn(&Point) -> u64) -> f64 {
    piece.iter().map(|point| count(point)).max().unwrap_or_default() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_end_with_the_newest_and_have_gaps_where_nothing_is_known() {
        let second =
            |time: u64| Point { time_ms: time * 1000, span_ms: 1000, processed: time, queue: time, ..Point::default() };
        let history = History { machine: "main".into(), points: (1_001..=1_010).map(second).collect() };
        let curves = curves(&history);
        assert_eq!(curves.out.len(), 150);
        assert!(curves.out[..145].iter().all(Option::is_none), "{:?}", curves.out);
        // 1009 and 1010 in the last piece; three digits.
        assert_eq!((curves.out[149], curves.queue[149]), (Some(1010.0), Some(1010.0)));
        let json = serde_json::to_value(&curves).unwrap();
        assert_eq!((&json["in"][149], &json["in"][0]), (&serde_json::json!(0.0), &serde_json::Value::Null));
    }
}
