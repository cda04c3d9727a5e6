//! How the runtime process ends: never unseen, and never later than the kernel.
#![allow(unsafe_code, reason = "signals and process control are libc's")]

use super::pump::Pump;
use crate::control::server::Outbox;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The real standard error, for the handlers.
static STDERR: AtomicI32 = AtomicI32::new(libc::STDERR_FILENO);
/// The stack of a thread in the place of the main one, if there is no limit, bytes.
const LARGEST_STACK: usize = 256 << 20;
/// Where the stack of the thread that runs the cells can grow to at most.
static STACK_END: AtomicUsize = AtomicUsize::new(0);
static LAST_OUTPUT: OnceLock<(Arc<Pump>, Arc<Outbox>)> = OnceLock::new();

/// Asks the system to end this process when the kernel dies. Elsewhere than on Linux the end of the control socket
/// does.
pub fn die_with_the_kernel() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a property of this process. The parent's thread that started it lives as long as the session.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Ends the process without running anything more but the removal of its sockets.
pub fn exit_at_once() -> ! {
    machine_remote::close();
    // SAFETY: does not return.
    unsafe { libc::_exit(0) }
}

/// Remembers what the handlers need. Call it on the main thread.
pub fn prepare(pump: &Arc<Pump>, outbox: &Arc<Outbox>) {
    extern "C" fn at_exit() {
        if let Some((pump, outbox)) = LAST_OUTPUT.get() {
            pump.end();
            outbox.flush(Duration::from_millis(300));
        }
        machine_remote::close();
    }
    STDERR.store(pump.real_stderr(), Ordering::Relaxed);
    let _ = LAST_OUTPUT.set((Arc::clone(pump), Arc::clone(outbox)));
    // SAFETY: `at_exit` is a function that may run at the end of the process.
    unsafe {
        libc::atexit(at_exit);
    }
    watch_stack(stack_size());
}

/// How far the stack of a thread that runs cells may grow, bytes.
pub fn stack_size() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is written by the call.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } == 0;
    usize::try_from(limit.rlim_cur).ok().filter(|size| known && *size <= LARGEST_STACK).unwrap_or(LARGEST_STACK)
}

/// Remembers how far the stack of the calling thread can grow: it runs the cells.
pub fn watch_stack(size: usize) {
    let here = 0_u8;
    STACK_END.store((&raw const here).addr().saturating_sub(size), Ordering::Relaxed);
}

/// Handles the signals by which broken code dies.
pub fn install_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT] {
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
        // SAFETY: the structure is valid when zeroed, and the handler only does what a handler may. It runs on the
        // alternative stack that std gives to each of its threads, so that it also sees the end of the stack.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Says what happened, lets the other threads hand on what was printed, and dies of the same signal.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: only async-signal-safe calls; `info` is valid in a handler.
    unsafe {
        if signal == libc::SIGSEGV || signal == libc::SIGBUS {
            let address = (*info).si_addr().addr();
            let end = STACK_END.load(Ordering::Relaxed);
            let near = 1 << 20;
            let overflow = end != 0 && address >= end.saturating_sub(near) && address < end + near;
            say(if overflow {
                b"the stack overflowed: too deep a recursion, or too large a value in a function\n"
            } else {
                b"invalid memory reference\n"
            });
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 60_000_000 };
        libc::nanosleep(&raw const pause, std::ptr::null_mut());
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

fn say(text: &[u8]) {
    // SAFETY: writes from a slice; a failure changes nothing.
    unsafe {
        libc::write(STDERR.load(Ordering::Relaxed), text.as_ptr().cast(), text.len());
    }
}
