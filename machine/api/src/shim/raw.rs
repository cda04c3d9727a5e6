//! The calls of the table that need no types: safe wrappers.

use super::handles::{ask, lend};
use super::types::given;
use crate::abi::{Put, PutWait, SlotDesc, SourceDesc, Text, WriterDesc, host};
use serde::Serialize;
use std::sync::atomic::AtomicBool;

#[inline]
pub(crate) fn put<T: Serialize + Send + 'static>(machine: u32, value: T, wait: PutWait) -> (Option<T>, Put) {
    lend(value, |v| {
        // SAFETY: type and value belong together; the value is moved exactly if it was accepted.
        let put = unsafe { (host().put)(machine, given::<T>(), v, wait) };
        (put == Put::Accepted, put)
    })
}

/// Puts values from the front of `values`; returns how many, or `None` if there is no such machine.
pub(crate) fn put_batch<T: Serialize + Send + 'static>(
    machine: u32,
    values: &mut Vec<T>,
    wait: PutWait,
) -> Option<usize> {
    let count = values.len();
    // SAFETY: the elements are moved below as far as the engine says that it took them; until then, should this
    // unwind, the vector has none.
    unsafe {
        values.set_len(0);
        let first = values.as_mut_ptr();
        let put = (host().put_batch)(machine, given::<T>(), first.cast(), count, wait);
        let taken = if put == usize::MAX { 0 } else { put };
        std::ptr::copy(first.add(taken), first, count - taken);
        values.set_len(count - taken);
        (put != usize::MAX).then_some(put)
    }
}

pub(crate) fn assign(machine: u32, slot: u32, desc: SlotDesc, origin: &str) -> Vec<u8> {
    // SAFETY: the descriptor is whole and moved.
    ask(|sink| unsafe { (host().assign)(machine, slot, desc, Text::new(origin), sink) })
}

pub(crate) fn source(machine: u32, desc: SourceDesc, pacing: &str) -> Vec<u8> {
    // SAFETY: the descriptor is whole and moved; the text lives for the call.
    ask(|sink| unsafe { (host().source)(machine, desc, Text::new(pacing), sink) })
}

pub(crate) fn lines(machine: u32, slot: usize, desc: WriterDesc, is_stdout: bool) -> Vec<u8> {
    // SAFETY: the descriptor is whole and moved.
    ask(|sink| unsafe { (host().lines)(machine, slot, desc, is_stdout, sink) })
}

pub(crate) fn command(json: &str) -> Vec<u8> {
    // SAFETY: text and sink live for the call.
    ask(|sink| unsafe { (host().command)(Text::new(json), sink) })
}

pub(crate) fn enter(flag: &'static AtomicBool) {
    // SAFETY: the flag is in this library, which is never unloaded.
    unsafe { (host().enter)(flag) }
}

pub(crate) fn panicked(message: &str, file: &str, line: u32, column: u32) -> bool {
    // SAFETY: the texts live for the call.
    unsafe { (host().panicked)(Text::new(message), Text::new(file), line, column) }
}

pub(crate) fn fail(ename: &str, evalue: &str, line: u32) {
    // SAFETY: the texts live for the call.
    unsafe { (host().fail)(Text::new(ename), Text::new(evalue), line) }
}

pub(crate) fn show(mime: &str, content: &str) {
    // SAFETY: the texts live for the call.
    unsafe { (host().show)(Text::new(mime), Text::new(content)) }
}
