//! Why a command was not carried out.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of error: for programs, and stable. As JSON in snake case: `no_such_slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Several processes have a machine of this name.
    AmbiguousMachine,
    /// An address that cannot be listened at.
    BadAddress,
    /// A command that cannot be read.
    BadCommand,
    /// A condition that cannot be read.
    BadCondition,
    /// An endpoint that cannot be read.
    BadEndpoint,
    /// A message that is not JSON.
    BadJson,
    /// A name that a machine cannot have.
    BadName,
    /// A reply that cannot be read, or that does not answer the command.
    BadReply,
    /// A URL that cannot be read.
    BadUrl,
    /// The machine or its process is busy; try again later.
    Busy,
    /// The command was cancelled before it was done.
    Cancelled,
    /// A port or socket cannot be bound.
    CannotBind,
    /// A file cannot be opened.
    CannotOpen,
    /// The machines would feed each other in a circle.
    Circle,
    /// `drain` was called where it would wait for itself.
    DrainInSlot,
    /// The queue is full and the message was dropped, as the policy says.
    Dropped,
    /// The user interrupted the cell.
    Interrupted,
    /// Another machine has this name.
    NameTaken,
    /// A slot gives an `Option` of an `Option`.
    NestedOption,
    /// The working directory cannot be read.
    NoDirectory,
    /// A file cannot be read.
    NoFile,
    /// The slot gave nothing for this message.
    NoOutput,
    /// All places for messages in flight are taken.
    NoPlace,
    /// This source cannot be replayed.
    NoReplay,
    /// The thread or process that should do it could not be started.
    NoRuntime,
    /// The session has not started.
    NoSession,
    /// Standard input cannot be a source here.
    NoStdin,
    /// A condition names what the messages do not have.
    NoSuchColumn,
    /// No dead letter fits.
    NoSuchDeadLetter,
    /// No machine has this name or number.
    NoSuchMachine,
    /// No message has this oid, or it is not kept any more.
    NoSuchMessage,
    /// No output has this number.
    NoSuchOutput,
    /// The machine has no slot with this number.
    NoSuchSlot,
    /// A thread could not be started.
    NoThread,
    /// A source or sink that is not compiled into this program.
    NotBuilt,
    /// The command can only be given within the process.
    NotRemote,
    /// No message is held before a slot.
    NothingHeld,
    /// The machine has not stopped at an error.
    NothingInHand,
    /// There is not enough memory.
    OutOfMemory,
    /// A number, time or text outside of what is allowed.
    OutOfRange,
    /// The process has ended.
    ProcessGone,
    /// The process does not answer.
    ProcessSilent,
    /// The reply does not answer the command.
    Protocol,
    /// No message waits.
    QueueEmpty,
    /// The queue is full.
    QueueFull,
    /// Another retry is running.
    RetryRunning,
    /// The machine runs; pause or stop it first.
    Running,
    /// The process of the cells has ended.
    RuntimeLost,
    /// The machine has a source that has not ended.
    SourceIsSet,
    /// A step of the machine is running.
    StepRunning,
    /// The machine is stopped.
    Stopped,
    /// No reply came in time.
    Timeout,
    /// A command or reply is too long.
    TooLong,
    /// A slot takes more arguments than there are outputs before it.
    TooManyArguments,
    /// The process has as many machines as it can have.
    TooManyMachines,
    /// A value does not have the type that was asked for.
    TypeMismatch,
    /// The engine does not know this command.
    UnknownCommand,
    /// The engine does not know this setting.
    UnknownSetting,
    /// The engine does not know this kind of output.
    UnknownSink,
    /// The engine does not know this kind of source.
    UnknownSource,
    /// The output is of another kind.
    WrongSink,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl ErrorKind {
    /// The kind in snake case, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousMachine => "ambiguous_machine",
            Self::BadAddress => "bad_address",
            Self::BadCommand => "bad_command",
            Self::BadCondition => "bad_condition",
            Self::BadEndpoint => "bad_endpoint",
            Self::BadJson => "bad_json",
            Self::BadName => "bad_name",
            Self::BadReply => "bad_reply",
            Self::BadUrl => "bad_url",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::CannotBind => "cannot_bind",
            Self::CannotOpen => "cannot_open",
            Self::Circle => "circle",
            Self::DrainInSlot => "drain_in_slot",
            Self::Dropped => "dropped",
            Self::Interrupted => "interrupted",
            Self::NameTaken => "name_taken",
            Self::NestedOption => "nested_option",
            Self::NoDirectory => "no_directory",
            Self::NoFile => "no_file",
            Self::NoOutput => "no_output",
            Self::NoPlace => "no_place",
            Self::NoReplay => "no_replay",
            Self::NoRuntime => "no_runtime",
            Self::NoSession => "no_session",
            Self::NoStdin => "no_stdin",
            Self::NoSuchColumn => "no_such_column",
            Self::NoSuchDeadLetter => "no_such_dead_letter",
            Self::NoSuchMachine => "no_such_machine",
            Self::NoSuchMessage => "no_such_message",
            Self::NoSuchOutput => "no_such_output",
            Self::NoSuchSlot => "no_such_slot",
            Self::NoThread => "no_thread",
            Self::NotBuilt => "not_built",
            Self::NotRemote => "not_remote",
            Self::NothingHeld => "nothing_held",
            Self::NothingInHand => "nothing_in_hand",
            Self::OutOfMemory => "out_of_memory",
            Self::OutOfRange => "out_of_range",
            Self::ProcessGone => "process_gone",
            Self::ProcessSilent => "process_silent",
            Self::Protocol => "protocol",
            Self::QueueEmpty => "queue_empty",
            Self::QueueFull => "queue_full",
            Self::RetryRunning => "retry_running",
            Self::Running => "running",
            Self::RuntimeLost => "runtime_lost",
            Self::SourceIsSet => "source_is_set",
            Self::StepRunning => "step_running",
            Self::Stopped => "stopped",
            Self::Timeout => "timeout",
            Self::TooLong => "too_long",
            Self::TooManyArguments => "too_many_arguments",
            Self::TooManyMachines => "too_many_machines",
            Self::TypeMismatch => "type_mismatch",
            Self::UnknownCommand => "unknown_command",
            Self::UnknownSetting => "unknown_setting",
            Self::UnknownSink => "unknown_sink",
            Self::UnknownSource => "unknown_source",
            Self::WrongSink => "wrong_sink",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a command was not carried out. `Display` and `Debug` are one line: what is wrong, what was given, what is expected.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    #[serde(rename = "code")]
    kind: ErrorKind,
    message: String,
}

/// A result whose error is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its kind and its text.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn a_kind_is_written_as_json_writes_it() {
        for kind in [ErrorKind::NoSuchSlot, ErrorKind::BadUrl, ErrorKind::Other] {
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
        assert_eq!(serde_json::from_str::<ErrorKind>("\"of_the_future\"").ok(), Some(ErrorKind::Other));
    }
}
