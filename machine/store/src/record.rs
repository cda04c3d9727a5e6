//! A message, or what became of one, as it stands in a log.
//!
//! The body of a frame, integers little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 0–7 | sequence number |
//! | 8–15 | when it was appended, milliseconds since 1970, UTC |
//! | 16–27 | oid |
//! | 28–31 | plan: which slots and revisions the machine had |
//! | 32 | kind |
//! | 33 | flags: 1 an origin follows, 2 a position follows |
//! | 34–35 | zeros |
//! | 36–39 | length of the position |
//! | | origin, if any: machine (16), sequence number (8), slot (4), zeros (4) |
//! | | position, if any |
//! | | payload |

use crate::frame::{self, Fields, Invalid, Salt};
use machine_protocol::Oid;

/// The bytes before origin, position and payload.
const FIXED: usize = 40;
const ORIGIN: usize = 32;
const HAS_ORIGIN: u8 = 1;
const HAS_POSITION: u8 = 2;

/// The largest record, in bytes, of origin, position and payload together.
pub const MAX_RECORD: usize = frame::LONGEST - FIXED;

/// The smallest frame of a record, in bytes.
pub(crate) const SMALLEST: usize = frame::size(FIXED);

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A message that a machine accepted.
    #[default]
    Message,
    /// A message that a slot failed on.
    DeadLetter,
    /// The outputs of slots.
    Captured,
    /// A window that closed.
    Firing,
}

impl Kind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::DeadLetter => 2,
            Self::Captured => 3,
            Self::Firing => 4,
        }
    }

    pub(crate) const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Message),
            2 => Some(Self::DeadLetter),
            3 => Some(Self::Captured),
            4 => Some(Self::Firing),
            _ => None,
        }
    }

    /// The word for it in output for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::DeadLetter => "dead_letter",
            Self::Captured => "captured",
            Self::Firing => "firing",
        }
    }
}

/// Where a message came from, if another durable machine sent it: repeats are recognised by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Provenance {
    /// The machine that sent it: the UUID of its log.
    pub machine: [u8; 16],
    /// Its sequence number there.
    pub seq: u64,
    /// The slot whose output it is.
    pub slot: u32,
}

/// What is appended: a record without its sequence number, which the log gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was accepted, milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// The message's name.
    pub oid: Oid,
    /// What it is about.
    pub kind: Kind,
    /// Which slots and revisions the machine had.
    pub plan: u32,
    /// Where it came from, if another durable machine sent it.
    pub origin: Option<Provenance>,
    /// Where its source goes on after it; as the source writes it.
    pub position: Option<&'a [u8]>,
    /// JSON.
    pub payload: &'a [u8],
}

/// An entry with its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the log: each is one above the one before it, except where a recovery left numbers out.
    pub seq: u64,
    /// What was appended.
    pub entry: Entry<'a>,
}

impl Entry<'_> {
    /// Its bytes beside the fixed ones.
    pub(crate) fn length(&self) -> usize {
        let origin = if self.origin.is_some() { ORIGIN } else { 0 };
        origin + self.position.map_or(0, <[u8]>::len) + self.payload.len()
    }

    /// The bytes that it takes in a log.
    pub fn size(&self) -> usize {
        frame::size(FIXED + self.length())
    }
}

impl<'a> Record<'a> {
    /// Appends it; gives back its size. It must not be larger than [`MAX_RECORD`].
    pub(crate) fn encode(&self, salt: Salt, out: &mut Vec<u8>) -> usize {
        let entry = &self.entry;
        out.reserve(entry.size());
        frame::encode(salt, out, |out| {
            let flags =
                u8::from(entry.origin.is_some()) * HAS_ORIGIN + u8::from(entry.position.is_some()) * HAS_POSITION;
            let position = entry.position.unwrap_or_default();
            out.extend_from_slice(&self.seq.to_le_bytes());
            out.extend_from_slice(&entry.time_ms.to_le_bytes());
            out.extend_from_slice(&entry.oid.to_bytes());
            out.extend_from_slice(&entry.plan.to_le_bytes());
            out.extend_from_slice(&[entry.kind.code(), flags, 0, 0]);
            #[expect(clippy::cast_possible_truncation, reason = "at most MAX_RECORD")]
            out.extend_from_slice(&(position.len() as u32).to_le_bytes());
            if let Some(origin) = entry.origin {
                out.extend_from_slice(&origin.machine);
                out.extend_from_slice(&origin.seq.to_le_bytes());
                out.extend_from_slice(&origin.slot.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
            }
            out.extend_from_slice(position);
            out.extend_from_slice(entry.payload);
        })
    }

    /// The record at the beginning of `bytes`, and its size.
    pub(crate) fn decode(salt: Salt, bytes: &'a [u8]) -> Result<(Self, usize), Invalid> {
        let (body, size) = frame::decode(salt, bytes)?;
        Ok((Self::of(body).ok_or(Invalid::Damaged)?, size))
    }

    /// The record of a frame whose checksum is known to be right.
    pub(crate) fn of_frame(bytes: &'a [u8]) -> Option<Self> {
        let body = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        Self::of(bytes.get(frame::PREFIX..)?.get(..body)?)
    }

    fn of(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let (seq, time_ms) = (fields.u64()?, fields.u64()?);
        let oid = Oid::from_bytes(fields.take()?);
        let plan = fields.u32()?;
        let [kind, flags, zero, too] = fields.take()?;
        let kind = Kind::of(kind)?;
        let position = fields.u32()? as usize;
        if flags & !(HAS_ORIGIN | HAS_POSITION) != 0 || (zero, too) != (0, 0) {
            return None;
        }
        let origin = if flags & HAS_ORIGIN == 0 {
            None
        } else {
            let origin = Provenance { machine: fields.take()?, seq: fields.u64()?, slot: fields.u32()? };
            (fields.u32()? == 0).then_some(origin)?.into()
        };
        let position = match (flags & HAS_POSITION, position) {
            (0, 0) => None,
            (0, _) => return None,
            (_, length) => Some(fields.bytes(length)?),
        };
        Some(Self { seq, entry: Entry { time_ms, oid, kind, plan, origin, position, payload: fields.0 } })
    }

    /// The sequence number that a frame at the beginning of `bytes` would have: looked at before its checksum.
    pub(crate) fn peek_seq(bytes: &[u8]) -> Option<u64> {
        let mut fields = Fields(bytes);
        fields.bytes(frame::PREFIX)?;
        fields.u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whatever an entry can have, without the payload.
    #[derive(Debug)]
    struct Parts {
        seq: u64,
        entry: Entry<'static>,
        position: Option<Vec<u8>>,
    }

    prop_compose! {
        fn parts()(
            seq: u64, time_ms: u64, oid: [u8; 12], kind in 1..=4_u8, plan: u32,
            origin: Option<([u8; 16], u64, u32)>, position: Option<Vec<u8>>,
        ) -> Parts {
            let origin = origin.map(|(machine, seq, slot)| Provenance { machine, seq, slot });
            let (kind, oid) = (Kind::of(kind).unwrap(), Oid::from_bytes(oid));
            Parts { seq, entry: Entry { time_ms, oid, kind, plan, origin, ..Entry::default() }, position }
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(parts in parts(), payload: Vec<u8>, salt: [u8; 8]) {
            let entry = Entry { position: parts.position.as_deref(), payload: &payload, ..parts.entry };
            let seq = parts.seq;
            let record = Record { seq, entry };
            let mut bytes = Vec::new();
            let size = record.encode(Salt(salt), &mut bytes);
            prop_assert_eq!(size, bytes.len());
            prop_assert_eq!(size, entry.size());
            prop_assert_eq!(Record::decode(Salt(salt), &bytes), Ok((record, size)));
            prop_assert_eq!(Record::peek_seq(&bytes), Some(seq));
            for length in 0..bytes.len() {
                prop_assert!(matches!(Record::decode(Salt(salt), &bytes[..length]), Err(Invalid::Short(_))));
            }
        }

        #[test]
        fn no_changed_byte_is_overlooked(seq: u64, payload: Vec<u8>, at: prop::sample::Index, change in 1..=255_u8) {
            let mut bytes = Vec::new();
            Record { seq, entry: Entry { payload: &payload, ..Entry::default() } }.encode(Salt::default(), &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(Record::decode(Salt::default(), &bytes).is_err());
        }

        #[test]
        fn a_record_of_another_file_is_none(payload: Vec<u8>, salt: [u8; 8]) {
            prop_assume!(salt != [0; 8]);
            let mut bytes = Vec::new();
            Record { seq: 1, entry: Entry { payload: &payload, ..Entry::default() } }.encode(Salt::default(), &mut bytes);
            prop_assert_eq!(Record::decode(Salt(salt), &bytes), Err(Invalid::Damaged));
        }
    }
}
