//! The typed shims: for each type, closure and iterator the functions that its descriptor points at.
//!
//! They are compiled into the library of the cell, a few lines each, and run user code under `catch_unwind`.
#![allow(unsafe_code, reason = "the boundary: the other of the two files of this crate with unsafe code")]

use crate::abi::{Kind, MAX_ARITY, Outcome, ParamDesc, Pulled, Run, Sink, SlotDesc, SourceDesc, Text, TypeDesc, host};
use crate::payload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::{Any, TypeId, type_name};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f` and tells whether it panicked. Not generic, so that cells do not compile it again.
pub fn panics(f: &mut dyn FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).map_err(bury).is_err()
}

/// Drops the payload of a panic. One whose own destructor panics is leaked: it had its chance.
#[cold]
pub fn bury(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn say(sink: *mut Sink, text: std::fmt::Arguments<'_>) {
    // SAFETY: every caller passes the sink that the engine gave it for the call.
    let sink = unsafe { &mut *sink };
    // Writing to a `Sink` cannot fail; a `Display` that panics loses the rest of its own text.
    panics(&mut || drop(sink.write_fmt(text)));
}

extern "C" fn id_of<T: 'static>() -> u64 {
    struct Capture(u64);
    impl Hasher for Capture {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = self.0.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
            }
        }
        fn write_u64(&mut self, n: u64) {
            self.0 = self.0.rotate_left(29) ^ n;
        }
    }
    let mut capture = Capture(0);
    TypeId::of::<T>().hash(&mut capture);
    capture.finish()
}

extern "C" fn name_of<T>() -> Text {
    Text::new(type_name::<T>())
}

extern "C" fn kind_of<T: 'static>() -> Kind {
    let id = TypeId::of::<T>();
    macro_rules! among {
        ($($ty:ty => $kind:ident),*) => { $(if id == TypeId::of::<$ty>() { return Kind::$kind; })* };
    }
    among!(f64 => F64, f32 => F32, i64 => I64, u64 => U64, i32 => I32, u32 => U32, usize => Usize, isize => Isize,
        i16 => I16, u16 => U16, i8 => I8, u8 => U8, bool => Bool, String => String, &'static str => String,
        serde_json::Value => Json);
    Kind::Other
}

unsafe extern "C" fn drop_value<T>(value: *mut u8) -> bool {
    // SAFETY: the engine passes a value of the type that the descriptor is of, and never touches it again.
    panics(&mut || unsafe { std::ptr::drop_in_place(value.cast::<T>()) })
}

unsafe extern "C" fn to_json<T: Serialize>(value: *const u8, sink: *mut Sink) -> bool {
    // SAFETY: the engine passes a value of the type that the descriptor is of, live for the call.
    let value = unsafe { &*value.cast::<T>() };
    let mut scratch = Scratch::new();
    let mut result = None;
    panics(&mut || result = Some(serde_json::to_writer(&mut scratch, value)));
    written(result, &scratch, type_name::<T>(), sink)
}

/// JSON text as it comes about: at first on the stack, so that most values cost no allocation. It goes to the sink as
/// a whole, so that a value that fails on the way leaves nothing there.
struct Scratch {
    small: [MaybeUninit<u8>; 512],
    /// How many bytes of `small` are written; none any more once `large` is in use.
    length: usize,
    large: Vec<u8>,
}

impl Scratch {
    const fn new() -> Self {
        Self { small: [MaybeUninit::uninit(); 512], length: 0, large: Vec::new() }
    }

    fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &self.large;
        }
        // SAFETY: so many bytes were written.
        unsafe { std::slice::from_raw_parts(self.small.as_ptr().cast(), self.length) }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.length > 0 {
            self.large.reserve(4 * self.small.len());
            let small = self.bytes().to_vec();
            self.large.extend_from_slice(&small);
            self.length = 0;
        }
        self.large.extend_from_slice(bytes);
    }
}

impl Write for Scratch {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.small.len() - self.length;
        if bytes.len() > room || !self.large.is_empty() {
            self.spill(bytes);
            return Ok(bytes.len());
        }
        // SAFETY: there is room, as has just been looked; the two do not overlap.
        unsafe {
            let to = self.small.as_mut_ptr().add(self.length).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.length += bytes.len();
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The end of `to_json`, of any type.
fn written(result: Option<serde_json::Result<()>>, json: &Scratch, name: &str, sink: *mut Sink) -> bool {
    match result {
        Some(Ok(())) => {
            // SAFETY: the engine passes a live sink. Writing to it cannot fail.
            let _ = unsafe { (*sink).write_all(json.bytes()) };
            return true;
        }
        Some(Err(error)) => say(sink, format_args!("{} does not serialise: {error}", short(name))),
        None => say(sink, format_args!("{} panics while it serialises", short(name))),
    }
    false
}

unsafe extern "C" fn from_json<T: DeserializeOwned>(json: Text, to: *mut u8, sink: *mut Sink) -> bool {
    // SAFETY: the engine passes live text.
    let json = unsafe { json.as_str() };
    let mut result = None;
    panics(&mut || result = Some(serde_json::from_str::<T>(json)));
    let error = match result {
        Some(Ok(value)) => {
            // SAFETY: `to` has room for a `T`, aligned, and holds no value.
            unsafe { to.cast::<T>().write(value) };
            return true;
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    unread(error, type_name::<T>(), sink)
}

/// The end of `from_json` if there is no value, of any type.
#[cold]
fn unread(error: Option<serde_json::Error>, name: &str, sink: *mut Sink) -> bool {
    match error {
        Some(error) => say(sink, format_args!("{error}")),
        None => say(sink, format_args!("{} panics while it deserialises", short(name))),
    }
    false
}

unsafe extern "C" fn payload_of<T: Serialize>(value: *const u8) -> *const u8 {
    // SAFETY: the engine passes a value of the type that the descriptor is of, live for the call.
    payload::ok(unsafe { &*value.cast::<T>() }).unwrap_or(std::ptr::null())
}

struct Of<T>(PhantomData<T>);

impl<T: Serialize + 'static> Of<T> {
    const GIVEN: TypeDesc = TypeDesc {
        size: size_of::<T>(),
        align: align_of::<T>(),
        kind: kind_of::<T>,
        id: id_of::<T>,
        name: name_of::<T>,
        drop: if std::mem::needs_drop::<T>() { Some(drop_value::<T>) } else { None },
        to_json: to_json::<T>,
        from_json: None,
        payload: None,
    };
    const RESULT: TypeDesc = TypeDesc { payload: Some(payload_of::<T>), ..Self::GIVEN };
}

impl<T: Serialize + DeserializeOwned + 'static> Of<T> {
    const TAKEN: TypeDesc = TypeDesc { from_json: Some(from_json::<T>), ..Self::GIVEN };
}

/// The descriptor of a type that slots take.
#[must_use]
pub fn taken<T: Serialize + DeserializeOwned + 'static>() -> &'static TypeDesc {
    &Of::<T>::TAKEN
}

/// The descriptor of a type that is only given: a message, an output.
#[must_use]
pub fn given<T: Serialize + 'static>() -> &'static TypeDesc {
    &Of::<T>::GIVEN
}

/// The descriptor of a type that a slot's function returns as it is, which may be a whole `Result`.
#[must_use]
pub fn returned<T: Serialize + 'static>() -> &'static TypeDesc {
    if is_result::<T>() { &Of::<T>::RESULT } else { &Of::<T>::GIVEN }
}

#[inline]
fn is_result<T>() -> bool {
    type_name::<T>().starts_with("core::result::Result<")
}

/// A type's name as people write it: without the paths. `alloc::vec::Vec<ctx::Tweet>` is `Vec<Tweet>`.
#[must_use]
pub fn short(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            word.clear();
        } else {
            out.push_str(&word);
            word.clear();
            out.push(c);
        }
    }
    out.push_str(&word);
    out
}

/// One argument of a slot's function: a pointer to a value of the parameter's stored type, or none.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'m> {
    ptr: *const u8,
    message: PhantomData<&'m ()>,
}

impl<'m> Arg<'m> {
    /// Argument `number` of a call.
    ///
    /// # Safety
    /// `args` is what the engine passed to [`Run`], `number` is below the function's arity, and the call goes on for
    /// `'m`.
    #[must_use]
    pub unsafe fn of(args: *const *const u8, number: usize) -> Self {
        // SAFETY: the engine passes one pointer for each parameter of the descriptor.
        Self { ptr: unsafe { *args.add(number) }, message: PhantomData }
    }

    /// The value. Each [`Param`](crate::slot::Param) reads the type that it told the engine in its descriptor.
    pub(crate) fn read<T>(self) -> &'m T {
        debug_assert!(!self.ptr.is_null());
        // SAFETY: an `Arg` is only made by `of`, from a pointer to a live value of the type in the parameter's
        // descriptor; the engine calls a slot only if all required arguments are there.
        unsafe { &*self.ptr.cast::<T>() }
    }

    /// Whether the output is missing.
    pub(crate) fn is_missing(self) -> bool {
        self.ptr.is_null()
    }
}

/// What one call of a closure gave.
pub(crate) enum Returned<T> {
    /// The output.
    Output(T),
    /// The slot's error for this message.
    Failed,
}

/// A closure with its types known: what the shim calls.
pub(crate) trait Call: Send + Sync + 'static {
    /// What the engine stores.
    type Output: 'static;
    /// Calls the closure. `args` holds as many arguments as the closure has parameters.
    fn call<'m>(
        &self,
        args: impl Fn(usize) -> Arg<'m>,
        fail: impl FnOnce(std::fmt::Arguments<'_>),
    ) -> Returned<Self::Output>;
}

unsafe extern "C" fn call<C: Call>(state: *const u8, args: *const *const u8, out: *mut u8, sink: *mut Sink) -> Outcome {
    // SAFETY: `state` is the `C` that `erase` put on the heap, and not freed while a call runs.
    let closure = unsafe { &*state.cast::<C>() };
    let mut outcome = Outcome::Panicked;
    // Generic, unlike `panics`: most closures cannot panic, and then nothing of it is left.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `args` is the engine's for this call, and the closure asks for as many as it has parameters.
        let args = |i: usize| unsafe { Arg::of(args, i) };
        outcome = match closure.call(args, |text| say(sink, text)) {
            Returned::Output(value) => {
                // SAFETY: `out` has room for an output as described, aligned, and holds no value.
                unsafe { out.cast::<C::Output>().write(value) };
                Outcome::Done
            }
            Returned::Failed => Outcome::Failed,
        };
    }));
    if let Err(payload) = result {
        bury(payload);
        return Outcome::Panicked;
    }
    outcome
}

unsafe extern "C" fn drop_boxed<T>(state: *mut u8) -> bool {
    // SAFETY: `state` is the box that `erase` or `source` made; the engine frees it once.
    panics(&mut || drop(unsafe { Box::from_raw(state.cast::<T>()) }))
}

/// Erases a closure's types.
pub(crate) fn erase<C: Call, const N: usize>(
    closure: C,
    params: &[ParamDesc; N],
    output: &'static TypeDesc,
) -> SlotDesc {
    describe(closure, Run::Call(call::<C>), params, output)
}

/// A slot's descriptor: its closure goes on the heap, to be called by `run`.
#[must_use]
pub fn describe<C: Send + Sync + 'static, const N: usize>(
    closure: C,
    run: Run,
    params: &[ParamDesc; N],
    output: &'static TypeDesc,
) -> SlotDesc {
    const { assert!(N > 0 && N <= MAX_ARITY) };
    let mut all = [params[0]; MAX_ARITY];
    for (to, from) in all.iter_mut().zip(params) {
        *to = *from;
    }
    SlotDesc {
        state: Box::into_raw(Box::new(closure)).cast(),
        drop: drop_boxed::<C>,
        run,
        params: all,
        arity: N,
        output,
    }
}

/// The name of a parameter's type, for its descriptor.
pub(crate) extern "C" fn param_name<P>() -> Text {
    Text::new(type_name::<P>())
}

unsafe extern "C" fn next<I: Iterator>(state: *mut u8, to: *mut u8, max: usize, panicked: *mut bool) -> usize {
    // SAFETY: `state` is the iterator that `source` put on the heap; one thread at a time uses it.
    let iterator = unsafe { &mut *state.cast::<I>() };
    let mut count = 0;
    let failed = panics(&mut || {
        while count < max {
            let Some(item) = iterator.next() else { break };
            // SAFETY: the engine gives room for `max` items.
            unsafe { to.cast::<I::Item>().add(count).write(item) };
            count += 1;
        }
    });
    // SAFETY: the engine passes a live flag.
    unsafe { *panicked = failed };
    count
}

unsafe extern "C" fn exact<I: Iterator>(state: *const u8) -> bool {
    // SAFETY: as in `next`.
    let iterator = unsafe { &*state.cast::<I>() };
    let mut exact = false;
    panics(&mut || exact = matches!(iterator.size_hint(), (least, Some(most)) if least == most));
    exact
}

/// Erases an iterator's types.
pub(crate) fn source<I>(iterator: I) -> SourceDesc
where
    I: Iterator + Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    SourceDesc {
        state: Box::into_raw(Box::new(iterator)).cast(),
        drop: drop_boxed::<I>,
        next: next::<I>,
        exact: exact::<I>,
        again: None,
        item: given::<I::Item>(),
    }
}

/// A function that makes iterators, and the one that it made last.
struct Again<F, I> {
    make: F,
    now: Option<I>,
}

impl<F, I: Iterator> Iterator for Again<F, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.now.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.now.as_ref().map_or((0, Some(0)), Iterator::size_hint)
    }
}

unsafe extern "C" fn again<F: FnMut() -> I, I>(state: *mut u8) -> bool {
    // SAFETY: `state` is what `source_again` put on the heap; one thread at a time uses it.
    let state = unsafe { &mut *state.cast::<Again<F, I>>() };
    panics(&mut || {
        // The old one first: it may hold what the new one needs.
        state.now = None;
        state.now = Some((state.make)());
    })
}

/// Erases the types of a function that makes iterators.
pub(crate) fn source_again<F, I>(make: F) -> SourceDesc
where
    F: FnMut() -> I + Send + 'static,
    I: Iterator + Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    SourceDesc { again: Some(again::<F, I>), ..source::<Again<F, I>>(Again { make, now: None }) }
}

/// Gives `value` to `f` as a pointer. `f` returns whether it moved the value; if it did not, it comes back.
pub(crate) fn lend<T, R>(value: T, f: impl FnOnce(*mut u8) -> (bool, R)) -> (Option<T>, R) {
    let mut value = MaybeUninit::new(value);
    let (moved, result) = f(value.as_mut_ptr().cast());
    // SAFETY: written above, and not moved.
    ((!moved).then(|| unsafe { value.assume_init() }), result)
}

/// Asks the engine: `f` is given a sink, and what was written into it comes back.
pub(crate) fn ask(f: impl FnOnce(*mut Sink)) -> Vec<u8> {
    let mut bytes = Vec::new();
    f(&mut Sink::new(&mut bytes));
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

/// The calls of the table that need no types: safe wrappers.
pub(crate) mod raw {
    use super::{Serialize, SlotDesc, SourceDesc, Text, ask, given, host, lend};
    use crate::abi::{Patience, Put};

    #[inline]
    pub(crate) fn put<T: Serialize + Send + 'static>(machine: u32, value: T, wait: Patience) -> (Option<T>, Put) {
        lend(value, |v| {
            // SAFETY: type and value belong together; the value is moved exactly if it was accepted.
            let put = unsafe { (host().put)(machine, given::<T>(), v, wait) };
            (put == Put::Accepted, put)
        })
    }

    /// Puts values from the front of `values`; returns how many, or `None` if there is no such machine.
    pub(crate) fn put_batch<T: Serialize + Send + 'static>(machine: u32, values: &mut Vec<T>) -> Option<usize> {
        let count = values.len();
        // SAFETY: the elements are moved below as far as the engine says that it took them; until then, should this
        // unwind, the vector has none.
        unsafe {
            values.set_len(0);
            let first = values.as_mut_ptr();
            let put = (host().put_batch)(machine, given::<T>(), first.cast(), count);
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

    pub(crate) fn command(json: &str) -> Vec<u8> {
        // SAFETY: text and sink live for the call.
        ask(|sink| unsafe { (host().command)(Text::new(json), sink) })
    }

    pub(crate) fn enter() {
        static HERE: u8 = 0;
        // SAFETY: any address in this library will do.
        unsafe { (host().enter)(std::ptr::from_ref(&HERE).cast()) }
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
}

/// Whether a `Result` that is returned whole holds an error; writes its text.
#[inline]
pub fn failed<R: Serialize>(value: &R, fail: impl FnOnce(std::fmt::Arguments<'_>)) -> bool {
    if !is_result::<R>() || payload::ok(value).is_some() {
        return false;
    }
    let mut json = Vec::new();
    // SAFETY: the value is an `R`, and the sink lives for the call.
    unsafe { to_json::<R>(std::ptr::from_ref(value).cast(), &mut Sink::new(&mut json)) };
    fail(format_args!("{}", payload::error(&json)));
    true
}
