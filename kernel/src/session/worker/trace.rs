//! How long things take, for whoever wants to know.

use std::time::Instant;

/// Tells how long something took, if `MACHINE_TRACE` is set.
#[expect(clippy::print_stderr, reason = "asked for by whoever sets the variable")]
pub(super) fn trace(what: &str, start: Instant) {
    if std::env::var_os("MACHINE_TRACE").is_some() {
        eprintln!("{:8.3} s  {what}", start.elapsed().as_secs_f64());
    }
}
