//! What a machine tells of itself.

use super::{Machine, RATE_WINDOW, guard};
use crate::core::oid::{self, Oid};
use crate::core::output::Sequence;
use crate::core::queue::{Mode, WorkerStats};
use crate::core::slots::Plan;
use machine_protocol::status::SourceState;
use machine_protocol::status::{Drops, SlotStatus, SourceStatus, State, Status};
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Machine {
    /// Notes how many messages are processed, for the rate.
    pub fn tick(&self, now: Instant) {
        let done = self.queue.done();
        let mut recent = guard(&self.recent);
        while recent.front().is_some_and(|(then, _)| now.duration_since(*then) > RATE_WINDOW) {
            recent.pop_front();
        }
        recent.push_back((now, done));
    }

    /// The state now.
    pub fn status(&self) -> Status {
        let plan = self.plan();
        let (reordered, out_of_order) = self.sequence.as_ref().map_or((0, 0), Sequence::counts);
        // The source before all counts: what it has put before its end is among the messages then.
        let feed = guard(&self.source).clone();
        let mut source = feed
            .as_ref()
            .map_or_else(|| SourceStatus { state: SourceState::None, ..SourceStatus::default() }, |feed| feed.status());
        let waiting_for_slot = self.waits_for_slot() && feed.as_ref().is_some_and(|feed| feed.is_running());
        if waiting_for_slot {
            source.state = SourceState::Waiting;
            "waiting for a slot; %start --empty to run without".clone_into(&mut source.note);
        }
        source.dropped = self.source_dropped.load(Ordering::Relaxed);
        // Downstream first: what failed is done, what is done was begun, what was begun was accepted; each Acquire
        // pairs with a Release of the worker, so a later reading is never smaller than it was then.
        let progress = self.queue.progress();
        let errored = progress.iter().map(|p| p.errored.load(Ordering::Acquire)).sum();
        let missed: Vec<_> =
            (0..plan.slots.len()).map(|slot| plan.function(slot).map(|f| f.missed(progress.len()))).collect();
        let flown: Vec<_> =
            (0..plan.slots.len()).map(|slot| plan.function(slot).map(|f| f.flown(progress.len()))).collect();
        let straight: Vec<u64> = progress.iter().map(WorkerStats::straight).collect();
        let processed = self.queue.done();
        let given_up = self.queue.given_up.load(Ordering::Acquire);
        let begun = self.queue.begun();
        let discarded = self.queue.discarded.load(Ordering::Acquire);
        // What was accepted while the others were read may have taken places that they do not know to be free: as many
        // were accepted a moment ago as there were places.
        let accepted = self.queue.accepted().min(begun + discarded + self.config.queue as u64);
        let refused = self.queue.refused.load(Ordering::Relaxed);
        let (mode, workers) = {
            let control = self.queue.control();
            (control.mode, control.wanted as u64)
        };
        let oldest = self.queue.dropped_oldest.load(Ordering::Relaxed).min(discarded);
        let newest = self.queue.dropped_newest.load(Ordering::Relaxed);
        let last = progress.iter().map(|p| (p.last_millis.load(Ordering::Relaxed), p.last_oid.load(Ordering::Relaxed)));
        let (last_millis, last_oid) = last.max().unwrap_or_default();
        if let Some(feed) = feed {
            // After all counts: what was processed was taken.
            source.taken = feed.taken();
        }
        let letters = self.letters();
        let (lines, kept, dropped) = (letters.lines(10), letters.len() as u64, letters.dropped);
        let (retried, retried_passed) = (letters.retried, letters.passed);
        drop(letters);
        let slots = missed.into_iter().zip(flown).enumerate();
        let slots = slots
            .map(|(slot, (missed, flown))| {
                slot_status(&plan, slot, missed.unwrap_or_default(), flown.unwrap_or_default(), &straight)
            })
            .collect();
        Status {
            machine: self.config.name.clone(),
            running: mode == Mode::Running,
            state: match mode {
                Mode::Running => State::Running,
                Mode::Paused => State::Paused,
                Mode::Stopped => State::Stopped,
            },
            last_oid: if last_oid == 0 { String::new() } else { self.unpack(last_oid).to_string() },
            last_processed_time: if last_millis == 0 {
                String::new()
            } else {
                oid::rfc3339(last_millis, chrono::SecondsFormat::Millis)
            },
            processed,
            errored,
            queue_size: accepted.saturating_sub(discarded + begun),
            queue_capacity: self.config.queue as u64,
            accepted,
            refused,
            discarded: discarded + given_up,
            drops: Drops { cleared: discarded - oldest, oldest, newest, in_flight: given_up },
            policy: self.queue.policy(),
            in_flight: begun.saturating_sub(processed + given_up),
            rate: self.rate(processed),
            workers,
            load: guard(&self.load).load(),
            waiting_puts: self.queue.waiting_puts(),
            source,
            waiting_for_slot,
            slots,
            errors: lines,
            outputs: self.sinks(),
            in_hand: self.held.line(),
            dead_letters: kept,
            dead_letters_dropped: dropped,
            retried,
            retried_passed,
            reordered,
            out_of_order,
        }
    }

    /// The oid of a message of this machine, whose time and counter are noted in one number.
    fn unpack(&self, oid: u64) -> Oid {
        let half = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap_or_default();
        Oid { seconds: half(oid >> 32), machine: self.number.get(), counter: half(oid) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    fn rate(&self, processed: u64) -> f64 {
        let recent = guard(&self.recent);
        let now = Instant::now();
        let first = recent.iter().find(|(then, _)| now.duration_since(*then) <= RATE_WINDOW);
        first.map_or(0.0, |(then, before)| {
            let seconds = now.duration_since(*then).as_secs_f64();
            if seconds < 0.05 { 0.0 } else { processed.saturating_sub(*before) as f64 / seconds }
        })
    }
}

fn slot_status(
    plan: &Plan,
    slot: usize,
    [errored, skipped, none]: [u64; 3],
    (flown, retried): (u64, u64),
    straight: &[u64],
) -> SlotStatus {
    let (revision, settings) = plan.slots.get(slot).map(|slot| (slot.revision, slot.settings)).unwrap_or_default();
    let name = format!("f{slot}");
    let Some(function) = plan.function(slot) else {
        return SlotStatus { slot: name, revision, settings, ..SlotStatus::default() };
    };
    let ok = (function.reached(straight) + flown).saturating_sub(errored + skipped + none);
    let [p50_ns, p99_ns] = function.times.percentiles([0.5, 0.99]);
    let code = if function.origin.code.is_empty() { &function.origin.place } else { &function.origin.code };
    SlotStatus {
        slot: name,
        revision,
        code: code.clone(),
        cell: function.origin.cell,
        takes: function.params.iter().map(|param| param.name.clone()).collect(),
        gives: function.output.name.clone(),
        ok,
        errored,
        skipped,
        none,
        p50_ns,
        p99_ns,
        max_ns: function.times.max(),
        durations: function.times.doublings(),
        timed_ns: function.times.sum(),
        mismatch: plan.mismatch(slot).unwrap_or_default(),
        is_async: function.is_async(),
        settings,
        retried,
    }
}
