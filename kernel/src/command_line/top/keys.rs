//! What each key does.

use super::poller::Found;
use super::view::{Focus, Page, Shown, UiCommand, View};
use crate::watch::Action;
use ratatui::termion::event::Key;

/// The keys, and what they do, as the help shows them.
pub const HELP: &[(&str, &str)] = &[
    ("s", "start: go on taking messages"),
    ("p", "pause: hold between two messages"),
    ("t", "step: take one message through, while it holds"),
    ("d", "drain: wait until the queue is empty"),
    ("x", "stop: end the workers, keep the queue; asks before"),
    ("r", "retry the chosen dead letter in the slots as they are now"),
    ("R", "retry all dead letters; asks before"),
    ("Tab", "between slots and dead letters"),
    ("↑ ↓", "choose; also k and j"),
    ("Enter", "unfold what is chosen; PgUp and PgDn scroll"),
    ("Esc", "back"),
    ("n", "next machine"),
    ("?", "these keys"),
    ("q", "quit; also Ctrl-C"),
];
/// How far the keys for pages go, lines.
const PAGE: u16 = 8;

/// A key is pressed.
pub fn press(view: &mut View, key: Key) -> Option<UiCommand> {
    if let Key::Char('q') | Key::Ctrl('c') = key {
        return Some(UiCommand::Quit);
    }
    view.told.text.clear();
    if std::mem::take(&mut view.help) {
        return None;
    }
    if let Some(action) = view.asked.take() {
        return match (&view.page, key) {
            (Page::Machine(shown), Key::Char('y' | 'Y')) => Some(UiCommand::Act(shown.found.clone(), action)),
            _ => None,
        };
    }
    if key == Key::Char('?') {
        view.help = true;
        return None;
    }
    let is_alone = view.is_alone();
    match &mut view.page {
        Page::List(machines, line) => in_list(machines, line, key),
        Page::Machine(shown) => match action(shown, key) {
            Some(action @ (Action::Stop | Action::Retry(None))) => {
                view.asked = Some(action);
                None
            }
            Some(action) => Some(UiCommand::Act(shown.found.clone(), action)),
            None => in_machine(shown, key, is_alone),
        },
    }
}

fn in_list(machines: &[Found], line: &mut usize, key: Key) -> Option<UiCommand> {
    match key {
        Key::Up | Key::Char('k') => *line = line.saturating_sub(1),
        Key::Down | Key::Char('j') => *line = (*line + 1).min(machines.len().saturating_sub(1)),
        Key::Char('\n') | Key::Right => return machines.get(*line).cloned().map(UiCommand::Show),
        Key::Esc => return Some(UiCommand::Quit),
        _ => {}
    }
    None
}

fn action(shown: &Shown, key: Key) -> Option<Action> {
    Some(match key {
        Key::Char('s') => Action::Start,
        Key::Char('p') => Action::Pause,
        Key::Char('t') => Action::Step,
        Key::Char('d') => Action::Drain,
        Key::Char('x') => Action::Stop,
        Key::Char('r') => Action::Retry(Some(shown.oid()?.to_owned())),
        Key::Char('R') if shown.letters() > 0 => Action::Retry(None),
        _ => return None,
    })
}

fn in_machine(shown: &mut Shown, key: Key, is_alone: bool) -> Option<UiCommand> {
    match key {
        Key::Up | Key::Char('k') => shown.go(-1),
        Key::Down | Key::Char('j') => shown.go(1),
        Key::PageUp if shown.open => shown.scroll = shown.scroll.saturating_sub(PAGE),
        // Drawing knows how long the text is.
        Key::PageDown if shown.open => shown.scroll = shown.scroll.saturating_add(PAGE),
        Key::PageUp => shown.go(-isize::from(PAGE.cast_signed())),
        Key::PageDown => shown.go(isize::from(PAGE.cast_signed())),
        Key::Char('\t') | Key::BackTab => {
            shown.focus = match shown.focus {
                Focus::Slots if shown.letters() > 0 => Focus::DeadLetterQueue,
                _ => Focus::Slots,
            };
            shown.scroll = 0;
        }
        Key::Char('\n') => {
            let is_something = match shown.focus {
                Focus::Slots => shown.used() > 0,
                Focus::DeadLetterQueue => shown.letters() > 0,
            };
            shown.open = is_something && !shown.open;
            shown.scroll = 0;
        }
        Key::Char('n') => return Some(UiCommand::Next),
        Key::Esc if shown.open => shown.open = false,
        Key::Esc | Key::Backspace if !is_alone => return Some(UiCommand::List),
        _ => {}
    }
    None
}
