//! Numbers, times and tables in words.

use chrono::{DateTime, Utc};
use std::fmt::Write;
use std::time::Duration;

/// `1,234,567`
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `850 ns`, `1.2 µs`, `12 µs`, `3.4 s`, `2 min 5 s`
#[must_use]
pub fn duration(time: Duration) -> String {
    const UNITS: [(u128, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let nanos = time.as_nanos();
    if time.as_secs() >= 60 {
        return format!("{} min {} s", grouped(time.as_secs() / 60), time.as_secs() % 60);
    }
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| nanos >= *unit) else { return format!("{nanos} ns") };
    let tenths = nanos * 10 / unit;
    if tenths < 100 && !tenths.is_multiple_of(10) {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

/// Nanoseconds as [`duration`]; `–` for 0, which is "not timed".
pub fn nanos(nanos: u64) -> String {
    if nanos == 0 { "–".to_owned() } else { duration(Duration::from_nanos(nanos)) }
}

/// `1,235/s`, `1.5/s`
pub fn rate(per_second: f64) -> String {
    if per_second.is_finite() && (10.0..1e15).contains(&per_second) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 10 to 10^15")]
        let whole = per_second.round() as u64;
        format!("{}/s", grouped(whole))
    } else {
        format!("{per_second:.1}/s")
    }
}

/// `2026-01-31 12:34:56.789 UTC` from RFC 3339, without a fraction if it tells whole seconds alone; what isn't RFC 3339
/// is left as it is.
pub fn time(rfc3339: &str) -> String {
    let format = if rfc3339.contains('.') { "%Y-%m-%d %H:%M:%S%.3f UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    DateTime::parse_from_rfc3339(rfc3339)
        .map_or_else(|_| one_line(rfc3339), |time| time.with_timezone(&Utc).format(format).to_string())
}

/// The first `most` characters, with `…` if there are more.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// As [`cut`], for an error, which may end with its place in parentheses: the place stays.
#[must_use]
pub fn cut_error(text: &str, most: usize) -> String {
    let place = text.rfind(" (").filter(|_| text.ends_with(')')).and_then(|at| text.get(at..));
    match place.map(|place| (place, place.chars().count())) {
        Some((place, length)) if length <= most / 2 && text.chars().count() > most => {
            let said = text.get(..text.len() - place.len()).unwrap_or_default();
            format!("{}{place}", cut(said, most - length))
        }
        _ => cut(text, most),
    }
}

/// Line ends become `↵`, other control characters their escapes: nothing moves a terminal's cursor.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => line.push('↵'),
            '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// Text whose first letter is a capital.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The first line of some code; `…` if there are more.
pub fn first_line(code: &str) -> String {
    let code = code.trim();
    match code.split_once('\n') {
        Some((first, _)) => format!("{} …", one_line(first)),
        None => one_line(code),
    }
}

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns, aligned; the first row is the header. Rows may be shorter than the header.
pub fn table(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize, name: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).chain([name.chars().count()]).max().unwrap_or(0)
    };
    let columns: Vec<(usize, Align)> =
        header.iter().enumerate().map(|(index, (name, align))| (width(index, name), *align)).collect();
    let names: Vec<String> = header.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&names).chain(rows) {
        let mut line = String::new();
        for (cell, (width, align)) in row.iter().zip(&columns) {
            // Writing to a string can't fail.
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
