//! What is said to a machine by its own slots, and by what writes and drops its messages.

use crate::*;
use machine_testkit::eventually;
use std::cell::Cell;

/// The machine that the messages of this test are on.
static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);
/// How often everything was said.
static SAID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SAYING: Cell<bool> = const { Cell::new(false) };
}

/// Says everything to the machine that does not wait for its messages; within itself, that which asks.
fn say_everything() {
    let Some(m) = *MACHINE.lock().unwrap() else { return };
    reconciles(&m.status());
    if SAYING.replace(true) {
        return;
    }
    m[5].set(|x: Option<u64>| x).unwrap();
    m[5].concurrency(3)
        .unwrap()
        .timeout(Duration::from_mins(1))
        .unwrap()
        .timeout(Duration::ZERO)
        .unwrap()
        .concurrency(0)
        .unwrap();
    drop((m.in_hand(), m.last_outputs(), m.errors()));
    drop((step(&m), peek(&m), m.retry()));
    m.give_up();
    drop(hold_before(&m, Some(6)));
    drop(resume(&m));
    drop(hold_before(&m, None));
    m.clear();
    m.start();
    let _ = m.drain_timeout(Duration::from_millis(1));
    SAYING.set(false);
    SAID.fetch_add(1, SeqCst);
}

/// A message, or an output, that says everything when it is written and when it is dropped.
struct Says(u64);

impl Serialize for Says {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        say_everything();
        serializer.serialize_u64(self.0)
    }
}

// Never converted: every slot takes it as it is.
impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not from text"))
    }
}

impl Drop for Says {
    fn drop(&mut self) {
        say_everything();
    }
}

#[test]
fn whatever_slots_and_values_say_to_their_own_machine_is_answered() {
    for ordered in [false, true] {
        let m = named("within").ordered(ordered).start().unwrap();
        let out = Arc::new(AtomicU64::new(0));
        let count = out.clone();
        m.on_output(move |_| {
            count.fetch_add(1, SeqCst);
        })
        .unwrap();
        *MACHINE.lock().unwrap() = Some(m);
        answers(move || {
            m[0].set(|x: &Says| {
                say_everything();
                if x.0 == 1 { Err("one") } else { Ok(Says(x.0)) }
            })
            .unwrap();
            m.debug(true);
            for x in 0..3 {
                m.put(Says(x)).unwrap();
            }
            eventually!({
                m.status().accepted == m.status().processed + m.status().discarded || !m.status().in_hand.is_empty()
            });
            // Whatever became of those: now with a message in hand. One that still says something may discard the next.
            m.pause().clear();
            eventually!({
                let s = m.start().status();
                if s.queue_size + s.in_flight == 0 {
                    m.put(Says(1)).unwrap();
                }
                !m.status().in_hand.is_empty()
            });
            say_everything();
            m.pause().put(Says(2)).unwrap();
            say_everything();
        });
        *MACHINE.lock().unwrap() = None;
        answers(move || {
            m.debug(false);
            eventually!({
                reconciles(&m.status());
                m.start().drain_timeout(Duration::from_millis(100)).is_ok() && m.status().in_flight == 0
            });
        });
        eventually!(out.load(SeqCst) == m.status().processed);
    }
    assert!(SAID.load(SeqCst) > 10, "{SAID:?}");
}
