//! The reorder buffer: what came before its turn waits until all before it are through or withdrawn.

use std::collections::BTreeMap;

/// Numbers as stretches: the first, and one past the last. They do not touch each other.
#[derive(Debug, Default)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    /// Adds the numbers from `first` on, less than `end`.
    pub fn add(&mut self, first: u64, end: u64) {
        let (mut first, mut end) = (first, end);
        while let Some((&before, &its_end)) = self.0.range(..=end).next_back().filter(|(_, its_end)| **its_end >= first)
        {
            self.0.remove(&before);
            (first, end) = (first.min(before), end.max(its_end));
        }
        self.0.insert(first, end);
    }

    /// Takes out the first one, if it begins at `number` or before.
    fn take_from(&mut self, number: u64) -> Option<u64> {
        let first = self.0.first_entry().filter(|first| *first.key() <= number)?;
        Some(first.remove())
    }
}

/// Items that go out in the order of their numbers. Every number is either inserted or withdrawn, once.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    /// The number whose turn it is.
    next: u64,
    /// What waits for its turn.
    waiting: BTreeMap<u64, T>,
    /// Numbers that will never come.
    withdraw: RangeSet,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new(), withdraw: RangeSet::default() }
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
    pub fn withdraw(&mut self, numbers: RangeSet) {
        for (first, end) in numbers.0 {
            if end > self.next {
                self.withdraw.add(first, end);
            }
        }
        self.skip();
    }

    fn skip(&mut self) {
        while let Some(end) = self.withdraw.take_from(self.next) {
            self.next = self.next.max(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RangeSet, Reorder};
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
                    let mut withdraw = RangeSet::default();
                    withdraw.add(number, number + 1);
                    reorder.withdraw(withdraw);
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

        /// However they come, stretches are those of the set of all numbers, as few as there can be.
        #[test]
        fn stretches_are_a_set(added in proptest::collection::vec((0_u64..50, 1_u64..8), 0..40)) {
            let (mut stretches, mut set) = (RangeSet::default(), std::collections::BTreeSet::new());
            for (first, length) in added {
                stretches.add(first, first + length);
                set.extend(first..first + length);
            }
            let mut model: Vec<(u64, u64)> = Vec::new();
            for number in set {
                match model.last_mut() {
                    Some((_, end)) if *end == number => *end += 1,
                    _ => model.push((number, number + 1)),
                }
            }
            prop_assert_eq!(stretches.0.into_iter().collect::<Vec<_>>(), model);
        }
    }
}
