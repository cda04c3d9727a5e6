//! What the engine keeps for a cell: one call, the outputs of a machine.

use super::types::{given, taken};
use crate::abi::{ByteWriter, Pulled, Text, host};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::mem::MaybeUninit;

/// Gives `value` to `f` as a pointer. `f` returns whether it moved the value; if it did not, it comes back.
pub(crate) fn lend<T, R>(value: T, f: impl FnOnce(*mut u8) -> (bool, R)) -> (Option<T>, R) {
    let mut value = MaybeUninit::new(value);
    let (moved, result) = f(value.as_mut_ptr().cast());
    // SAFETY: written above, and not moved.
    ((!moved).then(|| unsafe { value.assume_init() }), result)
}

/// Asks the engine: `f` is given a sink, and what was written into it comes back.
pub(crate) fn ask(f: impl FnOnce(*mut ByteWriter)) -> Vec<u8> {
    let mut bytes = Vec::new();
    f(&mut ByteWriter::new(&mut bytes));
    bytes
}

/// One call of the machine, as the engine keeps it.
#[derive(Debug)]
pub(crate) struct CallHandle(*mut std::ffi::c_void);
// SAFETY: the engine's side is `Send`: only types that are `Send` are taken and given.
unsafe impl Send for CallHandle {}

impl CallHandle {
    pub(crate) fn new<T: Serialize + Send + 'static>(machine: u32, value: T) -> Result<Self, Vec<u8>> {
        let mut handle = std::ptr::null_mut();
        let reply = ask(|sink| {
            // SAFETY: type and value belong together; `call` moves the value in any case.
            handle = lend(value, |v| (true, unsafe { (host().call)(machine, given::<T>(), v, sink) })).1;
        });
        if handle.is_null() { Err(reply) } else { Ok(Self(handle)) }
    }

    pub(crate) fn value<T: Serialize + DeserializeOwned + 'static>(&self, at: usize) -> Option<&T> {
        // SAFETY: the handle is live until `drop`, and the pointer, if any, is to a `T` that lives as long.
        unsafe { (host().call_value)(self.0, at, taken::<T>()).cast::<T>().as_ref() }
    }

    pub(crate) fn json(&self, at: usize) -> Result<Vec<u8>, Vec<u8>> {
        let mut ok = false;
        // SAFETY: the handle is live until `drop`.
        let bytes = ask(|sink| ok = unsafe { (host().call_json)(self.0, at, sink) });
        if ok { Ok(bytes) } else { Err(bytes) }
    }

    pub(crate) fn shown(&self) -> Vec<u8> {
        // SAFETY: the handle is live until `drop`.
        ask(|sink| unsafe { (host().call_shown)(self.0, sink) })
    }

    pub(crate) fn oid(&self) -> Vec<u8> {
        // SAFETY: the handle is live until `drop`.
        ask(|sink| unsafe { (host().call_oid)(self.0, sink) })
    }
}

impl Drop for CallHandle {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { (host().call_free)(self.0) };
    }
}

/// The outputs of a machine, as the engine collects them for a cell.
#[derive(Debug)]
pub(crate) struct OutputsHandle(*mut std::ffi::c_void);
// SAFETY: the engine's side is `Send` and `Sync`.
unsafe impl Send for OutputsHandle {}

impl OutputsHandle {
    pub(crate) fn new(machine: u32, most: usize, by_thread: bool) -> Result<Self, Vec<u8>> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the sink lives for the call.
        let reply = ask(|sink| handle = unsafe { (host().outputs)(machine, most, by_thread, sink) });
        if handle.is_null() { Err(reply) } else { Ok(Self(handle)) }
    }

    pub(crate) fn next(&self, nanos: u64) -> Result<CallHandle, Pulled> {
        let mut pulled = Pulled::Ended;
        // SAFETY: the handle is live until `drop`, `pulled` for the call.
        let handle = unsafe { (host().outputs_next)(self.0, nanos, &raw mut pulled) };
        if handle.is_null() { Err(pulled) } else { Ok(CallHandle(handle)) }
    }

    pub(crate) fn lost(&self) -> u64 {
        // SAFETY: the handle is live until `drop`.
        unsafe { (host().outputs_lost)(self.0) }
    }

    pub(crate) fn id(&self) -> u64 {
        // SAFETY: the handle is live until `drop`.
        unsafe { (host().outputs_id)(self.0) }
    }

    /// Nobody takes them any more, because of an error.
    pub(crate) fn fail(self, why: &str) {
        let handle = std::mem::ManuallyDrop::new(self);
        // SAFETY: made by `new`, freed once: `drop` does not run.
        unsafe { (host().outputs_free)(handle.0, Text::new(why)) };
    }
}

impl Drop for OutputsHandle {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { (host().outputs_free)(self.0, Text::new("")) };
    }
}
