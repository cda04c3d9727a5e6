//! The reorder buffer: what came before its turn waits until all before it are through or gone.

use std::collections::BTreeMap;

/// Items that go out in the order of their numbers. Every number is either inserted or said to be gone, once.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    /// The number whose turn it is.
    next: u64,
    /// What waits for its turn.
    waiting: BTreeMap<u64, T>,
    /// Numbers that will never come, as stretches: first and one past the last. They do not touch each other.
    gone: BTreeMap<u64, u64>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new(), gone: BTreeMap::new() }
    }
}

impl<T> Reorder<T> {
    /// The number whose turn it is.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many wait for their turn.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The item whose turn it is goes past the buffer.
    pub fn pass(&mut self) {
        self.next += 1;
        self.skip();
    }

    /// An item waits for its turn. One whose turn is over waits for ever, so nothing is kept of it.
    pub fn insert(&mut self, number: u64, item: T) {
        if number >= self.next {
            self.waiting.insert(number, item);
        }
    }

    /// The item whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.waiting.remove(&self.next)?;
        self.pass();
        Some(item)
    }

    /// A number will never come.
    pub fn gone(&mut self, number: u64) {
        if number < self.next {
            return;
        }
        let mut end = number + 1;
        if let Some(after) = self.gone.remove(&end) {
            end = after;
        }
        match self.gone.range_mut(..=number).next_back() {
            Some((_, before)) if *before >= number => *before = end.max(*before),
            _ => {
                self.gone.insert(number, end);
            }
        }
        self.skip();
    }

    fn skip(&mut self) {
        while let Some(first) = self.gone.first_entry() {
            if *first.key() > self.next {
                return;
            }
            self.next = self.next.max(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reorder;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order of arrival, and whatever is gone: all others come out, in order, as soon as all before
        /// them have come or are gone.
        #[test]
        fn all_come_out_in_order_and_as_early_as_they_can(
            fates in proptest::collection::vec(any::<bool>(), 0..60).prop_flat_map(|gone| {
                let numbers: Vec<(u64, bool)> = (0..).zip(gone).collect();
                Just(numbers).prop_shuffle()
            })
        ) {
            let mut reorder = Reorder::default();
            let mut out = Vec::new();
            let mut settled: Vec<(u64, bool)> = Vec::new();
            for (number, is_gone) in fates {
                if is_gone {
                    reorder.gone(number);
                } else if number == reorder.next() {
                    reorder.pass();
                    out.push(number);
                } else {
                    reorder.insert(number, number);
                }
                out.extend(std::iter::from_fn(|| reorder.pop()));
                settled.push((number, is_gone));
                settled.sort_unstable();
                let model: Vec<u64> = settled.iter().zip(0..).take_while(|((number, _), at)| number == at)
                    .filter(|((_, is_gone), _)| !is_gone).map(|((number, _), _)| *number).collect();
                prop_assert_eq!(&out, &model);
                let waiting = settled.iter().filter(|(_, is_gone)| !is_gone).count() - out.len();
                prop_assert_eq!(reorder.len(), waiting);
            }
        }
    }
}
