//! What a machine has done, in one line.

use machine::status::{SourceStatus, Status};
use std::fmt;
use std::time::Duration;

/// The counts of a machine at its end.
pub(crate) struct Line<'a> {
    pub status: &'a Status,
    /// The source as it was, if it was ended on demand.
    pub source: Option<&'a SourceStatus>,
    /// Since the beginning.
    pub time: Duration,
}

/// Whether a source may still give something.
pub(crate) fn is_fed(status: &Status) -> bool {
    !matches!(status.source.state.as_str(), "" | "none" | "exhausted" | "failed")
}

/// Whether outputs are on their way to where they go by themselves, or to their sinks in order; those of a cell or of
/// `outputs()` wait to be taken.
pub(crate) fn is_sending(status: &Status) -> bool {
    let in_order = status.running && status.out_of_order > 0;
    // Those that wait for their turn do not leave while the machine does not run.
    in_order || status.outputs.iter().any(|sink| sink.kind != "outputs" && sink.waiting > sink.held)
}

/// Whether a message errored or the source failed.
pub(crate) fn has_failed(status: &Status) -> bool {
    status.errored > 0 || status.source.state == "failed"
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status;
        write!(f, "{}: {} processed in {:.2} s", status.machine, status.processed, self.time.as_secs_f64())?;
        let slots: Vec<String> = status
            .slots
            .iter()
            .filter(|slot| slot.errored > 0)
            .map(|slot| format!("{} {}", slot.slot, slot.errored))
            .collect();
        write!(f, ", {} errored", status.errored)?;
        if !slots.is_empty() {
            write!(f, " ({})", slots.join(", "))?;
        }
        let left = status.queue_size + status.in_flight;
        for (count, what) in [(status.refused, "refused"), (status.discarded, "discarded"), (left, "left")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for sink in &status.outputs {
            let to = format!("{} {}", sink.kind, sink.endpoint);
            write!(f, "; {}: {} sent", to.trim_end(), sink.sent)?;
            for (count, what) in [(sink.waiting, "waiting"), (sink.lost, "lost")] {
                if count > 0 {
                    write!(f, ", {count} {what}")?;
                }
            }
        }
        let source = if status.source.state == "none" { self.source } else { Some(&status.source) };
        match source {
            Some(source) if status.source.state == "none" => write!(f, "; source ended, {} taken", source.taken)?,
            Some(source) if source.error.is_empty() => write!(f, "; source {}, {} taken", source.state, source.taken)?,
            Some(source) => write!(f, "; source {}, {} taken: {}", source.state, source.taken, source.error)?,
            None => {}
        }
        if let Some(error) = status.errors.first() {
            write!(f, "\n  last error: {} on {}: {}", error.slot, error.oid, error.err.replace('\n', " "))?;
        }
        Ok(())
    }
}
