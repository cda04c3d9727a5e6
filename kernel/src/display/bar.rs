//! A bar that tells how far something is.

use super::text::{duration, grouped};
use crate::output::Display;
use machine::progress_bar::Bar;
use maud::html;
use std::time::Duration;

/// Characters of a whole bar in text.
const WIDTH: u8 = 24;

/// Shows how far it is, how fast, and how long it will take. Without a total there is no bar, only the count.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shares and rates are estimates")]
pub fn bar(bar: &Bar) -> Display {
    let total = bar.total.filter(|total| *total > 0).map(|total| total.max(bar.done));
    let share = total.map(|total| bar.done as f64 / total as f64);
    let mut told = match total {
        Some(total) => format!("{} of {}", grouped(bar.done), grouped(total)),
        None => grouped(bar.done),
    };
    let seconds = |seconds: f64| duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    if bar.seconds > 0.0 {
        told.push_str(&format!(" in {}", seconds(bar.seconds)));
    }
    if bar.done > 0 && bar.seconds > 0.0 {
        let rate = bar.done as f64 / bar.seconds;
        told.push_str(&format!(", {}", super::rate(rate)));
        if let Some(total) = total.filter(|total| !bar.is_over && *total > bar.done) {
            told.push_str(&format!(", {} left", seconds((total - bar.done) as f64 / rate)));
        }
    }
    if bar.is_over && total.is_some_and(|total| bar.done < total) {
        told.push_str(", ended early");
    }
    let name = if bar.name.is_empty() { String::new() } else { format!("{} ", bar.name) };
    let text = match share {
        Some(share) => format!("{name}{} {:>3.0} % · {told}", blocks(share), share * 100.0),
        None => format!("{name}{told}"),
    };
    let html = html! {
        @if !bar.name.is_empty() { (bar.name) " " }
        @match share {
            Some(share) => { progress max="1" value=(share) style="width:16em;vertical-align:middle" aria-label=(text) {} }
            // One whose end nobody knows moves by itself, until it is over.
            None if !bar.is_over => { progress style="width:16em;vertical-align:middle" aria-label=(text) {} }
            None => {}
        }
        " " @if let Some(share) = share { (format!("{:.0} %", share * 100.0)) " · " } (told)
    };
    super::html_and_text(&html, &text)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the width")]
fn blocks(share: f64) -> String {
    let full = ((share * f64::from(WIDTH)) as u8).min(WIDTH);
    format!("{}{}", "█".repeat(full.into()), "░".repeat((WIDTH - full).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(done: u64, total: Option<u64>, seconds: f64, is_over: bool, expected: &str) {
        let name = "<b>".to_owned();
        let shown = bar(&Bar { id: String::new(), name, done, total, seconds, is_over });
        assert_eq!(shown.data["text/plain"].as_str(), Some(expected));
        assert!(shown.data["text/html"].as_str().is_some_and(|html| html.contains("&lt;b&gt;")));
    }

    #[test]
    fn it_tells_how_far_and_how_fast() {
        check(0, Some(200), 0.0, false, "<b> ░░░░░░░░░░░░░░░░░░░░░░░░   0 % · 0 of 200");
        check(50, Some(200), 1.0, false, "<b> ██████░░░░░░░░░░░░░░░░░░  25 % · 50 of 200 in 1 s, 50/s, 3 s left");
        check(200, Some(200), 2.0, true, "<b> ████████████████████████ 100 % · 200 of 200 in 2 s, 100/s");
        check(50, Some(200), 2.0, true, "<b> ██████░░░░░░░░░░░░░░░░░░  25 % · 50 of 200 in 2 s, 25/s, ended early");
        check(3_000, None, 2.0, false, "<b> 3,000 in 2 s, 1,500/s");
        check(7, Some(5), 0.0, true, "<b> ████████████████████████ 100 % · 7 of 7");
    }
}
