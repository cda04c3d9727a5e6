//! Bytes in a file that can be found again, and are known to be whole.
//!
//! | bytes | |
//! |---|---|
//! | 0–3 | length of the body, little-endian |
//! | 4–7 | CRC-32C, seeded with the file's salt, of the length, the body and the padding |
//! | 8– | the body |
//! | | zeros up to a multiple of 8 bytes |
//!
//! The salt is random for each file: a record of another log inside a message is not taken for one of this log.

/// The bytes before a body.
pub const PREFIX: usize = 8;
/// Frames begin at multiples of it.
pub const ALIGNMENT: usize = 8;
/// The longest body, in bytes: what is longer is no length.
pub const LONGEST: usize = 256 << 20;

/// Random bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salt(pub [u8; 8]);

/// Why there is no frame at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// So many bytes are needed to tell.
    Short(usize),
    /// The length, the checksum or the body is none.
    Damaged,
}

/// How many bytes a frame with such a body takes.
pub const fn size(body: usize) -> usize {
    (PREFIX + body).next_multiple_of(ALIGNMENT)
}

/// The size of the frame at the beginning of `bytes`, if its length can be one.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let body = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (1..=LONGEST).contains(&body).then(|| size(body))
}

/// Appends a frame whose body `write` appends; gives back its size.
pub fn encode(salt: Salt, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    write(out);
    let body = out.len() - start - PREFIX;
    debug_assert!(body <= LONGEST, "a body of {body} bytes");
    out.resize(start + size(body), 0);
    let Some((prefix, rest)) = out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<PREFIX>()) else {
        return 0;
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most LONGEST")]
    let length = body as u32;
    let sum = checksum(salt, length, rest);
    *prefix = (u64::from(sum) << 32 | u64::from(length)).to_le_bytes();
    size(body)
}

/// The body at the beginning of `bytes`, and the size of its frame.
pub fn decode(salt: Salt, bytes: &[u8]) -> Result<(&[u8], usize), Invalid> {
    let (mut fields, missing) = (Fields(bytes), Invalid::Short(PREFIX));
    let (length, sum) = (fields.u32().ok_or(missing)?, fields.u32().ok_or(missing)?);
    let body = length as usize;
    // An empty body is what a hole in a file looks like.
    if body == 0 || body > LONGEST {
        return Err(Invalid::Damaged);
    }
    let size = size(body);
    let rest = fields.bytes(size - PREFIX).ok_or(Invalid::Short(size))?;
    if checksum(salt, length, rest) != sum {
        return Err(Invalid::Damaged);
    }
    Ok((rest.get(..body).unwrap_or_default(), size))
}

fn checksum(salt: Salt, length: u32, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&salt.0), &length.to_le_bytes()), rest)
}

/// Takes integers off the front of bytes; `None` once there are too few.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}
