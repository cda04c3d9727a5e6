use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { bytes: 300, frames: 4 };
const READY: &[u8] = b"\x04\x2a\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x01x";

fn conversation() -> Vec<u8> {
    let mut bytes = [&GREETING[..], READY].concat();
    bytes.extend(encode(&[&b"a"[..], b"", &[7; 256]]));
    bytes.extend_from_slice(b"\x04\x0d\x09SUBSCRIBEf1.");
    bytes.extend_from_slice(b"\x04\x09\x04PING\0\x0aab");
    bytes.extend_from_slice(b"\x04\x05\x04PONG");
    bytes.extend_from_slice(b"\x04\x0a\x06CANCELf1.");
    bytes.extend(encode(&[b"last"]));
    bytes
}

/// What was understood in these pieces, and what ended it.
fn read_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<&'static str>) {
    let (mut decoder, mut events) = (Decoder::new(LIMITS), Vec::new());
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break assert!(piece.is_empty()),
                Err(why) => return (events, Some(why)),
            }
        }
    }
    (events, None)
}

fn after_handshake(bytes: &[u8]) -> Option<&'static str> {
    read_all([&GREETING, READY, bytes]).1
}

#[test]
fn a_peer_is_understood_in_pieces_of_any_size() {
    let bytes = conversation();
    let events = vec![
        Event::Ready { socket_type: b"DEALER".to_vec(), identity: b"x".to_vec() },
        Event::Message(vec![b"a".to_vec(), Vec::new(), vec![7; 256]]),
        Event::Subscribe(b"f1.".to_vec()),
        Event::Ping(b"\x04\x07\x04PONGab".to_vec()),
        Event::Cancel(b"f1.".to_vec()),
        Event::Message(vec![b"last".to_vec()]),
    ];
    assert_eq!(read_all([&bytes[..]]), (events.clone(), None));
    assert_eq!(read_all(bytes.chunks(1)), (events, None));
}

#[test]
fn what_exceeds_a_limit_ends_the_connection() {
    let announced = |flags: u8, length: u64| [&[flags][..], &length.to_be_bytes()].concat();
    for (bytes, expected) in [
        (announced(2, 1 << 62), "a frame that is too long"),
        (announced(2, u64::MAX), "a frame that is too long"),
        (announced(2, 301), "a frame that is too long"),
        (
            [encode(&[[1; 200]; 1]), announced(3, 200), vec![1; 200], announced(2, 101)].concat(),
            "a frame that is too long",
        ),
        (announced(6, (64 << 10) + 1), "a frame that is too long"),
        (b"\x01\0\x01\0\x01\0\x01\0\x00\0".to_vec(), "a message of too many frames"),
        (b"\x08\0".to_vec(), "a frame with unknown flags"),
        (b"\x05\0".to_vec(), "a frame with unknown flags"),
        (b"\x04\0".to_vec(), "a command without a name"),
        (b"\x04\x07\x05ERROR\0".to_vec(), "the peer refuses"),
    ] {
        assert_eq!(after_handshake(&bytes), Some(expected), "{bytes:?}");
    }
    assert_eq!(read_all([&GREETING[..], b"\x00\x011"]).1, Some("a message before the end of the handshake"));
    assert_eq!(read_all([&GREETING[..], b"\x04\x05\x04PING"]).1, Some("a command before the end of the handshake"));
    assert_eq!(read_all([&b"GET / HTTP/1.1\r\n"[..]]).1, Some("no greeting of ZeroMQ"));
}

#[test]
fn a_message_may_be_as_long_as_the_limits() {
    let whole = encode(&[[1_u8; 75]; 4]);
    assert_eq!(after_handshake(&whole), None);
    assert_eq!(read_all([&GREETING, READY, &whole]).0.len(), 2);
}

#[test]
fn memory_grows_with_what_came() {
    let mut decoder = Decoder::new(Limits { bytes: 1 << 30, frames: 1 << 20 });
    let mut begin = &[&GREETING[..], READY, &[2, 0, 0, 0, 0, 0x3f, 0, 0, 0]].concat()[..];
    assert!(matches!(decoder.next(&mut begin), Ok(Some(Event::Ready { .. }))));
    assert_eq!(decoder.next(&mut begin), Ok(None));
    assert!(decoder.is_inside() && decoder.held() == 0, "nothing is kept for what was announced");
    for came in 1..200_usize {
        assert_eq!(decoder.next(&mut &[1_u8; 1 << 10][..]), Ok(None));
        assert!(decoder.held() <= (2 * came) << 10, "{} bytes for {came} KiB", decoder.held());
    }
}

#[test]
fn golden_bytes() {
    assert_eq!(hello("PUB")[64..], *b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB");
    assert_eq!(encode(&[&b"a"[..], b""]), b"\x01\x01a\x00\x00");
}

proptest! {
    #[test]
    fn any_bytes_give_events_or_an_error_in_any_pieces(
        start in 0_usize..450,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..100,
    ) {
        let mut all = conversation();
        all.truncate(start);
        all.extend(bytes);
        prop_assert_eq!(read_all(all.chunks(piece)), read_all([&all[..]]));
    }

    #[test]
    fn what_is_encoded_is_decoded(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..75), 1..4)) {
        let bytes = encode(&frames);
        let (events, error) = read_all([&GREETING, READY, &bytes[..]]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(events.last(), Some(&Event::Message(frames)));
    }
}
