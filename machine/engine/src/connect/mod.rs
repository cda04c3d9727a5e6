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
