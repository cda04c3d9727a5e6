//! Whether a pipeline is over, told by looks at its machines one after the other.
//!
//! A look is no moment: while one machine is read, another one hands on to those that were read before. So a machine
//! without messages says nothing by itself. If all of them had none at two looks, and none was given any in between,
//! there was a moment at which nothing was left.

use crate::run::summary;
use machine_protocol::status::Status;

/// What counts of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    running: bool,
    is_fed: bool,
    is_sending: bool,
    accepted: u64,
    /// Processed or discarded.
    gone: u64,
    left: u64,
}

impl From<&Status> for Seen {
    fn from(status: &Status) -> Self {
        Self {
            running: status.running,
            is_fed: summary::is_fed(status),
            is_sending: summary::is_sending(status),
            accepted: status.accepted,
            gone: status.processed + status.discarded,
            left: status.queue_size + status.in_flight,
        }
    }
}

impl Seen {
    /// Whether it has nothing to do. A machine that does not run is not waited for.
    fn is_idle(&self) -> bool {
        !self.running || self.left == 0
    }
}

/// What is left to do, as far as it has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remaining {
    /// Messages to process, or a source that may give some.
    Messages,
    /// Outputs on their way to where they go by themselves, or nothing, if the next look finds the same.
    Outputs,
    Nothing,
}

/// What the looks so far have found.
#[derive(Debug, Default)]
pub(crate) struct QuiescenceDetector {
    /// What each machine had accepted at the last look, if nothing was left to process then.
    idle: Option<Vec<u64>>,
    /// How much of each machine is waited for once the process was asked to stop; what is put later, by a thread that
    /// does not notice, is not. A machine that others feed has no such bound before they are through.
    most: Vec<Option<u64>>,
    /// Which machines were through with that at the last look: for ever.
    through: Vec<bool>,
}

impl QuiescenceDetector {
    /// What is left at this look. Sources are not waited for if the process is `stopping`; `feeds` says whether outputs
    /// of one machine are messages of another one, by their places in `all`.
    pub fn look(&mut self, all: &[Seen], stopping: bool, feeds: impl Fn(usize, usize) -> bool) -> Remaining {
        let through = stopping && self.are_through(all, feeds);
        let idle = all.iter().all(|seen| seen.is_idle() && (stopping || !seen.is_fed));
        // What is put on a machine that does not run changes nothing.
        let accepted = idle.then(|| all.iter().map(|seen| if seen.running { seen.accepted } else { 0 }).collect());
        let same = accepted == self.idle;
        self.idle = accepted;
        if !idle && !through {
            Remaining::Messages
        } else if all.iter().any(|seen| seen.is_sending) {
            // A closure may make a message of what it has in hand: two more looks tell.
            self.idle = None;
            Remaining::Outputs
        } else if same || through {
            Remaining::Nothing
        } else {
            Remaining::Outputs
        }
    }

    /// Whether each machine is through with what it had when the process was asked to stop, and with what others have
    /// made of theirs. Machines in a circle never are; they may still become idle.
    fn are_through(&mut self, all: &[Seen], feeds: impl Fn(usize, usize) -> bool) -> bool {
        self.most.resize(all.len(), None);
        // Those that were through at the look before: all that they have handed on was accepted before this one.
        self.through.resize(all.len(), false);
        for (to, (most, seen)) in self.most.iter_mut().zip(all).enumerate() {
            let has_all = self.through.iter().enumerate().all(|(from, through)| *through || !feeds(from, to));
            if most.is_none() && has_all {
                *most = Some(seen.accepted);
            }
        }
        let is_through =
            |(most, seen): (&Option<u64>, &Seen)| !seen.running || most.is_some_and(|most| seen.gone >= most);
        self.through = self.most.iter().zip(all).map(is_through).collect();
        self.through.iter().all(|through| *through)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

    use super::{QuiescenceDetector, Remaining, Seen};
    use crate::core::machine::Machine;
    use machine_protocol::command::Config;
    use machine_protocol::status::Status;

    /// A machine that has accepted and processed so many.
    fn machine(accepted: u64, gone: u64) -> Seen {
        Seen { running: true, is_fed: false, is_sending: false, accepted, gone, left: accepted - gone }
    }

    fn fed(seen: Seen) -> Seen {
        Seen { is_fed: true, ..seen }
    }

    fn sending(seen: Seen) -> Seen {
        Seen { is_sending: true, ..seen }
    }

    /// Looks at machines of which the second one feeds the first.
    fn looks<const N: usize>(stopping: bool, all: [[Seen; 2]; N]) -> [Remaining; N] {
        let mut ending = QuiescenceDetector::default();
        all.map(|all| ending.look(&all, stopping, |from, to| (from, to) == (1, 0)))
    }

    #[test]
    fn what_a_machine_is_given_after_it_was_looked_at_is_processed() {
        let found = looks(
            false,
            [
                [machine(0, 0), fed(machine(1, 1))],
                // The source has ended, and the last message was handed on between the two.
                [machine(0, 0), machine(2, 2)],
                [machine(1, 0), machine(2, 2)],
                [machine(1, 1), machine(2, 2)],
                [machine(1, 1), machine(2, 2)],
            ],
        );
        assert_eq!(
            found,
            [Remaining::Messages, Remaining::Outputs, Remaining::Messages, Remaining::Outputs, Remaining::Nothing]
        );
    }

    #[test]
    fn what_a_closure_makes_of_the_last_output_is_processed() {
        let found = looks(
            false,
            [
                [machine(0, 0), sending(machine(1, 1))],
                // Read before the closure has put, and after.
                [machine(0, 0), machine(1, 1)],
                [machine(1, 0), machine(1, 1)],
                [machine(1, 1), machine(1, 1)],
                [machine(1, 1), machine(1, 1)],
            ],
        );
        assert_eq!(
            found,
            [Remaining::Outputs, Remaining::Outputs, Remaining::Messages, Remaining::Outputs, Remaining::Nothing]
        );
    }

    #[test]
    fn outputs_in_order_that_have_yet_to_leave_are_waited_for() {
        let mut status = Machine::new(Config::new("ending")).unwrap().status();
        let mut ending = QuiescenceDetector::default();
        let mut look = |status: &Status| ending.look(&[Seen::from(status)], false, |_, _| false);
        (status.running, status.out_of_order) = (true, 1);
        assert_eq!([(); 3].map(|()| look(&status)), [Remaining::Outputs; 3]);
        // One that does not run hands out nothing.
        status.running = false;
        assert_eq!([(); 2].map(|()| look(&status)), [Remaining::Outputs, Remaining::Nothing]);
    }

    #[test]
    fn what_waits_when_it_is_asked_to_stop_goes_through_all_machines() {
        let found = looks(
            true,
            [
                // The second one has handed on one of three, and the first one is through with it.
                [machine(1, 1), fed(machine(3, 1))],
                // And now all.
                [machine(1, 1), machine(3, 3)],
                [machine(3, 1), machine(3, 3)],
                // A thread that does not notice goes on.
                [machine(9, 3), machine(7, 5)],
            ],
        );
        assert_eq!(found, [Remaining::Messages, Remaining::Outputs, Remaining::Messages, Remaining::Nothing]);
    }

    #[test]
    fn a_thread_that_goes_on_putting_holds_no_process_that_was_asked_to_stop() {
        let found = looks(true, [[machine(0, 0), machine(5, 3)], [machine(0, 0), machine(9, 5)]]);
        assert_eq!(found, [Remaining::Messages, Remaining::Messages]);
        let found = looks(
            true,
            [[machine(2, 0), machine(5, 5)], [machine(3, 2), machine(9, 8)], [machine(4, 3), machine(15, 9)]],
        );
        assert_eq!(found, [Remaining::Messages, Remaining::Messages, Remaining::Nothing]);
    }

    #[test]
    fn machines_in_a_circle_end_once_they_are_idle() {
        let mut ending = QuiescenceDetector::default();
        let mut look = |all: [Seen; 2]| ending.look(&all, true, |from, to| from != to);
        assert_eq!(look([machine(2, 1), machine(1, 1)]), Remaining::Messages);
        assert_eq!(look([machine(2, 2), machine(2, 2)]), Remaining::Outputs);
        assert_eq!(look([machine(2, 2), machine(2, 2)]), Remaining::Nothing);
    }

    #[test]
    fn a_machine_that_does_not_run_is_not_waited_for() {
        let held = |accepted| Seen { running: false, ..machine(accepted, 1) };
        let found = looks(false, [[held(2), machine(1, 1)], [held(3), machine(1, 1)]]);
        assert_eq!(found, [Remaining::Outputs, Remaining::Nothing]);
    }
}
