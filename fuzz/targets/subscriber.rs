//! What a subscriber sends to a machine's PUB: greeting, handshake, subscriptions, in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_zmtp::publisher::{Decoder, Event};
use machine_zmtp::{GREETING, count_messages, pong};

/// A subscriber's handshake.
const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB";

fuzz_target!(|data: &[u8]| {
    let [begin, piece, rest @ ..] = data else { return };
    // From the first byte on, after the greeting, or after the handshake.
    let mut bytes = Vec::new();
    if begin % 3 > 0 {
        bytes.extend_from_slice(&GREETING);
    }
    if begin % 3 > 1 {
        bytes.extend_from_slice(READY);
    }
    bytes.extend_from_slice(rest);
    let whole = read([&bytes[..]]);
    let pieces = read(bytes.chunks(usize::from(*piece).max(1)));
    assert_eq!(whole, pieces, "pieces do not matter");
    let ready = whole.0.iter().filter(|event| **event == Event::Ready).count();
    assert!(ready <= 1 && (ready == 0 || whole.0[0] == Event::Ready), "the handshake comes first, and once");
    for event in &whole.0 {
        if let Event::Ping(context) = event {
            let pong = pong(context);
            assert_eq!(usize::from(pong[1]), pong.len() - 2);
        }
    }
    let (written, all) = count_messages(rest, usize::from(*piece));
    assert!(written <= all);
    assert_eq!(count_messages(rest, 0).0, 0);
});

/// What was understood before the first mistake, and the mistake.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<&'static str>) {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(why) => return (events, Some(why)),
            }
        }
    }
    (events, None)
}
