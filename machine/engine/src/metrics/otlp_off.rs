//! In place of the exporter, where it is not compiled in.

use super::family::Family;
use crate::registry;
use std::time::Duration;

/// Variables that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Warns if the environment asks for what is not there.
pub(crate) fn start() {
    if let Some(name) = ENDPOINTS.into_iter().find(|name| std::env::var_os(name).is_some_and(|it| !it.is_empty())) {
        registry::notice(&format!(
            "{name} is set, but metrics are not exported: this program was built without the feature `otlp` of \
             machine-engine; `machine run` adds it when the variable is set"
        ));
    }
}

pub(crate) fn finish(_most: Duration) {}

pub(super) fn exports() -> Option<Family> {
    None
}
