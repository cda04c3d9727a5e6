//! Completion and inspection.

use super::super::analyser::CURSOR;
use super::super::rewrite::annotated;
use super::super::{Completion, Completions};
use super::{PRELUDE, Worker};
use crate::output::Display;
use serde_json::Value;
use std::time::Duration;

/// How long the analyser may take. The front end's request has waited for the session before.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

impl Worker {
    /// What could stand at a place: of rust-analyzer with the standard library once it is ready, of evcxr's without it
    /// until then.
    pub(super) fn complete(&mut self, code: &str, offset: usize) -> Completions {
        if self.analyser.is_ready()
            && let Some(source) = self.source_with_cursor(code, offset)
            && let Some(found) = self.analyser.completions(source, ANSWER_TIMEOUT)
        {
            let items = found.items.into_iter().map(|item| Completion { text: item.text, kind: item.kind }).collect();
            let (start, end) = (offset.saturating_sub(found.before), (offset + found.after).min(code.len()));
            return Completions { start, end, items };
        }
        self.complete_without_library(code, offset)
    }

    fn complete_without_library(&mut self, code: &str, offset: usize) -> Completions {
        let nothing = Completions { start: offset, end: offset, items: Vec::new() };
        let edited = annotated(code, if self.prelude { "" } else { PRELUDE });
        let Some(context) = &mut self.context else { return nothing };
        let Ok(found) = context.completions(&edited.text, edited.to_text(offset)) else { return nothing };
        let (start, end) =
            (edited.to_source(found.start_offset).min(offset), edited.to_source(found.end_offset).max(offset));
        let items = found.completions.into_iter();
        let items = items.map(|item| Completion { text: item.code, kind: item.kind.to_owned() }).collect();
        Completions { start, end, items }
    }

    pub(super) fn inspect(&mut self, code: &str, offset: usize) -> Option<Display> {
        let rest = code.get(offset..)?;
        let end = offset + rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let mut display = Display::default();
        if self.analyser.is_ready()
            && let Some(source) = self.source_with_cursor(code, end)
            && let Some((text, markdown)) = self.analyser.hover(source, ANSWER_TIMEOUT)
        {
            display.data.insert("text/plain".to_owned(), Value::String(text));
            display.data.insert("text/markdown".to_owned(), Value::String(markdown));
            return Some(display);
        }
        let (text, html) = self.context.as_mut()?.hover_at(code, end).ok()?;
        if text.is_empty() || text == "No documentation found" {
            return None;
        }
        display.data.insert("text/plain".to_owned(), Value::String(text));
        display.data.insert("text/html".to_owned(), Value::String(html));
        Some(display)
    }

    /// The source that evcxr makes of the session and a cell, with a mark where the cursor is. evcxr writes it for its own
    /// analyser.
    fn source_with_cursor(&mut self, code: &str, offset: usize) -> Option<String> {
        let edited = annotated(code, if self.prelude { "" } else { PRELUDE });
        let (head, tail) = edited.text.split_at_checked(edited.to_text(offset))?;
        let marked = format!("{head}{CURSOR}{tail}");
        let context = self.context.as_mut()?;
        context.completions(&marked, head.len()).ok()?;
        context.last_source().ok().filter(|source| source.contains(CURSOR))
    }
}
