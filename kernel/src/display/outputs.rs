//! What each slot made of one message.

use super::parts::{SHOWN, VALUE, cut_text, made};
use super::table::{Cell, Kind, Table};
use super::text::{cut, nanos, one_line};
use crate::output::Display;
use machine_protocol::command::{Outputs, SlotOutput};
use maud::html;

/// One row a slot that has a function; empty slots, which pass the previous output through, are named below.
#[must_use]
pub fn outputs(outputs: &Outputs) -> Display {
    let (empty, used): (Vec<&SlotOutput>, Vec<&SlotOutput>) = outputs.slots.iter().partition(|slot| is_empty(slot));
    let names: Vec<String> = empty.iter().map(|slot| format!("f{}", slot.slot)).collect();
    let empty = if names.is_empty() { String::new() } else { format!("empty: {}", names.join(", ")) };
    let columns = [
        ("slot", Kind::Name),
        ("args", Kind::Words),
        ("output", Kind::Words),
        ("time", Kind::Number),
        ("rev", Kind::Number),
    ];
    let table = Table::new(&columns).with(used.into_iter().map(|slot| {
        vec![
            format!("f{}", slot.slot).into(),
            arguments(&slot.args),
            made(slot.output.as_deref(), slot.error.as_deref(), SHOWN),
            nanos(slot.nanos).into(),
            slot.revision.to_string().into(),
        ]
    }));
    let html = html! {
        p { "message " code { (outputs.oid) } " in " code { (cut_text(&outputs.input, VALUE)) } }
        (table.html())
        @if !empty.is_empty() { p { small { (empty) } } }
    };
    let input = cut(&one_line(&outputs.input), SHOWN);
    let mut text = format!("message {} in {input}\n{}", outputs.oid, table.text());
    if !empty.is_empty() {
        text.push_str(&empty);
        text.push('\n');
    }
    super::html_and_text(&html, &text)
}

fn arguments(args: &[String]) -> Cell {
    let short: Vec<String> = args.iter().map(|arg| cut(&one_line(arg), SHOWN / 2)).collect();
    let html = html! {
        @for (index, arg) in args.iter().enumerate() {
            @if index > 0 { br; }
            code { (cut_text(arg, VALUE)) }
        }
    };
    Cell::cut(&short.join(", "), SHOWN, html)
}

/// A function takes at least one argument; without any, there is no function.
fn is_empty(slot: &SlotOutput) -> bool {
    slot.args.is_empty() && slot.error.is_none()
}
