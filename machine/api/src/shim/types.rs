//! Descriptors of types: how their values are dropped, written and read.

use super::{panics, say};
use crate::abi::{ByteWriter, Kind, OkPayload, Text, TypeDesc, Wrapper};
use crate::payload::{self, Content};
use crate::type_id::id;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::{TypeId, type_name};
use std::io::Write;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

extern "C" fn id_of<T: 'static>() -> u64 {
    id::<T>()
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
        i16 => I16, u16 => U16, i8 => I8, u8 => U8, i128 => I128, u128 => U128, bool => Bool, String => String, &'static str => String,
        serde_json::Value => Json);
    Kind::Other
}

unsafe extern "C" fn drop_value<T>(value: *mut u8) -> bool {
    // SAFETY: the engine passes a value of the type that the descriptor is of, and never touches it again.
    panics(&mut || unsafe { std::ptr::drop_in_place(value.cast::<T>()) })
}

unsafe extern "C" fn to_json<T: Serialize>(value: *const u8, sink: *mut ByteWriter) -> bool {
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
fn written(result: Option<serde_json::Result<()>>, json: &Scratch, name: &str, sink: *mut ByteWriter) -> bool {
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

unsafe extern "C" fn from_json<T: DeserializeOwned>(json: Text, to: *mut u8, sink: *mut ByteWriter) -> bool {
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
fn unread(error: Option<serde_json::Error>, name: &str, sink: *mut ByteWriter) -> bool {
    match error {
        Some(error) => say(sink, format_args!("{error}")),
        None => say(sink, format_args!("{} panics while it deserialises", short(name))),
    }
    false
}

/// # Safety
/// `value` is a live `T`.
unsafe fn inside<T: Serialize>(value: *const u8, wrapper: Wrapper) -> OkPayload {
    // SAFETY: the caller's.
    match payload::content(unsafe { &*value.cast::<T>() }, wrapper) {
        Some(Content::Value(inside)) => inside,
        Some(Content::Nothing) | None => OkPayload { at: std::ptr::null(), id: 0 },
    }
}

macro_rules! payloads {
    ($($name:ident: $wrapper:ident),*) => { $(
        unsafe extern "C" fn $name<T: Serialize>(value: *const u8) -> OkPayload {
            // SAFETY: the engine passes a value of the type that the descriptor is of, live for the call.
            unsafe { inside::<T>(value, Wrapper::$wrapper) }
        }
    )* };
}
payloads!(in_result: OfResult, in_option: OfOption, in_result_of_option: OfResultOfOption);

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
        wrapper: Wrapper::Unwrapped,
        payload: None,
    };
    const RESULT: TypeDesc = TypeDesc { wrapper: Wrapper::OfResult, payload: Some(in_result::<T>), ..Self::GIVEN };
    const OPTION: TypeDesc = TypeDesc { wrapper: Wrapper::OfOption, payload: Some(in_option::<T>), ..Self::GIVEN };
    const RESULT_OF_OPTION: TypeDesc =
        TypeDesc { wrapper: Wrapper::OfResultOfOption, payload: Some(in_result_of_option::<T>), ..Self::GIVEN };
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
    if wrapper::<T>() == Wrapper::OfOption { &Of::<T>::OPTION } else { &Of::<T>::GIVEN }
}

/// The descriptor of a type that a slot's function returns as it is, which may be a whole `Result`.
#[must_use]
pub fn returned<T: Serialize + 'static>() -> &'static TypeDesc {
    match wrapper::<T>() {
        Wrapper::Unwrapped => &Of::<T>::GIVEN,
        Wrapper::OfResult => &Of::<T>::RESULT,
        Wrapper::OfOption => &Of::<T>::OPTION,
        Wrapper::OfResultOfOption => &Of::<T>::RESULT_OF_OPTION,
    }
}

/// What a type is, by its name: other crates' types of these names have other paths.
#[inline]
fn wrapper<T>() -> Wrapper {
    let name = type_name::<T>();
    if name.starts_with("core::result::Result<") {
        if name.starts_with("core::result::Result<core::option::Option<") {
            Wrapper::OfResultOfOption
        } else {
            Wrapper::OfResult
        }
    } else if name.starts_with("core::option::Option<") {
        Wrapper::OfOption
    } else {
        Wrapper::Unwrapped
    }
}

/// What kind of number, if any, a type is.
pub(crate) fn kind<T: 'static>() -> Kind {
    kind_of::<T>()
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

/// What a function's value is to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// An output.
    Present,
    /// `None`: there is no output.
    Nothing,
    /// An error.
    Failed,
}

/// What a value is that a function returned as it is, which may be a whole `Result`; writes the text of an error.
#[inline]
pub fn judge<R: Serialize>(value: &R, fail: impl FnOnce(std::fmt::Arguments<'_>)) -> Judged {
    let wrapper = wrapper::<R>();
    if wrapper == Wrapper::Unwrapped {
        return Judged::Present;
    }
    match payload::content(value, wrapper) {
        Some(Content::Value(_)) => return Judged::Present,
        Some(Content::Nothing) => return Judged::Nothing,
        None => {}
    }
    let mut json = Vec::new();
    // SAFETY: the value is an `R`, and the sink lives for the call.
    unsafe { to_json::<R>(std::ptr::from_ref(value).cast(), &mut ByteWriter::new(&mut json)) };
    fail(format_args!("{}", payload::error(&json)));
    Judged::Failed
}

/// Whether a value that was in `Ok` is `None`.
#[inline]
pub fn is_nothing<R: Serialize>(value: &R) -> bool {
    wrapper::<R>() == Wrapper::OfOption && payload::content(value, Wrapper::OfOption) == Some(Content::Nothing)
}
