//! The time that an item came into being, as it says itself.

use serde_json::Value;

/// Numbers from here on are milliseconds: as seconds they would be far beyond the year 5000.
const MILLIS_FROM: f64 = 1e11;

/// The seconds since 1970 in a field of a JSON text. `field` names it: `created_at`, `user.created_at`; empty for
/// the text itself. `None` if there is no such field, or no time in it.
#[must_use]
pub fn of(json: &str, field: &str) -> Option<f64> {
    let whole: Value = serde_json::from_str(json).ok()?;
    let mut value = &whole;
    for part in field.split('.').filter(|part| !part.is_empty()) {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            Some(if number.abs() < MILLIS_FROM { number } else { number / 1e3 })
        }
        Value::String(text) => {
            let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
            #[expect(clippy::cast_precision_loss, reason = "good to a microsecond for centuries")]
            let micros = time.timestamp_micros() as f64;
            Some(micros / 1e6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn reads_what_clocks_write() {
        let check = |json: &str, field, expected: f64| {
            assert!(of(json, field).is_some_and(|time| (time - expected).abs() < 1e-6), "{json} {field}");
        };
        check(r#"{"t":1700000000}"#, "t", 1.7e9);
        check(r#"{"t":1700000000.25}"#, "t", 1_700_000_000.25);
        check(r#"{"t":1700000000250}"#, "t", 1_700_000_000.25);
        check(r#"{"a":{"b":"2023-11-14T22:13:20Z"}}"#, "a.b", 1.7e9);
        check(r#"{"a":[0,{"b":"2023-11-14T23:13:20.5+01:00"}]}"#, "a.1.b", 1_700_000_000.5);
        check("1700000000", "", 1.7e9);
        for (json, field) in [("{}", "t"), (r#"{"t":"soon"}"#, "t"), (r#"{"t":null}"#, "t"), ("{", "t"), ("[1]", "x")] {
            assert_eq!(of(json, field), None, "{json}");
        }
    }
}
