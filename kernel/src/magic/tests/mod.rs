//! Magics, on an engine that is a table of answers, and on the real one.

mod commands;
mod engine;
mod help;
mod lines;
mod messages;
mod mistakes;
mod queries;
mod running;

use super::*;
use crate::display::tests::{dead_letters, example_outputs, example_status};
use crate::output::Stream;
use expect_test::{Expect, expect};
use machine_protocol::command::{Command, Reply, Target, Undrained};
use machine_protocol::retained::{
    DeadLetterQuery, Explained, ExplainedSlot, Kept, MessageState, RetainedMessage, RetainedQuery, Retried,
};
use machine_protocol::{Error, ErrorKind};
use proptest::prelude::*;
use std::sync::Mutex;
use std::time::Duration;

/// Answers from a table: two machines, `main` and `train`.
#[derive(Default)]
struct Table {
    commands: Mutex<Vec<Command>>,
}

impl Engine for Table {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        self.commands.lock().unwrap().push(command.clone());
        let known = |machine: &Target| match machine {
            Target::Name(name) if name != "main" && name != "train" => {
                Err(Error::new(ErrorKind::NoSuchMachine, format!("no machine {name}")))
            }
            Target::Name(name) => {
                let mut status = example_status();
                status.machine.clone_from(name);
                Ok(status)
            }
            Target::Id(_) => Ok(example_status()),
        };
        Ok(match command {
            Command::Machines => {
                Reply::Machines(vec![known(&Target::default())?, known(&Target::Name("train".into()))?])
            }
            Command::Status { machine } => Reply::Status(Box::new(known(&machine)?)),
            Command::Start { machine } => {
                known(&machine)?;
                Reply::Warned("it was running".into())
            }
            Command::Pause { machine }
            | Command::Stop { machine }
            | Command::Break { machine, .. }
            | Command::Continue { machine } => {
                known(&machine)?;
                Reply::Done
            }
            Command::Drain { machine, timeout } => {
                known(&machine)?;
                std::thread::sleep(timeout.unwrap());
                Reply::Undrained(Undrained { messages: 3, ..Undrained::default() })
            }
            Command::Step { machine } | Command::Call { machine, .. } | Command::HeldMessage { machine } => {
                known(&machine)?;
                Reply::Outputs(example_outputs())
            }
            Command::Put { machine, .. } => {
                known(&machine)?;
                Reply::Oid("65f0c0de0123456789abcdef".into())
            }
            Command::FindErrors { machine, query } => {
                known(&machine)?;
                let letters: Vec<_> = dead_letters().into_iter().take(query.limit).collect();
                Reply::FoundErrors { letters, matching: dead_letters().len() as u64, too_long: 0, next: None }
            }
            Command::RetryErrors { machine, from, .. } => {
                known(&machine)?;
                let left = if from == 0 { 3 } else { 0 };
                Reply::Retried(Retried { tried: 5, passed: 4, left, next: from + 1 })
            }
            Command::Kept { machine, query } => {
                known(&machine)?;
                Reply::Kept(Box::new(kept(query.slot)))
            }
            Command::Keep { machine, keep } => {
                known(&machine)?;
                let keep = keep.unwrap_or_default();
                Reply::Keeping(machine_protocol::retention::Kept {
                    keep,
                    messages: 12,
                    bytes: 3 << 20,
                    most_bytes: 1 << 30,
                })
            }
            Command::Peek { machine, .. } => {
                known(&machine)?;
                Reply::Waiting(12, vec![("65f0c0de0123456789abcdef".into(), "{\"a\":1}".into())])
            }
            Command::Explain { machine, oid } => {
                known(&machine)?;
                Reply::Explained(Box::new(Explained { oid, ..explained() }))
            }
            _ => Reply::Failed(Error::new(ErrorKind::Protocol, "the table has no answer")),
        })
    }
}

/// Two messages that went through, the second with a field more, and one of another kind.
fn kept(slot: Option<u32>) -> Kept {
    let message = |number: u32, text: &str| RetainedMessage {
        oid: format!("65f0c0de0123456789abcde{number}"),
        input: if slot.is_none() { text.into() } else { String::new() },
        outputs: vec![text.into(); if slot.is_none() { 8 } else { 1 }],
        ..RetainedMessage::default()
    };
    let nested = r#"{"polarity":0.5,"user":{"name":"<b>eve</b>","tags":["a"]},"oid":7}"#;
    let messages = vec![message(0, "1.5"), message(1, r#"{"polarity":-1}"#), message(2, nested)];
    Kept { processed: 20_000, evicted: 7_000, not_kept: 3_000, matching: 3, next: 9, messages, ..Kept::default() }
}

fn explained() -> Explained {
    let slot = |slot: &str| ExplainedSlot { slot: slot.into(), ..ExplainedSlot::default() };
    Explained {
        state: MessageState::DeadLetter,
        put: "2024-03-12T20:54:54.004Z".into(),
        waited_ms: Some(12),
        input: "14.0".into(),
        slots: vec![
            ExplainedSlot {
                revision: 2,
                code: "|x: f64| x * x".into(),
                cell: 3,
                output: Some("196.0".into()),
                nanos: 59,
                is_changed: true,
                ..slot("f0")
            },
            ExplainedSlot { revision: 1, code: "check".into(), error: Some("too <b>big</b>".into()), ..slot("f1") },
            slot("f2"),
        ],
        ..Explained::default()
    }
}

/// Writes down what came.
#[derive(Default)]
struct Record(Mutex<String>);

impl Record {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

impl Output for Record {
    fn stream(&self, _: Stream, text: &str) {
        // Times differ from run to run.
        self.add(&format!("[{}]", text.split(':').next().unwrap()));
    }
    fn display(&self, display: Display) {
        self.add(&format!("[{}]", text_of(&display).lines().next().unwrap_or_default()));
    }
    fn clear(&self, _: bool) {}
}

fn text_of(display: &Display) -> &str {
    display.data["text/plain"].as_str().unwrap()
}

fn run_alone(code: &str) -> Result<Display, CellError> {
    let rust = |code: &str| panic!("not Rust: {code}");
    Ok(run(code, &Table::default(), &Record::default(), &rust)?.unwrap())
}

#[track_caller]
fn check_error(code: &str, expected: &Expect) {
    let error = run_alone(code).unwrap_err();
    assert_eq!(error.ename, "UsageError");
    assert!(!error.evalue.contains('\n'));
    expected.assert_eq(&format!("{}\n", error.traceback.join("\n")));
}

#[track_caller]
fn check_command(code: &str, expected: &Command) {
    let engine = Table::default();
    run(code, &engine, &Record::default(), &|_| Ok(None).into()).unwrap();
    assert_eq!(engine.commands.lock().unwrap().iter().find(|command| *command == expected), Some(expected));
}

fn main_machine() -> Target {
    Target::default()
}

fn train() -> Target {
    Target::Name("train".into())
}

/// An engine whose user wants to stop.
struct Interrupted(Table);
impl Engine for Interrupted {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        self.0.command(command)
    }
    fn interrupted(&self) -> bool {
        true
    }
}
