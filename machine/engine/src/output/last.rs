//! The last outputs of a machine, at hand whether or not somebody has asked for outputs before.
//!
//! A worker writes a message's JSON here when fewer than ten are left of what it has claimed and nothing more waits
//! behind, at most so often that it costs nothing that can be measured: [`SAMPLES`] times in each tick of the coarse
//! clock. So of a machine that takes up to some thousand messages a second exactly the last ten are here. Of a
//! faster one it is a sample, no older than a tick before its last message.

use super::Finished;
use super::json::Rendering;
use crate::oid::Oid;
use machine::status::LastOutput;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are kept.
pub(crate) const KEPT: usize = 10;
/// How often a worker writes one down in each tick of the coarse clock, some milliseconds.
pub(crate) const SAMPLES: u32 = 64;

/// The newest outputs, in buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Last(Mutex<VecDeque<(Oid, Rendering)>>);

impl Last {
    /// Keeps a message's outputs, as long as they are among the last.
    pub(super) fn keep(&self, message: &mut Finished<'_>) {
        message.json();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = if kept.len() < KEPT { None } else { kept.pop_front() }.unwrap_or_default();
        place.0 = message.oid;
        place.1.clone_from(message.json());
        kept.push_back(place);
    }

    /// Newest first.
    pub fn newest(&self) -> Vec<LastOutput> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
        let one = |(oid, json): &(Oid, Rendering)| LastOutput {
            oid: oid.to_string(),
            input: text(json.part(0)),
            outputs: (1..json.len()).map(|at| text(json.part(at))).collect(),
        };
        kept.iter().rev().map(one).collect()
    }
}
