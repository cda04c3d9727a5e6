//! What kind of cell it is: that decides where it runs.

/// The kind of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Nothing but white space.
    Empty,
    /// `NAME?` or `?NAME`: help in the pager.
    Help(String),
    /// Magics only: they need not wait for a running cell.
    Magics,
    /// Rust, perhaps after magic lines.
    Rust,
}

impl CellKind {
    /// The kind of this cell.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let mut lines =
            code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).peekable();
        if code.trim().is_empty() {
            Self::Empty
        } else if let Some(name) = help_name(code.trim()) {
            Self::Help(name)
        } else if crate::magic::has_body(code)
            || (lines.peek().is_some_and(|first| first.starts_with('%') && !first.starts_with("%%"))
                && lines.all(|line| line.starts_with('%')))
        {
            Self::Magics
        } else {
            Self::Rust
        }
    }
}

/// The name that help is wanted for. `foo()?` is Rust; only a path or a magic's name asks for help.
fn help_name(code: &str) -> Option<String> {
    let name = code.strip_suffix('?').or_else(|| code.strip_prefix('?'))?.trim();
    let path = name.trim_start_matches('%');
    let is_path = path.starts_with(|it: char| it.is_alphabetic() || it == '_')
        && path.chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | ':' | '.' | '!'));
    is_path.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: &CellKind) {
        assert_eq!(CellKind::of(code), *expected, "{code:?}");
    }

    #[test]
    fn magics_stand_alone() {
        check("", &CellKind::Empty);
        check(" \n\t", &CellKind::Empty);
        check("%status", &CellKind::Magics);
        check("\n// look:\n  %status\n%errors 3\n", &CellKind::Magics);
        check("%%sql\nSELECT 1", &CellKind::Magics);
        for rust in ["1 + 1", "// a comment", "%start\nlet x = 1;", "let x = 7\n% 2;", "%%time\n1 + 1", "%%time"] {
            check(rust, &CellKind::Rust);
        }
    }

    #[test]
    fn help_is_asked_for_by_name() {
        check("%status?", &CellKind::Help("%status".to_owned()));
        check("?Vec::push", &CellKind::Help("Vec::push".to_owned()));
        for rust in ["MACHINE.put(1)?", "a + b?", "?", "x?;"] {
            check(rust, &CellKind::Rust);
        }
    }
}
