//! What a machine has done over time.

use crate::status::Load;
use serde::{Deserialize, Serialize};

/// The past of one machine, oldest point first. The newest hour has a point a second; what is older has fewer, and
/// longer ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The machine's name.
    pub machine: String,
    /// What happened, piece by piece, without gaps.
    pub points: Vec<Point>,
}

/// What happened in a piece of time. Counts are of this piece alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When it ended, milliseconds since 1970.
    pub time_ms: u64,
    /// How long it was, milliseconds.
    pub span_ms: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Messages processed.
    pub processed: u64,
    /// Of these, the ones with at least one error.
    pub errored: u64,
    /// Messages discarded.
    pub discarded: u64,
    /// Messages that waited: the most that was seen.
    pub queue: u64,
    /// How often it was looked whether the workers work.
    pub looks: u64,
    /// The sum of what was seen: the share of the workers that worked on a message, 0 to 1.
    pub busy: f64,
    /// The sum of what was seen: the share of the workers that had a message in hand and waited for room, 0 to 1.
    #[serde(default)]
    pub blocked: f64,
    /// One entry a slot.
    pub slots: Vec<SlotPoint>,
}

/// What a slot did in a piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotPoint {
    /// Messages that its function returned for.
    pub ok: u64,
    /// Messages that it failed on.
    pub errored: u64,
    /// Half of the timed calls were faster, nanoseconds; 0 if none was timed. In a piece that several were joined to:
    /// the mean of theirs.
    pub p50_ns: u64,
    /// 99 % of the timed calls were faster, nanoseconds. In a piece that several were joined to: the largest of theirs.
    pub p99_ns: u64,
}

impl Point {
    /// Messages processed a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    pub fn rate(&self) -> f64 {
        if self.span_ms == 0 { 0.0 } else { self.processed as f64 * 1e3 / self.span_ms as f64 }
    }

    /// The share of the workers that worked on a message, 0 to 1; `None` if nobody looked.
    pub fn busy_ratio(&self) -> Option<f64> {
        Load::of(self.busy, self.blocked, self.looks).map(|load| load.busy)
    }

    /// The share of the workers that had a message in hand and waited for room, 0 to 1; `None` if nobody looked.
    pub fn blocked_ratio(&self) -> Option<f64> {
        Load::of(self.busy, self.blocked, self.looks).map(|load| load.blocked)
    }
}
