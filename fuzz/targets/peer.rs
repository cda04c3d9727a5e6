//! What a peer of any kind sends to one of the kernel's sockets, in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_zmtp::peer::{Decoder, Event, Limits, encode, hello};

const LIMITS: Limits = Limits { bytes: 300, frames: 4 };

fuzz_target!(|data: &[u8]| {
    let [begin, piece, rest @ ..] = data else { return };
    // From the first byte on, after the greeting, or after the handshake.
    let mut bytes = match begin % 3 {
        0 => Vec::new(),
        1 => hello("DEALER")[..64].to_vec(),
        _ => hello("DEALER"),
    };
    bytes.extend_from_slice(rest);
    let whole = read([&bytes[..]]);
    assert_eq!(whole, read(bytes.chunks(usize::from(*piece).max(1))), "pieces do not matter");
    let is_ready = |event: &Event| matches!(event, Event::Ready { .. });
    assert!(whole.0.iter().skip(1).all(|event| !is_ready(event)), "the handshake comes once");
    assert!(whole.0.first().is_none_or(is_ready), "and first");
});

/// What was understood before the first mistake, and the mistake.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<&'static str>) {
    let (mut decoder, mut all) = (Decoder::new(LIMITS), Vec::new());
    let mut came = 0;
    for mut piece in pieces {
        came += piece.len();
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(event)) => {
                    if let Event::Message(frames) = &event {
                        assert!(frames.len() <= LIMITS.frames && frames.concat().len() <= LIMITS.bytes);
                        assert!(!encode(frames).is_empty());
                    }
                    all.push(event);
                }
                Ok(None) => break,
                Err(why) => return (all, Some(why)),
            }
            // What is kept came before.
            assert!(decoder.held() <= 2 * came + 200);
        }
        assert!(piece.is_empty() && decoder.held() <= 2 * came + 200);
    }
    (all, None)
}
