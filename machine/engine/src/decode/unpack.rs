//! What is packed, as it is: gzip is unpacked and UTF-16 becomes UTF-8, in pieces of any size.
//!
//! Both are recognised by their first bytes; so are other formats, which are named instead of being read as broken text.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use std::sync::LazyLock;

/// Input is unpacked in pieces of this size, so that what comes of one is bounded: at most about a thousand times as much.
pub const PIECE: usize = 4 << 10;
/// How far back deflate looks.
const WINDOW: usize = 32 << 10;
/// The longest header of a gzip member: names and comments.
const LONGEST_HEADER: usize = 64 << 10;
/// A checksum and a length follow each member.
const TRAILER: usize = 8;

/// Why bytes are not unpacked. One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// It is a format that is not read here.
    Unsupported(String),
    /// It is not what it begins as.
    Broken(String),
    /// There would be too much.
    TooLarge,
}

impl std::fmt::Display for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported(why) | Self::Broken(why) => f.write_str(why),
            Self::TooLarge => f.write_str("too large when it is unpacked"),
        }
    }
}

/// The first bytes of formats. `None` is any byte.
const GZIP: &[Option<u8>] = &[Some(0x1f), Some(0x8b)];
const LITTLE: &[Option<u8>] = &[Some(0xff), Some(0xfe)];
const BIG: &[Option<u8>] = &[Some(0xfe), Some(0xff)];
const UNSUPPORTED: [(&str, &[Option<u8>]); 4] = [
    ("zstd", &[Some(0x28), Some(0xb5), Some(0x2f), Some(0xfd)]),
    ("xz", &[Some(0xfd), Some(b'7'), Some(b'z'), Some(b'X'), Some(b'Z'), Some(0)]),
    ("bzip2", &[Some(b'B'), Some(b'Z'), Some(b'h'), None, Some(b'1'), Some(b'A'), Some(b'Y'), Some(b'&')]),
    ("zip", &[Some(b'P'), Some(b'K'), Some(3), Some(4)]),
];

/// Whether bytes begin with a pattern; `None` if they might, with more of them.
fn begins(bytes: &[u8], pattern: &[Option<u8>]) -> Option<bool> {
    if bytes.iter().zip(pattern).any(|(byte, wanted)| wanted.is_some_and(|wanted| wanted != *byte)) {
        return Some(false);
    }
    (bytes.len() >= pattern.len()).then_some(true)
}

/// Whether bytes begin as something that is not read as it is.
#[must_use]
pub fn is_packed(bytes: &[u8]) -> bool {
    let mut patterns = [GZIP, LITTLE, BIG].into_iter().chain(UNSUPPORTED.map(|(_, pattern)| pattern));
    patterns.any(|pattern| begins(bytes, pattern) == Some(true))
}

/// The body of a request, unpacked: as its `Content-Encoding` and its first bytes say.
///
/// # Errors
/// If it is packed in another way, is broken, or has more than `most` bytes.
pub fn body(encoding: &str, bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, Packed> {
    let encoding = encoding.trim();
    let is_gzip = ["gzip", "x-gzip"].iter().any(|name| encoding.eq_ignore_ascii_case(name));
    if !is_gzip && !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(Packed::Unsupported(format!("Content-Encoding is {encoding}; expected gzip, or none")));
    }
    if is_gzip && begins(&bytes, GZIP) != Some(true) {
        return Err(Packed::Broken("Content-Encoding is gzip, but the body does not begin as gzip".to_owned()));
    }
    if !is_packed(&bytes) {
        return Ok(bytes);
    }
    let (mut unpacker, mut unpacked) = (Unpacker::default(), Vec::new());
    for piece in bytes.chunks(PIECE) {
        unpacker.push(piece, &mut unpacked)?;
        if unpacked.len() > most {
            return Err(Packed::TooLarge);
        }
    }
    unpacker.finish(&mut unpacked)?;
    Ok(unpacked)
}

/// Unpacks a stream of bytes.
#[derive(Debug, Default)]
pub struct Unpacker {
    /// The first bytes, until it is clear what they begin.
    head: Vec<u8>,
    outer: Outer,
    text: Text,
    /// What came out of gzip last.
    inflated: Vec<u8>,
}

#[derive(Debug, Default)]
enum Outer {
    #[default]
    Unknown,
    Plain,
    Gzip(Box<Gunzip>),
}

impl Unpacker {
    /// Takes bytes as they are: of a text whose beginning was left out.
    #[must_use]
    pub fn plain() -> Self {
        Self { outer: Outer::Plain, text: Text::Utf8, ..Self::default() }
    }

    /// Whether all that comes is taken as it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!((&self.outer, &self.text), (Outer::Plain, Text::Utf8))
    }

    /// Unpacks a piece, and appends what comes of it. At most [`PIECE`] bytes at a time keep that bounded.
    ///
    /// # Errors
    /// If it is of a format that is not read here, or broken.
    pub fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) -> Result<(), Packed> {
        match &mut self.outer {
            Outer::Plain => {
                self.text.push(bytes, to);
                Ok(())
            }
            Outer::Gzip(gunzip) => {
                self.inflated.clear();
                let pushed = gunzip.push(bytes, &mut self.inflated);
                self.text.push(&self.inflated, to);
                pushed
            }
            Outer::Unknown => {
                self.head.extend_from_slice(bytes);
                for (name, pattern) in UNSUPPORTED {
                    if begins(&self.head, pattern) == Some(true) {
                        return Err(Packed::Unsupported(format!(
                            "it is {name}; expected text or gzip: unpack it first"
                        )));
                    }
                }
                let is_open = UNSUPPORTED.iter().any(|(_, pattern)| begins(&self.head, pattern).is_none());
                match begins(&self.head, GZIP) {
                    None => return Ok(()),
                    Some(false) if is_open => return Ok(()),
                    Some(true) => self.outer = Outer::Gzip(Box::default()),
                    Some(false) => self.outer = Outer::Plain,
                }
                let head = std::mem::take(&mut self.head);
                self.push(&head, to)
            }
        }
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// If it ends too early.
    pub fn finish(&mut self, to: &mut Vec<u8>) -> Result<(), Packed> {
        let head = std::mem::take(&mut self.head);
        self.text.push(&head, to);
        self.text.finish(to);
        match &self.outer {
            Outer::Gzip(gunzip) => gunzip.finish(),
            _ => Ok(()),
        }
    }
}

/// Where a gzip stream is. It has one member or more, each with a header, deflated data and a trailer.
struct Gunzip {
    /// The beginning of a header or trailer.
    head: Vec<u8>,
    state: Member,
    inflater: DecompressorOxide,
    window: Vec<u8>,
    /// Where the next byte goes in the window.
    position: usize,
    checksum: u32,
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Header,
    Data,
    Trailer,
}

impl std::fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gunzip").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Default for Gunzip {
    fn default() -> Self {
        let (head, window) = (Vec::new(), vec![0; WINDOW]);
        let inflater = DecompressorOxide::new();
        Self { head, state: Member::Header, inflater, window, position: 0, checksum: !0, length: 0 }
    }
}

impl Gunzip {
    fn push(&mut self, mut bytes: &[u8], to: &mut Vec<u8>) -> Result<(), Packed> {
        while !bytes.is_empty() {
            match self.state {
                Member::Header => {
                    // Byte by byte: headers are short.
                    let Some((byte, rest)) = bytes.split_first() else { break };
                    bytes = rest;
                    self.head.push(*byte);
                    if self.head == [0] {
                        // Padding between members.
                        self.head.clear();
                    } else if is_header(&self.head)? {
                        self.head.clear();
                        self.inflater.init();
                        (self.position, self.checksum, self.length) = (0, !0, 0);
                        self.state = Member::Data;
                    }
                }
                Member::Data => self.inflate(&mut bytes, to)?,
                Member::Trailer => {
                    let (taken, rest) = bytes.split_at((TRAILER - self.head.len()).min(bytes.len()));
                    self.head.extend_from_slice(taken);
                    bytes = rest;
                    if let Ok([a, b, c, d, e, f, g, h]) = <[u8; TRAILER]>::try_from(self.head.as_slice()) {
                        let is_whole = u32::from_le_bytes([a, b, c, d]) == !self.checksum
                            && u32::from_le_bytes([e, f, g, h]) == self.length;
                        if !is_whole {
                            return Err(broken("its checksum is wrong"));
                        }
                        self.head.clear();
                        self.state = Member::Header;
                    }
                }
            }
        }
        Ok(())
    }

    fn inflate(&mut self, bytes: &mut &[u8], to: &mut Vec<u8>) -> Result<(), Packed> {
        loop {
            let (status, read, written) =
                decompress(&mut self.inflater, bytes, &mut self.window, self.position, TINFL_FLAG_HAS_MORE_INPUT);
            *bytes = bytes.get(read..).unwrap_or_default();
            let new = self.window.get(self.position..self.position + written).unwrap_or_default();
            self.checksum = crc(self.checksum, new);
            self.length = self.length.wrapping_add(u32::try_from(written).unwrap_or(u32::MAX));
            to.extend_from_slice(new);
            self.position = (self.position + written) % WINDOW;
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput if bytes.is_empty() => return Ok(()),
                TINFLStatus::NeedsMoreInput if read > 0 || written > 0 => {}
                TINFLStatus::Done => {
                    self.state = Member::Trailer;
                    return Ok(());
                }
                _ => return Err(broken("its data is not deflate")),
            }
        }
    }

    fn finish(&self) -> Result<(), Packed> {
        if self.state == Member::Header && self.head.is_empty() { Ok(()) } else { Err(broken("it ends too early")) }
    }
}

fn broken(why: &str) -> Packed {
    Packed::Broken(format!("it begins as gzip, but {why}"))
}

/// Whether a member's header is whole.
fn is_header(head: &[u8]) -> Result<bool, Packed> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECKSUM: u8 = 2;
    if begins(head, GZIP) == Some(false) || head.get(2).is_some_and(|method| *method != 8) {
        return Err(broken("what follows is not"));
    }
    if head.len() > LONGEST_HEADER {
        return Err(broken("its header is too long"));
    }
    let Some((fixed, mut rest)) = head.split_at_checked(10) else { return Ok(false) };
    let flags = fixed.get(3).copied().unwrap_or_default();
    if flags & EXTRA != 0 {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { return Ok(false) };
        let Some(after) = after.get(usize::from(u16::from_le_bytes(*length))..) else { return Ok(false) };
        rest = after;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let Some(end) = memchr::memchr(0, rest) else { return Ok(false) };
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    Ok(flags & CHECKSUM == 0 || rest.len() >= 2)
}

/// CRC-32, as gzip has it (RFC 1952): goes on from `crc`, which is inverted.
fn crc(crc: u32, bytes: &[u8]) -> u32 {
    static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        let step = |value: u32, _| if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
        std::array::from_fn(|at| (0..8).fold(u32::try_from(at).unwrap_or_default(), step))
    });
    let table = &*TABLE;
    bytes.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        table.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ (crc >> 8)
    })
}

/// The encoding of a text, known by its first two bytes.
#[derive(Debug, Default)]
enum Text {
    #[default]
    Unknown,
    /// One byte came, which may begin a mark.
    Half(u8),
    Utf8,
    Utf16(Utf16),
}

impl Text {
    fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        let Some((first, rest)) = bytes.split_first() else { return };
        match self {
            Self::Utf8 => to.extend_from_slice(bytes),
            Self::Utf16(units) => units.push(bytes, to),
            Self::Unknown if matches!(first, 0xfe | 0xff) => {
                *self = Self::Half(*first);
                self.push(rest, to);
            }
            Self::Unknown => {
                *self = Self::Utf8;
                self.push(bytes, to);
            }
            Self::Half(half) => {
                let head = [*half, *first];
                let is_big = begins(&head, BIG) == Some(true);
                if is_big || begins(&head, LITTLE) == Some(true) {
                    *self = Self::Utf16(Utf16 { is_big, byte: None, high: None });
                    self.push(rest, to);
                } else {
                    to.push(*half);
                    *self = Self::Utf8;
                    self.push(bytes, to);
                }
            }
        }
    }

    fn finish(&mut self, to: &mut Vec<u8>) {
        match self {
            Self::Half(half) => to.push(*half),
            // What is incomplete is shown as such.
            Self::Utf16(Utf16 { byte: Some(_), .. } | Utf16 { high: Some(_), .. }) => {
                append(to, char::REPLACEMENT_CHARACTER);
            }
            _ => {}
        }
        *self = Self::Unknown;
    }
}

#[derive(Debug)]
struct Utf16 {
    is_big: bool,
    /// The first byte of a unit.
    byte: Option<u8>,
    /// The first unit of a pair.
    high: Option<u16>,
}

impl Utf16 {
    fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        for byte in bytes {
            let Some(first) = self.byte.take() else {
                self.byte = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            self.unit(if self.is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }, to);
        }
    }

    fn unit(&mut self, unit: u16, to: &mut Vec<u8>) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(char)) = char::decode_utf16([high, unit]).next() {
                return append(to, char);
            }
            append(to, char::REPLACEMENT_CHARACTER);
        }
        match char::decode_utf16([unit]).next() {
            Some(Ok(char)) => append(to, char),
            _ if (0xd800..0xdc00).contains(&unit) => self.high = Some(unit),
            _ => append(to, char::REPLACEMENT_CHARACTER),
        }
    }
}

fn append(to: &mut Vec<u8>, char: char) {
    to.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with Python: `gzip.compress(b'{"a":1}\n' * 2, mtime=0)`.
    const ZIPPED: &str = "1f8b0800000000000203ab564a54b232ace5aa86d2003f7e1c1b10000000";
    const PLAIN: &[u8] = b"{\"a\":1}\n{\"a\":1}\n";

    fn bytes(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn unpack<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Packed> {
        let (mut unpacker, mut unpacked) = (Unpacker::default(), Vec::new());
        for piece in pieces {
            unpacker.push(piece, &mut unpacked)?;
        }
        unpacker.finish(&mut unpacked)?;
        Ok(unpacked)
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn gzip_and_utf_16_are_unpacked_in_pieces_of_any_size() {
        let zipped = bytes(ZIPPED);
        let twice = [&zipped[..], &zipped[..], &[0; 3]].concat();
        let text = "{\"a\":\"é😀\"}\n";
        for (packed, plain) in [
            (zipped, PLAIN.to_vec()),
            (twice, PLAIN.repeat(2)),
            (utf16(text, u16::to_le_bytes), text.as_bytes().to_vec()),
            (utf16(text, u16::to_be_bytes), text.as_bytes().to_vec()),
            (text.as_bytes().to_vec(), text.as_bytes().to_vec()),
            (b"PK\n".to_vec(), b"PK\n".to_vec()),
            (b"BZhello".to_vec(), b"BZhello".to_vec()),
            (b"B".to_vec(), b"B".to_vec()),
            (b"\xff".to_vec(), b"\xff".to_vec()),
            (b"\xef\xbb\xbf1".to_vec(), b"\xef\xbb\xbf1".to_vec()),
        ] {
            assert_eq!(unpack([&packed[..]]), Ok(plain.clone()));
            assert_eq!(unpack(packed.chunks(1)), Ok(plain));
        }
        assert_eq!(unpack([&b"\xff\xfe\x00\xd8a\x00b"[..]]), Ok("\u{fffd}a\u{fffd}".into()));
    }

    #[test]
    fn a_short_plain_line_is_there_at_once() {
        let (mut unpacker, mut unpacked) = (Unpacker::default(), Vec::new());
        unpacker.push(b"1\n", &mut unpacked).unwrap();
        assert_eq!(unpacked, b"1\n");
    }

    #[test]
    fn what_is_not_unpacked_is_named() {
        let mut wrong = bytes(ZIPPED);
        wrong[22] ^= 1;
        let zipped = bytes(ZIPPED);
        for (packed, expected) in [
            (&wrong[..], "it begins as gzip, but its checksum is wrong"),
            (&zipped[..25], "it begins as gzip, but it ends too early"),
            (&[&zipped[..], b"x"].concat(), "it begins as gzip, but what follows is not"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff", "it begins as gzip, but its data is not deflate"),
            (b"\x28\xb5\x2f\xfd....", "it is zstd; expected text or gzip: unpack it first"),
            (b"PK\x03\x04...", "it is zip; expected text or gzip: unpack it first"),
        ] {
            assert_eq!(unpack([packed]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_body_is_bounded_when_it_is_unpacked() {
        let zipped = bytes(ZIPPED);
        assert_eq!(body("gzip", zipped.clone(), 16), Ok(PLAIN.to_vec()));
        assert_eq!(body("", zipped.clone(), 16), Ok(PLAIN.to_vec()));
        assert_eq!(body("gzip", zipped, 15), Err(Packed::TooLarge));
        assert_eq!(body("identity", b"1".to_vec(), 15), Ok(b"1".to_vec()));
        assert!(matches!(body("gzip", b"1".to_vec(), 15), Err(Packed::Broken(_))));
        assert!(matches!(body("br", b"1".to_vec(), 15), Err(Packed::Unsupported(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(
            begin in 0_usize..30, rest in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50,
        ) {
            let all = [&bytes(ZIPPED)[..begin], &rest].concat();
            prop_assert_eq!(unpack(all.chunks(piece)), unpack([&all[..]]));
        }
    }
}
