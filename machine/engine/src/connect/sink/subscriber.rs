//! One subscriber of a publisher: what it wants, and what waits for it.

use crate::core::output::json::Rendering;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// Messages are handed to the socket in pieces of about this size.
const PIECE: usize = 64 << 10;
/// The most subscriptions of one subscriber: workers look through them.
const MOST_SUBSCRIPTIONS: usize = 1_000;
/// The longest topic: a slot and an oid, `f59.0123456789abcdef01234567`.
const LONGEST_TOPIC: usize = 28;
/// What waits may be so large, bytes, and larger by one message, unless nothing bounds it.
const MOST_BYTES: usize = 64 << 20;

/// How many messages wait for no others: workers may wait for room, or lose some, before a whole piece has come together.
fn enough(mark: u64) -> u64 {
    (mark / 2).max(1)
}

/// Whole messages, as they go over the wire.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub bytes: Vec<u8>,
    pub messages: u64,
}

/// What a subscriber wants, and what waits for it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub id: u64,
    /// Beginnings of first frames; one that was asked for twice is there twice.
    subscriptions: Vec<Vec<u8>>,
    pieces: VecDeque<Piece>,
    /// A buffer that was written, to be used again.
    spare: Vec<u8>,
    /// Answers to its commands; they go between two pieces.
    pub commands: Vec<u8>,
    /// Messages in `pieces` and in the one that is being written.
    pub waiting: u64,
    /// Their size.
    bytes: usize,
    /// Wakes its task.
    pub wake: Arc<Notify>,
    /// The task sleeps until it is woken.
    pub sleeps: bool,
}

impl Subscriber {
    pub fn new(id: u64, wake: Arc<Notify>) -> Self {
        Self {
            id,
            subscriptions: Vec::new(),
            pieces: VecDeque::new(),
            spare: Vec::new(),
            commands: Vec::new(),
            waiting: 0,
            bytes: 0,
            wake,
            sleeps: false,
        }
    }

    /// It wants messages that begin so; false if it wants too much. No message begins with what is longer than a topic:
    /// that is not kept, here and in `cancel`.
    pub fn subscribe(&mut self, prefix: Vec<u8>) -> bool {
        if prefix.len() <= LONGEST_TOPIC {
            self.subscriptions.push(prefix);
        }
        self.subscriptions.len() <= MOST_SUBSCRIPTIONS
    }

    /// It takes one subscription back.
    pub fn cancel(&mut self, prefix: &[u8]) {
        if let Some(at) = self.subscriptions.iter().position(|subscription| subscription == prefix) {
            self.subscriptions.swap_remove(at);
        }
    }

    /// Whether no further message is to wait for it, where `most` may; `u64::MAX` is no bound, of bytes neither.
    pub fn is_full(&self, most: u64) -> bool {
        self.waiting >= most || (self.bytes >= MOST_BYTES && most != u64::MAX)
    }

    /// A piece was written.
    pub fn written(&mut self, piece: &Piece) {
        self.waiting = self.waiting.saturating_sub(piece.messages);
        self.bytes = self.bytes.saturating_sub(piece.bytes.len());
    }

    /// Whether it wants anything.
    pub fn listens(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    /// Takes a message, as far as it wants it and has room where `most` may wait; returns how many did not fit. `mark` is
    /// the high-water mark: messages do not gather for long once half as many wait.
    pub fn offer(&mut self, oid: &[u8; 24], message: &Rendering, most: u64, mark: u64) -> u64 {
        let mut lost = 0;
        if self.subscriptions.iter().any(|prefix| oid.starts_with(prefix)) {
            lost += self.add(oid, message.array(), most, mark);
        }
        // The output of one slot is only for those who ask for it: who asks for everything means messages.
        if self.subscriptions.iter().any(|prefix| prefix.first() == Some(&b'f')) {
            for slot in 0..message.len().saturating_sub(1) {
                let mut topic = format!("f{slot}.").into_bytes();
                topic.extend_from_slice(oid);
                if self.subscriptions.iter().any(|prefix| !prefix.is_empty() && topic.starts_with(prefix)) {
                    lost += self.add(&topic, message.part(slot + 1), most, mark);
                }
            }
        }
        lost
    }

    fn add(&mut self, topic: &[u8], body: &[u8], most: u64, mark: u64) -> u64 {
        if self.is_full(most) {
            return 1;
        }
        if self.pieces.back().is_none_or(|piece| piece.bytes.len() >= PIECE) {
            self.pieces.push_back(Piece { bytes: std::mem::take(&mut self.spare), messages: 0 });
        }
        let Some(piece) = self.pieces.back_mut() else { return 1 };
        let before = piece.bytes.len();
        machine_zmtp::frame(&mut piece.bytes, topic, true);
        machine_zmtp::frame(&mut piece.bytes, body, false);
        piece.messages += 1;
        self.waiting += 1;
        self.bytes += piece.bytes.len() - before;
        let full = piece.bytes.len() >= PIECE && self.pieces.len() == 1;
        if self.sleeps || full || self.waiting == enough(mark) {
            self.sleeps = false;
            self.wake.notify_one();
        }
        0
    }

    /// The next piece, and a buffer that is not needed any more.
    pub fn next(&mut self, mut done: Vec<u8>) -> Option<Piece> {
        if self.spare.capacity() == 0 && done.capacity() <= 2 * PIECE {
            done.clear();
            self.spare = done;
        }
        self.pieces.pop_front()
    }

    /// Whether a whole piece waits, or as many messages as are not to wait for others.
    pub fn has_much(&self, mark: u64) -> bool {
        self.waiting >= enough(mark) || self.pieces.front().is_some_and(|piece| piece.bytes.len() >= PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_TOPIC, MOST_SUBSCRIPTIONS, Subscriber};
    use crate::core::output::json::Rendering;
    use machine::handle::MAX_SLOTS;
    use std::sync::Arc;
    use tokio::sync::Notify;

    const OID: &[u8; 24] = b"692000000123456789abcdef";

    fn offered(subscriber: &mut Subscriber) -> u64 {
        let before = subscriber.waiting;
        assert_eq!(subscriber.offer(OID, &Rendering::default(), 10, 10), 0);
        subscriber.waiting - before
    }

    #[test]
    fn what_no_topic_begins_with_is_not_kept() {
        assert_eq!(LONGEST_TOPIC, format!("f{}.", MAX_SLOTS - 1).len() + OID.len());
        let mut subscriber = Subscriber::new(1, Arc::new(Notify::new()));
        for _ in 0..2 * MOST_SUBSCRIPTIONS {
            assert!(subscriber.subscribe(vec![b'6'; 1_000]));
        }
        assert!(!subscriber.listens() && offered(&mut subscriber) == 0);
        assert!(subscriber.subscribe(OID.to_vec()) && subscriber.subscribe(OID.to_vec()));
        subscriber.cancel(&[b'6'; 1_000]);
        subscriber.cancel(OID);
        assert_eq!((subscriber.listens(), offered(&mut subscriber)), (true, 1));
        subscriber.cancel(OID);
        assert_eq!((subscriber.listens(), offered(&mut subscriber)), (false, 0));
        assert!((0..MOST_SUBSCRIPTIONS).all(|_| subscriber.subscribe(Vec::new())));
        assert!(!subscriber.subscribe(Vec::new()));
    }
}
