//! The list of machines, and the help.

use super::super::keys::HELP;
use super::super::poller::Found;
use super::{BOLD, CHOSEN, DIM, figures, titled};
use crate::display::{grouped, one_line, rate};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};

/// All machines, and the line that is chosen.
pub fn draw(machines: &[Found], chosen: usize, frame: &mut Frame<'_>, area: Rect) {
    if machines.is_empty() {
        frame.render_widget(
            Paragraph::new(Line::styled("looking for machines …", DIM)).block(titled(" machines ".to_owned())),
            area,
        );
        return;
    }
    let rows = machines.iter().map(|found| {
        let of = |words: &dyn Fn(&machine::Status) -> String| {
            Cell::from(found.status.as_ref().map_or_else(String::new, words))
        };
        Row::new([
            Cell::from(Span::styled(one_line(&found.name.machine), BOLD)),
            Cell::from(found.status.as_ref().map(figures::state).unwrap_or_default()),
            of(&|status| grouped(status.processed)),
            of(&|status| rate(status.rate)),
            of(&|status| grouped(status.errored)),
            of(&|status| grouped(status.queue_size)),
            Cell::from(found.name.pid.to_string()),
            Cell::from(one_line(&found.title)),
        ])
    });
    let widths = [
        Constraint::Length(12),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(10),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Fill(1),
    ];
    let header =
        Row::new(["machine", "state", "processed", "rate", "errored", "waiting", "process", "runs"]).style(DIM);
    let table = Table::new(rows, widths)
        .header(header)
        .row_highlight_style(CHOSEN)
        .block(titled(format!(" {} machines ", machines.len())));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(chosen));
}

/// The keys, over everything else.
pub fn help(frame: &mut Frame<'_>) {
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(key, what)| Line::from(vec![Span::styled(format!(" {key:<7}"), BOLD), Span::raw(*what)]))
        .collect();
    let length = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(2);
    let width = length(lines.iter().map(Line::width).max().unwrap_or_default() + 1);
    let area = frame.area().centered(Constraint::Length(width), Constraint::Length(length(lines.len())));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().border_style(DIM).title(" keys ")), area);
}
