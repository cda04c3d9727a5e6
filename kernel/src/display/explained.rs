//! Where a message has been.

use super::parts::{code, cut_text, number_cell};
use super::text::{Align, cut, duration, first_line, nanos, one_line, table, time};
use crate::output::Display;
use machine::kept::{Explained, ExplainedSlot};
use maud::html;
use std::time::Duration;

/// How much of a value is shown, in characters.
const VALUE: usize = 60;

/// One row a slot that had a function: what it gave, how long it took, and the code that did it.
#[must_use]
pub fn explained(message: &Explained) -> Display {
    let waited = message.waited_ms.map_or_else(String::new, |millis| {
        // The clock that is cheap enough to be read for each message goes in steps of some milliseconds.
        let waited = if millis == 0 { "less than 10 ms".to_owned() } else { duration(Duration::from_millis(millis)) };
        format!(", waited {waited}")
    });
    let head = format!("{}: {}, put {}{waited}", message.oid, message.state, time(&message.put));
    let slots: Vec<&ExplainedSlot> =
        message.slots.iter().filter(|slot| !slot.code.is_empty() || slot.error.is_some()).collect();
    let revision = |slot: &ExplainedSlot| {
        let changed = if slot.is_changed { " (changed since)" } else { "" };
        let cell = if slot.cell == 0 { String::new() } else { format!(", In [{}]", slot.cell) };
        format!("{}{cell}{changed}", slot.revision)
    };
    let header = [
        ("slot", Align::Left),
        ("output", Align::Left),
        ("time", Align::Right),
        ("revision", Align::Left),
        ("code", Align::Left),
    ];
    let lines: Vec<Vec<String>> = slots
        .iter()
        .map(|slot| {
            let output = match (&slot.output, &slot.error) {
                (_, Some(error)) => format!("! {}", one_line(error)),
                (Some(output), None) => one_line(output),
                (None, None) => "–".to_owned(),
            };
            let code = cut(&first_line(&slot.code), VALUE);
            vec![slot.slot.clone(), cut(&output, VALUE), nanos(slot.nanos), revision(slot), code]
        })
        .collect();
    let text = format!("{head}\nin {}\n{}", cut(&one_line(&message.input), VALUE), table(&header, &lines));
    let html = html! {
        p { (head) br; "in " code { (cut_text(&message.input, 200)) } }
        table {
            thead { tr { @for (name, _) in header { th { (name) } } } }
            tbody {
                @for slot in slots {
                    tr {
                        th { (slot.slot) }
                        td style="text-align:left" {
                            @match (&slot.output, &slot.error) {
                                (_, Some(error)) => { strong { "⚠ " (cut_text(error, 200)) } }
                                (Some(output), None) => { code { (cut_text(output, 200)) } }
                                (None, None) => { "–" }
                            }
                        }
                        (number_cell(&nanos(slot.nanos)))
                        td { (revision(slot)) }
                        td style="text-align:left" { (code(&slot.code)) }
                    }
                }
            }
        }
    };
    super::html_and_text(&html, &text)
}
