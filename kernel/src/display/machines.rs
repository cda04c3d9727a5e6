//! All machines of a session.

use super::parts::{number_cell, queue, queue_meter};
use super::text::{Align, grouped, one_line, rate, table};
use crate::output::Display;
use machine::status::Status;
use maud::html;

/// The machines, one row each.
#[must_use]
pub fn machines(machines: &[Status]) -> Display {
    let header = [
        ("machine", Align::Left),
        ("state", Align::Left),
        ("processed", Align::Right),
        ("rate", Align::Right),
        ("errored", Align::Right),
        ("queue", Align::Right),
        ("slots", Align::Right),
        ("workers", Align::Right),
        ("source", Align::Left),
    ];
    let rows: Vec<Vec<String>> = machines
        .iter()
        .map(|status| {
            vec![
                one_line(&status.machine),
                status.state.to_string(),
                grouped(status.processed),
                rate(status.rate),
                grouped(status.errored),
                queue(status),
                status.slots.len().to_string(),
                grouped(status.workers),
                status.source.state.clone(),
            ]
        })
        .collect();
    let html = html! {
        table {
            thead { tr { @for (name, _) in header { th { (name) } } } }
            tbody {
                @for (row, status) in rows.iter().zip(machines) {
                    tr {
                        @for (text, (name, align)) in row.iter().zip(header) {
                            @if name == "queue" {
                                td { (queue_meter(status)) " " (text) }
                            } @else if align == Align::Right {
                                (number_cell(text))
                            } @else {
                                td style="text-align:left" { (text) }
                            }
                        }
                    }
                }
            }
        }
    };
    super::html_and_text(&html, &table(&header, &rows))
}
