//! Values of types that the engine does not know: storage, and the functions of their descriptors.
//!
//! Each value has one owner: a `Value` here, or a place in a `Frame`. The owner drops it once.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

mod buffer;
mod digits;
mod inlet;
mod json;
mod message;
mod text;
mod writer;

pub(crate) use buffer::Buffer;
pub(crate) use digits::{MOST_DIGITS, write_number};
pub(crate) use inlet::Inlet;
pub(crate) use json::{from_json, json, parse_check, write_json};
pub(crate) use message::{InPlace, Message};
pub(crate) use text::{JSON_TEXT, json_message};
pub(crate) use writer::Writer;

use machine::abi::{SlotDesc, TypeDesc};
use std::alloc::Layout;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

/// Of memory for a value: at least one byte, so that it is memory at all.
fn layout(desc: &TypeDesc) -> Layout {
    // Size and alignment come from `size_of` and `align_of`, so they do make a layout.
    Layout::from_size_align(desc.size.max(1), desc.align).unwrap_or(Layout::new::<u8>())
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

/// The base address of the library or executable that an address is in; 0 if it is in none.
pub(crate) fn library_of(address: usize) -> usize {
    if cfg!(miri) {
        // It knows no libraries: there is one program.
        return 1;
    }
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

/// Calls `child` in each process that is forked from this one. Where the system has no room for that, it is not called.
pub(crate) fn after_fork(child: extern "C" fn()) {
    #[cfg(not(miri))]
    // SAFETY: `child` has no arguments, does not unwind, and lives as long as the process.
    unsafe {
        libc::pthread_atfork(None, None, Some(child));
    }
    #[cfg(miri)]
    let _ = child;
}

/// Frees a slot's closure. A panic of its destructor ends in its own library.
pub(crate) fn free(desc: &SlotDesc) {
    // SAFETY: called once, by the owner's `Drop`.
    let _panicked = unsafe { (desc.drop)(desc.state) };
}
