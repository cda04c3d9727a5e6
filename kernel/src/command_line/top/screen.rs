//! The terminal: taken over while `top` runs, and given back as it was, however that ends.

use super::Event;
use crate::command_line::outcome::{Failed, Outcome};
use ratatui::backend::TermionBackend;
use ratatui::termion::input::TermRead;
use ratatui::termion::raw::{IntoRawMode, RawTerminal};
use ratatui::termion::screen::{AlternateScreen, IntoAlternateScreen};
use ratatui::{Frame, Terminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use std::io::{self, Stdout, Write};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

type Backend = TermionBackend<AlternateScreen<RawTerminal<Stdout>>>;

/// The terminal in raw mode, on its other screen. What it was before comes back when this is dropped.
pub struct Screen(Option<Terminal<Backend>>);

impl Screen {
    /// Takes the terminal over. Keys and signals are told from now on.
    pub fn open(tell: &Sender<Event>) -> Result<Self, Failed> {
        let mut signals = Signals::new([SIGWINCH, SIGINT, SIGTERM, SIGHUP]).map_err(broken)?;
        let screen = io::stdout().into_raw_mode().and_then(IntoAlternateScreen::into_alternate_screen);
        let mut terminal = Terminal::new(TermionBackend::new(screen.map_err(broken)?)).map_err(broken)?;
        terminal.hide_cursor().map_err(broken)?;
        // From here on, whatever fails gives the terminal back.
        let screen = Self(Some(terminal));
        let to = tell.clone();
        let resized = move || {
            for signal in signals.forever() {
                let event = if signal == SIGWINCH { Event::Resized } else { Event::End };
                if to.send(event).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("top-signals".to_owned()).spawn(resized).map_err(broken)?;
        let to = tell.clone();
        let keys = move || {
            // What is no key, and what cannot be read as one, is left out.
            let keys = io::stdin().keys().map_while(Result::ok);
            let all_told = keys.map(Event::Key).try_for_each(|event| to.send(event));
            // The end of the keys is that of the terminal.
            let _ = all_told.and_then(|()| to.send(Event::End));
        };
        std::thread::Builder::new().name("top-keys".to_owned()).spawn(keys).map_err(broken)?;
        Ok(screen)
    }

    /// Draws; only what has changed is written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failed> {
        match &mut self.0 {
            Some(terminal) => terminal.draw(draw).map(drop).map_err(broken),
            None => Ok(()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(mut terminal) = self.0.take() {
            let _ = terminal.show_cursor();
        }
        // What gives the terminal back is written now, before anything else is told.
        let _ = io::stdout().flush();
    }
}

fn broken(error: io::Error) -> Failed {
    Failed::new("no_terminal", format!("the terminal cannot be used: {error}"))
}

/// Runs what draws on the terminal. A panic is told when the terminal has been given back: on the other screen nobody
/// would see it.
pub fn guarded(run: impl FnOnce() -> Outcome) -> Outcome {
    let message: Arc<Mutex<Option<String>>> = Arc::default();
    let keep = Arc::clone(&message);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        keep.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| panic.to_string());
    }));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(before);
    let message = message.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, message) {
        (Ok(outcome), None) => outcome,
        // One on another thread counts, too: what it was to do is not done any more.
        (_, message) => Err(Failed::new("bug", message.unwrap_or_default())),
    }
}
