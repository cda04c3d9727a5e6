//! The process that is commanded: listens, and carries out what clients ask.

use crate::core::client_gone::Serving;
use crate::server::commands;
use machine_protocol::command::{Command, Reply};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{
    Answer, Hello, PROTOCOL, Request, Timed, check_peer, place, read_frame_at_most, too_long, write_frame,
};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How many clients can be connected at one time, beside those whose command runs slots.
const CONNECTIONS: usize = 32;
/// How many commands that run slots, and so may never end, can run at one time.
const RUNNING: usize = 32;
/// The longest request, bytes.
const LONGEST: usize = 16 << 20;
/// How long a client may be silent between two requests.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a request may take to come in once it has begun, and an answer to be taken.
const TRANSFER: Duration = Duration::from_secs(10);
/// How long one request waits in the engine: a client that wants to wait longer asks again, and one that is gone
/// keeps nobody.
const WAIT: Duration = Duration::from_secs(5);

/// Says `off` if a process should not listen.
const SWITCH: &str = "MACHINE_REMOTE";
/// Says what runs in this process, where it does not say so itself.
const TITLE_VARIABLE: &str = "MACHINE_TITLE";

static TITLE: OnceLock<String> = OnceLock::new();

/// Says what runs in this process, for people who look at the list of processes. Before [`init`](crate::init); the
/// first call counts. Without it, it is `$MACHINE_TITLE`, or the name of the executable.
pub fn set_title(title: &str) {
    let _first = TITLE.set(title.to_owned());
}

fn title() -> String {
    let executable = || std::env::current_exe().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
    TITLE.get().cloned().or_else(|| std::env::var(TITLE_VARIABLE).ok()).or_else(executable).unwrap_or_default()
}

/// Listens from now on, on separate threads.
///
/// # Errors
/// If there can be no socket.
pub(crate) fn listen() -> io::Result<()> {
    if std::env::var_os(SWITCH).is_some_and(|switch| switch == "off") {
        return Ok(());
    }
    let (listener, _) = place::listen()?;
    let directory = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    let hello = Hello { protocol: PROTOCOL, pid: std::process::id(), title: title(), directory };
    let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
    // By itself, because connecting to a process that hangs may take forever; who lists processes sweeps, too.
    let _ = spawn("machine/sweep").spawn(place::sweep);
    spawn("machine/remote").spawn(move || accept(&listener, &Arc::new(hello))).map(drop)
}

fn accept(listener: &UnixListener, hello: &Arc<Hello>) {
    let seats = Arc::new(Seats::default());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptors left, most likely: that passes, and must not be asked for in a tight loop.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let seat = Seat(Arc::clone(&seats));
        let others = seats.take();
        if check_peer(&stream).is_err() {
            continue;
        }
        if others >= CONNECTIONS {
            refuse(&stream, hello);
            continue;
        }
        let hello = Arc::clone(hello);
        let serve = move || {
            // A client that breaks off or says what is none of the protocol is left alone.
            let _ = serve(&stream, &hello, &seat.0);
        };
        // Without a thread there is no seat either, and the client sees the end of the stream.
        let _ = std::thread::Builder::new().name("machine/client".to_owned()).spawn(serve);
    }
}

/// How many clients are connected, and how many of them wait for a command that runs slots: these take no seat from
/// others, who may want to see what happens or to stop it.
#[derive(Default)]
struct Seats {
    connected: AtomicUsize,
    running: AtomicUsize,
}

impl Seats {
    /// Takes a seat; returns how many others are taken.
    fn take(&self) -> usize {
        // Relaxed: only the numbers count.
        let others = self.connected.fetch_add(1, Ordering::Relaxed);
        others.saturating_sub(self.running.load(Ordering::Relaxed))
    }

    /// Carries out a command, which may take for ever if it runs slots.
    fn carry_out(&self, stream: &UnixStream, command: Command) -> Reply {
        if !runs_slots(&command) {
            return carry_out(command);
        }
        let others = self.running.fetch_add(1, Ordering::Relaxed);
        let reply = if others < RUNNING {
            let _serving = Serving::begin(stream);
            carry_out(command)
        } else {
            let message = format!(
                "{RUNNING} calls, steps and retries of other clients are running: try again later, or end them with \
                 a timeout of the slot that they wait for"
            );
            Reply::Failed(Error::new(ErrorKind::Busy, message))
        };
        self.running.fetch_sub(1, Ordering::Relaxed);
        reply
    }
}

/// Whether a command takes messages through slots on the thread that carries it out.
fn runs_slots(command: &Command) -> bool {
    matches!(
        command,
        Command::Call { .. }
            | Command::Step { .. }
            | Command::Retry { .. }
            | Command::RetryErrors { .. }
            | Command::GiveUp { .. }
    )
}

/// One of the connections that there can be.
struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells a client that there are too many. Never waits for it: a new stream has room for so little.
fn refuse(stream: &UnixStream, hello: &Hello) {
    let message = format!("all {CONNECTIONS} connections to this process are taken: try again later");
    let answer = Answer { id: 0, reply: Reply::Failed(Error::new(ErrorKind::Busy, message)) };
    let _ = stream.set_nonblocking(true);
    let mut to = stream;
    let _ = write_frame(&mut to, hello).and_then(|()| write_frame(&mut to, &answer));
}

fn serve(stream: &UnixStream, hello: &Hello, seats: &Seats) -> io::Result<()> {
    write_frame(&mut Timed::new(stream, TRANSFER), hello)?;
    while let Some(request) =
        read_frame_at_most::<Request>(&mut Timed::starting_with(stream, SILENCE, TRANSFER), LONGEST)?
    {
        let reply = seats.carry_out(stream, request.command);
        let answer = |reply| write_frame(&mut Timed::new(stream, TRANSFER), &Answer { id: request.id, reply });
        match answer(reply) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => answer(too_long())?,
            written => written?,
        }
    }
    Ok(())
}

fn carry_out(command: Command) -> Reply {
    match command {
        // They are the kernel's to say: what they change belongs to the cells.
        Command::Enter(_) | Command::Interrupt { .. } => {
            Reply::Failed(Error::new(ErrorKind::NotRemote, "only the kernel of a session can send this"))
        }
        Command::Drain { machine, timeout } => {
            commands::command(Command::Drain { machine, timeout: Some(timeout.unwrap_or(WAIT).min(WAIT)) })
        }
        command => commands::command(command),
    }
}
