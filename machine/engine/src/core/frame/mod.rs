//! One message on its way through the slots.
//!
//! A frame is laid out once for a plan and a type of message: a place for the message, one for each output, one for
//! each converted argument, and the argument pointers of each slot. So a message costs no allocation and no lookup
//! here: the slots are called one after the other with pointers that never change.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

mod convert;
mod events;
mod layout;
mod step;
mod stepwise;
mod values;

pub(crate) use events::{Events, SlotErrorKind};
pub(crate) use values::{Values, View};

use crate::core::hook;
use crate::core::raw::{self, InPlace, drop_value};
use crate::core::slots::{From, Plan};
use crate::core::types::TypeInfo;
use machine::abi::{ByteWriter, Outcome};
use std::alloc::Layout;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step::{Preparation, Step};
use values::FieldPath;

/// Where a value is, and whether it is there.
#[derive(Clone, Copy, Debug)]
struct Location {
    at: *mut u8,
    info: &'static TypeInfo,
    /// Set in `present` while there is a value.
    bit: u64,
}

/// A slot has no output for this message.
#[cold]
fn failed(slot: usize, outcome: Outcome, text: &mut Vec<u8>, events: &mut impl Events) {
    if outcome == Outcome::Panicked {
        events.error(slot, SlotErrorKind::Panic, hook::take_panic());
    } else {
        events.error(slot, SlotErrorKind::Error, String::from_utf8_lossy(text).into_owned());
    }
    text.clear();
}

/// One message on its way through the slots of one plan.
#[derive(Debug)]
pub(crate) struct Frame {
    plan: Arc<Plan>,
    pub input: &'static TypeInfo,
    input_place: Location,
    outputs: Vec<Option<Location>>,
    /// The message and what each slot gives, as a reader of a finished message sees it.
    spots: Arc<[FieldPath]>,
    steps: Vec<Step>,
    preparation: Preparation,
    /// Where a slot writes an error's text.
    text: Vec<u8>,
    /// Outputs with a destructor.
    drops: Vec<Location>,
    /// Nothing of a message has a destructor.
    plain: bool,
    /// No argument has to be made: each is the message, or the output of a slot before.
    straight: bool,
    /// Bit 0: the message; bit i + 1: the output of slot i.
    present: u64,
    /// The same for what is `None`: it is not present, and has nothing to drop.
    nones: u64,
    /// `present` of a message for which all slots gave something.
    whole: u64,
    /// How long each slot took, of the last message that was timed.
    nanos: Vec<u64>,
    memory: *mut u8,
    layout: Layout,
}

// SAFETY: what it points at is its own memory and the plan's closures, which are `Send + Sync`; the values are `Send`; the
// `Rc` of the argument pointers has no other owner.
unsafe impl Send for Frame {}

const INPUT: u64 = 1;

impl Frame {
    /// The slots that this frame is laid out for.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a message in. Its type is the frame's.
    #[inline]
    pub fn load(&mut self, message: InPlace<'_>) {
        debug_assert!(self.present == 0 && std::ptr::eq(message.desc(), self.input.desc));
        // SAFETY: the place was laid out for this type, and is empty.
        unsafe { message.give(self.input_place.at) };
        self.present = INPUT;
    }

    /// Calls the slots, one after the other; `TIMED`, measures each. Returns whether all gave an output. Not for a plan
    /// with async slots.
    #[inline]
    pub fn run<const TIMED: bool>(&mut self, events: &mut impl Events) -> bool {
        let mut sink = ByteWriter::new(&mut self.text);
        if !TIMED && self.straight {
            for (at, step) in self.steps.iter().enumerate() {
                // SAFETY: as in `run_from`; all arguments are there: those of a straight frame are the message, and
                // outputs of the slots before, which have all given one.
                let outcome = unsafe { (step.call)(step.state, step.args, step.out, &raw mut sink) };
                if outcome != Outcome::Done {
                    self.fail(at, outcome, events);
                    return self.run_from::<TIMED>(at + 1, events);
                }
            }
            self.present = self.whole;
            return true;
        }
        self.begin_message();
        self.run_from::<TIMED>(0, events)
    }

    /// A message that is `None` is not present.
    fn begin_message(&mut self) {
        let Some(payload) = self.input.desc.payload.filter(|_| self.input.is_option && self.present & INPUT != 0)
        else {
            return;
        };
        // SAFETY: the message is there, and of this type.
        if unsafe { payload(self.input_place.at) }.at.is_null() {
            self.present &= !INPUT;
            self.nones |= INPUT;
        }
    }

    /// A step has no output, and those before it have.
    #[cold]
    fn fail(&mut self, at: usize, outcome: Outcome, events: &mut impl Events) {
        self.present = self.steps.iter().take(at).fold(self.present, |present, step| present | step.bit);
        if let Some(step) = self.steps.get(at) {
            if outcome == Outcome::Nothing {
                self.nones |= step.bit;
            } else {
                failed(step.slot, outcome, &mut self.text, events);
            }
        }
    }

    /// Calls the slots from a step on, as far as what they need is there. Returns whether nothing is missing.
    fn run_from<const TIMED: bool>(&mut self, first: usize, events: &mut impl Events) -> bool {
        let mut sink = ByteWriter::new(&mut self.text);
        let mut present = self.present;
        let mut before = TIMED.then(Instant::now);
        for step in self.steps.iter().skip(first) {
            if present & step.needs == step.needs || self.preparation.run(step, present, self.nones, events) {
                // SAFETY: the arguments point at live values of the types in the slot's descriptor (laid out so in
                // `new`, present as checked above, or made by `prepare`); `out` is an empty place for its output; the
                // closure lives as long as the plan.
                let outcome = unsafe { (step.call)(step.state, step.args, step.out, &raw mut sink) };
                if outcome == Outcome::Done {
                    present |= step.bit;
                } else if outcome == Outcome::Nothing {
                    self.nones |= step.bit;
                } else {
                    failed(step.slot, outcome, &mut self.text, events);
                    sink = ByteWriter::new(&mut self.text);
                }
            }
            if let Some(before) = &mut before {
                let after = Instant::now();
                let nanos = u64::try_from(after.duration_since(*before).as_nanos()).unwrap_or(u64::MAX);
                *before = after;
                if let (Some(function), Some(noted)) = (self.plan.function(step.slot), self.nanos.get_mut(step.slot)) {
                    function.times.add(nanos);
                    *noted = nanos;
                }
            }
        }
        self.present = present;
        present == self.whole
    }

    /// Notes how long one call of a slot took.
    pub fn note(&mut self, slot: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let (Some(function), Some(noted)) = (self.plan.function(slot), self.nanos.get_mut(slot)) {
            function.times.add(nanos);
            *noted = nanos;
        }
    }

    /// How long a slot took, nanoseconds, of the last message that was timed.
    pub fn nanos(&self, slot: usize) -> u64 {
        self.nanos.get(slot).copied().unwrap_or(0)
    }

    /// How long each slot took, nanoseconds, of the last message that was timed.
    pub fn all_nanos(&self) -> &[u64] {
        &self.nanos
    }

    fn place(&self, from: From) -> Option<Location> {
        let place = match from {
            From::Input => Some(self.input_place),
            From::Slot(slot) => self.outputs.get(slot).copied().flatten(),
        };
        place.filter(|place| self.present & place.bit != 0)
    }

    /// Whether a value of this message is there.
    pub fn is_present(&self, from: From) -> bool {
        self.place(from).is_some()
    }

    fn bit(&self, from: From) -> u64 {
        match from {
            From::Input => INPUT,
            From::Slot(slot) => self.outputs.get(slot).copied().flatten().map_or(0, |place| place.bit),
        }
    }

    /// Whether a value of this message is `None`.
    pub fn is_none(&self, from: From) -> bool {
        self.nones & self.bit(from) != 0
    }

    /// Whether a slot gave `None` for this message, or it is that itself.
    #[inline]
    pub fn has_none(&self) -> bool {
        self.nones != 0
    }

    /// The slots that gave `None`.
    pub fn slots_without_output(&self) -> impl Iterator<Item = usize> {
        let nones = self.nones >> 1;
        (0..self.outputs.len()).filter(move |slot| nones & (1 << slot) != 0)
    }

    /// A value of this message as JSON text; `null` for a `None`, and `None` if it is missing otherwise.
    pub fn json(&self, from: From) -> Option<Result<String, String>> {
        if self.is_none(from) {
            return Some(Ok("null".to_owned()));
        }
        // SAFETY: the value is live.
        self.place(from).map(|place| unsafe { raw::json(place.info.desc, place.at) })
    }

    /// The message and its outputs.
    pub fn view(&mut self) -> View<'_> {
        View::new(self.memory, &mut self.present, self.nones, &self.spots)
    }

    /// Moves the message and its outputs out.
    pub fn take(&mut self) -> Values {
        self.drop_made();
        let present = std::mem::take(&mut self.present);
        // SAFETY: the values are moved: nothing is present any more.
        unsafe { Values::take(self.memory, self.layout, (present, self.nones), self.spots.clone()) }
    }

    /// Moves the message to another frame for the same type, which is empty. The outputs stay.
    pub fn move_input(&mut self, to: &mut Self) {
        debug_assert!(to.present == 0 && std::ptr::eq(to.input.desc, self.input.desc));
        if (self.present | self.nones) & INPUT == 0 {
            return;
        }
        self.present &= !INPUT;
        self.nones &= !INPUT;
        // SAFETY: the message is there, also if it is `None`; both places were laid out for its type, and it is not used here again.
        unsafe { std::ptr::copy_nonoverlapping(self.input_place.at, to.input_place.at, self.input.desc.size) };
        to.present = INPUT;
    }

    fn drop_made(&mut self) {
        for place in self.preparation.made.drain(..) {
            // SAFETY: made for this message, dropped once.
            unsafe { drop_value(place.info.desc, place.at) };
        }
    }

    /// Drops what the message left behind.
    #[inline]
    pub fn clear(&mut self) {
        self.nones = 0;
        if self.plain {
            self.present = 0;
            return;
        }
        self.drop_made();
        for place in &self.drops {
            if self.present & place.bit != 0 {
                // SAFETY: the value is live, and all bits are cleared below.
                unsafe { drop_value(place.info.desc, place.at) };
            }
        }
        if self.present & INPUT != 0 && self.input.desc.drop.is_some() {
            // SAFETY: as above.
            unsafe { drop_value(self.input.desc, self.input_place.at) };
        }
        self.present = 0;
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.memory, self.layout) };
    }
}
