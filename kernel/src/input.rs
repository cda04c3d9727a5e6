//! What a user wrote: quoted in an error, and read as a time.

use crate::display;
use std::time::Duration;

/// A time that nobody waits longer for; keeps sums of times in range.
const LONGEST: Duration = Duration::from_hours(168);

/// What the user gave, on one line and not too long.
pub fn quote(text: &str) -> String {
    display::cut(&display::one_line(text), 40)
}

/// `5s`, `500ms`, `2m`, `1.5s`; a bare number is seconds. `example` is how one is given here.
///
/// # Errors
/// If it is no such time: what was given, what is expected.
pub fn duration(text: &str, example: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => Some(1e-3),
        "s" | "" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let time = number.parse::<f64>().ok().zip(seconds);
    time.and_then(|(number, seconds)| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| {
            format!("{} is not a time; expected a number with ms, s, m or h, up to 168h: {example}", quote(text))
        })
}
