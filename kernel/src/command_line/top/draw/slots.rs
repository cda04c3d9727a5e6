//! The slots: boxes in a row, joined by arrows that carry the types, and their numbers in a table.

use super::super::view::{Focus, Shown};
use super::curves;
use super::{BAD, BOLD, DIM, WARN};
use crate::display::{cut, first_line, grouped, is_retried, nanos, one_line};
use crate::watch::{Arrow, Fit, arrow};
use machine_protocol::status::{SlotStatus, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table, TableState};

/// The width of a box with its counts, and of one with its name alone.
const WIDE: usize = 12;
const NARROW: usize = 6;
/// The least width of an arrow, and the least for one that carries a type.
const SHORTEST: usize = 3;
const READABLE: usize = 8;

/// The row of boxes. If there are too many, the one that is chosen is among those that are shown.
pub fn boxes(shown: &Shown, frame: &mut Frame<'_>, area: Rect) {
    let Some(look) = &shown.look else { return };
    let width = usize::from(area.width).saturating_sub(1);
    let used = shown.used();
    let room = if used * (WIDE + READABLE) <= width { WIDE } else { NARROW };
    let most = (width / (room + SHORTEST)).max(1);
    let first = (shown.slot + 1).saturating_sub(most);
    let slots: Vec<(usize, &SlotStatus)> =
        look.status.slots.iter().enumerate().take(used).skip(first).take(most).collect();
    let arrows: Vec<Arrow> = slots.iter().map(|(number, _)| arrow(&look.status.slots, *number)).collect();
    let widths = shared(&arrows.iter().map(natural).collect::<Vec<_>>(), width.saturating_sub(slots.len() * room));
    let errors = errors_style(&look.status);
    let mut lines = [Line::raw(" "), Line::raw(" "), Line::raw(" ")];
    for (((number, slot), arrow), width) in slots.into_iter().zip(&arrows).zip(widths) {
        let is_chosen = number == shown.slot;
        for (line, spans) in lines.iter_mut().zip(leading(arrow, width)) {
            line.push_span(spans);
        }
        for (line, span) in lines.iter_mut().zip(boxed(slot, room, is_chosen, errors)) {
            line.spans.extend(span);
        }
    }
    frame.render_widget(ratatui::text::Text::from(lines.to_vec()), area);
}

/// How wide an arrow would like to be.
fn natural(arrow: &Arrow) -> usize {
    one_line(&arrow.label).chars().count().max(mark(arrow.kind).chars().count()) + 2
}

fn mark(kind: Fit) -> &'static str {
    match kind {
        Fit::Fits => "",
        Fit::Converts => "≈ converts",
        Fit::Mismatch => "✕ no fit",
    }
}

/// Room for all: who wants little gets it, the others share what is left.
fn shared(wanted: &[usize], room: usize) -> Vec<usize> {
    let mut most = wanted.iter().copied().max().unwrap_or_default();
    while most > SHORTEST && wanted.iter().map(|width| (*width).min(most)).sum::<usize>() > room {
        most -= 1;
    }
    wanted.iter().map(|width| (*width).clamp(SHORTEST, most.max(SHORTEST))).collect()
}

/// The three lines of an arrow: its type, its shaft, how it fits.
fn leading(arrow: &Arrow, width: usize) -> [Span<'static>; 3] {
    let style = match arrow.kind {
        Fit::Fits => Style::new(),
        Fit::Converts => WARN,
        Fit::Mismatch => BAD,
    };
    // A blank on both sides, where there is room.
    let inner = if width < READABLE { width } else { width.saturating_sub(2) };
    let centered = |text: &str| format!("{:^width$}", cut(text, inner));
    let sign = match arrow.kind {
        Fit::Fits => "─",
        Fit::Converts => "≈",
        Fit::Mismatch => "✕",
    };
    // Where there is no room for the words, the sign in the shaft has to do.
    let words = mark(arrow.kind);
    let words = if words.chars().count() <= inner { words } else { "" };
    let shaft = format!("{}{sign}▶", "─".repeat(width.saturating_sub(2)));
    [
        Span::styled(centered(&one_line(&arrow.label)), style),
        Span::styled(shaft, if arrow.kind == Fit::Fits { DIM } else { style }),
        Span::styled(centered(words), style),
    ]
}

/// The style of counts of errors: errors that were all retried with success are no alarm.
fn errors_style(status: &Status) -> Style {
    if is_retried(status) { DIM } else { BAD }
}

/// The three lines of a box.
fn boxed(slot: &SlotStatus, width: usize, is_chosen: bool, errors: Style) -> [Vec<Span<'static>>; 3] {
    let is_empty = slot.gives.is_empty();
    let border = match (is_chosen, is_empty) {
        (true, _) => BOLD,
        (false, true) => DIM,
        (false, false) => Style::new(),
    };
    let inner = width.saturating_sub(2);
    let rule = |left: &str, text: &str, right: &str| {
        let text = cut(text, inner);
        format!("{left}{text}{}{right}", "─".repeat(inner.saturating_sub(text.chars().count())))
    };
    let name = slot.slot.as_str();
    if width < WIDE {
        let style = if slot.errored > 0 { errors } else { border };
        return [
            vec![Span::styled(rule("╭", "", "╮"), border)],
            vec![
                Span::styled("│", border),
                Span::styled(format!("{:^inner$}", cut(name, inner)), style),
                Span::styled("│", border),
            ],
            vec![Span::styled(rule("╰", "", "╯"), border)],
        ];
    }
    let count = if is_empty { "empty".to_owned() } else { format!("✓ {}", short(slot.ok)) };
    let failed = if slot.errored > 0 { format!(" ✕ {} ", short(slot.errored)) } else { String::new() };
    let rest = inner.saturating_sub(1 + failed.chars().count());
    [
        vec![Span::styled(rule("╭", &format!(" {name} "), "╮"), border)],
        vec![
            Span::styled("│", border),
            Span::styled(
                format!(" {:<w$}", count, w = inner.saturating_sub(1)),
                if is_empty { DIM } else { Style::new() },
            ),
            Span::styled("│", border),
        ],
        vec![
            Span::styled("╰─", border),
            Span::styled(cut(&failed, inner), errors),
            Span::styled(format!("{}╯", "─".repeat(rest)), border),
        ],
    ]
}

/// The numbers of each slot.
pub fn table(shown: &Shown, frame: &mut Frame<'_>, area: Rect) {
    let Some(look) = &shown.look else { return };
    let is_wide = area.width >= 100;
    let has_focus = shown.focus == Focus::Slots;
    let curve = if is_wide { 24 } else { 10 };
    let rows = look.status.slots.iter().take(shown.used()).enumerate().map(|(number, slot)| {
        if slot.gives.is_empty() {
            let name = super::chosen(" ", &slot.slot, number == shown.slot && has_focus);
            return Row::new([name, Cell::from("empty")]).style(DIM);
        }
        let when =
            |count: u64, style: Style| Cell::from(Span::styled(short(count), if count > 0 { style } else { DIM }));
        let code = if slot.mismatch.is_empty() { first_line(&slot.code) } else { one_line(&slot.mismatch) };
        let rate = look.curves.slots.get(number).map(|curves| curves::text(&curves.rate, curve)).unwrap_or_default();
        let sign = if number == shown.slot { "▸" } else { " " };
        Row::new([
            super::chosen(sign, &slot.slot, number == shown.slot && has_focus),
            Cell::from(short(slot.ok)),
            when(slot.errored, errors_style(&look.status)),
            when(slot.skipped, WARN),
            Cell::from(nanos(slot.p50_ns)),
            Cell::from(nanos(slot.p99_ns)),
            Cell::from(nanos(slot.max_ns)),
            Cell::from(Span::styled(rate, Style::new().fg(ratatui::style::Color::Blue))),
            Cell::from(Span::styled(code, if slot.mismatch.is_empty() { DIM } else { BAD })),
        ])
    });
    let number = if is_wide { 9 } else { 7 };
    let widths = [
        Constraint::Length(6),
        Constraint::Length(number),
        Constraint::Length(number),
        Constraint::Length(number),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(u16::try_from(curve).unwrap_or_default()),
        Constraint::Fill(1),
    ];
    let header = ["  slot", "ok", "errored", "skipped", "p50", "p99", "max", "5 min", "code"];
    let table = Table::new(rows, widths).header(Row::new(header).style(DIM));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(shown.slot));
}

/// `999`, `12.3k`, `4.56M`: three digits, cut and not rounded; whole up to 9,999.
fn short(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| count >= (*unit).max(10_000)) else {
        return grouped(count);
    };
    let (whole, rest) = (count / unit, count % unit);
    match whole {
        ..10 => format!("{whole}.{:02}{name}", rest / (unit / 100)),
        10..100 => format!("{whole}.{}{name}", rest / (unit / 10)),
        100.. => format!("{whole}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{shared, short};

    #[test]
    fn counts_are_short() {
        let all = [0, 999, 9_999, 10_000, 123_456, 9_999_999, 12_345_678, 10_000_000_000].map(short);
        assert_eq!(all, ["0", "999", "9,999", "10.0k", "123k", "9.99M", "12.3M", "10.0G"]);
    }

    #[test]
    fn arrows_share_the_room() {
        assert_eq!(shared(&[5, 30, 5], 40), [5, 30, 5]);
        assert_eq!(shared(&[5, 30, 20], 35), [5, 15, 15]);
        assert_eq!(shared(&[5, 5], 0), [3, 3]);
    }
}
