//! The broadcast socket: one task owns it, for it can only be used from one place.

use super::message::{Outgoing, Session};
use super::sockets::Queue;
use bytes::Bytes;
use serde_json::{Map, json};
use std::sync::Arc;
use zeromq::{SocketRecv, SocketSend, XPubSocket, ZmqMessage};

/// First byte of a subscription.
const SUBSCRIBE: u8 = 1;

/// Sends what comes out of `queue`, and greets each new subscriber with `iopub_welcome`.
///
/// Receiving goes first: a subscription takes effect only when it is received, and the greeting must be the
/// first message that its subscriber sees.
pub async fn serve(mut socket: XPubSocket, session: Arc<Session>, mut queue: Queue) {
    loop {
        tokio::select! {
            biased;
            received = socket.recv() => {
                // An error concerns one peer, which is dropped by then.
                if let Ok(message) = received && let Some(topic) = subscription(message) {
                    let welcome = Outgoing {
                        msg_type: "iopub_welcome",
                        parent: b"{}",
                        metadata: Map::new(),
                        content: json!({ "subscription": String::from_utf8_lossy(&topic) }),
                    };
                    send(&mut socket, session.encode(&[topic], welcome)).await;
                }
            }
            message = queue.next() => match message {
                Some(frames) => send(&mut socket, frames).await,
                None => return,
            }
        }
    }
}

/// The topic, if this is a subscription.
fn subscription(message: ZmqMessage) -> Option<Bytes> {
    let [frame] = <[Bytes; 1]>::try_from(message.into_vec()).ok()?;
    (frame.first() == Some(&SUBSCRIBE)).then(|| frame.slice(1..))
}

async fn send(socket: &mut XPubSocket, frames: Vec<Bytes>) {
    if let Ok(message) = ZmqMessage::try_from(frames) {
        // Whoever could not be reached is gone; the others have it.
        let _ = socket.send(message).await;
    }
}
