//! What comes over the control socket and the socket of the remote: frames with commands, replies and greetings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_protocol::command::{Command, Reply};
use machine_remote::{Answer, Hello, Request, read_frame_at_most, write_frame};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Longest frame that is read.
const LONGEST: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let [what, rest @ ..] = data else { return };
    match what % 5 {
        0 => stream::<Request>(rest),
        1 => stream::<Answer>(rest),
        2 => stream::<Hello>(rest),
        3 => drop(serde_json::from_slice::<Command>(rest).map(|command| comes_back(&command))),
        _ => drop(serde_json::from_slice::<Reply>(rest).map(|reply| comes_back(&reply))),
    }
});

/// Reads frames until the stream ends or is none.
fn stream<T: Serialize + for<'a> Deserialize<'a> + Debug>(mut from: &[u8]) {
    while let Ok(Some(frame)) = read_frame_at_most::<T>(&mut from, LONGEST) {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &frame).unwrap();
        assert!(read_frame_at_most::<T>(&mut &bytes[..], usize::MAX).unwrap().is_some());
        comes_back(&frame);
    }
}

/// What was read can be written and read again, and then stays as it is. (The first reading may round a number.)
fn comes_back<T: Serialize + for<'a> Deserialize<'a> + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let again: T = serde_json::from_str(&text).unwrap();
    assert_eq!(std::mem::discriminant(&shape(value)), std::mem::discriminant(&shape(&again)));
}

/// The value as JSON, of which the kind is compared.
fn shape(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}
