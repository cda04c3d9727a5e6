//! What a peer of any kind sends over ZMTP 3, the protocol of `ZeroMQ`: greeting, the NULL handshake, messages of several
//! frames, subscriptions, PING.
//!
//! Everything is bounded before a byte of it is kept: the length and the number of a message's frames, and their total.
//! Memory grows with the bytes that came, never with a length that was announced. Nothing here reads or writes a
//! socket. (After the ZMTP specification, RFC 23 and 37.)

use crate::frame::{COMMAND, GREETING, LONG, LONGEST, MORE, greets, pong, properties};

/// The longest identity of a peer, bytes (RFC 28).
const LONGEST_IDENTITY: usize = 255;
/// The longest header of a frame: flags and a length of eight bytes.
const LONGEST_HEADER: usize = 9;
/// What a frame costs beside its bytes.
const FRAME_OVERHEAD: usize = size_of::<Vec<u8>>();

/// Bounds of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes, all frames together.
    pub bytes: usize,
    /// The most frames.
    pub frames: usize,
}

/// What a peer has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Ready {
        /// The peer's kind of socket: `DEALER`, `SUB`, …
        socket_type: Vec<u8>,
        /// The name that it wants to have; may be empty.
        identity: Vec<u8>,
    },
    /// A message: one frame or more.
    Message(Vec<Vec<u8>>),
    /// The peer wants messages whose first frame begins so (the command of version 3.1).
    Subscribe(Vec<u8>),
    /// The peer cancels one such subscription.
    Cancel(Vec<u8>),
    /// A sign of life is due: the bytes of the answer.
    Ping(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    Greeting,
    Header,
    /// A frame with these flags, of which so many bytes are missing.
    Body(u8, usize),
}

/// Decodes what a peer sends, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: ReadState,
    is_ready: bool,
    /// The beginning of a greeting or a header.
    head: Vec<u8>,
    /// The body of the frame that comes, as far as it is there.
    body: Vec<u8>,
    /// The whole frames of the message that comes.
    frames: Vec<Vec<u8>>,
    /// The bytes of `frames`.
    bytes: usize,
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (head, body, frames) = (Vec::new(), Vec::new(), Vec::new());
        Self { limits, state: ReadState::Greeting, is_ready: false, head, body, frames, bytes: 0 }
    }

    /// The memory that an unfinished message takes, bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.body.capacity() + self.bytes + self.frames.capacity() * FRAME_OVERHEAD
    }

    /// Whether a greeting, a frame or a message has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.head.is_empty() || !self.frames.is_empty() || matches!(self.state, ReadState::Body(..))
    }

    /// Takes bytes off `input` up to the next event. Without an event, all of `input` was taken.
    ///
    /// # Errors
    /// If this is not a peer that speaks ZMTP 3, or it exceeds a limit: why. The connection is of no use then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, &'static str> {
        loop {
            match self.state {
                ReadState::Greeting => {
                    self.take_head(input, GREETING.len());
                    if !greets(&self.head)? {
                        return Ok(None);
                    }
                    self.head.clear();
                    self.state = ReadState::Header;
                }
                ReadState::Header => {
                    let Some((flags, length)) = self.header(input) else { return Ok(None) };
                    let length = self.allowed(flags, length)?;
                    self.head.clear();
                    self.state = ReadState::Body(flags, length);
                }
                ReadState::Body(flags, missing) => {
                    let (taken, rest) = input.split_at(missing.min(input.len()));
                    self.body.extend_from_slice(taken);
                    *input = rest;
                    if taken.len() < missing {
                        self.state = ReadState::Body(flags, missing - taken.len());
                        return Ok(None);
                    }
                    self.state = ReadState::Header;
                    if let Some(event) = self.frame(flags)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Moves bytes to `head`, until it has so many.
    fn take_head(&mut self, input: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.head.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.head.extend_from_slice(taken);
        *input = rest;
    }

    /// Flags and length of the next frame; `None` if more has to come first.
    fn header(&mut self, input: &mut &[u8]) -> Option<(u8, u64)> {
        self.take_head(input, 1);
        let flags = *self.head.first()?;
        if flags & LONG == 0 {
            self.take_head(input, 2);
            return self.head.get(1).map(|length| (flags, u64::from(*length)));
        }
        self.take_head(input, LONGEST_HEADER);
        let length = self.head.get(1..LONGEST_HEADER)?.try_into().ok()?;
        Some((flags, u64::from_be_bytes(length)))
    }

    /// The length, unless such a frame may not come now.
    fn allowed(&self, flags: u8, length: u64) -> Result<usize, &'static str> {
        if flags > (MORE | LONG | COMMAND) || flags & COMMAND != 0 && flags & MORE != 0 {
            return Err("a frame with unknown flags");
        }
        let room = if flags & COMMAND != 0 {
            LONGEST
        } else if !self.is_ready {
            return Err("a message before the end of the handshake");
        } else if self.frames.len() >= self.limits.frames {
            return Err("a message of too many frames");
        } else {
            self.limits.bytes.saturating_sub(self.bytes) as u64
        };
        usize::try_from(length).ok().filter(|_| length <= room).ok_or("a frame that is too long")
    }

    /// A whole frame is in `body`.
    fn frame(&mut self, flags: u8) -> Result<Option<Event>, &'static str> {
        let body = std::mem::take(&mut self.body);
        if flags & COMMAND != 0 {
            let event = command(&body, self.is_ready)?;
            self.is_ready = true;
            return Ok(event);
        }
        self.bytes += body.len();
        self.frames.push(body);
        if flags & MORE != 0 {
            return Ok(None);
        }
        self.bytes = 0;
        Ok(Some(Event::Message(std::mem::take(&mut self.frames))))
    }
}

/// The event of a command. The first one has to be READY.
fn command(body: &[u8], is_ready: bool) -> Result<Option<Event>, &'static str> {
    let length = body.first().copied().map_or(0, usize::from);
    let (Some(name), Some(rest)) = (body.get(1..=length), body.get(length + 1..)) else {
        return Err("a command without a name");
    };
    Ok(match name {
        b"ERROR" => return Err("the peer refuses"),
        b"READY" if !is_ready => {
            let value = |wanted: &[u8]| {
                let found = properties(rest).find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_vec())
            };
            let identity = value(b"Identity").unwrap_or_default();
            if identity.len() > LONGEST_IDENTITY {
                return Err("an identity of more than 255 bytes");
            }
            let socket_type = value(b"Socket-Type").ok_or("a handshake without a socket type")?;
            Some(Event::Ready { socket_type, identity })
        }
        _ if !is_ready => return Err("a command before the end of the handshake"),
        b"SUBSCRIBE" => Some(Event::Subscribe(rest.to_vec())),
        b"CANCEL" => Some(Event::Cancel(rest.to_vec())),
        // Two bytes say for how long, the rest is to be sent back.
        b"PING" => Some(Event::Ping(pong(rest.get(2..).unwrap_or_default()))),
        _ => None,
    })
}

/// What this side says first, and all that it says before messages: the greeting, and which kind of socket it is.
#[must_use]
pub fn hello(socket_type: &str) -> Vec<u8> {
    const PROPERTY: &[u8] = b"\x05READY\x0bSocket-Type";
    let length = u8::try_from(socket_type.len()).unwrap_or(u8::MAX);
    let value = socket_type.as_bytes().get(..usize::from(length)).unwrap_or_default();
    let mut body = PROPERTY.to_vec();
    body.extend_from_slice(&u32::from(length).to_be_bytes());
    body.extend_from_slice(value);
    // Sixteen bytes and a name: short.
    let head = [COMMAND, u8::try_from(body.len()).unwrap_or(u8::MAX)];
    [&GREETING[..], &head, &body].concat()
}

/// A message as it goes over the wire.
#[must_use]
pub fn encode<F: AsRef<[u8]>>(frames: &[F]) -> Vec<u8> {
    let sum: usize = frames.iter().map(|frame| frame.as_ref().len() + LONGEST_HEADER).sum();
    let mut bytes = Vec::with_capacity(sum);
    for (at, frame) in frames.iter().enumerate() {
        crate::frame::frame(&mut bytes, frame.as_ref(), at + 1 < frames.len());
    }
    bytes
}

#[cfg(test)]
mod tests;
