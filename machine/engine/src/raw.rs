//! Values of types that the engine does not know: storage, and the functions of their descriptors.
//!
//! Each value has one owner: a `Value` here, or a place in a `Frame`. Whoever owns it drops it once.
#![expect(clippy::cast_ptr_alignment, reason = "every place is laid out for the type that it is used as")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use crate::oid::{Moment, Oid};
use crate::source::Shutdown;
use crate::types::TypeInfo;
use machine::abi::{Kind, Sink, SourceDesc, Text, TypeDesc};
use std::alloc::Layout;
use std::ffi::{c_int, c_void};
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

fn layout(desc: &TypeDesc) -> Layout {
    // Size and alignment come from `size_of` and `align_of`, so they do make a layout.
    Layout::from_size_align(desc.size, desc.align).unwrap_or(Layout::new::<u8>())
}

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
        // SAFETY: inline values fit; boxed ones get memory of their own layout.
        unsafe {
            if Self::is_inline(desc) {
                copy_small(from, data.as_mut_ptr().cast::<u8>(), desc.size);
            } else {
                let memory = std::alloc::alloc(layout(desc));
                if memory.is_null() {
                    std::alloc::handle_alloc_error(layout(desc));
                }
                std::ptr::copy_nonoverlapping(from, memory, desc.size);
                data.as_mut_ptr().cast::<*mut u8>().write(memory);
            }
        }
        Self { number, put, desc, data }
    }

    /// Its name.
    #[inline]
    pub const fn oid(&self) -> Oid {
        #[expect(clippy::cast_possible_truncation, reason = "a counter that wraps")]
        Oid { seconds: self.put.seconds, counter: self.number as u32 }
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

/// The right to move a message's value out of where the message lies, once. Whoever hands it out never touches the
/// message again; if it is not used, the value is leaked.
#[derive(Debug)]
pub(crate) struct InPlace<'m>(&'m Message);

impl<'m> InPlace<'m> {
    /// The message is moved by this.
    pub fn new(message: &'m ManuallyDrop<Message>) -> Self {
        Self(message)
    }

    /// Its name.
    #[inline]
    pub fn oid(&self) -> Oid {
        self.0.oid()
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
        let address = self.address().cast_mut();
        // SAFETY: the message owns the value and is gone after this.
        unsafe {
            drop_value(self.desc, address);
            if !Self::is_inline(self.desc) {
                std::alloc::dealloc(address, layout(self.desc));
            }
        }
    }
}

/// Drops a value where it is. A panic of its destructor ends in the value's own library.
///
/// # Safety
/// `at` points at a value of this type that is not used again.
pub(crate) unsafe fn drop_value(desc: &TypeDesc, at: *mut u8) {
    if let Some(drop) = desc.drop {
        // SAFETY: as above.
        let _panicked = unsafe { drop(at) };
    }
}

/// Writes a value as JSON text; of a `Result` what is in `Ok`.
///
/// # Safety
/// `at` points at a live value of this type.
pub(crate) unsafe fn json(desc: &TypeDesc, at: *const u8) -> Result<String, String> {
    let mut bytes = Vec::new();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut Sink::new(&mut bytes)) };
    let text = String::from_utf8(bytes).map_err(|_| "its JSON is not UTF-8".to_owned())?;
    if !ok {
        return Err(text);
    }
    if desc.payload.is_some() {
        let inside = text.strip_prefix("{\"Ok\":").and_then(|rest| rest.strip_suffix('}'));
        return inside.map(str::to_owned).ok_or(text);
    }
    Ok(text)
}

/// Appends a value as JSON text; of a `Result` what is in `Ok`. If it cannot be written, says why and appends nothing.
///
/// Numbers are written here, without a call into the value's own library; `NaN` and infinities are `null`, as in
/// `serde_json`.
///
/// # Safety
/// `at` points at a live value of this type.
#[inline]
pub(crate) unsafe fn write_json(info: &TypeInfo, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    let desc = info.desc;
    macro_rules! number {
        ($ty:ty) => {{
            // SAFETY: the kind says the type, of the value or of what is inside the `Result`, which holds no `Err`:
            // that would be no output.
            let number = unsafe { desc.payload.map_or(at, |payload| payload(at)).cast::<$ty>().read() };
            serde_json::to_writer(to, &number).map_err(|error| error.to_string())
        }};
    }
    match info.kind {
        Kind::F64 => number!(f64),
        Kind::F32 => number!(f32),
        Kind::I64 => number!(i64),
        Kind::U64 => number!(u64),
        Kind::I32 => number!(i32),
        Kind::U32 => number!(u32),
        Kind::Isize => number!(isize),
        Kind::Usize => number!(usize),
        Kind::I16 => number!(i16),
        Kind::U16 => number!(u16),
        Kind::I8 => number!(i8),
        Kind::U8 => number!(u8),
        Kind::Bool => number!(bool),
        // SAFETY: the caller's.
        Kind::String | Kind::Json | Kind::Other => unsafe { write_other(desc, at, to) },
    }
}

/// # Safety
/// As `write_json`.
unsafe fn write_other(desc: &TypeDesc, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    let start = to.len();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut Sink::new(to)) };
    let text = to.get(start..).unwrap_or_default();
    let inside = match (ok, desc.payload) {
        (true, None) => return Ok(()),
        (true, Some(_)) => text.strip_prefix(b"{\"Ok\":").and_then(|rest| rest.strip_suffix(b"}")).map(<[u8]>::len),
        (false, _) => None,
    };
    let Some(inside) = inside else {
        let why = String::from_utf8_lossy(text).into_owned();
        to.truncate(start);
        return Err(why);
    };
    let after = to.len() - 1 - inside;
    to.copy_within(after..after + inside, start);
    to.truncate(start + inside);
    Ok(())
}

/// Makes a value from JSON text.
///
/// # Safety
/// `to` has room for a value of this type, aligned, and holds none.
pub(crate) unsafe fn from_json(desc: &TypeDesc, json: &str, to: *mut u8) -> Result<(), String> {
    let Some(from_json) = desc.from_json else { return Err("it does not deserialise".to_owned()) };
    let mut bytes = Vec::new();
    // SAFETY: as above; text and sink live for the call.
    if unsafe { from_json(Text::new(json), to, &mut Sink::new(&mut bytes)) } {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether JSON text makes a value of this type.
pub(crate) fn parse_check(desc: &'static TypeDesc, json: &str) -> Result<(), String> {
    // SAFETY: the memory has the type's layout (at least one byte, so that it is memory at all).
    unsafe {
        let layout = Layout::from_size_align(desc.size.max(1), desc.align).unwrap_or(Layout::new::<u8>());
        let memory = std::alloc::alloc(layout);
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        let result = from_json(desc, json, memory);
        if result.is_ok() {
            drop_value(desc, memory);
        }
        std::alloc::dealloc(memory, layout);
        result
    }
}

/// The full name of a type.
pub(crate) fn type_name(desc: &TypeDesc) -> &'static str {
    // SAFETY: the name is in the read-only data of a library that stays loaded.
    unsafe { (desc.name)().as_str() }
}

/// The full name of a parameter's type.
pub(crate) fn param_name(param: &machine::abi::ParamDesc) -> &'static str {
    // SAFETY: the name is in the read-only data of a library that stays loaded.
    unsafe { (param.name)().as_str() }
}

extern "C" fn json_text_id() -> u64 {
    0
}
extern "C" fn json_text_name() -> Text {
    Text::new("JSON")
}
extern "C" fn json_text_kind() -> machine::abi::Kind {
    machine::abi::Kind::Json
}
unsafe extern "C" fn json_text_drop(value: *mut u8) -> bool {
    // SAFETY: the engine's own `String`.
    unsafe { std::ptr::drop_in_place(value.cast::<String>()) };
    false
}
unsafe extern "C" fn json_text_write(value: *const u8, sink: *mut Sink) -> bool {
    use std::io::Write;
    // SAFETY: the engine's own `String`, and a live sink.
    unsafe { (*sink).write_all((*value.cast::<String>()).as_bytes()).is_ok() }
}

/// A message that is JSON text. The engine never makes a `Value` of a cell's: their layouts need not agree.
static JSON_TEXT: TypeDesc = TypeDesc {
    size: size_of::<String>(),
    align: align_of::<String>(),
    kind: json_text_kind,
    id: json_text_id,
    name: json_text_name,
    drop: Some(json_text_drop),
    to_json: json_text_write,
    from_json: None,
    payload: None,
};

/// A message of JSON text.
pub(crate) fn json_message(number: u64, put: Moment, json: String) -> Message {
    let json = ManuallyDrop::new(json);
    // SAFETY: the string is moved.
    unsafe { Message::take(number, put, &JSON_TEXT, std::ptr::from_ref::<String>(&json).cast()) }
}

/// Puts a source's message of JSON text, and waits for a place; false if the source ends first.
pub(crate) fn put_json(machine: &crate::machine::Machine, json: String, shutdown: &Shutdown) -> bool {
    let mut json = ManuallyDrop::new(json);
    // SAFETY: a string of the engine's, moved or dropped.
    unsafe { machine.put_all(&JSON_TEXT, std::ptr::from_mut::<String>(&mut json).cast(), 1, shutdown) == 1 }
}

/// Puts a source's messages of JSON text, and waits for their places, until the source ends. Returns how many were
/// put; none is left.
pub(crate) fn put_all_json(machine: &crate::machine::Machine, json: &mut Vec<String>, shutdown: &Shutdown) -> usize {
    let count = json.len();
    // SAFETY: all strings are moved or dropped; the vector has none from here on.
    unsafe {
        json.set_len(0);
        machine.put_all(&JSON_TEXT, json.as_mut_ptr().cast(), count, shutdown)
    }
}

/// Puts a message of JSON text without waiting; false if it is refused.
pub(crate) fn try_put_json(machine: &crate::machine::Machine, json: String) -> bool {
    let mut json = ManuallyDrop::new(json);
    // SAFETY: a string of the engine's, moved if it is put and dropped here if it is not.
    unsafe {
        let put = machine.put_batch(&JSON_TEXT, std::ptr::from_mut::<String>(&mut json).cast(), 1) == 1;
        if !put {
            ManuallyDrop::drop(&mut json);
        }
        put
    }
}

/// Puts a message of JSON text, if the machine takes it.
pub(crate) fn put_text(
    machine: &crate::machine::Machine,
    json: String,
    patience: machine::abi::Patience,
    give_up: impl Fn() -> bool,
) -> machine::abi::Put {
    let mut json = ManuallyDrop::new(json);
    // SAFETY: the string is moved if it is accepted, and else dropped here.
    unsafe {
        let put = machine.put(&JSON_TEXT, std::ptr::from_mut::<String>(&mut json).cast(), patience, give_up);
        if put != machine::abi::Put::Accepted {
            ManuallyDrop::drop(&mut json);
        }
        put
    }
}

/// The base address of the library or executable that an address is in; 0 if it is in none.
pub(crate) fn library_of(address: usize) -> usize {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address and fills `info` if it returns non-zero; zeroes are a valid `Dl_info`.
    unsafe {
        let found: c_int = libc::dladdr(std::ptr::with_exposed_provenance::<c_void>(address), info.as_mut_ptr());
        if found == 0 { 0 } else { info.assume_init().dli_fbase.addr() }
    }
}

/// Seconds since 1970, and nanoseconds, as the system last noted them; `None` where there is no such clock.
#[inline]
pub(crate) fn coarse_clock() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a timespec of ours.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        (failed == 0).then(|| (number(now.tv_sec), number(now.tv_nsec)))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

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
        let _in_slot = crate::hook::InSlot::enter();
        // SAFETY: there is room for `most` items (the caller's `most` is at most what `new` was given), and it is
        // empty: `empty_into` has run.
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
        std::mem::take(&mut self.panicked).then(crate::hook::take_panic)
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
    pub fn begins_anew(&self) -> bool {
        self.desc.again.is_some()
    }

    /// Makes a new iterator, if there is a function for that.
    ///
    /// # Errors
    /// The message of its panic.
    pub fn again(&mut self) -> Result<(), String> {
        let _in_slot = crate::hook::InSlot::enter();
        let Some(again) = self.desc.again else { return Ok(()) };
        // SAFETY: one thread at a time uses the iterator: `self` is borrowed, and not `Sync`.
        let panicked = unsafe { again(self.desc.state) };
        if panicked { Err(crate::hook::take_panic()) } else { Ok(()) }
    }

    /// Drops all items; returns how many were put, none.
    pub fn discard(&mut self) -> usize {
        let _in_slot = crate::hook::InSlot::enter();
        for item in 0..std::mem::take(&mut self.filled) {
            // SAFETY: `fill` wrote this many items; each is dropped once.
            unsafe { drop_value(self.desc.item, self.memory.add(item * self.desc.item.size)) };
        }
        0
    }

    /// Puts all items, and waits until they are put; drops what is left once the source ends. Returns how many were
    /// put.
    pub fn empty_into(&mut self, machine: &crate::machine::Machine, shutdown: &Shutdown) -> usize {
        let count = std::mem::take(&mut self.filled);
        // SAFETY: `fill` wrote this many items; all are moved.
        unsafe { machine.put_all(self.desc.item, self.memory, count, shutdown) }
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
