//! The calls that a frame is laid out for, and what has to be done before each.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::convert::{Unmade, convert, read};
use super::{Events, Location, SlotErrorKind};
use crate::core::types::Conversion;
use machine::abi::{self, ByteWriter, Outcome};
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// Never present: a slot with this need takes the longer way.
pub(super) const PREPARE: u64 = 1 << 63;

/// What has to be done before a slot is called.
#[derive(Debug)]
pub(super) enum Prepare {
    /// The argument is null if the output is missing.
    Optional { arg: usize, from: Location },
    /// The argument is an `Option` as it was given, also a `None`.
    Whole { arg: usize, from: Location },
    /// The argument is made from a value of another type. `null` is none where one is `optional`.
    Convert { arg: usize, from: Location, to: Location, conversion: Conversion, optional: bool, what: String },
    /// The argument is an `Option` that is made from one of another type, also from a `None`.
    ConvertWhole { arg: usize, from: Location, to: Location, conversion: Conversion, what: String },
    /// The argument can never be made.
    Never { from: Location, why: String },
}

/// Why a slot is not called.
enum Uncalled {
    /// It needs an output that is missing.
    Skipped,
    /// An argument cannot be made.
    Failed(String),
    /// What an argument is made from cannot be written: that is an error of where it comes from.
    Unwritten(u64, String),
}

#[derive(Debug)]
pub(super) struct Step {
    pub call: unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, *mut ByteWriter) -> Outcome,
    /// Instead of `call`, for an async function.
    pub begin: Option<unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, abi::AsyncCall)>,
    pub state: *const u8,
    pub args: *const *const u8,
    pub out: *mut u8,
    /// The outputs without which the slot is skipped; with `PREPARE` if it takes arguments that have to be made.
    pub needs: u64,
    pub bit: u64,
    pub slot: usize,
    pub prepare: Range<usize>,
}

fn uncalled(unmade: Unmade, from: Location, what: &str) -> Uncalled {
    match unmade {
        Unmade::Unwritten(why) => Uncalled::Unwritten(from.bit, why),
        Unmade::Null(why) | Unmade::Unfit(why) => Uncalled::Failed(format!("{what}, and it does not convert: {why}")),
    }
}

/// Stands for the call of an async function, which is begun instead.
pub(super) unsafe extern "C" fn never(_: *const u8, _: *const *const u8, _: *mut u8, _: *mut ByteWriter) -> Outcome {
    Outcome::Failed
}

/// The argument pointers of all slots, and how those come about that are not the same for each message.
#[derive(Debug)]
pub(super) struct Preparation {
    pub prepares: Rc<[Prepare]>,
    /// `Step::args` points into it: shared, for its own owner would be alone with it wherever it goes.
    pub args: Rc<[Cell<*const u8>]>,
    /// Converted arguments of this message that have to be dropped.
    pub made: Vec<Location>,
}

impl Preparation {
    /// Makes the arguments of a slot that are not simply there; false if it cannot be called.
    pub(super) fn run(&mut self, step: &Step, present: u64, nones: u64, events: &mut impl Events) -> bool {
        let needs = step.needs & !PREPARE;
        if present & needs != needs {
            events.skipped(step.slot);
            return false;
        }
        match self.make(step.prepare.clone(), present, nones) {
            Ok(()) => return true,
            Err(Uncalled::Skipped) => events.skipped(step.slot),
            Err(Uncalled::Failed(why)) => events.error(step.slot, SlotErrorKind::Type, why),
            Err(Uncalled::Unwritten(bit, why)) => match bit.trailing_zeros().checked_sub(1) {
                Some(giver) => {
                    events.error(giver as usize, SlotErrorKind::Serialize, why);
                    events.skipped(step.slot);
                }
                // The message itself: no slot's.
                None => events.error(step.slot, SlotErrorKind::Type, why),
            },
        }
        false
    }

    fn make(&mut self, range: Range<usize>, present: u64, nones: u64) -> Result<(), Uncalled> {
        for prepare in self.prepares.clone().get(range).unwrap_or_default() {
            match prepare {
                Prepare::Never { from, why } => {
                    if present & from.bit != 0 {
                        return Err(Uncalled::Failed(why.clone()));
                    }
                }
                Prepare::Whole { arg, from } => {
                    if (present | nones) & from.bit == 0 {
                        return Err(Uncalled::Skipped);
                    }
                    // A `None` stays where it was written: it is no output, but it is there.
                    self.point(*arg, from.at);
                }
                Prepare::ConvertWhole { arg, from, to, conversion, what } => {
                    let made = if present & from.bit != 0 {
                        // SAFETY: `from` is live (its bit is set), `to` is empty.
                        unsafe { convert(*from, *to, *conversion) }
                    } else if nones & from.bit != 0 {
                        // SAFETY: `to` is empty.
                        unsafe { read("null", *to) }.map(|()| None)
                    } else {
                        return Err(Uncalled::Skipped);
                    };
                    let made = made.map_err(|unmade| uncalled(unmade, *from, what))?;
                    let pointer = self.note(made, *to);
                    self.point(*arg, pointer);
                }
                Prepare::Optional { arg, from } => {
                    let there = present & from.bit != 0;
                    self.point(*arg, if there { from.at } else { std::ptr::null() });
                }
                Prepare::Convert { arg, from, to, conversion, optional, what } => {
                    let pointer = if present & from.bit == 0 {
                        std::ptr::null()
                    } else {
                        // SAFETY: `from` is live (its bit is set), `to` is empty.
                        match unsafe { convert(*from, *to, *conversion) } {
                            Ok(made) => self.note(made, *to),
                            Err(Unmade::Null(_)) if *optional => std::ptr::null(),
                            Err(unmade) => return Err(uncalled(unmade, *from, what)),
                        }
                    };
                    self.point(*arg, pointer);
                }
            }
        }
        Ok(())
    }

    /// Where an argument is that was made, or was there.
    fn note(&mut self, found: Option<*const u8>, to: Location) -> *const u8 {
        if found.is_none() && to.info.desc.drop.is_some() {
            self.made.push(to);
        }
        found.unwrap_or(to.at)
    }

    fn point(&self, arg: usize, to: *const u8) {
        if let Some(pointer) = self.args.get(arg) {
            pointer.set(to);
        }
    }
}
