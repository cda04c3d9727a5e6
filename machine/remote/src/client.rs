//! The process that commands: finds who listens, and asks.

use super::{Answer, Hello, PROTOCOL, Request, Timed, place, read_frame, write_frame};
use machine_protocol::command::{Command, Reply};
use machine_protocol::status::Status;
use machine_protocol::{Error, ErrorKind};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a process may take to say who it is.
const GREETING: Duration = Duration::from_secs(2);
/// How long an answer may take where the command runs no code of the user's.
const ANSWER: Duration = Duration::from_secs(15);
/// How long an answer may take where it does: a slot can take its time.
const LONG: Duration = Duration::from_hours(24);

/// Another process with an engine, connected.
#[derive(Debug)]
pub struct Process {
    hello: Hello,
    stream: UnixStream,
    next: u64,
}

/// What can be attached to.
#[derive(Debug, Default)]
pub struct Machines {
    /// Each process with the state of its machines, in the order of their making; by process number.
    pub found: Vec<(Process, Vec<Status>)>,
    /// Sockets of processes that are there but do not answer, with the reason.
    pub silent: Vec<(PathBuf, String)>,
}

/// Asks all processes of this user for their machines.
#[must_use]
pub fn processes() -> Machines {
    let sockets = place::sockets();
    let (sender, answers) = mpsc::channel();
    for socket in sockets.clone() {
        let sender = sender.clone();
        // Separate threads, because connecting to a process that hangs may take forever.
        let ask = move || {
            let found = place::connect(&socket).and_then(|stream| {
                let mut process = Process::greet(stream)?;
                let machines = process.machines().map_err(io::Error::other)?;
                Ok((process, machines))
            });
            let _ = sender.send((socket, found));
        };
        // A process that cannot be asked is reported as silent.
        let _ = std::thread::Builder::new().spawn(ask);
    }
    drop(sender);
    let until = Instant::now() + GREETING;
    let mut all = Machines::default();
    let mut waiting = sockets;
    while let Ok((socket, found)) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
        waiting.retain(|other| *other != socket);
        match found {
            Ok(found) => all.found.push(found),
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
            Err(error) => all.silent.push((socket, error.to_string())),
        }
    }
    all.silent.extend(waiting.into_iter().map(|socket| (socket, "no answer".to_owned())));
    all.found.sort_by_key(|(process, _)| process.hello.pid);
    all
}

/// Connects to the process with the machine of this name; `NAME@PID` says which process, where several have one.
/// Returns the machine's name without the process.
///
/// # Errors
/// `no_such_machine`: there is none, and which ones there are. `ambiguous_machine`: several processes have one.
/// `process_silent`: no process that answers has one, and some do not answer, with the reason of each.
pub fn attach(name: &str) -> Result<(Process, String), Error> {
    let Machines { mut found, silent } = processes();
    let names = |found: &[(Process, Vec<Status>)]| -> Vec<String> {
        let of = |(process, machines): &(Process, Vec<Status>)| -> Vec<String> {
            machines.iter().map(|status| format!("{}@{}", status.machine, process.pid())).collect()
        };
        found.iter().flat_map(of).collect()
    };
    let all = names(&found);
    let (machine, pid) = match name.rsplit_once('@').map(|(machine, pid)| (machine, pid.parse::<u32>())) {
        Some((machine, Ok(pid))) => (machine, Some(pid)),
        _ => (name, None),
    };
    found.retain(|(process, machines)| {
        pid.is_none_or(|pid| pid == process.pid()) && machines.iter().any(|status| status.machine == machine)
    });
    if found.len() > 1 {
        let which: Vec<String> =
            found.iter().map(|(process, _)| format!("{machine}@{} ({})", process.pid(), process.hello.title)).collect();
        let message = format!("{} processes have a machine {machine}; say which: {}", found.len(), which.join(", "));
        return Err(Error::new(ErrorKind::AmbiguousMachine, message));
    }
    if let Some((process, _)) = found.pop() {
        return Ok((process, machine.to_owned()));
    }
    if !silent.is_empty() {
        return Err(no_answer(name, &all, &silent));
    }
    let message = match all.as_slice() {
        [] => format!("there is no machine {name}: no process of this user runs one"),
        all => format!(
            "there is no machine {name}; there {} {}",
            if all.len() == 1 { "is" } else { "are" },
            all.join(", ")
        ),
    };
    Err(Error::new(ErrorKind::NoSuchMachine, message))
}

/// Some processes do not answer, and the machine may be one of theirs.
fn no_answer(name: &str, all: &[String], silent: &[(PathBuf, String)]) -> Error {
    let one = |(socket, why): &(PathBuf, String)| {
        let process = socket.file_stem().unwrap_or_default().to_string_lossy();
        format!("process {}: {why}", process.split('-').next().unwrap_or_default())
    };
    let reasons: Vec<String> = silent.iter().map(one).collect();
    let mut message = format!("cannot attach to the machine {name}: {}", reasons.join("; "));
    if !all.is_empty() {
        message.push_str(&format!("; the other processes have {}", all.join(", ")));
    }
    Error::new(ErrorKind::ProcessSilent, message)
}

/// What a process says of itself, without what moves a terminal's cursor or sets its title.
fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

impl Process {
    fn greet(stream: UnixStream) -> io::Result<Self> {
        let mut hello: Hello = read_frame(&mut Timed::new(&stream, GREETING))?.ok_or(io::ErrorKind::UnexpectedEof)?;
        hello.title = printable(&hello.title);
        hello.directory = printable(&hello.directory);
        if hello.protocol != PROTOCOL {
            let message = format!("process {} speaks version {}, this is {PROTOCOL}", hello.pid, hello.protocol);
            return Err(io::Error::other(message));
        }
        Ok(Self { hello, stream, next: 1 })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// What it says of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The state of its machines, in the order of their making.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn machines(&mut self) -> Result<Vec<Status>, Error> {
        match self.command(Command::Machines)? {
            Reply::Machines(machines) => Ok(machines),
            other => Err(Error::new(ErrorKind::BadReply, format!("process {} answers {other:?}", self.pid()))),
        }
    }

    /// Carries out a command there, and waits for its answer. A `Drain` waits a few seconds at most, then says how
    /// many are left: ask again.
    ///
    /// # Errors
    /// What the engine there refused, or that the process is gone (`process_gone`) or does not answer
    /// (`process_silent`).
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let limit = if matches!(command, Command::Step { .. } | Command::Call { .. }) { LONG } else { ANSWER };
        let id = self.next;
        self.next += 1;
        let request = Request { id, command };
        let answer = match write_frame(&mut Timed::new(&self.stream, ANSWER), &request) {
            // A server that has hung up may have said why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => read_frame::<Answer>(&mut Timed::new(&self.stream, limit)),
        };
        match answer {
            Ok(Some(Answer { reply: Reply::Failed(failure), .. })) => Err(failure),
            Ok(Some(Answer { reply, .. })) => Ok(reply),
            Ok(None) => Err(self.failure(ErrorKind::ProcessGone, "has ended")),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    self.failure(ErrorKind::ProcessSilent, "does not answer")
                }
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                    self.failure(ErrorKind::ProcessGone, "has ended")
                }
                _ => self.failure(ErrorKind::ProcessSilent, &format!("cannot be talked to: {error}")),
            }),
        }
    }

    fn failure(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("process {} ({}) {what}", self.hello.pid, self.hello.title))
    }
}
