//! What a publisher sends to a machine's SUB: greeting, handshake, messages, pings, in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_zmtp::subscriber::{Decoder, Event, hello};

/// A publisher's handshake.
const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";
/// The longest message.
const MOST: usize = 300;

fuzz_target!(|data: &[u8]| {
    let [begin, piece, rest @ ..] = data else { return };
    // From the first byte on, after the greeting, or after the handshake.
    let mut bytes = Vec::new();
    if begin % 3 > 0 {
        bytes.extend_from_slice(&hello()[..64]);
    }
    if begin % 3 > 1 {
        bytes.extend_from_slice(READY);
    }
    bytes.extend_from_slice(rest);
    let whole = read([&bytes[..]]);
    let pieces = read(bytes.chunks(usize::from(*piece).max(1)));
    assert_eq!(whole, pieces, "pieces do not matter");
    let ready = whole.0.iter().filter(|said| **said == Item::Ready).count();
    assert!(ready <= 1 && (ready == 0 || whole.0[0] == Item::Ready), "the handshake comes first, and once");
});

#[derive(Debug, PartialEq)]
enum Item {
    Ready,
    Message(Vec<u8>, Vec<u8>),
    TooLong(u64),
    Ping(Vec<u8>),
}

/// What was understood before the first mistake, and the mistake.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Item>, Option<&'static str>) {
    let (mut decoder, mut all) = (Decoder::new(MOST), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            all.push(match decoder.next() {
                Ok(Some(Event::Ready)) => Item::Ready,
                Ok(Some(Event::Message { topic, body })) => {
                    assert!(body.len() <= MOST);
                    Item::Message(topic.to_vec(), body.to_vec())
                }
                Ok(Some(Event::TooLong(length))) => {
                    assert!(length > MOST as u64);
                    Item::TooLong(length)
                }
                Ok(Some(Event::Ping(pong))) => {
                    assert_eq!(usize::from(pong[1]), pong.len() - 2);
                    Item::Ping(pong)
                }
                Ok(None) => break,
                Err(why) => return (all, Some(why)),
            });
        }
    }
    (all, None)
}
