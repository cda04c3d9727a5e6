//! Completion and inspection.

use super::super::rewrite::annotated;
use super::super::{Completion, Completions};
use super::{PRELUDE, Worker};
use crate::output::Display;
use serde_json::Value;

impl Worker {
    pub(super) fn complete(&mut self, code: &str, offset: usize) -> Completions {
        let nothing = Completions { start: offset, end: offset, items: Vec::new() };
        self.show_sources();
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
        self.show_sources();
        let end = offset + rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (text, html) = self.context.as_mut()?.hover_at(code, end).ok()?;
        if text.is_empty() || text == "No documentation found" {
            return None;
        }
        let mut display = Display::default();
        display.data.insert("text/plain".to_owned(), Value::String(text));
        display.data.insert("text/html".to_owned(), Value::String(html));
        Some(display)
    }
}
