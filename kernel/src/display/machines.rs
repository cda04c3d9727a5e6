//! All machines of a session.

use super::parts::{queue, queue_meter};
use super::table::{Cell, Kind, Table};
use super::text::{grouped, one_line, rate};
use crate::output::Display;
use machine_protocol::status::Status;
use maud::html;

/// The machines, one row each.
#[must_use]
pub fn machines(machines: &[Status]) -> Display {
    let columns = [
        ("machine", Kind::Words),
        ("state", Kind::Words),
        ("processed", Kind::Number),
        ("rate", Kind::Number),
        ("errored", Kind::Number),
        ("queue", Kind::Gauge),
        ("slots", Kind::Number),
        ("workers", Kind::Number),
        ("source", Kind::Words),
    ];
    let table = Table::new(&columns).with(machines.iter().map(|status| {
        let waiting = queue(status);
        let meter = html! { (queue_meter(status)) " " (waiting) };
        vec![
            one_line(&status.machine).into(),
            status.state.to_string().into(),
            grouped(status.processed).into(),
            rate(status.rate).into(),
            grouped(status.errored).into(),
            Cell::new(waiting, meter),
            status.slots.len().to_string().into(),
            grouped(status.workers).into(),
            status.source.state.as_str().into(),
        ]
    }));
    super::html_and_text(&table.html(), &table.text())
}
