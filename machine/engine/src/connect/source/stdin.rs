//! Standard input.
//!
//! A read of it cannot be taken back. So one thread of the process reads, a few pieces ahead, and whatever source
//! comes goes on where the one before has left off.

use crate::core::cell_thread;
use crate::core::command_error::failed;
use crate::core::source::SourceDriver;
use crate::core::source::context::{SourceContext, Stop};
use crate::decode::lines::Lines;
use machine_protocol::source::{MAX_BYTES, Stdin};
use machine_protocol::{Error, ErrorKind};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::time::Duration;

/// How large a piece is.
const PIECE: usize = 64 << 10;
/// How many pieces are read ahead.
const AHEAD: usize = 4;
/// How long a source waits for a piece before it looks whether it should end.
const LOOK_UP: Duration = Duration::from_millis(20);

/// What has been read: pieces, and of the ones before them what no source has given yet.
#[derive(Debug)]
struct Unread {
    pieces: Receiver<std::io::Result<Vec<u8>>>,
    lines: Lines,
}

fn unread() -> &'static Mutex<Unread> {
    static UNREAD: OnceLock<Mutex<Unread>> = OnceLock::new();
    UNREAD.get_or_init(|| {
        let (sender, pieces) = sync_channel(AHEAD);
        let read = move || loop {
            let mut piece = vec![0; PIECE];
            let read = match std::io::stdin().lock().read(&mut piece) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let _nobody_listens = sender.send(Err(error));
                    return;
                }
            };
            piece.truncate(read);
            if sender.send(Ok(piece)).is_err() {
                return;
            }
        };
        // Without the thread the sender is gone, which is the end of the input.
        let _thread = std::thread::Builder::new().name("machine/stdin".to_owned()).spawn(read);
        Mutex::new(Unread { pieces, lines: Lines::new(MAX_BYTES) })
    })
}

#[derive(Debug)]
pub(crate) struct Input {
    json: bool,
    max_bytes: usize,
}

impl Input {
    /// # Errors
    /// If the process runs a notebook's cells: its standard input is not the user's.
    pub fn open(stdin: Stdin) -> Result<Self, Error> {
        if cell_thread::runs_cells() {
            let message = "a notebook has no standard input: take the lines of a file, or an endpoint (source::http)";
            return Err(failed(ErrorKind::NoStdin, message));
        }
        Ok(Self { json: stdin.json, max_bytes: stdin.max_bytes })
    }
}

impl SourceDriver for Input {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let mut unread = match unread().try_lock() {
            Ok(unread) => unread,
            Err(TryLockError::Poisoned(unread)) => unread.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Stop::Failed("another machine reads standard input: clear its source first".to_owned()));
            }
        };
        let Unread { pieces, lines } = &mut *unread;
        lines.resume(self.max_bytes);
        loop {
            intake.wait_running()?;
            while let Some(line) = lines.next() {
                intake.line(&line, self.json)?;
            }
            intake.flush()?;
            match pieces.recv_timeout(LOOK_UP) {
                Ok(Ok(piece)) => lines.push(&piece),
                Ok(Err(error)) => return Err(Stop::Failed(format!("standard input: {error}"))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let last = lines.finish().map_or(Ok(()), |line| intake.line(&line, self.json));
                    return last.and_then(|()| intake.flush());
                }
            }
        }
    }
}
