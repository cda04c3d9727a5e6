//! What is done with each request.

use super::cells::{Cells, Completions};
use super::comms;
use super::contents::{AtCursor, Comm, Debug, History, IsComplete, Shutdown, Subshell};
use super::execute::Executor;
use super::info;
use super::is_complete::Completeness;
use super::position::{to_bytes, to_code_points};
use super::request::Request;
use super::subshells::Subshells;
use super::usage::Usage;
use crate::nesting::PARSER_STACK;
use crate::output::CellError;
use crate::watch::Watches;
use crate::wire::Ports;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use tokio::sync::mpsc::UnboundedSender;

/// Answers requests. All but the execution of Rust and what parses or searches is done at once, on the thread that received
/// the request: nothing there waits or takes long.
pub struct Dispatcher {
    cells: Arc<dyn Cells>,
    executor: Arc<Executor>,
    watches: Watches,
    subshells: Subshells,
    usage: Usage,
    ports: Ports,
    /// Completion and inspection have a separate thread: they may wait for the session.
    questions: Sender<Request>,
    /// What takes time by itself, and waits for nothing: parsing and searching.
    texts: Sender<Request>,
    /// Tells the main task to end; whether a new kernel follows.
    shutdown: UnboundedSender<bool>,
}

impl Dispatcher {
    /// A dispatcher and its threads.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn spawn(
        cells: Arc<dyn Cells>,
        executor: Arc<Executor>,
        watches: Watches,
        ports: Ports,
        shutdown: UnboundedSender<bool>,
    ) -> std::io::Result<Self> {
        let (at, session) = (Arc::clone(&executor), Arc::clone(&cells));
        let questions = answering("questions", move |request| answer(request, &*session, at.is_running()))?;
        let past = Arc::clone(&executor);
        let texts = answering("texts", move |request| match request.msg_type() {
            "is_complete_request" => Ok(Completeness::of(&request.content::<IsComplete>()?.code).reply()),
            _ => {
                let History { output, access } = request.content()?;
                Ok(past.with_history(|history| history.reply(&access, output)))
            }
        })?;
        let (subshells, usage) = (Subshells::default(), Usage::default());
        Ok(Self { cells, executor, watches, subshells, usage, ports, questions, texts, shutdown })
    }

    /// Does what a request asks for; does not wait.
    pub fn handle(&self, request: Request) {
        if let Some(name) = request.subshell().filter(|name| !self.subshells.has(name)) {
            let error = refusal("NoSuchSubshell", &format!("there is no subshell `{name}`"));
            request.busy();
            request.fail(&error);
            return request.idle();
        }
        match request.msg_type() {
            "execute_request" => self.executor.submit(request),
            "complete_request" | "inspect_request" => {
                // The thread ends only with this sender.
                let _ = self.questions.send(request);
            }
            "is_complete_request" | "history_request" => {
                // As above.
                let _ = self.texts.send(request);
            }
            _ => {
                let _span = request.span().entered();
                request.busy();
                match catch_unwind(AssertUnwindSafe(|| self.reply(&request))) {
                    Ok(Ok(Some(content))) => request.reply(content),
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => request.fail(&error),
                    Err(_) => request.fail(&refusal("InternalError", "a bug in the kernel")),
                }
                request.idle();
                // Last of all, so that reply and `idle` leave before the process ends.
                if request.msg_type() == "shutdown_request" {
                    let _ = self.shutdown.send(request.content::<Shutdown>().is_ok_and(|it| it.restart));
                }
            }
        }
    }

    /// The content of the reply, if there is to be one.
    fn reply(&self, request: &Request) -> Result<Option<Value>, CellError> {
        let content = match request.msg_type() {
            "kernel_info_request" => info::kernel_info(),
            "comm_info_request" => comms::info(&self.watches),
            "comm_open" => {
                comms::open(request, &request.content()?);
                return Ok(None);
            }
            "comm_msg" => {
                comms::message(request, &request.content()?, &self.watches);
                return Ok(None);
            }
            "comm_close" => {
                self.watches.close(&request.content::<Comm>()?.comm_id);
                return Ok(None);
            }
            "connect_request" => {
                let Ports { shell, control, stdin, iopub, heartbeat } = self.ports;
                json!({
                    "status": "ok", "shell_port": shell, "control_port": control, "stdin_port": stdin,
                    "iopub_port": iopub, "hb_port": heartbeat,
                })
            }
            "interrupt_request" => {
                self.interrupt();
                json!({ "status": "ok" })
            }
            "shutdown_request" => {
                let Shutdown { restart } = request.content()?;
                let content = json!({ "status": "ok", "restart": restart });
                request.publish("shutdown_reply", content.clone());
                content
            }
            "usage_request" => self.usage.reply(),
            "create_subshell_request" => self.subshells.create(),
            "list_subshell_request" => self.subshells.list(),
            "delete_subshell_request" => {
                let Subshell { subshell_id } = request.content()?;
                if !self.subshells.delete(&subshell_id) {
                    return Err(refusal("NoSuchSubshell", &format!("there is no subshell `{subshell_id}`")));
                }
                json!({ "status": "ok" })
            }
            "debug_request" => {
                let Debug { seq, command } = request.content().unwrap_or_default();
                json!({
                    "type": "response", "request_seq": seq, "seq": seq, "command": command, "success": false,
                    "message": "this kernel has no debugger",
                })
            }
            other => {
                tracing::warn!("request ignored: its type is `{other}`, which this kernel does not know");
                if !other.ends_with("_request") {
                    return Ok(None);
                }
                return Err(refusal("UnknownRequest", &format!("this kernel does not know the request `{other}`")));
            }
        };
        Ok(Some(content))
    }

    /// Asks the running cell to stop, if there is one.
    pub fn interrupt(&self) {
        if self.executor.is_running() {
            self.cells.interrupt();
        }
    }
}

/// A thread that replies to the requests that it is sent, one after the other. Its stack is one for parsers.
fn answering(
    name: &str,
    answer: impl Fn(&Request) -> Result<Value, CellError> + Send + 'static,
) -> std::io::Result<Sender<Request>> {
    let (sender, receiver) = channel::<Request>();
    std::thread::Builder::new().name(name.to_owned()).stack_size(PARSER_STACK).spawn(move || {
        for request in receiver {
            let _span = request.span().entered();
            request.busy();
            match catch_unwind(AssertUnwindSafe(|| answer(&request))) {
                Ok(Ok(content)) => request.reply(content),
                Ok(Err(error)) => request.fail(&error),
                Err(_) => request.fail(&refusal("InternalError", "a bug in the kernel")),
            }
            request.idle();
        }
    })?;
    Ok(sender)
}

/// The content of the reply to a completion or inspection request.
fn answer(request: &Request, cells: &dyn Cells, running: bool) -> Result<Value, CellError> {
    let AtCursor { code, cursor_pos } = request.content()?;
    let offset = to_bytes(&code, cursor_pos);
    if request.msg_type() == "inspect_request" {
        let display = cells.inspect(&code, offset, running);
        let found = display.is_some();
        let display = display.unwrap_or_default();
        return Ok(json!({ "status": "ok", "found": found, "data": display.data, "metadata": display.metadata }));
    }
    let Completions { start, end, items } = cells.complete(&code, offset, running);
    let (start, end) = (to_code_points(&code, start), to_code_points(&code, end));
    let matches: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
    let types: Vec<Value> =
        items.iter().map(|(text, kind)| json!({ "text": text, "type": kind, "start": start, "end": end })).collect();
    Ok(json!({
        "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end,
        "metadata": { "_jupyter_types_experimental": types },
    }))
}

fn refusal(ename: &str, evalue: &str) -> CellError {
    CellError { ename: ename.to_owned(), evalue: evalue.to_owned(), traceback: vec![evalue.to_owned()] }
}

#[cfg(test)]
mod tests;
