//! Async closures in the machine's slots.
//!
//! A slot with an async closure has many messages at once in it, without a thread each: while a message waits for its
//! future, the machine's workers take others. In a notebook it is assigned as any other, and the kernel adds this
//! crate to the session:
//!
//! ```text
//! MACHINE[1] = async |id: u64| fetch(id).await;
//! ```
//!
//! In a program it is [`SetAsync::set_async`]:
//!
//! ```
//! use machine::prelude::*;
//! use machine_async::prelude::*;
//! use std::time::Duration;
//!
//! machine_engine::init();
//! MACHINE[0].set_async(async |id: u64| {
//!     tokio::time::sleep(Duration::from_millis(10)).await; // a request, for example
//!     format!("user {id}")
//! })?;
//! MACHINE[0].timeout(Duration::from_secs(2))?.retry(3, Duration::from_millis(100))?.concurrency(64)?;
//! for id in 0..100_u64 {
//!     MACHINE.put_wait(id)?;
//! }
//! MACHINE.drain(); // 100 messages in 20 ms
//! assert_eq!(MACHINE.status().slots[0].ok, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where futures run
//!
//! On one thread for each library that has async closures: a program, or a cell of a notebook. A future is made,
//! polled and dropped there, so it need not be `Send`; it must not block, as all futures of that library wait
//! meanwhile. The thread runs tokio, the copy that the library's own code links, with all that the features of its
//! dependencies turn on: timers, sockets, `tokio::spawn`, `spawn_local`. It ends, and what was spawned on it with it,
//! when the last of the library's closures is dropped.
//!
//! Arguments are taken as by any slot, and may be borrowed across an `.await`. An `Err`, a panic and a timeout are
//! errors of the slot for that message.
//!
//! # Order
//!
//! Messages begin in order and go on as their futures end, in any order.

mod executor;
mod shim;
pub mod slot;

use machine::Error;
pub use shim::Async;
pub use slot::{AsyncSlot, slot};

use machine::SlotRef;

/// Async closures for [`SlotRef`].
pub trait SetAsync {
    /// Puts an async function in the slot, at once, between two messages. Futures that run are let finish; the
    /// closure that made them lives until then.
    ///
    /// # Errors
    /// As [`SlotRef::set`].
    fn set_async<S: 'static, F: AsyncSlot<S>>(&self, function: F) -> Result<(), Error>;
}

impl SetAsync for SlotRef {
    #[track_caller]
    fn set_async<S: 'static, F: AsyncSlot<S>>(&self, function: F) -> Result<(), Error> {
        self.set(slot(function))
    }
}

/// What a program with async slots needs besides `machine::prelude`.
pub mod prelude {
    pub use crate::SetAsync;
}
