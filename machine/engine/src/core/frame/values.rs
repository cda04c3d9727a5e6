//! The values of a message that is through its slots: looked at in its frame, or moved out of it.
//!
//! They are numbered as a call numbers them: 0 is the message, *i* + 1 what slot *i* gives. An empty slot gives what
//! the slot before it gave, so several numbers can mean one value.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use crate::core::raw::{self, Inlet, MOST_DIGITS, drop_value, write_number};
use crate::core::slots::From;
use crate::core::types::{Conversion, TypeInfo};
use machine::abi::{Kind, Put, PutWait};
use std::alloc::Layout;
use std::sync::Arc;

/// Where a value lies, relative to the beginning of its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldPath {
    pub offset: usize,
    pub info: &'static TypeInfo,
    /// Set while the value is there.
    pub bit: u64,
    /// Which value it is.
    pub from: From,
    /// It is the value of the spot before.
    pub repeats: bool,
    /// What kind of number lies here; none if it is something else, or repeats.
    pub number: Option<Kind>,
}

/// The message and its outputs, where they lie.
#[derive(Debug)]
pub(crate) struct View<'f> {
    memory: *mut u8,
    present: &'f mut u64,
    nones: u64,
    spots: &'f [FieldPath],
}

impl<'f> View<'f> {
    /// `memory` holds live values at all spots whose bits are set.
    pub(super) fn new(memory: *mut u8, present: &'f mut u64, nones: u64, spots: &'f [FieldPath]) -> Self {
        Self { memory, present, nones, spots }
    }

    /// How many values there can be: the message, and one for each slot.
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    /// Which value number `at` means.
    pub fn from(&self, at: usize) -> From {
        self.spots.get(at).map_or(From::Input, |spot| spot.from)
    }

    fn place(&self, at: usize) -> Option<(&FieldPath, *mut u8)> {
        let spot = self.spots.get(at).filter(|spot| *self.present & spot.bit != 0)?;
        // SAFETY: offsets lie within the memory.
        Some((spot, unsafe { self.memory.add(spot.offset) }))
    }

    /// A pointer to a value, if it is there and of this type.
    pub fn value(&self, at: usize, wanted: &TypeInfo) -> Option<*const u8> {
        let (spot, at) = self.place(at)?;
        match spot.info.becomes(wanted)? {
            Conversion::Same => Some(at),
            Conversion::Inside => {
                // SAFETY: the value is live.
                let inside = spot.info.desc.payload.map(|payload| unsafe { payload(at) });
                inside.filter(|inside| inside.id == wanted.id).map(|inside| inside.at)
            }
            Conversion::Number | Conversion::Json => None,
        }
    }

    /// Whether a value is there.
    pub fn is_present(&self, at: usize) -> bool {
        self.place(at).is_some()
    }

    /// Whether a value is `None`: it is not there, and nothing is wrong.
    pub fn is_none(&self, at: usize) -> bool {
        self.spots.get(at).is_some_and(|spot| self.nones & spot.bit != 0)
    }

    /// Whether it is the value of the number before.
    pub fn repeats(&self, at: usize) -> bool {
        self.spots.get(at).is_some_and(|spot| spot.repeats)
    }

    /// Whether writing a value can give nothing but the signs of a number.
    pub fn is_number(&self, at: usize) -> bool {
        self.spots.get(at).is_some_and(|spot| spot.info.kind.is_number())
    }

    /// Appends the numbers that lie next to each other from `first` on as JSON text, each with a comma after it, and notes
    /// where each is. Returns how many there are: all up to the first that is missing, repeats, or is something else.
    pub fn write_numbers(&self, first: usize, to: &mut Vec<u8>, parts: &mut [(usize, usize)]) -> usize {
        let (Some(spots), Some(parts)) = (self.spots.get(first..), parts.get_mut(first..)) else { return 0 };
        to.reserve(spots.len() * (MOST_DIGITS + 1));
        let (begin, mut end, mut count) = (to.as_mut_ptr(), to.len(), 0);
        for (spot, part) in spots.iter().zip(parts) {
            let Some(kind) = spot.number.filter(|_| *self.present & spot.bit != 0) else { break };
            // SAFETY: the value is live, and of this kind; there is room for all of them, and the commas.
            unsafe {
                let length = write_number(kind, self.memory.add(spot.offset), begin.add(end));
                *part = (end, end + length);
                end += length;
                begin.add(end).write(b',');
            }
            end += 1;
            count += 1;
        }
        // SAFETY: written up to here.
        unsafe { to.set_len(end) };
        count
    }

    /// Appends a value as JSON text, `null` for a `None`; `None` if it is missing otherwise. What cannot be written is told, and nothing appended.
    pub fn write_json(&self, at: usize, to: &mut Vec<u8>) -> Option<Result<(), String>> {
        if self.is_none(at) {
            to.extend_from_slice(b"null");
            return Some(Ok(()));
        }
        let (spot, at) = self.place(at)?;
        // SAFETY: the value is live.
        Some(unsafe { raw::write_json(spot.info, at, to) })
    }

    /// Whether a value is put on a machine as a copy, also if others need it: a number.
    pub fn is_copied(&self, at: usize) -> bool {
        self.spots.get(at).is_some_and(|spot| spot.info.kind.is_number() && spot.info.desc.payload.is_none())
    }

    /// Puts a value on a machine, as a message; `None` if it is missing. It is moved if `keep` is false, and then
    /// missing if it was accepted; if `keep` is true only numbers are put, and `None` is given for all else.
    pub fn put(
        &mut self,
        at: usize,
        keep: bool,
        machine: &impl Inlet,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Option<Put> {
        if keep && !self.is_copied(at) {
            return None;
        }
        let (spot, at) = self.place(at)?;
        let bit = spot.bit;
        // SAFETY: the value is live and of this type, and is missing from here on if it was moved; a number is copied.
        let put = unsafe { machine.put_value(spot.info.desc, at, patience, cancel) };
        if put == Put::Accepted && !keep {
            *self.present &= !bit;
        }
        Some(put)
    }
}

/// The values of one message, moved out of its frame. The thread that drops them has entered
/// [`InSlot`](crate::core::hook::InSlot): their destructors are user code.
#[derive(Debug)]
pub(crate) struct Values {
    memory: *mut u8,
    layout: Layout,
    present: u64,
    nones: u64,
    spots: Arc<[FieldPath]>,
}
// SAFETY: the memory is its own, and the values are `Send`; a reference to `Values` reads nothing of them.
unsafe impl Send for Values {}

impl Values {
    /// Moves the values out of a frame's memory; the bits say which are there, and which are `None`.
    ///
    /// # Safety
    /// `memory` has this layout, of at least one byte, and live values at all spots whose bits are set; they are not
    /// used there again.
    pub(super) unsafe fn take(memory: *const u8, layout: Layout, bits: (u64, u64), spots: Arc<[FieldPath]>) -> Self {
        // SAFETY: the layout is the frame's, which is not empty; a move is a copy of the bytes.
        unsafe {
            let own = std::alloc::alloc(layout);
            if own.is_null() {
                std::alloc::handle_alloc_error(layout);
            }
            std::ptr::copy_nonoverlapping(memory, own, layout.size());
            Self { memory: own, layout, present: bits.0, nones: bits.1, spots }
        }
    }

    /// The message and its outputs.
    pub fn view(&mut self) -> View<'_> {
        View::new(self.memory, &mut self.present, self.nones, &self.spots)
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        for spot in self.spots.iter() {
            if self.present & spot.bit != 0 {
                self.present &= !spot.bit;
                // SAFETY: the value is live, and its bit is cleared: it is dropped once.
                unsafe { drop_value(spot.info.desc, self.memory.add(spot.offset)) };
            }
        }
        // SAFETY: allocated in `take` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.memory, self.layout) };
    }
}
