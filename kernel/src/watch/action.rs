//! What a display's buttons and keys ask for.

use super::state;
use crate::display;
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::{DeadLetterQuery, Retried};
use serde_json::Value;
use std::time::Duration;

/// How long `drain` waits.
const DRAIN: Duration = Duration::from_mins(1);

/// What a button or a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on taking messages.
    Start,
    /// Hold between two messages.
    Pause,
    /// End the workers.
    Stop,
    /// Take one message through.
    Step,
    /// Wait until all messages have gone through.
    Drain,
    /// Take one dead letter's message through the slots again, or all.
    Retry(Option<String>),
}

impl Action {
    /// `{"do": "pause"}`; `here`, which a view says to be kept awake, is none.
    pub fn of(wanted: &Value) -> Option<Self> {
        Some(match wanted.get("do")?.as_str()? {
            "start" => Self::Start,
            "pause" => Self::Pause,
            "stop" => Self::Stop,
            "step" => Self::Step,
            "drain" => Self::Drain,
            "retry" => Self::Retry(wanted.get("oid").and_then(Value::as_str).map(str::to_owned)),
            _ => return None,
        })
    }

    /// What there is to tell of it; empty if the machine's state tells it all.
    ///
    /// # Errors
    /// The engine's refusal, or that it cannot be reached.
    pub fn carry_out(
        &self,
        machine: &str,
        ask: &mut dyn FnMut(Command) -> Result<Reply, Error>,
    ) -> Result<String, Error> {
        let machine = Target::Name(machine.to_owned());
        let command = match self {
            Self::Start => Command::Start { machine },
            Self::Pause => Command::Pause { machine },
            Self::Stop => Command::Stop { machine },
            Self::Step => Command::Step { machine },
            Self::Drain => Command::Drain { machine, timeout: Some(DRAIN) },
            Self::Retry(oid) => {
                let query = DeadLetterQuery { oid: oid.clone(), ..DeadLetterQuery::default() };
                return Retried::all(&machine, &query, ask, &mut |_| true).map(|all| display::retried(&all));
            }
        };
        Ok(match ask(command)?.checked()? {
            Reply::Warned(text) => text,
            Reply::Outputs(outputs) => state::step(&outputs),
            Reply::Done if matches!(self, Self::Drain) => "drained".to_owned(),
            Reply::Undrained(left) => display::still(left),
            _ => String::new(),
        })
    }
}
