//! The code in the slots.

use super::parts::{cell, is_empty, number_cell, signature};
use super::text::one_line;
use crate::output::Display;
use machine::status::{SlotStatus, Status};
use maud::html;

/// The code in each slot, the cell it came from, what it takes and gives.
#[must_use]
pub fn slots(status: &Status) -> Display {
    let html = html! {
        table {
            thead { tr { @for name in ["slot", "code", "rev", "cell", "takes → gives"] { th { (name) } } } }
            tbody {
                @for slot in &status.slots {
                    tr {
                        th { (slot.slot) }
                        @if is_empty(slot) {
                            td style="text-align:left" colspan="4" { em { "empty: " (signature(slot)) } }
                        } @else {
                            td style="text-align:left" { pre { code { (slot.code) } } }
                            (number_cell(&slot.revision.to_string()))
                            td { (cell(slot)) }
                            td style="text-align:left" {
                                (signature(slot))
                                @if !slot.mismatch.is_empty() { br; strong { "⚠ " (slot.mismatch) } }
                            }
                        }
                    }
                }
            }
        }
    };
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
