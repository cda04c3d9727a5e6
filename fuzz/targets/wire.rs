//! The frames of a Jupyter message, signed and unsigned. The kernel is a program: its files are compiled in here.
#![no_main]
#![allow(dead_code, reason = "the kernel's own files, of which a part is tried here")]

#[path = "../../kernel/src/wire/message/mod.rs"]
mod message;
#[path = "../../kernel/src/wire/replay.rs"]
mod replay;
#[path = "../../kernel/src/wire/signing.rs"]
mod signing;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use message::{BadFrames, Incoming, Session};
use serde_json::value::RawValue;
use signing::Key;
use std::sync::LazyLock;

/// Between two frames: no byte of UTF-8.
const BETWEEN: u8 = 0xff;

/// What the headers of the kernel's own messages say.
const PROTOCOL_VERSION: &str = "5.5";

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(b"secret"));
static NO_KEY: LazyLock<Key> = LazyLock::new(|| Key::new(b""));

fuzz_target!(|data: &[u8]| {
    let mut frames: Vec<Bytes> = data.split(|byte| *byte == BETWEEN).map(Bytes::copy_from_slice).collect();
    let unsigned = Incoming::decode(frames.clone(), &NO_KEY);
    let signed = Incoming::decode(frames.clone(), &KEY);
    let Ok(message) = unsigned else {
        assert!(signed.is_err(), "a signature mends nothing");
        return;
    };
    assert!(matches!(signed, Err(BadFrames::Signature)), "nobody signs without the key");
    // What is read is what came.
    assert!(message.content::<Box<RawValue>>().is_ok_and(|content| content.get().starts_with('{')));
    assert_eq!(frames.get(message.identities.len() + 2), Some(&message.raw_header));
    // Signed as it should be, it is taken.
    let at = message.identities.len() + 1;
    let parts = [&frames[at + 1][..], &frames[at + 2][..], &frames[at + 3][..], &frames[at + 4][..]];
    frames[at] = Bytes::from(KEY.sign(parts));
    let session = Session::new(KEY.clone());
    let taken = session.accept(frames.clone()).unwrap();
    assert_eq!(taken.header.msg_type, message.header.msg_type);
    assert!(matches!(session.accept(frames), Err(BadFrames::Replay)), "and once");
});
