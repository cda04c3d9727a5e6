//! What a slot gives as lines of a writer of the user's: a file, a socket, the standard output of a filter.

use super::buffered::{Buffered, Written};
use crate::core::command_error::failed;
use crate::core::hook::InSlot;
use crate::core::output::{Finished, Sink, SinkDemand};
use crate::core::raw::Writer;
use crate::core::stdout;
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

/// A buffer that one unusually large line has stretched beyond this is given back.
const MAX_KEPT: usize = 1 << 20;

thread_local! {
    /// The line that a worker writes. Taken out meanwhile: a `Serialize` of the user's may lead here again.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lines of a writer.
#[derive(Debug)]
pub(crate) struct WriterSink {
    slot: usize,
    is_stdout: bool,
    buffered: Arc<Buffered>,
}

impl WriterSink {
    /// Starts the thread that writes what slot `slot` gives.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(machine: &str, slot: usize, writer: Writer, is_stdout: bool) -> Result<Arc<dyn Sink>, Error> {
        let buffered = Arc::new(Buffered::default());
        let lines = buffered.clone();
        let write_all = move || {
            // Writer and destructor are user code, whose panics are recorded.
            let _in_slot = InSlot::enter();
            lines.write_all(writer, |writer, batch, lines| write(writer, batch, lines, is_stdout));
        };
        let kind = if is_stdout { "stdout" } else { "lines" };
        std::thread::Builder::new()
            .name(format!("{machine}/{kind}"))
            .spawn(write_all)
            .map_err(|error| failed(ErrorKind::NoThread, format!("cannot start a thread to write lines: {error}")))?;
        Ok(Arc::new(Self { slot, is_stdout, buffered }))
    }
}

/// Writes a batch. After an error nothing else is written: half a line may have been.
fn write(writer: &mut Writer, batch: &[u8], lines: u64, is_stdout: bool) -> Written {
    match writer.write(batch) {
        Ok(()) => Written { lines, ..Written::default() },
        Err(error) => {
            if is_stdout {
                stdout::fail(error.is_closed, &error.text);
            }
            Written { lines: 0, error: Some(error.text), is_over: true }
        }
    }
}

impl Sink for WriterSink {
    fn wants(&self) -> SinkDemand {
        // Of the values, not of their JSON: that is written for one slot alone.
        SinkDemand::Values
    }

    fn takes_values(&self) -> bool {
        false
    }

    fn reads_json(&self, message: &mut Finished<'_>, _is_last: bool) -> bool {
        // Where outputs are in order, values of the user's types are written before their turn.
        !message.is_copied(self.slot)
    }

    fn accept(&self, message: &mut Finished<'_>) {
        let mut line = LINE.take();
        line.clear();
        match message.write_output(self.slot, &mut line) {
            // The slot gave nothing for this message; its error is where it happened.
            None => {}
            Some(Ok(())) => {
                to_line(&mut line);
                self.buffered.append(&line);
            }
            Some(Err(why)) => self.buffered.lose(format!("the output of f{} cannot be written: {why}", self.slot)),
        }
        if line.capacity() <= MAX_KEPT {
            LINE.set(line);
        }
    }

    fn status(&self) -> SinkStatus {
        self.buffered.status(if self.is_stdout { SinkKind::Stdout } else { SinkKind::Lines }, format!("f{}", self.slot))
    }

    fn configure(&self, _config: &SinkConfig) -> Result<(), Error> {
        Err(failed(ErrorKind::WrongSink, "this output is lines of a writer, which has no settings"))
    }

    fn flush(&self, deadline: Instant) {
        self.buffered.flush(deadline);
    }

    fn close(&self) {
        self.buffered.close();
    }
}

/// Makes a line of JSON text: a text without its quotes, anything else on one line.
fn to_line(json: &mut Vec<u8>) {
    match json.as_slice() {
        [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => {
            let length = inside.len();
            json.copy_within(1..=length, 0);
            json.truncate(length);
        }
        [b'"', ..] => {
            if let Ok(text) = serde_json::from_slice::<Cow<'_, str>>(json) {
                *json = text.into_owned().into_bytes();
            }
        }
        // In valid JSON a line ends between two tokens alone, so a space says the same.
        _ => json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' '),
    }
    json.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::to_line;

    #[test]
    fn text_is_written_as_it_is_and_anything_else_as_json_on_one_line() {
        for (json, expected) in [
            (r#""""#, "\n"),
            (r#""plain é""#, "plain é\n"),
            (r#""a \"quoted\"\ttab""#, "a \"quoted\"\ttab\n"),
            (r#""\ud83e\udd80""#, "🦀\n"),
            (r#""cut \ud83d""#, "\"cut \\ud83d\"\n"),
            ("{\n  \"a\": \"b\\n\"\r\n}", "{   \"a\": \"b\\n\"  }\n"),
            ("1.5", "1.5\n"),
            ("null", "null\n"),
        ] {
            let mut line = json.as_bytes().to_vec();
            to_line(&mut line);
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
    }
}
