//! The typed shims of async closures: from the engine's pointers to a future, and from its end back to the engine.
//!
//! Compiled into the library of the cell, a few lines a closure. User code runs under `catch_unwind`.
#![allow(unsafe_code, reason = "the boundary: pointers that the engine lends for the time of a flight")]

use crate::executor::{self, Lease, Location};
use machine::abi::{AsyncCall, CANCELLED, Outcome, ParamDesc, Run, SlotDesc, Text, TypeDesc, host};
use machine::shim::{describe, drop_payload, panics};
pub(crate) use machine::slot::Arg;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// An async function with the types that its slot takes and gives.
#[derive(Debug)]
pub struct Async<F, S>(pub(crate) F, pub(crate) PhantomData<fn() -> S>);

/// How a closure's future ended: with a value and whether that is an output, or with an error's text.
pub(crate) type Ended<T> = Result<(T, bool), String>;

/// An async closure with its types known: what the shim calls.
pub(crate) trait Begin: Send + Sync + 'static {
    /// What the engine stores.
    type Output: 'static;
    /// Makes the future. `args` holds as many arguments as the closure has parameters.
    fn begin<'m>(&'m self, args: impl Fn(usize) -> Arg<'m> + 'm) -> impl Future<Output = Ended<Self::Output>> + 'm;
}

/// What is on the heap of a slot: the closure, and its share in the executor.
struct Held<C> {
    closure: C,
    _lease: Lease,
}

/// Erases a closure's types.
pub(crate) fn erase<C: Begin, const N: usize>(
    closure: C,
    params: &[ParamDesc; N],
    output: &'static TypeDesc,
) -> SlotDesc {
    describe(Held { closure, _lease: Lease::new() }, Run::Begin(begin::<C>, executor::look), params, output)
}

/// What the engine lends for the time of a flight.
#[derive(Debug)]
struct Lent {
    state: *const u8,
    args: *const *const u8,
    out: *mut u8,
}
// SAFETY: the engine lends these to whichever thread ends the flight (see `Run::Begin`). The closure is `Send + Sync`;
// arguments and output are `Send` (bounds of what a slot gives), and nobody else uses them before the flight's end.
unsafe impl Send for Lent {}

/// The duty to end a flight, once.
#[derive(Debug)]
struct Duty(AsyncCall);
// SAFETY: the ticket is only handed back to the engine, which takes it from any thread.
unsafe impl Send for Duty {}

impl Duty {
    /// How long the call may take, nanoseconds.
    fn limit(&self) -> u64 {
        // SAFETY: it lives until `complete`, which takes the duty away.
        // Relaxed: it carries nothing but itself.
        unsafe { &*self.0.limit }.load(Ordering::Relaxed)
    }

    fn done(self, outcome: Outcome, text: &str) {
        self.complete(outcome, text);
        std::mem::forget(self);
    }

    fn complete(&self, outcome: Outcome, text: &str) {
        // SAFETY: the ticket is the engine's, and `done` and `drop` exclude each other; nothing of the call is left:
        // the owner of a `Duty` drops the future first.
        unsafe { (host().complete)(self.0.ticket, outcome, Text::new(text)) };
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.complete(Outcome::Failed, "the thread of this cell's async slots has ended");
    }
}

type LocalFuture = Pin<Box<dyn Future<Output = Ended<()>>>>;

/// A flight that has not begun.
#[derive(Debug)]
pub(crate) struct Job {
    start: unsafe fn(&Lent) -> LocalFuture,
    lent: Lent,
    duty: Duty,
}

unsafe extern "C" fn begin<C: Begin>(state: *const u8, args: *const *const u8, out: *mut u8, flight: AsyncCall) {
    executor::post(Job { start: start::<C>, lent: Lent { state, args, out }, duty: Duty(flight) });
}

/// Makes the future of one flight.
///
/// # Safety
/// What is lent stays so until the future is dropped.
unsafe fn start<C: Begin>(lent: &Lent) -> LocalFuture {
    let &Lent { state, args, out } = lent;
    // SAFETY: `state` is the closure that `erase` put on the heap; it is not freed while a flight runs.
    let closure = unsafe { &(*state.cast::<Held<C>>()).closure };
    Box::pin(async move {
        // SAFETY: `args` is the engine's for this flight, and the closure asks for as many as it has parameters.
        let (output, is_there) = closure.begin(move |number| unsafe { Arg::of(args, number) }).await?;
        // SAFETY: `out` has room for an output as described, aligned, and holds no value.
        unsafe { out.cast::<C::Output>().write(output) };
        Ok(((), is_there))
    })
}

impl Job {
    /// Ends the flight without a call.
    pub(crate) fn refuse(self, why: &str) {
        self.duty.done(Outcome::Failed, why);
    }

    /// Runs the flight to its end: one of a library's many, on its thread.
    pub(crate) async fn fly(self) {
        let Self { start, lent, duty } = self;
        // Declared after `duty`, so dropped before it if the thread ends in between.
        // SAFETY: what is lent stays so until `duty` is done, and the future is dropped before that.
        let mut future = Some(unsafe { start(&lent) });
        let ended = until_ended(&duty, &mut future).await;
        // A panic while the future is dropped has no message left to fail.
        panics(&mut || drop(future.take()));
        match ended {
            End::Of(Ok(((), true))) => duty.done(Outcome::Done, ""),
            End::Of(Ok(((), false))) => duty.done(Outcome::Nothing, ""),
            End::Of(Err(text)) => duty.done(Outcome::Failed, &text),
            End::Panicked => duty.done(Outcome::Panicked, ""),
            End::TimedOut => duty.done(Outcome::TimedOut, ""),
        }
    }
}

/// How a flight ends.
enum End {
    Of(Ended<()>),
    Panicked,
    TimedOut,
}

/// Polls the future; `None` while it runs.
fn poll(future: &mut Option<LocalFuture>, context: &mut Context<'_>) -> Option<End> {
    let running = future.as_mut()?;
    match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
        Ok(Poll::Ready(ended)) => Some(End::Of(ended)),
        Ok(Poll::Pending) => None,
        Err(payload) => {
            drop_payload(payload);
            Some(End::Panicked)
        }
    }
}

/// Waits for the future's end, or that of its time, which may change meanwhile.
async fn until_ended(duty: &Duty, future: &mut Option<LocalFuture>) -> End {
    let began = Instant::now();
    let mut place = Location::default();
    loop {
        let limit = duty.limit();
        if limit == CANCELLED {
            return End::TimedOut;
        }
        // `None`: the limit has changed.
        let call = poll_fn(|context| {
            if let Some(end) = poll(future, context) {
                return Poll::Ready(Some(end));
            }
            if duty.limit() != limit {
                return Poll::Ready(None);
            }
            place.take(context.waker());
            Poll::Pending
        });
        // A time beyond what a clock can tell does not end.
        let ended = match (limit, began.checked_add(Duration::from_nanos(limit))) {
            (0, _) | (_, None) => Ok(call.await),
            (_, Some(deadline)) => tokio::time::timeout_at(deadline, call).await,
        };
        match ended {
            Ok(Some(end)) => return end,
            Err(_) if duty.limit() == limit => return End::TimedOut,
            // The time may also have changed in the moment of its end.
            Ok(None) | Err(_) => {}
        }
    }
}
