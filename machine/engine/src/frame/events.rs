//! What happens to a message that is not an output.

/// Why a slot has no output for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotErrorKind {
    /// The function returned `Err`.
    Error,
    /// The function panicked.
    Panic,
    /// An argument did not convert.
    Type,
    /// No slot's: what a source gave is no message.
    Source,
    /// The function took longer than the slot's timeout.
    Timeout,
    /// The output cannot be written as JSON, which somebody reads.
    Serialize,
}

impl SlotErrorKind {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Type => "type",
            Self::Source => "source",
            Self::Timeout => "timeout",
            Self::Serialize => "serialize",
        }
    }
}

/// What happens to a message that is not an output.
pub(crate) trait Events {
    /// The slot failed on it.
    fn error(&mut self, slot: usize, kind: SlotErrorKind, text: String);
    /// The slot needs an output that is missing.
    fn skipped(&mut self, slot: usize);
}
