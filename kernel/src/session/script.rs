//! A script: statements that are compiled as those of a cell, in a file. What the compiler says of them is told on what
//! the user wrote.

use super::edits::{Edited, offset_of};
use super::errors::{Label, message_of, notes, readable, render};
use super::rewrite::{self, ErrorText, Form, Variables};
use super::statics::Exports;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Level, Renderer};
use serde_json::Value;

/// A script and its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Edited);

impl Script {
    /// Rewrites the statements of a script, `prelude` before them.
    pub fn new(statements: &str, prelude: &str) -> Self {
        let form = Form { errors: ErrorText::Best, variables: Variables::AsWritten, statics: &Exports::new() };
        Self(rewrite::rewrite(statements, 0, prelude, form).edited)
    }

    /// What is compiled. It has the same lines.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Which columns of what is compiled are which of the user's, as `machine_engine::script::columns` reads it.
    pub fn columns(&self) -> String {
        let rows = self.0.columns().into_iter();
        let rows = rows.map(|(line, column, users, kept)| format!("{line},{column},{users},{}", u8::from(kept)));
        rows.collect::<Vec<_>>().join(" ")
    }

    /// A diagnostic of rustc as JSON, drawn on the script, which the compiler and the user call `name`. `None` if no
    /// part of it is about the script.
    pub fn told(&self, diagnostic: &Value, name: &str, colours: bool) -> Option<String> {
        let text = |pointer: &str| diagnostic.pointer(pointer).and_then(Value::as_str);
        let spans = diagnostic.get("spans").and_then(Value::as_array)?;
        let labels: Vec<Label> = spans.iter().filter_map(|span| self.label(span, name)).collect();
        if labels.is_empty() {
            return None;
        }
        let message = text("/message")?;
        let level = if text("/level") == Some("warning") { Level::WARNING } else { Level::ERROR };
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
        let title = message_of(message);
        let title = level.primary_title(title.as_str());
        let notes = notes(message, diagnostic);
        Some(render(title, text("/code/code"), &labels, &notes, &self.0, name, &renderer))
    }

    /// A span in the user's text; of what a macro has made, the place of its call.
    fn label(&self, span: &Value, name: &str) -> Option<Label> {
        let mut place = span;
        while place.get("file_name").and_then(Value::as_str) != Some(name) {
            place = place.pointer("/expansion/span")?;
        }
        let offset = |line: &str, column: &str| {
            let number = |name: &str| usize::try_from(place.get(name)?.as_u64()?).ok();
            Some(offset_of(&self.0.text, number(line)?, number(column)?))
        };
        let (start, end) = (offset("line_start", "column_start")?, offset("line_end", "column_end")?);
        let said = span.get("label").and_then(Value::as_str).unwrap_or_default();
        Some(Label {
            range: self.0.range_to_source(start..end.max(start)),
            text: if said.contains("evcxr_") { String::new() } else { readable(said) },
            primary: span.get("is_primary").and_then(Value::as_bool).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    /// A diagnostic about the first place of `what` in what is compiled.
    fn about(script: &Script, what: &str, expansion: bool) -> Value {
        let before = script.text().split(what).next().unwrap_or_default();
        let (line, start) = (before.lines().count(), before.lines().last().map_or(0, |line| line.chars().count()) + 1);
        let place = json!({
            "file_name": "/dir/p.rs", "is_primary": true, "label": "no implementation",
            "line_start": line, "line_end": line, "column_start": start, "column_end": start + what.chars().count(),
        });
        let inside = json!({ "file_name": "/std/macros.rs", "is_primary": true, "label": "here", "expansion": { "span": place } });
        json!({
            "message": "cannot add `&str` to `u64`", "level": "error", "code": { "code": "E0277" },
            "spans": [if expansion { inside } else { place }],
            "children": [{ "level": "help", "message": "try something else", "spans": [] }],
        })
    }

    #[test]
    fn an_error_is_drawn_on_what_the_user_wrote() {
        let script = Script::new("let é = 1;\nMACHINE[0] = |x: u64| x + \"a\";\nlet y = 2;", "fn script() { ");
        assert!(script.text().contains("cell::assign"));
        expect![[r#"
            error[E0277]: cannot add `&str` to `u64`
             --> /dir/p.rs:2:25
              |
            2 | MACHINE[0] = |x: u64| x + "a";
              |                         ^ no implementation
              |
              = help: try something else"#]]
        .assert_eq(&script.told(&about(&script, "+", false), "/dir/p.rs", false).unwrap_or_default());
        let told = script.told(&about(&script, "y = 2", true), "/dir/p.rs", false);
        assert!(told.is_some_and(|told| told.contains("3 | let y = 2;") && told.contains("^ here")));
    }

    #[test]
    fn what_is_about_another_file_is_left_to_the_compiler() {
        let script = Script::new("let x = 1;", "");
        assert_eq!(script.told(&about(&script, "1", false), "/dir/other.rs", false), None);
        assert_eq!(script.told(&json!({ "message": "aborting", "spans": [] }), "/dir/p.rs", false), None);
    }
}
