//! A session: cells compiled and run by evcxr, their text rewritten, their errors told on what the user wrote.
//!
//! One thread owns evcxr ([`worker`]); requests queue up for it. What the cells print and show comes over the control
//! socket on another thread and is handed to [`Output`] as it happens ([`events`]). An interrupt works from any
//! thread ([`interrupt`]).

pub mod analyser;
pub mod cell_lines;
mod command_names;
mod definitions;
pub mod directory;
mod edits;
mod errors;
mod events;
pub mod headless;
mod ignored;
mod inference;
mod interrupt;
mod manifest;
mod processes;
mod progress;
#[cfg(test)]
mod random;
pub mod registry;
mod rewrite;
pub mod rustc_wrapper;
mod script;
mod sources;
mod statics;
mod store;
mod worker;

use crate::control::client::{Client, RuntimeEvent};
use crate::nesting;
use crate::output::{CellError, Display, Executed, Output};
use directory::Directory;
use events::Events;
use interrupt::Interrupt;
use processes::Process;
pub use script::Script;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use worker::{Job, Worker};

/// How long a completion or an inspection waits for its turn and its answer.
const INTERRUPT_GRACE: Duration = Duration::from_secs(2);

/// How long the end of a session waits until the sockets of processes that are gone are removed.
const SWEEP_TIMEOUT: Duration = Duration::from_millis(500);

/// How a session is set up.
pub struct SessionConfig {
    /// Where it is compiled; ours alone.
    pub directory: Directory,
    /// The sources of the crate `machine`.
    pub crates: PathBuf,
    /// The executable that is started as the runtime process: this one.
    pub executable: PathBuf,
    /// Whether evcxr's own analyser sees no standard library.
    pub hides_library: bool,
    /// Makes a display of what a cell shows: MIME type and content.
    pub render: fn(&str, &str) -> Display,
}

impl SessionConfig {
    /// Claims a directory of the user's pool and points evcxr at it through the environment.
    ///
    /// Call it at the beginning of `main`: it changes the environment.
    ///
    /// # Errors
    /// If the cache directory cannot be written.
    pub fn prepare(render: fn(&str, &str) -> Display) -> io::Result<Self> {
        Self::in_directory(Directory::claim(&directory::pool())?, render)
    }

    /// As `prepare`, for the template of the pool.
    ///
    /// # Errors
    /// As `prepare`, and if another process is at it.
    pub fn prepare_template(render: fn(&str, &str) -> Display) -> io::Result<Self> {
        Self::in_directory(Directory::claim_template(&directory::pool())?, render)
    }

    fn in_directory(directory: Directory, render: fn(&str, &str) -> Display) -> io::Result<Self> {
        let crates = crates()?;
        manifest::Base::new(&crates).write(directory.path())?;
        let executable = std::env::current_exe()?;
        let compiler = rustc_wrapper::link(directory.path(), &executable)?;
        let own = std::env::var_os(sources::VARIABLE).is_some();
        let empty = if own { None } else { Some(sources::empty(directory.path())?) };
        point_evcxr_at(directory.path(), empty.as_deref(), &compiler);
        Ok(Self { directory, crates, executable, hides_library: empty.is_some(), render })
    }
}

/// The directory with the sources of the machine's crates (`api`, `engine`, …): `$MACHINE_CRATES`, or where this executable
/// was built.
///
/// # Errors
/// If they are not there.
pub fn crates() -> io::Result<PathBuf> {
    let crates = std::env::var_os("MACHINE_CRATES").map(PathBuf::from);
    let compiled_in = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../machine");
    let crates = crates.unwrap_or_else(compiled_in);
    crates.canonicalize().map_err(|error| {
        let path = crates.display();
        io::Error::new(
            error.kind(),
            format!("cannot find the sources of the machine's crates at {path} (set MACHINE_CRATES): {error}"),
        )
    })
}

/// Whether what is compiled of a cell or a [`Script`] needs the crate `machine-async`.
pub fn is_async(rewritten: &str) -> bool {
    rewrite::is_async(rewritten)
}

/// evcxr, rust-analyzer and cargo take their directories and configuration from the environment only.
#[expect(unsafe_code, reason = "the environment is changed before there are threads")]
fn point_evcxr_at(directory: &Path, sources: Option<&Path>, compiler: &Path) {
    // SAFETY: called at the beginning of `main`, when no other thread can read the environment.
    unsafe {
        std::env::set_var("EVCXR_CONFIG_DIR", directory);
        std::env::set_var("EVCXR_TMPDIR", directory);
        std::env::set_var(rustc_wrapper::VARIABLE, compiler);
        if std::env::var_os(rustc_wrapper::OF_ALL).is_none() {
            std::env::set_var(rustc_wrapper::OF_ALL, compiler);
        }
        if let Some(sources) = sources {
            std::env::set_var(sources::VARIABLE, sources);
        }
    }
}

/// A cell to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its execution count.
    pub number: u32,
    /// What the user wrote.
    pub code: String,
    /// Whether its value is of no interest.
    pub silent: bool,
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What to insert.
    pub text: String,
    /// What it is: `function`, `class`, `module`, …
    pub kind: String,
}

/// Proposals for a place, which replace the bytes `start..end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// First byte to replace.
    pub start: usize,
    /// One past the last byte to replace.
    pub end: usize,
    /// In order of relevance.
    pub items: Vec<Completion>,
}

/// The face of a session. Any thread may use it.
pub struct Session {
    jobs: Sender<Job>,
    client: Client,
    interrupt: Arc<Interrupt>,
    events: Arc<Events>,
}

impl Session {
    /// Starts a session. Returns at once; everything is prepared behind it.
    ///
    /// # Errors
    /// If there can be no control socket or no thread.
    pub fn spawn(output: Arc<dyn Output>, config: SessionConfig) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let events = Arc::new(Events::new(Arc::clone(&output), config.render));
        let interrupt = Arc::new(Interrupt::default());
        let client = {
            let (events, interrupt, jobs) = (Arc::clone(&events), Arc::clone(&interrupt), jobs.clone());
            Client::listen(move |happening| match happening {
                RuntimeEvent::Event(event) => {
                    interrupt.observe(&event);
                    // A panic over one event must not end the thread that reads them.
                    if catch_unwind(AssertUnwindSafe(|| events.happen(event))).is_err() {
                        events.warn("an output of the cell cannot be shown: a bug in the kernel");
                    }
                }
                RuntimeEvent::Lost(pid) => {
                    // If the session is over, nobody needs to know.
                    let _ = jobs.send(Job::RuntimeLost { pid });
                }
            })?
        };
        interrupt.attach(client.clone());
        let worker = Worker::new(config, client.clone(), Arc::clone(&events), Arc::clone(&interrupt));
        std::thread::Builder::new().name("session".into()).stack_size(64 << 20).spawn(move || worker.run(&queue))?;
        Ok(Self { jobs, client, interrupt, events })
    }

    /// Runs a cell. Output goes to [`Output`] while it happens; the value of a final expression is returned, to be
    /// shown as the result, or why the cell failed.
    pub fn execute(&self, cell: Cell) -> Executed {
        if let Err(why) = nesting::check(&cell.code) {
            return Err(errors::plain("TooComplex", &why.to_string())).into();
        }
        let (reply, answer) = mpsc::channel();
        self.events.expect(cell.silent);
        // A job that is not taken is dropped, and its channel with it.
        let _ = self.jobs.send(Job::Execute { cell, reply });
        answer.recv().unwrap_or_else(|_| Err(over()).into())
    }

    /// Proposals for what could stand at a byte offset. Empty if the session is busy for too long.
    pub fn complete(&self, code: &str, offset: usize) -> Completions {
        let nothing = Completions { start: offset, end: offset, items: Vec::new() };
        if nesting::check(code).is_err() {
            return nothing;
        }
        self.ask(|reply| Job::Complete { code: code.to_owned(), offset, reply }).unwrap_or(nothing)
    }

    /// What is known of the thing at a byte offset.
    pub fn inspect(&self, code: &str, offset: usize) -> Option<Display> {
        nesting::check(code).ok()?;
        self.ask(|reply| Job::Inspect { code: code.to_owned(), offset, reply }).flatten()
    }

    /// Stops the cell that is being compiled or run, and commands that wait for the engine. Returns at once.
    pub fn interrupt(&self) {
        self.client.interrupt();
        Interrupt::request(&self.interrupt);
    }

    /// Sends commands to the engine, also while a cell runs.
    pub fn control(&self) -> Client {
        self.client.clone()
    }

    /// Ends the session; the runtime process ends with it, and what the cells have started. Waits a few seconds at most.
    pub fn shutdown(&self, _restart: bool) {
        let started = Process::started_by_cells(self.client.pid());
        // At the same time: the session may be busy, and the front end does not wait for long.
        let ending = std::thread::spawn(move || processes::end(&started));
        self.interrupt.end();
        let (done, ended) = mpsc::channel();
        if self.jobs.send(Job::Shutdown { done }).is_ok() {
            let _ = ended.recv_timeout(Duration::from_secs(3));
        }
        let _ = ending.join();
        // What has been started meanwhile.
        for process in Process::started_by_cells(None) {
            process.signal(libc::SIGKILL);
        }
        // The runtime process was killed, and has left its sockets.
        machine_remote::sweep(SWEEP_TIMEOUT);
    }

    fn ask<T>(&self, job: impl FnOnce(worker::Answer<T>) -> Job) -> Option<T> {
        let (answer, answered): (_, Receiver<T>) = worker::Answer::new(INTERRUPT_GRACE);
        self.jobs.send(job(answer)).ok()?;
        answered.recv_timeout(INTERRUPT_GRACE).ok()
    }
}

fn over() -> CellError {
    errors::plain("RuntimeLost", "the session is over; restart the kernel")
}
