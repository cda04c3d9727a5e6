//! What a publisher sends over ZMTP 3, the protocol of `ZeroMQ`: greeting, the NULL handshake, messages, PING.
//!
//! Of a message only the last frame is kept, as long as it is not too long, and the first if it is short, as a topic is:
//! memory is bounded by that, whatever comes.

use crate::frame::{COMMAND, GREETING, LONG, LONGEST, MORE, Phase, frame, greets, header, pong, properties};
use std::ops::Range;

/// The longest first frame that is kept, bytes.
const LONGEST_TOPIC: u64 = 255;

/// What a subscriber says first: the greeting, and that it is a SUB.
#[must_use]
pub fn hello() -> Vec<u8> {
    [&GREETING[..], b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"].concat()
}

/// What a subscriber says after the handshake: which messages it wants, by how their first frames begin. A message, as
/// in version 3.0: a peer with a later one understands it too.
#[must_use]
pub fn subscription(topic: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, &[b"\x01", topic.as_bytes()].concat(), false);
    bytes
}

/// What a publisher has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'d> {
    /// The handshake is over.
    Ready,
    /// A message: its last frame, and the first one, if that is another one and short. Empty otherwise.
    Message {
        /// What it is published under.
        topic: &'d [u8],
        /// What it says.
        body: &'d [u8],
    },
    /// A message whose last frame has so many bytes, which are too many. It is left out, and the next one comes.
    TooLong(u64),
    /// It wants to hear that this side lives: the bytes of the answer.
    Ping(Vec<u8>),
}

/// An event, and where a message is in what has come.
enum Found {
    Event(Event<'static>),
    Message(Range<usize>),
    /// Nothing that anybody has to know of.
    Nothing,
}

/// Reads what a publisher sends, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many of them have been read.
    read: usize,
    phase: Phase,
    /// How much comes that nobody wants: frames between the first and the last of their message, and what is too long.
    skip: u64,
    /// The first frame of the message whose others come, if it is short.
    topic: Vec<u8>,
    /// A frame has come that was not the last of its message.
    is_inside: bool,
    most: usize,
}

impl Decoder {
    /// For messages whose last frame has `most` bytes at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (bytes, topic) = (Vec::new(), Vec::new());
        Self { bytes, read: 0, phase: Phase::Greeting, skip: 0, topic, is_inside: false, most }
    }

    /// More has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event; `None` if more has to come first.
    ///
    /// # Errors
    /// If this is no publisher that speaks ZMTP 3: why.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, &'static str> {
        loop {
            match self.find()? {
                None => return Ok(None),
                Some(Found::Nothing) => {}
                Some(Found::Event(event)) => return Ok(Some(event)),
                Some(Found::Message(place)) => {
                    let body = self.bytes.get(place).unwrap_or_default();
                    return Ok(Some(Event::Message { topic: &self.topic, body }));
                }
            }
        }
    }

    fn find(&mut self) -> Result<Option<Found>, &'static str> {
        let bytes = self.bytes.get(self.read..).unwrap_or_default();
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.read += skipped;
            self.skip -= skipped as u64;
            return Ok((self.skip == 0).then_some(Found::Nothing));
        }
        if self.phase == Phase::Greeting {
            if !greets(bytes)? {
                return Ok(None);
            }
            self.read += GREETING.len();
            self.phase = Phase::Handshake;
            return Ok(Some(Found::Nothing));
        }
        let Some((flags, start, length)) = header(bytes) else { return Ok(None) };
        if flags > (MORE | LONG | COMMAND) || i64::try_from(length).is_err() {
            return Err("a frame that no publisher sends");
        }
        if flags & COMMAND == 0 {
            if self.phase == Phase::Handshake {
                return Err("a message before the end of the handshake");
            }
            let is_last = flags & MORE == 0;
            if !self.is_inside {
                self.topic.clear();
            }
            if !is_last && !self.is_inside && length <= LONGEST_TOPIC {
                let end = start + usize::try_from(length).unwrap_or(usize::MAX);
                let Some(topic) = bytes.get(start..end) else { return Ok(None) };
                self.topic.extend_from_slice(topic);
                self.is_inside = true;
                self.read += end;
                return Ok(Some(Found::Nothing));
            }
            if !is_last || length > self.most as u64 {
                self.is_inside = !is_last;
                self.read += start;
                self.skip = length;
                let is_too_long = length > self.most as u64;
                return Ok(Some(if is_too_long { Found::Event(Event::TooLong(length)) } else { Found::Nothing }));
            }
        } else if length > LONGEST {
            return Err("a command that is too long");
        }
        let end = start + usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(start..end) else { return Ok(None) };
        let found = if flags & COMMAND == 0 {
            self.is_inside = false;
            Found::Message(self.read + start..self.read + end)
        } else {
            command(body, self.phase)?
        };
        self.read += end;
        if matches!(found, Found::Event(Event::Ready)) {
            self.phase = Phase::Traffic;
        }
        Ok(Some(found))
    }
}

fn command(body: &[u8], phase: Phase) -> Result<Found, &'static str> {
    let length = body.first().copied().map_or(0, usize::from);
    let (Some(name), Some(rest)) = (body.get(1..=length), body.get(length + 1..)) else {
        return Err("a command without a name");
    };
    Ok(match (name, phase) {
        (b"ERROR", _) => return Err("the publisher refuses"),
        (b"READY", Phase::Handshake) => {
            let socket = properties(rest).find(|(name, _)| name.eq_ignore_ascii_case(b"Socket-Type"));
            match socket {
                Some((_, b"PUB" | b"XPUB")) => Found::Event(Event::Ready),
                _ => return Err("a socket that is neither PUB nor XPUB"),
            }
        }
        (_, Phase::Greeting | Phase::Handshake) => return Err("a command before the end of the handshake"),
        // Two bytes say for how long, the rest is to be sent back.
        (b"PING", _) => Found::Event(Event::Ping(pong(rest.get(2..).unwrap_or_default()))),
        _ => Found::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Event, GREETING, hello, subscription};
    use proptest::prelude::*;

    const READY: &[u8] = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03PUB\x08Identity\0\0\0\0";

    fn conversation() -> Vec<u8> {
        let mut bytes = [&GREETING[..], READY].concat();
        bytes.extend_from_slice(b"\x01\x05topic\x00\x04\"ab\"");
        bytes.extend_from_slice(b"\x04\x09\x04PING\0\x0aab");
        bytes.extend_from_slice(b"\x04\x05\x04PONG");
        bytes.extend_from_slice(b"\x02\0\0\0\0\0\0\0\x071234567");
        bytes.extend_from_slice(b"\x03\0\0\0\0\0\0\0\x071234567\x00\x018\x00\x00");
        bytes
    }

    /// What was understood, written down, and what ended it. A message has five bytes at most.
    fn read_all(pieces: &[&[u8]]) -> (Vec<String>, Option<&'static str>) {
        let (mut decoder, mut events) = (Decoder::new(5), Vec::new());
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next() {
                    Ok(Some(Event::Message { topic, body })) => {
                        let [topic, body] = [topic, body].map(String::from_utf8_lossy);
                        events.push(if topic.is_empty() { body.into_owned() } else { format!("{topic}: {body}") });
                    }
                    Ok(Some(event)) => events.push(format!("{event:?}")),
                    Ok(None) => break,
                    Err(why) => return (events, Some(why)),
                }
            }
        }
        (events, None)
    }

    #[test]
    fn a_publisher_is_understood_in_pieces_of_any_size() {
        let bytes = conversation();
        let pong = format!("{:?}", Event::Ping(b"\x04\x07\x04PONGab".into()));
        let events = ["Ready", "topic: \"ab\"", &pong, "TooLong(7)", "1234567: 8", ""].map(str::to_owned).to_vec();
        assert_eq!(read_all(&[&bytes]), (events.clone(), None));
        assert_eq!(read_all(&bytes.chunks(1).collect::<Vec<_>>()), (events, None));
    }

    #[test]
    fn what_nobody_wants_is_not_kept() {
        let mut decoder = Decoder::new(5);
        decoder.push(&[&GREETING[..], READY, &[2, 0, 0, 0, 0, 0, 16, 0, 0]].concat());
        assert_eq!(decoder.next(), Ok(Some(Event::Ready)));
        assert_eq!(decoder.next(), Ok(Some(Event::TooLong(1 << 20))));
        for _ in 0..1 << 10 {
            decoder.push(&[b'1'; 1 << 10]);
            assert_eq!(decoder.next(), Ok(None));
            assert!(decoder.bytes.len() <= 1 << 10);
        }
        decoder.push(b"\x00\x011");
        assert_eq!(decoder.next(), Ok(Some(Event::Message { topic: b"", body: b"1" })));
        // Also where it is not the last of its message.
        decoder.push(&[3, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(decoder.next(), Ok(Some(Event::TooLong(1 << 40))));
    }

    #[test]
    fn what_is_no_publisher_is_refused() {
        let after_greeting = |bytes: &[u8]| read_all(&[&GREETING, bytes]).1;
        assert_eq!(read_all(&[b"HTTP/1.1 400 Bad Request"]).1, Some("no greeting of ZeroMQ"));
        assert_eq!(after_greeting(b"\x00\x011"), Some("a message before the end of the handshake"));
        assert_eq!(
            after_greeting(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"),
            Some("a socket that is neither PUB nor XPUB")
        );
        assert_eq!(after_greeting(b"\x04\x07\x05ERROR\0"), Some("the publisher refuses"));
        let after_ready = |bytes: &[u8]| read_all(&[&GREETING, READY, bytes]).1;
        assert_eq!(after_ready(b"\x08\0"), Some("a frame that no publisher sends"));
        assert_eq!(after_ready(&[2, 255, 0, 0, 0, 0, 0, 0, 0]), Some("a frame that no publisher sends"));
        assert_eq!(after_ready(&[6, 0, 0, 0, 0, 1, 0, 0, 0]), Some("a command that is too long"));
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(hello().len(), 64 + 2 + 0x19);
        assert_eq!(subscription("ab"), b"\0\x03\x01ab");
        assert_eq!(subscription(&"x".repeat(255))[..10], [2, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_events_or_an_error_in_any_pieces(
            start in 0_usize..200,
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            piece in 1_usize..100,
        ) {
            let mut all = conversation();
            all.truncate(start);
            all.extend(bytes);
            prop_assert_eq!(read_all(&all.chunks(piece).collect::<Vec<_>>()), read_all(&[&all]));
        }
    }
}
