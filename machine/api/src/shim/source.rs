//! Iterators: what the engine takes messages from.

use super::call::drop_boxed;
use super::{given, panics};
use crate::abi::SourceDesc;
use serde::Serialize;

unsafe extern "C" fn next<I: Iterator>(state: *mut u8, to: *mut u8, max: usize, panicked: *mut bool) -> usize {
    // SAFETY: `state` is the iterator that `source` put on the heap; one thread at a time uses it.
    let iterator = unsafe { &mut *state.cast::<I>() };
    let mut count = 0;
    let failed = panics(&mut || {
        while count < max {
            let Some(item) = iterator.next() else { break };
            // SAFETY: the engine gives room for `max` items.
            unsafe { to.cast::<I::Item>().add(count).write(item) };
            count += 1;
        }
    });
    // SAFETY: the engine passes a live flag.
    unsafe { *panicked = failed };
    count
}

unsafe extern "C" fn exact<I: Iterator>(state: *const u8) -> bool {
    // SAFETY: as in `next`.
    let iterator = unsafe { &*state.cast::<I>() };
    let mut exact = false;
    panics(&mut || exact = matches!(iterator.size_hint(), (least, Some(most)) if least == most));
    exact
}

/// Erases an iterator's types.
pub(crate) fn source<I>(iterator: I) -> SourceDesc
where
    I: Iterator + Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    SourceDesc {
        state: Box::into_raw(Box::new(iterator)).cast(),
        drop: drop_boxed::<I>,
        next: next::<I>,
        exact: exact::<I>,
        again: None,
        item: given::<I::Item>(),
    }
}

/// A function that makes iterators, and the one that it made last.
struct Again<F, I> {
    make: F,
    now: Option<I>,
}

impl<F, I: Iterator> Iterator for Again<F, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.now.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.now.as_ref().map_or((0, Some(0)), Iterator::size_hint)
    }
}

unsafe extern "C" fn again<F: FnMut() -> I, I>(state: *mut u8) -> bool {
    // SAFETY: `state` is what `source_again` put on the heap; one thread at a time uses it.
    let state = unsafe { &mut *state.cast::<Again<F, I>>() };
    panics(&mut || {
        // The old one first: it may hold what the new one needs.
        state.now = None;
        state.now = Some((state.make)());
    })
}

/// Erases the types of a function that makes iterators.
pub(crate) fn source_again<F, I>(make: F) -> SourceDesc
where
    F: FnMut() -> I + Send + 'static,
    I: Iterator + Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    SourceDesc { again: Some(again::<F, I>), ..source::<Again<F, I>>(Again { make, now: None }) }
}
