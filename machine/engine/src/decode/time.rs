//! The time that an item came into being, as it says itself.

use crate::json::{Content, Json, Number, Scalar};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use std::cell::Cell;

/// Numbers of each unit and how many of it are a second, each up to the year 5138: from there on it is the next one.
const UNITS: [(f64, f64); 4] = [(1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (f64::INFINITY, 1e9)];

/// What is read beside numbers, in words.
pub const KNOWN: &str = "RFC 3339 or another ISO 8601 time, RFC 2822, an HTTP or SQL date, Twitter's \
                         `Wed Oct 10 20:19:24 +0000 2018`, or seconds, milli-, micro- or nanoseconds since 1970";

/// Ways to write a time, with what chrono calls its parts. Without a zone it is UTC.
const ZONED: [&str; 6] = [
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f %#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y%m%dT%H%M%S%.f%#z",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y %z",
];
const UNZONED: [&str; 8] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y%m%dT%H%M%S",
    "%A, %d-%b-%y %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S",
    "%a %b %e %H:%M:%S %Y",
];

/// Reads the time of items.
#[derive(Debug, Default)]
pub struct Clock {
    path: Vec<String>,
    format: Option<String>,
    /// How the last text was written: the next one is probably written so, too.
    way: Cell<usize>,
}

impl Clock {
    /// Of this field: `created_at`, `user.created_at`; empty for the item itself. In this format, or in any known one.
    ///
    /// # Errors
    /// What is wrong with the format.
    pub fn new(field: &str, format: Option<&str>) -> Result<Self, String> {
        if let Some(format) = format
            && (format.is_empty() || StrftimeItems::new(format).any(|item| item == Item::Error))
        {
            return Err(format!(
                "cannot read times in the format {format:?}: expected strftime's letters, for example %d/%m/%Y %H:%M:%S"
            ));
        }
        let path = field.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok(Self { path, format: format.map(str::to_owned), way: Cell::new(0) })
    }

    /// The seconds since 1970 in an item of JSON; `None` if it has no such field, or no time in it.
    #[must_use]
    pub fn of(&self, json: &str) -> Option<f64> {
        let value = Json::new(json).at(&self.path)?.field().value;
        match (&self.format, &value) {
            (Some(format), _) => in_format(value.text()?.trim(), format),
            (None, Scalar::Number(number)) => Some(since_1970(number.as_f64())),
            (None, Scalar::Text(text)) => self.text(text.trim()),
            (None, _) => None,
        }
    }

    /// What an item has in that field, as JSON text.
    #[must_use]
    pub fn written(&self, json: &str) -> Option<String> {
        Json::new(json).at(&self.path).map(|value| value.raw().to_owned())
    }

    fn text(&self, text: &str) -> Option<f64> {
        if let Some(Content::Number(_)) = Json::new(text).content()
            && let Some(number) = Number::new(text)
        {
            return Some(since_1970(number.as_f64()));
        }
        let way = self.way.get();
        in_way(text, way).or_else(|| {
            let (found, way) = (0..WAYS).find_map(|way| Some((in_way(text, way)?, way)))?;
            self.way.set(way);
            Some(found)
        })
    }
}

const WAYS: usize = 3 + ZONED.len() + UNZONED.len();

fn in_way(text: &str, way: usize) -> Option<f64> {
    match way {
        0 => DateTime::parse_from_rfc3339(text).ok().map(|time| seconds(time.naive_utc())),
        1 => DateTime::parse_from_rfc2822(text).ok().map(|time| seconds(time.naive_utc())),
        2 => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| seconds(day.and_time(NaiveTime::MIN))),
        way => {
            if let Some(format) = ZONED.get(way - 3) {
                return DateTime::parse_from_str(text, format).ok().map(|time| seconds(time.naive_utc()));
            }
            let format = UNZONED.get(way - 3 - ZONED.len())?;
            let utc = ["Z", "UTC", "GMT"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
            NaiveDateTime::parse_from_str(utc.trim_end(), format).ok().map(seconds)
        }
    }
}

fn in_format(text: &str, format: &str) -> Option<f64> {
    let zoned = || DateTime::parse_from_str(text, format).ok().map(|time| time.naive_utc());
    let unzoned = || NaiveDateTime::parse_from_str(text, format).ok();
    let day = || NaiveDate::parse_from_str(text, format).ok().map(|day| day.and_time(NaiveTime::MIN));
    zoned().or_else(unzoned).or_else(day).map(seconds)
}

#[expect(clippy::cast_precision_loss, reason = "good to a microsecond for centuries")]
fn seconds(time: NaiveDateTime) -> f64 {
    time.and_utc().timestamp_micros() as f64 / 1e6
}

fn since_1970(number: f64) -> f64 {
    let unit = UNITS.iter().find(|(most, _)| number.abs() < *most).map_or(1.0, |(_, unit)| *unit);
    number / unit
}

#[cfg(test)]
mod tests {
    use super::Clock;

    fn of(json: &str, field: &str, format: Option<&str>) -> Option<f64> {
        Clock::new(field, format).ok()?.of(json)
    }

    #[track_caller]
    fn check(json: &str, field: &str, format: Option<&str>, expected: f64) {
        let time = of(json, field, format);
        assert!(time.is_some_and(|time| (time - expected).abs() < 1e-6), "{json} {field}: {time:?}");
    }

    #[test]
    fn numbers_are_of_the_unit_that_their_size_says() {
        for json in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000", "1.7e9"] {
            check(json, "", None, 1.7e9);
            check(&format!("{{\"t\":\"{json}\"}}"), "t", None, 1.7e9);
        }
        check(r#"{"t":1700000000.25}"#, "t", None, 1_700_000_000.25);
        check(r#"{"t":1700000000250}"#, "t", None, 1_700_000_000.25);
        check(r#"{"t":-86400}"#, "t", None, -86_400.0);
        check(r#"{"text":"\ud83d","n":1e999,"t":1}"#, "t", None, 1.0);
    }

    #[test]
    fn texts_are_read_as_clocks_and_databases_write_them() {
        for text in [
            "2018-10-10T20:19:24Z",
            "2018-10-10T22:19:24.000+02:00",
            "2018-10-10T22:19:24+0200",
            "2018-10-10T20:19:24",
            "20181010T201924Z",
            "20181010T201924",
            "2018-10-10 20:19:24",
            "2018-10-10 20:19:24.000000",
            "2018-10-10 20:19:24+00",
            "2018-10-10 22:19:24.0 +0200",
            "2018-10-10 20:19:24 UTC",
            "Wed, 10 Oct 2018 20:19:24 +0000",
            "Wed, 10 Oct 2018 20:19:24 GMT",
            "Wednesday, 10-Oct-18 20:19:24 GMT",
            "Wed Oct 10 20:19:24 2018",
            "Wed Oct 10 20:19:24 +0000 2018",
            "Wed Oct 10 22:19:24 2018 +0200",
        ] {
            check(&format!("{{\"a\":[0,{{\"b\":\"{text}\"}}]}}"), "a.1.b", None, 1_539_202_764.0);
        }
        check(r#""2018-10-10""#, "", None, 1_539_129_600.0);
        check(r#""2018-10-10 20:19""#, "", None, 1_539_202_740.0);
        // Written another way than the one before.
        let clock = Clock::new("", None).unwrap();
        for text in ["2018-10-10T20:19:24Z", "Wed Oct 10 20:19:24 +0000 2018", "2018-10-10 20:19:24", "1539202764"] {
            assert_eq!(clock.of(&format!("\"{text}\"")), Some(1_539_202_764.0), "{text}");
        }
    }

    #[test]
    fn a_format_is_followed() {
        check(r#"{"t":"10/10/2018 20:19:24"}"#, "t", Some("%d/%m/%Y %H:%M:%S"), 1_539_202_764.0);
        check(r#"{"t":"10/10/2018 22:19:24 +0200"}"#, "t", Some("%d/%m/%Y %H:%M:%S %z"), 1_539_202_764.0);
        check(r#"{"t":20181010}"#, "t", Some("%Y%m%d"), 1_539_129_600.0);
        assert_eq!(of(r#"{"t":"2018-10-10T20:19:24Z"}"#, "t", Some("%Y%m%d")), None);
        for format in ["", "%Q"] {
            assert!(Clock::new("t", Some(format)).is_err(), "{format}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for (json, field) in [
            ("{}", "t"),
            (r#"{"t":"soon"}"#, "t"),
            (r#"{"t":""}"#, "t"),
            (r#"{"t":null}"#, "t"),
            (r#"{"t":1e999}"#, "t"),
            (r#"{"t":{}}"#, "t"),
            ("{", "t"),
            ("[1]", "x"),
        ] {
            assert_eq!(of(json, field, None), None, "{json}");
        }
    }
}
