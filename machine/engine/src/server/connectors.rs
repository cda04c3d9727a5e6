//! The sources and sinks that commands can ask for. The crate that assembles the engine registers them.

use crate::core::output::Sink;
use crate::core::raw::Writer;
use crate::core::source::SourceTask;
use machine_protocol::command::SinkConfig;
use machine_protocol::source::{Description, Pacing};
use machine_protocol::{Error, ErrorKind};
use std::sync::{Arc, OnceLock};

/// Makes sources and sinks from their descriptions.
pub(crate) trait Connectors: Send + Sync {
    /// Opens a source; its thread is the machine's to start.
    ///
    /// # Errors
    /// If it cannot be opened, a number is out of range, or there is no such source.
    fn source(&self, source: Description, pacing: &Pacing) -> Result<SourceTask, Error>;
    /// Opens a sink for a machine of this name.
    ///
    /// # Errors
    /// If it cannot be opened, or there is no such sink.
    fn sink(&self, machine: &str, config: SinkConfig) -> Result<Arc<dyn Sink>, Error>;
    /// Makes a sink that writes what a slot gives as lines.
    ///
    /// # Errors
    /// If there is no thread for it.
    fn lines(&self, machine: &str, slot: usize, writer: Writer, is_stdout: bool) -> Result<Arc<dyn Sink>, Error>;
}

static CONNECTORS: OnceLock<&'static dyn Connectors> = OnceLock::new();

/// Says which sources and sinks there are. The first call counts.
pub(crate) fn set(connectors: &'static dyn Connectors) {
    let _first = CONNECTORS.set(connectors);
}

/// The sources and sinks that there are.
///
/// # Errors
/// If there are none.
pub(crate) fn get() -> Result<&'static dyn Connectors, Error> {
    CONNECTORS
        .get()
        .copied()
        .ok_or_else(|| Error::new(ErrorKind::UnknownSource, "no sources and sinks are built into this engine"))
}
