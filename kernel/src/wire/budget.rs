//! How much memory the unfinished messages of all connections may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one connection may hold without a share of the budget, so that short messages get through at any time.
const FREE: usize = 64 << 10;

/// The bytes that are left.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    /// The share of a new connection: nothing yet.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), taken: 0 }
    }
}

/// One connection's share of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    taken: usize,
}

impl Share {
    /// Makes this the share of a connection that holds so many bytes. False if there is not enough left.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE);
        let more = wanted.saturating_sub(self.taken);
        // Relaxed, here and below: a sum that guards no data.
        let fits =
            self.budget.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more)).is_ok();
        if fits {
            self.budget.0.fetch_add(self.taken.saturating_sub(wanted), Ordering::Relaxed);
            self.taken = wanted;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_budget_at_most() {
        let budget = Budget::new(1_000);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.hold(FREE + 700) && other.hold(FREE) && other.hold(FREE + 300));
        assert!(!other.hold(FREE + 301), "nothing is left");
        assert!(one.hold(0) && other.hold(FREE + 1_000));
        drop(other);
        assert!(one.hold(FREE + 1_000));
    }
}
