//! The machines of the process, the commands to them, and the table that cells call.

pub(crate) mod attach;
pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod connectors;
pub(crate) mod host;
pub(crate) mod iterator_sink;
pub(crate) mod iterator_source;
pub(crate) mod machine_sink;
pub(crate) mod metrics;
pub(crate) mod queries;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod start;
