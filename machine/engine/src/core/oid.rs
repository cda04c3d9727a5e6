//! The name of a message: 12 bytes, 24 hex digits, unique in all machines of all processes and sorted by time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub use machine_protocol::Oid;

/// The name of the message that was put on `machine` at this moment, as the queue's number `number`.
pub(crate) const fn name(machine: u32, put: Moment, number: u64) -> Oid {
    #[expect(clippy::cast_possible_truncation, reason = "a counter that wraps")]
    Oid { seconds: put.seconds, machine, counter: number as u32 }
}

/// When the message was accepted, UTC, RFC 3339, in seconds.
pub(crate) fn time(oid: Oid) -> String {
    rfc3339(u64::from(oid.seconds) * 1000, chrono::SecondsFormat::Secs)
}

/// The 24 hex digits. Called for each message that is written.
#[inline]
pub(crate) fn hex(oid: Oid) -> [u8; 24] {
    let mut hex = [0; 24];
    let words = [oid.seconds, oid.machine, oid.counter];
    for (digits, word) in hex.chunks_exact_mut(8).zip(words) {
        digits.copy_from_slice(&hex_digits(word));
    }
    hex
}

/// All eight digits at once, each in its byte of one word.
#[inline]
fn hex_digits(word: u32) -> [u8; 8] {
    let halves = (u64::from(word) | (u64::from(word) << 16)) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | (halves << 8)) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | (bytes << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in the bytes of digits above nine, which are letters.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let (zero, to_letters) = (0x3030_3030_3030_3030, u64::from(b'a' - b'9' - 1));
    (digits + zero + letters * to_letters).to_be_bytes()
}

/// The number of a machine in the oids of its messages.
///
/// The machines of a process count up from a random number, so two of them never share one. A process that was forked
/// has the machines of its parent, and adds a random number to theirs.
#[derive(Debug)]
pub(crate) struct MachineNumber(u32);

/// What a process that was forked adds to the numbers of its machines: 0 where nobody has forked.
static FORKED: AtomicU32 = AtomicU32::new(0);

impl MachineNumber {
    /// The next one of this process.
    pub fn next() -> Self {
        static NEXT: OnceLock<AtomicU32> = OnceLock::new();
        let next = NEXT.get_or_init(|| {
            crate::core::raw::after_fork(forked);
            AtomicU32::new(random())
        });
        // Relaxed: only the number counts.
        Self(next.fetch_add(1, Ordering::Relaxed))
    }

    /// The number as it stands in oids.
    #[inline]
    pub fn get(&self) -> u32 {
        // Relaxed: changed by a fork alone, whose child has no other thread.
        self.0.wrapping_add(FORKED.load(Ordering::Relaxed))
    }
}

/// Runs in the child of a fork, where nothing may be locked or allocated.
extern "C" fn forked() {
    // A step of the splitmix generator: distinct processes have distinct numbers, spread over all.
    let seed = u64::from(std::process::id()) << 32 | u64::from(FORKED.load(Ordering::Relaxed));
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    FORKED.store((mixed >> 32) as u32 ^ coarse_now().nanos, Ordering::Relaxed);
}

fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::process::id());
    u32::try_from(random >> 32).unwrap_or_default()
}

/// Milliseconds since 1970 as text, UTC.
pub(crate) fn rfc3339(millis: u64, digits: chrono::SecondsFormat) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map(|time| time.to_rfc3339_opts(digits, true))
        .unwrap_or_default()
}

/// A moment, as the system last noted it: some milliseconds late, and five times cheaper than the exact time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since 1970, UTC.
    pub seconds: u32,
    /// Below 10⁹. Not milliseconds: a message's moment is taken for each, and divided for few.
    pub nanos: u32,
}

impl Moment {
    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        u64::from(self.seconds) * 1000 + u64::from(self.nanos / 1_000_000)
    }
}

/// Now, some milliseconds late. Called for each message.
#[inline]
pub(crate) fn coarse_now() -> Moment {
    let (seconds, nanos) = crate::core::raw::coarse_clock().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (since.as_secs(), u64::from(since.subsec_nanos()))
    });
    #[expect(clippy::cast_possible_truncation, reason = "nanoseconds are below a thousand million")]
    Moment { seconds: u32::try_from(seconds).unwrap_or(u32::MAX), nanos: nanos as u32 }
}

/// Milliseconds since 1970, as the system last noted them: some milliseconds late. Called for each claim.
pub(crate) fn coarse_millis() -> u64 {
    coarse_now().millis()
}

#[cfg(test)]
mod tests {
    use super::{MachineNumber, Oid, forked, hex, time};

    #[test]
    fn a_process_that_was_forked_gives_its_machines_other_numbers() {
        let (one, other) = (MachineNumber::next(), MachineNumber::next());
        assert_ne!(one.get(), other.get());
        let before = [one.get(), other.get()];
        forked();
        assert_ne!(one.get(), other.get());
        assert!(!before.contains(&one.get()) && !before.contains(&other.get()));
    }

    #[test]
    fn the_digits_are_those_of_display() {
        let name = Oid { seconds: 0x6920_0000, machine: 0x1234, counter: 0xabc_def7 };
        assert_eq!(name.to_string().as_bytes(), hex(name));
        assert_eq!(time(name), "2025-11-21T06:00:32Z");
    }
}
