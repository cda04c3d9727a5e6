//! A worker: a thread that takes messages through all slots.

use crate::core::deliver::{Completed, Delivery, Way};
use crate::core::execution::Execution;
use crate::core::frame::Frame;
use crate::core::hook::InSlot;
use crate::core::machine::Machine;
use crate::core::oid::{self, Moment, Oid};
use crate::core::output::{LAST, Times, Tokens};
use crate::core::queue::{CLAIM, Claim, Span};
use crate::core::raw::{InPlace, Message};
use crate::core::scheduler::Flying;
use crate::core::slot_errors::SlotErrors;
use crate::core::slots::Plan;
use crate::core::{backpressure, types};
use machine::abi::TypeDesc;
use machine_protocol::retention::Keep;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

/// A message that takes longer than this is claimed alone, so that it keeps no other from a free worker.
pub(crate) const SLOW: Duration = Duration::from_micros(50);
/// A claim that takes longer than this has a slow message in it.
const SLOW_CLAIM_MILLIS: u64 = 8;
/// Frames kept for different types of message.
const FRAMES: usize = 4;

pub(crate) struct Worker {
    pub(crate) machine: &'static Machine,
    /// The machine's number in oids.
    origin: u32,
    /// The worker's place in all tallies.
    pub(crate) index: usize,
    pub(crate) plan: Arc<Plan>,
    pub(crate) frames: Vec<Frame>,
    /// What it does with messages that fly.
    pub(crate) flying: Flying,
    pub(crate) caught: SlotErrors,
    /// The number of the message that was loaded last.
    pub(crate) number: u64,
    /// When it was put.
    pub(crate) put: Moment,
    pub(crate) delivery: Delivery,
    /// What it may keep of what goes through.
    pub(crate) tokens: Tokens,
    /// Counts down to the next message that is timed.
    untimed: u32,
    /// How many messages are claimed at once.
    pub(crate) most: usize,
}

/// Takes messages until the machine is stopped.
pub(crate) fn run(machine: &'static Machine, index: usize) {
    let Some(progress) = machine.queue().progress_of(index) else { return };
    let _in_slot = InSlot::enter();
    backpressure::register(progress);
    let plan = machine.plan();
    let mut worker = Worker {
        machine,
        origin: machine.number(),
        index,
        plan,
        frames: Vec::new(),
        flying: Flying::default(),
        caught: SlotErrors::default(),
        number: 0,
        put: Moment::default(),
        delivery: Delivery::new(machine, index, progress),
        tokens: Tokens::new(oid::coarse_millis()),
        untimed: 0,
        most: 1,
    };
    worker.adopt(worker.plan.clone());
    let mut before = oid::coarse_millis();
    loop {
        let version = worker.plan.version;
        let stale = || machine.plan_version() != version;
        if machine.in_flight().is_waiting() {
            worker.poll_ready();
        }
        let claim = match worker.most_to_claim(stale) {
            Some(most) => machine.queue().claim(most, || stale() || machine.in_flight().is_waiting()),
            None => Claim::Nothing,
        };
        if matches!(claim, Claim::Nothing) {
            if !(machine.queue().is_paused() || stale()) {
                // A flight is ready.
                continue;
            }
            // Plan and frames keep the slots' closures alive; a resting worker holds none.
            worker.adopt(Arc::new(Plan::new(0, false)));
            if machine.queue().is_paused() && !machine.queue().park(index) {
                return;
            }
            worker.adopt(machine.plan());
            continue;
        }
        let several = claim.len() > 1;
        if several {
            progress.claim(claim.len());
        }
        if worker.plan.has_async_slots {
            worker.take_off_all(claim);
            continue;
        }
        let took_any = match claim {
            Claim::Nothing => false,
            Claim::Ring(claimed) => worker.take_all(claimed),
            Claim::Returned(messages) => worker.take_all(messages),
        };
        if !took_any {
            continue;
        }
        let now = oid::coarse_millis();
        if several && now.saturating_sub(before) > SLOW_CLAIM_MILLIS {
            // It may be the wait for the first of them that took so long; the next message tells, it is timed.
            worker.most = 1;
            worker.untimed = 0;
        }
        if now != before {
            worker.tokens.refill(now);
        }
        before = now;
        progress.note_last(worker.oid(), now);
    }
}

impl Worker {
    /// Takes what was claimed. Gives back the rest if the queue is held, or if there is another plan: its messages may
    /// have been discarded, or may fly then, and need a place each, for which nobody has looked. Returns whether it took
    /// any.
    fn take_all(&mut self, mut claim: impl Span) -> bool {
        let mut took_any = false;
        // How many have been put in all; looked for once, since those who put write there.
        let mut put = None;
        while claim.len() > 0 {
            if self.look_for_changes() || self.machine.queue().is_paused() {
                self.give_back(claim);
                break;
            }
            let Some(frame) = claim.next_in_place(|message| self.load(message)) else { break };
            took_any = true;
            let behind = || match claim.len() {
                many @ LAST.. => many,
                _ => put.get_or_insert_with(|| self.machine.queue().accepted()).saturating_sub(self.number + 1),
            };
            let sample = self.tokens.allow(behind);
            self.run(frame, sample);
        }
        took_any
    }

    /// From here on messages see the slots that there are now. Returns whether those are others.
    #[inline]
    pub(crate) fn look_for_changes(&mut self) -> bool {
        // Acquire: pairs with the Release in `Machine::change`, so the plan read below is that one or a later one.
        let is_stale = self.machine.plan_version() != self.plan.version;
        if is_stale {
            self.adopt(self.machine.plan());
        }
        is_stale
    }

    /// Gives back what it has not begun, or drops it, if it was discarded.
    #[cold]
    pub(crate) fn give_back(&self, claim: impl IntoIterator<Item = Message>) {
        let gone = self.machine.queue().give_back(self.delivery.progress, claim);
        if gone.is_empty() {
            return;
        }
        // As in a slot: a sink or a destructor may take long, and nobody who discards more waits for that.
        self.delivery.progress.enter();
        if let Some(sequence) = self.machine.sequence() {
            sequence.withdraw(gone.iter().map(|message| message.number));
            sequence.flush_withdrawn();
        }
        drop(gone);
        self.delivery.progress.leave();
    }

    /// Moves a message into a frame; its cell in the ring is free after this.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a fifth of what a message costs goes by in registers instead of calls")]
    pub(crate) fn load(&mut self, message: InPlace<'_>) -> usize {
        self.number = message.number();
        self.put = message.put();
        let begun = self.delivery.progress.begun.load(Relaxed);
        self.delivery.progress.begun.store(begun + 1, Release);
        let at = self.frame_for(message.desc());
        if let Some(frame) = self.frames.get_mut(at) {
            frame.load(message);
        }
        at
    }

    /// The name of the message that was loaded last.
    #[inline]
    pub(crate) fn oid(&self) -> Oid {
        oid::name(self.origin, self.put, self.number)
    }

    /// Takes the message in a frame straight through the slots.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn run(&mut self, at: usize, sample: bool) {
        if self.plan.hold_before.is_some() {
            return self.run_to_hold(at);
        }
        let Some(frame) = self.frames.get_mut(at) else { return };
        if sample || self.untimed == 0 {
            return self.run_timed(at, sample);
        }
        self.untimed -= 1;
        let is_fine = frame.run::<false>(&mut self.caught);
        if !is_fine {
            return self.finish(at, None);
        }
        let oid = oid::name(self.origin, self.put, self.number);
        let (number, plan) = (self.number, &self.plan);
        self.delivery.deliver(Completed { oid, number, plan, frame, errors: None, times: None, way: Way::Straight });
    }

    /// As `run`, and measures each slot; if it is a sample, the message is kept.
    #[cold]
    fn run_timed(&mut self, at: usize, sample: bool) {
        let Some(frame) = self.frames.get_mut(at) else { return };
        let begun_ms = if sample { oid::coarse_millis() } else { 0 };
        let before = Instant::now();
        frame.run::<true>(&mut self.caught);
        let took = before.elapsed();
        self.most = if took > SLOW { 1 } else { CLAIM };
        self.untimed = match took.as_nanos() {
            0..3_000 => 1023,
            3_000..20_000 => 127,
            20_000..100_000 => 15,
            _ => 0,
        };
        self.finish(at, sample.then_some(Times { put: self.put, begun_ms, is_timed: true }));
    }

    /// A message is through its slots, with errors or to be kept: its errors are counted, its sinks are given it, and with times it is kept.
    fn finish(&mut self, at: usize, times: Option<Times>) {
        let oid = self.oid();
        if !self.caught.is_empty() && self.machine.held().stops_at(&self.caught) {
            return self.stop_with(at, times.map_or(0, |times| times.begun_ms), None);
        }
        let Some(frame) = self.frames.get_mut(at) else { return };
        let (number, plan, errors) = (self.number, &self.plan, Some(&self.caught));
        let bytes = self.delivery.deliver(Completed { oid, number, plan, frame, errors, times, way: Way::Straight });
        if times.is_some() {
            self.tokens.pay(bytes);
        }
        self.caught.clear();
    }

    /// Takes a message through the slots, unless it is held before one.
    #[cold]
    fn run_to_hold(&mut self, at: usize) {
        let (Some(hold), Some(frame)) = (self.plan.hold_before.clone(), self.frames.get_mut(at)) else { return };
        let begun_ms = oid::coarse_millis();
        let step = frame.advance(0, Some(hold.slot()), &mut self.caught);
        if frame.is_held_by(&*hold) {
            return self.stop_with(at, begun_ms, Some(step));
        }
        frame.advance(step, None, &mut self.caught);
        if self.machine.held().stops_at(&self.caught) {
            return self.stop_with(at, begun_ms, None);
        }
        let mut frame = self.frames.remove(at);
        let caught = std::mem::take(&mut self.caught);
        let oid = self.oid();
        self.end(&mut frame, oid, &caught, Times { put: self.put, begun_ms, is_timed: true });
        self.frames.insert(at, frame);
    }

    /// The message stays in hand, with its errors, or before a step. If another one is in hand already, it goes its way.
    #[cold]
    fn stop_with(&mut self, at: usize, begun_ms: u64, before: Option<usize>) {
        let oid = self.oid();
        let (frame, caught) = (self.frames.remove(at), std::mem::take(&mut self.caught));
        let times = Times { put: self.put, begun_ms, is_timed: true };
        let Some(mut back) = self.machine.held().hold(
            self.machine.queue(),
            Execution::new(oid, frame, caught),
            self.number,
            times,
            before,
        ) else {
            return self.delivery.progress.leave();
        };
        if let Some(step) = before {
            back.frame.advance(step, None, &mut back.caught);
        }
        self.end(&mut back.frame, oid, &back.caught, times);
    }

    /// A message that went another way is through.
    fn end(&mut self, frame: &mut Frame, oid: Oid, caught: &SlotErrors, times: Times) {
        let (number, plan) = (self.number, frame.plan().clone());
        let (times, errors) = (self.sample(number, times), Some(caught));
        self.deliver(Completed { oid, number, plan: &plan, frame, errors, times, way: Way::Straight });
    }

    /// The times of a message, if it may be retained.
    pub(crate) fn sample(&mut self, number: u64, times: Times) -> Option<Times> {
        self.tokens.refill(oid::coarse_millis());
        self.tokens.allow(|| self.machine.queue().behind(number)).then_some(times)
    }

    /// Brings a message to its end, and pays for it if it is retained.
    pub(crate) fn deliver(&mut self, message: Completed<'_>) {
        let is_retained = message.times.is_some();
        let bytes = self.delivery.deliver(message);
        if is_retained {
            self.tokens.pay(bytes);
        }
    }

    /// The frame for this type of message.
    #[inline]
    fn frame_for(&mut self, desc: &'static TypeDesc) -> usize {
        let at = self.frames.iter().position(|frame| std::ptr::eq(frame.input.desc, desc));
        at.unwrap_or_else(|| self.lay_out(desc))
    }

    /// A frame for a type of message that has none.
    #[cold]
    fn lay_out(&mut self, desc: &'static TypeDesc) -> usize {
        if self.frames.len() == FRAMES {
            self.frames.remove(0);
        }
        self.frames.push(Frame::new(self.plan.clone(), types::info(desc)));
        self.frames.len() - 1
    }

    /// From here on messages see these slots.
    #[cold]
    fn adopt(&mut self, plan: Arc<Plan>) {
        plan.adopt(self.index, self.delivery.progress.straight());
        self.frames.clear();
        self.flying.clear();
        self.tokens.keep_all(plan.keep != Keep::Sample);
        self.plan = plan;
        self.untimed = 0;
    }
}
