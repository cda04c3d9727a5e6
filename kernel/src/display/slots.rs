//! The code in the slots.

use super::parts::{cell, empty, have_settings, is_empty, settings, signature, types};
use super::table::{Cell, Kind, Table};
use super::text::{grouped, one_line};
use crate::output::Display;
use machine_protocol::status::{SlotStatus, Status};
use maud::html;

/// The code in each slot, the cell it came from, what it takes and gives.
#[must_use]
pub fn slots(status: &Status) -> Display {
    let mut columns = vec![
        ("slot", Kind::Name),
        ("code", Kind::Words),
        ("rev", Kind::Number),
        ("cell", Kind::Short),
        ("takes → gives", Kind::Words),
    ];
    let with_settings = have_settings(status);
    if with_settings {
        columns.push(("settings", Kind::Words));
    }
    let table = Table::new(&columns).with(status.slots.iter().map(|slot| {
        if is_empty(slot) {
            return empty(slot);
        }
        let mut row: Vec<Cell> = vec![
            slot.slot.as_str().into(),
            Cell::new(slot.code.as_str(), html! { pre { code { (slot.code) } } }),
            slot.revision.to_string().into(),
            cell(slot).into(),
            types(slot),
        ];
        if with_settings {
            row.push(how(slot).into());
        }
        row
    }));
    let html = table.html();
    let text: String = status.slots.iter().map(text_of).collect();
    super::html_and_text(&html, &text)
}

/// How the function is run, and how often it was called again: `3 retries from 100ms; 12 retried`.
fn how(slot: &SlotStatus) -> String {
    let retried = if slot.retried == 0 { String::new() } else { format!("{} retried", grouped(slot.retried)) };
    let parts = [settings(slot), retried];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn text_of(slot: &SlotStatus) -> String {
    let how = how(slot);
    let how = if how.is_empty() { how } else { format!("  {how}") };
    if is_empty(slot) {
        return format!("{}  empty: {}{how}\n", slot.slot, signature(slot));
    }
    let mut text = format!("{}  {}  revision {}", slot.slot, one_line(&signature(slot)), slot.revision);
    if slot.cell != 0 {
        text.push_str(&format!("  {}", cell(slot)));
    }
    text.push_str(&how);
    text.push('\n');
    for line in slot.code.lines() {
        text.push_str(&format!("    {}\n", one_line(line)));
    }
    if !slot.mismatch.is_empty() {
        text.push_str(&format!("    ! {}\n", one_line(&slot.mismatch)));
    }
    text
}
