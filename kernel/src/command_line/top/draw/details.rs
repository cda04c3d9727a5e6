//! Dead letters, and what is unfolded.

use super::super::view::{Focus, Shown};
use super::{BAD, BOLD, DIM, WARN, titled};
use crate::display::{cut, grouped, nanos, one_line};
use crate::watch::arrow;
use machine_engine::json::{Content, Json};
use machine_protocol::status::{DeadLetter, SlotStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Padding, Paragraph, Row, Table, TableState};

/// How much of a text is shown, characters.
const TEXT: usize = 20_000;

/// The newest dead letters, a line each.
pub fn letters(shown: &Shown, frame: &mut Frame<'_>, area: Rect) {
    let Some(look) = &shown.look else { return };
    let has_focus = shown.focus == Focus::DeadLetterQueue;
    let rows = look.letters.iter().enumerate().map(|(number, letter)| {
        let sign = if number == shown.letter { "▸" } else { " " };
        Row::new([
            super::chosen(sign, &letter.slot, number == shown.letter && has_focus),
            Cell::from(Span::styled(clock(letter), DIM)),
            Cell::from(Span::styled(one_line(&cut(&letter.error, 300)), BAD)),
            Cell::from(Span::styled(one_line(&cut(&letter.input, 300)), DIM)),
        ])
    });
    let widths = [Constraint::Length(8), Constraint::Length(8), Constraint::Fill(1), Constraint::Fill(1)];
    let mut title = format!(" dead letters {} ", grouped(look.status.dead_letters));
    if look.status.dead_letters_dropped > 0 {
        title.push_str(&format!("({} older ones fell out) ", grouped(look.status.dead_letters_dropped)));
    }
    if (look.letters.len() as u64) < look.status.dead_letters {
        title.push_str(&format!("({} shown) ", look.letters.len()));
    }
    let table = Table::new(rows, widths).block(titled(title));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(shown.letter));
}

/// `12:34:56`, UTC: when it failed, or else when the message was accepted.
fn clock(letter: &DeadLetter) -> String {
    let time = if letter.failed.is_empty() { &letter.time } else { &letter.failed };
    time.get(11..19).unwrap_or_default().to_owned()
}

/// All of what is chosen. The text is scrolled no further than to its end.
pub fn unfolded(shown: &mut Shown, frame: &mut Frame<'_>, area: Rect) {
    let Some(look) = &shown.look else { return };
    let (title, lines) = match shown.focus {
        Focus::Slots => {
            let Some(slot) = look.status.slots.get(shown.slot) else { return };
            (slot.slot.clone(), of_slot(&look.status.slots, shown.slot, slot))
        }
        Focus::DeadLetterQueue => {
            let Some(letter) = look.letters.get(shown.letter) else { return };
            (format!("{} of {}", shown.letter + 1, look.letters.len()), of_letter(letter))
        }
    };
    let lines = folded(&lines, usize::from(area.width.saturating_sub(2)));
    let longest = lines.len().saturating_sub(usize::from(area.height.saturating_sub(1)));
    shown.scroll = shown.scroll.min(u16::try_from(longest).unwrap_or(u16::MAX));
    let block = titled(format!(" {title} ")).padding(Padding::horizontal(1));
    frame.render_widget(Paragraph::new(lines).block(block).scroll((shown.scroll, 0)), area);
}

/// Lines that are no wider than that, broken wherever that is: most of it is JSON, and how many lines there are has to
/// be known.
fn folded(lines: &[(String, Style)], width: usize) -> Vec<Line<'static>> {
    let mut folded = Vec::new();
    for (text, style) in lines {
        let (mut piece, mut used) = (String::new(), 0);
        for c in text.chars() {
            let more = Span::raw(c.encode_utf8(&mut [0; 4]) as &str).width();
            if used + more > width && used > 0 {
                folded.push(Line::styled(std::mem::take(&mut piece), *style));
                used = 0;
            }
            piece.push(c);
            used += more;
        }
        folded.push(Line::styled(piece, *style));
    }
    folded
}

fn of_slot(slots: &[SlotStatus], number: usize, slot: &SlotStatus) -> Vec<(String, Style)> {
    if slot.gives.is_empty() {
        return vec![("empty: it passes on what it is given".to_owned(), DIM)];
    }
    let mut words =
        vec![format!("({}) → {}", slot.takes.join(", "), slot.gives), format!("revision {}", slot.revision)];
    if slot.cell > 0 {
        words.push(format!("cell [{}]", slot.cell));
    }
    if slot.is_async {
        words.push("async".to_owned());
    }
    let settings = slot.settings.to_string();
    if !settings.is_empty() {
        words.push(settings);
    }
    let mut lines = vec![(one_line(&words.join(" · ")), Style::new())];
    let arrow = arrow(slots, number);
    if !arrow.told.is_empty() {
        let style = if slot.mismatch.is_empty() { WARN } else { BAD };
        lines.push((one_line(&arrow.told), style));
    }
    lines.push((
        format!(
            "{} ok, {} errored, {} skipped, {} called again; p50 {}, p99 {}, slowest {}",
            grouped(slot.ok),
            grouped(slot.errored),
            grouped(slot.skipped),
            grouped(slot.retried),
            nanos(slot.p50_ns),
            nanos(slot.p99_ns),
            nanos(slot.max_ns)
        ),
        DIM,
    ));
    lines.push((String::new(), DIM));
    lines.extend(text(&slot.code, BOLD));
    lines
}

fn of_letter(letter: &DeadLetter) -> Vec<(String, Style)> {
    let heading = |name: &str| (format!("{name}:"), DIM);
    let mut about = format!("{} in {}, revision {}", letter.kind, letter.slot, letter.revision);
    if !letter.oid.is_empty() {
        about.push_str(&format!(" · message {}", letter.oid));
    }
    if letter.retries > 0 {
        about.push_str(&format!(" · retried {} times in vain", letter.retries));
    }
    let mut lines = vec![(one_line(&about), Style::new())];
    lines.extend(text(&letter.error, BAD));
    lines.push(heading("input"));
    lines.extend(text(&indented(&letter.input), Style::new()));
    if let Some(Content::Object(outputs)) = Json::new(&letter.outputs).content() {
        let outputs = outputs.distinct();
        if !outputs.is_empty() {
            lines.push(heading("outputs so far"));
        }
        for (slot, value) in outputs {
            lines.extend(text(&format!("{slot} = {}", indented(value.raw())), Style::new()));
        }
    }
    lines
}

/// JSON as one reads it; what is none, or is long, as it is.
fn indented(json: &str) -> String {
    if json.len() > TEXT {
        return cut(json, TEXT);
    }
    match Json::new(json).content() {
        Some(Content::Text(text)) => text.decode().0.into_owned(),
        Some(_) => format!("{:#}", machine_engine::json::value(json)),
        None => json.to_owned(),
    }
}

/// Lines that move no cursor.
fn text(text: &str, style: Style) -> Vec<(String, Style)> {
    cut(text, TEXT).lines().map(|line| (one_line(line), style)).collect()
}
