//! Items of a cell's iterator.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::{drop_value, json, layout, type_name};
use machine::abi::{SourceDesc, TypeDesc};
use std::alloc::Layout;

/// An iterator of a cell's, and room for some of its items.
#[derive(Debug)]
pub(crate) struct Buffer {
    desc: SourceDesc,
    memory: *mut u8,
    layout: Layout,
    filled: usize,
    panicked: bool,
}

// SAFETY: items and iterator are `Send` (bounds of `source`).
unsafe impl Send for Buffer {}

impl Buffer {
    /// Room for `items` items.
    pub fn new(desc: SourceDesc, items: usize) -> Self {
        let item = layout(desc.item);
        let layout =
            Layout::from_size_align((item.size() * items).max(1), item.align()).unwrap_or(Layout::new::<u64>());
        // SAFETY: the layout is not empty.
        let memory = unsafe { std::alloc::alloc(layout) };
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        Self { desc, memory, layout, filled: 0, panicked: false }
    }

    /// Asks the iterator for up to `most` items; returns how many it gave.
    pub fn fill(&mut self, most: usize) -> usize {
        let _in_slot = crate::core::hook::InSlot::enter();
        // SAFETY: there is room for `most` items (the caller's `most` is at most what `new` was given), and it is
        // empty: `take_items` has run.
        self.filled = unsafe { (self.desc.next)(self.desc.state, self.memory, most, &raw mut self.panicked) };
        self.filled
    }

    /// Whether the iterator knows how many items are left.
    pub fn is_exact(&self) -> bool {
        // SAFETY: one thread at a time uses the iterator: `self` is borrowed, and not `Sync`.
        unsafe { (self.desc.exact)(self.desc.state) }
    }

    /// The message of the iterator's panic, if it has panicked since this was asked last.
    pub fn panic(&mut self) -> Option<String> {
        std::mem::take(&mut self.panicked).then(crate::core::hook::take_panic)
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// The first item as JSON text.
    pub fn first_json(&self) -> Option<String> {
        // SAFETY: `fill` wrote it, and it is still here.
        if self.filled > 0 { unsafe { json(self.desc.item, self.memory) }.ok() } else { None }
    }

    /// The full name of the items' type.
    pub fn item_name(&self) -> &'static str {
        type_name(self.desc.item)
    }

    /// Whether there is a function that makes a new iterator.
    pub fn restarts(&self) -> bool {
        self.desc.again.is_some()
    }

    /// Makes a new iterator, if there is a function for that.
    ///
    /// # Errors
    /// The message of its panic.
    pub fn again(&mut self) -> Result<(), String> {
        let _in_slot = crate::core::hook::InSlot::enter();
        let Some(again) = self.desc.again else { return Ok(()) };
        // SAFETY: one thread at a time uses the iterator: `self` is borrowed, and not `Sync`.
        let panicked = unsafe { again(self.desc.state) };
        if panicked { Err(crate::core::hook::take_panic()) } else { Ok(()) }
    }

    /// Drops all items; returns how many were put, none.
    pub fn discard(&mut self) -> usize {
        let _in_slot = crate::core::hook::InSlot::enter();
        for item in 0..std::mem::take(&mut self.filled) {
            // SAFETY: `fill` wrote this many items; each is dropped once.
            unsafe { drop_value(self.desc.item, self.memory.add(item * self.desc.item.size)) };
        }
        0
    }

    /// Lends all items to a caller that moves or drops each of them: their type, where they lie, and how many there are.
    pub fn take_items(&mut self) -> (&'static TypeDesc, *mut u8, usize) {
        (self.desc.item, self.memory, std::mem::take(&mut self.filled))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        debug_assert_eq!(self.filled, 0);
        // SAFETY: the iterator and the memory are ours, freed once.
        unsafe {
            let _panicked = (self.desc.drop)(self.desc.state);
            std::alloc::dealloc(self.memory, self.layout);
        }
    }
}
