//! Help.

use super::text::{Align, table};
use crate::output::Display;
use maud::html;

/// Help on one magic.
pub struct Help<'a> {
    /// How it is written.
    pub usage: &'a str,
    /// What it shows or does.
    pub summary: &'a str,
    /// More.
    pub details: &'a str,
    /// A line that can be run.
    pub example: &'a str,
    /// Each argument and what it means.
    pub arguments: Vec<[String; 2]>,
}

/// Help on one magic.
#[must_use]
pub fn help(help: &Help<'_>) -> Display {
    let html = html! {
        p { code { (help.usage) } }
        p { (help.summary) ". " (help.details) }
        table {
            tbody {
                @for [argument, meaning] in &help.arguments {
                    tr {
                        td style="text-align:left" { code { (argument) } }
                        td style="text-align:left" { (meaning) }
                    }
                }
            }
        }
        p { "For example " code { (help.example) } }
    };
    let mut text = format!("{}\n{}. {}\n\n", help.usage, help.summary, help.details);
    let width = help.arguments.iter().map(|[argument, _]| argument.chars().count()).max().unwrap_or(0);
    for [argument, meaning] in &help.arguments {
        text.push_str(&format!("  {argument:<width$}  {meaning}\n"));
    }
    text.push_str(&format!("\nfor example: {}\n", help.example));
    super::html_and_text(&html, &text)
}

/// A table of code and what it means, and a line below.
#[must_use]
pub fn two_columns(header: [&str; 2], rows: Vec<[String; 2]>, below: &str) -> Display {
    let html = html! {
        table {
            thead { tr { @for name in header { th { (name) } } } }
            tbody {
                @for [code, meaning] in &rows {
                    tr {
                        td style="text-align:left" { code { (code) } }
                        td style="text-align:left" { (meaning) }
                    }
                }
            }
        }
        p { (below) }
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    let text = format!("{}{below}\n", table(&header.map(|name| (name, Align::Left)), &rows));
    super::html_and_text(&html, &text)
}
