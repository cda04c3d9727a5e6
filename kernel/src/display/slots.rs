//! The code in the slots.

use super::parts::{cell, empty, is_empty, signature, types};
use super::table::{Cell, Kind, Table};
use super::text::one_line;
use crate::output::Display;
use machine::status::{SlotStatus, Status};
use maud::html;

/// The code in each slot, the cell it came from, what it takes and gives.
#[must_use]
pub fn slots(status: &Status) -> Display {
    let columns = [
        ("slot", Kind::Name),
        ("code", Kind::Words),
        ("rev", Kind::Number),
        ("cell", Kind::Short),
        ("takes → gives", Kind::Words),
    ];
    let table = Table::new(&columns).with(status.slots.iter().map(|slot| {
        if is_empty(slot) {
            return empty(slot);
        }
        vec![
            slot.slot.as_str().into(),
            Cell::new(slot.code.as_str(), html! { pre { code { (slot.code) } } }),
            slot.revision.to_string().into(),
            cell(slot).into(),
            types(slot),
        ]
    }));
    let html = table.html();
    let text: String = status.slots.iter().map(text_of).collect();
    super::html_and_text(&html, &text)
}

fn text_of(slot: &SlotStatus) -> String {
    if is_empty(slot) {
        return format!("{}  empty: {}\n", slot.slot, signature(slot));
    }
    let mut text = format!("{}  {}  revision {}", slot.slot, one_line(&signature(slot)), slot.revision);
    if slot.cell != 0 {
        text.push_str(&format!("  {}", cell(slot)));
    }
    text.push('\n');
    for line in slot.code.lines() {
        text.push_str(&format!("    {}\n", one_line(line)));
    }
    if !slot.mismatch.is_empty() {
        text.push_str(&format!("    ! {}\n", one_line(&slot.mismatch)));
    }
    text
}
