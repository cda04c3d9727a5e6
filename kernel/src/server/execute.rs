//! Execution of cells: Rust strictly in order on one thread, magics beside it while a Rust cell runs.

use super::cell_kind::CellKind;
use super::cells::{Cell, Cells};
use super::contents::Execute;
use super::history::History;
use super::request::{Request, error_content};
use crate::nesting::PARSER_STACK;
use crate::output::{CellError, Display, Output, Stream};
use crate::wire::publish::{Publisher, RequestOutput, SessionOutput};
use serde_json::{Map, Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Requests that come closer together than this were sent in one go ("run all cells"), and keep their order.
///
/// A magic that comes later than this after the last cell that was queued was asked for *while* a cell runs.
const BURST: Duration = Duration::from_millis(60);

/// Runs cells.
pub struct Executor {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
}

struct Queue {
    jobs: Sender<Job>,
    /// When the last request for the thread came.
    last: Option<Instant>,
    /// When the last magic was run beside it, and its thread.
    beside: Option<(Instant, JoinHandle<()>)>,
}

struct Shared {
    cells: Arc<dyn Cells>,
    publisher: Arc<Publisher>,
    output: Arc<SessionOutput>,
    history: Mutex<History>,
    /// The execution count of the last cell that was counted.
    count: AtomicU32,
    /// Cells that wait or run on the thread.
    pending: AtomicUsize,
}

/// A cell on its way to be run.
struct Job {
    request: Request,
    execute: Execute,
    kind: CellKind,
}

impl Executor {
    /// An executor and its thread.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn spawn(
        cells: Arc<dyn Cells>,
        publisher: Arc<Publisher>,
        output: Arc<SessionOutput>,
        history: History,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            cells,
            publisher,
            output,
            history: Mutex::new(history),
            count: AtomicU32::new(0),
            pending: AtomicUsize::new(0),
        });
        let (jobs, receiver) = channel();
        let on_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("cells".to_owned())
            .stack_size(PARSER_STACK)
            .spawn(move || on_thread.run_all(&receiver))?;
        Ok(Self { shared, queue: Mutex::new(Queue { jobs, last: None, beside: None }) })
    }

    /// Whether a cell runs or waits.
    #[must_use]
    pub fn is_running(&self) -> bool {
        // Relaxed: a thread that asks gets an answer that may be over by then anyway.
        self.shared.pending.load(Ordering::Relaxed) > 0
    }

    /// Runs the cell of an `execute_request`, or queues it; returns at once.
    pub fn submit(&self, request: Request) {
        let execute = match request.content::<Execute>() {
            Ok(execute) => execute,
            Err(error) => {
                request.busy();
                request.fail(&error);
                return request.idle();
            }
        };
        let kind = CellKind::of(&execute.code);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = queue.last.is_none_or(|last| last.elapsed() > BURST);
        let job = Job { request, execute, kind };
        if matches!(job.kind, CellKind::Magics | CellKind::Help(_)) && alone && self.is_running() {
            let shared = Arc::clone(&self.shared);
            let before = queue.beside.take().filter(|(begun, _)| begun.elapsed() <= BURST);
            // A magic may wait (`%drain`), so it has a separate thread; those sent in one go keep their order.
            let spawned =
                std::thread::Builder::new().name("magic".to_owned()).stack_size(PARSER_STACK).spawn(move || {
                    if let Some((_, before)) = before {
                        // However it ended, it is over.
                        let _ = before.join();
                    }
                    shared.run(&job, None);
                });
            match spawned {
                Ok(thread) => queue.beside = Some((Instant::now(), thread)),
                Err(error) => tracing::warn!("a magic was not run: no thread for it: {error}"),
            }
        } else {
            queue.last = Some(Instant::now());
            self.shared.pending.fetch_add(1, Ordering::Relaxed);
            // The thread ends only with this sender.
            let _ = queue.jobs.send(job);
        }
    }

    /// The cells that were run.
    pub fn with_history<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.shared.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn run_all(&self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            // What slots print while a magic is answered has nothing to do with the magic.
            if job.kind == CellKind::Rust {
                self.output.belongs_to(job.request.parent());
            }
            let given_up = self.run(&job, Some(jobs));
            self.pending.fetch_sub(1, Ordering::Relaxed);
            for job in given_up {
                self.give_up(&job);
                self.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Runs one cell, from `busy` to `idle`. Returns those that waited behind it and are given up since it failed.
    fn run(&self, job: &Job, behind: Option<&Receiver<Job>>) -> Vec<Job> {
        let Job { request, execute, .. } = job;
        let _span = request.span().entered();
        request.busy();
        let counts = !execute.silent && execute.store_history && job.kind != CellKind::Empty;
        let number =
            if counts { self.count.fetch_add(1, Ordering::Relaxed) + 1 } else { self.count.load(Ordering::Relaxed) };
        if !execute.silent {
            request.publish("execute_input", json!({ "code": execute.code, "execution_count": number }));
        }
        let output = RequestOutput::new(Arc::clone(&self.publisher), request.parent().clone());
        let result = self.compute(job, number, &output);
        if counts {
            let text = result.as_ref().ok().and_then(|done| done.value.as_ref()).and_then(plain_text);
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.push(number, &execute.code, text.map(str::to_owned));
        }
        // Taken before anybody hears of the failure: what is sent in answer to it did not wait behind it.
        let given_up = match behind.filter(|_| result.is_err() && execute.stop_on_error) {
            Some(behind) => behind.try_iter().collect(),
            None => Vec::new(),
        };
        match result {
            Ok(Done { value, payload }) => {
                if let Some(display) = value.filter(|_| !execute.silent) {
                    let content = json!({
                        "execution_count": number, "data": display.data, "metadata": display.metadata, "transient": {},
                    });
                    request.publish("execute_result", content);
                }
                let user_expressions = self.evaluate(&execute.user_expressions, number, &output);
                request.reply(json!({
                    "status": "ok", "execution_count": number, "payload": payload, "user_expressions": user_expressions,
                }));
            }
            Err(error) => {
                let CellError { ename, evalue, traceback } = &error;
                request.publish("error", json!({ "ename": ename, "evalue": evalue, "traceback": traceback }));
                let mut content = error_content(&error);
                if let Value::Object(fields) = &mut content {
                    fields.insert("execution_count".to_owned(), json!(number));
                    fields.insert("payload".to_owned(), json!([]));
                    fields.insert("user_expressions".to_owned(), json!({}));
                }
                request.reply(content);
            }
        }
        request.idle();
        given_up
    }

    fn compute(&self, job: &Job, number: u32, output: &dyn Output) -> Result<Done, CellError> {
        let Execute { code, silent, .. } = &job.execute;
        match &job.kind {
            CellKind::Empty => Ok(Done::default()),
            CellKind::Help(name) => self.help(name, output),
            CellKind::Magics => guarded(|| self.cells.magic(code, output)).map(Done::value),
            CellKind::Rust => {
                let cell = Cell { number, code, silent: *silent };
                guarded(|| self.cells.execute(&cell, output)).map(Done::value)
            }
        }
    }

    /// Help in the front end's pager.
    fn help(&self, name: &str, output: &dyn Output) -> Result<Done, CellError> {
        // The request itself is pending if it is on the thread; only others make the session busy.
        let running = self.pending.load(Ordering::Relaxed) > 1;
        let page = guarded(|| Ok(self.cells.help(name, running)))?;
        if let Some(Display { data, .. }) = page {
            Ok(Done { value: None, payload: json!([{ "source": "page", "data": data, "start": 0 }]) })
        } else {
            output.stream(Stream::Stderr, &format!("There is no help on `{name}`. %lsmagic shows all magics.\n"));
            Ok(Done::default())
        }
    }

    /// The `user_expressions` of a cell: each an own small result or error.
    fn evaluate(&self, expressions: &Map<String, Value>, number: u32, output: &dyn Output) -> Value {
        let evaluate = |(name, code): (&String, &Value)| {
            let code = code.as_str().unwrap_or_default();
            let result = match CellKind::of(code) {
                CellKind::Magics => guarded(|| self.cells.magic(code, output)),
                // Not a silent one: its value is what is asked for.
                _ => guarded(|| self.cells.execute(&Cell { number, code, silent: false }, output)),
            };
            let value = match result {
                Ok(display) => {
                    let Display { data, metadata } = display.unwrap_or_default();
                    json!({ "status": "ok", "data": data, "metadata": metadata })
                }
                Err(error) => error_content(&error),
            };
            (name.clone(), value)
        };
        Value::Object(expressions.iter().map(evaluate).collect())
    }

    /// Replies to a cell that is not run because one before it failed. Its status is `error`, which all front ends know.
    fn give_up(&self, job: &Job) {
        job.request.busy();
        let evalue = "not run: a cell before it failed".to_owned();
        let error = CellError { ename: "Aborted".to_owned(), traceback: vec![evalue.clone()], evalue };
        let mut content = error_content(&error);
        if let Value::Object(fields) = &mut content {
            fields.insert("execution_count".to_owned(), json!(self.count.load(Ordering::Relaxed)));
        }
        job.request.reply(content);
        job.request.idle();
    }
}

/// What a cell came to.
struct Done {
    value: Option<Display>,
    payload: Value,
}

impl Default for Done {
    fn default() -> Self {
        Self { value: None, payload: json!([]) }
    }
}

impl Done {
    fn value(value: Option<Display>) -> Self {
        Self { value, ..Self::default() }
    }
}

fn plain_text(display: &Display) -> Option<&str> {
    display.data.get("text/plain").and_then(Value::as_str)
}

/// A bug in the kernel fails the cell, and not the kernel.
fn guarded<T>(work: impl FnOnce() -> Result<T, CellError>) -> Result<T, CellError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let evalue = "a bug in the kernel; its own words are on the kernel's standard error".to_owned();
        Err(CellError { ename: "InternalError".to_owned(), traceback: vec![evalue.clone()], evalue })
    })
}
