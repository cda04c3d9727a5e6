//! What happens to a message that is not an output.

pub(crate) use machine_protocol::status::SlotErrorKind;

/// What happens to a message that is not an output.
pub(crate) trait Events {
    /// The slot failed on it.
    fn error(&mut self, slot: usize, kind: SlotErrorKind, text: String);
    /// The slot needs an output that is missing.
    fn skipped(&mut self, slot: usize);
}
