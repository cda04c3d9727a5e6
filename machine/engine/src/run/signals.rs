//! What the process does on a signal.
#![allow(unsafe_code, reason = "the disposition of a signal is asked for with libc")]

use std::ffi::c_int;
use std::mem::MaybeUninit;

/// Whether the process ignores a signal. One that was started by `nohup` ignores `SIGHUP`, and has to go on doing so.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action `sigaction` changes nothing, and writes the action that there is.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroes are a valid `sigaction`, too.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
