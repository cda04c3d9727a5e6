//! Commands at the head of a cell that mean something else here than in evcxr: `:dep`, `:opt`, `:restart`, …

use super::super::command_names;
use super::super::definitions::Definitions;
use super::super::errors;
use super::super::rewrite::rust_start;
use super::Worker;
use crate::control::{Event, Printed};
use crate::output::CellError;

impl Worker {
    /// Carries out the commands that mean something else here than in evcxr, and returns the cell without them.
    pub(super) fn commands(&mut self, code: &str) -> Result<String, CellError> {
        let head = rust_start(code);
        let mut kept = String::with_capacity(code.len());
        for line in code.get(..head).unwrap_or_default().split_inclusive('\n') {
            let mut words = line.split_whitespace();
            let handled = match (words.next(), words.next()) {
                (Some(":quit"), _) => {
                    return Err(errors::plain(
                        "UsageError",
                        ":quit is not available here: shut the kernel down instead",
                    ));
                }
                (Some(":opt"), level) => {
                    let level = level.unwrap_or("2");
                    if !matches!(level, "0" | "1" | "2" | "3") {
                        return Err(errors::plain("UsageError", &format!(":opt takes 0, 1, 2 or 3, not `{level}`")));
                    }
                    self.base.set_level(level);
                    self.apply_base()?;
                    true
                }
                (Some(":restart"), _) => {
                    self.restart();
                    true
                }
                (Some(":clear"), _) => {
                    let _ = self.evaluate(":clear");
                    self.prelude = false;
                    self.definitions = Definitions::default();
                    self.registry.clear();
                    true
                }
                // Cargo is always asked offline; this says whether the registry may be asked for what is lacking.
                (Some(":offline"), value) => {
                    self.registry.allow(value != Some("1"));
                    true
                }
                (Some(":dep"), Some(name)) => {
                    let name = name.split('=').next().unwrap_or_default();
                    if self.base.without(name) {
                        self.apply_base()?;
                    }
                    false
                }
                // Once, whatever becomes of the rest: that may be compiled in more than one form.
                (Some(_), _) if line.starts_with('!') => {
                    let outputs =
                        self.evaluate(line).map_err(|error| errors::plain("CommandFailed", &error.to_string()))?;
                    if let Some(text) = outputs.get("text/plain") {
                        self.events.happen(Event::Stream { stream: Printed::Stdout, text: text.to_owned() });
                    }
                    true
                }
                (Some(command), argument) => match command_names::refusal(command, argument) {
                    Some(why) => return Err(errors::plain("UsageError", &why)),
                    None => false,
                },
                _ => false,
            };
            // An empty line in its place keeps the lines of the rest where they are.
            kept.push_str(if handled { "\n" } else { line });
        }
        kept.push_str(code.get(head..).unwrap_or_default());
        Ok(kept)
    }

    pub(super) fn apply_base(&mut self) -> Result<(), CellError> {
        let level = self.base.opt_level();
        match &mut self.context {
            Some(context) => {
                context.set_opt_level(&level).map_err(|error| errors::plain("UsageError", &error.to_string()))
            }
            None => Ok(()),
        }
    }
}
