//! What waits to be written to one peer.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Short messages are written together, up to about this size.
const PIECE: usize = 64 << 10;
/// What a message takes beside its bytes, about.
const OVERHEAD: usize = 64;

/// A queue of messages as they go over the wire. The producer bounds it, by [`Outbox::waiting`].
#[derive(Debug, Default)]
pub struct Outbox {
    messages: Mutex<VecDeque<Bytes>>,
    waiting: AtomicUsize,
    some: Notify,
}

impl Outbox {
    /// Queues a message.
    pub fn push(&self, message: Bytes) {
        // Before it can be taken out, so that the number never falls below zero. Relaxed, here and below: it guides a
        // limit, it guards no data.
        self.waiting.fetch_add(message.len() + OVERHEAD, Ordering::Relaxed);
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        self.some.notify_one();
    }

    /// The memory that unwritten messages take, bytes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Writes what is queued, in order, until the connection breaks.
    pub async fn write_to(&self, mut writer: impl AsyncWrite + Unpin) -> io::Error {
        let mut piece = Vec::new();
        loop {
            let Some((first, size)) = self.take(&mut piece) else {
                // One that came since is remembered: there is one waiter.
                self.some.notified().await;
                continue;
            };
            let bytes = if piece.is_empty() { &first[..] } else { &piece };
            if let Err(error) = writer.write_all(bytes).await {
                return error;
            }
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// The next message. If further ones fit into a piece with it, they are put together there. Returns the size of all
    /// that was taken, too.
    fn take(&self, piece: &mut Vec<u8>) -> Option<(Bytes, usize)> {
        piece.clear();
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let first = messages.pop_front()?;
        let mut size = first.len() + OVERHEAD;
        let mut joined = first.len();
        while let Some(next) = messages.front().filter(|next| joined + next.len() <= PIECE) {
            if piece.is_empty() {
                piece.extend_from_slice(&first);
            }
            piece.extend_from_slice(next);
            joined += next.len();
            size += next.len() + OVERHEAD;
            messages.pop_front();
        }
        Some((first, size))
    }
}
