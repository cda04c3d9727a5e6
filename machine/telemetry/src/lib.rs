//! A machine's counters for systems that watch many processes, from its status alone: one model of metrics, written in
//! two ways.
//!
//! Prometheus fetches its text format ([`text`]) from `/metrics` of a loopback port (`server`). For OpenTelemetry
//! the same metrics are posted to a collector as protobuf (`otlp`).
//!
//! Rooms, lowest first: `family`, `table`, `prometheus`, `server`, `otlp`.

#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only OpenTelemetry asks for units and revisions"))]
mod family;
#[cfg(feature = "otlp")]
pub mod otlp;
mod prometheus;
#[cfg(feature = "server")]
mod server;
mod table;

pub use family::Exports;
pub use prometheus::text;
#[cfg(feature = "server")]
pub use server::serve;
