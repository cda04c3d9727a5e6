//! `machine top`: a machine of this user, live in a terminal.
//!
//! What is shown is read from the counters of its process, as any other client reads them ([`poller`]), and keys send
//! the commands that the notebook's buttons send. All that happens comes as an [`Event`] to one thread, which changes
//! the [`View`] and draws it; whatever waits, waits on a separate thread.

mod draw;
mod keys;
mod poller;
mod screen;
mod view;

#[cfg(test)]
mod tests;

use super::control;
use super::outcome::{Failed, Outcome};
use crate::input::quote;
use machine_protocol::Error;
use poller::{Found, Look, Name, Poller};
use ratatui::termion::event::Key;
use screen::Screen;
use std::io::IsTerminal;
use std::sync::mpsc::{self, Sender};
use view::{Notice, UiCommand, View};

/// What happens.
enum Event {
    /// A key is pressed.
    Key(Key),
    /// A machine was looked at.
    Look(Box<Look>),
    /// All machines were looked at, for the list.
    Machines(Vec<Found>),
    /// The same, because the next one is wanted.
    Next(Vec<Found>),
    /// What was asked for has come to this.
    Notice(Notice),
    /// This machine cannot be looked at any more.
    Gone(Name, Error),
    /// The terminal has another size.
    Resized,
    /// The terminal is gone, or the process should end.
    End,
}

/// Shows a machine until `q`. Without a name: the only one, or a list to choose from.
pub fn run(name: Option<&str>) -> Outcome {
    let machine = name.map(control::find).transpose()?;
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let name = name.map_or_else(|| "NAME".to_owned(), quote);
        let message = format!("top draws in a terminal, and this is none; `machine status {name}` prints the state");
        return Err(Failed::Usage(message));
    }
    let (tell, told) = mpsc::channel();
    let mut view = View::default();
    let mut poller = match machine {
        Some((process, machine)) => {
            let found = Found::new(&process, machine);
            view.show(found.clone(), true);
            Poller::of_machine(found, Some(process), tell.clone())
        }
        None => {
            let machines = poller::machines();
            match machines.as_slice() {
                [] => return Err(Failed::new("no_such_machine", "no process of this user runs a machine")),
                [only] => {
                    view.show(only.clone(), true);
                    Poller::of_machine(only.clone(), None, tell.clone())
                }
                _ => {
                    view.list(machines);
                    Poller::of_all(tell.clone())
                }
            }
        }
    };
    screen::guarded(|| {
        let mut screen = Screen::open(&tell)?;
        loop {
            screen.draw(|frame| draw::draw(&mut view, frame))?;
            // The sender lives as long as this loop.
            let Ok(event) = told.recv() else { return Ok(String::new()) };
            match happen(event, &mut view, &mut poller, &tell) {
                Next::Draw => {}
                Next::Quit => return Ok(String::new()),
                Next::Fail(failure) => return Err(failure.into()),
            }
        }
    })
}

/// What follows from an event.
enum Next {
    Draw,
    Quit,
    Fail(Error),
}

fn happen(event: Event, view: &mut View, poller: &mut Poller, tell: &Sender<Event>) -> Next {
    let wish = match event {
        Event::End => return Next::Quit,
        Event::Resized => None,
        Event::Key(key) => keys::press(view, key),
        Event::Look(look) => {
            view.look(*look);
            None
        }
        Event::Machines(machines) => {
            view.machines(machines);
            None
        }
        Event::Next(machines) => view.next(&machines),
        Event::Notice(told) => {
            view.told = told;
            None
        }
        Event::Gone(name, _) if !view.shows(&name) => None,
        Event::Gone(_, failure) if view.is_alone() => return Next::Fail(failure),
        Event::Gone(_, failure) => {
            view.told = Notice { text: failure.to_string(), failed: true };
            Some(UiCommand::List)
        }
    };
    match wish {
        None => {}
        Some(UiCommand::Quit) => return Next::Quit,
        Some(UiCommand::Next) => poller::ask_for_next(tell.clone()),
        Some(UiCommand::List) => {
            view.list(Vec::new());
            *poller = Poller::of_all(tell.clone());
        }
        Some(UiCommand::Show(found)) => {
            view.show(found.clone(), view.is_alone());
            *poller = Poller::of_machine(found, None, tell.clone());
        }
        Some(UiCommand::Act(found, action)) => poller::act(found, action, tell.clone()),
    }
    Next::Draw
}
