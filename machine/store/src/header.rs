//! The beginning of each file of a log.
//!
//! 1,024 bytes: the same 128 bytes twice, 512 bytes apart, so that one damaged sector does not make a file unreadable;
//! the rest is zeros. Integers are little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 0–7 | `machlog` and a line feed |
//! | 8–11 | format version |
//! | 12–15 | what the file is: 1 records, 2 acknowledgements |
//! | 16–31 | the machine's UUID |
//! | 32–39 | salt |
//! | 40–47 | first sequence number |
//! | 48–55 | sequence number after the last one before this file: those in between were never used |
//! | 56–63 | when it was made, milliseconds since 1970, UTC |
//! | 64–123 | zeros |
//! | 124–127 | CRC-32C of the bytes before |

use crate::frame::{Fields, Salt};

/// The bytes before the first frame.
pub const HEADER: usize = 1024;
/// The format that is written; all since 1 are read.
pub const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"machlog\n";
const COPY: usize = 128;
const SECOND: usize = 512;

/// What a file has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Records: a segment.
    Records,
    /// What was finished, and checkpoints.
    Acknowledgements,
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub content: Content,
    /// The machine's UUID.
    pub machine: [u8; 16],
    pub salt: Salt,
    /// The first sequence number that a record in it may have.
    pub first: u64,
    /// The sequence number after the last one before it. Those up to `first` were left out.
    pub follows: u64,
    pub created_ms: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Both copies are damaged.
    Damaged,
    /// This version of the format is not known here.
    Newer(u32),
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut copy = Vec::with_capacity(COPY);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&self.content.code().to_le_bytes());
        copy.extend_from_slice(&self.machine);
        copy.extend_from_slice(&self.salt.0);
        copy.extend_from_slice(&self.first.to_le_bytes());
        copy.extend_from_slice(&self.follows.to_le_bytes());
        copy.extend_from_slice(&self.created_ms.to_le_bytes());
        copy.resize(COPY - 4, 0);
        copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
        let mut bytes = [0; HEADER];
        for at in [0, SECOND] {
            if let Some(place) = bytes.get_mut(at..at + COPY) {
                place.copy_from_slice(&copy);
            }
        }
        bytes
    }

    /// The header that these bytes begin with, from whichever copy is whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let copies = [0, SECOND].map(|at| bytes.get(at..at + COPY).map_or(Err(Unreadable::Damaged), Self::decode_copy));
        match copies {
            [Ok(header), _] | [_, Ok(header)] => Ok(header),
            [Err(Unreadable::Newer(version)), _] | [_, Err(Unreadable::Newer(version))] => {
                Err(Unreadable::Newer(version))
            }
            _ => Err(Unreadable::Damaged),
        }
    }

    fn decode_copy(copy: &[u8]) -> Result<Self, Unreadable> {
        let mut fields = Fields(copy);
        let known = || {
            let (body, sum) = copy.split_last_chunk()?;
            (crc32c::crc32c(body) == u32::from_le_bytes(*sum)).then_some(())
        };
        let magic = fields.take::<8>();
        let version = fields.u32().unwrap_or_default();
        if magic != Some(MAGIC) || known().is_none() {
            return Err(Unreadable::Damaged);
        }
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        let mut read = || {
            Some(Self {
                content: Content::of(fields.u32()?)?,
                machine: fields.take()?,
                salt: Salt(fields.take()?),
                first: fields.u64()?,
                follows: fields.u64()?,
                created_ms: fields.u64()?,
            })
        };
        read().ok_or(Unreadable::Damaged)
    }
}

impl Content {
    const fn code(self) -> u32 {
        match self {
            Self::Records => 1,
            Self::Acknowledgements => 2,
        }
    }

    const fn of(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Records),
            2 => Some(Self::Acknowledgements),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let salt = Salt(*b"saltsalt");
        Header {
            content: Content::Records,
            machine: [7; 16],
            salt,
            first: 100,
            follows: 90,
            created_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn one_damaged_copy_does_not_matter() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for at in 0..HEADER {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(Header::decode(&damaged), Ok(header()), "byte {at}");
            damaged[at ^ SECOND] ^= 0x10;
            let expected = if at % SECOND < COPY { Err(Unreadable::Damaged) } else { Ok(header()) };
            assert_eq!(Header::decode(&damaged), expected, "byte {at} in both");
        }
        assert_eq!(Header::decode(&bytes[..100]), Err(Unreadable::Damaged));
        assert_eq!(Header::decode(&[]), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = header().encode();
        for at in [0, SECOND] {
            bytes[at + 8] = 2;
            let sum = crc32c::crc32c(&bytes[at..at + COPY - 4]);
            bytes[at + COPY - 4..at + COPY].copy_from_slice(&sum.to_le_bytes());
        }
        assert_eq!(Header::decode(&bytes), Err(Unreadable::Newer(2)));
    }
}
