//! Comms: named channels between a widget and the kernel. The kernel has no targets yet, so none is ever open.

use super::contents::Comm;
use super::request::Request;
use serde_json::{Value, json};

/// The content of `comm_info_reply`.
pub fn info() -> Value {
    json!({ "status": "ok", "comms": {} })
}

/// A front end opens a comm. There is no such target, so it is closed again, as the protocol asks.
pub fn open(request: &Request, comm: &Comm) {
    let target = comm.target_name.as_deref().unwrap_or_default();
    crate::server::log(&format!("comm_open: there is no target `{target}`; the comm is closed again"));
    request.publish("comm_close", json!({ "comm_id": comm.comm_id, "data": {} }));
}
