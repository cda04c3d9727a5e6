//! One run of a cell's library, and what evcxr is to know of it.
//!
//! What a program prints proves nothing: a slot may print what a stranger sent. So evcxr is sent what is known here
//! from events (the end of a run, and that the cell did not come to its own end), and a printed line counts only where
//! generated code may have printed it: from the cell's thread, at the right time, with a value that makes sense.

use super::protocol::Piece;
use std::collections::BTreeSet;

/// How far the run of a cell's library is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs.
    #[default]
    Idle,
    /// Generated code looks whether the session's variables are what they were.
    Loading,
    /// The cell's own code runs.
    Running,
    /// It has come to its end; what it leaves is stored or dropped.
    Left,
}

/// What becomes of a piece of what the cell's thread printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is text.
    Print,
    /// It is shown.
    Show,
    /// It is nobody's business.
    Drop,
    /// It is dropped if the cell did not come to its end, else it is text.
    Withhold,
    /// evcxr forgets the variable.
    Forget,
}

/// The run of a cell's library, and the cell that it is for: evcxr may run several libraries for one.
#[derive(Debug, Default)]
pub struct Run {
    phase: Phase,
    /// Whether a cell has been announced: what evcxr runs before is its own.
    announced: bool,
    /// Whether the cell's thread panicked outside of the cell's own code.
    panicked: bool,
    /// Variables of the session that evcxr has not been asked to forget for this cell.
    variables: BTreeSet<String>,
    /// Lines that generated code prints when the cell does not come to its end.
    withheld: Vec<Vec<u8>>,
}

impl Run {
    /// A cell is next, in a session with these variables.
    pub fn announce(&mut self, variables: BTreeSet<String>) {
        (self.announced, self.variables) = (true, variables);
    }

    /// How far the run is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// A library is about to run.
    pub fn begin(&mut self) {
        (self.phase, self.panicked) = (Phase::Loading, false);
    }

    /// The cell's own code runs from now on.
    pub fn enter(&mut self) {
        if self.phase == Phase::Loading {
            self.phase = Phase::Running;
        }
    }

    /// The cell's own code has come to its end.
    pub fn leave(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Left;
        }
    }

    /// The cell's thread panicked. In the cell's own code that means little: it may catch the panic, and if it does
    /// not, the cell does not come to its end.
    pub fn panicked(&mut self) {
        self.panicked |= matches!(self.phase, Phase::Loading | Phase::Left);
    }

    /// Decides on a piece of what the cell's thread printed.
    pub fn decide(&mut self, piece: Piece<'_>) -> Fate {
        match (piece, self.phase) {
            (Piece::Changed { name, .. }, Phase::Loading) if self.variables.remove(name) => Fate::Forget,
            (Piece::Input(_), Phase::Running) => Fate::Drop,
            (Piece::Content { .. }, Phase::Running) => Fate::Show,
            (Piece::Content { .. }, Phase::Loading) if !self.announced => Fate::Drop,
            (Piece::Panic(line) | Piece::Error(line), Phase::Loading | Phase::Running | Phase::Left)
                if !self.withheld.iter().any(|before| before == line) =>
            {
                self.withheld.push(line.to_vec());
                Fate::Withhold
            }
            _ => Fate::Print,
        }
    }

    /// The library's function is through. Returns whether the cell failed to come to its end; if it did not, `print`
    /// gets the lines that were not generated after all.
    pub fn finish(&mut self, mut print: impl FnMut(&[u8])) -> bool {
        let ended_early = self.phase == Phase::Running || self.panicked;
        for line in self.withheld.drain(..) {
            if !ended_early {
                print(&line);
            }
        }
        (self.phase, self.panicked) = (Phase::Idle, false);
        ended_early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: Piece<'_> = Piece::Panic(b"EVCXR_PANIC_NOTIFICATION\n");
    const CONTENT: Piece<'_> = Piece::Content { mime: "text/html", content: b"", whole: b"" };

    fn changed(name: &str) -> Piece<'_> {
        Piece::Changed { name, line: b"" }
    }

    fn run(variables: &[&str]) -> Run {
        let mut run = Run::default();
        run.announce(variables.iter().copied().map(str::to_owned).collect());
        run.begin();
        run
    }

    #[test]
    fn a_variable_is_forgotten_once_a_cell_before_it_is_entered_and_if_it_is_there() {
        let mut run = run(&["x", "y"]);
        assert_eq!(run.decide(changed("z")), Fate::Print);
        assert_eq!(run.decide(changed("x")), Fate::Forget);
        run.finish(|_| ());
        // evcxr runs the cell again, without the variable.
        run.begin();
        assert_eq!(run.decide(changed("x")), Fate::Print);
        run.enter();
        assert_eq!(run.decide(changed("y")), Fate::Print);
    }

    #[test]
    fn content_is_shown_between_enter_and_leave_alone() {
        let mut run = run(&[]);
        assert_eq!(run.decide(CONTENT), Fate::Print);
        run.enter();
        assert_eq!(run.decide(CONTENT), Fate::Show);
        run.leave();
        assert_eq!(run.decide(CONTENT), Fate::Print);
    }

    #[test]
    fn what_evcxr_tries_when_it_starts_is_nobodys_output() {
        let mut run = Run::default();
        run.begin();
        assert_eq!(run.decide(CONTENT), Fate::Drop);
    }

    #[test]
    fn a_cell_that_does_not_come_to_its_end_failed_without_a_word_of_generated_code() {
        let mut run = run(&[]);
        run.enter();
        assert_eq!(run.decide(PANIC), Fate::Withhold);
        let mut printed = 0;
        assert!(run.finish(|_| printed += 1));
        assert_eq!(printed, 0);
    }

    #[test]
    fn a_cell_that_prints_the_words_of_generated_code_has_printed_them() {
        let mut run = run(&[]);
        run.enter();
        assert_eq!(run.decide(PANIC), Fate::Withhold);
        assert_eq!(run.decide(PANIC), Fate::Print);
        run.panicked();
        run.leave();
        let mut printed = Vec::new();
        assert!(!run.finish(|line| printed.extend_from_slice(line)), "it caught its panic");
        assert_eq!(printed, b"EVCXR_PANIC_NOTIFICATION\n");
    }

    #[test]
    fn a_panic_before_or_after_the_cells_own_code_is_one() {
        let mut loading = run(&[]);
        loading.panicked();
        assert!(loading.finish(|_| ()));
        let mut left = run(&[]);
        left.enter();
        left.leave();
        left.panicked();
        assert!(left.finish(|_| ()));
        assert!(!run(&[]).finish(|_| ()), "only items");
    }

    #[test]
    fn between_cells_all_is_text() {
        let mut run = Run::default();
        for piece in [PANIC, CONTENT, changed("x"), Piece::Input(b"EVCXR_INPUT_REQUEST\n")] {
            assert_eq!(run.decide(piece), Fate::Print);
        }
    }
}
