//! Closures: what the engine calls for a message.

use super::{drop_payload, panics, say};
use crate::abi::{ByteWriter, MAX_ARITY, Outcome, ParamDesc, Run, SlotDesc, Text, TypeDesc};
use std::any::type_name;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One argument of a slot's function: a pointer to a value of the parameter's stored type, or none.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'m> {
    ptr: *const u8,
    message: PhantomData<&'m ()>,
}

impl<'m> Arg<'m> {
    /// Argument `number` of a call.
    ///
    /// # Safety
    /// `args` is what the engine passed to [`Run`], `number` is below the function's arity, and the call goes on for
    /// `'m`.
    #[must_use]
    pub unsafe fn of(args: *const *const u8, number: usize) -> Self {
        // SAFETY: the engine passes one pointer for each parameter of the descriptor.
        Self { ptr: unsafe { *args.add(number) }, message: PhantomData }
    }

    /// The value. Each [`Param`](crate::slot::Param) reads the type that it told the engine in its descriptor.
    pub(crate) fn read<T>(self) -> &'m T {
        debug_assert!(!self.ptr.is_null());
        // SAFETY: an `Arg` is only made by `of`, from a pointer to a live value of the type in the parameter's
        // descriptor; the engine calls a slot only if all required arguments are there.
        unsafe { &*self.ptr.cast::<T>() }
    }

    /// Whether the output is missing.
    pub(crate) fn is_missing(self) -> bool {
        self.ptr.is_null()
    }
}

/// What one call of a closure gave.
pub(crate) enum Returned<T> {
    /// The output.
    Output(T),
    /// `None`: there is no output.
    Nothing(T),
    /// The slot's error for this message.
    Failed,
}

/// A closure with its types known: what the shim calls.
pub(crate) trait Call: Send + Sync + 'static {
    /// What the engine stores.
    type Output: 'static;
    /// Calls the closure. `args` holds as many arguments as the closure has parameters.
    fn call<'m>(
        &self,
        args: impl Fn(usize) -> Arg<'m>,
        fail: impl FnOnce(std::fmt::Arguments<'_>),
    ) -> Returned<Self::Output>;
}

unsafe extern "C" fn call<C: Call>(
    state: *const u8,
    args: *const *const u8,
    out: *mut u8,
    sink: *mut ByteWriter,
) -> Outcome {
    // SAFETY: `state` is the `C` that `erase` put on the heap, and not freed while a call runs.
    let closure = unsafe { &*state.cast::<C>() };
    let mut outcome = Outcome::Panicked;
    // Generic, unlike `panics`: most closures cannot panic, and then nothing of it is left.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `args` is the engine's for this call, and the closure asks for as many as it has parameters.
        let args = |i: usize| unsafe { Arg::of(args, i) };
        outcome = match closure.call(args, |text| say(sink, text)) {
            Returned::Output(value) => {
                // SAFETY: `out` has room for an output as described, aligned, and holds no value.
                unsafe { out.cast::<C::Output>().write(value) };
                Outcome::Done
            }
            Returned::Nothing(value) => {
                // SAFETY: as above.
                unsafe { out.cast::<C::Output>().write(value) };
                Outcome::Nothing
            }
            Returned::Failed => Outcome::Failed,
        };
    }));
    if let Err(payload) = result {
        drop_payload(payload);
        return Outcome::Panicked;
    }
    outcome
}

pub(super) unsafe extern "C" fn drop_boxed<T>(state: *mut u8) -> bool {
    // SAFETY: `state` is the box that `erase` or `source` made; the engine frees it once.
    panics(&mut || drop(unsafe { Box::from_raw(state.cast::<T>()) }))
}

/// Erases a closure's types.
pub(crate) fn erase<C: Call, const N: usize>(
    closure: C,
    params: &[ParamDesc; N],
    output: &'static TypeDesc,
) -> SlotDesc {
    describe(closure, Run::Call(call::<C>), params, output)
}

/// A slot's descriptor: its closure goes on the heap, to be called by `run`.
#[must_use]
pub fn describe<C: Send + Sync + 'static, const N: usize>(
    closure: C,
    run: Run,
    params: &[ParamDesc; N],
    output: &'static TypeDesc,
) -> SlotDesc {
    const { assert!(N > 0 && N <= MAX_ARITY) };
    let mut all = [params[0]; MAX_ARITY];
    for (to, from) in all.iter_mut().zip(params) {
        *to = *from;
    }
    SlotDesc {
        state: Box::into_raw(Box::new(closure)).cast(),
        drop: drop_boxed::<C>,
        run,
        params: all,
        arity: N,
        output,
    }
}

/// The name of a parameter's type, for its descriptor.
pub(crate) extern "C" fn param_name<P>() -> Text {
    Text::new(type_name::<P>())
}
