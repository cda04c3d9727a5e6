//! Which async functions fit in a slot.
#![allow(unsafe_code, reason = "the boundary: implementations say what the engine's pointers point at")]

use crate::shim::{self, Arg, Async, Ended};
use machine::abi::SlotDesc;
use machine::shim::{Judged, given, is_nothing, judge, returned};
use machine::slot::{Boxed, Fallible, OutputType, Param, Plain, param};
use std::future::Future;
use std::marker::PhantomData;

/// An async function that fits in a slot: 1 to 9 parameters, each a [`Param`], nearest output first, the input last.
/// It gives any serialisable type, or a `Result` of one, whose `Err` is the slot's error for that message; an `Option`
/// as a [`Slot`](machine::slot::Slot) does.
///
/// Its future need not be `Send`: it stays on one thread. `Signature` is inferred; it keeps the implementations apart.
///
/// # Safety
/// What `erase` gives describes the function as it is.
#[diagnostic::on_unimplemented(
    message = "this does not fit in an async slot",
    label = "not an async function of a slot",
    note = "an async slot takes a closure or function of 1 to 9 parameters with their types written out: `async |id: u64| …`",
    note = "each parameter is `&T`, `&str`, a number, `String`, `&Value`, …, or `Option` of one of these",
    note = "its arguments must be `Send` (for example, no `Rc`)",
    note = "it must be `Send + Sync + 'static`: share with `Arc` and `Mutex` and `async move`; no `Rc`, no borrowed locals",
    note = "it gives a type that derives `Serialize`, or a `Result` of one with an error"
)]
pub unsafe trait AsyncSlot<Signature>: Send + Sync + 'static {
    /// Erases the types.
    fn erase(self) -> SlotDesc;
}

/// Makes an async function fit where a slot's function is taken: `MACHINE[1].set(slot(async |id: u64| …))`.
#[must_use]
pub fn slot<S, F: AsyncSlot<S>>(function: F) -> Async<F, S> {
    Async(function, PhantomData)
}

// SAFETY: `AsyncSlot` promises it.
unsafe impl<S: 'static, F: AsyncSlot<S>> machine::slot::Slot<Async<(), S>> for Async<F, S> {
    fn erase(self) -> SlotDesc {
        self.0.erase()
    }
}

macro_rules! slots {
    ($($($P:ident $i:tt),+;)+) => { $(
        // SAFETY: the parameters describe themselves, the output is an `R`, and `Begin` below begins the function.
        unsafe impl<F, R, $($P),+> AsyncSlot<(Plain, fn($($P),+) -> R)> for F
        where
            F: AsyncFn($($P),+) -> R + Send + Sync + 'static,
            F: for<'m> AsyncFn($($P::Item<'m>),+) -> R,
            R: OutputType,
            $($P: Param + 'static,)+
        {
            fn erase(self) -> SlotDesc {
                shim::erase(
                    Async::<F, (Plain, fn($($P),+) -> R)>(self, PhantomData),
                    &[$(param::<$P>()),+],
                    returned::<R>(),
                )
            }
        }
        impl<F, R, $($P),+> shim::Begin for Async<F, (Plain, fn($($P),+) -> R)>
        where
            F: for<'m> AsyncFn($($P::Item<'m>),+) -> R + Send + Sync + 'static,
            R: OutputType,
            $($P: Param + 'static,)+
        {
            type Output = R;
            fn begin<'m>(&'m self, args: impl Fn(usize) -> Arg<'m> + 'm) -> impl Future<Output = Ended<R>> + 'm {
                async move {
                    let output = (self.0)($($P::get(args($i))),+).await;
                    let mut error = None;
                    match judge(&output, |text| error = Some(text.to_string())) {
                        Judged::Failed => Err(error.unwrap_or_default()),
                        judged => Ok((output, judged == Judged::Present)),
                    }
                }
            }
        }
        slots!(@result Fallible, [E: std::error::Error + 'static], $($P $i),+);
        slots!(@result Boxed, [E: AsRef<dyn std::error::Error + Send + Sync> + std::fmt::Display + 'static], $($P $i),+);
    )+ };
    (@result $Marker:ident, [$($bound:tt)+], $($P:ident $i:tt),+) => {
        // SAFETY: as above.
        unsafe impl<F, R, E, $($P),+> AsyncSlot<($Marker, fn($($P),+) -> Result<R, E>)> for F
        where
            F: AsyncFn($($P),+) -> Result<R, E> + Send + Sync + 'static,
            F: for<'m> AsyncFn($($P::Item<'m>),+) -> Result<R, E>,
            R: OutputType,
            $($bound)+,
            $($P: Param + 'static,)+
        {
            fn erase(self) -> SlotDesc {
                shim::erase(
                    Async::<F, ($Marker, fn($($P),+) -> Result<R, E>)>(self, PhantomData),
                    &[$(param::<$P>()),+],
                    given::<R>(),
                )
            }
        }
        impl<F, R, E, $($P),+> shim::Begin for Async<F, ($Marker, fn($($P),+) -> Result<R, E>)>
        where
            F: for<'m> AsyncFn($($P::Item<'m>),+) -> Result<R, E> + Send + Sync + 'static,
            R: OutputType,
            $($bound)+,
            $($P: Param + 'static,)+
        {
            type Output = R;
            fn begin<'m>(&'m self, args: impl Fn(usize) -> Arg<'m> + 'm) -> impl Future<Output = Ended<R>> + 'm {
                async move {
                    let output = (self.0)($($P::get(args($i))),+).await.map_err(|error| error.to_string())?;
                    let is_there = !is_nothing(&output);
                    Ok((output, is_there))
                }
            }
        }
    };
}
slots! {
    P0 0;
    P0 0, P1 1;
    P0 0, P1 1, P2 2;
    P0 0, P1 1, P2 2, P3 3;
    P0 0, P1 1, P2 2, P3 3, P4 4;
    P0 0, P1 1, P2 2, P3 3, P4 4, P5 5;
    P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6;
    P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6, P7 7;
    P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6, P7 7, P8 8;
}
