//! Sinks that are built in: files, standard output, ZeroMQ.

pub(crate) mod buffered;
#[cfg(feature = "zeromq")]
pub(crate) mod endpoint;
pub(crate) mod file_sink;
#[cfg(feature = "zeromq")]
pub(crate) mod publish;
#[cfg(feature = "zeromq")]
pub(crate) mod subscriber;
pub(crate) mod writer;

use crate::core::command_error::failed;
use crate::core::output::Sink;
use crate::core::raw::Writer;
use machine_protocol::command::SinkConfig;
use machine_protocol::{Error, ErrorKind};
use std::sync::Arc;

/// Makes the sink that is described, for a machine of this name; files and ports are opened here.
///
/// # Errors
/// If that fails.
pub(crate) fn open(machine: &str, config: SinkConfig) -> Result<Arc<dyn Sink>, Error> {
    match config {
        SinkConfig::JsonLines { path, rotate, keep } => Ok(file_sink::Lines::open(machine, &path, rotate, keep)?),
        #[cfg(feature = "zeromq")]
        SinkConfig::Publish { endpoint, no_loss, high_water_mark } => {
            Ok(publish::Publisher::bind(machine, &endpoint, no_loss, high_water_mark)?)
        }
        #[cfg(not(feature = "zeromq"))]
        SinkConfig::Publish { .. } => Err(super::not_built("publish", "zeromq")),
        other => Err(failed(ErrorKind::UnknownSink, format!("this engine has no {other:?}"))),
    }
}

/// Makes the sink that writes what a slot gives as lines.
///
/// # Errors
/// If there is no thread for it.
pub(crate) fn lines(machine: &str, slot: usize, writer: Writer, is_stdout: bool) -> Result<Arc<dyn Sink>, Error> {
    writer::WriterSink::start(machine, slot, writer, is_stdout)
}
