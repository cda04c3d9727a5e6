//! The kernel's end of the control socket.

use super::{Event, Message, Request, SOCKET_VARIABLE};
use machine_protocol::command::{Command, Reply};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{self as remote, Answer, read_frame, write_frame};
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a command waits for a runtime process that is being started.
const START: Duration = Duration::from_secs(30);
/// How long a command that does not wait by itself may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the runtime may take to abandon a thread.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

/// What the client tells of the runtime.
pub enum RuntimeEvent {
    /// The runtime says.
    Event(Event),
    /// The runtime process of this number is gone.
    Lost(u32),
}

/// Sends commands to the runtime process. Any thread may, also while a cell runs.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    // Guards the link and who waits; never held while writing or waiting for an answer.
    state: Mutex<LinkState>,
    connected: Condvar,
    next: AtomicU64,
    /// Where runtime processes connect. Removed when this process ends.
    socket: PathBuf,
}

struct LinkState {
    link: Option<Link>,
    generation: u64,
    waiting: HashMap<u64, Waiting>,
    /// Why there will be no runtime, once that is known.
    unavailable: Option<Error>,
}

/// What the runtime has answered.
enum Answered {
    Reply(Reply),
    Pong,
    Abandoned(Option<String>),
}

struct Waiting {
    answer: Sender<Result<Answered, Error>>,
    /// Whether the command waits for something in the engine, so that an interrupt gives it up.
    patient: bool,
}

#[derive(Clone)]
struct Link {
    writer: Arc<Mutex<UnixStream>>,
    pid: u32,
}

impl Client {
    /// Listens on a socket that only this user can reach, and hands what happens to `handler`, in order, on a separate thread.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(handler: impl Fn(RuntimeEvent) + Send + Sync + 'static) -> io::Result<Self> {
        let (listener, socket) = remote::control()?;
        let state = LinkState { link: None, generation: 0, waiting: HashMap::new(), unavailable: None };
        let shared = Shared { state: Mutex::new(state), connected: Condvar::new(), next: AtomicU64::new(1), socket };
        let client = Self(Arc::new(shared));
        let weak = Arc::downgrade(&client.0);
        let handler = Arc::new(handler);
        std::thread::Builder::new().name("control-accept".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(shared) = weak.upgrade() else { return };
                let handler = Arc::clone(&handler);
                let reader = std::thread::Builder::new().name("control-read".into());
                let _ = reader.spawn(move || Client(shared).serve(stream, handler.as_ref()));
            }
        })?;
        Ok(client)
    }

    /// Points a command that starts a runtime process at this client.
    pub fn configure(&self, command: &mut std::process::Command) {
        command.env(SOCKET_VARIABLE, &self.0.socket);
    }

    /// Carries out a command. Waits for a runtime that is being started, and for the answer; a bounded time, except
    /// where the command itself waits.
    ///
    /// # Errors
    /// What the engine refused, or that there is no runtime to ask.
    pub fn command(&self, command: Command) -> Result<Reply, Error> {
        let limit = match &command {
            Command::Drain { timeout, .. } => timeout.map(|timeout| timeout + ANSWER),
            _ => Some(ANSWER),
        };
        let patient = matches!(command, Command::Drain { .. });
        match self.ask(|id| Request::Command(remote::Request { id, command }), START, limit, patient)? {
            Answered::Reply(Reply::Failed(failure)) => Err(failure),
            Answered::Reply(reply) => Ok(reply),
            _ => Ok(Reply::Done),
        }
    }

    /// Like `command`, but only if there is a runtime at this moment.
    ///
    /// # Errors
    /// As `command`.
    pub fn command_now(&self, command: Command) -> Result<Reply, Error> {
        let limit = Some(Duration::from_secs(2));
        match self.ask(|id| Request::Command(remote::Request { id, command }), Duration::ZERO, limit, false)? {
            Answered::Reply(reply) => Ok(reply),
            _ => Ok(Reply::Done),
        }
    }

    /// Abandons the thread that runs a cell. Returns what it was doing; `None` if no cell was running.
    ///
    /// # Errors
    /// If there is no runtime, or it does not answer.
    pub fn abandon(&self) -> Result<Option<String>, Error> {
        match self.ask(|id| Request::Abandon { id }, Duration::ZERO, Some(ABANDON_TIMEOUT), false)? {
            Answered::Abandoned(doing) => Ok(doing),
            _ => Ok(None),
        }
    }

    /// Has evcxr forget variables that are lost, with the next code that it wants to run.
    pub fn forget(&self, names: Vec<String>) {
        // A runtime that is not there has no variables.
        if let Ok(link) = self.link(Duration::ZERO) {
            let mut writer = link.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write_frame(&mut *writer, &Request::Forget { names });
        }
    }

    /// Announces a cell, in a session with these variables.
    pub fn announce(&self, names: impl IntoIterator<Item = String>) {
        // A runtime that is not there has no variables.
        if let Ok(link) = self.link(Duration::ZERO) {
            let request = Request::Variables { names: names.into_iter().collect() };
            let mut writer = link.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write_frame(&mut *writer, &request);
        }
    }

    /// Returns once all that the cell has printed has been handed on.
    pub fn ping(&self) {
        // A runtime that has died has nothing more to say; its end was handed on in order, too.
        let _ = self.ask(|id| Request::Ping { id }, Duration::ZERO, Some(Duration::from_secs(5)), false);
    }

    /// Gives up the commands that wait for the engine.
    pub fn interrupt(&self) {
        let waiting: Vec<Waiting> =
            self.lock().waiting.extract_if(|_, waiting| waiting.patient).map(|(_, w)| w).collect();
        for waiting in waiting {
            let _ = waiting.answer.send(Err(Error::new(ErrorKind::Interrupted, "interrupted; the machine goes on")));
        }
    }

    /// Says why there is no runtime and will not be one for now; `None` takes it back.
    pub fn set_unavailable(&self, why: Option<Error>) {
        self.lock().unavailable = why;
        self.0.connected.notify_all();
    }

    /// The number of the runtime process, if there is one.
    pub fn pid(&self) -> Option<u32> {
        self.lock().link.as_ref().map(|link| link.pid)
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, patience: Duration) -> Result<Link, Error> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(link) = &state.link {
                return Ok(link.clone());
            }
            if let Some(why) = &state.unavailable {
                return Err(why.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::NoRuntime,
                    "the process that runs the cells is not there; try again in a moment",
                ));
            }
            state = self.0.connected.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ask(
        &self,
        request: impl FnOnce(u64) -> Request,
        patience: Duration,
        limit: Option<Duration>,
        patient: bool,
    ) -> Result<Answered, Error> {
        let link = self.link(patience)?;
        // Relaxed: only uniqueness counts.
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = mpsc::channel();
        self.lock().waiting.insert(id, Waiting { answer, patient });
        let sent = {
            let mut writer = link.writer.lock().unwrap_or_else(PoisonError::into_inner);
            write_frame(&mut *writer, &request(id))
        };
        let answer = match (sent, limit) {
            (Err(error), _) => {
                Err(Error::new(ErrorKind::NoRuntime, format!("the process that runs the cells is gone: {error}")))
            }
            (Ok(()), Some(limit)) => answered.recv_timeout(limit).unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no answer within {} s; the machine is busy", limit.as_secs()),
                ))
            }),
            (Ok(()), None) => answered.recv().unwrap_or_else(|_| Err(lost())),
        };
        self.lock().waiting.remove(&id);
        answer
    }

    /// Reads from one runtime process until it ends.
    fn serve(&self, stream: UnixStream, handler: &(impl Fn(RuntimeEvent) + ?Sized)) {
        let Ok(mut reader) = stream.try_clone() else { return };
        let Ok(Some(Message::Event(Event::Hello { pid }))) = read_frame::<Message>(&mut reader) else { return };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
        let generation = {
            let mut state = self.lock();
            state.generation += 1;
            state.unavailable = None;
            state.link = Some(Link { writer: Arc::new(Mutex::new(stream)), pid });
            state.generation
        };
        self.0.connected.notify_all();
        handler(RuntimeEvent::Event(Event::Hello { pid }));
        while let Ok(Some(message)) = read_frame::<Message>(&mut reader) {
            match message {
                Message::Reply(Answer { id, reply }) => self.answer(id, Answered::Reply(reply)),
                Message::Pong { id } => self.answer(id, Answered::Pong),
                Message::Abandoned { id, doing } => self.answer(id, Answered::Abandoned(doing)),
                Message::Event(event) => handler(RuntimeEvent::Event(event)),
            }
        }
        let mut state = self.lock();
        if state.generation == generation {
            state.link = None;
            for (_, waiting) in state.waiting.drain() {
                let _ = waiting.answer.send(Err(lost()));
            }
        }
        drop(state);
        handler(RuntimeEvent::Lost(pid));
    }

    fn answer(&self, id: u64, answered: Answered) {
        if let Some(waiting) = self.lock().waiting.remove(&id) {
            let _ = waiting.answer.send(Ok(answered));
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::RuntimeLost, "the process that runs the cells died; it is being restarted")
}
