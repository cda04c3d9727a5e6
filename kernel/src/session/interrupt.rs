//! Stopping a cell from another thread.
//!
//! While it is being compiled, the compiler is killed. While it runs, its loops see a flag, and so do calls that wait.
//! If it has not stopped after two seconds, its thread is abandoned, and the variables with it. Only a runtime process
//! that does not answer is killed, with all that it has.

use super::processes::{self, Process};
use crate::control::Event;
use crate::control::client::Client;
use machine_protocol::command::{Command, Reply};
use machine_protocol::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a running cell has to stop by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How often the state of an interrupted cell is looked at.
const TICK: Duration = Duration::from_millis(25);

/// How often the flag is set: a cell that begins at the same moment may have cleared it.
const REPEAT: Duration = Duration::from_millis(250);
/// How often in a row the runtime may fail to answer before it is killed.
const SILENCES: u32 = 2;

/// How far an interrupt had to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// There was none.
    #[default]
    None,
    /// The cell was asked to stop.
    Asked,
    /// The thread of the cell was abandoned, and what it is doing.
    Abandoned(String),
    /// The runtime process was killed, since it did not answer.
    Killed,
}

/// The state of interrupts.
#[derive(Default)]
pub struct Interrupt {
    state: Mutex<InterruptState>,
    client: OnceLock<Client>,
    /// Held while a thread is abandoned, so that the cell that ends meanwhile is not followed by one that is hit.
    turn: Mutex<()>,
}

#[derive(Default)]
struct InterruptState {
    /// Grows with each cell, so that a watcher sees when its cell is over.
    cell: u64,
    busy: bool,
    /// When the cell's own code began to run.
    entered: Option<Instant>,
    reach: Reach,
}

impl Interrupt {
    /// Sets the way to the runtime.
    pub fn attach(&self, client: Client) {
        let _ = self.client.set(client);
    }

    /// A cell begins.
    pub fn begin(&self) {
        let mut state = self.lock();
        *state = InterruptState { cell: state.cell + 1, busy: true, ..InterruptState::default() };
    }

    /// The cell is over. Returns how far it was interrupted.
    pub fn finish(&self) -> Reach {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        state.busy = false;
        std::mem::take(&mut state.reach)
    }

    /// Whether the cell has been interrupted.
    pub fn is_requested(&self) -> bool {
        self.lock().reach != Reach::None
    }

    /// Takes note of the running cell's progress.
    pub fn observe(&self, event: &Event) {
        if *event == Event::Entered {
            self.lock().entered = Some(Instant::now());
        }
    }

    /// Interrupts the cell; does nothing if there is none. Returns at once.
    pub fn request(this: &Arc<Self>) {
        let mut state = this.lock();
        if !state.busy || state.reach != Reach::None {
            return;
        }
        state.reach = Reach::Asked;
        let cell = state.cell;
        drop(state);
        let this = Arc::clone(this);
        // Without a thread there is no interrupt; the user sees that nothing stops.
        let _ = std::thread::Builder::new().name("interrupt".into()).spawn(move || this.watch(cell));
    }

    /// Kills whatever runs, because the session ends.
    pub fn end(&self) {
        if self.lock().busy {
            self.kill_compilers();
            self.kill_runtime();
        }
    }

    fn watch(&self, cell: u64) {
        let client = self.client.get();
        // A process that somebody has stopped cannot be asked for anything.
        if let Some(pid) = client.and_then(Client::pid) {
            processes::continue_stopped(pid);
        }
        // Since when there is nothing to wait for but the cell itself.
        let mut alone: Option<Instant> = None;
        let mut asked: Option<Instant> = None;
        let mut silences = 0;
        let mut is_killed = false;
        while let Some(entered) = self.entered(cell) {
            let compiles = entered.is_none() && self.kill_compilers() > 0;
            if is_killed {
                std::thread::sleep(TICK);
                continue;
            }
            if asked.is_none_or(|asked| asked.elapsed() > REPEAT) {
                asked = Some(Instant::now());
                let answer = client.map(|client| client.command_now(Command::Interrupt { on: true }));
                silences = if answer.is_some_and(|answer| is_silence(&answer)) { silences + 1 } else { 0 };
            }
            if compiles {
                alone = None;
            } else if alone.get_or_insert_with(Instant::now).elapsed() > GRACE {
                let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                if self.entered(cell).is_none() {
                    return;
                }
                match client.map(Client::abandon) {
                    Some(Ok(Some(doing))) => return self.reach(cell, Reach::Abandoned(doing)),
                    Some(Err(failure)) if failure.kind() == ErrorKind::Timeout => silences += 1,
                    // The cell is not the runtime's at the moment, or it has died, which is noticed elsewhere.
                    _ => alone = None,
                }
            }
            if silences >= SILENCES {
                self.reach(cell, Reach::Killed);
                self.kill_runtime();
                // What the cell still has compiled is killed, too.
                is_killed = true;
            }
            std::thread::sleep(TICK);
        }
    }

    /// When the code of a cell began to run; `None` if the cell is over.
    #[expect(clippy::option_option, reason = "a cell that is there may not have begun")]
    fn entered(&self, cell: u64) -> Option<Option<Instant>> {
        let state = self.lock();
        (state.busy && state.cell == cell).then_some(state.entered)
    }

    /// Takes note of how far the interrupt of a cell had to go.
    fn reach(&self, cell: u64, reach: Reach) {
        let mut state = self.lock();
        if state.busy && state.cell == cell {
            state.reach = reach;
        }
    }

    /// Kills the runtime process, and what the cells have started.
    pub fn kill_runtime(&self) {
        if let Some(pid) = self.client.get().and_then(Client::pid) {
            let started = Process::descendants_of(pid);
            processes::kill(pid);
            for process in started {
                process.signal(libc::SIGKILL);
            }
        }
    }

    /// Kills all that this process has started, except the runtime and what that has started. Returns how many.
    fn kill_compilers(&self) -> usize {
        let runtime = self.client.get().and_then(Client::pid);
        let victims = Process::descendants_of_this(runtime);
        for process in &victims {
            process.signal(libc::SIGKILL);
        }
        victims.len()
    }

    fn lock(&self) -> MutexGuard<'_, InterruptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_silence(answer: &Result<Reply, Error>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout)
}
