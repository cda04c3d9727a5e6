//! What somebody would write by hand instead of a machine.

use crossbeam_channel::bounded;
use serde_json::Value;
use std::hint::black_box;
use std::thread;

const QUEUE: usize = 1024;

/// A producer thread, a bounded channel, and `each` for every message.
pub fn behind_a_channel<T: Send>(n: u32, make: impl Fn(u32) -> T + Send, mut each: impl FnMut(T)) {
    let (sender, receiver) = bounded(QUEUE);
    thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..n {
                if sender.send(make(i)).is_err() {
                    return;
                }
            }
        });
        for message in receiver {
            each(message);
        }
    });
}

/// The same closures, inlined in a loop.
pub fn inlined(n: u32) {
    behind_a_channel(n, f64::from, |x| {
        let f0 = x * x;
        let f1 = f0 + 1.0;
        let f2 = f1 - f0;
        let f3 = f2 * 1.5;
        let f4 = f3 * 1.5;
        let f5 = f4 * 1.5;
        let f6 = f5 * 1.5;
        black_box([x, f0, f1, f2, f3, f4, f5, f6, f6 * 1.5]);
    });
}

type Boxed<T> = Vec<Box<dyn Fn(&[T]) -> T>>;

/// Outputs newest last, so that `outputs[len - 1]` is the nearest.
fn f64_slots() -> Boxed<f64> {
    let last = |all: &[f64]| all.last().copied().unwrap_or_default();
    let mut slots: Boxed<f64> = vec![
        Box::new(move |all| last(all) * last(all)),
        Box::new(move |all| last(all) + 1.0),
        Box::new(move |all| last(all) - all.iter().rev().nth(1).copied().unwrap_or_default()),
    ];
    for _ in 3..8 {
        slots.push(Box::new(move |all| last(all) * 1.5));
    }
    slots
}

fn through<T>(slots: &Boxed<T>, outputs: &mut Vec<T>, message: T) {
    outputs.clear();
    outputs.push(message);
    for slot in slots {
        let output = slot(outputs);
        outputs.push(output);
    }
    black_box(outputs);
}

/// A table of boxed functions over numbers.
pub fn boxed_f64(n: u32) {
    let (slots, mut outputs) = (f64_slots(), Vec::new());
    behind_a_channel(n, f64::from, |x| through(&slots, &mut outputs, x));
}

fn value_slots() -> Boxed<Value> {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or_default();
    let last = move |all: &[Value]| number(all.last());
    let mut slots: Boxed<Value> = vec![
        Box::new(move |all| (last(all) * last(all)).into()),
        Box::new(move |all| (last(all) + 1.0).into()),
        Box::new(move |all| (last(all) - number(all.iter().rev().nth(1))).into()),
    ];
    for _ in 3..8 {
        slots.push(Box::new(move |all| (last(all) * 1.5).into()));
    }
    slots
}

/// A table of boxed functions over JSON values.
pub fn boxed_value(n: u32) {
    let (slots, mut outputs) = (value_slots(), Vec::new());
    behind_a_channel(n, |i| Value::from(f64::from(i)), |x| through(&slots, &mut outputs, x));
}

/// The same without queue and producer.
pub fn boxed_value_no_queue(n: u32) {
    let (slots, mut outputs) = (value_slots(), Vec::new());
    for i in 0..n {
        through(&slots, &mut outputs, Value::from(f64::from(i)));
    }
}
