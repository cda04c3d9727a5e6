//! The heartbeat: whatever comes goes back.

use zeromq::{RepSocket, SocketRecv, SocketSend};

/// Echoes until the process ends. Malformed requests are passed over.
pub async fn serve(mut socket: RepSocket) {
    loop {
        if let Ok(beat) = socket.recv().await {
            // A peer that is gone does not need its answer.
            let _ = socket.send(beat).await;
        }
    }
}
