//! A message as it waits, and how its value moves out of it.
#![expect(clippy::cast_ptr_alignment, reason = "every place is laid out for the type that it is used as")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::{drop_value, json, layout};
use crate::core::oid::{self, Moment, Oid};
use machine::abi::TypeDesc;
use std::mem::{ManuallyDrop, MaybeUninit};

/// Values of up to this size and an alignment of at most 8 travel in the message itself.
const INLINE: usize = 32;

/// A message as it waits: its number, when it was put, and its value, inline if it is small: 56 bytes in all.
#[derive(Debug)]
pub(crate) struct Message {
    /// How many messages the queue had accepted before it.
    pub number: u64,
    pub put: Moment,
    desc: &'static TypeDesc,
    data: MaybeUninit<[u64; INLINE / 8]>,
}

// SAFETY: only types that are `Send` are put on a machine (bounds of `put`, `source` and `call`).
unsafe impl Send for Message {}

/// Copies a value; the sizes of numbers and strings without a call.
///
/// # Safety
/// As `copy_nonoverlapping` of `size` bytes.
#[inline]
unsafe fn copy_small(from: *const u8, to: *mut u8, size: usize) {
    // SAFETY: the caller's.
    unsafe {
        match size {
            8 => std::ptr::copy_nonoverlapping(from, to, 8),
            16 => std::ptr::copy_nonoverlapping(from, to, 16),
            24 => std::ptr::copy_nonoverlapping(from, to, 24),
            32 => std::ptr::copy_nonoverlapping(from, to, 32),
            size => std::ptr::copy_nonoverlapping(from, to, size),
        }
    }
}

/// Moves a value into its own memory. Not inlined: what is put is to be so, in each place.
///
/// # Safety
/// As `Message::take`.
#[inline(never)]
unsafe fn boxed(desc: &TypeDesc, from: *const u8) -> *mut u8 {
    // SAFETY: the layout is that of the value, and not empty.
    unsafe {
        let memory = std::alloc::alloc(layout(desc));
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout(desc));
        }
        std::ptr::copy_nonoverlapping(from, memory, desc.size);
        memory
    }
}

impl Message {
    const fn is_inline(desc: &TypeDesc) -> bool {
        desc.size <= INLINE && desc.align <= align_of::<u64>()
    }

    /// Moves the value at `from` into a message.
    ///
    /// # Safety
    /// `from` points at a value of the type that `desc` describes, and is not used as one again.
    #[inline]
    pub unsafe fn take(number: u64, put: Moment, desc: &'static TypeDesc, from: *const u8) -> Self {
        let mut data = MaybeUninit::<[u64; INLINE / 8]>::uninit();
        // SAFETY: inline values fit; of boxed ones the address does.
        unsafe {
            if Self::is_inline(desc) {
                copy_small(from, data.as_mut_ptr().cast::<u8>(), desc.size);
            } else {
                data.as_mut_ptr().cast::<*mut u8>().write(boxed(desc, from));
            }
        }
        Self { number, put, desc, data }
    }

    /// Its name, on the machine of this number.
    #[inline]
    pub const fn oid(&self, machine: u32) -> Oid {
        oid::name(machine, self.put, self.number)
    }

    /// The type of the value.
    pub const fn desc(&self) -> &'static TypeDesc {
        self.desc
    }

    /// The value as JSON text.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn json(&self) -> Result<String, String> {
        // SAFETY: the message owns its value, which is of this type.
        unsafe { json(self.desc, self.address()) }
    }

    fn address(&self) -> *const u8 {
        let data = self.data.as_ptr().cast::<u8>();
        // SAFETY: `take` wrote the address of the boxed value.
        if Self::is_inline(self.desc) { data } else { unsafe { data.cast::<*const u8>().read() } }
    }
}

/// The right to move a message's value out of where the message lies, once. The thread that hands it out never touches the
/// message again; if it is not used, the value is leaked.
#[derive(Debug)]
pub(crate) struct InPlace<'m>(&'m Message);

impl<'m> InPlace<'m> {
    /// The message is moved by this.
    pub fn new(message: &'m ManuallyDrop<Message>) -> Self {
        Self(message)
    }

    /// How many messages the queue had accepted before it.
    #[inline]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// When it was put.
    #[inline]
    pub fn put(&self) -> Moment {
        self.0.put
    }

    /// The type of the value.
    #[inline]
    pub fn desc(&self) -> &'static TypeDesc {
        self.0.desc
    }

    /// Moves the value out, to `to`.
    ///
    /// # Safety
    /// `to` has room for a value of this type, aligned, and holds none.
    #[inline]
    pub unsafe fn give(self, to: *mut u8) {
        let desc = self.0.desc;
        let from = self.0.address();
        // SAFETY: the value is moved: `self` is the only right to do so. Boxed memory is freed empty.
        unsafe {
            copy_small(from, to, desc.size);
            if !Message::is_inline(desc) {
                std::alloc::dealloc(from.cast_mut(), layout(desc));
            }
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let data = self.data.as_mut_ptr().cast::<u8>();
        // SAFETY: the message owns the value and is gone after this; `take` wrote the address of a boxed one.
        unsafe {
            if Self::is_inline(self.desc) {
                drop_value(self.desc, data);
            } else {
                let memory = data.cast::<*mut u8>().read();
                drop_value(self.desc, memory);
                std::alloc::dealloc(memory, layout(self.desc));
            }
        }
    }
}
