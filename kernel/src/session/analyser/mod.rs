//! Completion and inspection by rust-analyzer, in a process that a session starts beside its runtime process.
//!
//! rust-analyzer needs seconds to read and resolve the standard library. So it does that in a process with low priority,
//! started when the session has nothing else to do: no cell waits for it, whatever text it is given takes nothing else
//! along, and until it is ready the session answers with what evcxr's own analyser knows, which never reads the standard
//! library.
//!
//! What is asked is a whole source file, as evcxr makes it of the session's items, its variables and the cell, with a mark
//! where the cursor is. One JSON line a question, one an answer; the process ends with its standard input.

mod project;
mod serve;

use serde::{Deserialize, Serialize};
pub use serve::serve;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Marks the cursor in a source. An identifier, so that what it stands in parses as before.
pub const CURSOR: &str = "machine_cursor_0b9f";
/// How often a process that has ended is replaced.
const RESTARTS: u32 = 3;

/// What is asked about the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum About {
    Completions,
    Hover,
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    id: u64,
    about: About,
    /// With [`CURSOR`].
    source: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The project has been read.
    Ready,
    /// What could stand at the cursor.
    Completions { id: u64, items: Vec<Item>, before: usize, after: usize },
    /// What is known of the thing at the cursor.
    Hover { id: u64, text: Option<String>, markdown: Option<String> },
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What to insert.
    pub text: String,
    /// What it is: `function`, `class`, `module`, …
    pub kind: String,
}

/// Proposals that replace `before` bytes before the cursor and `after` bytes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposals {
    /// In order of relevance.
    pub items: Vec<Item>,
    /// Bytes of the word before the cursor.
    pub before: usize,
    /// Bytes of the word after the cursor.
    pub after: usize,
}

/// The process of one session.
#[derive(Debug)]
pub struct Analyser {
    executable: PathBuf,
    /// The session's directory, a cargo project.
    directory: PathBuf,
    /// The sources of the standard library, if they are not where rust-analyzer looks by itself.
    library: Option<PathBuf>,
    running: Option<Running>,
    starts: u32,
    asked: u64,
}

#[derive(Debug)]
struct Running {
    child: Child,
    questions: Sender<Question>,
    answers: Receiver<Answer>,
    ready: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Analyser {
    /// A process that is not started yet.
    pub fn new(executable: &Path, directory: &Path, library: Option<&Path>) -> Self {
        Self {
            executable: executable.to_owned(),
            directory: directory.to_owned(),
            library: library.map(Path::to_owned),
            running: None,
            starts: 0,
            asked: 0,
        }
    }

    /// Starts the process, so that it is ready when it is needed.
    pub fn wake(&mut self) {
        if self.running.is_some() || self.starts > RESTARTS {
            return;
        }
        self.starts += 1;
        match self.start() {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no completion from rust-analyzer"),
        }
    }

    fn start(&self) -> io::Result<Running> {
        let mut command = Command::new(&self.executable);
        command.arg("analyse").arg(&self.directory);
        if let Some(library) = &self.library {
            command.env(super::sources::VARIABLE, library);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (questions, asked) = mpsc::channel::<Question>();
        let (answered, answers) = mpsc::channel();
        // A process that is still reading the library takes nothing from the pipe, which a long cell fills.
        let ask = move || {
            let Some(mut to) = to else { return };
            while let Ok(question) = asked.recv() {
                let Ok(mut line) = serde_json::to_vec(&question) else { continue };
                line.push(b'\n');
                if to.write_all(&line).is_err() {
                    return;
                }
            }
        };
        let listen = move || {
            for line in from.into_iter().flat_map(|from| BufReader::new(from).lines()) {
                let Some(answer) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { return };
                if answered.send(answer).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("analyser-questions".to_owned()).spawn(ask)?;
        std::thread::Builder::new().name("analyser-answers".to_owned()).spawn(listen)?;
        Ok(Running { child, questions, answers, ready: false })
    }

    /// Whether the process has read the project. Starts it if it does not run.
    pub fn is_ready(&mut self) -> bool {
        self.wake();
        let Some(running) = &mut self.running else { return false };
        loop {
            match running.answers.try_recv() {
                Ok(answer) => running.ready |= matches!(answer, Answer::Ready),
                Err(mpsc::TryRecvError::Empty) => return running.ready,
                Err(mpsc::TryRecvError::Disconnected) => {
                    self.running = None;
                    return false;
                }
            }
        }
    }

    /// What could stand at the cursor of a source; `None` if that is not known in time.
    pub fn completions(&mut self, source: String, within: Duration) -> Option<Proposals> {
        match self.ask(About::Completions, source, within)? {
            Answer::Completions { items, before, after, .. } => Some(Proposals { items, before, after }),
            _ => None,
        }
    }

    /// What is known of the thing at the cursor, as text and as Markdown.
    pub fn hover(&mut self, source: String, within: Duration) -> Option<(String, String)> {
        match self.ask(About::Hover, source, within)? {
            Answer::Hover { text, markdown, .. } => Some((text?, markdown?)),
            _ => None,
        }
    }

    fn ask(&mut self, about: About, source: String, within: Duration) -> Option<Answer> {
        if !self.is_ready() {
            return None;
        }
        let until = Instant::now() + within;
        self.asked += 1;
        let asked = self.asked;
        let running = self.running.as_mut()?;
        running.questions.send(Question { id: asked, about, source }).ok()?;
        loop {
            match running.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Answer::Completions { id, .. } | Answer::Hover { id, .. }) if id != asked => {}
                Ok(Answer::Ready) => {}
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.running = None;
                    return None;
                }
            }
        }
    }
}
