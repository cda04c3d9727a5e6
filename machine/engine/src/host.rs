//! The engine's side of the boundary: the table that cells call.
#![allow(unsafe_code, reason = "the boundary: what cells call")]

use crate::flight::Flight;
use crate::hook;

use crate::raw::{self, Message};
use crate::registry::{self, observer};
use crate::source::Feed;
use crate::types;
use crate::visit::Visit;
use ::machine::abi::{ABI_VERSION, Host, Outcome, Patience, Put, Sink, SlotDesc, SourceDesc, Text, TypeDesc};
use ::machine::command::{Failure, Reply};
use std::cell::Cell;
use std::ffi::c_void;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set while the user wants the running cell to stop.
pub(crate) static INTERRUPT: AtomicBool = AtomicBool::new(false);

static HAS_CELL_THREAD: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CELL_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Tells that the calling thread is the one that runs cells.
pub fn set_cell_thread() {
    HAS_CELL_THREAD.store(true, Ordering::Relaxed);
    CELL_THREAD.with(|here| here.set(true));
}

/// Whether this process runs cells.
pub(crate) fn has_cell_thread() -> bool {
    // Relaxed: the flag carries nothing but itself.
    HAS_CELL_THREAD.load(Ordering::Relaxed)
}

fn is_cell_thread() -> bool {
    CELL_THREAD.try_with(Cell::get).unwrap_or(false)
}

/// Whether the calling thread runs a cell that the user has interrupted.
pub(crate) fn interrupted_here() -> bool {
    // Relaxed: the flag carries nothing but itself.
    INTERRUPT.load(Ordering::Relaxed) && is_cell_thread()
}

fn no_machine(id: u32) -> Failure {
    Failure::new("no_such_machine", format!("there is no machine number {id}"))
}

/// # Safety
/// `sink` is live.
unsafe fn answer(sink: *mut Sink, reply: &Reply) {
    let json = serde_json::to_vec(reply).unwrap_or_default();
    // SAFETY: as above. Writing to a `Sink` cannot fail.
    let _ = unsafe { (*sink).write_all(&json) };
}

unsafe extern "C" fn put(machine: u32, desc: &'static TypeDesc, value: *mut u8, patience: Patience) -> Put {
    let Some(machine) = registry::machine(machine) else { return Put::NoMachine };
    // SAFETY: the cell passes a value of this type, and keeps it unless it was accepted.
    unsafe { machine.put(desc, value, patience, interrupted_here) }
}

unsafe extern "C" fn put_batch(machine: u32, desc: &'static TypeDesc, values: *mut u8, count: usize) -> usize {
    let Some(machine) = registry::machine(machine) else { return usize::MAX };
    // SAFETY: the cell passes so many values of this type, and keeps those that were not accepted.
    unsafe { machine.put_batch(desc, values, count) }
}

unsafe extern "C" fn assign(machine: u32, slot: u32, desc: SlotDesc, origin: Text, sink: *mut Sink) {
    // SAFETY: the cell's text lives for the call.
    let origin = serde_json::from_str(unsafe { origin.as_str() }).unwrap_or_default();
    let reply = if let Some(machine) = registry::machine(machine) {
        machine.assign(usize::try_from(slot).unwrap_or(usize::MAX), desc, origin)
    } else {
        crate::frame::free(&desc);
        Reply::Failed(no_machine(machine))
    };
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn source(machine: u32, desc: SourceDesc, pacing: Text, sink: *mut Sink) {
    // SAFETY: the cell's text lives for the call.
    let pacing = serde_json::from_str(unsafe { pacing.as_str() }).unwrap_or_default();
    let set = Feed::iterator(desc, &pacing).and_then(|feed| {
        let machine = registry::machine(machine).ok_or_else(|| no_machine(machine))?;
        machine.set_source(|| Ok(feed))
    });
    let reply = set.map_or_else(Reply::Failed, |()| Reply::Done);
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn call(machine: u32, desc: &'static TypeDesc, value: *mut u8, sink: *mut Sink) -> *mut c_void {
    let Some(machine) = registry::machine(machine) else {
        // SAFETY: the value is ours in any case; the sink lives for the call.
        unsafe {
            raw::drop_value(desc, value);
            answer(sink, &Reply::Failed(no_machine(machine)));
        }
        return std::ptr::null_mut();
    };
    // SAFETY: the cell passes a value of this type and moves it.
    let visit = machine.call(|number, seconds| unsafe { Message::take(number, seconds, desc, value) });
    Box::into_raw(Box::new(visit)).cast()
}

/// # Safety
/// `handle` was returned by `call` and not freed.
unsafe fn visit<'a>(handle: *const c_void) -> &'a Visit {
    // SAFETY: as above.
    unsafe { &*handle.cast::<Visit>() }
}

unsafe extern "C" fn call_value(handle: *const c_void, at: usize, desc: &'static TypeDesc) -> *const u8 {
    // SAFETY: the cell's handle is live.
    let visit = unsafe { visit(handle) };
    visit.frame.value(visit.from(at), types::info(desc)).unwrap_or(std::ptr::null())
}

unsafe extern "C" fn call_json(handle: *const c_void, at: usize, sink: *mut Sink) -> bool {
    // SAFETY: the cell's handle is live.
    let json = unsafe { visit(handle) }.json(at);
    let (ok, text) = match json {
        Ok(json) => (true, json),
        Err(why) => (false, why),
    };
    // SAFETY: the cell's sink lives for the call. Writing to it cannot fail.
    let _ = unsafe { (*sink).write_all(text.as_bytes()) };
    ok
}

unsafe extern "C" fn call_oid(handle: *const c_void, sink: *mut Sink) {
    // SAFETY: the cell's handle and sink are live.
    let _ = unsafe { write!(*sink, "{}", visit(handle).oid) };
}

unsafe extern "C" fn call_free(handle: *mut c_void) {
    // SAFETY: made by `call`, freed once.
    drop(unsafe { Box::from_raw(handle.cast::<Visit>()) });
}

unsafe extern "C" fn command(json: Text, sink: *mut Sink) {
    // SAFETY: the cell's text lives for the call.
    let reply = match serde_json::from_str(unsafe { json.as_str() }) {
        Ok(command) => registry::command(command),
        Err(error) => Reply::Failed(Failure::new("bad_command", format!("this is no command: {error}"))),
    };
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn enter(address: *const c_void) {
    types::bind(address.expose_provenance());
}

unsafe extern "C" fn panicked(message: Text, file: Text, line: u32, column: u32) -> bool {
    // SAFETY: the texts live for the call.
    let (message, file) = unsafe { (message.as_str(), file.as_str()) };
    if hook::record(message) {
        return true;
    }
    match observer() {
        Some(observer) if is_cell_thread() => {
            observer.cell_panicked(message, file, line, column);
            true
        }
        _ => false,
    }
}

unsafe extern "C" fn fail(ename: Text, evalue: Text, line: u32) {
    if let Some(observer) = observer() {
        // SAFETY: the texts live for the call.
        unsafe { observer.fail(ename.as_str(), evalue.as_str(), line) };
    }
}

unsafe extern "C" fn show(mime: Text, content: Text) {
    if let Some(observer) = observer() {
        // SAFETY: the texts live for the call.
        unsafe { observer.show(mime.as_str(), content.as_str()) };
    }
}

extern "C" fn on_cell_thread() -> bool {
    is_cell_thread()
}

unsafe extern "C" fn complete(ticket: *mut c_void, outcome: Outcome, text: Text) {
    // SAFETY: the ticket is the box that `Frame::begin` gave away; the library hands it back once, when nothing of the
    // call is left.
    let flight = unsafe { Box::from_raw(ticket.cast::<Flight>()) };
    let text = match outcome {
        Outcome::Panicked => hook::take_panic(),
        // SAFETY: the text lives for the call.
        _ => unsafe { text.as_str() }.to_owned(),
    };
    flight.complete(outcome, text);
}

extern "C" fn slot_thread() {
    hook::InSlot::forever();
}

/// The table, under the name that cells look it up by ([`machine::abi::HOST_SYMBOL`]).
#[unsafe(export_name = "machine_host_v1")]
pub static HOST: Host = Host {
    version: ABI_VERSION,
    interrupt: &INTERRUPT,
    put,
    put_batch,
    assign,
    source,
    call,
    call_value,
    call_json,
    call_oid,
    call_free,
    command,
    enter,
    panicked,
    fail,
    show,
    on_cell_thread,
    complete,
    slot_thread,
};
