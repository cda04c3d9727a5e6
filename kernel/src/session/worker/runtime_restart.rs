//! What goes with a runtime process that ends, and how the next one comes.

use super::Worker;
use evcxr::{CommandContext, Error};

impl Worker {
    pub(super) fn variables(&self) -> Vec<String> {
        let context = self.context.iter();
        let mut names: Vec<String> =
            context.flat_map(CommandContext::variables_and_types).map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    }

    /// What goes with the runtime process, for people.
    pub(super) fn lost(&self, variables: &[String]) -> String {
        let mut lost = Vec::new();
        for status in &self.machines {
            let slots: Vec<&str> =
                status.slots.iter().filter(|slot| !slot.code.is_empty()).map(|slot| slot.slot.as_str()).collect();
            if !slots.is_empty() || status.queue_size > 0 {
                let slots = if slots.is_empty() { "no slots".to_owned() } else { slots.join(", ") };
                let queue = status.queue_size;
                lost.push(format!("machine `{}` with {slots} and {queue} waiting messages", status.machine));
            }
        }
        if !variables.is_empty() {
            lost.push(format!("variables: {}", variables.join(", ")));
        }
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join("; ") };
        format!("lost: {lost}\nkept: functions, types, imports, dependencies; the next cell has a new, empty machine")
    }

    /// A runtime process died. While a cell runs its evaluation notices; otherwise it is restarted here.
    pub(super) fn runtime_lost(&mut self, pid: u32) {
        let Some(context) = &self.context else { return };
        // After a cell's crash evcxr has started another one already.
        if context.process_handle().lock().is_ok_and(|process| process.id() != pid) {
            return;
        }
        let variables = self.variables();
        let how = self.restart();
        let lost = self.lost(&variables);
        self.events.warn(&format!("The process that runs the cells died between two cells: {how}\n{lost}"));
        self.machines.clear();
    }

    /// Starts a new runtime process; returns how the old one ended. evcxr's own restart keeps variables that are
    /// gone, but what it does after a death is right.
    pub(super) fn restart(&mut self) -> String {
        if let Some(context) = &mut self.context {
            let handle = context.process_handle();
            if let Ok(mut process) = handle.lock() {
                let _ = process.kill();
            }
        }
        match self.evaluate("{ let _ = 1; }") {
            Err(Error::SubprocessTerminated(text)) => died(&text),
            _ => String::new(),
        }
    }
}

/// How a process ended, from evcxr's words.
pub(super) fn died(text: &str) -> String {
    let status = text.split_once("terminated with status: ").map_or(text, |(_, status)| status).trim();
    match status.strip_prefix("signal: ") {
        Some(signal) if signal.contains("SIGSEGV") => {
            format!("signal {signal}: an invalid memory access, or a stack overflow")
        }
        Some(signal) => format!("signal {signal}"),
        None => status.to_owned(),
    }
}
