//! Comms: named channels between a widget and the kernel.
//!
//! The kernel opens one for each model of a live display, and a front end one to ask for all models.

use super::contents::{Comm, CommMessage};
use super::request::Request;
use crate::watch::{CONTROL_TARGET, Watches};
use serde_json::{Value, json};

/// The content of `comm_info_reply`.
pub fn info(watches: &Watches) -> Value {
    json!({ "status": "ok", "comms": watches.info() })
}

/// A front end opens a comm. Only the one that it asks for models on can be opened; any other is closed again, as the
/// protocol asks.
pub fn open(request: &Request, comm: &Comm) {
    let target = comm.target_name.as_deref().unwrap_or_default();
    if target != CONTROL_TARGET {
        tracing::warn!("comm_open: there is no target `{target}`; the comm is closed again");
        request.publish("comm_close", json!({ "comm_id": comm.comm_id, "data": {} }));
    }
}

/// A front end says something on a comm.
pub fn message(request: &Request, message: &CommMessage, watches: &Watches) {
    if let Some(data) = watches.message(&message.comm_id, &message.data) {
        request.publish("comm_msg", json!({ "comm_id": message.comm_id, "data": data }));
    }
}
