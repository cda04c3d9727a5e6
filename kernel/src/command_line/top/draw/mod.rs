//! What `machine top` draws: all of it from the [`View`], for a terminal of any size.

mod curves;
mod details;
mod figures;
mod list;
mod slots;

use super::view::{Focus, Page, Shown, View};
use crate::display::one_line;
use crate::watch::Action;
use figures::notices;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell};

/// What is not looked at first.
const DIM: Style = Style::new().fg(Color::DarkGray);
/// Names.
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Errors.
const BAD: Style = Style::new().fg(Color::Red);
/// What one should know.
const WARN: Style = Style::new().fg(Color::Yellow);
/// All is well.
const GOOD: Style = Style::new().fg(Color::Green);
/// What is chosen, in the list that the arrow keys move in.
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The height of the boxes.
const BOXES: u16 = 3;
/// The least height for what is drawn besides numbers.
const ROOMY: u16 = 16;
/// The least height for empty lines in between.
const AIRY: u16 = 30;
/// The height of curves, with their titles.
const CURVES: u16 = 4;
/// The height that dead letters have at least, with their title.
const LETTERS: u16 = 4;

/// Draws everything.
pub fn draw(view: &mut View, frame: &mut Frame<'_>) {
    let [body, told, keys] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(u16::from(!view.told.text.is_empty())),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    match &mut view.page {
        Page::List(machines, line) => list::draw(machines, *line, frame, body),
        Page::Machine(shown) => machine(shown, frame, body),
    }
    let style = if view.told.failed { BAD } else { WARN };
    frame.render_widget(Line::styled(format!(" {}", one_line(&view.told.text)), style), told);
    frame.render_widget(foot(view, keys.width), keys);
    if view.help {
        list::help(frame);
    }
}

fn machine(shown: &mut Shown, frame: &mut Frame<'_>, area: Rect) {
    let used = u16::try_from(shown.used()).unwrap_or(u16::MAX);
    let Some(look) = &shown.look else {
        frame.render_widget(figures::title(&shown.found, None), area);
        return;
    };
    let figures = figures::figures(look, area.width);
    let notices = notices(&look.status);
    let height = |lines: &[Line<'_>]| u16::try_from(lines.len()).unwrap_or(u16::MAX);
    // What is always there comes first; slots, curves and dead letters share what is left.
    let boxes = if used > 0 && area.height >= ROOMY { BOXES } else { 0 };
    let gap = u16::from(area.height >= AIRY);
    let fixed = 2 + height(&figures) + height(&notices) + boxes + 3 * gap;
    let left = area.height.saturating_sub(fixed);
    let letters = if shown.letters() > 0 { LETTERS.min(left / 3 + 1) } else { 0 };
    let table = if used > 0 { (used + 1).min(left.saturating_sub(letters + CURVES)).max(3.min(used + 1)) } else { 0 };
    let curves = if left >= table + letters + CURVES {
        // Without dead letters there is room.
        if letters == 0 { (left - table).min(2 * CURVES) } else { CURVES }
    } else {
        0
    };
    let [title, numbers, told, queue, row, body] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height(&figures)),
        Constraint::Length(height(&notices)),
        Constraint::Length(1 + gap),
        Constraint::Length(boxes + gap),
        Constraint::Min(0),
    ])
    .areas(area);
    frame.render_widget(figures::title(&shown.found, Some(&look.status)), title);
    frame.render_widget(Text::from(figures), numbers);
    frame.render_widget(Text::from(notices), told);
    figures::queue(look, frame, queue);
    slots::boxes(shown, frame, row);
    if shown.open {
        let list = match shown.focus {
            Focus::Slots => table,
            // Some lines, to choose another one while it is unfolded.
            Focus::DeadLetterQueue => LETTERS,
        };
        let [list, text] =
            Layout::vertical([Constraint::Length(list.min(body.height / 2)), Constraint::Min(0)]).areas(body);
        match shown.focus {
            Focus::Slots => slots::table(shown, frame, list),
            Focus::DeadLetterQueue => details::letters(shown, frame, list),
        }
        details::unfolded(shown, frame, text);
        return;
    }
    let [table, past, letters] =
        Layout::vertical([Constraint::Length(table), Constraint::Length(curves), Constraint::Min(0)])
            .spacing(gap)
            .areas(body);
    slots::table(shown, frame, table);
    curves::draw(shown, frame, past);
    if shown.letters() > 0 {
        details::letters(shown, frame, letters);
    }
}

/// The name of a row. Only the name of what is chosen stands out, so that colours keep their meaning.
fn chosen(sign: &str, name: &str, is_chosen: bool) -> Cell<'static> {
    Cell::from(Line::from(vec![
        Span::raw(format!("{sign} ")),
        Span::styled(name.to_owned(), if is_chosen { CHOSEN } else { BOLD }),
    ]))
}

/// A rule with a title over something.
fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(DIM).title(Line::styled(title, DIM))
}

/// The keys that are of use, the most useful first: what has no room is in the help.
type Keys<const N: usize> = [(&'static str, &'static str); N];
const KEYS_RUNNING: Keys<8> = [
    ("q", "quit"),
    ("?", "help"),
    ("p", "pause"),
    ("d", "drain"),
    ("x", "stop"),
    ("↑↓", "slot"),
    ("Enter", "unfold"),
    ("n", "next machine"),
];
const KEYS_HELD: Keys<7> = [
    ("q", "quit"),
    ("?", "help"),
    ("s", "start"),
    ("t", "step"),
    ("↑↓", "slot"),
    ("Enter", "unfold"),
    ("n", "next machine"),
];
const KEYS_RUNNING_LETTERS: Keys<9> = [
    ("q", "quit"),
    ("?", "help"),
    ("p", "pause"),
    ("d", "drain"),
    ("x", "stop"),
    ("Tab", "letters"),
    ("Enter", "unfold"),
    ("r", "retry"),
    ("R", "retry all"),
];
const KEYS_HELD_LETTERS: Keys<8> = [
    ("q", "quit"),
    ("?", "help"),
    ("s", "start"),
    ("t", "step"),
    ("Tab", "letters"),
    ("Enter", "unfold"),
    ("r", "retry"),
    ("R", "retry all"),
];

/// What the keys do, or what is asked.
fn foot(view: &View, width: u16) -> Line<'static> {
    let name = match &view.page {
        Page::Machine(shown) => one_line(&shown.found.name.machine),
        Page::List(..) => String::new(),
    };
    let question = match &view.asked {
        Some(Action::Stop) => Some(format!(" stop {name}? its queue is kept: y or any other key")),
        Some(_) => Some(format!(" retry all dead letters of {name}? y or any other key")),
        None => None,
    };
    if let Some(question) = question {
        return Line::styled(question, WARN.add_modifier(Modifier::BOLD));
    }
    let keys: &[(&str, &str)] = match &view.page {
        Page::List(..) => &[("q", "quit"), ("?", "help"), ("↑↓", "choose"), ("Enter", "show")],
        Page::Machine(shown) => {
            let runs = shown.look.as_ref().is_some_and(|look| look.status.running);
            match (runs, shown.letters() > 0) {
                (true, true) => &KEYS_RUNNING_LETTERS,
                (true, false) => &KEYS_RUNNING,
                (false, true) => &KEYS_HELD_LETTERS,
                (false, false) => &KEYS_HELD,
            }
        }
    };
    let mut line = Line::default();
    for (key, what) in keys {
        if line.width() + key.chars().count() + what.chars().count() + 2 > usize::from(width) {
            break;
        }
        line.push_span(Span::styled(format!(" {key}"), BOLD));
        line.push_span(Span::styled(format!(" {what}"), DIM));
    }
    line
}
