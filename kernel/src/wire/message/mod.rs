//! Messages as frames, in both directions.

use super::replay::Seen;
use super::signing::{Key, Signature};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU64, Ordering};

const DELIMITER: &[u8] = b"<IDS|MSG>";

/// What the kernel reads of a header. The rest stays in the raw bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// The message's type, such as `execute_request`.
    pub msg_type: String,
    /// Its number, a text; only the log wants it.
    #[serde(default)]
    pub msg_id: Value,
    /// The subshell that it is for; the main shell otherwise.
    #[serde(default)]
    pub subshell_id: Option<String>,
}

/// A verified message from a front end. Buffers after the content are left out: nothing that is answered has any.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Where a reply goes.
    pub identities: Vec<Bytes>,
    /// The header's fields that are used here.
    pub header: Header,
    /// The header as it came: a JSON object.
    pub raw_header: Bytes,
    /// The content, a JSON object.
    pub content: Box<RawValue>,
    /// What it was signed with, if there is a key.
    signature: Option<Signature>,
}

/// Why frames are not a message. The message is ignored; the kernel goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadFrames {
    /// There is no delimiter.
    #[error("{frames} frames without the delimiter <IDS|MSG>")]
    NoDelimiter {
        /// How many frames there were.
        frames: usize,
    },
    /// There are too few frames after the delimiter.
    #[error("{frames} frames after the delimiter; expected at least 5: signature, header, parent, metadata, content")]
    Truncated {
        /// How many there were.
        frames: usize,
    },
    /// The signature is wrong: the sender has another key.
    #[error("wrong signature")]
    Signature,
    /// It was here before.
    #[error("a message with this signature was received before; it is not run again")]
    Replay,
    /// A frame is not the JSON that it should be.
    #[error("the {frame} is not a JSON object of the right shape")]
    Json {
        /// Which frame.
        frame: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl Incoming {
    /// Verifies and parses the frames of one message.
    ///
    /// # Errors
    /// If they are not a message, or not one that was signed with this key.
    pub fn decode(frames: Vec<Bytes>, key: &Key) -> Result<Self, BadFrames> {
        let count = frames.len();
        let mut frames = frames.into_iter();
        let identities: Vec<_> = frames.by_ref().take_while(|frame| frame.as_ref() != DELIMITER).collect();
        if identities.len() == count {
            return Err(BadFrames::NoDelimiter { frames: count });
        }
        let rest = frames.len();
        let mut next = || frames.next().ok_or(BadFrames::Truncated { frames: rest });
        let (signature, raw_header, parent, metadata, content) = (next()?, next()?, next()?, next()?, next()?);
        if !key.verify(&signature, [&raw_header, &parent, &metadata, &content]) {
            return Err(BadFrames::Signature);
        }
        let bad = |frame| move |source| BadFrames::Json { frame, source };
        let header = serde_json::from_slice(&raw_header).map_err(bad("header"))?;
        for (frame, name) in [(&parent, "parent header"), (&metadata, "metadata"), (&content, "content")] {
            serde_json::from_slice::<Object>(frame).map_err(bad(name))?;
        }
        let content = serde_json::from_slice(&content).map_err(bad("content"))?;
        Ok(Self { identities, header, raw_header, content, signature: key.signature(&signature) })
    }

    /// The content as a type.
    ///
    /// # Errors
    /// If it has another shape.
    pub fn content<T: for<'a> Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.content.get())
    }
}

#[cfg(test)]
impl Incoming {
    /// A message as from a front end without a key.
    pub fn for_test(header: &Value, content: &Value) -> Self {
        let json = |value: &Value| Bytes::from(value.to_string());
        let empty = Bytes::from_static(b"{}");
        let frames =
            vec![Bytes::from_static(DELIMITER), Bytes::new(), json(header), empty.clone(), empty, json(content)];
        Self::decode(frames, &Key::new(b"")).unwrap()
    }
}

/// Any JSON object; its fields are only looked over.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::collections::HashMap::<String, serde::de::IgnoredAny>::deserialize(deserializer).map(|_| Self)
    }
}

/// What the headers of all messages from this kernel have in common.
#[derive(Debug)]
pub struct Session {
    id: String,
    key: Key,
    seen: Seen,
    sent: AtomicU64,
}

/// A message to send.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its type, such as `status`.
    pub msg_type: &'a str,
    /// The raw header of the request that it belongs to; `{}` if there is none.
    pub parent: &'a [u8],
    /// Metadata.
    pub metadata: Map<String, Value>,
    /// The content.
    pub content: Value,
}

#[derive(Serialize)]
struct OutgoingHeader<'a> {
    msg_id: String,
    session: &'a str,
    username: &'static str,
    date: String,
    msg_type: &'a str,
    version: &'static str,
}

impl Session {
    /// A session with its own name.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), key, seen: Seen::default(), sent: AtomicU64::new(0) }
    }

    /// Verifies and parses the frames of one message, and remembers it: a signed one is accepted once.
    ///
    /// # Errors
    /// As [`Incoming::decode`], and if it was accepted before.
    pub fn accept(&self, frames: Vec<Bytes>) -> Result<Incoming, BadFrames> {
        let message = Incoming::decode(frames, &self.key)?;
        match message.signature {
            Some(signature) if !self.seen.insert(signature) => Err(BadFrames::Replay),
            _ => Ok(message),
        }
    }

    /// The frames of a message, after `identities`: the peer's on a ROUTER socket, the topic on iopub.
    #[must_use]
    pub fn encode(&self, identities: &[Bytes], message: Outgoing<'_>) -> Vec<Bytes> {
        let header = OutgoingHeader {
            // Relaxed: the number need only be unique.
            msg_id: format!("{}_{}", self.id, self.sent.fetch_add(1, Ordering::Relaxed)),
            session: &self.id,
            username: "kernel",
            date: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            msg_type: message.msg_type,
            version: super::PROTOCOL_VERSION,
        };
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let metadata = Value::Object(message.metadata).to_string();
        let content = message.content.to_string();
        let signature = self.key.sign([&header, message.parent, metadata.as_bytes(), content.as_bytes()]);
        let mut frames = identities.to_vec();
        frames.extend([
            Bytes::from_static(DELIMITER),
            Bytes::from(signature),
            Bytes::from(header),
            Bytes::copy_from_slice(message.parent),
            Bytes::from(metadata),
            Bytes::from(content),
        ]);
        frames
    }
}

#[cfg(test)]
mod tests;
