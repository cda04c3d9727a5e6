//! The counters of this process for Prometheus and OpenTelemetry, as far as both are compiled in and the environment asks
//! for them.

use crate::core::observer::notice;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
use crate::server::registry;
use std::time::Duration;

/// Names the port of `/metrics`.
const PORT_VARIABLE: &str = "MACHINE_METRICS";
/// Variables that name a collector.
#[cfg(not(feature = "otlp"))]
const COLLECTOR_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Opens `/metrics` and exports from now on, if the environment says so.
pub(crate) fn start() {
    if let Some(port) = std::env::var_os(PORT_VARIABLE) {
        match port.to_str().and_then(|port| port.parse().ok()) {
            Some(port) => serve(port),
            None => notice(&format!("{PORT_VARIABLE}={} is not a port; expected 1 to 65535", port.display())),
        }
    }
    export();
}

/// The counters of all machines, as Prometheus reads them.
#[cfg(feature = "prometheus")]
fn text() -> String {
    let machines: Vec<_> = registry::statuses().into_iter().map(|status| (String::new(), status)).collect();
    machine_telemetry::text(&machines, exports())
}

#[cfg(feature = "prometheus")]
fn serve(port: u16) {
    let refuses = |name: &str, value: &str| machine_remote::web_page::refuses(name, value, true);
    let served = crate::core::runtime::handle()
        .map_err(|error| error.to_string())
        .and_then(|handle| machine_telemetry::serve(handle, port, refuses, text).map_err(|error| error.to_string()));
    if let Err(error) = served {
        notice(&format!("cannot serve metrics on port {port}: {error}"));
    }
}

#[cfg(not(feature = "prometheus"))]
fn serve(_port: u16) {
    notice(&format!(
        "{PORT_VARIABLE} is set, but metrics are not served: this program was built without the feature `prometheus` of \
         machine-engine; `machine run` adds it when the variable is set"
    ));
}

#[cfg(feature = "otlp")]
static EXPORTER: std::sync::OnceLock<std::sync::Arc<machine_telemetry::otlp::Exporter>> = std::sync::OnceLock::new();

#[cfg(feature = "otlp")]
struct ThisProcess;

#[cfg(feature = "otlp")]
impl machine_telemetry::otlp::Process for ThisProcess {
    fn machines(&self) -> Vec<machine_protocol::status::Status> {
        registry::statuses()
    }

    fn notice(&self, text: &str) {
        notice(text);
    }
}

#[cfg(feature = "otlp")]
fn export() {
    let Some(exporter) = machine_telemetry::otlp::Exporter::from_environment(ThisProcess) else { return };
    match crate::core::runtime::handle() {
        Ok(handle) => EXPORTER.get_or_init(|| std::sync::Arc::new(exporter)).start(handle),
        Err(error) => notice(&format!("no metrics are exported: {error}")),
    }
}

#[cfg(not(feature = "otlp"))]
fn export() {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if let Some(name) = COLLECTOR_VARIABLES.into_iter().find(is_set) {
        notice(&format!(
            "{name} is set, but metrics are not exported: this program was built without the feature `otlp` of \
             machine-engine; `machine run` adds it when the variable is set"
        ));
    }
}

/// How many exports were taken, and how many were not; nothing in a process that does not export.
#[cfg(all(feature = "prometheus", feature = "otlp"))]
fn exports() -> Option<machine_telemetry::Exports> {
    EXPORTER.get().map(|exporter| exporter.exports())
}

#[cfg(all(feature = "prometheus", not(feature = "otlp")))]
fn exports() -> Option<machine_telemetry::Exports> {
    None
}

/// Exports once more, before the process ends; takes no longer than `timeout`.
#[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "nothing is exported"))]
pub(crate) fn finish(timeout: Duration) {
    #[cfg(feature = "otlp")]
    if let (Some(exporter), Ok(handle)) = (EXPORTER.get(), crate::core::runtime::handle()) {
        exporter.finish(handle, timeout);
    }
}
