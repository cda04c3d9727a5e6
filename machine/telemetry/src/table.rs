//! Which metrics there are, and where in a machine's state they come from.

use crate::family::{Durations, Family, Kind, Number, Sample};
use machine_protocol::status::{SinkStatus, SlotStatus, State, Status};

/// One row: how a metric is called, and its samples of one machine.
struct Row {
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    of: fn(&Status) -> Vec<Sample>,
}

const MESSAGES: &str = "{message}";
const SECONDS: &str = "s";
const RATIO: &str = "1";

const fn counter(name: &'static str, help: &'static str, of: fn(&Status) -> Vec<Sample>) -> Row {
    Row { name, kind: Kind::Counter, unit: MESSAGES, help, of }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str, of: fn(&Status) -> Vec<Sample>) -> Row {
    Row { name, kind: Kind::Gauge, unit, help, of }
}

const ROWS: [Row; 21] = [
    counter(
        "machine_received_messages_total",
        "Messages that were put and not refused.",
        |status| one(status.accepted),
    ),
    counter("machine_processed_messages_total", "Messages that went through all slots.", |status| {
        let ok = status.processed.saturating_sub(status.errored);
        labelled("outcome", [("ok", ok), ("errored", status.errored)])
    }),
    counter("machine_discarded_messages_total", "Messages that were not processed and never will be.", |status| {
        let drops = status.drops;
        let all = [
            ("cleared", "true", drops.cleared),
            ("in_flight", "true", drops.in_flight),
            ("oldest", "false", drops.oldest),
            ("newest", "false", drops.newest),
        ];
        let sample = |(reason, meant, count): (&str, &str, u64)| {
            Sample::new(count.into()).of("intentional", meant).of("reason", reason)
        };
        all.map(sample).into()
    }),
    counter("machine_refused_messages_total", "Messages that were given back because the queue was full.", |status| {
        one(status.refused)
    }),
    gauge("machine_queue_messages", MESSAGES, "Messages that wait.", |status| one(status.queue_size)),
    gauge("machine_queue_capacity_messages", MESSAGES, "Messages that can wait.", |status| one(status.queue_capacity)),
    gauge("machine_queue_wait_seconds", SECONDS, "How long a message waits, from the queue and the rate.", |status| {
        let wait = if status.queue_size == 0 { 0.0 } else { number(status.queue_size) / status.rate };
        if wait.is_finite() { one(wait) } else { Vec::new() }
    }),
    gauge("machine_in_flight_messages", MESSAGES, "Messages in the slots.", |status| one(status.in_flight)),
    gauge("machine_workers", "{thread}", "Worker threads.", |status| one(status.workers)),
    gauge(
        "machine_busy_ratio",
        RATIO,
        "Share of the workers' time that they worked, over the last seconds.",
        |status| status.load.map_or_else(Vec::new, |load| one(load.busy)),
    ),
    gauge("machine_idle_ratio", RATIO, "Share of the workers' time that they had no message.", |status| {
        status.load.map_or_else(Vec::new, |load| one(load.idle))
    }),
    gauge("machine_blocked_ratio", RATIO, "Share of the workers' time that they waited for a full output.", |status| {
        status.load.map_or_else(Vec::new, |load| one(load.blocked))
    }),
    gauge(
        "machine_waiting_puts",
        "{call}",
        "Calls that wait for room in the queue.",
        |status| one(status.waiting_puts),
    ),
    gauge("machine_running", RATIO, "Whether it takes messages: 0 or 1.", |status| {
        one(u64::from(status.state == State::Running))
    }),
    gauge("machine_dead_letters", MESSAGES, "Dead letters that are kept.", |status| one(status.dead_letters)),
    counter("machine_dead_letters_dropped_total", "Dead letters that fell out.", |status| {
        one(status.dead_letters_dropped)
    }),
    gauge(
        "machine_last_message_timestamp_seconds",
        SECONDS,
        "When a message was last processed, since 1970.",
        |status| {
            let time = chrono::DateTime::parse_from_rfc3339(&status.last_processed_time).ok();
            let millis = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
            millis.map(|millis| Sample::new((number(millis) / 1e3).into())).into_iter().collect()
        },
    ),
    counter("machine_slot_messages_total", "Messages that reached a slot, since its assignment.", |status| {
        of_slots(status, |slot| {
            labelled(
                "outcome",
                [("ok", slot.ok), ("errored", slot.errored), ("skipped", slot.skipped), ("none", slot.none)],
            )
        })
    }),
    counter("machine_slot_errors_total", "Messages that a slot failed on, since its assignment.", |status| {
        of_slots(status, |slot| one(slot.errored))
    }),
    Row {
        name: "machine_slot_duration_seconds",
        kind: Kind::Histogram,
        unit: SECONDS,
        help: "How long timed calls of a slot took, since its assignment; at a high rate not all are timed.",
        of: |status| {
            of_slots(status, |slot| {
                let durations = Durations::new(&slot.durations, slot.timed_ns);
                vec![Sample::new(Number::Durations(durations))]
            })
        },
    },
    counter("machine_output_messages_total", "What became of finished messages on their way out.", |status| {
        let of = |sink: &SinkStatus| {
            let samples = labelled("outcome", [("sent", sink.sent), ("lost", sink.lost)]);
            let (id, kind) = (sink.id.to_string(), sink.kind.as_str());
            samples.into_iter().map(move |sample| sample.of("kind", kind).of("output", id.clone()))
        };
        status.outputs.iter().flat_map(of).collect()
    }),
];

/// The metrics of machines. The name of a process, if it is not empty, becomes a label.
pub(super) fn families(machines: &[(String, Status)]) -> Vec<Family> {
    let samples = |row: &Row| -> Vec<Sample> {
        let of = |(process, status): &(String, Status)| {
            let process = (!process.is_empty()).then(|| process.clone());
            let name = status.machine.clone();
            (row.of)(status).into_iter().map(move |sample| {
                let sample = sample.of("machine", name.clone());
                process.iter().fold(sample, |sample, process| sample.of("process", process.clone()))
            })
        };
        machines.iter().flat_map(of).collect()
    };
    ROWS.iter()
        .map(|row| Family { name: row.name, kind: row.kind, unit: row.unit, help: row.help, samples: samples(row) })
        .collect()
}

fn one(value: impl Into<Number>) -> Vec<Sample> {
    vec![Sample::new(value.into())]
}

fn labelled<const N: usize>(label: &'static str, all: [(&str, u64); N]) -> Vec<Sample> {
    all.map(|(value, count)| Sample::new(count.into()).of(label, value)).into()
}

#[expect(clippy::cast_precision_loss, reason = "divided by a real number")]
fn number(count: u64) -> f64 {
    count as f64
}

/// Samples of the slots that have a function.
fn of_slots(status: &Status, of: impl Fn(&SlotStatus) -> Vec<Sample>) -> Vec<Sample> {
    let slots = status.slots.iter().filter(|slot| !slot.gives.is_empty());
    let samples = slots.flat_map(|slot| {
        of(slot).into_iter().map(|sample| Sample { revision: slot.revision, ..sample }.of("slot", slot.slot.clone()))
    });
    samples.collect()
}
