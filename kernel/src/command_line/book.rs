//! The reference pages of the book, from the tables that the kernel works with.

use super::arguments;
use crate::display;
use crate::magic::{self, Magic};
use clap::ValueEnum;
use std::fmt::Write;

/// A generated page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// `docs/src/magics.md`
    Magics,
    /// `docs/src/command-line.md`
    Commands,
}

impl Page {
    /// The generated part of the page, in Markdown: what follows its marker.
    pub fn text(self) -> String {
        match self {
            Self::Magics => magic::MAGICS.iter().map(of_magic).collect::<Vec<_>>().join("\n"),
            Self::Commands => commands(),
        }
    }
}

fn of_magic(magic: &Magic) -> String {
    let mut text = format!(
        "## `{}`\n\n{}.\n\n```text\n{}\n```\n",
        magic.written(),
        display::capital(magic.summary),
        magic.usage()
    );
    if !magic.details.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n", escaped(magic.details));
    }
    let arguments: Vec<String> = magic
        .all_parameters()
        .map(|parameter| {
            let written = format!("{} {}", parameter.names.join(", "), parameter.value);
            format!("| `{}` | {} |\n", written.trim().replace('|', "\\|"), escaped(parameter.help).replace('|', "\\|"))
        })
        .collect();
    if !arguments.is_empty() {
        let _ = write!(text, "\n| argument | |\n|---|---|\n{}", arguments.concat());
    }
    let _ = write!(text, "\nExample: `{}`\n", magic.example.replace('\n', "` · `"));
    text
}

fn commands() -> String {
    let mut line = arguments::command();
    line.build();
    let of_command = |command: &clap::Command| {
        let help = command.clone().term_width(100).render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        format!("## `machine {}`\n\n```text\n{}\n```\n", command.get_name(), help.join("\n").trim_end())
    };
    let visible = line.get_subcommands().filter(|command| !command.is_hide_set());
    visible.map(of_command).collect::<Vec<_>>().join("\n")
}

/// Text as Markdown that means nothing else.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test ends where it fails")]

    use super::Page;
    use expect_test::{ExpectFile, expect_file};

    /// `UPDATE_EXPECT=1` writes the page instead.
    fn check(page: Page, file: &ExpectFile, text: &str) {
        let Some((introduction, _)) = text.split_once("<!-- generated: ") else { panic!("the page has no marker") };
        let name = format!("{page:?}").to_lowercase();
        file.assert_eq(&format!("{introduction}<!-- generated: {name} -->\n\n{}", page.text()));
    }

    #[test]
    fn the_pages_of_the_book_are_what_the_tables_say() {
        let (magics, commands) = ("../../../docs/src/magics.md", "../../../docs/src/command-line.md");
        check(Page::Magics, &expect_file![magics], include_str!("../../../docs/src/magics.md"));
        check(Page::Commands, &expect_file![commands], include_str!("../../../docs/src/command-line.md"));
    }
}
