//! Where the numbers come from: threads that ask a process with machines, and tell what it answers.

use super::Event;
use super::view::Notice;
use crate::watch::{Action, Curves, Observer};
use machine_protocol::command::{Command, Reply};
use machine_protocol::status::{DeadLetter, Load, Status};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{self as remote, Process};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How often a machine is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often all machines are looked at.
const LIST: Duration = Duration::from_secs(1);
/// How long a drain is waited for.
const DRAIN: Duration = Duration::from_mins(1);

/// A machine, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The process.
    pub pid: u32,
    /// The machine's name.
    pub machine: String,
}

impl Name {
    /// `main@1234`
    pub fn full(&self) -> String {
        format!("{}@{}", self.machine, self.pid)
    }
}

/// A machine that was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Which one.
    pub name: Name,
    /// What runs in its process.
    pub title: String,
    /// Its state, where it was asked for.
    pub status: Option<Status>,
}

impl Found {
    /// A machine of this process.
    pub fn new(process: &Process, machine: String) -> Self {
        let name = Name { pid: process.pid(), machine };
        Self { name, title: process.hello().title.clone(), status: None }
    }
}

/// A machine at one moment, with its last minutes.
#[derive(Clone, Debug)]
pub struct Look {
    /// Which one.
    pub name: Name,
    /// The counters.
    pub status: Status,
    /// Messages accepted a second.
    pub rate_in: f64,
    /// Messages processed a second.
    pub rate_out: f64,
    /// Messages with errors a second.
    pub rate_errors: f64,
    /// What the workers do.
    pub load: Option<Load>,
    /// The last minutes.
    pub curves: Curves,
    /// The newest dead letters, newest first.
    pub letters: Vec<DeadLetter>,
}

/// A thread that looks again and again, until this is dropped.
pub struct Poller(#[expect(dead_code, reason = "the thread sees that it is gone")] Option<Sender<()>>);

impl Poller {
    /// Nobody looks.
    pub fn idle() -> Self {
        Self(None)
    }

    /// Looks at one machine: on this connection, or on a separate one.
    pub fn of_machine(found: Found, process: Option<Process>, tell: Sender<Event>) -> Self {
        let (name, failed) = (found.name.clone(), tell.clone());
        let spawned = Self::spawn(LOOK, move || {
            let mut machine = Looked { name: found.name, process, observer: Observer::default() };
            move || {
                let event = match machine.look() {
                    Ok(look) => Event::Look(Box::new(look)),
                    Err(failure) => {
                        let _ = tell.send(Event::Gone(machine.name.clone(), failure));
                        return false;
                    }
                };
                tell.send(event).is_ok()
            }
        });
        spawned.unwrap_or_else(|error| {
            let _ = failed.send(Event::Gone(name, no_thread(&error)));
            Self::idle()
        })
    }

    /// Looks at all machines.
    pub fn of_all(tell: Sender<Event>) -> Self {
        // Without a thread the list stays as it is.
        Self::spawn(LIST, || move || tell.send(Event::Machines(machines())).is_ok()).unwrap_or_else(|_| Self::idle())
    }

    /// `look` is made on the thread, and says whether to go on.
    fn spawn<L: FnMut() -> bool>(pause: Duration, make: impl FnOnce() -> L + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            let mut look = make();
            while look() && stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {}
        };
        std::thread::Builder::new().name("top-poller".to_owned()).spawn(run)?;
        Ok(Self(Some(stop)))
    }
}

/// One machine that is looked at.
struct Looked {
    name: Name,
    process: Option<Process>,
    observer: Observer,
}

impl Looked {
    fn look(&mut self) -> Result<Look, Error> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(remote::attach(&self.name.full())?.0),
        };
        let (observer, machine) = (&mut self.observer, &self.name.machine);
        let mut ask = |command| process.command(command);
        let status = observer.look(machine, &mut ask)?;
        observer.look_closely(machine, &status, &mut ask)?;
        let flow = observer.flow();
        Ok(Look {
            name: self.name.clone(),
            status,
            rate_in: flow.rate_in(),
            rate_out: flow.rate_out(),
            rate_errors: flow.rate_errors(),
            load: flow.load(),
            curves: observer.curves().clone(),
            letters: observer.letters().0.to_vec(),
        })
    }
}

/// All machines of this user, by process.
pub fn machines() -> Vec<Found> {
    let of = |(process, machines): (Process, Vec<Status>)| -> Vec<Found> {
        let found = |status: Status| Found { status: Some(status.clone()), ..Found::new(&process, status.machine) };
        machines.into_iter().map(found).collect()
    };
    remote::processes().found.into_iter().flat_map(of).collect()
}

/// Looks at all machines once, on a separate thread: a process that hangs is waited for.
pub fn ask_for_next(tell: Sender<Event>) {
    let ask = move || tell.send(Event::Next(machines()));
    // Without a thread nothing happens, and the next key asks again.
    let _ = std::thread::Builder::new().name("top-machines".to_owned()).spawn(ask);
}

/// Carries out what a key asks for, on a separate thread and connection: it may take long.
pub fn act(found: Found, action: Action, tell: Sender<Event>) {
    let failed = tell.clone();
    let act = move || {
        let told = remote::attach(&found.name.full()).and_then(|(mut process, machine)| {
            action.carry_out(&machine, &mut |command| patient(&mut process, command))
        });
        let told = match told {
            Ok(text) => Notice { text, failed: false },
            Err(failure) => Notice { text: failure.to_string(), failed: true },
        };
        let _ = tell.send(Event::Notice(told));
    };
    if let Err(error) = std::thread::Builder::new().name("top-action".to_owned()).spawn(act) {
        let _ = failed.send(Event::Notice(Notice { text: no_thread(&error).to_string(), failed: true }));
    }
}

/// A process waits some seconds for the end of a queue; this waits as long as a display's button does.
fn patient(process: &mut Process, command: Command) -> Result<Reply, Error> {
    let until = Instant::now() + DRAIN;
    loop {
        let reply = process.command(command.clone())?;
        let Command::Drain { machine, .. } = &command else { return Ok(reply) };
        let waits = matches!(reply, Reply::Undrained(_)) && Instant::now() < until;
        if !waits {
            return Ok(reply);
        }
        match process.command(Command::Status { machine: machine.clone() })? {
            Reply::Status(status) if status.running => {}
            _ => return Ok(reply),
        }
    }
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(ErrorKind::NoThread, format!("there is no thread to be had: {error}"))
}
