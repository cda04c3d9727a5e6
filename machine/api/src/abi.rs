//! The boundary between cells and engine: one table of functions, and descriptors of types, slots and sources.
//!
//! A cell is compiled into its own library, by another build than the engine's. So no Rust type with an
//! unspecified layout crosses here: only pointers, lengths, `#[repr(C)]` structs, and functions that know what
//! they point at. Every function that runs user code catches its panics on its own side of the boundary.
//!
//! The table is found once a library: registered by a plain program ([`register`]), or exported by the
//! executable under [`HOST_SYMBOL`] and looked up in the process itself.
#![allow(unsafe_code, reason = "the boundary: with `shim/` and `slot.rs` all that this crate has of unsafe code")]

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// The version of this boundary. A cell built against another version refuses to talk to the engine.
pub const ABI_VERSION: u32 = 7;

/// The symbol under which the executable exports its [`Host`] table.
pub const HOST_SYMBOL: &str = "machine_host_v1";

/// The most arguments that a slot's function takes.
pub const MAX_ARITY: usize = 9;

/// Borrowed text, UTF-8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The first byte.
    pub ptr: *const u8,
    /// The length in bytes.
    pub len: usize,
}

impl Text {
    /// Borrows `text` for a call across the boundary.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// The text itself.
    ///
    /// # Safety
    /// `self` was made by [`Text::new`] from a `str` that outlives `'a`.
    #[must_use]
    pub const unsafe fn as_str<'a>(self) -> &'a str {
        // SAFETY: made from a `str` (see above), so the bytes are valid, and valid UTF-8.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.ptr, self.len)) }
    }
}

/// Where a callee writes bytes that the caller keeps: a `Vec<u8>` of the caller's.
#[repr(C)]
#[derive(Debug)]
pub struct ByteWriter<'b> {
    to: *mut c_void,
    write: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    bytes: PhantomData<&'b mut Vec<u8>>,
}

impl<'b> ByteWriter<'b> {
    /// A sink that appends to `bytes`.
    pub fn new(bytes: &'b mut Vec<u8>) -> Self {
        unsafe extern "C" fn append(to: *mut c_void, ptr: *const u8, len: usize) {
            // SAFETY: `to` is the `Vec` that `new` was given, of this same build; `ptr` and `len` are a live slice.
            unsafe { (*to.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(ptr, len)) }
        }
        Self { to: std::ptr::from_mut(bytes).cast(), write: append, bytes: PhantomData }
    }
}

impl std::io::Write for ByteWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // SAFETY: `to` and `write` belong together (`new` is the only constructor), and `to` is still borrowed.
        unsafe { (self.write)(self.to, bytes.as_ptr(), bytes.len()) }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the engine can do with a type without its fields: the numbers convert into each other.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any type without its own case.
    Other = 0,
    /// `bool`.
    Bool,
    /// `i8`.
    I8,
    /// `i16`.
    I16,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `isize`.
    Isize,
    /// `i128`.
    I128,
    /// `u8`.
    U8,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// `usize`.
    Usize,
    /// `u128`.
    U128,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `String` or `&'static str`.
    String,
    /// Any JSON value.
    Json,
}

impl Kind {
    /// Whether this is one of the numbers (not `bool`).
    #[must_use]
    pub const fn is_number(self) -> bool {
        (self as u32) >= (Self::I8 as u32) && (self as u32) <= (Self::F64 as u32)
    }
}

/// What the engine knows of a type: how large it is, and which functions of that library handle it.
///
/// One lives in the read-only data of each library that uses the type.
#[repr(C)]
#[derive(Debug)]
pub struct TypeDesc {
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// What kind of type it is.
    pub kind: extern "C" fn() -> Kind,
    /// A number that is the same for one type in libraries of one session. A type redefined in a later cell
    /// keeps it, so the engine adds the hash of the definition (see [`Host::enter`]).
    pub id: extern "C" fn() -> u64,
    /// The full path of the type.
    pub name: extern "C" fn() -> Text,
    /// Drops a value in place and returns whether its destructor panicked. `None` if there is nothing to drop.
    pub drop: Option<unsafe extern "C" fn(*mut u8) -> bool>,
    /// Writes a value as JSON; if it cannot, writes why and returns false.
    pub to_json: unsafe extern "C" fn(*const u8, *mut ByteWriter) -> bool,
    /// Makes a value from JSON at the pointer; if it cannot, writes why and returns false. `None` for a type that
    /// is only ever given, never taken.
    pub from_json: Option<unsafe extern "C" fn(Text, *mut u8, *mut ByteWriter) -> bool>,
    /// What its values are wrapped in.
    pub wrapper: Wrapper,
    /// For a wrapper that is stored whole: the value in it.
    pub payload: Option<unsafe extern "C" fn(*const u8) -> OkPayload>,
}

/// What the values of a type that is given are wrapped in: to others it is the type of the values.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapper {
    /// Nothing.
    Unwrapped = 0,
    // Not `Result` and `Option`: the compiler would then write those of std with their paths in a user's errors.
    /// `Result<T, E>`: only an `Ok` is stored.
    OfResult,
    /// `Option<T>`: `None` is a missing value.
    OfOption,
    /// `Result<Option<T>, E>`.
    OfResultOfOption,
}

/// What is in a wrapper.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPayload {
    /// The value; null if there is an `Err` or `None`.
    pub at: *const u8,
    /// The id of its type (see [`TypeDesc::id`]): its name is all that is known of it otherwise, and types can share that.
    pub id: u64,
}

/// How a parameter takes its argument.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optionality {
    /// The slot is skipped if the output is missing.
    Required = 0,
    /// The slot runs all the same, with `None`.
    Optional,
    /// The slot does not look at it.
    Ignored,
}

/// One parameter of a slot's function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ParamDesc {
    /// The type that the argument pointer points at.
    pub ty: &'static TypeDesc,
    /// What happens when the argument is missing.
    pub need: Optionality,
    /// How the parameter is written in the function, for messages: `&Tweet`.
    pub name: extern "C" fn() -> Text,
}

/// How a call of a slot's function ended.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The output was written.
    Done = 0,
    /// The function returned `Err`; the sink has its text.
    Failed,
    /// The function panicked; the panic hook has told the host what and where.
    Panicked,
    /// The slot's time was over; a future was dropped.
    TimedOut,
    /// The function returned `None`, which was written as any output: there is none for this message.
    Nothing,
}

/// One call of an async slot that runs.
#[repr(C)]
#[derive(Debug)]
pub struct AsyncCall {
    /// The engine's side of it, for [`Host::complete`].
    pub ticket: *mut c_void,
    /// How long the call may take from its beginning, nanoseconds; 0 for as long as it likes, [`CANCELLED`] if nobody
    /// waits for it any more. It may change; then the library is told to look (see [`Run::Begin`]). Lives until
    /// `complete`.
    pub limit: *const AtomicU64,
}

/// In the place of a call's time: nobody waits for it any more, and it is to end at once, in whatever way.
pub const CANCELLED: u64 = u64::MAX;

/// How a slot's function is called.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// The call gives an output before it returns: state, one pointer an argument (null: missing), where the output
    /// goes, where an error's text goes.
    Call(unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, *mut ByteWriter) -> Outcome),
    /// The call begins a flight and returns: state, arguments, where the output goes, the flight. State, arguments
    /// and the place of the output stay valid, and nobody else's, until the library calls [`Host::complete`], which it
    /// does once, from any thread, when nothing of the call is left. The second function says that the limits of some
    /// flights have changed; it does not wait, and may be called at any time, also when no flight is left.
    Begin(unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, AsyncCall), extern "C" fn()),
}

/// One function in a slot, its types erased.
#[repr(C)]
#[derive(Debug)]
pub struct SlotDesc {
    /// The closure, on the heap of the library that made it.
    pub state: *mut u8,
    /// Frees the closure; returns whether a destructor panicked.
    pub drop: unsafe extern "C" fn(*mut u8) -> bool,
    /// Calls the closure.
    pub run: Run,
    /// The parameters; the first `arity` count.
    pub params: [ParamDesc; MAX_ARITY],
    /// How many arguments the closure takes.
    pub arity: usize,
    /// What the closure gives; a `Result` gives what is in `Ok`, an `Option` what is in `Some`.
    pub output: &'static TypeDesc,
}
// SAFETY: `state` is a closure that is `Send + Sync` (a bound of `Slot`), and the functions only use it as such.
unsafe impl Send for SlotDesc {}
// SAFETY: as above; `drop` takes it by value and is called once, by the owner.
unsafe impl Sync for SlotDesc {}

/// An iterator that gives messages, its types erased.
#[repr(C)]
#[derive(Debug)]
pub struct SourceDesc {
    /// The iterator, on the heap of the library that made it.
    pub state: *mut u8,
    /// Frees the iterator; returns whether a destructor panicked.
    pub drop: unsafe extern "C" fn(*mut u8) -> bool,
    /// Writes up to `max` items next to each other and returns how many; fewer than `max` means the end was
    /// reached. A panic of the iterator ends it too, and sets the flag.
    pub next: unsafe extern "C" fn(*mut u8, *mut u8, usize, *mut bool) -> usize,
    /// Whether the iterator knows how many items are left, so that it most likely has them at hand.
    pub exact: unsafe extern "C" fn(*const u8) -> bool,
    /// Makes a new iterator and frees the one before; returns whether that panicked. `None` if there is only one
    /// iterator; otherwise it is called before the first item too.
    pub again: Option<unsafe extern "C" fn(*mut u8) -> bool>,
    /// What the iterator gives.
    pub item: &'static TypeDesc,
}
// SAFETY: `state` is an iterator that is `Send` (a bound of `Machine::source`); one thread at a time uses it.
unsafe impl Send for SourceDesc {}

/// How a write ended.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All bytes were written, and nothing is left in a buffer.
    Done = 0,
    /// The other end reads nothing any more (`EPIPE`).
    Closed,
    /// The writer failed; the sink has the error's text.
    Failed,
    /// The writer panicked; the panic hook has passed message and place on to the host.
    Panicked,
}

/// A writer of lines, its type erased.
#[repr(C)]
#[derive(Debug)]
pub struct WriterDesc {
    /// The writer, on the heap of the library that made it.
    pub state: *mut u8,
    /// Frees the writer; returns whether a destructor panicked.
    pub drop: unsafe extern "C" fn(*mut u8) -> bool,
    /// Writes all of the bytes and flushes the writer: state, bytes, how many, where an error's text goes.
    pub write: unsafe extern "C" fn(*mut u8, *const u8, usize, *mut ByteWriter) -> Written,
}
// SAFETY: `state` is a writer that is `Send` (a bound of `Machine::to_lines`); one thread at a time uses it.
unsafe impl Send for WriterDesc {}

/// What became of a message that was put.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in the queue; the value was moved.
    Accepted = 0,
    /// The queue is full, and stayed so as long as the call waited; the value stays with the caller.
    Full,
    /// The user interrupted while the call waited; the value stays with the caller.
    Interrupted,
    /// There is no such machine; the value stays with the caller.
    NoMachine,
}

/// What came of asking for the next output.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// There is one.
    Output = 0,
    /// None came in time.
    TimedOut,
    /// None will come: the machine is stopped, and all that it gave was taken.
    Ended,
    /// The user interrupted the cell.
    Interrupted,
}

/// How long [`Host::put`] waits for a place in the queue, nanoseconds.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutWait(pub u64);

impl PutWait {
    /// As the machine's policy says.
    pub const POLICY: Self = Self(0);
    /// Until there is one.
    pub const FOREVER: Self = Self(u64::MAX);
}

/// The table of functions that the engine gives to cells.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// [`ABI_VERSION`] of the build that made the table.
    pub version: u32,
    /// Puts a message: machine, type, value. Moves the value only if it returns [`Put::Accepted`].
    pub put: unsafe extern "C" fn(u32, &'static TypeDesc, *mut u8, PutWait) -> Put,
    /// Puts values that lie next to each other: machine, type, the first, how many. With [`PutWait::FOREVER`] it waits until
    /// all are put, or the user interrupts; otherwise it does not wait. Moves the first ones, and returns how many;
    /// `usize::MAX` if there is no such machine.
    pub put_batch: unsafe extern "C" fn(u32, &'static TypeDesc, *mut u8, usize, PutWait) -> usize,
    /// Assigns a slot; the descriptor is moved. The third argument is JSON about the code (`SourceLocation`). Writes a
    /// `Reply` as JSON.
    pub assign: unsafe extern "C" fn(u32, u32, SlotDesc, Text, *mut ByteWriter),
    /// Sets the source; the descriptor is moved. The third argument is JSON (`Pacing`). Writes a `Reply` as JSON.
    pub source: unsafe extern "C" fn(u32, SourceDesc, Text, *mut ByteWriter),
    /// Takes one value through the slots, here and now; the value is moved. Returns a handle, or writes a `Reply`
    /// with the error and returns null.
    pub call: unsafe extern "C" fn(u32, &'static TypeDesc, *mut u8, *mut ByteWriter) -> *mut c_void,
    /// A pointer to a value of a call if it has the given type, else null: handle, 0 for the input and *i* + 1 for
    /// slot *i*, type.
    pub call_value: unsafe extern "C" fn(*const c_void, usize, &'static TypeDesc) -> *const u8,
    /// Writes a value of a call as JSON, or why there is none and returns false.
    pub call_json: unsafe extern "C" fn(*const c_void, usize, *mut ByteWriter) -> bool,
    /// Writes what a call has made, for people: a JSON array of `[name, value, reason]`, the input and each slot that has
    /// a function, with the reason if there is no value.
    pub call_shown: unsafe extern "C" fn(*const c_void, *mut ByteWriter),
    /// Writes the oid of a call.
    pub call_oid: unsafe extern "C" fn(*const c_void, *mut ByteWriter),
    /// Frees a call's handle.
    pub call_free: unsafe extern "C" fn(*mut c_void),
    /// Begins to collect the outputs of a machine: how many wait at most, and whether a thread takes them
    /// (`on_output`) or the cell itself. Returns a handle, or writes a `Reply` with the error and returns null.
    pub outputs: unsafe extern "C" fn(u32, usize, bool, *mut ByteWriter) -> *mut c_void,
    /// The next output, as the handle of a call; waits at most so many nanoseconds (the largest number: as long as it
    /// takes). Null if there is none.
    pub outputs_next: unsafe extern "C" fn(*const c_void, u64, *mut Pulled) -> *mut c_void,
    /// How many outputs did not fit.
    pub outputs_lost: unsafe extern "C" fn(*const c_void) -> u64,
    /// The number of these outputs among those of the machine.
    pub outputs_id: unsafe extern "C" fn(*const c_void) -> u64,
    /// Nobody takes them any more, and why, if that is an error.
    pub outputs_free: unsafe extern "C" fn(*mut c_void, Text),
    /// Begins to write what a slot gives as lines: machine, slot, the writer, which is moved, and whether it is the
    /// standard output. Writes a `Reply` as JSON.
    pub lines: unsafe extern "C" fn(u32, usize, WriterDesc, bool, *mut ByteWriter),
    /// Carries out a `Command` in JSON and writes its `Reply` in JSON.
    pub command: unsafe extern "C" fn(Text, *mut ByteWriter),
    /// Called first in every cell with the flag in the cell's library that is set while [`must_stop`](Self::must_stop)
    /// is worth a call. From then on the library's own types are the ones that the session has just defined.
    pub enter: unsafe extern "C" fn(&'static AtomicBool),
    /// Called by the panic hook: message, file, line, column. Returns whether the panic was recorded and must not
    /// be printed.
    pub panicked: unsafe extern "C" fn(Text, Text, u32, u32) -> bool,
    /// Tells that a cell fails: name of the error, its text, 1-based line in the cell (0: unknown).
    pub fail: unsafe extern "C" fn(Text, Text, u32),
    /// Shows something in the notebook: MIME type and content.
    pub show: unsafe extern "C" fn(Text, Text),
    /// Whether the calling thread is the one that runs the cell.
    pub on_cell_thread: extern "C" fn() -> bool,
    /// Whether the calling thread has to stop: 0 if not, 1 if the user interrupted the cell, 2 if its cell was abandoned.
    pub must_stop: extern "C" fn() -> u32,
    /// Ends a flight: its ticket, how it ended, the text of an error. A panic is told on the thread that panicked,
    /// before it panics again.
    pub complete: unsafe extern "C" fn(*mut c_void, Outcome, Text),
    /// From here on panics of the calling thread belong to slots: they are recorded, not printed.
    pub slot_thread: extern "C" fn(),
}

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// Gives this build of the crate its engine. `machine_engine::init` calls it.
pub fn register(host: &'static Host) {
    // Release: pairs with the Acquire in `host`, so that the table is seen whole.
    HOST.store(std::ptr::from_ref(host).cast_mut(), Ordering::Release);
}

/// The engine's table.
///
/// # Panics
/// If the process has no engine, or one of another version of this crate.
#[inline]
#[must_use]
pub fn host() -> &'static Host {
    // Acquire: pairs with the Release in `register`.
    let host = HOST.load(Ordering::Acquire);
    if host.is_null() {
        return find_host();
    }
    // SAFETY: only `register` stores, and only `&'static Host`.
    unsafe { &*host }
}

#[cold]
fn find_host() -> &'static Host {
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    }
    let default_handle: *mut c_void =
        if cfg!(target_os = "macos") { std::ptr::without_provenance_mut(usize::MAX - 1) } else { std::ptr::null_mut() };
    let mut symbol = HOST_SYMBOL.as_bytes().to_vec();
    symbol.push(0);
    // SAFETY: `symbol` is a C string; the handle is RTLD_DEFAULT of this system.
    let found = unsafe { dlsym(default_handle, symbol.as_ptr().cast()) };
    assert!(!found.is_null(), "this program has no machine engine: call `machine_engine::init()` first");
    // SAFETY: the executable exports a static `Host` under this name, and `version` is its first field in every
    // version of the table.
    let host: &'static Host = unsafe { &*found.cast::<Host>() };
    assert!(
        host.version == ABI_VERSION,
        "this library speaks version {ABI_VERSION} of the machine's boundary, the kernel version {}: \
         install both from one checkout, with ./install/run",
        host.version
    );
    register(host);
    host
}
