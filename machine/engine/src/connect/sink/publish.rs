//! Finished messages on a ZeroMQ PUB socket.
//!
//! Workers append messages to a buffer of each subscriber; a task writes it. Every message that a subscriber wanted
//! is counted once: written, or lost because too many waited or because the subscriber went away; or the workers wait
//! for the slowest subscriber, if none is to lose anything. This is a protocol of our own making rather than a
//! library's socket because those drop without telling how much.

use super::endpoint::Listener;
use super::subscriber::{Piece, Subscriber};
use crate::core::backpressure::BackpressureGuard;
use crate::core::command_error::failed;
use crate::core::oid;
use crate::core::output::{Finished, Sink, SinkDemand, next_id};
use crate::core::runtime;
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use machine_remote::place;
use machine_zmtp::publisher::{Decoder, Event, READY};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, watch};

/// How long messages gather after a write, unless a whole piece has come together.
const GATHER: Duration = Duration::from_millis(1);
/// How long a peer may take to say that it is a subscriber.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a closed publisher still writes what waits.
const LINGER: Duration = Duration::from_secs(2);
/// How long a waiting worker sleeps before it looks whether it still has to wait.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Connections at a time; further ones are turned away.
const CONNECTIONS: usize = 64;

#[derive(Debug, Default)]
struct PublisherState {
    subscribers: Vec<Subscriber>,
    closed: bool,
    /// Nobody listens at the endpoint any more: another one can be bound there.
    ended: bool,
    error: String,
}

#[derive(Debug)]
struct Shared {
    endpoint: String,
    /// The socket's file.
    path: Option<PathBuf>,
    state: Mutex<PublisherState>,
    /// Something was written, or a subscriber went away.
    room: Condvar,
    /// How many subscribers want anything.
    listening: AtomicUsize,
    no_loss: AtomicBool,
    /// How many messages wait for a subscriber at most.
    mark: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
    /// Becomes true when the publisher is closed.
    over: watch::Sender<bool>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, PublisherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, id: u64, f: impl FnOnce(&mut Subscriber) -> R) -> Option<R> {
        let mut state = self.lock();
        let result = state.subscribers.iter_mut().find(|subscriber| subscriber.id == id).map(f);
        let listening = state.subscribers.iter().filter(|subscriber| subscriber.listens()).count();
        // Relaxed: a worker that sees it late sends one message less to somebody who has just come.
        self.listening.store(listening, Ordering::Relaxed);
        result
    }

    fn note(&self, error: &str) {
        error.clone_into(&mut self.lock().error);
    }

    /// The listener is closed.
    fn end(&self) {
        self.lock().ended = true;
        self.room.notify_all();
    }
}

/// The most bytes of answers to a subscriber's pings that wait.
const ANSWERS: usize = 64 << 10;

/// The most messages that wait. As with other ZeroMQ sockets, a high-water mark of 0 is none.
fn mark(high_water_mark: u64) -> u64 {
    if high_water_mark == 0 { u64::MAX } else { high_water_mark }
}

/// A PUB socket.
#[derive(Debug)]
pub(crate) struct Publisher(Arc<Shared>);

impl Publisher {
    /// Binds the socket and begins to listen.
    ///
    /// # Errors
    /// If the endpoint cannot be bound.
    pub fn bind(machine: &str, endpoint: &str, no_loss: bool, most: u64) -> Result<Arc<dyn Sink>, Error> {
        let handle = runtime::handle()?;
        let listener = Listener::bind(endpoint, machine)?;
        let shared = Arc::new(Shared {
            endpoint: listener.endpoint(),
            path: if let Listener::Unix(_, path) = &listener { Some(path.clone()) } else { None },
            state: Mutex::default(),
            room: Condvar::new(),
            listening: AtomicUsize::new(0),
            no_loss: AtomicBool::new(no_loss),
            mark: AtomicU64::new(mark(most)),
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            over: watch::Sender::new(false),
        });
        let _entered = handle.enter();
        let listening = shared.clone();
        let cannot =
            |error| failed(ErrorKind::CannotBind, format!("{} cannot be listened to: {error}", shared.endpoint));
        match listener {
            Listener::Unix(listener, _) => {
                let listener = UnixListener::from_std(listener).map_err(cannot)?;
                handle.spawn(async move {
                    attend(&listening, || listener.accept(), UnixStream::into_split).await;
                    drop(listener);
                    listening.end();
                });
            }
            Listener::Tcp(listener, _) => {
                let listener = TcpListener::from_std(listener).map_err(cannot)?;
                let split = |stream: TcpStream| {
                    // Messages gather here, not in the system.
                    let _ = stream.set_nodelay(true);
                    stream.into_split()
                };
                handle.spawn(async move {
                    attend(&listening, || listener.accept(), split).await;
                    drop(listener);
                    listening.end();
                });
            }
        }
        Ok(Arc::new(Self(shared)))
    }
}

impl Sink for Publisher {
    fn wants(&self) -> SinkDemand {
        if self.0.listening.load(Ordering::Relaxed) > 0 { SinkDemand::Json } else { SinkDemand::Nothing }
    }

    fn accept(&self, message: &mut Finished<'_>) {
        // One that waited for its turn while nobody was subscribed was wanted by nobody when it was through.
        if self.wants() == SinkDemand::Nothing || !message.is_there() {
            return;
        }
        let oid = oid::hex(message.oid);
        let json = message.json();
        let mark = self.0.mark.load(Ordering::Relaxed);
        let mut state = self.0.lock();
        while self.0.no_loss.load(Ordering::Relaxed)
            && !state.closed
            && state.subscribers.iter().any(|subscriber| subscriber.is_full(mark) && subscriber.listens())
        {
            let _waiting = BackpressureGuard::begin();
            state = self.0.room.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
        // A message with many topics is one message: it may exceed the mark by its number of slots.
        let fits = match (state.closed, self.0.no_loss.load(Ordering::Relaxed)) {
            (true, _) => 0,
            (false, true) => u64::MAX,
            (false, false) => mark,
        };
        let lost: u64 = state.subscribers.iter_mut().map(|subscriber| subscriber.offer(&oid, json, fits, mark)).sum();
        if lost > 0 {
            self.0.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn status(&self) -> SinkStatus {
        let state = self.0.lock();
        SinkStatus {
            kind: SinkKind::Publish,
            endpoint: self.0.endpoint.clone(),
            sent: self.0.sent.load(Ordering::Relaxed),
            waiting: state.subscribers.iter().map(|subscriber| subscriber.waiting).sum(),
            lost: self.0.lost.load(Ordering::Relaxed),
            subscribers: state.subscribers.iter().filter(|subscriber| subscriber.listens()).count() as u64,
            error: state.error.clone(),
            ..SinkStatus::default()
        }
    }

    fn configure(&self, config: &SinkConfig) -> Result<(), Error> {
        let SinkConfig::Publish { no_loss, high_water_mark, .. } = config else {
            return Err(failed(ErrorKind::WrongSink, "this output is a socket"));
        };
        self.0.no_loss.store(*no_loss, Ordering::Relaxed);
        self.0.mark.store(mark(*high_water_mark), Ordering::Relaxed);
        self.0.room.notify_all();
        Ok(())
    }

    fn flush(&self, deadline: Instant) {
        let mut state = self.0.lock();
        while state.subscribers.iter().any(|subscriber| subscriber.waiting > 0) || (state.closed && !state.ended) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.room.wait_timeout(state, left.min(LOOK_UP)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.subscribers.iter().for_each(|subscriber| subscriber.wake.notify_one());
        drop(state);
        self.0.room.notify_all();
        self.0.over.send_replace(true);
        if let Some(path) = &self.0.path {
            place::remove(path);
        }
    }
}

/// Serves each connection, until the publisher is closed.
async fn attend<S, A, R, W, F>(shared: &Arc<Shared>, accept: impl Fn() -> F, split: impl Fn(S) -> (R, W))
where
    F: Future<Output = io::Result<(S, A)>>,
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut over = shared.over.subscribe();
    loop {
        let next = tokio::select! {
            next = accept() => next,
            _ = over.wait_for(|over| *over) => return,
        };
        match (next, places.clone().try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let (reader, writer) = split(stream);
                let shared = shared.clone();
                tokio::spawn(async move {
                    serve(shared, reader, writer).await;
                    drop(place);
                });
            }
            // It tries again by itself.
            (Ok(_), Err(_)) => shared.note(&format!("a peer was turned away: {CONNECTIONS} are connected, the most")),
            (Err(error), _) => {
                // Most likely there are too many open files: some may be closed soon.
                shared.note(&format!("a connection was not accepted: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one subscriber until either side ends.
async fn serve(shared: Arc<Shared>, mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
    let mut decoder = Decoder::default();
    let greeted = tokio::time::timeout(HANDSHAKE, async {
        writer.write_all(&machine_zmtp::GREETING).await?;
        writer.write_all(READY).await?;
        next_event(&mut decoder, &mut reader).await
    });
    match greeted.await {
        Ok(Ok(Event::Ready)) => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            shared.note(&format!("a peer was turned away: {error}"));
            return;
        }
        _ => return,
    }
    let (id, wake) = (next_id(), Arc::new(Notify::new()));
    shared.lock().subscribers.push(Subscriber::new(id, wake.clone()));
    let mut progress = WriteState::default();
    tokio::select! {
        result = listen(&shared, id, &mut decoder, &mut reader) => {
            if let Err(error) = result && error.kind() == io::ErrorKind::InvalidData {
                shared.note(&format!("a subscriber was turned away: {error}"));
            }
        }
        // What goes wrong with a subscriber's socket means that it has gone, which is no error.
        _ = send(&shared, id, &wake, &mut progress, &mut writer) => {}
        () = patience(&shared) => {}
    }
    let (whole, _) = machine_zmtp::count_messages(&progress.piece.bytes, progress.written);
    let mut state = shared.lock();
    let waiting = state.subscribers.iter().find(|subscriber| subscriber.id == id).map_or(0, |s| s.waiting);
    state.subscribers.retain(|subscriber| subscriber.id != id);
    // Of the piece that was being written some messages are over already.
    shared.sent.fetch_add(whole, Ordering::Relaxed);
    shared.lost.fetch_add(waiting.saturating_sub(whole), Ordering::Relaxed);
    drop(state);
    shared.with(id, |_| ());
    shared.room.notify_all();
}

/// Until the publisher is closed, and has waited for what a slow subscriber still has to take.
async fn patience(shared: &Shared) {
    let mut over = shared.over.subscribe();
    // Its sender lives as long as `shared`.
    drop(over.wait_for(|over| *over).await);
    tokio::time::sleep(LINGER).await;
}

/// The piece that is being written, and how far.
#[derive(Debug, Default)]
struct WriteState {
    piece: Piece,
    written: usize,
}

/// Writes what waits for a subscriber, until the publisher is closed and all is written.
async fn send(
    shared: &Shared,
    id: u64,
    wake: &Notify,
    progress: &mut WriteState,
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut done = Vec::new();
    loop {
        let closed = shared.lock().closed;
        let next = shared.with(id, |subscriber| {
            let commands = std::mem::take(&mut subscriber.commands);
            let piece = subscriber.next(std::mem::take(&mut done));
            subscriber.sleeps = piece.is_none() && commands.is_empty();
            (commands, piece)
        });
        let Some((commands, piece)) = next else { return Ok(()) };
        writer.write_all(&commands).await?;
        let Some(piece) = piece else {
            if commands.is_empty() {
                if closed {
                    return Ok(());
                }
                wake.notified().await;
            }
            continue;
        };
        (progress.piece, progress.written) = (piece, 0);
        while let Some(rest) = progress.piece.bytes.get(progress.written..).filter(|rest| !rest.is_empty()) {
            let written = writer.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            progress.written += written;
        }
        let piece = std::mem::take(&mut progress.piece);
        let gathers = shared.with(id, |subscriber| {
            shared.sent.fetch_add(piece.messages, Ordering::Relaxed);
            subscriber.written(&piece);
            !subscriber.has_much(shared.mark.load(Ordering::Relaxed))
        });
        done = piece.bytes;
        shared.room.notify_all();
        if gathers == Some(true) && !closed {
            // Messages gather for a moment: a call of the system for each of them would cost more than they do.
            let _either = tokio::time::timeout(GATHER, wake.notified()).await;
        }
    }
}

/// Reads what a subscriber wants, until it ends the conversation.
async fn listen(
    shared: &Shared,
    id: u64,
    decoder: &mut Decoder,
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<()> {
    loop {
        match next_event(decoder, reader).await? {
            Event::Ready => {}
            Event::Subscribe(prefix) => {
                if shared.with(id, |subscriber| subscriber.subscribe(prefix)) == Some(false) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "too many subscriptions"));
                }
            }
            Event::Cancel(prefix) => {
                shared.with(id, |subscriber| subscriber.cancel(&prefix));
                shared.room.notify_all();
            }
            Event::Ping(context) => {
                let answered = shared.with(id, |subscriber| {
                    subscriber.commands.extend_from_slice(&machine_zmtp::pong(&context));
                    subscriber.wake.notify_one();
                    subscriber.commands.len() <= ANSWERS
                });
                if answered == Some(false) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it pings and does not read the answers"));
                }
            }
        }
    }
}

async fn next_event(decoder: &mut Decoder, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Event> {
    let mut bytes = [0; 1024];
    loop {
        match decoder.next_event() {
            Ok(Some(event)) => return Ok(event),
            Ok(None) => {}
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
        let read = reader.read(&mut bytes).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        decoder.push(bytes.get(..read).unwrap_or_default());
    }
}
