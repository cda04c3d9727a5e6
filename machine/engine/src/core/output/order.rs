//! The reorder buffer: what came before its turn waits until all before it are through or withdrawn.

use rangemap::RangeSet;
use std::collections::BTreeMap;

/// Items that go out in the order of their numbers. Every number is either inserted or withdrawn, once.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    /// The number whose turn it is.
    next: u64,
    /// What waits for its turn.
    waiting: BTreeMap<u64, T>,
    /// Numbers that will never come.
    withdraw: RangeSet<u64>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new(), withdraw: RangeSet::new() }
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

    /// Numbers that will never come.
    pub fn withdraw(&mut self, numbers: RangeSet<u64>) {
        for numbers in numbers {
            if numbers.end > self.next {
                self.withdraw.insert(numbers);
            }
        }
        self.skip();
    }

    fn skip(&mut self) {
        while let Some(first) = self.withdraw.first().filter(|first| first.start <= self.next).cloned() {
            self.next = self.next.max(first.end);
            self.withdraw.remove(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reorder;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order of arrival, and whatever is withdrawn: all others come out, in order, as soon as all before
        /// them have come or are withdrawn.
        #[test]
        fn all_come_out_in_order_and_as_early_as_they_can(
            fates in proptest::collection::vec(any::<bool>(), 0..60).prop_flat_map(|withdraw| {
                let numbers: Vec<(u64, bool)> = (0..).zip(withdraw).collect();
                Just(numbers).prop_shuffle()
            })
        ) {
            let mut reorder = Reorder::default();
            let mut out = Vec::new();
            let mut settled: Vec<(u64, bool)> = Vec::new();
            for (number, is_gone) in fates {
                if is_gone {
                    reorder.withdraw(std::iter::once(number..number + 1).collect());
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
