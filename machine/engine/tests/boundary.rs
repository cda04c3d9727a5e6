//! Everything that crosses the boundary between cells and engine, by a few messages each: `install/test` has Miri look at
//! it, for which a thousand would take hours.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use common::{named, reconciles};
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::{Drained, Joined, Received};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

mod common;

/// A value that counts itself: made anew or as a clone it is one more, dropped one less.
#[derive(Serialize)]
struct Counted {
    number: u64,
    text: String,
    #[serde(skip)]
    living: Arc<AtomicUsize>,
}

impl Counted {
    fn new(number: u64, living: &Arc<AtomicUsize>) -> Self {
        living.fetch_add(1, SeqCst);
        Self { number, text: format!("number {number}"), living: living.clone() }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.number, &self.living)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static ELSEWHERE: Mutex<Option<Arc<AtomicUsize>>> = Mutex::new(None);
        #[derive(Deserialize)]
        struct Parts {
            number: u64,
        }
        let parts = Parts::deserialize(deserializer)?;
        let mut elsewhere = ELSEWHERE.lock().unwrap();
        Ok(Self::new(parts.number, elsewhere.get_or_insert_default()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.living.fetch_sub(1, SeqCst);
    }
}

/// Larger than what fits in a place of the queue.
type Large = [u64; 16];

#[test]
fn values_go_by_reference_by_value_and_converted() {
    let living = Arc::<AtomicUsize>::default();
    let l = living.clone();
    let m = named("values").workers(2).start().unwrap();
    m[0].set(move |x: u64| Counted::new(x, &l)).unwrap();
    m[1].set(|own: &Counted| own.text.clone()).unwrap();
    m[2].set(|text: &str, own: Option<&Counted>| text.len() as u64 + own.map_or(0, |own| own.number)).unwrap();
    m[3].set(|x: f64| if x > 9.5 { Err("long") } else { Ok([x.to_bits(); 16]) }).unwrap();
    m[4].set(|many: &Large| many.len()).unwrap();
    m[5].set(|many: Option<u64>| many.unwrap_or(1)).unwrap();
    m[6].set(|_: Ignored, _: Ignored, _: Ignored, _: Ignored, text: String, own: &Value| {
        format!("{text} {}", own["number"])
    })
    .unwrap();
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    let out = m.call(1_u64).unwrap();
    assert_eq!(out.get::<u64>(2).unwrap(), 9);
    assert_eq!(out.get::<Large>(3).unwrap(), [9_f64.to_bits(); 16]);
    assert_eq!(out.get::<String>(6).unwrap(), "number 1 1");
    assert_eq!(out.get::<Counted>(0).unwrap().number, 1);
    assert!(m.call(2_u64).unwrap().get::<Large>(3).is_err());
    drop(out);
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored, s.slots[4].skipped, s.slots[5].ok), (3, 1, 1, 3));
    assert_eq!(living.load(SeqCst), 0);
}

#[test]
fn options_go_by_reference_by_value_and_converted() {
    let living = Arc::<AtomicUsize>::default();
    let l = living.clone();
    let (m, next) = (named("options").ordered(true).start().unwrap(), named("next").start().unwrap());
    m[0].set(move |x: Option<u64>| x.map(|x| Counted::new(x, &l))).unwrap();
    m[1].set(|own: &Option<Counted>| Ok::<_, String>(own.as_ref().map(|own| u128::from(own.number)))).unwrap();
    m[2].set(|number: &Option<u32>, own: Option<&Counted>| number.is_some() == own.is_some()).unwrap();
    m[3].set(|_: Ignored, number: f64, own: &Counted| number + if own.text.is_empty() { 0.0 } else { 1.0 }).unwrap();
    m[4].set_async(async |_: Ignored, _: Ignored, number: Option<u128>| number).unwrap();
    next[0].set(|own: &Counted| own.number).unwrap();
    let outputs = m.outputs().unwrap();
    m.to(&next, 0).unwrap();
    m.put(Some(1_u64)).unwrap();
    m.put(None::<u64>).unwrap();
    let mut batch = vec![None, Some(2_u64)];
    m.put_batch_wait(&mut batch).unwrap();
    m.drained();
    next.drained();
    let s = m.status();
    reconciles(&s);
    let counted: Vec<[u64; 4]> = s.slots.iter().take(5).map(|it| [it.ok, it.errored, it.skipped, it.none]).collect();
    assert_eq!(counted, [[2, 0, 0, 2], [2, 0, 0, 2], [4, 0, 0, 0], [2, 0, 2, 0], [2, 0, 0, 2]], "{:?}", m.errors());
    assert_eq!(next.status().slots[0].ok, 2);
    let got: Vec<Option<u64>> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, [Some(1), None, None, Some(2)]);
    let called = m.call(None::<u64>).unwrap();
    assert_eq!((called.get::<Option<u128>>(1), called.get::<bool>(2)), (Ok(None), Ok(true)));
    drop(called);
    m[0].clear().unwrap();
    assert_eq!(living.load(SeqCst), 0);
}

#[test]
fn messages_of_any_size_are_moved_once_and_given_back() {
    let living = Arc::<AtomicUsize>::default();
    let m = named("moved").queue(4).start().unwrap();
    m[0].set(|own: &Counted| own.number).unwrap();
    m.pause();
    for x in 0..4 {
        m.put(Counted::new(x, &living)).unwrap();
    }
    let full = m.put(Counted::new(4, &living)).unwrap_err();
    assert_eq!(full.into_inner().number, 4);
    assert_eq!(living.load(SeqCst), 4);
    assert_eq!((m.clear(), living.load(SeqCst)), (4, 0));
    let mut batch: Vec<Counted> = (0..6).map(|x| Counted::new(x, &living)).collect();
    assert_eq!(m.try_put_batch(&mut batch).unwrap(), 4);
    assert_eq!((batch.len(), living.load(SeqCst)), (2, 6));
    drop(batch);
    m.start().drained();
    assert_eq!(living.load(SeqCst), 0);
    reconciles(&m.status());
}

#[test]
fn sources_and_sinks_get_the_values_themselves() {
    let living = Arc::<AtomicUsize>::default();
    let l = living.clone();
    let (m, next) = (named("from").ordered(true).start().unwrap(), named("to").policy(Policy::Block).start().unwrap());
    m[0].set(move |x: u64| Counted::new(x, &l)).unwrap();
    next[0].set(|own: &Counted| own.number + 1).unwrap();
    let (outputs, chain) = (m.outputs().unwrap(), m.to(&next, 0).unwrap());
    let (tell, told) = mpsc::channel();
    let closure = next.on_output(move |output| tell.send(output.get::<u64>(0).unwrap()).unwrap()).unwrap();
    m.source((0..4_u64).map(|x| x * 2)).unwrap();
    m.drained();
    next.drained();
    chain.stop();
    closure.stop();
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|o| o.get::<Counted>(0).unwrap().number).collect();
    assert_eq!(got, [0, 2, 4, 6]);
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [1, 3, 5, 7]);
    assert_eq!(living.load(SeqCst), 0);
}

#[test]
fn closures_are_swapped_and_dropped_once_and_panics_end_here() {
    let closures = Arc::<AtomicUsize>::default();
    let m = named("closures").start().unwrap();
    for round in 0..3_u64 {
        let own = Counted::new(round, &closures);
        m[0].set(move |x: u64| {
            assert!(x != 1, "one, in round {}", own.number);
            x + own.number
        })
        .unwrap();
        for x in 0..3_u64 {
            m.put(x).unwrap();
        }
        m.drained();
    }
    let s = m.status();
    assert_eq!((s.processed, s.errored, s.slots[0].revision), (9, 3, 3));
    assert!(m.errors().iter().all(|letter| letter.error.starts_with("one, in round ")));
    m[0].clear().unwrap();
    // A worker lets go of the last slots when it takes up the new ones.
    m.put(1_u64).unwrap();
    m.drained().stop();
    assert_eq!(closures.load(SeqCst), 0);
}

#[test]
fn futures_borrow_their_arguments_and_are_dropped_once() {
    let living = Arc::<AtomicUsize>::default();
    let l = living.clone();
    let m = named("futures").in_flight(2).start().unwrap();
    m[0].set(move |x: u64| Counted::new(x, &l)).unwrap();
    m[1].set_async(async |own: &Counted| {
        tokio::task::yield_now().await;
        if own.number == 1 { Err("one") } else { Ok(own.text.clone()) }
    })
    .unwrap();
    m[2].set(|text: &str| text.len()).unwrap();
    for x in 0..4_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored, s.slots[2].ok, living.load(SeqCst)), (4, 1, 3, 0));
}

#[test]
fn an_abandoned_thread_has_no_part_in_the_cells_any_more() {
    use machine_engine::{abandon_cell_thread, has_to_stop, is_abandoned_thread, is_cell_thread, set_cell_thread};
    use std::sync::mpsc::channel;
    let here = || (is_cell_thread(), is_abandoned_thread(), has_to_stop());
    let interrupt = |on| drop(machine::handle::ask(&machine_protocol::command::Command::Interrupt { on }));
    machine_engine::init();
    std::thread::scope(|scope| {
        let ((ready, is_ready), (go, wait)) = (channel(), channel());
        let first = scope.spawn(move || {
            set_cell_thread();
            let before = here();
            ready.send(()).unwrap();
            wait.received();
            (before, here())
        });
        // The next thread takes over.
        let second = scope.spawn(move || {
            is_ready.received();
            set_cell_thread();
            go.send(()).unwrap();
            let first = first.joined();
            let before = here();
            interrupt(true);
            let asked = here();
            interrupt(false);
            abandon_cell_thread();
            (first, before, asked, here())
        });
        let (first, before, asked, after) = second.joined();
        assert_eq!(first, ((true, false, false), (false, true, true)));
        assert_eq!((before, asked, after), ((true, false, false), (true, false, true), (false, true, true)));
    });
    assert_eq!(here(), (false, false, false));
}

#[test]
fn a_writer_gets_lines_and_is_dropped_once() {
    struct Writer(Arc<AtomicUsize>, mpsc::Sender<String>);
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Writer {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::<AtomicUsize>::default();
    let (tell, told) = mpsc::channel();
    let m = named("writer").start().unwrap();
    m[0].set(|x: u64| format!("line {x}")).unwrap();
    let sink = m.to_lines(0, Writer(dropped.clone(), tell)).unwrap();
    (0..3_u64).for_each(|x| m.put_wait(x).unwrap());
    m.drained();
    sink.stop();
    // The channel ends with the writer.
    assert_eq!(told.iter().collect::<String>(), "line 0\nline 1\nline 2\n");
    assert_eq!(dropped.load(SeqCst), 1);
}
