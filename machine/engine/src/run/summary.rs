//! What a machine has done, in one line, and what went wrong.

use machine_protocol::status::SinkKind;
use machine_protocol::status::SourceState;
use machine_protocol::status::{SinkStatus, SourceStatus, Status};
use std::fmt;
use std::time::Duration;

/// The counts of a machine at its end.
pub(crate) struct Summary<'a> {
    pub status: &'a Status,
    /// The source as it was, if it was ended on demand.
    pub source: Option<&'a SourceStatus>,
    /// Since the beginning.
    pub time: Duration,
}

/// Whether there is a source that has not ended.
pub(crate) fn has_source(status: &Status) -> bool {
    !matches!(status.source.state, SourceState::None | SourceState::Exhausted | SourceState::Failed)
}

/// Whether a source may still give something by itself.
pub(crate) fn is_fed(status: &Status) -> bool {
    has_source(status) && !status.waiting_for_slot
}

/// Whether outputs are on their way to where they go by themselves, or to their sinks in order; those of a cell or of
/// `outputs()` wait to be taken.
pub(crate) fn is_sending(status: &Status) -> bool {
    let in_order = status.running && status.out_of_order > 0;
    // Those that wait for their turn do not leave while the machine does not run.
    in_order || status.outputs.iter().any(is_leaving)
}

/// Whether outputs wait for a sink that takes them by itself.
pub(crate) fn is_leaving(sink: &SinkStatus) -> bool {
    sink.kind != SinkKind::Outputs && sink.waiting > sink.held
}

/// Whether a message errored and was not retried with success, or the source failed.
pub(crate) fn has_failed(status: &Status) -> bool {
    status.errored > status.retried_passed || status.source.state == SourceState::Failed
}

/// Whether a sink cannot do what it is there for. A publisher that turns a peer away can.
pub(crate) fn is_broken(sink: &SinkStatus) -> bool {
    !sink.error.is_empty() && sink.kind != SinkKind::Publish
}

/// What a sink is called: `stdout f0`.
pub(crate) fn sink_name(sink: &SinkStatus) -> String {
    format!("{} {}", sink.kind, sink.endpoint).trim_end().to_owned()
}

/// Why outputs of a sink are missing, in one line; `None` if none is.
pub(crate) fn loss(sink: &SinkStatus) -> Option<String> {
    let all = sink.sent + sink.waiting + sink.lost;
    let why = match sink.kind {
        _ if is_broken(sink) => format!(": {}", sink.error.replace('\n', " ")),
        SinkKind::OnOutput => ": it was too slow; with `.no_loss()` the machine waits for it".to_owned(),
        SinkKind::Publish => ": a subscriber was too slow; with `.no_loss()` the machine waits for it".to_owned(),
        SinkKind::To => ": the other machine's queue was full".to_owned(),
        _ => ": they were taken too slowly".to_owned(),
    };
    (sink.lost > 0).then(|| format!("{} lost {} of {all} outputs{why}", sink_name(sink), sink.lost))
}

/// What a machine has not done, in one line; `None` if nothing is left.
pub(crate) fn left(status: &Status) -> Option<String> {
    let counts = [
        (status.queue_size, "queued"),
        (status.in_flight, "in its slots"),
        (status.out_of_order, "waiting for their turn to leave"),
    ];
    let mut parts: Vec<String> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let leaving = status.outputs.iter().filter(|sink| is_leaving(sink));
    parts.extend(leaving.map(|sink| format!("{} waiting for {}", sink.waiting - sink.held, sink_name(sink))));
    (!parts.is_empty()).then(|| format!("{}: {}", status.machine, parts.join(", ")))
}

impl fmt::Display for Summary<'_> {
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
        match status.retried_passed {
            0 => {}
            all if all >= status.errored => f.write_str(", all retried")?,
            some => write!(f, ", {some} of them retried")?,
        }
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
            write!(f, "; {}: {} sent", sink_name(sink), sink.sent)?;
            for (count, what) in [(sink.waiting, "waiting"), (sink.lost, "lost")] {
                if count > 0 {
                    write!(f, ", {count} {what}")?;
                }
            }
        }
        let source = if status.source.state == SourceState::None { self.source } else { Some(&status.source) };
        match source {
            Some(source) if status.source.state == SourceState::None => {
                write!(f, "; source ended, {} taken", source.taken)?;
            }
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
