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
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders};

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
    let fixed = 2 + height(&figures) + height(&notices) + boxes;
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
        Constraint::Length(1),
        Constraint::Length(boxes),
        Constraint::Min(0),
    ])
    .areas(area);
    frame.render_widget(figures::title(&shown.found, Some(&look.status)), title);
    frame.render_widget(ratatui::text::Text::from(figures), numbers);
    frame.render_widget(ratatui::text::Text::from(notices), told);
    figures::queue(look, frame, queue);
    slots::boxes(shown, frame, row);
    if shown.open {
        let list = match shown.focus {
            Focus::Slots => table,
            // Some lines, to choose another one while it is unfolded.
            Focus::Letters => LETTERS,
        };
        let [list, text] =
            Layout::vertical([Constraint::Length(list.min(body.height / 2)), Constraint::Min(0)]).areas(body);
        match shown.focus {
            Focus::Slots => slots::table(shown, frame, list),
            Focus::Letters => details::letters(shown, frame, list),
        }
        details::unfolded(shown, frame, text);
        return;
    }
    let [table, past, letters] =
        Layout::vertical([Constraint::Length(table), Constraint::Length(curves), Constraint::Min(0)]).areas(body);
    slots::table(shown, frame, table);
    curves::draw(shown, frame, past);
    if shown.letters() > 0 {
        details::letters(shown, frame, letters);
    }
}

/// A rule with a title over something.
fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(DIM).title(Line::styled(title, DIM))
}

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
        Page::List(..) => &[("↑↓", "choose"), ("Enter", "show"), ("?", "help"), ("q", "quit")],
        Page::Machine(shown) if shown.letters() > 0 => &[
            ("s", "start"),
            ("p", "pause"),
            ("t", "step"),
            ("d", "drain"),
            ("x", "stop"),
            ("r", "retry"),
            ("Tab", "letters"),
            ("Enter", "unfold"),
            ("?", "help"),
            ("q", "quit"),
            ("R", "retry all"),
            ("n", "next"),
        ],
        Page::Machine(_) => &[
            ("s", "start"),
            ("p", "pause"),
            ("t", "step"),
            ("d", "drain"),
            ("x", "stop"),
            ("↑↓", "slot"),
            ("Enter", "unfold"),
            ("n", "next"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    let mut line = Line::default();
    for (key, what) in keys {
        // What has no room is in the help.
        if line.width() + key.chars().count() + what.chars().count() + 2 > usize::from(width) {
            break;
        }
        line.push_span(ratatui::text::Span::styled(format!(" {key}"), BOLD));
        line.push_span(ratatui::text::Span::styled(format!(" {what}"), DIM));
    }
    line
}
