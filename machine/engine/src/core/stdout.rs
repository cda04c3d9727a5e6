//! The standard output of a pipeline's process: whether it can be written, and why not.
//!
//! A filter whose reader has gone ends, and so does one whose disk is full: what it would print is lost. Rust ignores
//! `SIGPIPE`, so `println!` panics instead, in a slot, in `on_output` or wherever else; the panic hook reports that here.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How the panic of `println!` begins.
const PRINT_PANIC: &str = "failed printing to stdout: ";

/// Why standard output cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StdoutError {
    /// Its reader has gone.
    pub is_closed: bool,
    pub text: String,
}

static ERROR: Mutex<Option<StdoutError>> = Mutex::new(None);
static FAILED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Option<StdoutError>> {
    ERROR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reports that a write has failed. The first report counts.
pub(crate) fn fail(is_closed: bool, text: &str) {
    lock().get_or_insert_with(|| StdoutError { is_closed, text: text.to_owned() });
    FAILED.notify_all();
}

/// Called with the message of each panic. Returns whether it is that of a `println!` whose reader has gone: no news.
pub(crate) fn note_panic(message: &str) -> bool {
    let Some(error) = message.strip_prefix(PRINT_PANIC) else { return false };
    let is_closed = error.ends_with(&format!("(os error {})", libc::EPIPE));
    fail(is_closed, error);
    is_closed
}

/// Why it cannot be written, if a write has failed.
pub(crate) fn error() -> Option<StdoutError> {
    lock().clone()
}

/// Waits until a write fails.
pub(crate) fn wait_for_error() {
    drop(FAILED.wait_while(lock(), |error| error.is_none()).unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use super::{StdoutError, error, note_panic};

    #[test]
    fn the_panic_of_a_print_is_recognised() {
        assert!(!note_panic("index out of bounds"));
        assert_eq!(error(), None);
        // As std writes it: `failed printing to {label}: {error}`.
        let text = std::io::Error::from_raw_os_error(libc::EPIPE).to_string();
        assert!(note_panic(&format!("failed printing to stdout: {text}")));
        assert_eq!(error(), Some(StdoutError { is_closed: true, text }));
        assert!(!note_panic("failed printing to stdout: No space left on device (os error 28)"));
    }
}
