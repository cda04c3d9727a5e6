//! What holds whatever happens at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use common::{named, reconciles};
use machine::prelude::*;
use machine_testkit::{DEADLINE, Drained, Joined, eventually};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

mod common;

fn fresh(queue: usize, workers: usize) -> Machine {
    named("m").queue(queue).workers(workers).start().unwrap()
}

#[derive(Clone, Debug)]
enum Op {
    Put(u16),
    Assign(usize, u8),
    ClearSlot(usize),
    Pause,
    Stop,
    Start,
    ClearQueue,
    Step,
    Batch(u16),
    Timeout(u8),
    Workers(usize),
    Policy(Policy),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u16..300).prop_map(Op::Put),
        3 => (0_usize..8, 0_u8..4).prop_map(|(slot, kind)| Op::Assign(slot, kind)),
        1 => (0_usize..8).prop_map(Op::ClearSlot),
        1 => Just(Op::Pause),
        1 => Just(Op::Stop),
        2 => Just(Op::Start),
        1 => Just(Op::ClearQueue),
        1 => Just(Op::Step),
        2 => (1_u16..300).prop_map(Op::Batch),
        1 => (1_u8..5).prop_map(Op::Timeout),
        2 => (1_usize..6).prop_map(Op::Workers),
        1 => prop_oneof![Just(Policy::Reject), Just(Policy::DropOldest), Just(Policy::DropNewest)].prop_map(Op::Policy),
    ]
}

fn assign(m: &Machine, slot: usize, kind: u8) {
    let set = match kind {
        0 => m[slot].set(|x: f64| x + 1.0),
        1 => m[slot].set(|x: f64| if x.rem_euclid(3.0) < 1.0 { Err("third".to_owned()) } else { Ok(x) }),
        2 => m[slot].set(|x: f64| -> f64 {
            assert!(x.rem_euclid(50.0) >= 1.0, "fiftieth");
            x
        }),
        _ => m[slot].set(|x: Option<f64>| x.unwrap_or_default()),
    };
    set.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Two threads put while a third does what it likes and a fourth reads: every snapshot reconciles, and in the
    /// end each message that was not given back was processed or counted as dropped, once.
    #[test]
    fn every_snapshot_reconciles(ops in proptest::collection::vec(op(), 1..40), queue in 1_usize..200, workers in 1_usize..4) {
        let m = fresh(queue, workers);
        let accepted = AtomicU64::new(0);
        let discarded = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = 0;
                while !over.load(Relaxed) {
                    let s = m.status();
                    reconciles(&s);
                    assert!(s.processed >= last, "processed went back");
                    last = s.processed;
                }
            });
            let producers: Vec<_> = (0..2).map(|_| scope.spawn(|| {
                for i in 0..300_u32 {
                    if m.put(f64::from(i)).is_ok() {
                        accepted.fetch_add(1, Relaxed);
                    }
                }
            })).collect();
            for op in &ops {
                match *op {
                    Op::Put(n) => for i in 0..n {
                        if m.put(f64::from(i)).is_ok() {
                            accepted.fetch_add(1, Relaxed);
                        }
                    },
                    Op::Assign(slot, kind) => assign(&m, slot, kind),
                    Op::ClearSlot(slot) => m[slot].clear().unwrap(),
                    Op::Pause => { m.pause(); },
                    Op::Stop => { m.stop(); },
                    Op::Start => { m.start(); },
                    Op::ClearQueue => { discarded.fetch_add(m.clear(), Relaxed); },
                    Op::Batch(n) => {
                        let mut batch: Vec<u16> = (0..n).collect();
                        let put = m.try_put_batch(&mut batch).unwrap();
                        assert_eq!(put + batch.len(), usize::from(n));
                        assert!(batch.first().is_none_or(|first| usize::from(*first) == put), "the first ones are put");
                        accepted.fetch_add(put as u64, Relaxed);
                    },
                    Op::Timeout(millis) => if m.put_timeout(0.0, Duration::from_millis(millis.into())).is_ok() {
                        accepted.fetch_add(1, Relaxed);
                    },
                    Op::Workers(n) => { m.workers(n).unwrap(); },
                    Op::Policy(policy) => { m.policy(policy); },
                    Op::Step => { let _ = machine::handle::ask(&machine_protocol::command::Command::Step {
                        machine: machine_protocol::command::Target::Name(m.status().machine) }); },
                }
            }
            for producer in producers {
                producer.joined();
            }
            m.start().drained();
            over.store(true, Relaxed);
            reader.joined();
        });
        let s = m.status();
        reconciles(&s);
        prop_assert_eq!((s.queue_size, s.in_flight), (0, 0));
        prop_assert_eq!(s.accepted + s.drops.newest, accepted.load(Relaxed));
        prop_assert_eq!(s.drops.cleared, discarded.load(Relaxed));
        prop_assert_eq!(s.drops.cleared + s.drops.oldest, s.discarded);
        prop_assert_eq!(s.processed, s.accepted - s.discarded);
        for slot in &s.slots {
            prop_assert!(slot.ok + slot.errored + slot.skipped <= s.processed, "{:?}", slot);
        }
    }
}

/// A message that knows whether it was run, and whether it was dropped.
#[derive(Serialize)]
struct Once {
    id: usize,
    #[serde(skip)]
    fates: Arc<Vec<(AtomicU64, AtomicU64)>>,
}

// Never converted: every slot takes it as it is.
impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not from text"))
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.fates.get(self.id).unwrap().1.fetch_add(1, Relaxed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever is done to a machine, each message runs at most once, and is dropped once; those that ran are the
    /// processed ones, those that did not are counted or were given back.
    #[test]
    fn no_message_is_lost_or_runs_twice(ops in proptest::collection::vec(op(), 1..40), queue in 1_usize..200, workers in 1_usize..6) {
        const EACH: usize = 400;
        let m = fresh(queue, workers);
        let fates: Arc<Vec<_>> = Arc::new((0..2 * EACH).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect());
        m[0].set(|once: &Once| once.fates[once.id].0.fetch_add(1, Relaxed)).unwrap();
        let given_back = AtomicU64::new(0);
        thread::scope(|scope| {
            let producers: Vec<_> = (0..2).map(|part| {
                let (fates, given_back) = (&fates, &given_back);
                scope.spawn(move || {
                    let once = |id| Once { id, fates: fates.clone() };
                    let ids = part * EACH..(part + 1) * EACH;
                    if part == 0 {
                        for id in ids {
                            if m.put(once(id)).is_err() {
                                given_back.fetch_add(1, Relaxed);
                            }
                        }
                    } else {
                        let mut batch: Vec<Once> = ids.map(once).collect();
                        for _ in 0..20 {
                            m.try_put_batch(&mut batch).unwrap();
                            thread::yield_now();
                        }
                        given_back.fetch_add(batch.len() as u64, Relaxed);
                    }
                })
            }).collect();
            for op in &ops {
                match *op {
                    Op::Pause => { m.pause(); },
                    Op::Stop => { m.stop(); },
                    Op::Start | Op::Put(_) | Op::Batch(_) | Op::Timeout(_) => { m.start(); },
                    Op::ClearQueue => { m.clear(); },
                    Op::Workers(n) => { m.workers(n).unwrap(); },
                    Op::Policy(policy) => { m.policy(policy); },
                    Op::Assign(slot, _) => m[1 + slot % 7].set(|n: u64| n).unwrap(),
                    Op::ClearSlot(slot) => m[1 + slot % 7].clear().unwrap(),
                    Op::Step => { let _ = machine::handle::ask(&machine_protocol::command::Command::Step {
                        machine: machine_protocol::command::Target::Name(m.status().machine) }); },
                }
            }
            for producer in producers {
                producer.joined();
            }
        });
        m.start().drained();
        let s = m.status();
        reconciles(&s);
        let ran: u64 = fates.iter().map(|fate| fate.0.load(Relaxed)).sum();
        prop_assert!(fates.iter().all(|fate| fate.0.load(Relaxed) <= 1 && fate.1.load(Relaxed) == 1));
        prop_assert_eq!(ran, s.processed);
        let all = s.processed + s.discarded + s.drops.newest + given_back.load(Relaxed);
        prop_assert_eq!(all, 2 * EACH as u64);
    }
}

/// Full queues do what their policy says, and count it.
#[test]
fn a_full_queue_does_what_its_policy_says() {
    let put_ten = |policy: Policy| {
        let m = fresh(4, 1);
        m.policy(policy).pause();
        let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keep = kept.clone();
        m[0].set(move |x: u64| keep.lock().unwrap().push(x)).unwrap();
        let refused = (0..10_u64).filter(|x| m.put(*x).is_err()).count();
        m.start().drained();
        let s = m.status();
        reconciles(&s);
        let kept = std::mem::take(&mut *kept.lock().unwrap());
        (kept, refused, s.drops.oldest, s.drops.newest)
    };
    assert_eq!(put_ten(Policy::Reject), (vec![0, 1, 2, 3], 6, 0, 0));
    assert_eq!(put_ten(Policy::DropOldest), (vec![6, 7, 8, 9], 0, 6, 0));
    assert_eq!(put_ten(Policy::DropNewest), (vec![0, 1, 2, 3], 0, 0, 6));
}

#[test]
fn a_put_that_blocks_goes_on_when_there_is_room_or_the_policy_changes() {
    let m = fresh(1, 1);
    m.policy(Policy::Block).pause();
    m.put(1_u64).unwrap();
    assert_eq!(m.put_timeout(2_u64, Duration::from_millis(1)), Err(Full(2)));
    thread::scope(|scope| {
        let blocked = scope.spawn(|| m.put(2_u64));
        m.policy(Policy::Reject);
        assert_eq!(blocked.joined(), Err(Full(2)));
        m.policy(Policy::Block);
        let blocked = scope.spawn(|| m.put(3_u64));
        m.start();
        assert_eq!(blocked.joined(), Ok(()));
    });
    m.drained();
    assert_eq!(m.status().processed, 2);
}

/// As many messages run at one time as there are workers, also after a change.
#[test]
fn as_many_run_at_once_as_there_are_workers() {
    let m = fresh(1024, 1);
    let gate = Arc::new((std::sync::Mutex::new(0_usize), std::sync::Condvar::new()));
    let inside = gate.clone();
    m[0].set(move |wanted: u64| {
        // Waits until as many are here as the message says, and all of them go.
        let (count, changed) = &*inside;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let wanted = usize::try_from(wanted).unwrap();
        let wait = changed.wait_timeout_while(count, DEADLINE, |count| *count < wanted);
        assert!(!wait.unwrap().1.timed_out(), "fewer than {wanted} at once");
    })
    .unwrap();
    for workers in [1, 64, 3, 256, 2] {
        m.workers(workers).unwrap();
        assert_eq!(m.status().workers, workers as u64);
        *gate.0.lock().unwrap() = 0;
        for _ in 0..workers {
            m.put_wait(workers as u64).unwrap();
        }
        m.drained();
    }
    assert_eq!(m.status().processed, 1 + 64 + 3 + 256 + 2);
    assert!(m.workers(0).is_err() && m.workers(257).is_err());
}

/// f0 and f1 are of one generation, or f0 is one ahead between two assignments. A message that saw an old f0 with a
/// new f1, or a generation mixed otherwise, would show it.
#[test]
fn a_thousand_swaps_under_load_and_every_message_sees_one_set() {
    let m = fresh(1024, 2);
    let (seen, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let generation = |g: u64| {
        m[0].set(move |_: u64| g).unwrap();
        m[1].set(move |f0: u64| (f0, g)).unwrap();
    };
    generation(0);
    let (s, w) = (seen.clone(), wrong.clone());
    m[2].set(move |pair: &(u64, u64)| {
        s.fetch_add(1, Relaxed);
        // f0 is set first, so it is at most one generation ahead, never behind.
        if !(pair.0 == pair.1 || pair.0 == pair.1 + 1) {
            w.fetch_add(1, Relaxed);
        }
    })
    .unwrap();
    let put = thread::scope(|scope| {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let producer = scope.spawn(move || {
            let mut put = 0_u64;
            while !stop.load(Relaxed) {
                m.put_wait(put).unwrap();
                put += 1;
            }
            put
        });
        for g in 1..=1000 {
            generation(g);
        }
        over.store(true, Relaxed);
        producer.joined()
    });
    m.drained();
    let status = m.status();
    assert_eq!(wrong.load(Relaxed), 0);
    assert_eq!(seen.load(Relaxed), put);
    assert_eq!((status.processed, status.errored), (put, 0));
    assert_eq!(status.slots[0].revision, 1001);
}

/// An order is kept with one worker, also over pauses.
#[test]
fn one_worker_keeps_the_order_over_pauses() {
    let m = fresh(256, 1);
    let last = Arc::new(AtomicU64::new(0));
    let (l, disorder) = (last.clone(), Arc::new(AtomicU64::new(0)));
    let d = disorder.clone();
    m[0].set(move |x: u64| {
        if l.swap(x, Relaxed) + 1 != x {
            d.fetch_add(1, Relaxed);
        }
    })
    .unwrap();
    thread::scope(|scope| {
        let producer = scope.spawn(|| (1..=20_000_u64).for_each(|x| m.put_wait(x).unwrap()));
        while !producer.is_finished() {
            m.pause().start();
            m.stop().start();
        }
    });
    m.drained();
    assert_eq!((disorder.load(Relaxed), last.load(Relaxed)), (0, 20_000));
}

/// Closures and values are dropped, exactly once, also when their destructors panic.
#[test]
fn values_and_closures_are_dropped_once() {
    static LIVE: AtomicU64 = AtomicU64::new(0);
    #[derive(Serialize, Deserialize)]
    struct Counted(u64);
    impl Counted {
        fn new(n: u64) -> Self {
            LIVE.fetch_add(1, Relaxed);
            Self(n)
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Relaxed);
            assert!(!self.0.is_multiple_of(7) || thread::panicking(), "a destructor that panics");
        }
    }
    let m = fresh(64, 2);
    let kept = Counted::new(1);
    m[0].set(move |x: u64| {
        let whole = &kept; // a closure captures only the field that it names
        Counted::new(x + whole.0)
    })
    .unwrap();
    m[1].set(|c: &Counted| if c.0.is_multiple_of(5) { Err("fifth".to_owned()) } else { Ok(c.0) }).unwrap();
    for x in 0..1000 {
        m.put_wait(x).unwrap();
    }
    m.drained();
    let status = m.status();
    assert_eq!((status.processed, status.slots[1].errored), (1000, 200));
    m[1].clear().unwrap();
    m[0].clear().unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    eventually!(LIVE.load(Relaxed) == 0); // a worker that sleeps lets go of the old slots once it has woken
    assert_eq!(m.status().processed, 1001);
}
