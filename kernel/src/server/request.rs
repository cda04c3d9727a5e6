//! A request on its way through the server: from `busy` to `idle`.

use crate::output::CellError;
use crate::wire::publish::{Parent, Publisher};
use crate::wire::{Incoming, Sender};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request, and the socket that its reply leaves on.
pub struct Request {
    message: Incoming,
    replies: Sender,
    publisher: Arc<Publisher>,
    parent: Parent,
}

impl Request {
    /// A request that came in on the socket of `replies`.
    #[must_use]
    pub fn new(message: Incoming, replies: Sender, publisher: Arc<Publisher>) -> Self {
        let parent = Parent::from(message.raw_header.clone());
        Self { message, replies, publisher, parent }
    }

    /// The message's type.
    #[must_use]
    pub fn msg_type(&self) -> &str {
        &self.message.header.msg_type
    }

    /// What the log tells of it: its time, and all that happens meanwhile.
    pub fn span(&self) -> tracing::Span {
        tracing::debug_span!("request", msg_type = self.msg_type(), id = self.message.header.msg_id.as_str())
    }

    /// The subshell that it is for.
    #[must_use]
    pub fn subshell(&self) -> Option<&str> {
        self.message.header.subshell_id.as_deref()
    }

    /// What messages that belong to this request have as their parent.
    #[must_use]
    pub fn parent(&self) -> &Parent {
        &self.parent
    }

    /// The content as a type.
    ///
    /// # Errors
    /// If it has another shape: an error that says so, for the reply.
    pub fn content<T: for<'a> Deserialize<'a>>(&self) -> Result<T, CellError> {
        self.message.content().map_err(|error| {
            let evalue = format!("the content of this {} has not the expected shape: {error}", self.msg_type());
            CellError { ename: "BadMessage".to_owned(), traceback: vec![evalue.clone()], evalue }
        })
    }

    /// Publishes a message that belongs to this request.
    pub fn publish(&self, msg_type: &str, content: Value) {
        self.publisher.publish(&self.parent, msg_type, content);
    }

    /// Says that work on the request begins.
    pub fn busy(&self) {
        self.publish("status", json!({ "execution_state": "busy" }));
    }

    /// Says that work on the request is over. Nothing that belongs to it may be published later.
    pub fn idle(&self) {
        self.publish("status", json!({ "execution_state": "idle" }));
    }

    /// Sends the reply, whose type follows from that of the request.
    pub fn reply(&self, content: Value) {
        let msg_type = match self.msg_type().strip_suffix("_request") {
            Some(stem) => format!("{stem}_reply"),
            None => format!("{}_reply", self.msg_type()),
        };
        self.replies.send(&self.message.identities, &msg_type, &self.parent, content);
    }

    /// Sends a reply that says that it failed.
    pub fn fail(&self, error: &CellError) {
        self.reply(error_content(error));
    }
}

/// The content of an `error` message or reply.
#[must_use]
pub fn error_content(error: &CellError) -> Value {
    json!({ "status": "error", "ename": error.ename, "evalue": error.evalue, "traceback": error.traceback })
}
