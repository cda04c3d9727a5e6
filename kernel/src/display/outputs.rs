//! What each slot made of one message.

use super::parts::{SHOWN, cut_text, number_cell};
use super::text::{Align, cut, nanos, one_line, table};
use crate::output::Display;
use machine::command::{Outputs, SlotOutput};
use maud::{Markup, html};

/// How much of a value is shown in HTML, in characters.
const VALUE: usize = 200;

/// One row a slot that has a function; empty slots, which pass the previous output through, are named below.
#[must_use]
pub fn outputs(outputs: &Outputs) -> Display {
    let (empty, used): (Vec<&SlotOutput>, Vec<&SlotOutput>) = outputs.slots.iter().partition(|slot| is_empty(slot));
    let names: Vec<String> = empty.iter().map(|slot| format!("f{}", slot.slot)).collect();
    let empty = if names.is_empty() { String::new() } else { format!("empty: {}", names.join(", ")) };
    super::html_and_text(&markup(outputs, &used, &empty), &text(outputs, &used, &empty))
}

/// A function takes at least one argument; without any, there is no function.
fn is_empty(slot: &SlotOutput) -> bool {
    slot.args.is_empty() && slot.error.is_none()
}

fn markup(outputs: &Outputs, used: &[&SlotOutput], empty: &str) -> Markup {
    html! {
        p { "message " code { (outputs.oid) } " in " code { (cut_text(&outputs.input, VALUE)) } }
        table {
            thead { tr { @for name in ["slot", "args", "output", "time", "rev"] { th { (name) } } } }
            tbody {
                @for slot in used {
                    tr {
                        th { "f" (slot.slot) }
                        td style="text-align:left" {
                            @for (index, arg) in slot.args.iter().enumerate() {
                                @if index > 0 { br; }
                                code { (cut_text(arg, VALUE)) }
                            }
                        }
                        td style="text-align:left" {
                            @match (&slot.output, &slot.error) {
                                (_, Some(error)) => { strong { "⚠ " (cut_text(error, VALUE)) } }
                                (Some(output), None) => { code { (cut_text(output, VALUE)) } }
                                (None, None) => { "–" }
                            }
                        }
                        (number_cell(&nanos(slot.nanos)))
                        (number_cell(&slot.revision.to_string()))
                    }
                }
            }
        }
        @if !empty.is_empty() { p { small { (empty) } } }
    }
}

fn text(outputs: &Outputs, used: &[&SlotOutput], empty: &str) -> String {
    let header = [
        ("slot", Align::Left),
        ("args", Align::Left),
        ("output", Align::Left),
        ("time", Align::Right),
        ("rev", Align::Right),
    ];
    let rows: Vec<Vec<String>> = used
        .iter()
        .map(|slot| {
            let args: Vec<String> = slot.args.iter().map(|arg| cut(&one_line(arg), SHOWN / 2)).collect();
            let output = match (&slot.output, &slot.error) {
                (_, Some(error)) => format!("! {}", one_line(error)),
                (Some(output), None) => one_line(output),
                (None, None) => "–".to_owned(),
            };
            vec![
                format!("f{}", slot.slot),
                cut(&args.join(", "), SHOWN),
                cut(&output, SHOWN),
                nanos(slot.nanos),
                slot.revision.to_string(),
            ]
        })
        .collect();
    let mut text =
        format!("message {} in {}\n{}", outputs.oid, cut(&one_line(&outputs.input), SHOWN), table(&header, &rows));
    if !empty.is_empty() {
        text.push_str(empty);
        text.push('\n');
    }
    text
}
