//! The model of a widget: what its views are told, and whether there are any.

use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long a display counts as seen after a view has said so. Views say it more than twice in that time.
const SEEN: Duration = Duration::from_secs(25);
/// The module that draws it; all inline, for there may be no network.
const MODULE: &str = include_str!("widget.js");
/// Its style.
const STYLE: &str = include_str!("widget.css");

/// The model of one machine's display.
pub struct Model {
    /// Its name, and that of its comm.
    pub id: String,
    /// The machine.
    pub machine: String,
    state: Map<String, Value>,
    seen: Instant,
    /// The dead letters that were taken last: see [`Observer::letters`](super::Observer::letters).
    letters: u64,
}

impl Model {
    /// A model that is seen now.
    pub fn new(machine: &str, now: Instant) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let state = json!({
            "_model_module": "anywidget", "_view_module": "anywidget",
            "_model_name": "AnyModel", "_view_name": "AnyView",
            "_model_module_version": "*", "_view_module_version": "*",
            "_view_count": null, "_anywidget_id": "machine.watch", "_esm": MODULE, "_css": STYLE,
            "machine": machine, "plan": [], "now": {}, "series": {}, "letters": [], "alerts": [], "told": {}, "gone": "",
        });
        let state = if let Value::Object(state) = state { state } else { Map::new() };
        Self { id, machine: machine.to_owned(), state, seen: now, letters: 0 }
    }

    /// A view says that it is seen.
    pub fn seen(&mut self, now: Instant) {
        self.seen = now;
    }

    /// Whether somebody sees it.
    pub fn is_seen(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) < SEEN
    }

    /// Takes values in; those that differ from what was there.
    pub fn take(&mut self, values: impl Iterator<Item = (&'static str, Value)>) -> Map<String, Value> {
        let mut news = Map::new();
        for (key, value) in values {
            if self.state.get(key) != Some(&value) {
                news.insert(key.to_owned(), value.clone());
                self.state.insert(key.to_owned(), value);
            }
        }
        news
    }

    /// All that a new view has to know.
    pub fn state(&self) -> &Map<String, Value> {
        &self.state
    }

    /// The same, as a front end that restores all models wants it.
    pub fn description(&self) -> Value {
        json!({
            "model_name": "AnyModel", "model_module": "anywidget", "model_module_version": "*", "state": self.state,
        })
    }

    /// Whether these are other dead letters than those that were taken last; from now on they are not.
    pub fn wants_letters(&mut self, version: u64) -> bool {
        std::mem::replace(&mut self.letters, version) != version
    }
}

#[cfg(test)]
mod tests {
    use super::{Model, SEEN};
    use serde_json::json;
    use std::time::Instant;

    #[test]
    fn only_what_differs_is_news() {
        let mut model = Model::new("main", Instant::now());
        let values = || [("now", json!({"processed": 1})), ("gone", json!(""))].into_iter();
        let news = model.take(values());
        assert_eq!(news.keys().collect::<Vec<_>>(), ["now"]);
        assert!(model.take(values()).is_empty());
        assert_eq!(model.state()["now"], json!({"processed": 1}));
        assert_eq!(model.description()["state"]["machine"], "main");
    }

    #[test]
    fn it_is_seen_for_a_while_after_a_view_has_said_so() {
        let begin = Instant::now();
        let mut model = Model::new("main", begin);
        assert!(model.is_seen(begin) && !model.is_seen(begin + SEEN));
        model.seen(begin + SEEN);
        assert!(model.is_seen(begin + SEEN));
    }
}
