//! What everybody sees: messages on iopub, in order, and the cells' output among them.
//!
//! Pending of streams is collected for a few milliseconds, so that a cell which prints line by line costs a message
//! per `LINGER`, not per line. Everything else sends the collected text first: the order is that of the calls.

use super::{Outgoing, Sender};
use crate::output::{Display, Output, Stream};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long text waits for more.
const LINGER: Duration = Duration::from_millis(5);

/// How many bytes of text make a message at once.
const FULL: usize = 64 * 1024;

/// The raw header of a request: what messages that belong to it carry as their parent.
pub type Parent = Bytes;

/// The parent of messages that belong to no request.
pub const NO_PARENT: Parent = Bytes::from_static(b"{}");

/// The way to iopub; may be used from any thread.
pub struct Publisher {
    sender: Sender,
    collected: Mutex<Option<Pending>>,
    /// Pairs with `collected`: there is text now.
    some: Condvar,
}

/// Pending that waits for more.
struct Pending {
    parent: Parent,
    stream: Stream,
    text: String,
}

impl Publisher {
    /// A publisher and its thread, which sends the text that has waited long enough. The thread ends after the publisher.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn spawn(sender: Sender) -> std::io::Result<Arc<Self>> {
        let publisher = Arc::new(Self { sender, collected: Mutex::new(None), some: Condvar::new() });
        let weak = Arc::downgrade(&publisher);
        std::thread::Builder::new().name("iopub-text".to_owned()).spawn(move || send_late_text(&weak))?;
        Ok(publisher)
    }

    /// Sends a message, after all text that came before.
    pub fn publish(&self, parent: &Parent, msg_type: &str, content: Value) {
        let mut collected = self.lock();
        self.send_text(&mut collected);
        self.send(parent, msg_type, content);
    }

    /// Sends a message with metadata, after all text that came before.
    pub fn publish_with(&self, parent: &Parent, msg_type: &str, metadata: Map<String, Value>, content: Value) {
        let mut collected = self.lock();
        self.send_text(&mut collected);
        let topic = Bytes::from(format!("kernel.{msg_type}"));
        self.sender.send_message(&[topic], Outgoing { msg_type, parent, metadata, content });
    }

    /// How many bytes wait for the front end that reads fastest.
    pub fn waiting(&self) -> usize {
        self.sender.waiting()
    }

    /// Sends text of a stream, soon.
    pub fn text(&self, parent: &Parent, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut collected = self.lock();
        if collected.as_ref().is_some_and(|it| it.stream != stream || it.parent != *parent) {
            self.send_text(&mut collected);
        }
        let waiting = collected.get_or_insert_with(|| Pending {
            parent: parent.clone(),
            stream,
            text: String::with_capacity(256),
        });
        waiting.text.push_str(text);
        if waiting.text.len() >= FULL {
            self.send_text(&mut collected);
        } else {
            self.some.notify_one();
        }
    }

    fn send_text(&self, collected: &mut Option<Pending>) {
        if let Some(Pending { parent, stream, text }) = collected.take() {
            let name = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            self.send(&parent, "stream", json!({ "name": name, "text": text }));
        }
    }

    /// Only with `collected` locked: that makes the order.
    fn send(&self, parent: &Parent, msg_type: &str, content: Value) {
        let topic = Bytes::from(format!("kernel.{msg_type}"));
        self.sender.send(&[topic], msg_type, parent, content);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pending>> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send_late_text(publisher: &Weak<Publisher>) {
    // The timeout lets the thread notice that the publisher is gone.
    while let Some(publisher) = publisher.upgrade() {
        let guard = publisher.lock();
        let wait = publisher.some.wait_timeout_while(guard, Duration::from_secs(1), |text| text.is_none());
        let waiting = wait.unwrap_or_else(PoisonError::into_inner).0.is_some();
        if waiting {
            std::thread::sleep(LINGER);
            let mut collected = publisher.lock();
            publisher.send_text(&mut collected);
        }
    }
}

/// The output of one request, wherever it is computed.
pub struct RequestOutput {
    publisher: Arc<Publisher>,
    parent: Parent,
}

impl RequestOutput {
    /// Output that belongs to the request with this header.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>, parent: Parent) -> Self {
        Self { publisher, parent }
    }
}

impl Output for RequestOutput {
    fn stream(&self, stream: Stream, text: &str) {
        self.publisher.text(&self.parent, stream, text);
    }

    fn display(&self, display: Display) {
        let content = json!({ "data": display.data, "metadata": display.metadata, "transient": {} });
        self.publisher.publish(&self.parent, "display_data", content);
    }

    fn display_as(&self, name: &str, is_new: bool, display: Display) {
        let transient = json!({ "display_id": name });
        let content = json!({ "data": display.data, "metadata": display.metadata, "transient": transient });
        let message = if is_new { "display_data" } else { "update_display_data" };
        self.publisher.publish(&self.parent, message, content);
    }

    fn clear(&self, wait: bool) {
        self.publisher.publish(&self.parent, "clear_output", json!({ "wait": wait }));
    }
}

/// The output of the session: it belongs to the Rust cell that runs, or ran last.
pub struct SessionOutput {
    publisher: Arc<Publisher>,
    parent: Mutex<Parent>,
}

impl SessionOutput {
    /// Output that belongs to no request yet.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>) -> Self {
        Self { publisher, parent: Mutex::new(NO_PARENT) }
    }

    /// From now on the output belongs to the request with this header.
    pub fn belongs_to(&self, parent: &Parent) {
        *self.parent.lock().unwrap_or_else(PoisonError::into_inner) = parent.clone();
    }

    fn now(&self) -> RequestOutput {
        let parent = self.parent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        RequestOutput::new(Arc::clone(&self.publisher), parent)
    }
}

impl Output for SessionOutput {
    fn stream(&self, stream: Stream, text: &str) {
        self.now().stream(stream, text);
    }

    fn display(&self, display: Display) {
        self.now().display(display);
    }

    fn display_as(&self, name: &str, is_new: bool, display: Display) {
        self.now().display_as(name, is_new, display);
    }

    fn clear(&self, wait: bool) {
        self.now().clear(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_collected_and_keeps_its_place() {
        let (sender, mut queue) = Sender::for_test();
        let publisher = Publisher::spawn(sender).unwrap_or_else(|error| panic!("{error}"));
        let output = RequestOutput::new(Arc::clone(&publisher), NO_PARENT);
        for piece in ["a", "", "b", "c"] {
            publisher.text(&NO_PARENT, Stream::Stdout, piece);
        }
        output.stream(Stream::Stderr, "d");
        output.clear(true);
        let sent = queue.contents().concat();
        let text: String = sent.split("\"text\":\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert_eq!(text, "abcd");
        assert!(sent.ends_with(r#"{"wait":true}"#), "{sent}");
    }

    #[test]
    fn text_that_nothing_follows_is_sent_soon() {
        let (sender, queue) = Sender::for_test();
        let publisher = Publisher::spawn(sender).unwrap_or_else(|error| panic!("{error}"));
        publisher.text(&NO_PARENT, Stream::Stdout, "late");
        assert_eq!(queue.next().content, json!({ "name": "stdout", "text": "late" }));
    }
}
