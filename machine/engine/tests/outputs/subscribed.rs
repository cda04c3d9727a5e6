//! What nobody has subscribed to is not serialised, with a subscriber of the `zeromq` library.

use machine::handle::ask;
use machine::prelude::*;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::RetainedQuery;
use machine_testkit::{Drained, eventually};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use zeromq::{Socket, SocketRecv, SubSocket};

/// More than a machine keeps of so many that come at once: what is kept is serialised too.
const MANY: u64 = 40_000;

/// How many values were serialised.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A value that counts how often it is serialised.
#[derive(Clone, Deserialize)]
struct Counts(u64);

impl Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Relaxed);
        self.0.serialize(serializer)
    }
}

/// How many messages were processed so far, and how many of them are or were kept.
fn kept(name: &str) -> (u64, u64) {
    let query = RetainedQuery { limit: 1, ..RetainedQuery::default() };
    let Reply::Kept(kept) = ask(&Command::Kept { machine: Target::Name(name.to_owned()), query }) else {
        panic!("nothing is told of what was kept")
    };
    (kept.processed, kept.processed - kept.not_kept)
}

/// Takes many messages through; returns how many values were serialised, and how many messages kept, meanwhile.
fn take_through(m: &Machine, name: &str) -> (u64, u64) {
    let (written, (processed, before)) = (WRITTEN.load(Relaxed), kept(name));
    for x in 0..MANY {
        m.put_wait(x).unwrap();
    }
    m.drained();
    let (all, after) = kept(name);
    assert_eq!(all - processed, MANY);
    (WRITTEN.load(Relaxed) - written, after - before)
}

fn wait_for_subscribers(sink: &SinkHandle, count: u64) {
    eventually!(sink.status().unwrap().subscribers == count);
}

#[test]
fn a_publisher_serialises_while_somebody_is_subscribed() {
    const NAME: &str = "subscribed";
    machine_engine::init();
    let m = Machine::builder(NAME).start().unwrap();
    m[0].set(Counts as fn(u64) -> Counts).unwrap();
    let sink = m.publish("tcp://127.0.0.1:*").unwrap().no_loss().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();

    // Connected, and nothing asked for yet.
    let mut subscriber = SubSocket::new();
    runtime.block_on(subscriber.connect(sink.endpoint())).unwrap();
    let (written, kept) = take_through(&m, NAME);
    assert_eq!(written, kept);
    assert!(kept < MANY, "all were kept: this tells nothing");

    runtime.block_on(subscriber.subscribe("")).unwrap();
    wait_for_subscribers(&sink, 1);
    let reader = runtime.spawn(async move {
        let mut last = None;
        for _ in 0..MANY {
            last = subscriber.recv().await.ok();
        }
        (subscriber, last)
    });
    let (written, _) = take_through(&m, NAME);
    assert_eq!(written, MANY, "each once, whether it is kept, published, or both");
    let (subscriber, last) = runtime.block_on(reader).unwrap();
    let json = last.unwrap().into_vec().pop().unwrap();
    assert_eq!(serde_json::from_slice::<Vec<u64>>(&json).unwrap(), [MANY - 1; 9]);

    drop(subscriber);
    wait_for_subscribers(&sink, 0);
    let (written, kept) = take_through(&m, NAME);
    assert_eq!(written, kept);
    assert!(kept < MANY, "all were kept: this tells nothing");
}
