//! What a notebook's cells are rewritten to call. Not for people.
//!
//! The kernel turns `MACHINE[1] = |x: f64| x;` into [`assign`], a cell's own `?` into [`tried`], and puts [`check`]
//! at the head of its loops, so that errors point at the user's line and an interrupt stops a loop.
//!
//! A cell that has to end early tells why first, then unwinds without a panic's message.
#![expect(clippy::print_stderr, reason = "a warning goes where a cell's own text goes")]

use crate::abi::{SlotDesc, host};
use crate::handle::SlotRef;
use crate::shim::{raw, short};
use crate::show::flush;
use crate::slot::Slot;
use machine_protocol::command::SourceLocation;
use std::any::type_name;
use std::fmt::{Debug, Display};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shown when a cell's own code begins to run.
const ENTERED: &str = "application/vnd.machine.entered";
/// Shown when it has come to its end.
const LEFT: &str = "application/vnd.machine.left";
/// Shown before the value of a cell's final expression.
const LAST: &str = "application/vnd.machine.last";

/// How long what waits for a channel waits before it looks for an interrupt.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The first statement of every cell: binds the cell's library to what the session defines, and sets the panic
/// hook of the standard library that all cells share.
pub fn enter() {
    raw::enter(&STOP);
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let (file, line, column) = info.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        if !raw::panicked(message, file, line, column) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            std::eprintln!("thread '{name}' panicked: {message}");
        }
    }));
    raw::show(ENTERED, "");
    check();
}

/// The last statement of every cell: what it has printed is handed on, also the beginning of a line.
pub fn leave() {
    look();
    crate::idle_sources::report();
    flush();
    raw::show(LEFT, "");
}

/// Before the value of a final expression is shown.
pub fn last() {
    look();
    flush();
    raw::show(LAST, "");
}

/// Ends the cell without a word: what has to be said has been said.
struct Stop;

fn stop(name: &str, text: &str, line: u32) -> ! {
    flush();
    raw::fail(name, text, line);
    // Not a panic: no hook, no message.
    resume_unwind(Box::new(Stop))
}

/// Set while a thread that runs code of this library may have to stop.
static STOP: AtomicBool = AtomicBool::new(false);

/// At the head of loops in functions and closures, and between the statements of a cell: stops the cell if the user
/// has interrupted it. Does nothing on another thread than the cell's.
#[inline]
pub fn look() {
    // Relaxed: the flag carries nothing but itself; a turn later is soon enough.
    if STOP.load(Ordering::Relaxed) {
        stop_if_asked();
    }
}

/// At the head of each loop of a cell: looks, and hands on what the loop has printed.
#[inline]
pub fn check() {
    look();
    // Relaxed, and a load and a store: a turn that is not counted changes nothing.
    let turns = TURNS.load(Ordering::Relaxed);
    if turns == 0 {
        flush_sometimes();
    } else {
        TURNS.store(turns - 1, Ordering::Relaxed);
    }
}

/// Turns of loops until the next look at the clock.
static TURNS: AtomicU32 = AtomicU32::new(0);
/// Turns between two looks at the clock: few for slow loops, many for fast ones.
static STRIDE: AtomicU32 = AtomicU32::new(1);

/// Hands on the beginning of a line that a slow loop has printed, and keeps a fast loop fast.
#[cold]
fn flush_sometimes() {
    static LAST_LOOK: Mutex<Option<Instant>> = Mutex::new(None);
    let now = Instant::now();
    let mut last = LAST_LOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let slow = last.replace(now).is_none_or(|last| now.duration_since(last) > Duration::from_millis(2));
    drop(last);
    let stride = STRIDE.load(Ordering::Relaxed);
    STRIDE.store(if slow { 1 } else { (stride * 2).min(1 << 16) }, Ordering::Relaxed);
    TURNS.store(STRIDE.load(Ordering::Relaxed), Ordering::Relaxed);
    if slow && (host().on_cell_thread)() {
        flush();
    }
}

#[cold]
fn stop_if_asked() {
    // A second unwinding, out of a destructor, would end the process.
    if std::thread::panicking() {
        return;
    }
    match (host().must_stop)() {
        0 => {}
        1 => stop("KeyboardInterrupt", "interrupted", 0),
        // Nobody waits for this cell any more.
        _ => loop {
            std::thread::park();
        },
    }
}

/// What may be a channel.
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a T);

/// A channel of std, which is looked at in turns with the interrupt.
#[derive(Debug)]
pub struct Channel<'a, T>(&'a Receiver<T>);

/// What is no such channel, and waits as it does.
#[derive(Debug)]
pub struct Other;

/// Found for a receiver of std; see [`ByDisplay`] for how.
pub trait IsChannel<'a, T> {
    /// How it is waited for.
    fn kind(&self) -> Channel<'a, T>;
}

impl<'a, T> IsChannel<'a, T> for &Probe<'a, Receiver<T>> {
    fn kind(&self) -> Channel<'a, T> {
        Channel(self.0)
    }
}

impl<'a, T> IsChannel<'a, T> for &Probe<'_, &'a Receiver<T>> {
    fn kind(&self) -> Channel<'a, T> {
        Channel(self.0)
    }
}

/// Found for all else.
pub trait IsOther {
    /// How it is waited for.
    fn kind(&self) -> Other;
}

impl<T> IsOther for Probe<'_, T> {
    fn kind(&self) -> Other {
        Other
    }
}

/// How something is waited for.
pub trait Waiting<R> {
    /// Waits; `plain` is what the user wrote.
    fn wait(self, plain: impl FnOnce() -> R) -> R;
}

impl<T> Waiting<Result<T, RecvError>> for Channel<'_, T> {
    fn wait(self, _: impl FnOnce() -> Result<T, RecvError>) -> Result<T, RecvError> {
        // What is there is taken without a look at the clock.
        match self.0.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => {}
        }
        loop {
            match self.0.recv_timeout(LOOK_INTERVAL) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                Err(RecvTimeoutError::Timeout) => look(),
            }
        }
    }
}

impl<R> Waiting<R> for Other {
    fn wait(self, plain: impl FnOnce() -> R) -> R {
        plain()
    }
}

/// `channel.recv()`, which an interrupt ends if the channel is one of std.
pub fn waiting<R>(what: impl Waiting<R>, plain: impl FnOnce() -> R) -> R {
    what.wait(plain)
}

/// What a cell's own `?` stands behind.
pub trait Tried {
    /// What it gives if all is well.
    type Output;
    /// What there is instead.
    type Error;
    /// The value.
    ///
    /// # Errors
    /// If there is none.
    fn tried(self) -> Result<Self::Output, Self::Error>;
}

impl<T, E> Tried for Result<T, E> {
    type Output = T;
    type Error = E;
    fn tried(self) -> Result<T, E> {
        self
    }
}

/// The error of `None?`.
#[derive(Debug)]
pub struct NoneError;

impl<T> Tried for Option<T> {
    type Output = T;
    type Error = NoneError;
    fn tried(self) -> Result<T, NoneError> {
        self.ok_or(NoneError)
    }
}

/// How an error becomes text.
pub type Text<E> = fn(&E) -> String;

/// The text of an error whose type has `Display`. For an error with causes, such as anyhow's, that is all of them.
///
/// Which of the three traits a `?` finds depends on the type, because the compiler tries a method's receiver with many
/// references before one with fewer.
pub trait ByDisplay {
    /// The type of the error.
    type Error;
    /// The way to its text.
    fn text(&self) -> Text<Self::Error>;
}

impl<T, E: Display> ByDisplay for &&Result<T, E> {
    type Error = E;
    fn text(&self) -> Text<E> {
        |error| format!("{error:#}")
    }
}

/// The text of an error whose type has only `Debug`.
pub trait ByDebug {
    /// The type of the error.
    type Error;
    /// The way to its text.
    fn text(&self) -> Text<Self::Error>;
}

impl<T, E: Debug> ByDebug for &Result<T, E> {
    type Error = E;
    fn text(&self) -> Text<E> {
        |error| format!("{error:?}")
    }
}

/// The text where there is nothing to take it from.
pub trait ByName {
    /// The type of the error.
    type Error;
    /// The way to its text.
    fn text(&self) -> Text<Self::Error>;
}

impl<T, E> ByName for Result<T, E> {
    type Error = E;
    fn text(&self) -> Text<E> {
        |_| "an error of a type without `Display` and `Debug`".to_owned()
    }
}

impl<T> ByName for Option<T> {
    type Error = NoneError;
    fn text(&self) -> Text<NoneError> {
        |_| "there is no value: `None`".to_owned()
    }
}

/// `value?` in a cell's own statements. If there is no value, the cell ends here, and its error says what failed on
/// which line of the cell.
pub fn tried<V: Tried>(value: V, text: impl FnOnce(&V) -> Text<V::Error>, line: u32) -> V::Output {
    // Before the error is named: what was cut short by an interrupt is no error of the cell's.
    look();
    let text = text(&value);
    value.tried().unwrap_or_else(|error| {
        let name = short(type_name::<V::Error>());
        stop(name.split('<').next().unwrap_or(&name), &text(&error), line)
    })
}

/// `MACHINE[1] = function;`
///
/// If it cannot be done, the cell ends here.
pub fn assign<S, F: Slot<S>>(slot: &SlotRef, function: F, code: &str, cell: u32, line: u32) {
    assign_erased(*slot, function.erase(), code, cell, line);
}

fn assign_erased(slot: SlotRef, function: SlotDesc, code: &str, cell: u32, line: u32) {
    let origin = SourceLocation { code: code.to_owned(), cell, place: String::new() };
    match slot.set_erased(function, &origin) {
        Ok(None) => {}
        Ok(Some(warning)) => crate::handle::warn(&warning),
        Err(failure) => stop("AssignError", &failure.to_string(), line),
    }
}

/// Wraps the type of a variable in the error by which the compiler names it.
pub struct TypeOf<T>(T);

/// Asks the compiler for the type of a variable: moving out of what this returns is an error that names the type. A cell
/// that calls it is never compiled to the end.
pub fn type_of<T>(_: &T) -> &TypeOf<T> {
    std::process::abort()
}

/// A type that is left to the compiler, where a type has to be written that is no `_`.
#[macro_export]
#[doc(hidden)]
macro_rules! inferred {
    () => {
        _
    };
}

/// The type of functions that give `Output`. Through it `!` can be written where stable Rust does not accept it.
pub trait Function {
    /// What the function gives.
    type Output;
}

impl<R> Function for fn() -> R {
    type Output = R;
}

/// `dbg!` with the place in the cell, which the kernel writes into it.
#[doc(hidden)]
#[macro_export]
macro_rules! dbg {
    ($place:literal;) => {
        ::std::eprintln!("[{}]", $place)
    };
    ($place:literal; $value:expr $(,)?) => {
        match $value {
            value => {
                let shown: &dyn ::std::fmt::Debug = &value;
                ::std::eprintln!("[{}] {} = {:#?}", $place, ::std::stringify!($value), shown);
                value
            }
        }
    };
    ($place:literal; $($value:expr),+ $(,)?) => {
        ($($crate::dbg!($place; $value)),+,)
    };
    // For a program that takes all names of this crate.
    ($($values:tt)*) => {
        ::std::dbg!($($values)*)
    };
}
