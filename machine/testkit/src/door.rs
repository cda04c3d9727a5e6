//! Where two threads wait for each other.

use crate::{DEADLINE, scaled};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};

/// Opens a [`Door`]. Dropped, it leaves the door open.
#[derive(Debug)]
pub struct Opener(Sender<()>);

impl Opener {
    /// Lets one more through.
    pub fn let_through(&self) {
        // If nobody waits at the door any more, nobody has to be let through.
        let _ = self.0.send(());
    }

    /// Leaves the door open.
    pub fn open(self) {}
}

/// A door that slots and sinks wait at.
#[derive(Debug)]
pub struct Door(Mutex<Receiver<()>>);

/// A closed door and what opens it.
///
/// ```
/// let (opener, door) = machine_testkit::door();
/// let waits = std::thread::spawn(move || door.pass());
/// opener.let_through();
/// waits.join().unwrap();
/// ```
pub fn door() -> (Opener, Door) {
    let (open, opened) = channel();
    (Opener(open), Door(Mutex::new(opened)))
}

impl Door {
    /// Waits until it is let through, or the door is open.
    ///
    /// # Panics
    /// If it is not within [`DEADLINE`] of the turn of this thread.
    #[track_caller]
    pub fn pass(&self) {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(turn.recv_timeout(scaled(DEADLINE)) != Err(RecvTimeoutError::Timeout), "waited {DEADLINE:?} at a door");
    }
}

/// A channel that is read with a deadline.
pub trait Received<T> {
    /// The next message.
    ///
    /// # Panics
    /// If there is none within [`DEADLINE`], or can be none any more.
    fn received(&self) -> T;

    /// Waits until nobody can send any more.
    ///
    /// # Panics
    /// If somebody sends, or still can after [`DEADLINE`].
    fn closed(&self);
}

impl<T> Received<T> for Receiver<T> {
    #[track_caller]
    fn received(&self) -> T {
        match self.recv_timeout(scaled(DEADLINE)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("waited {DEADLINE:?} for a message of a channel"),
            Err(RecvTimeoutError::Disconnected) => panic!("waited for a message of a channel that nobody can send to"),
        }
    }

    #[track_caller]
    fn closed(&self) {
        match self.recv_timeout(scaled(DEADLINE)) {
            Ok(_) => panic!("a message came where the channel was to be closed"),
            Err(RecvTimeoutError::Timeout) => panic!("waited {DEADLINE:?} for a channel to be closed"),
            Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// The barrier of `std`, with a deadline.
#[derive(Debug)]
pub struct Barrier {
    size: usize,
    /// How many have come, over all rounds.
    arrived: Mutex<usize>,
    round_over: Condvar,
}

impl Barrier {
    /// A barrier for so many threads.
    pub const fn new(size: usize) -> Self {
        Self { size, arrived: Mutex::new(0), round_over: Condvar::new() }
    }

    /// Waits until all threads of this round have come.
    ///
    /// # Panics
    /// If one has not within [`DEADLINE`].
    #[track_caller]
    pub fn wait(&self) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        *arrived += 1;
        let round_end = arrived.div_ceil(self.size) * self.size;
        if *arrived == round_end {
            self.round_over.notify_all();
            return;
        }
        let wait = self.round_over.wait_timeout_while(arrived, scaled(DEADLINE), |arrived| *arrived < round_end);
        let (arrived, result) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "waited {DEADLINE:?} at a barrier for {} threads", round_end - *arrived);
    }
}
