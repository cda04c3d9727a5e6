//! The runtime's end of the control socket.

use super::{Event, Message, Printed, Request};
use crate::display::grouped;
use machine_remote::{Answer, MAX_FRAME, read_frame, too_long, write_frame};
use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much printed text waits for the kernel at most, bytes. What comes on top is counted and dropped, because a
/// slot that prints must not wait for a reader.
const BACKLOG: usize = 8 << 20;
/// Above this, a thread that may wait does. Bytes.
const CROWDED: usize = BACKLOG / 2;
/// How long it waits for a kernel that does not read at all.
const ROOM_TIMEOUT: Duration = Duration::from_millis(200);
/// Pieces of text are joined up to this length, bytes.
const PIECE: usize = 64 << 10;

/// What is on its way to the kernel, in order.
#[derive(Default)]
pub struct Outbox {
    state: Mutex<OutboxState>,
    changed: Condvar,
    /// Whether more text waits than `CROWDED`, and the kernel reads.
    crowded: AtomicBool,
}

#[derive(Default)]
struct OutboxState {
    waiting: VecDeque<Message>,
    /// Bytes of text in `waiting`.
    text: usize,
    /// Bytes of text that were dropped and not yet told.
    dropped: usize,
    writing: bool,
    closed: bool,
    /// Whether somebody has waited for room in vain since the kernel read last.
    stalled: bool,
}

impl Outbox {
    /// Queues a message. Text is dropped if too much of it waits, everything else is kept.
    pub fn push(&self, message: Message) {
        if let Message::Event(Event::Stream { stream, text }) = message {
            return self.print(stream, &text);
        }
        self.lock().waiting.push_back(message);
        self.changed.notify_all();
    }

    /// Queues text, as far as there is room for it.
    pub fn print(&self, stream: Printed, text: &str) {
        if !text.is_empty() {
            let mut state = self.lock();
            let mut rest = text;
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
                state.print(stream, piece);
                rest = after;
            }
            if state.text > CROWDED && !state.stalled {
                // Relaxed: the flag carries nothing but itself.
                self.crowded.store(true, Ordering::Relaxed);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits until less text waits, if a lot does. Not for a kernel that has stopped reading.
    pub fn wait_for_room(&self) {
        if !self.crowded.load(Ordering::Relaxed) {
            return;
        }
        let state = self.lock();
        let crowded = |state: &mut OutboxState| state.text > CROWDED && !state.closed && !state.stalled;
        let waited = self.changed.wait_timeout_while(state, ROOM_TIMEOUT, crowded);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.stalled |= timeout.timed_out();
        self.crowded.store(false, Ordering::Relaxed);
    }

    /// Waits until all is sent, at most for a time.
    pub fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while !(state.closed || state.waiting.is_empty() && !state.writing) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is queued until the kernel is gone.
    pub fn write_to(&self, stream: &UnixStream) {
        loop {
            let mut state = self.lock();
            state.writing = false;
            while state.waiting.is_empty() && state.dropped == 0 {
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let message = state.next();
            state.writing = true;
            let made_room = state.text <= CROWDED;
            drop(state);
            if made_room && self.crowded.load(Ordering::Relaxed) {
                self.changed.notify_all();
            }
            if let Some(message) = message
                && send(stream, &message).is_err()
            {
                self.lock().closed = true;
                self.changed.notify_all();
                return;
            }
            self.lock().stalled = false;
        }
    }
}

/// Sends a message; in place of a reply that is too long, or of something to show, that it is.
fn send(mut stream: &UnixStream, message: &Message) -> io::Result<()> {
    match (write_frame(&mut stream, message), message) {
        (Err(error), Message::Reply(Answer { id, .. })) if error.kind() == io::ErrorKind::FileTooLarge => {
            write_frame(&mut stream, &Message::Reply(Answer { id: *id, reply: too_long() }))
        }
        (Err(error), Message::Event(Event::Show { mime, content })) if error.kind() == io::ErrorKind::FileTooLarge => {
            let (bytes, most) = (grouped(content.len() as u64), MAX_FRAME >> 20);
            let content = format!("[{mime}, {bytes} bytes: not shown, for it is longer than {most} MiB as JSON]");
            write_frame(&mut stream, &Message::Event(Event::Show { mime: "text/plain".to_owned(), content }))
        }
        (written, _) => written,
    }
}

impl OutboxState {
    fn print(&mut self, stream: Printed, text: &str) {
        if self.text + text.len() > BACKLOG || self.closed {
            self.dropped += text.len();
            return;
        }
        if self.dropped > 0 {
            self.tell_dropped();
        }
        self.text += text.len();
        if let Some(Message::Event(Event::Stream { stream: last, text: joined })) = self.waiting.back_mut()
            && *last == stream
            && joined.len() + text.len() <= PIECE
        {
            joined.push_str(text);
        } else {
            self.waiting.push_back(Message::Event(Event::Stream { stream, text: text.to_owned() }));
        }
    }

    fn tell_dropped(&mut self) {
        let count = grouped(std::mem::take(&mut self.dropped) as u64);
        let text = format!("\n… {count} bytes of output dropped\n");
        self.text += text.len();
        self.waiting.push_back(Message::Event(Event::Stream { stream: Printed::Stderr, text }));
    }

    fn next(&mut self) -> Option<Message> {
        if self.waiting.is_empty() && self.dropped > 0 {
            self.tell_dropped();
        }
        let message = self.waiting.pop_front()?;
        if let Message::Event(Event::Stream { text, .. }) = &message {
            self.text -= text.len();
        }
        Some(message)
    }
}

/// Reads requests until the kernel is gone.
pub fn serve(mut stream: UnixStream, handle: &Arc<impl Fn(Request) + Send + Sync + 'static>) {
    while let Ok(Some(request)) = read_frame::<Request>(&mut stream) {
        handle(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(outbox: &Outbox) -> (String, String) {
        let mut state = outbox.lock();
        let (mut out, mut err) = (String::new(), String::new());
        while let Some(message) = state.next() {
            if let Message::Event(Event::Stream { stream, text }) = message {
                if stream == Printed::Stdout { out.push_str(&text) } else { err.push_str(&text) }
            }
        }
        (out, err)
    }

    #[test]
    fn text_beyond_the_backlog_is_counted_not_kept() {
        let outbox = Outbox::default();
        let piece = "x".repeat(PIECE);
        for _ in 0..(BACKLOG / PIECE) + 2 {
            outbox.push(Message::Event(Event::Stream { stream: Printed::Stdout, text: piece.clone() }));
        }
        outbox.push(Message::Event(Event::Entered));
        let (out, err) = printed(&outbox);
        assert_eq!(out.len(), BACKLOG);
        assert_eq!(err, format!("\n… {} bytes of output dropped\n", grouped(2 * PIECE as u64)));
    }

    #[test]
    fn what_is_too_long_to_be_shown_is_told_and_the_next_is_shown() {
        let (here, there) = UnixStream::pair().expect("two ends");
        let show = |content: String| Message::Event(Event::Show { mime: "text/html".to_owned(), content });
        send(&here, &show("x".repeat(MAX_FRAME + 1))).expect("told");
        send(&here, &show("short".to_owned())).expect("sent");
        let shown = || match read_frame(&mut &there) {
            Ok(Some(Message::Event(Event::Show { mime, content }))) => (mime, content),
            other => panic!("{other:?}"),
        };
        let told = "[text/html, 67,108,865 bytes: not shown, for it is longer than 64 MiB as JSON]";
        assert_eq!(shown(), ("text/plain".to_owned(), told.to_owned()));
        assert_eq!(shown(), ("text/html".to_owned(), "short".to_owned()));
    }
}
