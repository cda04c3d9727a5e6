//! What the standard variables of OpenTelemetry say.

use hyper::Uri;
use std::time::Duration;

/// Where metrics are sent and how often.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub endpoint: Uri,
    /// Sent along with each request, in order.
    pub headers: Vec<(String, String)>,
    /// From one export to the next.
    pub interval: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// What the metrics are of: attributes of the resource, each name once.
    pub resource: Vec<(String, String)>,
}

/// What was read, and what the user should read, a line each.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    /// None if there is nothing to export to.
    pub config: Option<Config>,
    pub warnings: Vec<String>,
}

/// Where the specification puts metrics below a collector's address.
const PATH: &str = "/v1/metrics";

/// Reads the variables; an empty one is as good as none.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Read {
    let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let mut warnings = Vec::new();
    let config = config(&variable, &mut warnings);
    Read { config, warnings }
}

fn config(variable: &dyn Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Option<Config> {
    let metrics_or = |general: &str| {
        let own = general.replace("OTLP_", "OTLP_METRICS_");
        variable(&own).map(|value| (own, value)).or_else(|| Some((general.to_owned(), variable(general)?)))
    };
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return None;
    }
    if variable("OTEL_METRICS_EXPORTER").is_some_and(|list| !list.split(',').any(|word| word.trim() == "otlp")) {
        return None;
    }
    let (name, text) = metrics_or("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let endpoint = match endpoint(text.trim(), name.contains("METRICS")) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            warnings.push(format!("no metrics are exported: {name}={text} {why}"));
            return None;
        }
    };
    match metrics_or("OTEL_EXPORTER_OTLP_PROTOCOL") {
        Some((name, value)) if value.trim() == "grpc" => {
            warnings.push(format!(
                "no metrics are exported: {name}={value} is not supported: set it to http/protobuf, and the endpoint to the \
                 collector's port for HTTP, usually 4318"
            ));
            return None;
        }
        Some((name, value)) if value.trim() != "http/protobuf" => {
            warnings
                .push(format!("{name}={value} is not supported: metrics are exported as http/protobuf to {endpoint}"));
        }
        _ => {}
    }
    let mut millis = |found: Option<(String, String)>, otherwise: u64| {
        let Some((name, value)) = found else { return Duration::from_millis(otherwise) };
        match value.trim().parse() {
            Ok(millis) if millis > 0 => Duration::from_millis(millis),
            _ => {
                warnings.push(format!("{name}={value} is no number of milliseconds: {otherwise} is taken"));
                Duration::from_millis(otherwise)
            }
        }
    };
    let interval =
        variable("OTEL_METRIC_EXPORT_INTERVAL").map(|value| ("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), value));
    let interval = millis(interval, 60_000);
    let timeout = millis(metrics_or("OTEL_EXPORTER_OTLP_TIMEOUT"), 10_000);
    let mut headers = Vec::new();
    if let Some((name, list)) = metrics_or("OTEL_EXPORTER_OTLP_HEADERS") {
        headers = pairs(&name, &list, warnings);
        // The value may be a secret: only the name is reported.
        headers.retain(|(header, value)| {
            let is_good = hyper::header::HeaderName::try_from(header).is_ok()
                && hyper::header::HeaderValue::try_from(value).is_ok();
            if !is_good {
                warnings.push(format!("{name}: {header} is left out: it cannot be sent as a header"));
            }
            is_good
        });
    }
    let mut resource = variable("OTEL_RESOURCE_ATTRIBUTES")
        .map(|list| pairs("OTEL_RESOURCE_ATTRIBUTES", &list, warnings))
        .unwrap_or_default();
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource.retain(|(attribute, _)| attribute != "service.name");
        resource.insert(0, ("service.name".to_owned(), name));
    }
    Some(Config { endpoint, headers, interval, timeout, resource })
}

/// The address to post to, or what is wrong with it.
fn endpoint(text: &str, is_whole: bool) -> Result<Uri, String> {
    let whole = if is_whole { text.to_owned() } else { format!("{}{PATH}", text.trim_end_matches('/')) };
    let uri: Uri =
        whole.parse().map_err(|_| format!("is no address; expected http://localhost:4318{}", path(is_whole)))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        Some("https") => {
            Err("needs TLS, which is not supported: name a collector on this computer, http://localhost:4318, \
                              which sends them on"
                .to_owned())
        }
        _ => Err(format!("is no address of HTTP; expected http://localhost:4318{}", path(is_whole))),
    }
}

fn path(is_whole: bool) -> &'static str {
    if is_whole { PATH } else { "" }
}

/// `a=b,c=d`, with percent signs in the values for whatever else there is. The last one of a name counts.
fn pairs(variable: &str, list: &str, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (at, pair) in list.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (name.trim(), decoded(value.trim()));
        match value {
            Some(value) if !name.is_empty() && pair.contains('=') => {
                all.retain(|(before, _)| before != name);
                all.push((name.to_owned(), value));
            }
            _ => warnings.push(format!("{variable}: entry {} is left out: expected name=value", at + 1)),
        }
    }
    all
}

/// A text with its percent signs resolved.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Read, read};
    use std::time::Duration;

    fn of(variables: &[(&str, &str)]) -> Read {
        read(|name| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned()))
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], endpoint: &str, warning: &str) {
        let read = of(variables);
        let found = read.config.map(|config| config.endpoint.to_string()).unwrap_or_default();
        assert_eq!((found.as_str(), read.warnings.join("\n").as_str()), (endpoint, warning));
    }

    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const WHOLE: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

    #[test]
    fn the_address_is_a_base_or_whole() {
        check(&[], "", "");
        check(&[(BASE, " ")], "", "");
        check(&[(BASE, "http://localhost:4318")], "http://localhost:4318/v1/metrics", "");
        check(&[(BASE, "http://here/otel/")], "http://here/otel/v1/metrics", "");
        check(&[(BASE, "http://here"), (WHOLE, "http://[::1]:1/m")], "http://[::1]:1/m", "");
        check(&[(BASE, "http://here"), ("OTEL_SDK_DISABLED", "True")], "", "");
        check(&[(BASE, "http://here"), ("OTEL_METRICS_EXPORTER", "none")], "", "");
        check(&[(BASE, "http://here"), ("OTEL_METRICS_EXPORTER", "console, otlp")], "http://here/v1/metrics", "");
    }

    #[test]
    fn what_is_not_supported_is_reported() {
        check(
            &[(BASE, "https://here:4318")],
            "",
            "no metrics are exported: OTEL_EXPORTER_OTLP_ENDPOINT=https://here:4318 needs TLS, which is not supported: \
             name a collector on this computer, http://localhost:4318, which sends them on",
        );
        check(
            &[(WHOLE, "localhost")],
            "",
            "no metrics are exported: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=localhost is no address of HTTP; expected \
             http://localhost:4318/v1/metrics",
        );
        check(
            &[(BASE, "http://here"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "",
            "no metrics are exported: OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported: set it to http/protobuf, and the \
             endpoint to the collector's port for HTTP, usually 4318",
        );
        check(
            &[(BASE, "http://here"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            "http://here/v1/metrics",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not supported: metrics are exported as http/protobuf to \
             http://here/v1/metrics",
        );
        check(
            &[(BASE, "http://here"), ("OTEL_METRIC_EXPORT_INTERVAL", "1s")],
            "http://here/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL=1s is no number of milliseconds: 60000 is taken",
        );
        check(
            &[(BASE, "http://here"), ("OTEL_EXPORTER_OTLP_HEADERS", "secret,a b=c")],
            "http://here/v1/metrics",
            "OTEL_EXPORTER_OTLP_HEADERS: entry 1 is left out: expected name=value\n\
             OTEL_EXPORTER_OTLP_HEADERS: a b is left out: it cannot be sent as a header",
        );
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_the_service_has_its_own_name() {
        let read = of(&[
            (BASE, "http://here"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20QQ==, x=1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a%2Cb,team=%C3%A4"),
            ("OTEL_SERVICE_NAME", "tweets"),
        ]);
        assert_eq!(read.warnings, [""; 0]);
        let config = read.config.unwrap_or_else(|| unreachable!("it has an endpoint"));
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(config.headers, pairs(&[("Authorization", "Basic QQ=="), ("x", "1")]));
        assert_eq!(config.resource, pairs(&[("service.name", "tweets"), ("team", "ä")]));
        assert_eq!((config.interval, config.timeout), (Duration::from_millis(500), Duration::from_secs(2)));
    }
}
