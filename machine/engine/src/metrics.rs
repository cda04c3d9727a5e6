//! Counters in the text format of Prometheus (version 0.0.4), on `/metrics` of a loopback port.
//!
//! A process with machines opens it if `MACHINE_METRICS` names a port; `machine metrics PORT` does it from outside,
//! for all machines of this user.

mod server;

pub use server::serve;

use machine::status::{SlotStatus, State, Status};
use std::fmt::Write;

/// Names the port.
pub(crate) const VARIABLE: &str = "MACHINE_METRICS";

/// One metric: its name, its type, what it is.
type Metric = (&'static str, &'static str, &'static str);

/// All samples of one machine for one metric: labels beside `machine`, and the value.
type Samples = Vec<(String, f64)>;

/// The counters of machines. `process`, if it is not empty, becomes a label.
#[must_use]
pub fn text(machines: &[(String, Status)]) -> String {
    let mut text = String::new();
    for (metric, of) in METRICS {
        let (name, kind, help) = metric;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (process, status) in machines {
            let process = if process.is_empty() { String::new() } else { format!("process=\"{}\",", escaped(process)) };
            for (labels, value) in of(status) {
                let comma = if labels.is_empty() { "" } else { "," };
                let machine = escaped(&status.machine);
                let _ = writeln!(text, "{name}{{{process}machine=\"{machine}\"{comma}{labels}}} {value}");
            }
        }
    }
    text
}

/// In a label's value, three characters are written with a backslash.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Where the samples of a metric come from.
type Of = fn(&Status) -> Samples;

const METRICS: [(Metric, Of); 17] = [
    (("machine_received_messages_total", "counter", "Messages that were put and not refused."), |status| {
        one(status.accepted)
    }),
    (("machine_processed_messages_total", "counter", "Messages that went through all slots."), |status| {
        vec![
            ("outcome=\"ok\"".to_owned(), number(status.processed.saturating_sub(status.errored))),
            ("outcome=\"errored\"".to_owned(), number(status.errored)),
        ]
    }),
    (
        ("machine_discarded_messages_total", "counter", "Messages that were not processed and never will be."),
        |status| {
            let drops = status.drops;
            let all =
                [("cleared", true, drops.cleared), ("oldest", false, drops.oldest), ("newest", false, drops.newest)];
            all.map(|(reason, meant, count)| (format!("reason=\"{reason}\",intentional=\"{meant}\""), number(count)))
                .into()
        },
    ),
    (
        ("machine_refused_messages_total", "counter", "Messages that were given back because the queue was full."),
        |status| one(status.refused),
    ),
    (("machine_queue_messages", "gauge", "Messages that wait."), |status| one(status.queue_size)),
    (("machine_queue_capacity_messages", "gauge", "Messages that can wait."), |status| one(status.queue_capacity)),
    (("machine_queue_wait_seconds", "gauge", "How long a message waits, from the queue and the rate."), |status| {
        let wait = if status.queue_size == 0 { 0.0 } else { number(status.queue_size) / status.rate };
        if wait.is_finite() { vec![(String::new(), wait)] } else { Vec::new() }
    }),
    (("machine_in_flight_messages", "gauge", "Messages in the slots."), |status| one(status.in_flight)),
    (("machine_workers", "gauge", "Worker threads."), |status| one(status.workers)),
    (("machine_running", "gauge", "Whether it takes messages: 0 or 1."), |status| {
        one(u64::from(status.state == State::Running))
    }),
    (("machine_dead_letters", "gauge", "Dead letters that are kept."), |status| one(status.dead_letters)),
    (("machine_dead_letters_dropped_total", "counter", "Dead letters that fell out."), |status| {
        one(status.dead_letters_dropped)
    }),
    (("machine_last_message_timestamp_seconds", "gauge", "When a message was last processed, since 1970."), |status| {
        let time = chrono::DateTime::parse_from_rfc3339(&status.last_processed_time).ok();
        let millis = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
        millis.map(|millis| (String::new(), number(millis) / 1e3)).into_iter().collect()
    }),
    (("machine_slot_messages_total", "counter", "Messages that reached a slot, since its assignment."), |status| {
        of_slots(status, |slot| {
            let all = [("ok", slot.ok), ("errored", slot.errored), ("skipped", slot.skipped)];
            all.map(|(outcome, count)| (format!("outcome=\"{outcome}\""), number(count))).into()
        })
    }),
    (("machine_slot_errors_total", "counter", "Messages that a slot failed on, since its assignment."), |status| {
        of_slots(status, |slot| one(slot.errored))
    }),
    (
        ("machine_slot_duration_seconds", "gauge", "How long timed calls of a slot took: quantiles, 1 is the slowest."),
        |status| {
            of_slots(status, |slot| {
                let all = [("0.5", slot.p50_ns), ("0.99", slot.p99_ns), ("1", slot.max_ns)];
                all.map(|(quantile, nanos)| (format!("quantile=\"{quantile}\""), number(nanos) / 1e9)).into()
            })
        },
    ),
    (("machine_output_messages_total", "counter", "What became of finished messages on their way out."), |status| {
        let of = |sink: &machine::status::SinkStatus| {
            let labels =
                |what: &str| format!("output=\"{}\",kind=\"{}\",outcome=\"{what}\"", sink.id, escaped(&sink.kind));
            [(labels("sent"), number(sink.sent)), (labels("lost"), number(sink.lost))]
        };
        status.outputs.iter().flat_map(of).collect()
    }),
];

fn one(count: u64) -> Samples {
    vec![(String::new(), number(count))]
}

#[expect(clippy::cast_precision_loss, reason = "the format's numbers are these")]
fn number(count: u64) -> f64 {
    count as f64
}

fn of_slots(status: &Status, of: impl Fn(&SlotStatus) -> Samples) -> Samples {
    let slots = status.slots.iter().filter(|slot| !slot.gives.is_empty());
    let labelled = slots.flat_map(|slot| {
        of(slot).into_iter().map(|(labels, value)| {
            let comma = if labels.is_empty() { "" } else { "," };
            (format!("slot=\"{}\"{comma}{labels}", slot.slot), value)
        })
    });
    labelled.collect()
}
