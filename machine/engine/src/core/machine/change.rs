//! Changes between two messages: of slots, of their settings, of who gets the outputs.

use super::{Machine, guard};
use crate::core::command_error::{failed, no_such_slot};
use crate::core::hook::InSlot;
use crate::core::slots::{Function, Plan};
use machine::abi::{CANCELLED, SlotDesc};
use machine_protocol::command::{Reply, Setting, SourceLocation};
use machine_protocol::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many revisions of code are known of a machine: of older ones only the number is.
const MOST_CODES: usize = 1_000;
impl Machine {
    /// Puts a function in a slot.
    pub fn assign(&self, slot: usize, desc: SlotDesc, origin: SourceLocation) -> Reply {
        // Made first: whatever happens next, the closure has an owner.
        let function = Arc::new(Function::new(desc, origin));
        if let Some(nested) = function.nested_option() {
            let message = format!(
                "f{slot} cannot have {nested}: None is a missing output, so an Option in an Option is ambiguous; \
                 flatten it"
            );
            return Reply::Failed(failed(ErrorKind::NestedOption, message));
        }
        match self.change(slot, Some(function)) {
            Ok(None) => Reply::Done,
            Ok(Some(warning)) => Reply::Warned(warning),
            Err(failure) => Reply::Failed(failure),
        }
    }

    /// Changes a slot between two messages; returns what the user should know.
    pub fn change(&self, slot: usize, function: Option<Arc<Function>>) -> Result<Option<String>, Error> {
        let (old, plan);
        {
            let mut current = guard(&self.plan);
            let mut next = Plan::clone(&current);
            let Some(place) = next.slots.get_mut(slot) else {
                return Err(no_such_slot(slot, self.config.slots, &self.config.name));
            };
            if let Some(function) = &function
                && function.params.len() > slot + 1
            {
                let (takes, there) = (function.params.len(), slot + 1);
                let names: Vec<String> = (0..slot).rev().map(|f| format!("f{f}")).collect();
                let message = if names.is_empty() {
                    format!("f{slot} has {takes} parameters, but only 1 value is available: the message")
                } else {
                    let names = names.join(", ");
                    format!(
                        "f{slot} has {takes} parameters, but only {there} values are available: {names} and the message"
                    )
                };
                return Err(failed(ErrorKind::TooManyArguments, message));
            }
            let clears = function.is_none() && place.function.is_none();
            if clears {
                return Ok(None);
            }
            if let Some(function) = &function {
                self.note_code(slot, place.revision + 1, &function.origin);
            }
            place.function = function;
            place.revision += 1;
            next.unwritten &= !(1 << slot);
            next.changed();
            let version = next.version;
            plan = Arc::new(next);
            old = std::mem::replace(&mut *current, plan.clone());
            // Release: pairs with the Acquire of the workers.
            self.version.store(version, Ordering::Release);
            self.note_use(&current);
        }
        // Workers that sleep let go of the old slots too.
        self.queue.wake_all();
        self.flights.cancel_callers_in(slot, plan.version);
        // The old closure may be dropped here, and types of the user's are asked what they read: user code, so not under
        // the lock.
        let _in_slot = InSlot::enter();
        drop(old);
        // Told, not refused: a user who changes two slots that belong together has to begin with one of them.
        let unfit: Vec<String> = (slot..plan.slots.len()).filter_map(|slot| plan.mismatch(slot)).collect();
        drop(plan);
        Ok((!unfit.is_empty())
            .then(|| format!("{}; every message fails there until one of them changes", unfit.join("; "))))
    }

    /// Changes how functions are run in a slot.
    pub fn set(&self, slot: usize, setting: Setting) -> Result<(), Error> {
        let (old, gate);
        let mut timeout_set = None;
        {
            let mut current = guard(&self.plan);
            let mut next = Plan::clone(&current);
            let Some(place) = next.slots.get_mut(slot) else {
                return Err(no_such_slot(slot, self.config.slots, &self.config.name));
            };
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            match setting {
                Setting::Timeout(timeout) => {
                    // The largest number means something else, and is as good as the one before it.
                    let nanos = nanos(timeout).min(CANCELLED - 1);
                    place.settings.timeout_ns = nanos;
                    place.timeout.store(nanos, Ordering::Relaxed);
                    timeout_set = Some(place.timeout.clone());
                }
                Setting::Retry { times, backoff } => {
                    place.settings.retries = times;
                    place.settings.backoff_ns = if times == 0 { 0 } else { nanos(backoff) };
                }
                Setting::Concurrency(most) => {
                    place.settings.concurrency = most as u64;
                    place.gate.get_or_insert_default();
                }
                other => return Err(failed(ErrorKind::UnknownSetting, format!("this engine does not know {other:?}"))),
            }
            gate = place.gate.clone();
            next.changed();
            let version = next.version;
            old = std::mem::replace(&mut *current, Arc::new(next));
            // Release: as in `change`.
            self.version.store(version, Ordering::Release);
        }
        if let Some(gate) = gate {
            gate.set_limit(|| guard(&self.plan).slots.get(slot).map_or(0, |slot| slot.settings.concurrency));
        }
        if let Some(timeout) = timeout_set {
            self.flights.set_timeout(slot, &timeout);
        }
        self.queue.wake_all();
        let _in_slot = InSlot::enter();
        drop(old);
        Ok(())
    }

    /// Changes who gets the outputs, between two messages.
    pub fn edit_plan(&self, edit: impl FnOnce(&mut Plan)) {
        let mut current = guard(&self.plan);
        let mut next = Plan::clone(&current);
        edit(&mut next);
        next.changed();
        let version = next.version;
        let old = std::mem::replace(&mut *current, Arc::new(next));
        // Release: pairs with the Acquire of the workers.
        self.version.store(version, Ordering::Release);
        self.note_use(&current);
        drop(current);
        self.queue.wake_all();
        // As in `change`.
        let _in_slot = InSlot::enter();
        drop(old);
    }

    /// Keeps the code of a revision.
    fn note_code(&self, slot: usize, revision: u64, origin: &SourceLocation) {
        let mut codes = guard(&self.codes);
        codes.insert((slot, revision), origin.clone());
        while codes.len() > MOST_CODES {
            // The oldest of the slot that was assigned most often.
            let oldest = codes.keys().find(|(of, _)| *of == slot).copied();
            let Some(oldest) = oldest else { return };
            codes.remove(&oldest);
        }
    }

    /// The code of a revision, as far as it is known.
    pub fn code_of(&self, slot: usize, revision: u64) -> SourceLocation {
        guard(&self.codes).get(&(slot, revision)).cloned().unwrap_or_default()
    }
}
