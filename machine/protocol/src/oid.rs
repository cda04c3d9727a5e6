//! The name of a message.

use std::fmt;

/// The name of a message: 12 bytes, written as 24 hex digits, unique among all machines of all processes and sorted by time.
///
/// ```
/// use machine_protocol::Oid;
///
/// let oid = Oid::parse("692000000000123400000007").unwrap();
/// assert_eq!((oid.seconds, oid.machine, oid.counter), (0x6920_0000, 0x1234, 7));
/// assert_eq!(oid.to_string(), "692000000000123400000007");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    /// Seconds since 1970, UTC; good until the year 2106.
    pub seconds: u32,
    /// The machine, among all machines of all processes.
    pub machine: u32,
    /// Distinguishes the messages of one second; a machine makes at most 2³² of them.
    pub counter: u32,
}

impl Oid {
    /// The oid that these 24 hex digits stand for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let part = |range| u32::from_str_radix(text.get(range)?, 16).ok();
        let (seconds, machine, counter) = (part(0..8)?, part(8..16)?, part(16..24)?);
        is_hex.then_some(Self { seconds, machine, counter })
    }

    /// The 12 bytes, in the order of the digits.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (four, word) in bytes.chunks_exact_mut(4).zip([self.seconds, self.machine, self.counter]) {
            four.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The oid of these bytes: the inverse of [`to_bytes`](Self::to_bytes).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        let mut words =
            bytes.chunks_exact(4).map(|four| four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)));
        let mut word = || words.next().unwrap_or_default();
        Self { seconds: word(), machine: word(), counter: word() }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:08x}{:08x}", self.seconds, self.machine, self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::Oid;

    #[test]
    fn is_24_hex_digits_and_reads_back() {
        let oid = Oid { seconds: 0x6920_0000, machine: 0x1234, counter: 7 };
        assert_eq!(oid.to_string(), "692000000000123400000007");
        assert_eq!(Oid::parse(&oid.to_string()), Some(oid));
        assert_eq!(Oid::from_bytes(oid.to_bytes()), oid);
        assert_eq!(oid.to_bytes()[..4], [0x69, 0x20, 0, 0]);
        assert_eq!(Oid::parse("nonsense"), None);
        assert_eq!(Oid::parse("+9200000+0001234+0000007"), None);
    }
}
