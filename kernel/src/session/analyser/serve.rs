//! The process itself.

use super::project::Project;
use super::{About, Answer, CURSOR, Question};
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

/// Added to the process's niceness, so that cells and machines go first.
const NICENESS: libc::c_int = 10;
/// A nested text takes a frame of the parser for each level.
const STACK: usize = 256 << 20;

/// Answers questions about the project in a directory until standard input ends.
pub fn serve(directory: &Path) -> ExitCode {
    be_nice();
    std::panic::set_hook(Box::new(|_| {}));
    let directory = directory.to_owned();
    let (send, questions) = mpsc::channel();
    let answer = move || answer_all(&directory, &questions);
    if std::thread::Builder::new().name("analyser".to_owned()).stack_size(STACK).spawn(answer).is_err() {
        return ExitCode::FAILURE;
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Ok(question) = serde_json::from_str::<Question>(&line)
            && send.send(question).is_err()
        {
            break;
        }
    }
    // The session is over, whatever is being read or resolved.
    ExitCode::SUCCESS
}

fn answer_all(directory: &Path, questions: &mpsc::Receiver<Question>) {
    let mut project = None;
    // Resolves the standard library, which the first question would wait for.
    let first =
        Question { id: 0, about: About::Completions, source: format!("fn f() {{ let v = vec![1.0]; v.{CURSOR} }}") };
    let _ = answer(&mut project, directory, &first);
    if reply(&Answer::Ready).is_err() {
        return;
    }
    while let Ok(question) = questions.recv() {
        if reply(&answer(&mut project, directory, &question)).is_err() {
            return;
        }
    }
}

/// A panic of rust-analyzer costs the answer, and the project, which is read again.
fn answer(project: &mut Option<Project>, directory: &Path, question: &Question) -> Answer {
    let id = question.id;
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let (head, tail) = question.source.split_once(CURSOR)?;
        let read = match project.as_mut() {
            Some(project) => project,
            None => project.insert(Project::open(directory).ok()?),
        };
        read.set_source(&format!("{head}{tail}")).ok()?;
        let cursor = u32::try_from(head.len()).ok()?;
        match question.about {
            About::Completions => {
                let (items, before, after) = read.completions(cursor)?;
                Some(Answer::Completions { id, items, before, after })
            }
            About::Hover => {
                Some(Answer::Hover { id, text: read.hover(cursor, false), markdown: read.hover(cursor, true) })
            }
        }
    }));
    attempt
        .unwrap_or_else(|_| {
            *project = None;
            None
        })
        .unwrap_or_else(|| match question.about {
            About::Completions => Answer::Completions { id, items: Vec::new(), before: 0, after: 0 },
            About::Hover => Answer::Hover { id, text: None, markdown: None },
        })
}

fn reply(answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut to = std::io::stdout().lock();
    to.write_all(&line)?;
    to.flush()
}

#[expect(unsafe_code, reason = "a system call")]
fn be_nice() {
    // SAFETY: it changes nothing but this process's priority, and takes no pointers.
    let _ = unsafe { libc::nice(NICENESS) };
}
