//! How much a machine keeps of what went through it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a machine keeps of the messages that go through it, for `%sql`, `%tap` and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keep {
    /// The last 10,000 or 64 MiB, and of a fast machine a sample: what a machine does from the start.
    #[default]
    Sample,
    /// Every message.
    All,
    /// Every message, the last so many.
    Messages(u64),
    /// Every message of the last so long.
    Time(Duration),
}

impl Keep {
    /// Reads `sample`, `all`, a number of messages (`1_000_000`) or a time (`90s`, `10m`, `1h`).
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '_' | ',' | '.'))).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let seconds = match unit {
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => 0.0,
        };
        let read = match text {
            "sample" => Some(Self::Sample),
            "all" => Some(Self::All),
            _ if unit.is_empty() => {
                number.replace(['_', ','], "").parse().ok().filter(|it| *it > 0).map(Self::Messages)
            }
            _ => number
                .parse()
                .ok()
                .and_then(|number: f64| Duration::try_from_secs_f64(number * seconds).ok())
                .filter(|time| !time.is_zero())
                .map(Self::Time),
        };
        read.ok_or_else(|| {
            format!(
                "cannot keep {text:?}: expected all, sample, a number of messages (1_000_000) or a time (1h, 10m, 90s)"
            )
        })
    }
}

/// What a machine keeps, and what that takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it was asked to keep.
    pub keep: Keep,
    /// Messages that are kept now.
    pub messages: u64,
    /// The memory that they take, bytes.
    pub bytes: u64,
    /// The memory that they may take, bytes: beyond it the oldest are dropped, whatever was asked for.
    pub most_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::{Duration, Keep};

    #[test]
    fn what_to_keep_is_read_as_it_is_written() {
        for (text, keep) in [
            ("all", Keep::All),
            ("sample", Keep::Sample),
            ("1_000_000", Keep::Messages(1_000_000)),
            ("1,000", Keep::Messages(1_000)),
            ("1h", Keep::Time(Duration::from_hours(1))),
            ("1.5m", Keep::Time(Duration::from_secs(90))),
            ("2d", Keep::Time(Duration::from_hours(48))),
        ] {
            assert_eq!(Keep::parse(text), Ok(keep), "{text}");
        }
        for text in ["", "0", "0s", "some", "1x", "h", "-1", "1e3", "99999999999999999999d", "1..2s"] {
            assert!(Keep::parse(text).is_err(), "{text}");
        }
    }
}
