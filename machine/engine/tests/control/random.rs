//! Two threads that say what they like: nothing is lost, and all snapshots reconcile.

use crate::*;
use machine_testkit::{Joined, eventually};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Op {
    Put(u8),
    Pause,
    Stop,
    Start,
    Clear,
    Step,
    Peek,
    Debug(bool),
    Break(Option<u32>),
    Continue,
    Retry,
    GiveUp,
    Workers(usize),
    Policy(Policy),
    Assign(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1_u8..100).prop_map(Op::Put),
        1 => Just(Op::Pause),
        1 => Just(Op::Stop),
        3 => Just(Op::Start),
        2 => Just(Op::Clear),
        2 => Just(Op::Step),
        1 => Just(Op::Peek),
        2 => any::<bool>().prop_map(Op::Debug),
        1 => (0_u32..4).prop_map(|slot| Op::Break((slot < 3).then_some(slot))),
        1 => Just(Op::Continue),
        2 => Just(Op::Retry),
        2 => Just(Op::GiveUp),
        2 => (1_usize..5).prop_map(Op::Workers),
        1 => prop_oneof![Just(Policy::Reject), Just(Policy::DropOldest), Just(Policy::DropNewest)].prop_map(Op::Policy),
        2 => (0_u8..4).prop_map(Op::Assign),
    ]
}

/// A message that is counted as long as it is there.
#[derive(Serialize, Deserialize, Clone)]
struct Noted(
    u64,
    #[serde(skip)]
    #[allow(dead_code, reason = "it counts by being there")]
    Option<Live>,
);

struct Live(Arc<AtomicU64>);

impl Clone for Live {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, SeqCst);
        Self(self.0.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn assign(m: &Machine, kind: u8) {
    let set = match kind {
        0 => m[1].set(|n: &Noted| if n.0.is_multiple_of(40) { Err("fortieth".to_owned()) } else { Ok(n.0) }),
        1 => m[1].set(|n: &Noted| {
            if n.0.is_multiple_of(20) {
                // A slot that takes time, so that what is said meets a message in it.
                thread::sleep(Duration::from_millis(1));
            }
            n.0
        }),
        2 => m[1].set_async(async |n: &Noted| {
            let n = n.0;
            if n.is_multiple_of(10) {
                tokio::task::yield_now().await;
            }
            if n.is_multiple_of(50) { Err("fiftieth".to_owned()) } else { Ok(n) }
        }),
        _ => {
            m[1].clear().unwrap();
            Ok(())
        }
    };
    set.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_two_threads_say_every_snapshot_reconciles_and_each_message_ends_once(
        ops in proptest::array::uniform2(proptest::collection::vec(op(), 1..40)),
        queue in 1_usize..200, workers in 1_usize..4, ordered: bool,
    ) {
        let m = named("random").queue(queue).workers(workers).in_flight(20).ordered(ordered).start().unwrap();
        m[0].set(|n: &Noted| n.0).unwrap();
        let (live, out) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let ended = out.clone();
        let sink = m.on_output(move |output| ended.lock().unwrap().push(output.input::<Noted>().unwrap().0)).unwrap();
        let (next, accepted, discarded) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let over = AtomicBool::new(false);
        let say = |op: &Op| match *op {
            Op::Put(count) => for _ in 0..count {
                live.fetch_add(1, SeqCst);
                let noted = Noted(next.fetch_add(1, SeqCst), Some(Live(live.clone())));
                accepted.fetch_add(u64::from(m.put(noted).is_ok()), SeqCst);
            },
            Op::Pause => drop(m.pause()),
            Op::Stop => drop(m.stop()),
            Op::Start => drop(m.start()),
            Op::Clear => drop(discarded.fetch_add(m.clear(), SeqCst)),
            Op::Step => drop(step(&m)),
            Op::Peek => drop(peek(&m)),
            Op::Debug(on) => drop(m.debug(on)),
            Op::Break(slot) => drop(hold_before(&m, slot)),
            Op::Continue => drop(resume(&m)),
            Op::Retry => drop(m.retry()),
            Op::GiveUp => drop(m.give_up()),
            Op::Workers(workers) => drop(m.workers(workers).unwrap()),
            Op::Policy(policy) => drop(m.policy(policy)),
            Op::Assign(kind) => assign(&m, kind),
        };
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = 0;
                while !over.load(SeqCst) {
                    let s = m.status();
                    reconciles(&s);
                    assert!(s.processed >= last, "processed went back");
                    last = s.processed;
                    thread::yield_now();
                }
            });
            let threads = ops.each_ref().map(|ops| scope.spawn(|| ops.iter().for_each(say)));
            let ends = threads.map(thread::ScopedJoinHandle::join);
            over.store(true, SeqCst);
            reader.joined();
            for end in ends {
                end.unwrap();
            }
        });
        m.debug(false);
        drop(hold_before(&m, None));
        // A worker may have been about to keep one.
        answers(move || while m.start().drain_timeout(Duration::from_secs(20)).is_err() {
            assert!(!m.status().running, "{:?}", m.status());
        });
        let s = m.status();
        reconciles(&s);
        prop_assert_eq!((s.queue_size, s.in_flight, s.out_of_order, s.in_hand.as_str()), (0, 0, 0, ""));
        prop_assert_eq!(s.accepted + s.drops.newest, accepted.load(SeqCst));
        prop_assert_eq!(s.processed + s.discarded, s.accepted);
        prop_assert!(s.drops.cleared <= discarded.load(SeqCst) && discarded.load(SeqCst) <= s.drops.cleared + s.drops.in_flight);
        let gone = || out.lock().unwrap().len() as u64 + sink.status().unwrap().lost;
        answers({
            let live = live.clone();
            move || eventually!(live.load(SeqCst) == 0)
        });
        eventually!(gone() >= s.processed);
        prop_assert_eq!(gone(), s.processed);
        let numbers = out.lock().unwrap().clone();
        prop_assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len(), "some went out twice");
    }
}
