//! What leaves a machine: outputs in a cell, in another machine, in a file, on a socket.

mod shown;

use machine_protocol::{Error, ErrorKind};
pub use shown::LastOutputs;

use crate::abi::{Pulled, WriterDesc};
use crate::handle::{Call, Machine, ask, failure};
use crate::shim::{OutputsHandle, panic_text, raw, writer};
use machine_protocol::command::{Command, Reply, SinkConfig, WhenFull};
use machine_protocol::decode;
use machine_protocol::status::SinkStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// How many outputs wait for a cell at most by default.
const MOST_WAITING: usize = 16_384;
/// How many messages wait for a subscriber at most by default.
const HIGH_WATER_MARK: u64 = 65_536;

impl Machine {
    /// The outputs of the messages that finish from now on. At most 16,384 wait to be taken; what does not fit is
    /// counted ([`Outputs::lost`]).
    ///
    /// # Errors
    /// If the machine is gone.
    pub fn outputs(&self) -> Result<Outputs, Error> {
        self.outputs_bounded(MOST_WAITING)
    }

    /// Like [`outputs`](Self::outputs), with room for `most` outputs that wait.
    ///
    /// # Errors
    /// If the machine is gone, or `most` is 0.
    pub fn outputs_bounded(&self, most: usize) -> Result<Outputs, Error> {
        let handle = OutputsHandle::new(self.id, most, false).map_err(|reply| failure(decode(&reply)))?;
        Ok(Outputs { handle, machine: self.id, timeout: None })
    }

    /// Calls `f` with each output from now on, in order, on a separate thread (`main/on_output`). At most 16,384 outputs
    /// wait for it. What does not fit is dropped, counted as lost in the status, and reported when a pipeline's process
    /// ends; with [`SinkHandle::no_loss`] the machine waits instead. To print what a slot gives, use
    /// [`to_stdout`](Self::to_stdout), which drops nothing.
    ///
    /// A panic of `f` ends it, and its status has the message; there it stays, and counts all later outputs as lost,
    /// until it is ended ([`SinkHandle::stop`], [`clear_outputs`](Self::clear_outputs)). A pipeline's process then ends
    /// with exit code 1.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn on_output(&self, f: impl FnMut(Output) + Send + 'static) -> Result<SinkHandle, Error> {
        on_output(self, Box::new(f))
    }

    /// Makes the output of a slot a message of another machine, for each message from now on. It is moved, and not
    /// written as JSON, if no cell takes the same outputs. While the other queue is full this machine's workers wait;
    /// [`SinkHandle::lose_when_full`] changes that. A message on which the slot fails is not handed on;
    /// one that would have to be written and does not serialise is counted as lost.
    ///
    /// # Errors
    /// If the chain would be a circle, or there is no such slot.
    pub fn to(&self, other: &Machine, slot: usize) -> Result<SinkHandle, Error> {
        self.add(SinkConfig::To { machine: other.target(), slot, when_full: WhenFull::Wait })
    }

    /// Appends each message from now on to a file, as a line `{"oid":"…","outputs":[in,f0,…]}`. Outputs that are
    /// missing are written as they are published. A separate thread writes; [`drain`](Self::drain) and
    /// [`stop`](Self::stop) wait for it. What cannot be written is counted, and told in the status. A last line that a
    /// killed process has left half gets an end first. A named pipe is written to while somebody reads it.
    ///
    /// # Errors
    /// If the file cannot be opened, is a pipe that nobody reads, or another output writes to it, also of another process.
    pub fn to_json_lines(&self, path: impl AsRef<Path>) -> Result<SinkHandle, Error> {
        // A session may change its directory; the engine opens the file now, and again when it rotates.
        let path = std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned());
        self.add(SinkConfig::JsonLines { path: path.display().to_string(), rotate: 0, keep: 0 })
    }

    /// Writes what slot `slot` gives for each message from now on, one line per message: text as it is, without quotes
    /// (also its own line breaks), anything else as JSON. A message on which the slot fails gives no line. The machine
    /// waits while the writer is slow and 8 MiB of lines are buffered, so no line is dropped.
    ///
    /// A separate thread writes; [`drain`](Self::drain) and [`stop`](Self::stop) wait for it. An error of the writer ends
    /// it: the batch that was being written and all later lines count as lost, its status has the error, and a
    /// pipeline's process ends with exit code 1.
    ///
    /// # Errors
    /// If there is no such slot, or no thread for it.
    pub fn to_lines(&self, slot: usize, writer: impl Write + Send + 'static) -> Result<SinkHandle, Error> {
        add_writer(self, slot, self::writer(writer), false)
    }

    /// Writes what slot `slot` gives to standard output, as [`to_lines`](Self::to_lines) does: a pipeline with
    /// [`source::stdin`](crate::source::stdin) is a filter. In a notebook the lines are the output of the cell that runs.
    ///
    /// A pipeline's process ends once its standard output cannot be written: with exit code 141 if its reader has gone
    /// (`| head -1`), as other filters do, and otherwise (a full disk) with 1.
    ///
    /// # Errors
    /// As [`to_lines`](Self::to_lines).
    pub fn to_stdout(&self, slot: usize) -> Result<SinkHandle, Error> {
        add_writer(self, slot, writer(std::io::stdout()), true)
    }

    /// Publishes each message from now on, on a ZeroMQ PUB socket: two frames, the oid's 24 hex digits and
    /// `[in,f0,…,f7]` in JSON. Who subscribes to `f1.` is sent the output of that slot alone, under the topic
    /// `f1.<oid>`. Nothing is written while nobody is subscribed. There may be 64 connections at a time.
    ///
    /// `endpoint` is `ipc://…`, `tcp://127.0.0.1:5555`, `tcp://127.0.0.1:*` for any free port, or empty for a socket
    /// under the machine's name in a directory that only this user can enter: `$MACHINE_RUNTIME_DIR` if it is set. The
    /// real one is [`SinkHandle::endpoint`], and in the status. A socket's file goes with it, at the latest when the
    /// notebook or `machine run` ends.
    ///
    /// # Errors
    /// If it cannot be bound: somebody listens there, or a file is there that is no socket.
    pub fn publish(&self, endpoint: &str) -> Result<SinkHandle, Error> {
        let endpoint = endpoint.to_owned();
        self.add(SinkConfig::Publish { endpoint, no_loss: false, high_water_mark: HIGH_WATER_MARK })
    }

    /// Ends all of `on_output`, `to`, `to_json_lines`, `to_lines`, `to_stdout` and `publish`. What they have buffered is handed on. Iterators
    /// over [`outputs`](Self::outputs) go on.
    pub fn clear_outputs(&self) -> &Self {
        self.tell(&Command::RemoveSinks { machine: self.target(), id: None })
    }

    /// The last ten outputs, newest first, whether or not somebody takes outputs. Of a machine that takes up to some
    /// thousand messages a second these are exactly the last ten. Of a faster one, too, once it is idle, unless they are
    /// large; while it works they are a sample of the last ones.
    ///
    /// As the last expression of a cell they are shown as a data frame.
    pub fn last_outputs(&self) -> LastOutputs {
        match ask(&Command::LastOutputs { machine: self.target() }) {
            Reply::LastOutputs(outputs) => LastOutputs { outputs },
            _ => LastOutputs::default(),
        }
    }

    fn add(&self, sink: SinkConfig) -> Result<SinkHandle, Error> {
        match ask(&Command::AddSink { machine: self.target(), sink: sink.clone() }) {
            Reply::Sink(status) => {
                Ok(SinkHandle { machine: *self, id: status.id, endpoint: status.endpoint, config: Some(sink) })
            }
            other => Err(failure(other)),
        }
    }
}

/// One finished message.
pub struct Output {
    /// The message's oid, 24 hex digits.
    pub oid: String,
    call: Call,
}

impl Output {
    fn new(call: Call) -> Self {
        Self { oid: call.oid(), call }
    }

    /// The input.
    ///
    /// # Errors
    /// If it is no `T` and does not convert into one.
    pub fn input<T: Serialize + DeserializeOwned + Clone + 'static>(&self) -> Result<T, Error> {
        self.call.input()
    }

    /// What slot `slot` gave.
    ///
    /// # Errors
    /// If the output is missing (then it says why), or no `T`.
    pub fn get<T: Serialize + DeserializeOwned + Clone + 'static>(&self, slot: usize) -> Result<T, Error> {
        self.call.get(slot)
    }

    /// What slot `slot` gave, as JSON text.
    ///
    /// # Errors
    /// If the output is missing, or does not serialise.
    pub fn json(&self, slot: usize) -> Result<String, Error> {
        self.call.json(slot)
    }

    /// Why the output of slot `slot` is missing; `None` if it is there.
    pub fn error(&self, slot: usize) -> Option<String> {
        self.call.json(slot).err().map(|error| error.to_string())
    }
}

/// The outputs of a machine, as they finish. Ends when the machine is stopped and all outputs are taken, when the
/// user interrupts the cell, or when none comes in the time that was given ([`timeout`](Self::timeout)). Dropping it
/// ends the collecting.
pub struct Outputs {
    handle: OutputsHandle,
    machine: u32,
    timeout: Option<Duration>,
}

impl Outputs {
    /// Ends when no output comes for so long. Zero: gives what is there, without waiting.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many outputs did not fit, because they were taken too slowly.
    pub fn lost(&self) -> u64 {
        self.handle.lost()
    }

    /// The next output if one comes in this time; the iterator's own timeout does not count.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Output> {
        self.pull(Some(timeout)).ok()
    }

    fn pull(&self, timeout: Option<Duration>) -> Result<Output, Pulled> {
        let nanos = timeout.map_or(u64::MAX, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        self.handle.next(nanos).map(|handle| Output::new(Call(handle)))
    }
}

impl Iterator for Outputs {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.pull(self.timeout).ok()
    }
}

/// Not generic, so that cells do not compile it again.
fn add_writer(machine: &Machine, slot: usize, desc: WriterDesc, is_stdout: bool) -> Result<SinkHandle, Error> {
    match decode(&raw::lines(machine.id, slot, desc, is_stdout)) {
        Reply::Sink(status) => {
            Ok(SinkHandle { machine: *machine, id: status.id, endpoint: status.endpoint, config: None })
        }
        other => Err(failure(other)),
    }
}

/// Not generic, so that cells do not compile it again.
fn on_output(machine: &Machine, mut f: Box<dyn FnMut(Output) + Send>) -> Result<SinkHandle, Error> {
    let handle = OutputsHandle::new(machine.id, MOST_WAITING, true).map_err(|reply| failure(decode(&reply)))?;
    let id = handle.id();
    let name = format!("{}/on_output", machine.status().machine);
    let number = machine.id;
    let work = move || {
        let outputs = Outputs { handle, machine: number, timeout: None };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            while let Ok(output) = outputs.pull(None) {
                f(output);
            }
        }));
        if let Err(payload) = ended {
            // The hook has told where it happened; the status tells why nothing is taken any more.
            let text = panic_text(&*payload).unwrap_or("without a message");
            outputs.handle.fail(&format!("it panicked: {text}"));
        }
    };
    match std::thread::Builder::new().name(name).spawn(work) {
        Ok(_detached) => {
            let config = Some(SinkConfig::OnOutput { no_loss: false });
            Ok(SinkHandle { machine: *machine, id, endpoint: String::new(), config })
        }
        Err(error) => Err(Error::new(ErrorKind::NoThread, format!("no thread for on_output: {error}"))),
    }
}

/// One place where a machine's outputs go. Dropping the handle changes nothing; [`stop`](Self::stop) ends it.
#[derive(Clone)]
pub struct SinkHandle {
    machine: Machine,
    id: u64,
    endpoint: String,
    config: Option<SinkConfig>,
}

impl SinkHandle {
    /// Where it goes: the endpoint of a socket, the path of a file.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it has done. After it was ended, too: its last count, in which what is still buffered waits until it is
    /// handed on or lost. The state of the machine lists those alone that were not ended. `None` of one that was ended
    /// long ago: the last 64 are remembered.
    pub fn status(&self) -> Option<SinkStatus> {
        match ask(&Command::Sink { machine: self.machine.target(), id: self.id }) {
            Reply::Sink(status) => Some(*status),
            _ => None,
        }
    }

    /// Ends it. Waits until what is buffered is handed on, for at most a second; a worker that waits for it goes on.
    pub fn stop(&self) {
        ask(&Command::RemoveSinks { machine: self.machine.target(), id: Some(self.id) });
    }

    /// Of a file: it is put aside, as `path.1`, before it becomes larger than `bytes`; `keep` files that were put
    /// aside are kept, the oldest with the highest number.
    ///
    /// # Errors
    /// If this is no file.
    pub fn rotate(self, bytes: u64, keep: u32) -> Result<Self, Error> {
        self.configure("a file", |config| match config {
            SinkConfig::JsonLines { rotate, keep: kept, .. } => {
                (*rotate, *kept) = (bytes, keep);
                true
            }
            _ => false,
        })
    }

    /// Of a socket or of `on_output`: the machine waits for its slowest subscriber, or for the closure, so that no output
    /// is dropped. A closure that waits for the same machine (`drain`, `put_wait`) may then wait for itself.
    ///
    /// # Errors
    /// If this is neither of them.
    pub fn no_loss(self) -> Result<Self, Error> {
        self.configure("a socket or `on_output`", |config| match config {
            SinkConfig::Publish { no_loss, .. } | SinkConfig::OnOutput { no_loss } => {
                *no_loss = true;
                true
            }
            _ => false,
        })
    }

    /// Of a socket: how many messages wait for a subscriber at most (default: 65,536), and no more than come to
    /// 64 MiB. 0 is no limit, as with other ZeroMQ sockets, of bytes neither: then none is lost or waited for, and a
    /// subscriber that takes nothing costs more and more memory.
    ///
    /// # Errors
    /// If this is no socket.
    pub fn high_water_mark(self, messages: u64) -> Result<Self, Error> {
        self.configure("a socket", |config| match config {
            SinkConfig::Publish { high_water_mark, .. } => {
                *high_water_mark = messages;
                true
            }
            _ => false,
        })
    }

    /// Of a chain: outputs are lost, and counted, while the other machine's queue is full.
    ///
    /// # Errors
    /// If this is no chain.
    pub fn lose_when_full(self) -> Result<Self, Error> {
        self.configure("a chain to another machine", |config| match config {
            SinkConfig::To { when_full, .. } => {
                *when_full = WhenFull::Lose;
                true
            }
            _ => false,
        })
    }

    fn configure(mut self, wanted: &str, change: impl FnOnce(&mut SinkConfig) -> bool) -> Result<Self, Error> {
        let Some(sink) = self.config.as_mut().and_then(|sink| change(sink).then(|| sink.clone())) else {
            let message = format!("this output is not {wanted}: it has no such setting");
            return Err(Error::new(ErrorKind::WrongSink, message));
        };
        let machine = self.machine.target();
        match ask(&Command::ConfigureSink { machine, id: self.id, sink }) {
            Reply::Sink(_) => Ok(self),
            other => Err(failure(other)),
        }
    }
}
