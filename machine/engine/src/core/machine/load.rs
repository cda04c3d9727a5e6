//! What a machine's workers did in the last seconds, as the clock's thread has seen it.

use super::{Machine, guard};
use crate::core::oid;
use crate::core::queue::{Mode, STEPS};
use machine_protocol::status::Load;
use std::sync::atomic::Ordering::Relaxed;

/// How long a piece of the last seconds is, milliseconds, and how many there are.
const PIECE: u64 = 500;
const RECENT: usize = 10;

/// How often it was looked, and the sums of the shares of workers that worked, and that waited for room.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub looks: u64,
    pub busy: f64,
    pub blocked: f64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.looks += other.looks;
        self.busy += other.busy;
        self.blocked += other.blocked;
    }
}

/// The load of one machine.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    /// What has been seen since somebody took it.
    seen: Seen,
    /// What was seen in the last seconds, piece by piece, in a ring: so that it allocates nothing.
    recent: [Seen; RECENT],
    /// The piece that is written now, and when it ends, milliseconds since 1970.
    piece: usize,
    piece_ends: u64,
    /// The most messages that were seen to wait since somebody took it.
    queue: u64,
}

impl LoadMeter {
    fn add(&mut self, seen: Seen, now_ms: u64) {
        self.seen.add(seen);
        if now_ms >= self.piece_ends {
            self.piece = (self.piece + 1) % RECENT;
            self.piece_ends = now_ms + PIECE;
            if let Some(piece) = self.recent.get_mut(self.piece) {
                *piece = Seen::default();
            }
        }
        if let Some(piece) = self.recent.get_mut(self.piece) {
            piece.add(seen);
        }
    }

    /// What the workers did over the last seconds.
    pub fn load(&self) -> Option<Load> {
        let mut all = Seen::default();
        for piece in self.recent {
            all.add(piece);
        }
        Load::of(all.busy, all.blocked, all.looks)
    }
}

impl Machine {
    /// Looks whether the workers work. The clock does it.
    #[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
    pub fn look(&self) {
        let (running, workers) = {
            let control = self.queue.control();
            (control.mode == Mode::Running, control.wanted.max(1))
        };
        let at_work = self.queue.progress().iter().skip(STEPS + 1).filter(|worker| worker.is_inside());
        // Relaxed: it carries nothing but itself.
        let (waiting_workers, working) =
            at_work.fold(
                (0, 0),
                |(waits, works), worker| {
                    if worker.waits.load(Relaxed) { (waits + 1, works) } else { (waits, works + 1) }
                },
            );
        let waiting = self.queue.size().min(self.config.queue as u64);
        let mut meter = guard(&self.load);
        // Workers that are too many end after their message.
        let share = |count: usize| if running { (count as f64 / workers as f64).min(1.0) } else { 0.0 };
        let busy = share(working);
        meter.add(Seen { looks: 1, busy, blocked: share(waiting_workers).min(1.0 - busy) }, oid::coarse_millis());
        meter.queue = meter.queue.max(waiting);
    }

    /// What has been seen since the last call of this, and the most messages that were seen to wait.
    pub fn take_seen(&self) -> (Seen, u64) {
        let mut meter = guard(&self.load);
        (std::mem::take(&mut meter.seen), std::mem::take(&mut meter.queue))
    }
}

#[cfg(test)]
mod tests {
    use super::{Load, LoadMeter, Seen};

    #[test]
    fn the_load_is_that_of_the_last_seconds() {
        let mut meter = LoadMeter::default();
        assert_eq!(meter.load(), None);
        let seen = |busy, blocked| Seen { looks: 1, busy, blocked };
        for second in 0..10 {
            meter.add(seen(1.0, 0.0), second * 1000);
        }
        let load = meter.load();
        assert_eq!(load, Some(Load { busy: 1.0, idle: 0.0, blocked: 0.0 }));
        // Looked at more often, a piece weighs more; what is older than ten pieces is forgotten.
        for half in 20..40 {
            meter.add(seen(0.0, 0.5), half * 500);
        }
        assert_eq!(meter.load(), Some(Load { busy: 0.0, idle: 0.5, blocked: 0.5 }));
    }
}
