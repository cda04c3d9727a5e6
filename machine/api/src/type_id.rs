//! The identity of a type in the libraries of a session.

use std::hash::{Hash, Hasher};

/// A number that is the same for one type in libraries of one session. Lifetimes make no difference.
pub(crate) fn id<T: ?Sized>() -> u64 {
    struct Capture(u64);
    impl Hasher for Capture {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = self.0.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
            }
        }
        fn write_u64(&mut self, n: u64) {
            self.0 = self.0.rotate_left(29) ^ n;
        }
    }
    let mut capture = Capture(0);
    typeid::of::<T>().hash(&mut capture);
    capture.finish()
}
