//! Pieces of HTML that several displays share.

use super::table::Cell;
use super::text::{cut, cut_error, first_line, grouped, one_line};
use machine_protocol::status::{Settings, SlotStatus, Status};
use maud::{Markup, html};

/// How much of a line of code, of a value or of an error is shown at once, in characters.
pub const SHOWN: usize = 60;

/// How much of a value is shown in HTML, in characters.
pub const VALUE: usize = 200;

/// How much of a text goes into a tooltip at most, in characters.
const TOOLTIP: usize = 2_000;

/// Text that is cut, all of it in the tooltip.
pub fn cut_text(text: &str, most: usize) -> Markup {
    let shown = cut(text, most);
    html! {
        @if shown == text { (text) } @else { span title=(cut(text, TOOLTIP)) { (shown) } }
    }
}

/// A number, on the right side of its cell.
pub fn number_cell(text: &str) -> Markup {
    html! { td style="text-align:right" { (text) } }
}

/// What a slot gave for a message: the output, the error, or nothing; `most` characters of it in text.
pub fn made(output: Option<&str>, error: Option<&str>, most: usize) -> Cell {
    match (output, error) {
        (_, Some(error)) => {
            Cell::cut(&cut_error(&format!("! {error}"), most), most, html! { strong { "⚠ " (cut_text(error, VALUE)) } })
        }
        (Some(output), None) => Cell::cut(output, most, html! { code { (cut_text(output, VALUE)) } }),
        (None, None) => "–".into(),
    }
}

/// What a slot takes and gives, and what does not fit.
pub fn types(slot: &SlotStatus) -> Cell {
    let signature = signature(slot);
    let html = html! {
        (signature)
        @if !slot.mismatch.is_empty() { br; strong { "⚠ " (slot.mismatch) } }
    };
    Cell::new(one_line(&signature), html)
}

/// One line of code; the rest unfolds.
pub fn code(code: &str) -> Markup {
    let line = cut(&first_line(code), SHOWN);
    html! {
        @if line == code { code { (code) } }
        @else { details { summary { code { (line) } } pre { code { (code) } } } }
    }
}

/// `&str, Value → f64`; `passes the previous output through` for an empty slot.
pub fn signature(slot: &SlotStatus) -> String {
    if is_empty(slot) {
        "passes the previous output through".to_owned()
    } else {
        format!("{} → {}", slot.takes.join(", "), slot.gives)
    }
}

/// The row of an empty slot. Its settings are for the function that comes.
pub fn empty(slot: &SlotStatus) -> Vec<Cell> {
    let settings = settings(slot);
    let html = html! { em { "empty: " (signature(slot)) } @if !settings.is_empty() { " · " (settings) } };
    let text = if settings.is_empty() { "(empty)".to_owned() } else { format!("(empty) {settings}") };
    vec![slot.slot.as_str().into(), Cell::new(text, html)]
}

/// `timeout 2s, 3 retries from 100ms`; nothing if nothing is set.
pub fn settings(slot: &SlotStatus) -> String {
    slot.settings.to_string()
}

/// Whether any slot has settings, or was called again: most machines have none, and no column for them.
pub fn have_settings(status: &Status) -> bool {
    let has = |slot: &SlotStatus| slot.settings != Settings::default() || slot.retried > 0;
    status.slots.iter().any(has)
}

/// Whether nothing is assigned to the slot.
pub fn is_empty(slot: &SlotStatus) -> bool {
    slot.gives.is_empty() && slot.takes.is_empty()
}

/// `In [3]`; nothing if no cell of a notebook assigned it.
pub fn cell(slot: &SlotStatus) -> String {
    if slot.cell == 0 { String::new() } else { format!("In [{}]", slot.cell) }
}

/// `12 of 1,024 (1 %)`
pub fn queue(status: &Status) -> String {
    let share = (u128::from(status.queue_size) * 100).checked_div(u128::from(status.queue_capacity)).unwrap_or(0);
    format!("{} of {} ({share} %)", grouped(status.queue_size), grouped(status.queue_capacity))
}

/// The queue as a bar; browsers colour it from 60 % and from 85 % on.
pub fn queue_meter(status: &Status) -> Markup {
    let capacity = status.queue_capacity;
    html! {
        meter min="0" max=(capacity) low=(capacity / 100 * 60 + capacity % 100 * 60 / 100)
            high=(capacity / 100 * 85 + capacity % 100 * 85 / 100) optimum="0" value=(status.queue_size) {}
    }
}
