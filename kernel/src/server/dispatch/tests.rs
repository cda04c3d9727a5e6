//! Requests in, replies and broadcasts out, without sockets and without a compiler: a stand-in runs the cells.

use super::{Cells, Completions, Dispatcher};
use crate::output::{CellError, Display, Output, Stream};
use crate::server::cells::Cell;
use crate::server::execute::Executor;
use crate::server::history::History;
use crate::server::request::Request;
use crate::watch::Watches;
use crate::wire::publish::{Publisher, SessionOutput};
use crate::wire::{Incoming, Ports, Queue, Sender, Sent};
use machine_protocol::{Error, ErrorKind};
use machine_testkit::Received;
use serde_json::{Value, json};
use std::sync::mpsc::{self, channel};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Runs cells by what is written in them: `wait` waits for an interrupt, `fail` fails, `crash` is a bug of the kernel;
/// all else is printed, and is its own value.
struct StandIn {
    /// A cell that waits has begun.
    began: mpsc::Sender<()>,
    interrupt: mpsc::Sender<()>,
    interrupted: Mutex<mpsc::Receiver<()>>,
}

impl Cells for StandIn {
    fn execute(&self, cell: &Cell<'_>, output: &dyn Output) -> Result<Option<Display>, CellError> {
        match cell.code {
            "wait" => {
                self.began.send(()).unwrap();
                self.interrupted.lock().unwrap().received();
                Err(error("KeyboardInterrupt"))
            }
            "fail" => Err(error("CompileError")),
            "crash" => panic!("a bug"),
            code => {
                output.stream(Stream::Stdout, code);
                Ok(Some(plain(&format!("{}: {code}", cell.number))))
            }
        }
    }

    fn magic(&self, code: &str, _output: &dyn Output) -> Result<Option<Display>, CellError> {
        Ok(Some(plain(code)))
    }

    fn complete(&self, code: &str, offset: usize, running: bool) -> Completions {
        let items =
            vec![("MACHINE".to_owned(), "static".to_owned()), (format!("running_{running}"), "local".to_owned())];
        Completions { start: code[..offset].rfind(' ').map_or(0, |space| space + 1), end: offset, items }
    }

    fn inspect(&self, code: &str, offset: usize, running: bool) -> Option<Display> {
        assert_ne!(code, "crash", "a bug");
        code[..offset].ends_with("MACHINE").then(|| plain(&format!("a machine, running: {running}")))
    }

    fn help(&self, name: &str, _running: bool) -> Option<Display> {
        (name == "%status").then(|| plain("shows the status"))
    }

    fn interrupt(&self) {
        self.interrupt.send(()).unwrap();
    }

    fn shutdown(&self, _restart: bool) {}
}

fn error(ename: &str) -> CellError {
    CellError { ename: ename.to_owned(), evalue: "why".to_owned(), traceback: vec!["where".to_owned()] }
}

fn plain(text: &str) -> Display {
    Display { data: [("text/plain".to_owned(), text.into())].into_iter().collect(), ..Display::default() }
}

/// A dispatcher whose replies and broadcasts come in one queue, in the order in which they leave.
struct Server {
    dispatcher: Dispatcher,
    replies: Sender,
    publisher: Arc<Publisher>,
    sent: Queue,
    /// What was read, and belongs to another request than the one that was looked for.
    others: Vec<Sent>,
    began: mpsc::Receiver<()>,
    shutdown: UnboundedReceiver<bool>,
    requests: usize,
}

impl Server {
    fn new() -> Self {
        let (replies, sent) = Sender::for_test();
        let publisher = Publisher::spawn(replies.clone()).unwrap();
        let output = Arc::new(SessionOutput::new(Arc::clone(&publisher)));
        let ((tell, began), (interrupt, interrupted)) = (channel(), channel());
        let cells = Arc::new(StandIn { began: tell, interrupt, interrupted: Mutex::new(interrupted) });
        let no_engine = |_| Err(Error::new(ErrorKind::NoSuchMachine, "there is no engine"));
        let watches = Watches::spawn(no_engine, Arc::clone(&publisher), output.clone()).unwrap();
        let executor = Executor::spawn(cells.clone(), Arc::clone(&publisher), output, History::open(None)).unwrap();
        let (end, shutdown) = unbounded_channel();
        let ports = Ports { shell: 1, control: 2, stdin: 3, iopub: 4, heartbeat: 5 };
        let dispatcher = Dispatcher::spawn(cells, Arc::new(executor), watches, ports, end).unwrap();
        Self { dispatcher, replies, publisher, sent, others: Vec::new(), began, shutdown, requests: 0 }
    }

    /// Sends a request; returns its number.
    fn send_to(&mut self, subshell: Option<&str>, msg_type: &str, content: Value) -> String {
        self.requests += 1;
        let id = format!("request {}", self.requests);
        let header = json!({ "msg_type": msg_type, "msg_id": id, "subshell_id": subshell });
        let message = Incoming::for_test(&header, &content);
        self.dispatcher.handle(Request::new(message, self.replies.clone(), Arc::clone(&self.publisher)));
        id
    }

    fn send(&mut self, msg_type: &str, content: Value) -> String {
        self.send_to(None, msg_type, content)
    }

    /// The next message that belongs to a request.
    #[track_caller]
    fn next_of(&mut self, id: &str) -> Sent {
        if let Some(at) = self.others.iter().position(|sent| sent.parent["msg_id"] == id) {
            return self.others.remove(at);
        }
        loop {
            let sent = self.sent.next();
            if sent.parent["msg_id"] == id {
                return sent;
            }
            self.others.push(sent);
        }
    }

    /// All that belongs to a request, between `busy` and `idle`.
    #[track_caller]
    fn all_of(&mut self, id: &str) -> Vec<(String, Value)> {
        let state = |sent: &Sent| sent.content["execution_state"].as_str().map(str::to_owned);
        assert_eq!(state(&self.next_of(id)).as_deref(), Some("busy"));
        let mut all = Vec::new();
        loop {
            let sent = self.next_of(id);
            match state(&sent).as_deref() {
                Some("idle") => return all,
                Some(other) => panic!("{other}"),
                None => all.push((sent.msg_type, sent.content)),
            }
        }
    }

    /// The content of the reply, where nothing else belongs to the request.
    #[track_caller]
    fn ask(&mut self, msg_type: &str, content: Value) -> Value {
        let id = self.send(msg_type, content);
        let mut all = self.all_of(&id);
        assert_eq!(all.len(), 1, "{all:?}");
        let (reply, content) = all.remove(0);
        assert_eq!(reply, msg_type.replace("_request", "_reply"));
        content
    }

    /// Starts a cell that waits for an interrupt, and waits until it runs.
    fn run_waiting_cell(&mut self) -> String {
        let id = self.send("execute_request", json!({ "code": "wait" }));
        self.began.received();
        id
    }
}

#[track_caller]
fn types(all: &[(String, Value)]) -> Vec<&str> {
    all.iter().map(|(msg_type, _)| msg_type.as_str()).collect()
}

#[track_caller]
fn refused(reply: &Value, ename: &str) {
    assert_eq!((&reply["status"], &reply["ename"]), (&json!("error"), &json!(ename)), "{reply}");
}

#[test]
fn a_cell_is_counted_and_its_output_comes_before_its_reply() {
    let mut server = Server::new();
    for (count, code) in [(1, "one"), (2, "two")] {
        let id = server.send("execute_request", json!({ "code": code }));
        let all = server.all_of(&id);
        assert_eq!(types(&all), ["execute_input", "stream", "execute_result", "execute_reply"]);
        assert_eq!(all[0].1, json!({ "code": code, "execution_count": count }));
        assert_eq!(all[1].1["text"], code);
        assert_eq!(all[2].1["data"]["text/plain"], format!("{count}: {code}"));
        assert_eq!((&all[3].1["status"], &all[3].1["execution_count"]), (&json!("ok"), &json!(count)));
    }
    let silent = server.send("execute_request", json!({ "code": "three", "silent": true }));
    // No order is promised between the reply and what a silent cell prints.
    let all = server.all_of(&silent);
    let mut all = types(&all);
    all.sort_unstable();
    assert_eq!(all, ["execute_reply", "stream"]);
    let history = server.ask("history_request", json!({ "hist_access_type": "tail", "n": 5 }));
    let sources: Vec<_> = history["history"].as_array().unwrap().iter().map(|it| &it[2]).collect();
    assert_eq!(sources, ["one", "two"]);
}

#[test]
fn expressions_of_a_cell_are_evaluated_each_by_itself() {
    let mut server = Server::new();
    let content = json!({ "code": "", "user_expressions": { "good": "x", "bad": "fail", "magic": "%status" } });
    let reply = server.send("execute_request", content);
    let all = server.all_of(&reply);
    let (_, reply) = all.iter().find(|(msg_type, _)| msg_type == "execute_reply").unwrap();
    let expressions = &reply["user_expressions"];
    assert_eq!(expressions["good"]["data"]["text/plain"], "0: x");
    assert_eq!(expressions["magic"]["data"]["text/plain"], "%status");
    refused(&expressions["bad"], "CompileError");
}

#[test]
fn a_cell_that_fails_takes_those_behind_it_along_unless_told_otherwise() {
    let mut server = Server::new();
    let first = server.run_waiting_cell();
    let behind = server.send("execute_request", json!({ "code": "behind" }));
    server.dispatcher.interrupt();
    let all = server.all_of(&first);
    assert_eq!(types(&all), ["execute_input", "error", "execute_reply"]);
    refused(&all[2].1, "KeyboardInterrupt");
    let all = server.all_of(&behind);
    assert_eq!(types(&all), ["execute_reply"]);
    refused(&all[0].1, "Aborted");

    let first = server.send("execute_request", json!({ "code": "wait", "stop_on_error": false }));
    server.began.received();
    let behind = server.send("execute_request", json!({ "code": "behind" }));
    server.dispatcher.interrupt();
    refused(&server.all_of(&first).last().unwrap().1, "KeyboardInterrupt");
    assert_eq!(server.all_of(&behind).last().unwrap().1["status"], "ok");
}

#[test]
fn a_bug_fails_its_request_and_nothing_else() {
    let mut server = Server::new();
    let id = server.send("execute_request", json!({ "code": "crash" }));
    refused(&server.all_of(&id).last().unwrap().1, "InternalError");
    refused(&server.ask("inspect_request", json!({ "code": "crash", "cursor_pos": 0 })), "InternalError");
    let id = server.send("execute_request", json!({ "code": "one" }));
    assert_eq!(server.all_of(&id).last().unwrap().1["status"], "ok");
    assert_eq!(server.ask("inspect_request", json!({ "code": "MACHINE", "cursor_pos": 7 }))["found"], true);
}

#[test]
fn positions_are_code_points_and_questions_are_answered_while_a_cell_runs() {
    let mut server = Server::new();
    // The cursor behind `MA`; é has two bytes, the crab four, and both are one code point.
    let at_cursor = json!({ "code": "é🦀 MA + 1", "cursor_pos": 5 });
    let reply = server.ask("complete_request", at_cursor.clone());
    assert_eq!((&reply["cursor_start"], &reply["cursor_end"]), (&json!(3), &json!(5)));
    assert_eq!(reply["matches"], json!(["MACHINE", "running_false"]));
    assert_eq!(reply["metadata"]["_jupyter_types_experimental"][0]["type"], "static");

    let cell = server.run_waiting_cell();
    assert_eq!(server.ask("complete_request", at_cursor)["matches"][1], "running_true");
    let inspected = server.ask("inspect_request", json!({ "code": "MACHINE", "cursor_pos": 7 }));
    assert_eq!(inspected["data"]["text/plain"], "a machine, running: true");
    let nothing = server.ask("inspect_request", json!({ "code": "MACHINE", "cursor_pos": 3 }));
    assert_eq!((&nothing["status"], &nothing["found"]), (&json!("ok"), &json!(false)));
    assert_eq!(server.ask("is_complete_request", json!({ "code": "fn f() {" }))["status"], "incomplete");
    assert_eq!(server.ask("is_complete_request", json!({ "code": "1 + 1" }))["status"], "complete");
    assert_eq!(server.ask("kernel_info_request", json!({}))["implementation"], "machine");
    server.dispatcher.interrupt();
    server.all_of(&cell);
}

#[test]
fn an_interrupt_is_for_a_cell_that_runs() {
    let mut server = Server::new();
    // Nobody is there to be interrupted: the next cell is not, either.
    assert_eq!(server.ask("interrupt_request", json!({})), json!({ "status": "ok" }));
    let id = server.run_waiting_cell();
    assert_eq!(server.others.len(), 0, "the cell waits");
    assert_eq!(server.ask("interrupt_request", json!({})), json!({ "status": "ok" }));
    refused(&server.all_of(&id).last().unwrap().1, "KeyboardInterrupt");
}

#[test]
fn a_shutdown_ends_the_kernel_after_its_reply() {
    for restart in [false, true] {
        let mut server = Server::new();
        let id = server.send("shutdown_request", json!({ "restart": restart }));
        assert_eq!(server.shutdown.try_recv(), Ok(restart));
        let content = json!({ "status": "ok", "restart": restart });
        // Other front ends are told on iopub.
        let expected = ["shutdown_reply"; 2].map(|msg_type| (msg_type.to_owned(), content.clone()));
        assert_eq!(server.all_of(&id), expected);
    }
}

#[test]
fn help_comes_in_the_pager() {
    let mut server = Server::new();
    let id = server.send("execute_request", json!({ "code": "%status?" }));
    let all = server.all_of(&id);
    let payload = &all.last().unwrap().1["payload"][0];
    assert_eq!((&payload["source"], &payload["data"]["text/plain"]), (&json!("page"), &json!("shows the status")));
}

#[test]
fn subshells_are_known_by_name() {
    let mut server = Server::new();
    let created = server.ask("create_subshell_request", json!({}));
    let name = created["subshell_id"].as_str().unwrap().to_owned();
    assert_eq!(server.ask("list_subshell_request", json!({}))["subshell_id"], json!([name]));
    let id = server.send_to(Some(&name), "kernel_info_request", json!({}));
    assert_eq!(server.all_of(&id)[0].1["status"], "ok");
    let delete = json!({ "subshell_id": name });
    assert_eq!(server.ask("delete_subshell_request", delete.clone())["status"], "ok");
    refused(&server.ask("delete_subshell_request", delete), "NoSuchSubshell");
    let id = server.send_to(Some(&name), "execute_request", json!({ "code": "one" }));
    let all = server.all_of(&id);
    assert_eq!(types(&all), ["execute_reply"]);
    refused(&all[0].1, "NoSuchSubshell");
}

#[test]
fn other_requests_are_answered_and_unknown_ones_refused() {
    let mut server = Server::new();
    let ports = server.ask("connect_request", json!({}));
    assert_eq!((&ports["shell_port"], &ports["hb_port"]), (&json!(1), &json!(5)));
    assert_eq!(server.ask("comm_info_request", json!({}))["comms"], json!({}));
    let debug = server.ask("debug_request", json!({ "seq": 3, "command": "initialize" }));
    assert_eq!((&debug["request_seq"], &debug["success"]), (&json!(3), &json!(false)));
    refused(&server.ask("bake_request", json!({})), "UnknownRequest");
    // What asks for nothing gets nothing.
    let id = server.send("bake", json!({}));
    assert_eq!(server.all_of(&id), []);
    let id = server.send("comm_open", json!({ "comm_id": "c", "target_name": "nobody" }));
    let all = server.all_of(&id);
    assert_eq!((types(&all), &all[0].1["comm_id"]), (vec!["comm_close"], &json!("c")));
}

#[test]
fn a_content_of_another_shape_is_refused() {
    let mut server = Server::new();
    for msg_type in [
        "execute_request",
        "complete_request",
        "inspect_request",
        "is_complete_request",
        "history_request",
        "delete_subshell_request",
    ] {
        refused(&server.ask(msg_type, json!({ "code": 1, "hist_access_type": "none" })), "BadMessage");
    }
}
