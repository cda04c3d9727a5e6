//! The counters for systems that watch many processes: one model of metrics, written in two ways.
//!
//! Prometheus fetches its text format from `/metrics` of a loopback port: a process with machines opens it if
//! `MACHINE_METRICS` names a port; `machine metrics PORT` does it from outside, for all machines of this user.
//! OpenTelemetry is sent to: `otlp` posts to a collector now and then if the standard variables name one.

mod family;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "otlp_off.rs"]
pub(crate) mod otlp;
mod prometheus;
mod server;
mod table;

pub use prometheus::text;
pub use server::serve;

/// Names the port.
pub(crate) const VARIABLE: &str = "MACHINE_METRICS";
