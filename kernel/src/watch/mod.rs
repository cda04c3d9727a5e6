//! What is live: the display of `%watch`, and alerts.
//!
//! A machine has one widget model, however many cells show it and however many pages have them open. One thread looks
//! at all machines that somebody sees, ten times a second, and tells the models what has changed; it sleeps while
//! nobody sees one and there is no alert. A view says from time to time that it is seen, so that a page that was
//! closed costs nothing, also if it could not say goodbye. All that is shown comes from the engine's counters.

mod action;
mod alerts;
mod arrow;
mod curves;
mod flow;
mod model;
mod observer;
mod rule;
mod state;

pub use action::Action;
pub use arrow::{Arrow, Fit, arrow};
#[cfg(test)]
pub use curves::curves;
pub use curves::{Curve, Curves};
pub use flow::Flow;
use machine_protocol::Error;
pub use observer::Observer;
pub use rule::{MEASURES, Rule, parse as parse_rule};
pub use state::{seconds_to_full, source, wait};

use crate::output::{Output, Stream};
use crate::wire::publish::{NO_PARENT, Publisher};
use alerts::Alerts;
use machine_protocol::command::{Command, Reply};
use machine_protocol::status::Status;
use model::Model;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a display that is seen is told what has changed.
const UPDATE: Duration = Duration::from_millis(100);
/// How often alerts are looked at while no display is seen.
const CHECK: Duration = Duration::from_millis(250);
/// Nothing is sent while more bytes than this wait for a slow front end.
const BACKLOG: usize = 1 << 20;
/// The protocol of the messages between widgets and kernels.
const WIDGET_PROTOCOL: &str = "2.1.0";
/// The name of the comms that widgets' models have.
pub const WIDGET_TARGET: &str = "jupyter.widget";
/// The name of the comm that a front end asks for all models on.
pub const CONTROL_TARGET: &str = "jupyter.widget.control";

/// How the engine is asked.
type Ask = Box<dyn Fn(Command) -> Result<Reply, Error> + Send + Sync>;

/// All displays and alerts of a session. Any thread may use it.
#[derive(Clone)]
pub struct Watches(Arc<Shared>);

struct Shared {
    ask: Ask,
    publisher: Arc<Publisher>,
    /// Where alerts are told.
    output: Arc<dyn Output>,
    state: Mutex<WatchState>,
    /// Pairs with `state`: somebody sees a display, or there is an alert.
    wanted: Condvar,
}

#[derive(Default)]
struct WatchState {
    /// By machine.
    models: BTreeMap<String, Model>,
    alerts: Alerts,
}

impl Watches {
    /// Displays of the machines that `ask` asks, told on iopub, and alerts, told on `output`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn spawn(
        ask: impl Fn(Command) -> Result<Reply, Error> + Send + Sync + 'static,
        publisher: Arc<Publisher>,
        output: Arc<dyn Output>,
    ) -> io::Result<Self> {
        let (state, wanted) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { ask: Box::new(ask), publisher, output, state, wanted });
        let on_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || on_thread.run())?;
        Ok(Self(shared))
    }

    /// The display of a machine: the name of its model, which is announced if it is new.
    pub fn open(&self, status: &Status) -> String {
        let mut state = self.0.lock();
        if let Some(model) = state.models.get_mut(&status.machine) {
            model.seen(Instant::now());
            let id = model.id.clone();
            self.0.wanted.notify_all();
            return id;
        }
        let mut model = Model::new(&status.machine, Instant::now());
        // Rates come with the next look.
        let mut flow = Flow::default();
        flow.add(Instant::now(), status);
        model.take(state::of(status, &flow));
        let alerts = state.alerts.of(&status.machine);
        model.take([("alerts", alerts)].into_iter());
        let id = model.id.clone();
        let content = json!({
            "comm_id": id, "target_name": WIDGET_TARGET, "data": { "state": model.state(), "buffer_paths": [] },
        });
        let metadata = [("version".to_owned(), WIDGET_PROTOCOL.into())].into_iter().collect();
        // It belongs to no request: a client that writes down what cells give, and draws it without the kernel, then has
        // what is readable without scripts.
        self.0.publisher.publish_with(&NO_PARENT, "comm_open", metadata, content);
        state.models.insert(status.machine.clone(), model);
        drop(state);
        self.0.wanted.notify_all();
        id
    }

    /// The models there are: name → `jupyter.widget`.
    pub fn info(&self) -> Value {
        let state = self.0.lock();
        let comms = state.models.values().map(|model| (model.id.clone(), json!({ "target_name": WIDGET_TARGET })));
        Value::Object(comms.collect())
    }

    /// A message of a front end to a comm; what is to be answered on the same comm.
    pub fn message(&self, comm: &str, data: &Value) -> Option<Value> {
        let method = data.get("method").and_then(Value::as_str).unwrap_or_default();
        if method == "request_states" {
            let state = self.0.lock();
            let states: Map<String, Value> =
                state.models.values().map(|model| (model.id.clone(), model.description())).collect();
            return Some(json!({ "method": "update_states", "states": states, "buffer_paths": [] }));
        }
        let mut state = self.0.lock();
        let model = state.models.values_mut().find(|model| model.id == comm)?;
        match method {
            "request_state" => Some(json!({ "method": "update", "state": model.state(), "buffer_paths": [] })),
            "custom" => {
                model.seen(Instant::now());
                let machine = model.machine.clone();
                drop(state);
                self.0.wanted.notify_all();
                let wanted = data.get("content").cloned().unwrap_or_default();
                self.act(machine, &wanted);
                None
            }
            // Views send nothing by themselves.
            _ => None,
        }
    }

    /// A front end has done with a model.
    pub fn close(&self, comm: &str) {
        self.0.lock().models.retain(|_, model| model.id != comm);
    }

    /// Adds an alert.
    pub fn alert(&self, machine: &str, rule: Rule) {
        self.0.lock().alerts.add(machine, rule);
        self.0.wanted.notify_all();
    }

    /// Takes alerts away: that of this text, or all of a machine. Returns how many that were.
    pub fn forget(&self, machine: &str, text: Option<&str>) -> usize {
        self.0.lock().alerts.remove(machine, text)
    }

    /// The alerts of a machine: `[{"rule", "since": seconds or null}, …]`.
    pub fn alerts(&self, machine: &str) -> Value {
        self.0.lock().alerts.of(machine)
    }

    /// Carries out what a button asks for, on a separate thread: `drain` waits.
    fn act(&self, machine: String, wanted: &Value) {
        let Some(action) = Action::of(wanted) else { return };
        let shared = Arc::clone(&self.0);
        let act = move || {
            let (text, failed) = match action.carry_out(&machine, &mut |command| (shared.ask)(command)) {
                Ok(text) => (text, false),
                Err(failure) => (failure.to_string(), true),
            };
            shared.tell(&machine, "told", json!({ "text": text, "failed": failed }));
        };
        // Without a thread nothing happens, and the display shows that.
        let _ = std::thread::Builder::new().name("watch-action".to_owned()).spawn(act);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at machines for as long as the kernel lives.
    fn run(&self) {
        let mut observers: BTreeMap<String, Observer> = BTreeMap::new();
        loop {
            let begin = Instant::now();
            let (machines, seen) = self.wait();
            // Rates of what was not looked at for a while would be of that while.
            observers.retain(|machine, _| machines.contains(machine));
            for machine in &machines {
                self.look(machine, observers.entry(machine.clone()).or_default(), seen.contains(machine));
            }
            let pause = if seen.is_empty() { CHECK } else { UPDATE };
            // A quarter of the time at most, however slow the engine answers.
            std::thread::sleep(pause.saturating_sub(begin.elapsed()).max(begin.elapsed().min(pause) * 3));
        }
    }

    /// Waits until there is something to look at: the machines, and those of them that are seen.
    fn wait(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let seen: BTreeSet<String> =
                state.models.values().filter(|model| model.is_seen(now)).map(|model| model.machine.clone()).collect();
            let machines: BTreeSet<String> = seen.iter().cloned().chain(state.alerts.machines()).collect();
            if !machines.is_empty() {
                return (machines, seen);
            }
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look(&self, machine: &str, observer: &mut Observer, seen: bool) {
        // Asked without the lock: the engine may be slow.
        let mut ask = |command| (self.ask)(command);
        let status = match observer.look(machine, &mut ask) {
            Ok(status) => status,
            Err(failure) => return self.tell(machine, "gone", failure.to_string().into()),
        };
        let told = self.lock().alerts.check(machine, &status, observer.flow(), Instant::now());
        for text in told {
            self.output.stream(Stream::Stderr, &format!("{text}\n"));
        }
        if !seen {
            return;
        }
        // What is not answered stays as it was.
        let _ = observer.look_closely(machine, &status, &mut ask);
        let mut state = self.lock();
        let alerts = state.alerts.of(machine);
        let Some(model) = state.models.get_mut(machine) else { return };
        let mut news = model.take(state::of(&status, observer.flow()));
        let series = serde_json::to_value(observer.curves()).unwrap_or_default();
        news.extend(model.take([("series", series), ("alerts", alerts), ("gone", "".into())].into_iter()));
        let (letters, version) = observer.letters();
        if model.wants_letters(version) {
            news.extend(model.take([("letters", state::letters(letters))].into_iter()));
        }
        let id = model.id.clone();
        drop(state);
        self.update(&id, news);
    }

    /// Changes one thing of a machine's model.
    fn tell(&self, machine: &str, key: &'static str, value: Value) {
        let mut state = self.lock();
        let Some(model) = state.models.get_mut(machine) else { return };
        let news = model.take([(key, value)].into_iter());
        let id = model.id.clone();
        drop(state);
        self.update(&id, news);
    }

    /// Tells all views of a model.
    fn update(&self, id: &str, news: Map<String, Value>) {
        if !news.is_empty() && self.publisher.waiting() < BACKLOG {
            let data = json!({ "method": "update", "state": news, "buffer_paths": [] });
            self.publisher.publish(&NO_PARENT, "comm_msg", json!({ "comm_id": id, "data": data }));
        }
    }
}
