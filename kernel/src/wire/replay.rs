//! Which messages were here already: a recorded message must not run again.

use super::signing::Signature;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// How many signatures are remembered. Only signed messages count, so nobody without the key can push one out.
const REMEMBERED: usize = 1 << 16;

/// The signatures of the last messages.
#[derive(Debug, Default)]
pub struct Seen(Mutex<(HashSet<Signature>, VecDeque<Signature>)>);

impl Seen {
    /// Remembers a verified signature. False if it was here before.
    pub fn insert(&self, signature: Signature) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, order) = &mut *seen;
        if !set.insert(signature) {
            return false;
        }
        order.push_back(signature);
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_once_and_memory_is_bounded() {
        let seen = Seen::default();
        let number = |number: usize| {
            let mut signature = [0; 32];
            signature[..8].copy_from_slice(&number.to_be_bytes());
            signature
        };
        for at in 0..REMEMBERED + 10 {
            assert!(seen.insert(number(at)));
            assert!(!seen.insert(number(at)));
        }
        assert!(!seen.insert(number(10)) && seen.insert(number(9)));
        assert_eq!(seen.0.lock().unwrap().1.len(), REMEMBERED);
    }
}
