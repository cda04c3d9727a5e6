//! The engine's side of the boundary: the table that cells call.
#![allow(unsafe_code, reason = "the boundary: what cells call")]

use crate::core::cell_thread::{self, is_cell_thread};
use crate::core::in_flight::InFlightMessage;
use crate::core::interrupt::interrupted_here;
use crate::core::machine::Machine;
use crate::core::observer::observer;
use crate::core::output::Held;
use crate::core::raw::{self, Message};
use crate::core::{hook, own_thread, types};
use crate::server::iterator_sink::{Next, Tap};
use crate::server::registry;
use crate::server::{attach, commands, iterator_source};

use ::machine::abi::{
    ABI_VERSION, ByteWriter, Host, Outcome, Pulled, Put, PutWait, SlotDesc, SourceDesc, Text, TypeDesc, WriterDesc,
};
use machine_protocol::command::{Reply, SourceLocation};
use machine_protocol::status::SinkKind;
use machine_protocol::{Error, ErrorKind};
use std::ffi::c_void;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn no_machine(id: u32) -> Error {
    Error::new(ErrorKind::NoSuchMachine, format!("there is no machine number {id}"))
}

/// # Safety
/// `sink` is live.
unsafe fn answer(sink: *mut ByteWriter, reply: &Reply) {
    let json = serde_json::to_vec(reply).unwrap_or_default();
    // SAFETY: as above. Writing to a `ByteWriter` cannot fail.
    let _ = unsafe { (*sink).write_all(&json) };
}

unsafe extern "C" fn put(machine: u32, desc: &'static TypeDesc, value: *mut u8, patience: PutWait) -> Put {
    let Some(machine) = registry::machine(machine) else { return Put::NoMachine };
    // SAFETY: the cell passes a value of this type, and keeps it unless it was accepted.
    unsafe { machine.put(desc, value, patience, interrupted_here) }
}

unsafe extern "C" fn put_batch(
    machine: u32,
    desc: &'static TypeDesc,
    values: *mut u8,
    count: usize,
    patience: PutWait,
) -> usize {
    let Some(machine) = registry::machine(machine) else { return usize::MAX };
    // SAFETY: the cell passes so many values of this type, and keeps those that were not accepted.
    unsafe {
        if patience == PutWait::FOREVER {
            machine.put_batch_wait(desc, values, count, interrupted_here)
        } else {
            machine.put_batch(desc, values, count)
        }
    }
}

unsafe extern "C" fn assign(machine: u32, slot: u32, desc: SlotDesc, origin: Text, sink: *mut ByteWriter) {
    // SAFETY: the cell's text lives for the call.
    let mut origin: SourceLocation = serde_json::from_str(unsafe { origin.as_str() }).unwrap_or_default();
    let cell = types::current_cell();
    if origin.cell == 0 && cell > 0 && is_cell_thread() {
        // The file that the compiler names is one that the session has made of the cell.
        (origin.cell, origin.place) = (cell, format!("cell {cell}"));
    }
    let reply = if let Some(machine) = registry::machine(machine) {
        machine.assign(usize::try_from(slot).unwrap_or(usize::MAX), desc, origin)
    } else {
        raw::free(&desc);
        Reply::Failed(no_machine(machine))
    };
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn source(machine: u32, desc: SourceDesc, pacing: Text, sink: *mut ByteWriter) {
    // SAFETY: the cell's text lives for the call.
    let pacing = serde_json::from_str(unsafe { pacing.as_str() }).unwrap_or_default();
    let set = iterator_source::task(desc, &pacing).and_then(|feed| {
        let machine = registry::machine(machine).ok_or_else(|| no_machine(machine))?;
        machine.set_source(|| Ok(feed))
    });
    let reply = set.map_or_else(Reply::Failed, |()| Reply::Done);
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn call(machine: u32, desc: &'static TypeDesc, value: *mut u8, sink: *mut ByteWriter) -> *mut c_void {
    let Some(machine) = registry::machine(machine) else {
        // SAFETY: the value is ours in any case; the sink lives for the call.
        unsafe {
            raw::drop_value(desc, value);
            answer(sink, &Reply::Failed(no_machine(machine)));
        }
        return std::ptr::null_mut();
    };
    // SAFETY: the cell passes a value of this type and moves it.
    let visit = machine.call(|number, put| unsafe { Message::take(number, put, desc, value) });
    Box::into_raw(Box::new(visit.hold())).cast()
}

/// # Safety
/// `handle` was returned by `call` or `outputs_next` and not freed, and the cell uses it on one thread at a time.
unsafe fn held<'a>(handle: *const c_void) -> &'a mut Held {
    // SAFETY: as above.
    unsafe { &mut *handle.cast_mut().cast::<Held>() }
}

unsafe extern "C" fn call_value(handle: *const c_void, at: usize, desc: &'static TypeDesc) -> *const u8 {
    // SAFETY: the cell's handle is live.
    unsafe { held(handle) }.value(at, types::info(desc)).unwrap_or(std::ptr::null())
}

unsafe extern "C" fn call_json(handle: *const c_void, at: usize, sink: *mut ByteWriter) -> bool {
    // SAFETY: the cell's handle is live.
    let (ok, text) = match unsafe { held(handle) }.json(at) {
        Ok(json) => (true, json),
        Err(why) => (false, why.into_bytes()),
    };
    // SAFETY: the cell's sink lives for the call. Writing to it cannot fail.
    let _ = unsafe { (*sink).write_all(&text) };
    ok
}

unsafe extern "C" fn call_shown(handle: *const c_void, sink: *mut ByteWriter) {
    // SAFETY: the cell's handle is live.
    let shown = unsafe { held(handle) }.shown();
    // SAFETY: the cell's sink lives for the call. Writing to it cannot fail.
    let _ = unsafe { serde_json::to_writer(&mut *sink, &shown) };
}

unsafe extern "C" fn call_oid(handle: *const c_void, sink: *mut ByteWriter) {
    // SAFETY: the cell's handle and sink are live.
    let _ = unsafe { write!(*sink, "{}", held(handle).oid) };
}

unsafe extern "C" fn call_free(handle: *mut c_void) {
    // SAFETY: made by `call` or `outputs_next`, freed once.
    drop(unsafe { Box::from_raw(handle.cast::<Held>()) });
}

/// A cell's hold on the outputs of a machine.
struct Taps {
    machine: &'static Machine,
    tap: Arc<Tap>,
    id: u64,
}

unsafe extern "C" fn outputs(machine: u32, most: usize, by_thread: bool, sink: *mut ByteWriter) -> *mut c_void {
    let found = registry::machine(machine).ok_or_else(|| no_machine(machine));
    let found = found.and_then(|machine| {
        let none = "room for 0 outputs: none would ever be taken; at least 1";
        if most == 0 { Err(Error::new(ErrorKind::OutOfRange, none)) } else { Ok(machine) }
    });
    let machine = match found {
        Ok(machine) => machine,
        Err(failure) => {
            // SAFETY: the cell's sink lives for the call.
            unsafe { answer(sink, &Reply::Failed(failure)) };
            return std::ptr::null_mut();
        }
    };
    let tap = Arc::new(Tap::new(if by_thread { SinkKind::OnOutput } else { SinkKind::Outputs }, most));
    let id = machine.attach(tap.clone()).id;
    Box::into_raw(Box::new(Taps { machine, tap, id })).cast()
}

/// # Safety
/// `handle` was returned by `outputs` and not freed.
unsafe fn taps<'a>(handle: *const c_void) -> &'a Taps {
    // SAFETY: as above; a `Taps` is `Sync`.
    unsafe { &*handle.cast::<Taps>() }
}

unsafe extern "C" fn outputs_next(handle: *const c_void, nanos: u64, pulled: *mut Pulled) -> *mut c_void {
    // SAFETY: the cell's handle is live.
    let Taps { machine, tap, .. } = unsafe { taps(handle) };
    let timeout = (nanos != u64::MAX).then(|| Duration::from_nanos(nanos));
    let (found, result) = match tap.next(timeout, || machine.is_over(), interrupted_here) {
        Next::Output(held) => (Box::into_raw(held).cast(), Pulled::Output),
        Next::TimedOut => (std::ptr::null_mut(), Pulled::TimedOut),
        Next::Closed => (std::ptr::null_mut(), Pulled::Ended),
        Next::Interrupted => (std::ptr::null_mut(), Pulled::Interrupted),
    };
    // SAFETY: the cell passes a live place.
    unsafe { *pulled = result };
    found
}

unsafe extern "C" fn outputs_lost(handle: *const c_void) -> u64 {
    // SAFETY: the cell's handle is live.
    unsafe { taps(handle) }.tap.lost()
}

unsafe extern "C" fn outputs_id(handle: *const c_void) -> u64 {
    // SAFETY: the cell's handle is live.
    unsafe { taps(handle) }.id
}

unsafe extern "C" fn outputs_free(handle: *mut c_void, why: Text) {
    // SAFETY: made by `outputs`, freed once; the cell's text lives for the call.
    let (taps, why) = unsafe { (Box::from_raw(handle.cast::<Taps>()), why.as_str()) };
    // With an error it stays in the status, so that a user who looks there sees why nothing is taken any more.
    if why.is_empty() {
        taps.machine.remove_sinks(Some(taps.id));
    }
    taps.tap.end(why);
}

unsafe extern "C" fn lines(machine: u32, slot: usize, desc: WriterDesc, is_stdout: bool, sink: *mut ByteWriter) {
    // Made first: whatever happens next, the writer has an owner.
    let writer = raw::Writer::new(desc);
    let added = registry::machine(machine)
        .ok_or_else(|| no_machine(machine))
        .and_then(|machine| attach::lines(machine, slot, writer, is_stdout));
    let reply = added.map_or_else(Reply::Failed, |status| Reply::Sink(Box::new(status)));
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn command(json: Text, sink: *mut ByteWriter) {
    // SAFETY: the cell's text lives for the call.
    let reply = match serde_json::from_str(unsafe { json.as_str() }) {
        Ok(command) => commands::command(command),
        Err(error) => Reply::Failed(Error::new(ErrorKind::BadCommand, format!("this is no command: {error}"))),
    };
    // SAFETY: the cell's sink lives for the call.
    unsafe { answer(sink, &reply) };
}

unsafe extern "C" fn enter(flag: &'static AtomicBool) {
    types::bind(std::ptr::from_ref(flag).expose_provenance());
    cell_thread::enter(flag);
}

unsafe extern "C" fn panicked(message: Text, file: Text, line: u32, column: u32) -> bool {
    // SAFETY: the texts live for the call.
    let (message, file) = unsafe { (message.as_str(), file.as_str()) };
    if hook::record(message, file, line, column) {
        return true;
    }
    match observer() {
        Some(observer) if is_cell_thread() => {
            observer.cell_panicked(message, file, line, column);
            true
        }
        // It unwinds because its cell was abandoned.
        Some(_) if cell_thread::is_abandoned_thread() => true,
        _ => false,
    }
}

unsafe extern "C" fn fail(ename: Text, evalue: Text, line: u32) {
    // What an abandoned cell says is about no cell that runs.
    if let Some(observer) = observer().filter(|_| !cell_thread::is_abandoned_thread()) {
        // SAFETY: the texts live for the call.
        unsafe { observer.fail(ename.as_str(), evalue.as_str(), line) };
    }
}

unsafe extern "C" fn show(mime: Text, content: Text) {
    if let Some(observer) = observer().filter(|_| !cell_thread::is_abandoned_thread()) {
        // SAFETY: the texts live for the call.
        unsafe { observer.show(mime.as_str(), content.as_str()) };
    }
}

extern "C" fn on_cell_thread() -> bool {
    is_cell_thread()
}

extern "C" fn must_stop() -> u32 {
    cell_thread::must_stop() as u32
}

unsafe extern "C" fn complete(ticket: *mut c_void, outcome: Outcome, text: Text) {
    // SAFETY: the ticket is the box that `Frame::begin` gave away; the library hands it back once, when nothing of the
    // call is left.
    let flight = unsafe { Box::from_raw(ticket.cast::<InFlightMessage>()) };
    let text = match outcome {
        Outcome::Panicked => hook::take_panic(),
        // SAFETY: the text lives for the call.
        _ => unsafe { text.as_str() }.to_owned(),
    };
    flight.complete(outcome, text);
}

extern "C" fn slot_thread() {
    hook::InSlot::forever();
    own_thread::set_runs_futures();
}

/// The table, under the name that cells look it up by ([`machine::abi::HOST_SYMBOL`]).
#[unsafe(export_name = "machine_host_v1")]
pub static HOST: Host = Host {
    version: ABI_VERSION,
    put,
    put_batch,
    assign,
    source,
    call,
    call_value,
    call_json,
    call_shown,
    call_oid,
    call_free,
    outputs,
    outputs_next,
    outputs_lost,
    outputs_id,
    outputs_free,
    lines,
    command,
    enter,
    panicked,
    fail,
    show,
    on_cell_thread,
    must_stop,
    complete,
    slot_thread,
};
