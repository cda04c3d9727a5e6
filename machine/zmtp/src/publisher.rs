//! What a publisher hears from a subscriber: greeting, the NULL handshake, subscriptions, PING.

use crate::frame::{COMMAND, GREETING, LONG, LONGEST, MORE, Phase, greets, header, properties};

/// The command that ends our side of the handshake: we are a PUB.
pub const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";

/// What a subscriber has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is over.
    Ready,
    /// It wants messages whose first frame begins so.
    Subscribe(Vec<u8>),
    /// It takes one such subscription back.
    Cancel(Vec<u8>),
    /// It wants to hear that we live; to be answered with [`pong`](crate::pong).
    Ping(Vec<u8>),
}

/// Reads what a subscriber sends, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many of them have been read.
    read: usize,
    phase: Phase,
    /// The frame before was not the last of its message.
    inside: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { bytes: Vec::new(), read: 0, phase: Phase::Greeting, inside: false }
    }
}

impl Decoder {
    /// More has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event; `None` if more has to come first.
    ///
    /// # Errors
    /// If this is no subscriber that speaks ZMTP 3: why.
    pub fn next_event(&mut self) -> Result<Option<Event>, &'static str> {
        loop {
            let bytes = self.bytes.get(self.read..).unwrap_or_default();
            if self.phase == Phase::Greeting {
                if !greets(bytes)? {
                    return Ok(None);
                }
                self.read += GREETING.len();
                self.phase = Phase::Handshake;
                continue;
            }
            let Some((flags, start, length)) = header(bytes) else { return Ok(None) };
            if length > LONGEST || flags > (MORE | LONG | COMMAND) {
                return Err("a frame that no subscriber sends");
            }
            let end = start + usize::try_from(length).unwrap_or(usize::MAX);
            let Some(body) = bytes.get(start..end) else { return Ok(None) };
            let event = if flags & COMMAND != 0 {
                command(body, self.phase)?
            } else if self.phase == Phase::Handshake {
                return Err("a message before the end of the handshake");
            } else {
                let alone = !self.inside && flags & MORE == 0;
                self.inside = flags & MORE != 0;
                if alone { subscription(body) } else { None }
            };
            self.read += end;
            if event == Some(Event::Ready) {
                self.phase = Phase::Traffic;
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }
}

fn command(body: &[u8], phase: Phase) -> Result<Option<Event>, &'static str> {
    let length = body.first().copied().map_or(0, usize::from);
    let (Some(name), Some(rest)) = (body.get(1..=length), body.get(length + 1..)) else {
        return Err("a command without a name");
    };
    Ok(match (name, phase) {
        (b"READY", Phase::Handshake) => {
            let socket = properties(rest).find(|(name, _)| name.eq_ignore_ascii_case(b"Socket-Type"));
            match socket {
                Some((_, b"SUB" | b"XSUB")) => Some(Event::Ready),
                _ => return Err("a socket that is neither SUB nor XSUB"),
            }
        }
        (_, Phase::Handshake) => return Err("a command before the end of the handshake"),
        (b"SUBSCRIBE", _) => Some(Event::Subscribe(rest.to_vec())),
        (b"CANCEL", _) => Some(Event::Cancel(rest.to_vec())),
        // Two bytes say for how long, the rest is to be sent back.
        (b"PING", _) => Some(Event::Ping(rest.get(2..).unwrap_or_default().to_vec())),
        (b"ERROR", _) => return Err("the peer refuses"),
        _ => None,
    })
}

/// In version 3.0 subscriptions are messages: one byte that says what to do, and the prefix.
fn subscription(body: &[u8]) -> Option<Event> {
    match body.split_first() {
        Some((1, prefix)) => Some(Event::Subscribe(prefix.to_vec())),
        Some((0, prefix)) => Some(Event::Cancel(prefix.to_vec())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Event, READY};
    use crate::frame::{GREETING, count_messages, frame, pong};
    use proptest::prelude::*;

    fn conversation() -> Vec<u8> {
        let mut bytes = GREETING.to_vec();
        bytes.extend_from_slice(b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03SUB\x08Identity\0\0\0\0");
        bytes.extend_from_slice(b"\x00\x01\x01");
        bytes.extend_from_slice(b"\x04\x0d\x09SUBSCRIBEf1.");
        bytes.extend_from_slice(b"\x04\x09\x04PING\0\x0aab");
        bytes.extend_from_slice(b"\x01\x02\x01x\x00\x01\x01");
        bytes.extend_from_slice(b"\x00\x04\x00f1.");
        bytes
    }

    fn read_all(pieces: &[&[u8]]) -> Result<Vec<Event>, &'static str> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece);
            while let Some(event) = decoder.next_event()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    #[test]
    fn a_subscriber_is_understood_in_pieces_of_any_size() {
        let bytes = conversation();
        let subscribe = |prefix: &str| Event::Subscribe(prefix.into());
        let wanted = vec![
            Event::Ready,
            subscribe(""),
            subscribe("f1."),
            Event::Ping(b"ab".into()),
            Event::Cancel(b"f1.".into()),
        ];
        assert_eq!(read_all(&[&bytes]), Ok(wanted.clone()));
        assert_eq!(read_all(&bytes.chunks(1).collect::<Vec<_>>()), Ok(wanted));
    }

    #[test]
    fn what_is_no_subscriber_is_refused() {
        let mut other = conversation();
        other[64 + 24..64 + 27].copy_from_slice(b"REQ");
        assert_eq!(read_all(&[&other]), Err("a socket that is neither SUB nor XSUB"));
        assert_eq!(read_all(&[b"GET / HTTP/1.1\r\n"]), Err("no greeting of ZeroMQ"));
        let mut old = GREETING;
        old[10] = 1;
        assert_eq!(read_all(&[&old]), Err("a version of ZeroMQ's protocol before 3"));
        let mut secure = GREETING;
        secure[12..17].copy_from_slice(b"CURVE");
        assert!(read_all(&[&secure]).is_err());
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(READY.len(), 2 + 0x19);
        let mut short = Vec::new();
        frame(&mut short, b"ab", true);
        frame(&mut short, &[7; 256], false);
        assert_eq!(short[..13], [1, 2, b'a', b'b', 2, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(pong(b"ab"), b"\x04\x07\x04PONGab");
    }

    proptest! {
        #[test]
        fn any_bytes_give_events_or_an_error(
            start in 0_usize..140,
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..300,
        ) {
            let mut all = conversation();
            all.truncate(start);
            all.extend(bytes);
            let (first, second) = all.split_at(cut.min(all.len()));
            let whole = read_all(&[&all]);
            prop_assert_eq!(read_all(&[first, second]), whole);
        }

        #[test]
        fn whole_messages_are_counted(lengths in proptest::collection::vec((0_usize..400, any::<bool>()), 0..20), cut in 0_usize..9000) {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for (length, more) in lengths {
                frame(&mut bytes, &vec![1; length], more);
                if !more {
                    ends.push(bytes.len());
                }
            }
            let cut = cut.min(bytes.len());
            let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
            prop_assert_eq!(count_messages(&bytes, cut), (whole, ends.len() as u64));
        }
    }
}
