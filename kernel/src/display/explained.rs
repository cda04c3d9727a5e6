//! Where a message has been.

use super::parts::{SHOWN, VALUE, code, cut_text, made};
use super::table::{Cell, Kind, Table};
use super::text::{cut, duration, first_line, nanos, one_line, time};
use crate::output::Display;
use machine_protocol::retained::{Explained, ExplainedSlot};
use maud::html;
use std::time::Duration;

/// One row a slot that had a function: what it gave, how long it took, and the code that did it.
#[must_use]
pub fn explained(message: &Explained) -> Display {
    let waited = message.waited_ms.map_or_else(String::new, |millis| {
        // The clock that is cheap enough to be read for each message goes in steps of some milliseconds.
        let waited = if millis == 0 { "less than 10 ms".to_owned() } else { duration(Duration::from_millis(millis)) };
        format!(", waited {waited}")
    });
    let head = format!("{}: {}, put {}{waited}", message.oid, message.state, time(&message.put));
    let slots = message.slots.iter().filter(|slot| !slot.code.is_empty() || slot.error.is_some());
    let revision = |slot: &ExplainedSlot| {
        let changed = if slot.is_changed { " (changed since)" } else { "" };
        let cell = if slot.cell == 0 { String::new() } else { format!(", In [{}]", slot.cell) };
        format!("{}{cell}{changed}", slot.revision)
    };
    let columns = [
        ("slot", Kind::Name),
        ("output", Kind::Words),
        ("time", Kind::Number),
        ("revision", Kind::Short),
        ("code", Kind::Words),
    ];
    let table = Table::new(&columns).with(slots.map(|slot| {
        vec![
            slot.slot.as_str().into(),
            made(slot.output.as_deref(), slot.error.as_deref(), SHOWN),
            nanos(slot.nanos).into(),
            revision(slot).into(),
            Cell::new(cut(&first_line(&slot.code), SHOWN), code(&slot.code)),
        ]
    }));
    let text = format!("{head}\nin {}\n{}", cut(&one_line(&message.input), SHOWN), table.text());
    let html = html! {
        p { (head) br; "in " code { (cut_text(&message.input, VALUE)) } }
        (table.html())
    };
    super::html_and_text(&html, &text)
}
