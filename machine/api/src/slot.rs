//! Which functions fit in a slot, and what they take and give.
#![allow(unsafe_code, reason = "the boundary: implementations say what the engine's pointers point at")]

use crate::abi::{MAX_ARITY, Optionality, ParamDesc, SlotDesc, TypeDesc};
pub use crate::shim::Arg;
use crate::shim::{self, Call, Judged, Returned};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;

/// A parameter of a slot's function.
///
/// Types are taken by reference (`&Tweet`, `&str`, `&[f64]`, `&Value`), by value (numbers, `String`, the
/// collections of std, and what [`by_value!`](crate::by_value) names: the value is cloned), as `Option` of either
/// (the function runs although the output is missing), or [`Ignored`].
///
/// # Safety
/// `desc` describes `Stored`, `get` reads its argument as that and as nothing else, and reads one that may be missing
/// only if it is there: unless `NEED` is [`Optionality::Required`] it asks first.
#[diagnostic::on_unimplemented(
    message = "a slot's function cannot take `{Self}`",
    label = "this parameter's type",
    note = "take it by reference (`&{Self}`), and derive what crosses slots: `#[derive(Serialize, Deserialize)]`",
    note = "to take it by value, so that it is cloned for each call: `machine::by_value!({Self});`"
)]
pub unsafe trait Param {
    /// The parameter with the lifetime of one message.
    type Item<'m>;
    /// What the engine points at: an owned type. It is made on one thread and used, and dropped, on others.
    type Stored: Serialize + DeserializeOwned + Send + 'static;
    /// What happens when the output is missing.
    const NEED: Optionality = Optionality::Required;
    /// Reads the argument.
    fn get(arg: Arg<'_>) -> Self::Item<'_>;
    /// Describes the stored type. The types of std that are named here are described in this crate, so that cells
    /// need not compile how they are read and written.
    #[must_use]
    fn desc() -> &'static TypeDesc {
        shim::taken::<Self::Stored>()
    }
}

// SAFETY: what is stored is a `T`, and read as one.
unsafe impl<T: Serialize + DeserializeOwned + Send + 'static> Param for &T {
    type Item<'m> = &'m T;
    type Stored = T;
    #[inline]
    fn get(arg: Arg<'_>) -> Self::Item<'_> {
        arg.read::<T>()
    }
}

// SAFETY: what is stored is a `String`, and read as one.
unsafe impl Param for &str {
    type Item<'m> = &'m str;
    type Stored = String;
    #[inline]
    fn get(arg: Arg<'_>) -> Self::Item<'_> {
        arg.read::<String>()
    }
    fn desc() -> &'static TypeDesc {
        String::desc()
    }
}

// SAFETY: what is stored is a `Vec<T>`, and read as one.
unsafe impl<T: Serialize + DeserializeOwned + Send + 'static> Param for &[T] {
    type Item<'m> = &'m [T];
    type Stored = Vec<T>;
    #[inline]
    fn get(arg: Arg<'_>) -> Self::Item<'_> {
        arg.read::<Vec<T>>()
    }
}

// SAFETY: as `P`, which is only asked for what is there.
unsafe impl<P: Param> Param for Option<P> {
    type Item<'m> = Option<P::Item<'m>>;
    type Stored = P::Stored;
    const NEED: Optionality = Optionality::Optional;
    fn desc() -> &'static TypeDesc {
        P::desc()
    }
    #[inline]
    fn get(arg: Arg<'_>) -> Self::Item<'_> {
        (!arg.is_missing()).then(|| P::get(arg))
    }
}

/// A parameter that the function does not look at: it takes any output, missing ones too.
#[derive(Clone, Copy, Debug)]
pub struct Ignored;

// SAFETY: nothing is read.
unsafe impl Param for Ignored {
    type Item<'m> = Ignored;
    type Stored = Value;
    const NEED: Optionality = Optionality::Ignored;
    fn desc() -> &'static TypeDesc {
        Value::desc()
    }
    #[inline]
    fn get(_: Arg<'_>) -> Self::Item<'_> {
        Ignored
    }
}

/// Reads an argument by value. For [`by_value!`](crate::by_value).
#[doc(hidden)]
#[inline]
#[must_use]
pub fn cloned<T: Clone>(arg: Arg<'_>) -> T {
    arg.read::<T>().clone()
}

/// Lets slots take a type by value: it is cloned for each call.
///
/// ```
/// # use machine::prelude::*;
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Point { x: f64, y: f64 }
/// machine::by_value!(Point);
/// let norm = |p: Point| p.x.hypot(p.y); // now fits in a slot
/// # let _ = norm;
/// ```
#[macro_export]
macro_rules! by_value {
    ($($ty:ty),+ $(,)?) => { $(
        // SAFETY: what is stored is of this type, and read as it.
        unsafe impl $crate::slot::Param for $ty {
            type Item<'m> = $ty;
            type Stored = $ty;
            #[inline]
            fn get(arg: $crate::slot::Arg<'_>) -> $ty { $crate::slot::cloned::<$ty>(arg) }
        }
    )+ };
}

macro_rules! by_value_generic {
    ($([$($generics:tt)*] $ty:ty;)+) => { $(
        // SAFETY: what is stored is of this type, and read as it.
        unsafe impl<$($generics)*> Param for $ty where $ty: Serialize + DeserializeOwned + Clone + Send + 'static {
            type Item<'m> = $ty;
            type Stored = $ty;
            #[inline]
            fn get(arg: Arg<'_>) -> $ty { cloned::<$ty>(arg) }
        }
    )+ };
}
macro_rules! by_value_here {
    ($($ty:ty),+ $(,)?) => { $(
        // SAFETY: what is stored is of this type, and read as it.
        unsafe impl Param for $ty {
            type Item<'m> = $ty;
            type Stored = $ty;
            #[inline]
            fn get(arg: Arg<'_>) -> $ty { cloned::<$ty>(arg) }
            // Not inlined: it would take the functions that it points at with it.
            #[inline(never)]
            fn desc() -> &'static TypeDesc { shim::taken::<$ty>() }
        }
    )+ };
}
by_value_here!(f64, f32, i64, i32, i16, i8, isize, u64, u32, u16, u8, usize, i128, u128, bool, char, String, (), Value);
by_value_generic! {
    [] std::time::Duration; [T] Vec<T>; [T] VecDeque<T>; [T] Box<T>; [T] HashSet<T>; [T] BTreeSet<T>;
    [K, V] HashMap<K, V>; [K, V] BTreeMap<K, V>; [K] serde_json::Map<String, K>;
    [A] (A,); [A, B] (A, B); [A, B, C] (A, B, C); [A, B, C, D] (A, B, C, D); [T] [T; 2]; [T] [T; 3]; [T] [T; 4];
}

/// A function that fits in a slot: 1 to 9 parameters, each a [`Param`], nearest output first, the input last.
/// It gives any serialisable type, or a `Result` of one, whose `Err` is the slot's error for that message. An `Option`,
/// also in `Ok`, gives what is in `Some`; `None` is a missing output, and no error: slots that need it are skipped, and
/// parameters that are an `Option` are `None`.
///
/// `Signature` is inferred; it keeps the implementations apart.
///
/// # Safety
/// What `erase` gives describes the function as it is.
#[diagnostic::on_unimplemented(
    message = "this cannot be used as a slot",
    label = "expected a closure or function with typed parameters",
    note = "a slot takes a closure or function of 1 to 9 parameters with their types written out: `|t: &Tweet| …`",
    note = "each parameter is `&T`, `&str`, a number, `String`, `&Value`, …, or `Option` of one of these",
    note = "its arguments must be `Send` (for example, no `Rc`)",
    note = "it must be `Send + Sync + 'static`: share with `Arc` and `Mutex` and `move`; no `Rc`, no borrowed locals",
    note = "it gives a type that derives `Serialize`, or a `Result` of one with an error",
    note = "assign async closures with `MACHINE[1] = async |id: u64| …;` in a cell; in a program, use `set_async` of `machine_async::prelude`"
)]
pub unsafe trait Slot<Signature>: Send + Sync + 'static {
    /// Erases the types.
    fn erase(self) -> SlotDesc;
}

/// What the engine keeps of an output: it is moved between threads and written as JSON.
#[diagnostic::on_unimplemented(
    message = "a slot cannot give `{Self}`",
    label = "an output is serialised when somebody looks at it, and moved between threads",
    note = "derive it: `#[derive(Serialize)]`"
)]
pub trait OutputType: Serialize + Send + 'static {}
impl<T: Serialize + Send + 'static> OutputType for T {}

/// Signature of a function that always gives an output (or a `Result` that serialises as a whole).
#[derive(Debug)]
pub struct Plain;
/// Signature of a function that gives a `Result` with an error of std's kind.
#[derive(Debug)]
pub struct Fallible;
/// Signature of a function that gives a `Result` with a boxed error: `Box<dyn Error + Send + Sync>`, `anyhow::Error`.
#[derive(Debug)]
pub struct Boxed;

struct Typed<F, Signature>(F, PhantomData<fn() -> Signature>);

/// The descriptor of a parameter.
#[doc(hidden)]
#[must_use]
pub fn param<P: Param>() -> ParamDesc {
    ParamDesc { ty: P::desc(), need: P::NEED, name: shim::param_name::<P> }
}

macro_rules! slots {
    ($($arity:literal: $($P:ident $i:tt),+;)+) => { $(
        // SAFETY: the parameters describe themselves, the output is an `R`, and `Call` below calls the function.
        unsafe impl<F, R, $($P),+> Slot<(Plain, fn($($P),+) -> R)> for F
        where
            F: Fn($($P),+) -> R + Send + Sync + 'static,
            F: for<'m> Fn($($P::Item<'m>),+) -> R,
            R: OutputType,
            $($P: Param + 'static,)+
        {
            fn erase(self) -> SlotDesc {
                shim::erase(
                    Typed::<F, (Plain, fn($($P),+) -> R)>(self, PhantomData),
                    &[$(param::<$P>()),+],
                    shim::returned::<R>(),
                )
            }
        }
        impl<F, R, $($P),+> Call for Typed<F, (Plain, fn($($P),+) -> R)>
        where
            F: for<'m> Fn($($P::Item<'m>),+) -> R + Send + Sync + 'static,
            R: OutputType,
            $($P: Param + 'static,)+
        {
            type Output = R;
            #[inline]
            fn call<'m>(&self, args: impl Fn(usize) -> Arg<'m>, fail: impl FnOnce(std::fmt::Arguments<'_>)) -> Returned<R> {
                let output = (self.0)($($P::get(args($i))),+);
                match shim::judge(&output, fail) {
                    Judged::Present => Returned::Output(output),
                    Judged::Nothing => Returned::Nothing(output),
                    Judged::Failed => Returned::Failed,
                }
            }
        }
        slots!(@result Fallible, [E: std::error::Error + 'static], $($P $i),+);
        slots!(@result Boxed, [E: AsRef<dyn std::error::Error + Send + Sync> + std::fmt::Display + 'static], $($P $i),+);
    )+ };
    (@result $Marker:ident, [$($bound:tt)+], $($P:ident $i:tt),+) => {
        // SAFETY: as above.
        unsafe impl<F, R, E, $($P),+> Slot<($Marker, fn($($P),+) -> Result<R, E>)> for F
        where
            F: Fn($($P),+) -> Result<R, E> + Send + Sync + 'static,
            F: for<'m> Fn($($P::Item<'m>),+) -> Result<R, E>,
            R: OutputType,
            $($bound)+,
            $($P: Param + 'static,)+
        {
            fn erase(self) -> SlotDesc {
                shim::erase(
                    Typed::<F, ($Marker, fn($($P),+) -> Result<R, E>)>(self, PhantomData),
                    &[$(param::<$P>()),+],
                    shim::given::<R>(),
                )
            }
        }
        impl<F, R, E, $($P),+> Call for Typed<F, ($Marker, fn($($P),+) -> Result<R, E>)>
        where
            F: for<'m> Fn($($P::Item<'m>),+) -> Result<R, E> + Send + Sync + 'static,
            R: OutputType,
            $($bound)+,
            $($P: Param + 'static,)+
        {
            type Output = R;
            #[inline]
            fn call<'m>(&self, args: impl Fn(usize) -> Arg<'m>, fail: impl FnOnce(std::fmt::Arguments<'_>)) -> Returned<R> {
                match (self.0)($($P::get(args($i))),+) {
                    Ok(output) if shim::is_nothing(&output) => Returned::Nothing(output),
                    Ok(output) => Returned::Output(output),
                    Err(error) => {
                        fail(format_args!("{error}"));
                        Returned::Failed
                    }
                }
            }
        }
    };
}
slots! {
    1: P0 0;
    2: P0 0, P1 1;
    3: P0 0, P1 1, P2 2;
    4: P0 0, P1 1, P2 2, P3 3;
    5: P0 0, P1 1, P2 2, P3 3, P4 4;
    6: P0 0, P1 1, P2 2, P3 3, P4 4, P5 5;
    7: P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6;
    8: P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6, P7 7;
    9: P0 0, P1 1, P2 2, P3 3, P4 4, P5 5, P6 6, P7 7, P8 8;
}
const _: () = assert!(MAX_ARITY == 9, "one line above for each arity");
