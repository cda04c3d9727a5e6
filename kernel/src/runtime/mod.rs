//! The runtime process: the engine, and the libraries of the cells.
//!
//! It is this same executable, started by evcxr, which loads one library a cell and tells over standard output when
//! it is done. So this module takes the process' standard streams before the engine and the cells see them: what is
//! printed goes over the control socket at any time, what evcxr waits for goes to the real standard output, and what
//! evcxr says comes from the real standard input, where cells find nothing.

mod cells;
mod children;
mod crash;
mod evcxr;
#[cfg(target_os = "linux")]
mod interpose;
mod places;
mod protocol;
mod pump;
mod recording;
mod records;
mod run;
mod standard;
mod text;
mod threads;
#[cfg(target_os = "linux")]
mod waits;
mod whereabouts;

use crate::control::server::{self, Outbox};
use crate::control::{Event, Message, Request, SOCKET_VARIABLE};
use cells::Instructions;
use machine_protocol::command::Command;
use machine_remote::{self as remote, Answer};
use pump::Pump;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use threads::Cells;

/// Marks a runtime process; set by evcxr.
const RUNTIME_VARIABLE: &str = "EVCXR_IS_RUNTIME";
/// Marks a process that stands in for rustc; set by evcxr when its build cache is on.
const COMPILER_VARIABLE: &str = "EVCXR_RUSTC_WRAPPER";

/// If evcxr started this process to run cells or the compiler, does that and does not return. Call it first in
/// `main`, before there are threads.
pub fn run_if_asked() {
    if std::env::var_os(RUNTIME_VARIABLE).is_some() {
        match start() {
            Ok((instructions, cells, pump)) => instructions.run(&cells, pump),
            Err(error) => {
                complain(&format!("the runtime process cannot start: {error}"));
                std::process::exit(70);
            }
        }
    }
    if std::env::var_os(COMPILER_VARIABLE).is_some() {
        ::evcxr::runtime_hook();
    }
}

#[expect(clippy::print_stderr, reason = "there is nobody else to tell yet")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn start() -> io::Result<(Instructions, Arc<Cells>, Option<Arc<Pump>>)> {
    let cells = Arc::new(Cells::default());
    let instructions = Instructions::take()?;
    crash::die_with_the_kernel();
    machine_engine::set_title(&title());
    machine_engine::init();
    let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else { return Ok((instructions, cells, None)) };
    let stream = UnixStream::connect(socket)?;
    let outbox = Arc::new(Outbox::default());
    outbox.push(Message::Event(Event::Hello { pid: std::process::id() }));
    let pump = Arc::new(Pump::take(Arc::clone(&outbox))?);
    #[cfg(target_os = "linux")]
    if interpose::start(&pump) {
        pump.set_interposed();
    }
    machine_engine::observe(Box::new(Observer { pump: Arc::clone(&pump) }));
    crash::prepare(&pump, &outbox);
    crash::install_handlers();
    #[cfg(target_os = "linux")]
    if !waits::is_exported() {
        complain("an interrupt does not end calls that wait: the executable does not export them");
    }

    let writer = stream.try_clone()?;
    let out = Arc::clone(&outbox);
    spawn("control-write", move || out.write_to(&writer))?;
    let pumped = Arc::clone(&pump);
    spawn("output", move || pumped.run())?;
    let (served, running) = (Arc::clone(&pump), Arc::clone(&cells));
    spawn("control-read", move || {
        let handle = Arc::new(move |request| handle(request, &running, &served, &outbox));
        server::serve(stream, &handle);
        // The kernel is gone: nobody will ever see what the slots do.
        crash::exit_at_once();
    })?;
    Ok((instructions, cells, Some(pump)))
}

/// What is seen of this process in a list of processes: the notebook, if the front end has named it.
fn title() -> String {
    std::env::var("JPY_SESSION_NAME").unwrap_or_else(|_| "notebook".to_owned())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn handle(request: Request, cells: &Arc<Cells>, pump: &Arc<Pump>, outbox: &Arc<Outbox>) {
    match request {
        Request::Variables { names } => pump.announce(names),
        Request::Abandon { id } => outbox.push(Message::Abandoned { id, doing: cells.abandon() }),
        Request::Forget { names } => cells.lose(names),
        Request::Ping { id } => {
            pump.drain();
            outbox.push(Message::Pong { id });
        }
        Request::Command(remote::Request { id, command }) => {
            if matches!(command, Command::Enter(_)) {
                // A library that a cell has loaded may have brought its own handlers.
                crash::install_handlers();
            }
            let interrupts = command == (Command::Interrupt { on: true });
            let quick = matches!(command, Command::Enter(_) | Command::Interrupt { .. });
            let outbox = Arc::clone(outbox);
            let run = move || {
                let reply = machine_engine::command(command);
                outbox.push(Message::Reply(Answer { id, reply }));
            };
            if quick {
                run();
                // Once the flag is set, so that a cell that waits for them sees it when they end.
                if interrupts {
                    cells.interrupt_children();
                }
            } else if let Err(error) = spawn("command", run) {
                pump.notice(&format!("a command could not be started: {error}"));
            }
        }
    }
}

/// Whether a cell's own code runs on the calling thread: not a slot that it calls.
fn is_cell_code() -> bool {
    machine_engine::is_cell_thread() && !machine_engine::is_in_slot()
}

struct Observer {
    pump: Arc<Pump>,
}

impl Observer {
    /// What was printed before comes before.
    fn push(&self, event: Event) {
        self.pump.push(event, is_cell_code());
    }
}

/// Shown by the first statement of a cell; see `machine::cell::enter`.
const ENTERED: &str = "application/vnd.machine.entered";
/// Shown by the last; see `machine::cell::leave`.
const LEFT: &str = "application/vnd.machine.left";
/// Shown before the value of a cell's final expression; see `machine::cell::last`.
const LAST: &str = "application/vnd.machine.last";

impl machine_engine::Observer for Observer {
    fn fail(&self, ename: &str, evalue: &str, line: u32) {
        self.push(Event::Fail { ename: ename.to_owned(), evalue: evalue.to_owned(), line });
    }

    fn show(&self, mime: &str, content: &str) {
        match mime {
            ENTERED | LEFT | LAST if !is_cell_code() => {}
            ENTERED => self.pump.enter(),
            LEFT => self.pump.leave(),
            LAST => self.pump.last(),
            _ => self.push(Event::Show { mime: mime.to_owned(), content: content.to_owned() }),
        }
    }

    fn cell_panicked(&self, message: &str, file: &str, line: u32, column: u32) {
        self.push(Event::Panic { message: message.to_owned(), file: file.to_owned(), line, column });
    }

    fn place(&self, file: &str, line: u32, _: u32) -> String {
        places::name(file, line)
    }

    fn notice(&self, text: &str) {
        self.push(Event::Notice { text: text.to_owned() });
    }
}
