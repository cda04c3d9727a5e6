//! Where panics in the cells' libraries happened.
#![allow(unsafe_code, reason = "the library that a place is in is found with libc")]

use crate::session::cell_lines::{self, Start};
use std::collections::HashMap;
use std::ffi::CStr;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// What cells are compiled from, as the compiler names it.
const SOURCE: &str = "src/lib.rs";

/// The tables of the libraries, by their paths.
static LIBRARIES: LazyLock<Mutex<HashMap<String, Vec<Start>>>> = LazyLock::new(Mutex::default);

fn libraries() -> MutexGuard<'static, HashMap<String, Vec<Start>>> {
    LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A library is about to be loaded, the one that was made last.
pub fn remember(library: &str) {
    libraries().insert(library.to_owned(), cell_lines::read(Path::new(library)));
}

/// The cell and line of a place, for people. Empty if it is in no cell. `file` is the text that is part of the code
/// which panicked: its address tells which library that is.
pub fn name(file: &str, line: u32) -> String {
    if file != SOURCE {
        return String::new();
    }
    let Some(library) = library_of(file.as_ptr()) else { return String::new() };
    let found = libraries().get(&library).and_then(|table| cell_lines::find(table, line));
    found.map(|(cell, line)| format!("cell [{cell}], line {line}")).unwrap_or_default()
}

/// The path that the library was loaded by in which an address is.
fn library_of(address: *const u8) -> Option<String> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` looks the address up, does not read from it, and fills `info` in if it finds it; all zeroes are a
    // value of it otherwise.
    let (found, info) = unsafe { (libc::dladdr(address.cast(), info.as_mut_ptr()), info.assume_init()) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the name ends in a zero and lives as long as the library, which is never unloaded.
    unsafe { CStr::from_ptr(info.dli_fname) }.to_str().ok().map(str::to_owned)
}
