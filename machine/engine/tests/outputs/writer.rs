//! What a slot gives as lines of a writer.

use super::named;
use machine::prelude::*;
use machine_testkit::{DEADLINE, Drained, eventually};
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps what is written, and what became of the writer.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(Vec<u8>, bool)>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.0.lock().unwrap().1 = true;
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }
}

/// Waits at each write until it is let go on.
struct Gated(Receiver<()>, Written);

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _open = self.0.recv_timeout(DEADLINE);
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated() -> (Sender<()>, Gated, Written) {
    let (open, opened) = channel();
    let written = Written::default();
    let kept = Written(written.0.clone());
    (open, Gated(opened, written), kept)
}

#[test]
fn each_output_is_a_line_in_order_and_the_writer_is_dropped_at_the_end() {
    for ordered in [false, true] {
        let m =
            named("lines").ordered(ordered).workers(if ordered { 3 } else { 1 }).policy(Policy::Block).start().unwrap();
        m[0].set(|x: u64| if x % 5 == 4 { Err("four") } else { Ok(format!("line {x}")) }).unwrap();
        m[1].set(|_: Option<String>, x: u64| vec![x, x + 1]).unwrap();
        let texts = Written::default();
        let sink = m.to_lines(0, Written(texts.0.clone())).unwrap();
        let lists = Written::default();
        m.to_lines(1, Written(lists.0.clone())).unwrap();
        (0..1_000_u64).for_each(|x| m.put(x).unwrap());
        m.drained();
        let expected: String = (0..1_000).filter(|x| x % 5 != 4).map(|x| format!("line {x}\n")).collect();
        assert_eq!(texts.text(), expected);
        let expected: String = (0..1_000).map(|x| format!("[{x},{}]\n", x + 1)).collect();
        assert_eq!(lists.text(), expected);
        let status = sink.status().unwrap();
        assert_eq!((status.kind.as_str(), status.endpoint.as_str()), ("lines", "f0"));
        assert_eq!((status.sent, status.waiting, status.lost), (800, 0, 0));
        sink.stop();
        eventually!(texts.0.lock().unwrap().1);
        m.clear_outputs();
    }
}

#[test]
fn the_machine_waits_for_a_slow_writer_and_no_line_is_lost() {
    const LINES: u64 = 40;
    let m = named("slow").queue(4).policy(Policy::Block).start().unwrap();
    m[0].set(|_: u64| "x".repeat(1 << 20)).unwrap();
    let (open, writer, written) = gated();
    let sink = m.to_lines(0, writer).unwrap();
    m.source(0..LINES).unwrap();
    // 8 MiB are buffered, some lines are with the writer, one waits in the worker's hand, four in the queue.
    eventually!(m.status().queue_size == 4 && m.status().in_flight == 1);
    assert!(m.status().processed < LINES / 2);
    drop(open);
    m.drained();
    assert_eq!(written.text().lines().count() as u64, LINES);
    assert_eq!((sink.status().unwrap().sent, sink.status().unwrap().lost), (LINES, 0));
}

#[test]
fn an_error_of_the_writer_ends_it_and_all_that_is_not_written_is_lost() {
    struct Broken(ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            assert!(self.0 != ErrorKind::Other, "the writer has had enough");
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (kind, error) in [
        (ErrorKind::StorageFull, "no storage space"),
        (ErrorKind::BrokenPipe, "broken pipe"),
        (ErrorKind::Other, "the writer panicked: the writer has had enough"),
    ] {
        let m = named("broken").start().unwrap();
        let sink = m.to_lines(0, Broken(kind)).unwrap();
        m.put(1_u64).unwrap();
        eventually!(sink.status().unwrap().lost == 1);
        m.put(2_u64).unwrap();
        m.drained();
        let status = sink.status().unwrap();
        assert_eq!((status.sent, status.waiting, status.lost), (0, 0, 2));
        // A panic has its place after it.
        assert!(status.error.starts_with(error), "{}", status.error);
        assert_eq!(m.status().processed, 2);
    }
}

#[test]
fn what_cannot_be_written_as_json_is_lost_and_there_has_to_be_a_slot() {
    #[derive(Clone)]
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not for the eyes of others"))
        }
    }
    let m = named("unwritable").start().unwrap();
    m[0].set(|_: u64| Unwritable).unwrap();
    let sink = m.to_lines(0, Written::default()).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    let status = sink.status().unwrap();
    assert_eq!((status.sent, status.lost), (0, 1));
    let expected = ["the output of f0 cannot be written: ", "not for the eyes of others"];
    assert!(expected.into_iter().all(|part| status.error.contains(part)), "{}", status.error);
    assert_eq!(m.to_lines(99, Written::default()).map(drop).unwrap_err().kind(), machine::ErrorKind::NoSuchSlot);
}

#[test]
fn on_output_without_loss_makes_the_machine_wait() {
    const MESSAGES: u64 = 40_000;
    let m = named("noloss").queue(4).policy(Policy::Block).start().unwrap();
    m[0].set(|x: u64| x).unwrap();
    let (open, opened) = channel::<()>();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    let sink = m
        .on_output(move |output| {
            let _open = opened.recv_timeout(DEADLINE);
            see.lock().unwrap().push(output.input::<u64>().unwrap());
        })
        .unwrap()
        .no_loss()
        .unwrap();
    m.source(0..MESSAGES).unwrap();
    eventually!(sink.status().unwrap().waiting > 16_384 && m.status().queue_size == 4);
    assert!(m.status().processed < MESSAGES / 2);
    drop(open);
    m.drained();
    eventually!(sink.status().unwrap().sent == MESSAGES);
    assert_eq!(sink.status().unwrap().lost, 0);
    assert!(seen.lock().unwrap().iter().copied().eq(0..MESSAGES));
    // Ended while the machine waits for it, it lets go.
    let (_never, opened) = channel::<()>();
    let sink = m
        .on_output(move |_| {
            let _closed = opened.recv_timeout(DEADLINE);
        })
        .unwrap()
        .no_loss()
        .unwrap();
    m.source(0..MESSAGES).unwrap();
    eventually!(sink.status().unwrap().waiting > 16_384 && m.status().queue_size == 4);
    sink.stop();
    assert_eq!(m.drain_timeout(Duration::from_mins(1)), Ok(()));
}
