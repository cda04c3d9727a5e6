//! Which parts of the engine a program uses, by the names in it: others are not compiled.

/// Names of the `machine` crate, and the feature of `machine-engine` that each needs.
const NAMES: [(&str, &str); 6] = [
    ("errors_where", "filter"),
    ("http", "http"),
    ("publish", "zeromq"),
    ("retry_errors", "filter"),
    ("websocket", "websocket"),
    ("zmq_sub", "zeromq"),
];

/// Variables that name a collector for metrics.
const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];

/// Names the port of `/metrics`.
const METRICS_PORT: &str = "MACHINE_METRICS";

/// The features that a program needs, sorted. A name in a text or comment counts, too: that only costs time.
pub fn used(program: &str, is_set: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = |name: &str| program.split(|c: char| !is_word(c)).any(|word| word == name);
    let mut features: Vec<&str> = NAMES.iter().filter(|(name, _)| uses(name)).map(|(_, feature)| *feature).collect();
    features.extend(COLLECTORS.into_iter().any(&is_set).then_some("otlp"));
    features.extend(is_set(METRICS_PORT).then_some("prometheus"));
    features.sort_unstable();
    features.dedup();
    features
}

#[cfg(test)]
mod tests {
    use super::used;

    #[test]
    fn a_program_gets_the_features_that_its_names_need() {
        for (program, features) in [
            ("MACHINE.source(0..9)?;", &[][..]),
            ("MACHINE.source(source::http(8080))?;", &["http"]),
            ("use machine::source::*; m.source(zmq_sub(\"x\"))?; m.publish(\"y\")?;", &["zeromq"]),
            ("MACHINE.source(source::websocket(url))?.publish(\"tcp://*:1\")?;", &["websocket", "zeromq"]),
            ("MACHINE.errors_where(\"error like '%utf%'\")?;", &["filter"]),
            ("let http_status = published;", &[]),
        ] {
            assert_eq!(used(program, |_| false), features, "{program}");
        }
        assert_eq!(used("", |name| name == "MACHINE_METRICS"), ["prometheus"]);
        assert_eq!(used("", |name| name == "OTEL_EXPORTER_OTLP_ENDPOINT"), ["otlp"]);
    }
}
