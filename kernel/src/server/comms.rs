//! Comms: named channels between a widget and the kernel.

use super::contents::Comm;
use super::request::Request;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The comms that are open.
#[derive(Debug, Default)]
pub struct Comms {
    /// Name → target.
    open: Mutex<BTreeMap<String, String>>,
}

impl Comms {
    /// The content of `comm_info_reply`.
    #[must_use]
    pub fn info(&self, target: Option<&str>) -> Value {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let comms: Map<String, Value> = open
            .iter()
            .filter(|(_, name)| target.is_none_or(|target| target == name.as_str()))
            .map(|(id, name)| (id.clone(), json!({ "target_name": name })))
            .collect();
        json!({ "status": "ok", "comms": comms })
    }

    /// A front end opens a comm. No target can be opened from there, so it is closed again, as the protocol asks.
    pub fn open(&self, request: &Request, comm: &Comm) {
        let target = comm.target_name.as_deref().unwrap_or_default();
        crate::server::log(&format!("comm_open: there is no target `{target}`; the comm is closed again"));
        request.publish("comm_close", json!({ "comm_id": comm.comm_id, "data": {} }));
    }

    /// A front end closes a comm.
    pub fn close(&self, comm: &Comm) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&comm.comm_id);
    }
}
