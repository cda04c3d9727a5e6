//! What connects a machine to the outside: files, standard streams, the network.

pub(crate) mod sink;
pub(crate) mod source;

use crate::core::output::Sink;
use crate::core::raw::Writer;
use crate::core::source::SourceTask;
use crate::server::connectors::Connectors;
use machine_protocol::Error;
use machine_protocol::command::SinkConfig;
use machine_protocol::source::{Description, Pacing};
use std::sync::Arc;

/// The error of a source or sink that is not compiled in.
#[cfg(not(all(feature = "http", feature = "websocket", feature = "zeromq")))]
fn not_built(what: &str, feature: &str) -> Error {
    let message = format!(
        "{what} is not compiled in: the crate machine-engine was built without its feature `{feature}`; add \
         `features = [\"{feature}\"]` to the dependency"
    );
    Error::new(machine_protocol::ErrorKind::NotBuilt, message)
}

/// All sources and sinks that are built in.
pub(crate) struct BuiltIn;

impl Connectors for BuiltIn {
    fn source(&self, source: Description, pacing: &Pacing) -> Result<SourceTask, Error> {
        source::open(source, pacing)
    }

    fn sink(&self, machine: &str, config: SinkConfig) -> Result<Arc<dyn Sink>, Error> {
        sink::open(machine, config)
    }

    fn lines(&self, machine: &str, slot: usize, writer: Writer, is_stdout: bool) -> Result<Arc<dyn Sink>, Error> {
        sink::lines(machine, slot, writer, is_stdout)
    }
}
