//! The threads that run the cells, one after the other.
//!
//! The main thread is the first, since some libraries want to be there. It is abandoned if a cell does not stop, and a
//! new thread takes over. The variables of the session belong to the thread that runs the cells, because some of them
//! cannot be sent to another one: they are lost with it.
#![allow(unsafe_code, reason = "functions in the cells' libraries are called")]

use super::cells::load;
use super::children::Children;
use super::{crash, whereabouts};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long processes that an interrupted cell has started may take to end.
const CHILDREN_TIMEOUT: Duration = Duration::from_secs(1);

/// What evcxr wants to run.
#[derive(Debug)]
pub struct Library {
    /// Its path.
    pub path: String,
    /// The name of the function in it.
    pub name: String,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The function is through.
    Finished,
    /// The library cannot be loaded, and why.
    NotLoaded(String),
    /// The thread was abandoned in it.
    Abandoned,
}

/// Hands runs to the thread that is there for them.
#[derive(Debug, Default)]
pub struct Cells {
    state: Mutex<ThreadTable>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ThreadTable {
    /// Which thread runs cells: grows when one is abandoned.
    thread: u64,
    /// What no thread has taken yet.
    next: Option<Library>,
    /// What runs.
    running: Option<Running>,
    /// How the last run ended, until it is asked for.
    ended: Option<Ended>,
    /// Variables that evcxr has yet to forget.
    lost: Option<Vec<String>>,
}

#[derive(Debug)]
struct Running {
    /// The system's number of the thread.
    thread: u32,
    /// The processes that the thread had started before, and those that have been interrupted.
    children: Children,
}

impl Cells {
    /// Runs cells on the calling thread until it is abandoned; then it does not return either, for it may be the main
    /// thread.
    pub fn serve(&self) -> ! {
        machine_engine::set_cell_thread();
        let thread = self.lock().thread;
        let number = whereabouts::this_thread();
        let mut variables = std::ptr::null_mut();
        loop {
            let mut state = self.lock();
            let library = loop {
                if state.thread != thread {
                    drop(state);
                    loop {
                        std::thread::park();
                    }
                }
                if let Some(library) = state.next.take() {
                    break library;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.running = Some(Running { thread: number, children: Children::of(number) });
            drop(state);
            let ended = match load(&library.path, &library.name) {
                Ok(function) => {
                    // SAFETY: evcxr has compiled the function with this signature, and `variables` is what the function
                    // before it gave on this thread, null at first. It catches its own panics. Its library is never
                    // unloaded.
                    variables = unsafe { function(variables) };
                    Ended::Finished
                }
                Err(error) => Ended::NotLoaded(format!("{}: {error}", library.path)),
            };
            let mut state = self.lock();
            if state.thread == thread {
                state.running = None;
                state.ended = Some(ended);
                self.changed.notify_all();
            }
        }
    }

    /// Has a library's function run, and waits until that is over.
    pub fn run(self: &Arc<Self>, library: Library) -> Ended {
        let mut state = self.lock();
        state.next = Some(library);
        self.changed.notify_all();
        loop {
            if let Some(ended) = state.ended.take() {
                drop(state);
                if ended == Ended::Abandoned {
                    self.spawn_thread();
                }
                return ended;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Abandons the thread that runs a cell. Returns what it is doing; `None` if none runs.
    pub fn abandon(&self) -> Option<String> {
        let mut state = self.lock();
        let running = state.running.take()?;
        let doing = whereabouts::of(running.thread);
        state.thread += 1;
        state.ended = Some(Ended::Abandoned);
        machine_engine::abandon_cell_thread();
        self.changed.notify_all();
        Some(doing)
    }

    /// These variables are lost.
    pub fn lose(&self, variables: Vec<String>) {
        self.lock().lost = Some(variables);
    }

    /// The variables that evcxr has yet to forget; `None` if there is nothing to forget.
    pub fn take_lost(&self) -> Option<Vec<String>> {
        self.lock().lost.take()
    }

    /// Interrupts the processes that the running cell has started, as a terminal would, and ends those that go on for
    /// a second: nobody has a handle on them once the cell is over.
    pub fn interrupt_children(self: &Arc<Self>) {
        let mut state = self.lock();
        let thread = state.thread;
        let Some(running) = &mut state.running else { return };
        let started = Children::of(running.thread).without(&running.children);
        if started.is_empty() {
            return;
        }
        running.children.add(&started);
        drop(state);
        started.signal(libc::SIGINT);
        let this = Arc::clone(self);
        let end = move || {
            std::thread::sleep(CHILDREN_TIMEOUT);
            let state = this.lock();
            if let Some(running) = state.running.as_ref().filter(|_| state.thread == thread) {
                Children::of(running.thread).among(&started).signal(libc::SIGKILL);
            }
        };
        // Without a thread the cell is abandoned if it waits for them.
        let _ = std::thread::Builder::new().name("children".to_owned()).spawn(end);
    }

    /// Starts a thread in the place of one that was abandoned.
    fn spawn_thread(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let size = crash::stack_size();
        let serve = move || {
            crash::watch_stack(size);
            this.serve()
        };
        let spawned = std::thread::Builder::new().name("cells".to_owned()).stack_size(size).spawn(serve);
        if let Err(error) = spawned {
            super::complain(&format!("there is no thread to run cells on: {error}"));
            std::process::exit(72);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ThreadTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
