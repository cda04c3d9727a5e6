//! The process' standard streams, taken over.
#![allow(unsafe_code, reason = "file descriptors are moved with libc")]

use super::evcxr::Evcxr;
use super::protocol::{Piece, Splitter};
use super::recording::{self, Recording};
use super::records::{Records, Source};
use super::run::{Fate, Phase, Run};
use super::standard::Standard;
use super::text::Decoder;
use crate::control::server::Outbox;
use crate::control::{Event, Message, Printed};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread that hands on waits for more before it sleeps, so that who prints rarely has to wake it.
const LINGER: Duration = Duration::from_millis(1);
/// How much a cell prints before it looks again whether there is room, bytes.
const CHUNK: usize = 256 << 10;

/// Hands on what this process prints. A thread that tells the kernel something first drains the pump, so the order is kept.
///
/// Rust code adds to a list ([`super::interpose`]); all else that prints here has pipes in the place of the standard
/// streams.
pub struct Pump {
    outbox: Arc<Outbox>,
    // Locked before `records`. What is printed is queued in order because each drain holds it to its end.
    streams: Mutex<Streams>,
    // Held for a copy alone, for a thread that prints waits for it.
    records: Mutex<Recorded>,
    /// Whether the list has what Rust code prints; else the pipes have it, and nobody knows which thread it was.
    interposed: AtomicBool,
    wake: PipeWriter,
    woken: PipeReader,
    watched: [RawFd; 2],
    real_stderr: RawFd,
}

struct Recorded {
    list: Records,
    /// Whether the thread that hands on will look again by itself.
    awake: bool,
}

struct Streams {
    standard: Standard,
    /// Changes places with the list when that is taken.
    spare: Records,
    output: Output,
    buffer: Vec<u8>,
}

/// What has been printed, on its way to the kernel and to evcxr.
struct Output {
    splitter: Splitter,
    decoder: Decoder,
    run: Run,
    /// Where the cell printed last.
    cell: Source,
    /// Whether the next thing that the cell shows is its value.
    last: bool,
    evcxr: Evcxr,
}

impl Pump {
    /// Puts pipes in the place of the standard streams.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn take(outbox: Arc<Outbox>) -> io::Result<Self> {
        let (standard, real) = Standard::take()?;
        let (woken, wake) = io::pipe()?;
        let watched = standard.watched();
        let evcxr = Evcxr::new(File::from(real.stdout));
        // Lives as long as the process: the handler of signals writes there.
        let real_stderr = real.stderr.into_raw_fd();
        let output = Output {
            splitter: Splitter::default(),
            decoder: Decoder::default(),
            run: Run::default(),
            cell: Source { stream: Printed::Stdout, cell: true, thread: 0 },
            last: false,
            evcxr,
        };
        let streams = Streams { standard, spare: Records::new(), output, buffer: vec![0; 64 << 10] };
        Ok(Self {
            outbox,
            streams: Mutex::new(streams),
            records: Mutex::new(Recorded { list: Records::new(), awake: false }),
            interposed: AtomicBool::new(false),
            wake,
            woken,
            watched,
            real_stderr,
        })
    }

    /// From now on the list has what Rust code prints.
    pub fn set_interposed(&self) {
        // Relaxed: set before any library is loaded that prints.
        self.interposed.store(true, Ordering::Relaxed);
    }

    /// A cell is next, in a session with these variables.
    pub fn announce(&self, variables: BTreeSet<String>) {
        self.drained(|streams, _| streams.output.run.announce(variables));
    }

    /// A cell's library is about to run on the calling thread.
    pub fn begin(&self) {
        self.drained(|streams, _| {
            // What a library has closed since the last cell.
            let _closed = streams.standard.restore();
            streams.output.run.begin();
        });
    }

    /// The cell's own code runs from now on.
    pub fn enter(&self) {
        self.drained(|streams, outbox| {
            streams.output.run.enter();
            outbox.push(Message::Event(Event::Entered));
        });
    }

    /// The cell's own code has come to its end.
    pub fn leave(&self) {
        self.drained(|streams, outbox| {
            streams.output.settle(outbox);
            streams.output.run.leave();
            streams.output.last = false;
            outbox.push(Message::Event(Event::Left));
        });
    }

    /// What the cell shows next is its value.
    pub fn last(&self) {
        self.drained(|streams, _| streams.output.last = true);
    }

    /// The cell's library is through: hands on what it printed, and lets evcxr know.
    pub fn finish(&self) {
        self.drained(|streams, outbox| {
            let output = &mut streams.output;
            output.settle(outbox);
            let cell = output.cell;
            output
                .decoder
                .finish(|source| source.thread == cell.thread, &mut |source, text| print(source, text, outbox));
            let mut withheld = Vec::new();
            let ended_early = output.run.finish(|line| withheld.extend_from_slice(line));
            output.decoder.decode(cell, &withheld, &mut |source, text| print(source, text, outbox));
            output.last = false;
            for closed in streams.standard.restore() {
                let text = format!("the cell closed {closed}; it has been opened again");
                outbox.push(Message::Event(Event::Notice { text }));
            }
            streams.output.evcxr.complete(ended_early);
        });
    }

    /// These variables are lost: evcxr forgets them, and compiles again what it wanted to run.
    pub fn forget(&self, names: &[String]) {
        self.drained(|streams, _| {
            for name in names {
                streams.output.evcxr.forget(name);
            }
            streams.output.evcxr.complete(false);
        });
    }

    /// Queues an event, after all that was printed before. `cell` says whether the cell's own code is where it comes
    /// from.
    pub fn push(&self, event: Event, cell: bool) {
        self.drained(|streams, outbox| {
            let output = &mut streams.output;
            if cell {
                // Content is printed in one go: what has begun and was not ended has failed.
                output.settle(outbox);
            }
            if cell && matches!(event, Event::Show { .. }) && std::mem::take(&mut output.last) {
                outbox.push(Message::Event(Event::Last));
            }
            if matches!(event, Event::Panic { .. }) {
                output.run.panicked();
            }
            outbox.push(Message::Event(event));
        });
    }

    /// Hands on all that has been printed up to now. Never waits for the kernel.
    pub fn drain(&self) {
        self.drained(|_, _| ());
    }

    /// Hands on all that has been printed, characters that are not whole included.
    pub fn end(&self) {
        self.drained(|streams, outbox| {
            streams.output.settle(outbox);
            streams.output.decoder.finish(|_| true, &mut |source, text| print(source, text, outbox));
        });
    }

    /// Queues a warning.
    pub fn notice(&self, text: &str) {
        self.push(Event::Notice { text: text.to_owned() }, false);
    }

    /// Where the process' standard error really goes: evcxr reads it to the end when the process dies.
    pub fn real_stderr(&self) -> RawFd {
        self.real_stderr
    }

    /// Adds what a thread prints, all of it or nothing. Returns whether it was added: if not, the pipes are for it.
    pub fn record(&self, source: Source, parts: &[IoSlice<'_>]) -> bool {
        let Some(_recording) = Recording::begin() else { return false };
        if recording::after_a_pause() {
            // A process that it started may have printed meanwhile.
            self.drain();
        }
        if source.cell {
            // So that all of a cell's output arrives. A slot never waits.
            for chunk in parts.iter().flat_map(|part| part.chunks(CHUNK)) {
                self.outbox.wait_for_room();
                self.add(source, &[IoSlice::new(chunk)]);
            }
        } else {
            self.add(source, parts);
        }
        true
    }

    fn add(&self, source: Source, parts: &[IoSlice<'_>]) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let added = records.list.push(source, parts);
        let asleep = added && !std::mem::replace(&mut records.awake, true);
        drop(records);
        if asleep {
            // There is room for it: one byte is written each time that the reader sleeps.
            let _ = (&self.wake).write_all(&[0]);
        }
        if !added {
            // The list is full: the thread that prints empties it, and waits for nobody.
            self.drained(|streams, outbox| {
                for part in parts {
                    streams.output.take(source, part, outbox);
                }
            });
        }
    }

    /// Hands on what is printed, forever.
    pub fn run(&self) {
        let mut until = None;
        let mut linger = false;
        loop {
            self.wait(linger, until);
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            linger = !records.list.is_empty();
            // From here on a thread that adds to an empty list wakes this thread, and the wake is seen by the next wait.
            records.awake = linger;
            drop(records);
            until = self.drained(|streams, outbox| streams.output.settle_late(outbox));
        }
    }

    /// Waits until something has been printed; lingering, for more of what Rust code prints.
    fn wait(&self, linger: bool, until: Option<Instant>) {
        let [out, err] = self.watched;
        let mut polls =
            [out, err, self.woken.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let left = until.map(|until| until.saturating_duration_since(Instant::now()).max(LINGER));
        let left = if linger { Some(LINGER) } else { left };
        let timeout = left.map_or(-1, |left| i32::try_from(left.as_millis()).unwrap_or(i32::MAX));
        let count = if linger { 2 } else { 3 };
        // SAFETY: `polls` is an array of three initialised entries.
        unsafe { libc::poll(polls.as_mut_ptr(), count, timeout) };
        if let [_, _, wake] = polls
            && wake.revents != 0
        {
            let _ = (&self.woken).read(&mut [0; 64]);
        }
    }

    /// Hands on all that has been printed, and then does something in order with it.
    fn drained<R>(&self, then: impl FnOnce(&mut Streams, &Outbox) -> R) -> R {
        let _recording = Recording::begin();
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_all(&mut streams);
        then(&mut streams, &self.outbox)
    }

    fn take_all(&self, streams: &mut Streams) {
        let Streams { spare, output, standard, buffer } = streams;
        // What one thread printed comes before what it did next, a process that it started included.
        std::mem::swap(spare, &mut self.records.lock().unwrap_or_else(PoisonError::into_inner).list);
        spare.drain(|source, bytes| output.take(source, bytes, &self.outbox));
        let cell = !self.interposed.load(Ordering::Relaxed);
        standard.read(buffer, |stream, bytes| {
            output.take(Source { stream, cell, thread: 0 }, bytes, &self.outbox);
        });
    }
}

impl Output {
    /// Takes what was printed.
    fn take(&mut self, source: Source, bytes: &[u8], outbox: &Outbox) {
        if source.stream == Printed::Stdout && source.cell && self.run.phase() != Phase::Idle {
            self.cell = source;
            self.split(outbox, |splitter, give| splitter.feed(bytes, give));
        } else {
            self.decoder.decode(source, bytes, &mut |source, text| print(source, text, outbox));
        }
    }

    /// What was held back is text.
    fn settle(&mut self, outbox: &Outbox) {
        self.split(outbox, |splitter, give| splitter.finish(give));
    }

    /// What was held back for too long is text. Returns when to look again.
    fn settle_late(&mut self, outbox: &Outbox) -> Option<Instant> {
        self.split(outbox, |splitter, give| splitter.settle(Instant::now(), give))
    }

    fn split<R>(&mut self, outbox: &Outbox, with: impl FnOnce(&mut Splitter, &mut dyn FnMut(Piece<'_>)) -> R) -> R {
        let mut splitter = std::mem::take(&mut self.splitter);
        let result = with(&mut splitter, &mut |piece| self.piece(piece, outbox));
        self.splitter = splitter;
        result
    }

    fn piece(&mut self, piece: Piece<'_>, outbox: &Outbox) {
        let text = match piece {
            Piece::Text(text) => text,
            Piece::Panic(line) | Piece::Error(line) | Piece::Input(line) | Piece::Changed { line, .. } => line,
            Piece::Content { whole, .. } => whole,
        };
        let fate = if matches!(piece, Piece::Text(_)) { Fate::Print } else { self.run.decide(piece) };
        match (fate, piece) {
            (Fate::Show, Piece::Content { mime, content, .. }) => {
                if std::mem::take(&mut self.last) {
                    outbox.push(Message::Event(Event::Last));
                }
                let content = String::from_utf8_lossy(content).into_owned();
                outbox.push(Message::Event(Event::Show { mime: mime.to_owned(), content }));
            }
            (Fate::Forget, Piece::Changed { name, .. }) => self.evcxr.forget(name),
            (Fate::Drop | Fate::Withhold, _) => {}
            (Fate::Print | Fate::Show | Fate::Forget, _) => {
                self.decoder.decode(self.cell, text, &mut |source, text| print(source, text, outbox));
            }
        }
    }
}

/// What clears a terminal's screen. A cell that prints it clears its output.
const CLEAR_SCREEN: &str = "\u{1b}[2J";
/// Moves a terminal's cursor to the upper left; comes with clearing, and means nothing in a notebook.
const HOME: &str = "\u{1b}[H";

/// Queues text. Only a cell's own code clears its output: what a slot prints may come from anywhere.
fn print(source: Source, text: &str, outbox: &Outbox) {
    let mut parts = text.split(CLEAR_SCREEN);
    if !source.cell {
        return outbox.print(source.stream, text);
    }
    outbox.print(source.stream, parts.next().unwrap_or_default());
    for part in parts {
        outbox.push(Message::Event(Event::Clear));
        outbox.print(source.stream, part.strip_prefix(HOME).unwrap_or(part));
    }
}
