//! What is on the screen.

use super::poller::{Found, Look, Name};
use crate::watch::Action;

/// What there is to see.
#[derive(Debug, Default)]
pub struct View {
    /// All machines, or one.
    pub page: Page,
    /// The last thing that there is to tell.
    pub told: Notice,
    /// What is done if the answer is yes.
    pub asked: Option<Action>,
    /// Whether the keys are explained.
    pub help: bool,
    /// Whether there is no list to go back to.
    alone: bool,
}

/// All machines, or one.
#[derive(Debug)]
pub enum Page {
    /// All machines, and the line that is chosen.
    List(Vec<Found>, usize),
    /// One machine.
    Machine(Box<Shown>),
}

impl Default for Page {
    fn default() -> Self {
        Self::List(Vec::new(), 0)
    }
}

/// Something to tell.
#[derive(Debug, Default)]
pub struct Notice {
    /// In words; empty for nothing.
    pub text: String,
    /// Whether something failed.
    pub failed: bool,
}

/// One machine.
#[derive(Debug, Default)]
pub struct Shown {
    /// Which one.
    pub found: Found,
    /// Its last state; `None` before the first.
    pub look: Option<Look>,
    /// Which list the arrow keys move in.
    pub focus: Focus,
    /// The slot that is chosen.
    pub slot: usize,
    /// The dead letter that is chosen.
    pub letter: usize,
    /// Whether what is chosen is unfolded.
    pub open: bool,
    /// How far the unfolded text is scrolled, lines.
    pub scroll: u16,
}

/// Which list the arrow keys move in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The slots.
    #[default]
    Slots,
    /// The dead letters.
    DeadLetterQueue,
}

/// What a key asks for and the view cannot do itself.
#[derive(Debug)]
pub enum UiCommand {
    /// To end.
    Quit,
    /// The list of all machines.
    List,
    /// The machine after the one that is shown.
    Next,
    /// This machine.
    Show(Found),
    /// Something done to a machine.
    Act(Found, Action),
}

impl View {
    /// Shows the list.
    pub fn list(&mut self, machines: Vec<Found>) {
        self.page = Page::List(machines, 0);
    }

    /// Shows a machine; `alone` if there is no list to go back to.
    pub fn show(&mut self, found: Found, alone: bool) {
        self.alone = alone;
        self.asked = None;
        self.page = Page::Machine(Box::new(Shown { found, ..Shown::default() }));
    }

    /// Whether there is no list to go back to.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// A machine was looked at.
    pub fn look(&mut self, mut look: Look) {
        let Page::Machine(shown) = &mut self.page else { return };
        // One that is not shown any more may have been looked at last.
        if shown.found.name != look.name {
            return;
        }
        shown.keep_letter(&mut look);
        shown.look = Some(look);
    }

    /// Whether this machine is shown.
    pub fn shows(&self, name: &Name) -> bool {
        matches!(&self.page, Page::Machine(shown) if shown.found.name == *name)
    }

    /// All machines were looked at. The one that is chosen stays so.
    pub fn machines(&mut self, machines: Vec<Found>) {
        let Page::List(list, line) = &mut self.page else { return };
        let chosen = list.get(*line).map(|found| found.name.clone());
        *line = chosen.and_then(|name| place(&machines, &name)).unwrap_or(*line).min(machines.len().saturating_sub(1));
        *list = machines;
    }

    /// Of all machines, the one after the one that is shown.
    pub fn next(&mut self, machines: &[Found]) -> Option<UiCommand> {
        let Page::Machine(shown) = &self.page else { return None };
        let after = place(machines, &shown.found.name).map_or(0, |at| at + 1);
        let next = machines.get(after).or_else(|| machines.first())?;
        if next.name == shown.found.name {
            self.told = Notice { text: "there is no other machine".to_owned(), failed: false };
            return None;
        }
        Some(UiCommand::Show(next.clone()))
    }
}

fn place(machines: &[Found], name: &Name) -> Option<usize> {
    machines.iter().position(|found| found.name == *name)
}

impl Shown {
    /// How many slots are shown: up to the last one that is used.
    pub fn used(&self) -> usize {
        let slots = self.look.as_ref().map(|look| look.status.slots.as_slice()).unwrap_or_default();
        slots.iter().rposition(|slot| !slot.gives.is_empty()).map_or(0, |last| last + 1)
    }

    /// How many dead letters are shown.
    pub fn letters(&self) -> usize {
        self.look.as_ref().map_or(0, |look| look.letters.len())
    }

    /// The oid of the dead letter that is chosen.
    pub fn oid(&self) -> Option<&str> {
        let letter = self.look.as_ref()?.letters.get(self.letter)?;
        (!letter.oid.is_empty()).then_some(letter.oid.as_str())
    }

    /// The letter that is chosen stays so while newer ones come, once somebody has moved to it or unfolded it. Read is
    /// it also when it is none of the newest any more; if it is gone, the one in its place is chosen.
    fn keep_letter(&mut self, new: &mut Look) {
        let is_read = self.open && self.focus == Focus::DeadLetterQueue;
        let old = self.look.as_ref().and_then(|look| look.letters.get(self.letter));
        if let Some(old) = old.filter(|_| self.letter > 0 || is_read) {
            let place = new.letters.iter().position(|new| new.oid == old.oid && new.slot == old.slot);
            let is_older = new.status.dead_letters > new.letters.len() as u64;
            if place.is_none() && is_read && is_older {
                new.letters.push(old.clone());
                self.letter = new.letters.len();
            }
            self.letter = place.unwrap_or(self.letter);
        }
        self.letter = self.letter.min(new.letters.len().saturating_sub(1));
        if new.letters.is_empty() && self.focus == Focus::DeadLetterQueue {
            (self.focus, self.open) = (Focus::Slots, false);
        }
    }

    /// Moves by some lines in the list that has the focus.
    pub fn go(&mut self, lines: isize) {
        let (place, count) = match self.focus {
            Focus::Slots => (&self.slot, self.used()),
            Focus::DeadLetterQueue => (&self.letter, self.letters()),
        };
        let place = place.saturating_add_signed(lines).min(count.saturating_sub(1));
        match self.focus {
            Focus::Slots => self.slot = place,
            Focus::DeadLetterQueue => self.letter = place,
        }
        self.scroll = 0;
    }
}
