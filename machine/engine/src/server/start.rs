//! The start of the engine.

use crate::core::hook;
use crate::core::observer::{self, Observer, notice};
use crate::server::registry::make;
use crate::server::{clock, host, metrics, remote};
use machine_protocol::command::{Config, DEFAULT_MACHINE};
use std::sync::Once;

/// Starts all but what makes sources and sinks. The second call does nothing.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ::machine::abi::register(&host::HOST);
        hook::install();
        // The default machine's numbers are in range.
        let _made = make(Config::new(DEFAULT_MACHINE));
        clock::start();
        metrics::start();
        if let Err(error) = remote::listen() {
            notice(&format!("the machines of this process cannot be attached to: {error}"));
        }
    });
}

/// Sets who listens. The first call counts.
pub fn observe(observer: Box<dyn Observer>) {
    observer::set(observer);
    clock::keep_past();
}
